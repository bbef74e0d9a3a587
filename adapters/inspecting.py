"""A notice in a file, looked at without a hub, a directory or a clock.

Decides what a file holds (an envelope or a delivery, raw or as a topic's value) and how much of it holds
under the keys that a person passes.  Every rule is that of `broker.core`; a person's keys count for
whichever originator the header names, and at any time, for a file may be read long after it was signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.core import records
from broker.core.catalogue import Catalogue, NoticeType
from broker.core.delivery import open_delivery
from broker.core.directory import MemberKey, Use
from broker.core.errors import BadDisclosure, NotCanonical, Refused, TooLarge, UnknownSchema, UnknownType
from broker.core.header import check_header
from broker.core.keys import PublicKey
from broker.core.limits import MOST_ENVELOPE_BYTES
from broker.core.model import Delivery, DeliveryHead, Envelope, Slot
from broker.core.notice import Arrived, Notice, open_envelope, read_envelope
from broker.core.sign1 import parse_signature
from broker.core.slots import slot_digest

MOST_FILE_BYTES = 2 * MOST_ENVELOPE_BYTES
"""An envelope with a delivery's head and proofs around it."""

Values = Mapping[Slot, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that a person passes: a keyring for whoever signed, at any time.

    A key for the countersignature means that there must be one.
    """

    network: str
    signing: MemberKey
    countersigning: MemberKey | None = None

    @classmethod
    def passed(cls, network: str, public: PublicKey, pq_public: PublicKey | None) -> Keys:
        """Return the keyring of a public key, and of an ML-DSA-65 key if one was passed."""
        return cls(network, _held(public), None if pq_public is None else _held(pq_public))

    def signing_keys(self, _member: str, _at: int) -> Sequence[MemberKey]:
        """Return the one key."""
        return (self.signing,)

    def countersign_keys(self, _member: str, _at: int) -> Sequence[MemberKey]:
        """Return the ML-DSA-65 key, if there is one."""
        return () if self.countersigning is None else (self.countersigning,)

    def pq_required(self, _member: str, _at: int) -> bool:
        """Say whether a key was passed for it."""
        return self.countersigning is not None


def _held(public: PublicKey) -> MemberKey:
    return MemberKey(id=public.id, use=Use.SIGN, public=public, valid_from=0)


@dataclass(frozen=True, slots=True)
class Found:
    """What a file holds: its form is right, nothing else is known.

    `delivery` and `head` are there if it is a delivery; `arrived` is None if that one's content is erased.
    """

    arrived: Arrived | None
    delivery: Delivery | None = None
    head: DeliveryHead | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What came of it.

    `notice_type` and `values` are there as far as they could be read; `notice` only if the signature was
    checked and everything holds.  `refused` says what does not.
    """

    found: Found
    notice: Notice | None = None
    notice_type: NoticeType | None = None
    values: Values | None = None
    refused: Refused | None = None


def read_file(data: bytes) -> Found:
    """Return what the bytes of a file hold.

    Raises:
        TooLarge: It is more than any envelope or delivery.
        NotCanonical: It is neither, or not in its one encoding.
        BadEnvelope: A slot is there twice or out of order.
    """
    if len(data) > MOST_FILE_BYTES:
        raise TooLarge(f"a file of more than {MOST_FILE_BYTES} bytes")
    cls = records.class_of(data)
    if cls is Envelope:
        return Found(read_envelope(records.unframed(Envelope, data)))
    if cls is Delivery:
        return _read_delivery(records.unframe(Delivery, data))
    try:
        return Found(read_envelope(data))
    except NotCanonical:
        # A delivery begins with its head's length, an envelope with its header's: only reading tells.
        try:
            delivery = records.decode(Delivery, data)
        except NotCanonical:
            delivery = None
        if delivery is None:
            raise
    return _read_delivery(delivery)


def _read_delivery(delivery: Delivery) -> Found:
    head = records.decode(DeliveryHead, delivery.head)
    arrived = None if delivery.envelope is None else read_envelope(records.encode(delivery.envelope))
    return Found(arrived, delivery, head)


def inspect_found(found: Found, keys: Keys | None, catalogue: Catalogue, *, gateway: bool) -> Inspection:
    """Return how much of what was found holds.

    Args:
        found: What the file holds.
        keys: What to check by; without all that it takes, only what the file says of itself is looked at.
        catalogue: The notice types.
        gateway: Nothing may be missing, as when it is published.
    """
    try:
        if keys is None or needs_second_key(found, keys):
            return _look(found, catalogue)
        notice = _open(found, keys, catalogue, gateway=gateway)
    except Refused as refused:
        return Inspection(found, refused=refused)
    if notice is None:
        return Inspection(found)
    return Inspection(found, notice, notice.notice_type, notice.values)


def needs_second_key(found: Found, keys: Keys) -> bool:
    """Say whether it is countersigned and no key was passed for that: then only half could be checked.

    Raises:
        BadSignature: The signature is of no form that exists.
    """
    if found.arrived is None or keys.countersigning is not None:
        return False
    return parse_signature(found.arrived.envelope.signature).countersignature is not None


def _open(found: Found, keys: Keys, catalogue: Catalogue, *, gateway: bool) -> Notice | None:
    if found.delivery is not None and found.head is not None:
        return open_delivery(found.delivery, found.head.member, keys, catalogue, keys.network).notice
    assert found.arrived is not None
    # Not judged by today's clock: what was live when it was issued may be inspected for ever.
    at = found.arrived.header.issued_at
    return open_envelope(found.arrived, keys, catalogue, keys.network, at, complete=gateway)


def _look(found: Found, catalogue: Catalogue) -> Inspection:
    """Look at the notice without a key: what fails here fails with any; the rest is not believed."""
    if found.arrived is None:
        return Inspection(found)
    envelope, header = found.arrived.envelope, found.arrived.header
    check_header(header)
    for disclosure in envelope.disclosures:
        if slot_digest(disclosure) != header.slots[disclosure.slot]:
            raise BadDisclosure("content that is not what the header names", field=disclosure.slot.label)
    try:
        notice_type = catalogue.find(header.notice_type, header.schema)
    except (UnknownType, UnknownSchema):
        # A lack of ours; with a key it is in the way of saying that all holds, here of nothing.
        return Inspection(found)
    values = {one.slot: notice_type.decode_slot(one.slot, one.value) for one in envelope.disclosures}
    return Inspection(found, None, notice_type, values)
