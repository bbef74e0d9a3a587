"""What a receiver owes by the agreements beside what travels in the delivery: evidence, and the end.

Decides which grants count for it: of the agreements that the delivery names as its grounds, those grants that
lead from the originator to the receiver and are about its type; of several the strictest.  What the hub wrote
is not asked: every party holds the agreements.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from broker.core.clauses import EVERY_PARTY, OnTermination
from broker.core.directory import Directory
from broker.core.model import Ground, Header, Onward


@dataclass(frozen=True, slots=True)
class AtTheEnd:
    """What becomes of what was received under one agreement; `on_at` is None while no end is agreed."""

    agreement: str
    version: int
    rule: OnTermination
    on_at: int | None


@dataclass(frozen=True, slots=True)
class FurtherTerms:
    """May it be used in court, and what becomes of it once each agreement is over and wound down."""

    evidentiary_use: Onward
    ends: tuple[AtTheEnd, ...]


def further_terms(
    header: Header, recipient: str, grounds: Iterable[Ground], directory: Directory
) -> FurtherTerms:
    """Return what the agreements that a delivery names ask of its receiver beside its obligations."""
    digests = {ground.digest for ground in grounds}
    agreements = [each for each in directory.agreements if each.digest in digests]
    directed = [
        grant
        for each in agreements
        for grant in each.grants
        if grant.giver in (EVERY_PARTY, header.originator) and grant.receiver in (EVERY_PARTY, recipient)
    ]
    # What follows an original may be of a type of its own: then all that leads there counts.
    of_type = [grant for grant in directed if header.notice_type in grant.types] or directed
    return FurtherTerms(
        min((grant.terms.evidentiary_use for grant in of_type), default=Onward.DENY),
        tuple(
            AtTheEnd(each.id, each.version, each.on_termination, each.wound_down_at) for each in agreements
        ),
    )
