"""What was sealed arrives as it was sealed, at whom it was sealed to, or not at all."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.errors import BadSeal
from broker.core.model import (
    Act,
    Disclosure,
    Envelope,
    Handling,
    Header,
    KeyWrap,
    Proof,
    Region,
    SealedSlot,
    Slot,
    Status,
    Tlp,
)
from broker.core.redaction import redact
from broker.core.sealing import check_seals, prove, seals_root

HEADER = Header(
    profile=1,
    originator="vn",
    region=Region.ASIA_PACIFIC,
    stream="main",
    sequence=1,
    previous=None,
    regions_concerned=(),
    countries=(),
    notice_type="sample",
    schema=bytes(32),
    status=Status.TEST,
    act=Act.ORIGINAL,
    references=(),
    tlp=Tlp.AMBER,
    handling=Handling.H1,
    purpose="customs-enforcement",
    subjects=(),
    campaign=None,
    addressees=(),
    issued_at=0,
    effective_until=None,
    retain_until=None,
    feedback_due=None,
    slots=(bytes(32),) * 6,
    seals=None,
)
MEMBERS = ("au", "jp", "nl", "rilo-ap")
DISCLOSED = (Slot.FACTS, Slot.ENTITIES)
SEALED = (Slot.IDENTIFIERS, Slot.PERSONS, Slot.INTELLIGENCE)


def noise(label: str, length: int) -> bytes:
    return (sha256(label.encode()).digest() * (length // 32 + 1))[:length]


def sealed_slot(slot: Slot, padded: int = 256) -> SealedSlot:
    return SealedSlot(slot, noise(f"nonce {slot}", 12), noise(f"text {slot}", padded + 16))


def key_wrap(member: str, keys: int = 2) -> KeyWrap:
    return KeyWrap(member, noise(f"key {member}", 32), noise(f"keys {member}", 1120 + 2 + 33 * keys + 16))


ENVELOPE = Envelope(
    header=b"header",
    signature=b"signature",
    disclosures=tuple(Disclosure(slot, bytes(16), b"") for slot in DISCLOSED),
    sealed=tuple(map(sealed_slot, SEALED)),
    wraps=tuple(map(key_wrap, MEMBERS)),
)


def signed(envelope: Envelope) -> Header:
    """A header that names what is sealed in `envelope`."""
    return replace(HEADER, seals=seals_root(envelope))


def refuse(header: Header, envelope: Envelope, proofs: tuple[Proof, ...] = (), **asked: object) -> None:
    complete, recipient = asked.get("complete", False), asked.get("recipient", "jp")
    with pytest.raises(BadSeal):
        check_seals(header, envelope, proofs, complete=bool(complete), recipient=recipient)  # type: ignore[arg-type]


def test_nothing_sealed_needs_no_seals() -> None:
    bare = replace(ENVELOPE, sealed=(), wraps=())
    assert seals_root(bare) is None
    check_seals(HEADER, bare, (), complete=True, recipient=None)
    check_seals(HEADER, bare, (), complete=False, recipient="jp")


def test_a_complete_envelope_holds_by_its_root() -> None:
    check_seals(signed(ENVELOPE), ENVELOPE, (), complete=True, recipient=None)


subsets = st.frozensets(st.sampled_from(list(Slot)))


@given(slots=subsets, recipient=st.sampled_from((*MEMBERS, "za")))
def test_whatever_is_taken_away_the_rest_holds_by_its_proofs(slots: frozenset[Slot], recipient: str) -> None:
    redacted, proofs = redact(ENVELOPE, slots, recipient)
    check_seals(signed(ENVELOPE), redacted, proofs, complete=False, recipient=recipient)
    assert {one.slot for one in redacted.disclosures} == slots & set(DISCLOSED)
    assert {one.slot for one in redacted.sealed} == slots & set(SEALED)
    mine = {recipient} & set(MEMBERS) if slots & set(SEALED) else set()
    assert {wrap.member for wrap in redacted.wraps} == mine
    assert (redacted.header, redacted.signature) == (ENVELOPE.header, ENVELOPE.signature)


@given(slots=subsets, data=st.data())
def test_a_part_with_anything_changed_does_not_hold(slots: frozenset[Slot], data: st.DataObject) -> None:
    slots |= {Slot.PERSONS}
    redacted, proofs = redact(ENVELOPE, slots, "jp")
    header = signed(ENVELOPE)
    at = data.draw(st.integers(min_value=0, max_value=len(redacted.sealed) - 1))
    one = redacted.sealed[at]
    for other in (
        replace(one, slot=Slot.FACTS),
        replace(one, nonce=noise("another", 12)),
        replace(one, ciphertext=one.ciphertext[::-1]),
        replace(one, ciphertext=one.ciphertext + one.ciphertext[:256]),
    ):
        refuse(
            header,
            replace(redacted, sealed=(*redacted.sealed[:at], other, *redacted.sealed[at + 1 :])),
            proofs,
        )
    (wrap,) = redacted.wraps
    refuse(header, replace(redacted, wraps=(replace(wrap, key=bytes(32)),)), proofs)
    refuse(header, replace(redacted, wraps=(replace(wrap, sealed_keys=wrap.sealed_keys[::-1]),)), proofs)
    refuse(header, replace(redacted, wraps=()), proofs)
    refuse(header, replace(redacted, sealed=redacted.sealed[1:]), proofs)
    refuse(replace(header, seals=header.seals and header.seals[::-1]), redacted, proofs)
    refuse(replace(header, seals=None), redacted, proofs)


def test_proofs_are_those_of_one_tree_in_order_and_one_for_each() -> None:
    header = signed(ENVELOPE)
    redacted, proofs = redact(ENVELOPE, frozenset(SEALED), "jp")
    assert [proof.index for proof in proofs] == [0, 1, 2, 4]
    refuse(header, redacted)
    refuse(header, redacted, proofs[:-1])
    refuse(header, redacted, (*proofs, proofs[-1]))
    refuse(header, redacted, proofs[::-1])
    refuse(header, redacted, (proofs[0], proofs[0], *proofs[2:]))
    refuse(header, redacted, (*proofs[:3], replace(proofs[3], size=8)))
    refuse(header, redacted, (*proofs[:3], replace(proofs[3], path=proofs[3].path[::-1])))
    bare = replace(ENVELOPE, sealed=(), wraps=())
    refuse(header, bare, proofs[:1])
    refuse(HEADER, bare, proofs[:1])


def test_a_member_gets_no_other_members_wrap_although_its_proof_holds() -> None:
    slots = frozenset(SEALED)
    redacted, _ = redact(ENVELOPE, slots, "jp")
    foreign = replace(redacted, wraps=tuple(wrap for wrap in ENVELOPE.wraps if wrap.member == "nl"))
    proofs = prove(ENVELOPE, slots, "nl")
    check_seals(signed(ENVELOPE), foreign, proofs, complete=False, recipient="nl")
    refuse(signed(ENVELOPE), foreign, proofs)


def test_the_gateway_wants_all_that_was_sealed() -> None:
    header = signed(ENVELOPE)
    for less in (
        replace(ENVELOPE, wraps=ENVELOPE.wraps[1:]),
        replace(ENVELOPE, sealed=ENVELOPE.sealed[:-1]),
        replace(ENVELOPE, sealed=(), wraps=()),
    ):
        refuse(header, less, complete=True, recipient=None)
    refuse(header, ENVELOPE, prove(ENVELOPE, frozenset(SEALED), "jp"), complete=True, recipient=None)


def test_wraps_are_sorted_and_one_for_a_member() -> None:
    for wraps in (ENVELOPE.wraps[::-1], (ENVELOPE.wraps[0], *ENVELOPE.wraps)):
        other = replace(ENVELOPE, wraps=wraps)
        refuse(signed(other), other, complete=True, recipient=None)


@pytest.mark.parametrize("padded", [256, 512, 1024, 65_536, 131_072])
def test_a_ciphertext_has_a_length_that_padding_gives(padded: int) -> None:
    good = replace(ENVELOPE, sealed=(sealed_slot(Slot.PERSONS, padded),))
    check_seals(signed(good), good, (), complete=True, recipient=None)
    for wrong in (padded - 1, padded + 1):
        bad = replace(ENVELOPE, sealed=(sealed_slot(Slot.PERSONS, wrong),))
        refuse(signed(bad), bad, complete=True, recipient=None)


@pytest.mark.parametrize("padded", [-16, 0, 128, 262_144])
def test_a_ciphertext_is_not_shorter_or_longer_than_any_slot(padded: int) -> None:
    bad = replace(ENVELOPE, sealed=(sealed_slot(Slot.PERSONS, padded),))
    refuse(signed(bad), bad, complete=True, recipient=None)


@pytest.mark.parametrize(("keys", "holds"), [(0, False), (1, True), (6, True), (7, False)])
def test_a_wrap_has_the_length_of_one_to_six_keys(keys: int, holds: bool) -> None:
    envelope = replace(ENVELOPE, wraps=(key_wrap("jp", keys),))
    if holds:
        check_seals(signed(envelope), envelope, (), complete=True, recipient=None)
    else:
        refuse(signed(envelope), envelope, complete=True, recipient=None)
    longer = replace(envelope.wraps[0], sealed_keys=envelope.wraps[0].sealed_keys + b"\0")
    other = replace(envelope, wraps=(longer,))
    refuse(signed(other), other, complete=True, recipient=None)
