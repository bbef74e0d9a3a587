"""What can be done to an envelope or a delivery, in plain words, and the code that it gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from typing import Any

import pytest

from broker.core import cbor, records
from broker.core.keys import check_registrable
from broker.core.model import (
    Act,
    Envelope,
    Event,
    Handling,
    Header,
    KeyWrap,
    Proof,
    Receipt,
    Region,
    SealedSlot,
    Slot,
    Status,
    Tlp,
)
from broker.core.redaction import redact
from broker.core.sealing import seals_root
from broker.core.sign1 import BatchProof, assembled, parse_signature, signed_bytes
from broker.core.signing import sign_batch, sign_receipt
from broker.core.slots import slot_digest
from tests.attacks.envelopes import (
    COMING,
    DAY,
    DISCLOSURES,
    EXPIRED,
    HEADER,
    HONEST,
    HYBRID,
    ISSUED,
    JP,
    JP_PQ,
    NOW,
    OTHER_DIGESTS,
    OTHER_DISCLOSURES,
    REVOKED,
    STRANGER,
    VN,
    VN_P256,
    VN_PQ,
    Row,
    delivered,
    directory,
    held,
    published,
    refusal,
    signed,
)
from tests.vectors.material import NETWORK


def with_signature(signature: bytes, envelope: Envelope = HONEST) -> Envelope:
    return replace(envelope, signature=signature)


def with_header(**changes: Any) -> Envelope:
    """The honest envelope with another header under the honest signature."""
    return replace(HONEST, header=records.encode(replace(HEADER, **changes)))


def with_disclosure(slot: Slot, **changes: Any) -> Envelope:
    disclosures = (replace(one, **changes) if one.slot is slot else one for one in DISCLOSURES)
    return replace(HONEST, disclosures=tuple(disclosures))


# --- the forger: every field of the header, one after the other ---------------------------------------

FORGED: dict[str, tuple[str, Any]] = {
    "profile": ("bad-header", 2),
    "originator": ("bad-signature", "jp"),
    "region": ("bad-signature", Region.AMERICAS_CARIBBEAN),
    "stream": ("bad-signature", "other"),
    "sequence": ("bad-signature", 2),
    "previous": ("bad-header", bytes(32)),
    "regions_concerned": ("bad-signature", ()),
    "countries": ("bad-signature", ("JP", "VN")),
    "notice_type": ("unknown-type", "another"),
    "schema": ("unknown-schema", bytes(32)),
    "status": ("bad-signature", Status.ACTUAL),
    "act": ("bad-signature", Act.REQUEST),
    "references": ("bad-header", (bytes(32),)),
    "tlp": ("bad-signature", Tlp.CLEAR),
    "handling": ("bad-signature", Handling.H0),
    "purpose": ("bad-signature", "statistics"),
    "subjects": ("bad-signature", ()),
    "campaign": ("bad-signature", None),
    "addressees": ("bad-signature", ()),
    "issued_at": ("bad-signature", ISSUED + 1),
    "effective_until": ("bad-signature", NOW + DAY),
    "retain_until": ("bad-signature", None),
    "feedback_due": ("bad-signature", None),
    "slots": ("bad-signature", OTHER_DIGESTS),
    "seals": ("bad-header", bytes(32)),
}


def forger() -> Iterator[Row]:
    for field, (code, value) in FORGED.items():
        forged = with_header(**{field: value})
        yield Row(f"the forger changes the header's {field}", code, partial(published, forged))


# --- signatures -----------------------------------------------------------------------------------------

PARTS = parse_signature(HONEST.signature)
EXERCISE = signed(network="halong-exercise")
LATER = replace(HEADER, sequence=2, previous=records.statement_id(HONEST.header))
COUNTERSIGNED = signed(second=VN_PQ)
HEADERS = [records.encode(replace(HEADER, sequence=number)) for number in (1, 2, 3, 4)]
BATCH = sign_batch(HEADERS, NETWORK, VN)
OTHER_HEADERS = [records.encode(replace(HEADER, sequence=number)) for number in (5, 6, 7, 8)]
OTHER_BATCH = sign_batch(OTHER_HEADERS, NETWORK, VN)
HYBRID_BATCH = sign_batch(HEADERS, NETWORK, VN, VN_PQ)


def renamed_algorithm(algorithm: int) -> Envelope:
    """Sign bytes in which the key is said to be of another algorithm."""
    honest = PARTS.protected
    protected = b"\xa4\x01" + cbor.encode(algorithm) + honest[3:]
    data = signed_bytes(protected, HONEST.header)
    return with_signature(assembled(protected, VN.sign(data)))


def a_receipts_signature() -> Envelope:
    receipt = Receipt(bytes(16), "vn", (bytes(32),), Event.READ, None, None, NOW)
    return with_signature(sign_receipt(receipt, NETWORK, VN).signature)


def with_countersignature_of(other: Envelope) -> Envelope:
    theirs = parse_signature(other.signature)
    return with_signature(assembled(PARTS.protected, PARTS.signature, theirs.countersignature))


def moved_in_the_batch() -> Envelope:
    parts = parse_signature(BATCH[0])
    assert parts.proof is not None
    moved = BatchProof(parts.proof.size, 1, parts.proof.path)
    return Envelope(HEADERS[0], assembled(parts.protected, parts.signature, None, moved), DISCLOSURES, (), ())


def proven_by_another_batch() -> Envelope:
    """Keep the batch's signature, and put another batch's path beside it."""
    parts, others = parse_signature(BATCH[0]), parse_signature(OTHER_BATCH[0])
    signature = assembled(parts.protected, parts.signature, None, others.proof)
    return Envelope(HEADERS[0], signature, DISCLOSURES, (), ())


def without_second(signature: bytes) -> bytes:
    parts = parse_signature(signature)
    return assembled(parts.protected, parts.signature, None, parts.proof)


def out_of_the_batch() -> Envelope:
    """Present the batch's signature as one over the header alone."""
    parts = parse_signature(BATCH[0])
    return Envelope(HEADERS[0], assembled(parts.protected, parts.signature), DISCLOSURES, (), ())


SIGNATURES = (
    Row(
        "a signature of the same key is put on another header",
        "bad-signature",
        lambda: published(with_signature(HONEST.signature, signed(LATER))),
    ),
    Row(
        "a notice of the exercise is sent to the live network",
        "bad-signature",
        lambda: published(EXERCISE),
    ),
    Row(
        "a receipt's signature poses as a notice's",
        "bad-signature",
        lambda: published(a_receipts_signature()),
    ),
    Row("the signature is left out", "not-canonical", lambda: published(with_signature(b""))),
    Row(
        "the signature is of no bytes",
        "bad-signature",
        lambda: published(with_signature(assembled(PARTS.protected, b""))),
    ),
    Row("the algorithm is named ESP256", "bad-signature", lambda: published(renamed_algorithm(-9))),
    Row("the algorithm is named none", "bad-signature", lambda: published(renamed_algorithm(0))),
    Row("the algorithm is named HMAC", "bad-signature", lambda: published(renamed_algorithm(5))),
    Row(
        "one of its keys signs in another's name",
        "bad-signature",
        lambda: published(
            with_signature(
                assembled(PARTS.protected, VN_P256.sign(signed_bytes(PARTS.protected, HONEST.header)))
            )
        ),
    ),
    Row(
        "the ML-DSA key signs alone, as if it were the first",
        "bad-signature",
        lambda: published(signed(key=VN_PQ)),
    ),
    Row("the countersignature is stripped", "bad-signature", lambda: published(HONEST, HYBRID)),
    Row(
        "the countersignature is another member's",
        "bad-signature",
        lambda: published(signed(second=JP_PQ), HYBRID),
    ),
    Row(
        "the countersignature is of another statement",
        "bad-signature",
        lambda: published(with_countersignature_of(signed(LATER, second=VN_PQ)), HYBRID),
    ),
    Row(
        "a false countersignature where none is required",
        "bad-signature",
        lambda: published(with_countersignature_of(signed(LATER, second=VN_PQ))),
    ),
    Row(
        "a header comes with its neighbour's proof",
        "bad-signature",
        lambda: published(Envelope(HEADERS[0], BATCH[1], DISCLOSURES, (), ())),
    ),
    Row(
        "a header that is in no batch comes with a batch's proof",
        "bad-signature",
        lambda: published(Envelope(OTHER_HEADERS[0], BATCH[0], DISCLOSURES, (), ())),
    ),
    Row(
        "a header comes with the proof of another batch",
        "bad-signature",
        lambda: published(proven_by_another_batch()),
    ),
    Row(
        "a batch's countersignature is stripped",
        "bad-signature",
        lambda: published(Envelope(HEADERS[0], without_second(HYBRID_BATCH[0]), DISCLOSURES, (), ()), HYBRID),
    ),
    Row("a header moves in its batch", "bad-signature", lambda: published(moved_in_the_batch())),
    Row("a batch's signature poses as a single one", "bad-signature", lambda: published(out_of_the_batch())),
)

# --- who signs ------------------------------------------------------------------------------------------

AS_JP = replace(HEADER, originator="jp", addressees=("nl",))

WHO = (
    Row("a member signs in another's name", "bad-signature", lambda: published(signed(key=JP))),
    Row("a member puts its name on another's notice", "bad-signature", lambda: published(signed(AS_JP))),
    Row("a stranger signs in a member's name", "bad-signature", lambda: published(signed(key=STRANGER))),
    Row(
        "a stranger signs in its own name",
        "unknown-key",
        lambda: published(signed(replace(HEADER, originator="zz"), STRANGER)),
    ),
    Row(
        "a stranger's header that breaks a rule too",
        "unknown-key",
        lambda: published(signed(replace(HEADER, originator="zz", profile=2), STRANGER)),
    ),
    Row(
        "a revoked key, the member's only one",
        "unknown-key",
        lambda: published(signed(key=REVOKED), directory(held(REVOKED, revoked_at=NOW))),
    ),
    Row(
        "a revoked key beside a good one",
        "bad-signature",
        lambda: published(signed(key=REVOKED), directory(held(VN), held(REVOKED, revoked_at=NOW))),
    ),
    Row(
        "a notice dated back to before its key was revoked",
        "unknown-key",
        lambda: published(signed(key=REVOKED), directory(held(REVOKED, revoked_at=ISSUED + 1))),
    ),
    Row(
        "an expired key",
        "unknown-key",
        lambda: published(signed(key=EXPIRED), directory(held(EXPIRED, valid_until=NOW))),
    ),
    Row(
        "a key before its time",
        "unknown-key",
        lambda: published(signed(key=COMING), directory(held(COMING, valid_from=NOW + 1))),
    ),
    Row(
        "a revoked countersigning key",
        "bad-signature",
        lambda: published(COUNTERSIGNED, directory(held(VN), held(VN_PQ, revoked_at=NOW))),
    ),
    Row(
        "a key under which anybody can sign is registered",
        "weak-key",
        lambda: refusal(lambda: check_registrable(replace(VN.public, raw=bytes(32)))),
    ),
)


# --- contents -------------------------------------------------------------------------------------------


def renamed() -> Envelope:
    """The persons' content under the name of intelligence."""
    swap = {Slot.PERSONS: Slot.INTELLIGENCE, Slot.INTELLIGENCE: Slot.PERSONS}
    moved = (replace(one, slot=swap.get(one.slot, one.slot)) for one in DISCLOSURES)
    return replace(HONEST, disclosures=tuple(sorted(moved, key=lambda one: one.slot)))


def saying(slot: Slot, value: bytes) -> Envelope:
    """A notice whose originator signs a value of its own making."""
    false = tuple(replace(one, value=value) if one.slot is slot else one for one in DISCLOSURES)
    return signed(replace(HEADER, slots=tuple(map(slot_digest, false))), disclosures=false)


def as_text(text: str) -> bytes:
    data = text.encode()
    return b"\x02" + bytes([2 * len(data)]) + data


CONTENTS = (
    Row(
        "a disclosure of another notice is put in",
        "bad-disclosure",
        lambda: published(
            replace(HONEST, disclosures=(*DISCLOSURES[:3], OTHER_DISCLOSURES[3], *DISCLOSURES[4:]))
        ),
    ),
    Row("two slots swap their contents", "bad-disclosure", lambda: published(renamed())),
    Row(
        "a name is altered",
        "bad-disclosure",
        lambda: published(with_disclosure(Slot.PERSONS, value=as_text("Bob"))),
    ),
    Row(
        "what is there is made to look as if it was never there",
        "bad-disclosure",
        lambda: published(with_disclosure(Slot.PERSONS, value=b"")),
    ),
    Row(
        "a salt is altered", "bad-disclosure", lambda: published(with_disclosure(Slot.FACTS, salt=bytes(16)))
    ),
    Row("a slot is left out", "incomplete", lambda: published(replace(HONEST, disclosures=DISCLOSURES[1:]))),
    Row(
        "a slot comes twice",
        "bad-envelope",
        lambda: published(replace(HONEST, disclosures=(DISCLOSURES[0], *DISCLOSURES))),
    ),
    Row(
        "slots come in another order",
        "bad-envelope",
        lambda: published(replace(HONEST, disclosures=DISCLOSURES[::-1])),
    ),
    Row(
        "a signed text turns its direction",
        "bad-slot",
        lambda: published(saying(Slot.PERSONS, as_text("a\u202eb"))),
    ),
    Row(
        "a signed text steers a terminal",
        "bad-slot",
        lambda: published(saying(Slot.PERSONS, as_text("a\x1b[31mb"))),
    ),
    Row(
        "a signed text in two spellings",
        "bad-slot",
        lambda: published(saying(Slot.PERSONS, as_text("e\u0301"))),
    ),
    Row(
        "a signed text that is no text",
        "bad-slot",
        lambda: published(saying(Slot.PERSONS, b"\x02\x04\xff\xfe")),
    ),
    Row(
        "something is signed into a slot that has no fields",
        "bad-slot",
        lambda: published(saying(Slot.ENTITIES, b"\x00")),
    ),
    Row("a notice of next week", "not-yet-valid", lambda: published(HONEST, now=ISSUED - 7 * DAY)),
    Row(
        "a notice past its end",
        "expired",
        lambda: published(signed(replace(HEADER, effective_until=NOW))),
    ),
    Row(
        "an order to erase",
        "not-supported",
        lambda: published(signed(replace(HEADER, act=Act.ERASURE, references=(bytes(32),)))),
    ),
)

# --- seals and deliveries --------------------------------------------------------------------------------

BARE = tuple(one for one in DISCLOSURES if one.slot is not Slot.PERSONS)
SEALED_SLOT = SealedSlot(Slot.PERSONS, bytes(12), bytes(272))
WRAPS = tuple(KeyWrap(member, bytes(32), bytes(1120 + 35 + 16)) for member in ("jp", "nl"))


def sealed(**changes: Any) -> Envelope:
    """An envelope with a sealed slot; `changes` happen after it was signed."""
    honest = Envelope(b"", b"", BARE, (SEALED_SLOT,), WRAPS)
    by_originator = signed(replace(HEADER, seals=seals_root(honest)), disclosures=BARE)
    return replace(by_originator, **{"sealed": honest.sealed, "wraps": honest.wraps, **changes})


def sealed_for_jp() -> tuple[Envelope, tuple[Proof, ...]]:
    return redact(sealed(), frozenset(Slot), "jp")


def with_the_wrap_of_nl() -> str | None:
    envelope, proofs = sealed_for_jp()
    theirs = redact(sealed(), frozenset(Slot), "nl")
    return delivered(replace(envelope, wraps=theirs[0].wraps), proofs=(proofs[0], theirs[1][1]))


SHOWN = redact(HONEST, frozenset({Slot.FACTS, Slot.PERSONS}), "jp")[0]
LESS = redact(HONEST, frozenset({Slot.FACTS}), "jp")[0]
REVOKED_LATER = directory(held(VN, revoked_at=NOW + 1))
REVOKED_BEFORE = directory(held(VN, revoked_at=NOW))

DELIVERIES = (
    Row(
        "a sealed slot is put in beside the signature",
        "bad-seal",
        lambda: published(replace(HONEST, disclosures=BARE, sealed=(SEALED_SLOT,))),
    ),
    Row("a wrap is taken away", "bad-seal", lambda: published(sealed(wraps=WRAPS[:1]))),
    Row(
        "a member adds a wrap for itself",
        "bad-seal",
        lambda: published(sealed(wraps=(*WRAPS, KeyWrap("zz", bytes(32), WRAPS[0].sealed_keys)))),
    ),
    Row(
        "a sealed slot is disclosed as well",
        "bad-envelope",
        lambda: published(sealed(disclosures=DISCLOSURES)),
    ),
    Row("a sealed slot, which nobody can open yet", "not-supported", lambda: published(sealed())),
    Row("the hub hands over another member's wrap", "bad-seal", with_the_wrap_of_nl),
    Row(
        "the hub leaves the proofs out",
        "bad-seal",
        lambda: delivered(sealed_for_jp()[0]),
    ),
    Row(
        "the hub turns the proofs around",
        "bad-seal",
        lambda: delivered(sealed_for_jp()[0], proofs=sealed_for_jp()[1][::-1]),
    ),
    Row("the hub serves another member's delivery", "bad-delivery", lambda: delivered(SHOWN, to="nl")),
    Row(
        "the hub shows more slots than its head names",
        "bad-delivery",
        lambda: delivered(SHOWN, slots=(Slot.FACTS,)),
    ),
    Row(
        "the hub names more slots than it shows",
        "bad-delivery",
        lambda: delivered(LESS, slots=(Slot.FACTS, Slot.PERSONS)),
    ),
    Row(
        "the hub changes the content behind the log's back",
        "bad-delivery",
        lambda: delivered(LESS, content=records.content_digest(SHOWN)),
    ),
    Row(
        "the hub names another statement",
        "bad-delivery",
        lambda: delivered(SHOWN, statement=records.statement_id(signed(LATER).header)),
    ),
    Row("the hub makes up a notice", "bad-signature", lambda: delivered(signed(key=STRANGER))),
    Row(
        "the hub delivers what was decided after the key was revoked",
        "unknown-key",
        lambda: delivered(SHOWN, REVOKED_BEFORE),
    ),
    Row(
        "the hub swaps a slot for another notice's",
        "bad-disclosure",
        lambda: delivered(replace(SHOWN, disclosures=(DISCLOSURES[0], OTHER_DISCLOSURES[3]))),
    ),
)

ROWS = [*forger(), *SIGNATURES, *WHO, *CONTENTS, *DELIVERIES]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_it_is_refused_with_its_code(row: Row) -> None:
    assert row.attack() == row.code


def test_the_forger_tries_every_field() -> None:
    assert list(FORGED) == [field.name for field in fields(Header)]
    assert all(getattr(HEADER, field) != value for field, (_, value) in FORGED.items())


def test_what_is_honest_passes() -> None:
    """Or nothing above would prove anything."""
    assert published(HONEST) is None
    assert published(COUNTERSIGNED, HYBRID) is None
    assert published(Envelope(HEADERS[0], BATCH[0], DISCLOSURES, (), ())) is None
    assert published(signed(key=VN_P256)) is None
    assert published(signed(replace(HEADER, originator="jp", addressees=()), JP)) is None
    assert delivered(SHOWN) is None
    assert delivered(SHOWN, REVOKED_LATER) is None
    assert delivered(sealed_for_jp()[0], proofs=sealed_for_jp()[1]) is None
    assert delivered(None) is None


# --- every byte -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_no_byte_of_an_envelope_can_be_changed(bit: int) -> None:
    data = records.encode(HONEST)
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
        assert published(flipped) is not None, at


def test_no_byte_of_a_countersigned_envelope_can_be_changed() -> None:
    """Every byte of the frame around the second signature, and some of the signature itself."""
    data = records.encode(COUNTERSIGNED)
    second = parse_signature(COUNTERSIGNED.signature).countersignature
    assert second is not None
    start = data.index(second.signature)
    frame = [*range(start - 100, start), *range(start + len(second.signature), len(data))]
    for at in (*frame, *range(start, start + len(second.signature), 331)):
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert published(flipped, HYBRID) is not None, at


def test_no_byte_can_be_left_out_or_put_in() -> None:
    data = records.encode(HONEST)
    for at in range(len(data)):
        assert published(data[:at]) is not None, at
        assert published(data[:at] + data[at + 1 :]) is not None, at
        assert published(data[:at] + b"\0" + data[at:]) is not None, at
