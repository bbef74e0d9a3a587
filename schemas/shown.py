"""What a page of a notice is made from.

Decides nothing about the notice: whoever fills in `Shown` has checked it, or says that it has not.  A channel
fills it from a delivery, a command from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from broker.core.catalogue import NoticeType
from broker.core.further_terms import FurtherTerms
from broker.core.model import Envelope, Ground, Header, Obligations, Slot


class SlotState(Enum):
    """What a reader has of a slot."""

    SHOWN = "shown"
    NONE = "none"
    """Disclosed, and the originator says that there is nothing."""
    WITHHELD = "withheld"
    SEALED = "sealed"
    """Encrypted, and not to the reader."""


@dataclass(frozen=True, slots=True)
class ProofLine:
    """Where the log has what the reader got: entry `index` of a tree of `size` entries with this root."""

    log: str
    index: int
    size: int
    root: bytes | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a page of a notice is made from.

    Args:
        header: The notice's header.
        statement: The statement's id.
        notice_type: Its type.
        values: The fields of each slot that the reader has; other slots may be missing.
        slots: What the reader has of each slot; see `slot_states`.
        verified: Whether the signature was checked and holds.
        member: The id of the reader, None if it is nobody's copy.
        key: The id of the key that signed.
        names: Names of members by their ids, as far as they are known.
        obligations: What the reader owes for it.
        further: What the agreements ask beside that; None where they are not at hand.
        grounds: The agreements under which the reader has it.
        decided_at: When the hub decided, UTC milliseconds.
        doubtful_since: Since when the key that signed it was stolen, if it was decided since then.
        proof: Where the log has it.
        offset_minutes: The reader's wall clock, minutes east of UTC.
        feedback_command: The command that answers a notice; empty shows no way to give feedback.
    """

    header: Header
    statement: bytes
    notice_type: NoticeType
    values: Mapping[Slot, Mapping[str, Any]]
    slots: Mapping[Slot, SlotState]
    verified: bool
    member: str | None = None
    key: bytes | None = None
    names: Mapping[str, str] | None = None
    obligations: Obligations | None = None
    further: FurtherTerms | None = None
    grounds: tuple[Ground, ...] = ()
    decided_at: int | None = None
    doubtful_since: int | None = None
    proof: ProofLine | None = None
    offset_minutes: int = 0
    feedback_command: str = "halong feedback give"


def slot_states(envelope: Envelope, *, opened: frozenset[Slot] = frozenset()) -> dict[Slot, SlotState]:
    """Return what a reader has of each slot of an envelope; `opened` are sealed slots that it could open."""
    disclosed = {disclosure.slot: bool(disclosure.value) for disclosure in envelope.disclosures}
    sealed = {one.slot for one in envelope.sealed} - opened
    states = {}
    for slot in Slot:
        if slot in opened or disclosed.get(slot):
            states[slot] = SlotState.SHOWN
        elif slot in disclosed:
            states[slot] = SlotState.NONE
        else:
            states[slot] = SlotState.SEALED if slot in sealed else SlotState.WITHHELD
    return states
