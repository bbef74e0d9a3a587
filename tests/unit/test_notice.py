"""Limits, the order of the checks, and what each of them is for, beyond the cases in the vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from broker.core import records
from broker.core.errors import Refused
from broker.core.model import Act, Disclosure, Envelope, Header, Slot
from broker.core.notice import draft, open_envelope, read_envelope
from broker.core.signing import sign_header
from tests.vectors.material import AT, CATALOGUE, NETWORK, PRIVATE, SAMPLE, VECTORS, Given, keyring

CLEAR = records.decode(Envelope, bytes.fromhex(VECTORS["clear"]["envelope"]))
HEADER = records.decode(Header, CLEAR.header)
VALUES = {"hs_code": "293311", "net_mass_g": 1, "item_id": None, "consignee": "Example Person"}


def signed(envelope: Envelope = CLEAR, **change: Any) -> Envelope:
    """The envelope with some of its header changed, properly signed."""
    header = records.encode(replace(HEADER, **change))
    return replace(envelope, header=header, signature=sign_header(header, NETWORK, PRIVATE["vn_ed25519"]))


def opened(envelope: Envelope, *, complete: bool = True, at: int = AT, held: Given | None = None) -> None:
    arrived = read_envelope(records.encode(envelope))
    open_envelope(arrived, held or keyring(), CATALOGUE, NETWORK, at, complete=complete)


def test_what_was_drafted_and_signed_opens_to_the_same_values() -> None:
    digests, disclosures = draft(SAMPLE, VALUES)
    header = records.encode(replace(HEADER, slots=digests))
    signature = sign_header(header, NETWORK, PRIVATE["vn_ed25519"])
    arrived = read_envelope(records.encode(Envelope(header, signature, disclosures, (), ())))
    notice = open_envelope(arrived, keyring(), CATALOGUE, NETWORK, AT, complete=True)

    assert {name: value for fields in notice.values.values() for name, value in fields.items()} == VALUES
    assert notice.statement == records.statement_id(header) == arrived.statement
    assert notice.reference == "halong:vn/asia-pacific/main/1"


def long_slot(size: int) -> Envelope:
    return replace(CLEAR, disclosures=(Disclosure(Slot.FACTS, bytes(16), bytes(size)),))


TOO_LARGE: dict[str, tuple[Callable[[int], Envelope], int, str]] = {
    "header": (lambda size: replace(CLEAR, header=bytes(size)), 16 * 1024, "header"),
    "signature": (lambda size: replace(CLEAR, signature=bytes(size)), 8 * 1024, "signature"),
    "a slot": (long_slot, 64 * 1024, "facts"),
}


@pytest.mark.parametrize(("make", "most", "field"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_part_that_is_too_large_is_refused_before_it_is_parsed(
    make: Callable[[int], Envelope], most: int, field: str
) -> None:
    with pytest.raises(Refused) as caught:
        opened(make(most + 1))
    assert (caught.value.code, caught.value.field) == ("too-large", field)
    with pytest.raises(Refused) as caught:
        opened(make(most))
    assert caught.value.code != "too-large"


def test_an_envelope_that_is_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Refused) as caught:
        read_envelope(bytes(512 * 1024 + 1))
    assert caught.value.code == "too-large"
    with pytest.raises(Refused) as caught:
        read_envelope(b"\xff" * 512 * 1024)
    assert caught.value.code == "not-canonical"


REFUSED: dict[str, tuple[Envelope, str, str | None]] = {
    "a type that is not known": (signed(notice_type="samples"), "unknown-type", "notice_type"),
    "a schema that is not known": (signed(schema=bytes(32)), "unknown-schema", "schema"),
    "issued in the future": (signed(issued_at=AT + 300_001), "not-yet-valid", "issued_at"),
    "over": (signed(issued_at=AT - 10, effective_until=AT), "expired", "effective_until"),
    "a slot that is missing": (
        replace(CLEAR, disclosures=CLEAR.disclosures[:2] + CLEAR.disclosures[3:]),
        "incomplete",
        "entities",
    ),
    "a salt that was changed": (
        replace(CLEAR, disclosures=(replace(CLEAR.disclosures[0], salt=bytes(16)), *CLEAR.disclosures[1:])),
        "bad-disclosure",
        "facts",
    ),
    "a header that is none": (replace(CLEAR, header=b""), "not-canonical", "header"),
    "a signature that is none": (replace(CLEAR, signature=b""), "not-canonical", None),
    "a slot twice": (replace(CLEAR, disclosures=CLEAR.disclosures[:1] * 2), "bad-envelope", "disclosures"),
}


@pytest.mark.parametrize(("envelope", "code", "field"), REFUSED.values(), ids=REFUSED)
def test_a_fault_is_refused_by_its_code_and_field(envelope: Envelope, code: str, field: str | None) -> None:
    with pytest.raises(Refused) as caught:
        opened(envelope)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_at_later_stations_a_notice_may_be_over_and_without_some_of_its_slots() -> None:
    over = signed(issued_at=AT - 10, effective_until=AT)
    opened(replace(over, disclosures=over.disclosures[1:]), complete=False)


ORDER = [
    ("unknown-key", signed(profile=2, notice_type="samples"), Given(())),
    ("bad-header", signed(profile=2, notice_type="samples"), keyring("jp_ed25519")),
    ("expired", signed(issued_at=AT - 10, effective_until=AT, notice_type="samples"), keyring("jp_ed25519")),
    ("bad-header", signed(seals=bytes(32), notice_type="samples"), keyring("jp_ed25519")),
    ("unknown-type", signed(notice_type="samples"), keyring("jp_ed25519")),
    ("bad-signature", replace(signed(), disclosures=CLEAR.disclosures[:1]), keyring("jp_ed25519")),
    ("bad-disclosure", signed(slots=(bytes(32),) * 6), keyring()),
]


@pytest.mark.parametrize(("code", "envelope", "held"), ORDER, ids=[code for code, _, _ in ORDER])
def test_of_several_faults_the_first_in_the_order_of_the_checks_is_named(
    code: str, envelope: Envelope, held: Given
) -> None:
    with pytest.raises(Refused) as caught:
        opened(envelope, held=held)
    assert caught.value.code == code


def test_seals_may_be_named_at_later_stations_that_got_nothing_sealed() -> None:
    opened(signed(seals=bytes(32)), complete=False)


def test_every_act_opens_that_refers_to_something() -> None:
    for act in Act:
        opened(signed(act=act, references=() if act is Act.ORIGINAL else (bytes(32),)))
