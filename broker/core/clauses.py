"""What an agreement says, as values: parties, dates, grants and what a receiver owes.

These values hold the clauses and check nothing: `agreement_text` makes them from the bytes that the
parties acceded to, `agreements` judges notices by them.  Dates of the text are here UTC
milliseconds at the start of that day; every interval is half open.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from broker.core.model import Ground, Onward, Slot, Status, Tlp

EVERY_PARTY = "*"
"""In `from` or `to`: every party of the agreement."""

PERSONAL_SLOTS = frozenset({Slot.IDENTIFIERS, Slot.PERSONS})
"""Directly or indirectly personal: shared only where the agreement has switched personal data on."""


class Mode(Enum):
    """When a grant gives: by itself, or only what the receiver asked for."""

    AUTOMATIC = "automatic"
    ON_REQUEST = "on-request"


class OnTermination(Enum):
    """What becomes of what was received, once the agreement and its winding down are over."""

    ERASE = "erase"
    KEEP_UNTIL_RETENTION = "keep-until-retention"


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Personal data flows from this time on, on this legal basis."""

    from_at: int
    legal_basis: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What the receiver owes for what a grant gives it; what is not said is denied."""

    retention_days: int | None = None
    feedback_hours: int | None = None
    onward_domestic: Onward = Onward.DENY
    onward_community: Onward = Onward.DENY
    onward_third_country: Onward = Onward.DENY
    evidentiary_use: Onward = Onward.DENY


@dataclass(frozen=True, slots=True)
class Grant:
    """Who gives whom which slots of which notices.

    `giver` and `receiver` are a party or `EVERY_PARTY`.  A list that the text leaves out is None and
    restricts nothing.
    """

    giver: str
    receiver: str
    types: frozenset[str]
    slots: frozenset[Slot]
    countries: frozenset[str] | None = None
    subjects: frozenset[str] | None = None
    statuses: frozenset[Status] = frozenset({Status.ACTUAL})
    purposes: frozenset[str] | None = None
    campaigns: frozenset[str] | None = None
    tlp_max: Tlp = Tlp.AMBER
    mode: Mode = Mode.AUTOMATIC
    seal: frozenset[Slot] = frozenset()
    terms: Terms = Terms()


@dataclass(frozen=True, slots=True)
class Agreement:
    """One version of an agreement; `digest` is the SHA-256 of the bytes that parties accede to.

    `wind_down_days` is what the text says, also where it names no end yet.
    """

    id: str
    version: int
    digest: bytes
    title: str
    parties: frozenset[str]
    in_force_at: int
    terminated_at: int | None
    wound_down_at: int | None
    on_termination: OnTermination
    personal_data: PersonalData | None
    grants: tuple[Grant, ...]
    instrument: str | None = None
    instrument_digest: bytes | None = None
    review_due_at: int | None = None
    wind_down_days: int = 0

    @property
    def name(self) -> str:
        """What a member's file lists and people quote: `jp-vn-2026/3`."""
        return f"{self.id}/{self.version}"

    @property
    def ground(self) -> Ground:
        """The agreement as records name it."""
        return Ground(self.id, self.version, self.digest)
