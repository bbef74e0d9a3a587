"""Deliveries against the vectors, and every way in which a hub could hand over something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from broker.core import records
from broker.core.delivery import Opened, open_delivery
from broker.core.errors import BadDelivery, NotCanonical, Refused
from broker.core.merkle import leaf_hash
from broker.core.model import Delivery, DeliveryHead, Envelope, Slot
from broker.core.redaction import redact
from broker.core.sealing import seal_leaves, seals_root
from tests.vectors.material import CATALOGUE, NETWORK, VECTORS, Given, keyring, member_key, refused

VECTOR = VECTORS["delivery"]
DELIVERY = records.decode(Delivery, bytes.fromhex(VECTOR["bytes"]))
HEAD = records.decode(DeliveryHead, DELIVERY.head)
assert DELIVERY.envelope is not None
CONTENT: Envelope = DELIVERY.envelope
WHOLE = records.decode(Envelope, bytes.fromhex(VECTORS["sealed"]["envelope"]))


def received(delivery: Delivery, member: str = "jp", keys: Given | None = None) -> Opened:
    return open_delivery(delivery, member, keys or keyring(), CATALOGUE, NETWORK)


def delivered(envelope: Envelope | None, **changes: Any) -> Delivery:
    """A delivery by a hub that makes its head fit what it hands over."""
    head = replace(HEAD, **changes)
    if envelope is not None and "content" not in changes:
        head = replace(head, content=records.content_digest(envelope))
    return Delivery(records.encode(head), envelope, DELIVERY.proofs if envelope else ())


def test_the_delivery_of_the_vectors_opens() -> None:
    opened = received(DELIVERY)
    assert opened.head == HEAD
    assert opened.delivery_id.hex() == VECTOR["delivery_id"]
    assert opened.notice is not None
    assert opened.notice.statement.hex() == VECTORS["sealed"]["statement_id"]
    assert set(opened.notice.values) == {Slot.FACTS}


def test_an_erased_delivery_is_still_the_one_that_was_delivered() -> None:
    erased = records.decode(Delivery, bytes.fromhex(VECTOR["erased"]))
    opened = received(erased)
    assert opened.notice is None
    assert opened.delivery_id == received(DELIVERY).delivery_id


def test_the_hub_writes_the_content_and_the_proofs_of_the_vectors() -> None:
    redacted, proofs = redact(WHOLE, frozenset(HEAD.slots), "jp")
    assert records.encode(Delivery(DELIVERY.head, redacted, proofs)).hex() == VECTOR["bytes"]


def test_seals_have_the_leaves_and_the_root_of_the_vectors() -> None:
    leaves = [leaf_hash(leaf).hex() for leaf in seal_leaves(WHOLE)]
    assert leaves == VECTORS["sealed"]["seal_leaves"]
    root = seals_root(WHOLE)
    assert root is not None
    assert root.hex() == VECTORS["sealed"]["seals_root"]


@pytest.mark.parametrize("case", refused("delivery"), ids=lambda case: case["why"])
def test_a_receiver_refuses_with_the_code_of_the_vectors(case: dict[str, Any]) -> None:
    delivery = records.decode(Delivery, bytes.fromhex(case["delivery"]))
    with pytest.raises(Refused) as caught:
        received(delivery)
    assert caught.value.code == case["code"]


def test_the_key_is_judged_at_the_time_of_the_decision() -> None:
    key = member_key("vn_ed25519")

    class Held(Given):
        """Keys that know when they count."""

        def signing_keys(self, member: str, at: int) -> list[Any]:
            return [one for one in self.signing if one.valid_at(at)]

    until = replace(key, valid_until=HEAD.decided_at + 1)
    assert received(DELIVERY, keys=Held((until,))).notice is not None
    for spent in (
        replace(key, valid_until=HEAD.decided_at),
        replace(key, revoked_at=HEAD.decided_at),
        replace(key, valid_from=HEAD.decided_at + 1),
    ):
        with pytest.raises(Refused) as caught:
            received(DELIVERY, keys=Held((spent,)))
        assert caught.value.code == "unknown-key"


FACTS_ONLY, NO_PROOFS = redact(WHOLE, frozenset({Slot.FACTS}), "jp")

LIES: dict[str, Callable[[], Delivery]] = {
    "another member's delivery": lambda: delivered(CONTENT, member="nl"),
    "a content digest of something else": lambda: delivered(CONTENT, content=bytes(32)),
    "a statement id of something else": lambda: delivered(CONTENT, statement=bytes(32)),
    "a head that names fewer slots": lambda: delivered(CONTENT, slots=(Slot.FACTS, Slot.PERSONS)),
    "a head that names more slots": lambda: delivered(CONTENT, slots=(*HEAD.slots, Slot.ATTACHMENTS)),
    "a head that names slots in another order": lambda: delivered(CONTENT, slots=HEAD.slots[::-1]),
    "a head that counts from zero": lambda: delivered(CONTENT, sequence=0),
    "proofs without content": lambda: replace(delivered(None), proofs=DELIVERY.proofs),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_head_that_does_not_fit_is_a_bad_delivery(lie: Callable[[], Delivery]) -> None:
    with pytest.raises(BadDelivery):
        received(lie())


def test_a_narrower_delivery_holds_if_its_head_says_so() -> None:
    head = replace(HEAD, slots=(Slot.FACTS,), content=records.content_digest(FACTS_ONLY))
    opened = received(Delivery(records.encode(head), FACTS_ONLY, NO_PROOFS))
    assert opened.notice is not None
    assert set(opened.notice.values) == {Slot.FACTS}


def test_the_head_has_one_encoding() -> None:
    for head in (DELIVERY.head + b"\0", DELIVERY.head[:-1], b""):
        with pytest.raises(NotCanonical):
            received(replace(DELIVERY, head=head))


def test_a_delivery_as_bytes_has_one_encoding() -> None:
    data = bytes.fromhex(VECTOR["bytes"])
    for other in (data + b"\0", data[:-1], b""):
        with pytest.raises(NotCanonical):
            records.decode(Delivery, other)
