"""Little that claims to be much: refused by its code, at no more cost than its bytes weigh."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from broker.core import cbor, records
from broker.core.catalogue import NoticeType
from broker.core.codec import check_schema
from broker.core.keys import Algorithm, PrivateKey
from broker.core.limits import (
    MOST_ENVELOPE_BYTES,
    MOST_HEADER_BYTES,
    MOST_SIGNATURE_BYTES,
    MOST_SLOT_BYTES,
    MOST_SLOT_STRING_BYTES,
)
from broker.core.model import Delivery, Disclosure, Envelope, KeyWrap, Proof, SealedSlot, Slot
from broker.core.note import LogSigner
from broker.core.sign1 import BatchProof, assembled, parse_signature
from broker.core.signed_note import MOST_NOTE_BYTES
from broker.core.signing import sign_header
from broker.core.slots import slot_digest
from tests.attacks.envelopes import (
    DISCLOSURES,
    HEADER,
    HONEST,
    VN,
    Row,
    delivered,
    published,
    refusal,
    signed,
)
from tests.vectors.material import NETWORK

MOST_MEMORY_BYTES = 32 * 1024 * 1024

HUGE = b"\xfe" + b"\xff" * 8 + b"\x01"
"""An Avro count of 2^63 - 1."""

MINIMUM = b"\xff" * 9 + b"\x01"
"""An Avro count of -2^63: a block with its size in bytes."""


def sent_with(signature: bytes) -> Callable[[], str | None]:
    return partial(published, replace(HONEST, signature=signature))


def sent(data: bytes) -> Callable[[], str | None]:
    return partial(published, data)


# --- CBOR -----------------------------------------------------------------------------------------------

PARTS = parse_signature(HONEST.signature)


def claiming(size: int, index: int, path: bytes) -> bytes:
    """A signature whose batch proof claims a size, an index and a path that is not there."""
    proof = b"\x83" + cbor.encode(size) + cbor.encode(index) + path
    unprotected = b"\xa1\x19\x01\x8c\xa1\x20\x81" + cbor.bstr(proof)
    return b"\xd2\x84" + cbor.bstr(PARTS.protected) + unprotected + b"\xf6" + cbor.bstr(PARTS.signature)


CBOR = (
    Row("CBOR of 8,000 arrays in each other", "not-canonical", sent_with(b"\x81" * 8_000)),
    Row("CBOR of 8,000 tags on each other", "not-canonical", sent_with(b"\xd2" * 8_000)),
    Row("CBOR of 8,000 maps in each other's keys", "not-canonical", sent_with(b"\xa1" * 8_000)),
    Row("CBOR of arrays of open length", "not-canonical", sent_with(b"\x9f" * 8_000)),
    Row("a CBOR string of 2^64 bytes", "not-canonical", sent_with(b"\x5b" + b"\xff" * 8)),
    Row("a CBOR text of 2^64 bytes", "not-canonical", sent_with(b"\x7b" + b"\xff" * 8)),
    Row("a CBOR array of 2^64 items", "not-canonical", sent_with(b"\x9b" + b"\xff" * 8)),
    Row("a CBOR map of 2^64 pairs", "not-canonical", sent_with(b"\xbb" + b"\xff" * 8)),
    Row("a CBOR array of 2^64 arrays", "not-canonical", sent_with((b"\x9b" + b"\xff" * 8) * 900)),
    Row(
        "a CBOR number of 60,000 bits where a signature should be",
        "bad-signature",
        sent_with(b"\xc2\x59\x1d\x4c" + b"\xff" * 7_500),
    ),
    Row(
        "a batch proof with a path of 2^64", "bad-signature", sent_with(claiming(4, 1, b"\x9b" + b"\xff" * 8))
    ),
    Row("a batch of 2^64 notices", "bad-signature", sent_with(claiming(2**64 - 1, 2**63, b"\x80"))),
    Row(
        "a batch proof with a path of 200",
        "bad-signature",
        sent_with(
            assembled(PARTS.protected, PARTS.signature, None, BatchProof(1_024, 0, (bytes(32),) * 200))
        ),
    ),
)

# --- Avro -----------------------------------------------------------------------------------------------

WHOLE = records.encode(HONEST)
BEFORE_SLOTS = WHOLE[: -len(b"".join(records.encode(one) for one in DISCLOSURES)) - 4]
HEADER_BYTES = records.encode(HEADER)
ADDRESSEES = HEADER_BYTES.index(b"\x04\x04au\x04nl")


def with_header(header: bytes) -> Envelope:
    """An envelope whose header is any bytes; nobody gets as far as its signature."""
    return replace(HONEST, header=header)


def with_lists(count: int) -> Envelope:
    addressees = tuple(f"a{number:04}" for number in range(count))
    return signed(replace(HEADER, addressees=addressees))


def with_value(value: bytes) -> Envelope:
    """An envelope whose originator signs a bomb."""
    false = tuple(replace(one, value=value) if one.slot is Slot.FACTS else one for one in DISCLOSURES)
    return signed(replace(HEADER, slots=tuple(map(slot_digest, false))), disclosures=false)


def many(**parts: Any) -> Envelope:
    return replace(HONEST, **parts)


AVRO = (
    Row("an envelope that claims 2^63 disclosures", "not-canonical", sent(BEFORE_SLOTS + HUGE)),
    Row("an envelope that claims a block of -2^63", "not-canonical", sent(BEFORE_SLOTS + MINIMUM + HUGE)),
    Row("a header that claims 2^63 bytes", "not-canonical", sent(HUGE)),
    Row("a header that claims -2^63 bytes", "not-canonical", sent(MINIMUM)),
    Row("a number that never ends", "not-canonical", sent(b"\xff" * MOST_ENVELOPE_BYTES)),
    Row("nothing but zeros", "not-canonical", sent(bytes(MOST_ENVELOPE_BYTES))),
    Row(
        "a header that claims 2^63 addressees",
        "not-canonical",
        partial(published, with_header(HEADER_BYTES[:ADDRESSEES] + HUGE + HEADER_BYTES[ADDRESSEES + 1 :])),
    ),
    Row(
        "a header that claims 2^63 bytes of text",
        "not-canonical",
        partial(published, with_header(b"\x02" + HUGE + b"vn")),
    ),
    Row("65 addressees, all signed for", "bad-header", lambda: published(with_lists(65))),
    Row("2,000 addressees, all signed for", "bad-header", lambda: published(with_lists(2_000))),
    Row(
        "29,000 disclosures",
        "bad-envelope",
        lambda: published(many(disclosures=(Disclosure(Slot.FACTS, bytes(16), b""),) * 29_000)),
    ),
    Row(
        "35,000 sealed slots",
        "bad-envelope",
        lambda: published(many(sealed=(SealedSlot(Slot.FACTS, bytes(12), b""),) * 35_000)),
    ),
    Row(
        "14,000 wraps",
        "bad-seal",
        lambda: published(many(wraps=(KeyWrap("a", bytes(32), b""),) * 14_000)),
    ),
    Row("a value that claims 2^63 bytes of text", "bad-slot", lambda: published(with_value(HUGE + b"29"))),
    Row(
        "a value with more text than a field may have",
        "bad-slot",
        lambda: published(with_value(b"\x82\x80\x02" + b"2" * (MOST_SLOT_STRING_BYTES + 1) + b"\x02")),
    ),
)

# --- types of notices -------------------------------------------------------------------------------------


def field(kind: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": "Bomb",
        "fields": [{"name": "items", "type": kind, "sensitivity": "facts"}],
    }


def nested(depth: int, inside: Callable[[Any], Any]) -> dict[str, Any]:
    kind: Any = "string"
    for _ in range(depth):
        kind = inside(kind)
    return field(kind)


LIST = NoticeType("bomb", field({"type": "array", "items": "string"}))
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}
NUMBER = NoticeType("bomb", field(DECIMAL))


def read(notice_type: NoticeType, value: bytes) -> Callable[[], str | None]:
    return lambda: refusal(lambda: notice_type.decode_slot(Slot.FACTS, value))


def known(schema: dict[str, Any]) -> Callable[[], str | None]:
    return lambda: refusal(lambda: check_schema(schema))


TYPES = (
    Row("a list that claims 2^63 items", "bad-slot", read(LIST, HUGE)),
    Row("a list of 60,000 empty texts and one more", "bad-slot", read(LIST, b"\x82\xa9\x07" + bytes(60_000))),
    Row("a list of 30,000 blocks", "bad-slot", read(LIST, b"\x02\x00" * 30_000)),
    Row("a decimal of 60,000 bytes", "bad-slot", read(NUMBER, b"\xc0\xa9\x07" + b"\x7f" * 60_000)),
    Row(
        "a schema of items without bytes",
        "bad-configuration",
        known(field({"type": "array", "items": "null"})),
    ),
    Row(
        "a schema of 5,000 lists in each other",
        "bad-configuration",
        known(nested(5_000, lambda kind: {"type": "array", "items": kind})),
    ),
    Row(
        "a schema of 5,000 unions in each other",
        "bad-configuration",
        known(nested(5_000, lambda kind: ["null", kind])),
    ),
    Row(
        "a schema of a fixed of 2^40 bytes",
        "bad-configuration",
        known(field({"type": "fixed", "name": "Huge", "size": 2**40})),
    ),
    Row(
        "a schema that contains itself",
        "bad-configuration",
        known(field({"type": "array", "items": "Bomb"})),
    ),
)

# --- sizes ------------------------------------------------------------------------------------------------


LARGE = tuple(replace(one, value=bytes(60_000)) for one in DISCLOSURES)

SIZES = (
    Row("an envelope of a byte too much", "too-large", sent(bytes(MOST_ENVELOPE_BYTES + 1))),
    Row(
        "a header of a byte too much",
        "too-large",
        partial(published, with_header(bytes(MOST_HEADER_BYTES + 1))),
    ),
    Row("a signature of a byte too much", "too-large", sent_with(bytes(MOST_SIGNATURE_BYTES + 1))),
    Row(
        "a slot of a byte too much",
        "too-large",
        lambda: published(with_value(bytes(MOST_SLOT_BYTES + 1))),
    ),
    Row(
        "a delivery with an envelope that is too large",
        "too-large",
        lambda: delivered(many(disclosures=LARGE * 2)),
    ),
)

# --- what a hub may send --------------------------------------------------------------------------------

ERASED = records.encode(Delivery(b"head", None, ()))
LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))
NOTE = LOG.sign_checkpoint(7, bytes(32))


def sealed_part(proof: Proof) -> str | None:
    """A delivery with a sealed slot, whose header names seals, under a proof."""
    data = records.encode(replace(HEADER, seals=bytes(32)))
    sealed = (SealedSlot(Slot.PERSONS, bytes(12), bytes(272)),)
    envelope = Envelope(data, sign_header(data, NETWORK, VN), DISCLOSURES[:1], sealed, ())
    return delivered(envelope, proofs=(proof,))


HUBS = (
    Row(
        "a delivery that claims 2^63 proofs",
        "not-canonical",
        lambda: refusal(lambda: records.decode(Delivery, ERASED[:-1] + HUGE)),
    ),
    Row(
        "a proof in a tree of 2^63 leaves",
        "bad-seal",
        lambda: sealed_part(Proof(2**63 - 1, 2**63 - 2, (bytes(32),))),
    ),
    Row(
        "a proof with a path of 10,000",
        "bad-seal",
        lambda: sealed_part(Proof(2**63 - 1, 2**62, (bytes(32),) * 10_000)),
    ),
    Row(
        "a checkpoint of 10,000 signatures",
        "bad-proof",
        lambda: refusal(lambda: LOG.key.open_checkpoint(NOTE + "— w AAAAAAAA\n".encode() * 10_000)),
    ),
    Row(
        "a checkpoint of a megabyte",
        "bad-proof",
        lambda: refusal(lambda: LOG.key.open_checkpoint(NOTE + b"x" * 4 * MOST_NOTE_BYTES)),
    ),
)

ROWS = [*CBOR, *AVRO, *TYPES, *SIZES, *HUBS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_it_is_refused_with_its_code_in_bounded_memory(row: Row) -> None:
    tracemalloc.start()
    try:
        code = row.attack()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert code == row.code
    assert peak < MOST_MEMORY_BYTES


def test_the_frames_of_the_bombs_are_sound() -> None:
    """Or they would be refused for another reason."""
    assert published(HONEST) is None
    assert published(with_lists(64)) is None
    assert BEFORE_SLOTS + WHOLE[len(BEFORE_SLOTS) :] == WHOLE
    assert WHOLE[len(BEFORE_SLOTS)] == 2 * len(DISCLOSURES)
    assert LIST.decode_slot(Slot.FACTS, b"\x02\x02a\x00") == {"items": ["a"]}
    assert LOG.key.open_checkpoint(NOTE).size == 7
