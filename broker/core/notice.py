"""How bytes that arrived become a notice: the normative order of every check on the statement side.

Decides whether an envelope holds a notice that its originator signed, whole where it must be whole.
Leaves to others who sent it and how fast (the gateway), whether its number follows on (the dispatcher),
and who may have it (`agreements`).

`Envelope` is what arrived, `Arrived` has its shape checked, `Notice` is what may be believed.

Source: docs/formats.md, "What the gateway checks, in order".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.core import records
from broker.core.catalogue import Catalogue, NoticeType
from broker.core.directory import Keyring, MemberKey
from broker.core.errors import (
    BadDisclosure,
    BadEnvelope,
    BadHeader,
    Incomplete,
    NotCanonical,
    TooLarge,
    UnknownKey,
)
from broker.core.header import check_clock, check_header, is_ascending
from broker.core.keys import new_salt
from broker.core.limits import MOST_ENVELOPE_BYTES, MOST_HEADER_BYTES, MOST_SIGNATURE_BYTES, MOST_SLOT_BYTES
from broker.core.model import Disclosure, Envelope, Header, Proof, Slot
from broker.core.sealing import check_seals
from broker.core.sign1 import check_form
from broker.core.signing import verify_header
from broker.core.slots import disclose, slot_digest

__all__ = ["Arrived", "Keyring", "Notice", "draft", "open_envelope", "read_envelope", "shaped"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """An envelope of the right shape; nothing that it says has been checked.

    `raw` are the bytes that arrived, to be stored and forwarded as they are.
    """

    raw: bytes
    envelope: Envelope
    header: Header
    statement: bytes
    reference: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice that may be believed: only `open_envelope` makes one.

    `values` has the fields of each slot that is disclosed.
    """

    envelope: Envelope
    header: Header
    statement: bytes
    reference: str
    key: MemberKey
    notice_type: NoticeType
    values: Mapping[Slot, Mapping[str, Any]]


def read_envelope(data: bytes) -> Arrived:
    """Return the envelope that arrived, if it is small enough and has its one encoding.

    Raises:
        TooLarge: A limit is exceeded.
        NotCanonical: Envelope, signature or header is not in its one encoding.
        BadEnvelope: A slot is there twice or out of order.
    """
    if len(data) > MOST_ENVELOPE_BYTES:
        raise TooLarge(f"an envelope of more than {MOST_ENVELOPE_BYTES} bytes")
    return shaped(records.decode(Envelope, data), data)


def shaped(envelope: Envelope, raw: bytes) -> Arrived:
    """Return an envelope that was decoded from `raw`, if its parts are small enough and of the right form.

    Raises:
        TooLarge: A limit is exceeded.
        NotCanonical: Signature or header is not in its one encoding.
        BadEnvelope: A slot is there twice or out of order.
    """
    # 1. Nothing is parsed that is too large.
    if len(envelope.header) > MOST_HEADER_BYTES:
        raise TooLarge(f"more than {MOST_HEADER_BYTES} bytes", field="header")
    if len(envelope.signature) > MOST_SIGNATURE_BYTES:
        raise TooLarge(f"more than {MOST_SIGNATURE_BYTES} bytes", field="signature")
    for disclosure in envelope.disclosures:
        if len(disclosure.value) > MOST_SLOT_BYTES:
            raise TooLarge(f"more than {MOST_SLOT_BYTES} bytes", field=disclosure.slot.label)
    # 2. What is signed, and the signature, have one encoding each.
    check_form(envelope.signature)
    try:
        header = records.decode(Header, envelope.header)
    except NotCanonical as error:
        raise NotCanonical(str(error), field=error.field or "header") from None
    # 3. Every slot is there at most once, in order.
    disclosed = [disclosure.slot for disclosure in envelope.disclosures]
    sealed = [one.slot for one in envelope.sealed]
    if not is_ascending(disclosed):
        raise BadEnvelope("disclosed slots are not in order, or twice there", field="disclosures")
    if not is_ascending(sealed):
        raise BadEnvelope("sealed slots are not in order, or twice there", field="sealed")
    if not set(disclosed).isdisjoint(sealed):
        raise BadEnvelope("a slot is both disclosed and sealed", field="sealed")
    return Arrived(raw, envelope, header, records.statement_id(envelope.header), header.reference)


def open_envelope(
    arrived: Arrived,
    keyring: Keyring,
    catalogue: Catalogue,
    network: str,
    at: int,
    *,
    complete: bool,
    proofs: Sequence[Proof] | None = None,
    recipient: str | None = None,
) -> Notice:
    """Return the notice inside, or refuse it.

    Args:
        arrived: What `read_envelope` let pass.
        keyring: Whose keys count when.
        catalogue: The notice types that are known.
        network: What the deployment is called; nothing signed for another one passes.
        at: When the keys must count, UTC milliseconds: now at the gateway, `decided_at` for a receiver.
        complete: The rules of the gateway: it is live, and every slot is there.  Later stations take away.
        proofs: Of a delivery: that each sealed slot and wrap in it was sealed by the originator.  None for
            an envelope by itself, which has to hold all of them if it holds any.
        recipient: Of a delivery: whose it is.

    Raises:
        UnknownKey: The originator held no key at `at`.
        BadHeader: A rule of the header is broken.
        NotYetValid, Expired: It is not live at `at`.
        UnknownType, UnknownSchema: We cannot read what it is about.
        BadSignature: The signature does not cover these bytes.
        BadSeal: What is sealed is not what the originator sealed.
        BadDisclosure: A slot's content does not hash to the digest that was signed.
        Incomplete: A slot is missing.
        BadSlot: A slot's value is not one of its type.
    """
    envelope, header = arrived.envelope, arrived.header
    # 1. The member that claims to be the originator holds a key that counts; 5 finds which of them signed.
    candidates = keyring.signing_keys(header.originator, at)
    if not candidates:
        raise UnknownKey("the originator has no key that counts", field="originator")
    # 2. The header keeps the rules.
    check_header(header)
    if complete:
        check_clock(header, at)
    # 3. Seals are named only if something is sealed; a receiver may have got none of the sealed slots.
    if complete and header.seals is not None and not envelope.sealed:
        raise BadHeader("seals are named but nothing is sealed", field="seals")
    # 4. The notice is of a type that we can read, under this very schema.
    notice_type = catalogue.find(header.notice_type, header.schema)
    # 5. The signature covers the very bytes that arrived, and so does the countersignature.  We never encode
    #    again in order to verify: two encoders that disagree would be a way in.
    key = verify_header(
        envelope.header,
        header,
        envelope.signature,
        candidates,
        keyring.countersign_keys(header.originator, at),
        pq_required=keyring.pq_required(header.originator, at),
        network=network,
    )
    # 6. What is sealed is what the originator sealed, for whom it was sealed.
    whole = complete or (proofs is None and bool(envelope.sealed or envelope.wraps))
    check_seals(header, envelope, proofs or (), complete=whole, recipient=recipient)
    # 7. What is disclosed hashes to what was signed, each slot under its own name.
    for disclosure in envelope.disclosures:
        if slot_digest(disclosure) != header.slots[disclosure.slot]:
            raise BadDisclosure("content that is not what was signed", field=disclosure.slot.label)
    # 8. At the gateway nothing is missing.
    if complete and len(envelope.disclosures) + len(envelope.sealed) != len(Slot):
        raise Incomplete("a slot is neither disclosed nor sealed", field=_first_missing(envelope).label)
    # 9. Only now are the values read, each in its one encoding under its slot's schema.
    values = {one.slot: notice_type.decode_slot(one.slot, one.value) for one in envelope.disclosures}
    return Notice(envelope, header, arrived.statement, arrived.reference, key, notice_type, values)


def _first_missing(envelope: Envelope) -> Slot:
    there = {one.slot for one in envelope.disclosures} | {one.slot for one in envelope.sealed}
    return next(slot for slot in Slot if slot not in there)


def draft(
    notice_type: NoticeType, values: Mapping[str, Any], salts: Sequence[bytes] | None = None
) -> tuple[tuple[bytes, ...], tuple[Disclosure, ...]]:
    """Return the slots' digests, for a header, and what they stand for, for its envelope.

    Args:
        notice_type: The type and schema.
        values: The fields of the notice.
        salts: One for each slot, never used before; fresh ones if none are given.

    Raises:
        BadSlot: A value does not fit.
    """
    encoded = notice_type.encode_slots(values)
    fresh = salts if salts is not None else [new_salt() for _ in Slot]
    disclosures = tuple(disclose(slot, encoded[slot], salt) for slot, salt in zip(Slot, fresh, strict=True))
    return tuple(map(slot_digest, disclosures)), disclosures
