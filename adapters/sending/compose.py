"""From a draft to what is signed: its slots, its header, and who would get it.

Decides whether a draft may be signed now, under the agreements of now.  Everything that the gateway would
refuse for good is refused here first, so that no number is spent on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from adapters.sending.draft import Draft
from adapters.sending.salts import Salt
from broker.core.agreements import Context, Reference, Share
from broker.core.catalogue import Catalogue
from broker.core.errors import AddresseeUnreached, SealingRequired
from broker.core.header import check_clock, check_header, check_supported
from broker.core.index import Index
from broker.core.keys import new_salt
from broker.core.model import Disclosure, Header, Slot
from broker.core.slots import disclose, slot_digest

NUMBERED_LATER = "main"


@dataclass(frozen=True, slots=True)
class Composed:
    """A draft that may be signed once it has a number; `shares` is who would get it now."""

    header: Header
    disclosures: tuple[Disclosure, ...]
    shares: Mapping[str, Share]

    def numbered(self, stream: str, sequence: int, previous: bytes | None) -> Header:
        """Return the header under a number."""
        return replace(self.header, stream=stream, sequence=sequence, previous=previous)


def fresh(_slot: Slot, _value: bytes) -> bytes:
    """Return a salt that nobody can tell again."""
    return new_salt()


def compose(
    draft: Draft,
    member: str,
    catalogue: Catalogue,
    index: Index,
    references: Callable[[Header, int], Mapping[bytes, Reference]],
    *,
    issued_at: int,
    now: int,
    salt: Salt = fresh,
) -> Composed:
    """Return the draft as `member` would sign it now.

    Args:
        draft: What the author means.
        member: Who signs.
        catalogue: The notice types.
        index: The directory of now.
        references: What the node knows of the statements that a header refers to, as of a time.
        issued_at: When the author queued it.
        now: The time.
        salt: Returns the salt of a slot with its value; a fresh one every time if it is not given.

    Raises:
        UnknownType: The catalogue has the type no more.
        BadSlot: The content does not fit its type.
        BadHeader: A rule of the header is broken.
        NotSupported: The act cannot be carried yet.
        Expired: It is past its `effective_until`.
        NotYetValid: It was queued in the future: a clock is wrong.
        SealingRequired: A slot with content would have to be sealed, which this version cannot do.
        AddresseeUnreached: No agreement carries it to an addressee, and the draft is not `partial`.
    """
    # 1. The content is what its type says.
    notice_type = catalogue.current(draft.notice_type)
    values = notice_type.encode_slots(draft.values(notice_type))
    disclosures = tuple(disclose(slot, values[slot], salt(slot, values[slot])) for slot in Slot)
    # 2. The header keeps the rules.
    header = draft.header(
        originator=member,
        schema=notice_type.digest,
        slots=tuple(slot_digest(disclosure) for disclosure in disclosures),
        stream=NUMBERED_LATER,
        sequence=1,
        previous=None,
        issued_at=issued_at,
    )
    check_header(header)
    check_supported(header)
    check_clock(header, now)
    # 3. Nothing that must be sealed goes out in the open.  An empty slot has nothing to show.
    context = Context(at=now, references=references(header, now))
    by_type = {slot for slot in Slot if slot.label in notice_type.schema.get("sealed", ())}
    for slot in sorted(by_type | index.sealed_slots(header, context)):
        if values[slot]:
            raise SealingRequired(
                "the type or an agreement demands that this slot is sealed", field=slot.label
            )
    # 4. It reaches whom it is addressed to.
    shares = index.shares(header, context)
    if not draft.partial and not shares.keys() >= set(header.addressees):
        raise AddresseeUnreached("no agreement carries it to every addressee", field="addressees")
    return Composed(header, disclosures, shares)
