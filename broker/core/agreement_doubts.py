"""What an agreement says that is allowed, and hardly meant: for the officer, before it is signed.

Decides nothing about what flows: an agreement with doubts is one like any other.  Looks at the clauses
alone; whether codes and types exist is looked up in `schemas.agreements.codes`, where the lists are.
"""

from __future__ import annotations

from collections.abc import Iterator

from broker.core.clauses import EVERY_PARTY, PERSONAL_SLOTS, Agreement, Grant, Mode
from broker.core.strict_toml import Problem

FEEDBACK = "feedback"


def doubts_of(agreement: Agreement) -> tuple[Problem, ...]:
    """Return what is allowed but hardly meant, each with its clause."""
    return (*_of_dates(agreement), *_of_parties(agreement), *_of_grants(agreement))


def warnings_of(agreement: Agreement) -> tuple[str, ...]:
    """Return the same, one sentence each."""
    return tuple(f"{clause}: {wrong}" for clause, wrong in doubts_of(agreement))


def _of_dates(agreement: Agreement) -> Iterator[Problem]:
    start, end = agreement.in_force_at, agreement.terminated_at
    review = agreement.review_due_at
    if review is not None and review <= start:
        yield Problem("review_due", "lies before in_force_from: there is nothing to review yet")
    if review is not None and end is not None and review >= end:
        yield Problem("review_due", "lies after terminated_on: the agreement is over by then")
    personal_data = agreement.personal_data
    if personal_data is None:
        return
    if personal_data.from_at < start:
        yield Problem(
            "personal_data, from", "lies before in_force_from: nothing flows before the agreement is in force"
        )
    if end is not None and personal_data.from_at >= end:
        yield Problem("personal_data, from", "lies after terminated_on: no personal data ever flows")
    if not any(grant.slots & PERSONAL_SLOTS for grant in agreement.grants):
        yield Problem(
            "personal_data, enabled", "is true, but no grant gives identifiers or persons: nothing changes"
        )


def _of_parties(agreement: Agreement) -> Iterator[Problem]:
    for party in sorted(agreement.parties):
        gives = any(grant.giver in (EVERY_PARTY, party) for grant in agreement.grants)
        gets = any(grant.receiver in (EVERY_PARTY, party) for grant in agreement.grants)
        if not gives and not gets:
            yield Problem("parties", f"{party} gives nothing and gets nothing: no grant names it")


def _of_grants(agreement: Agreement) -> Iterator[Problem]:
    seen: dict[Grant, int] = {}
    for number, grant in enumerate(agreement.grants, 1):
        place = f"grant {number}"
        if grant in seen:
            yield Problem(place, f"says the same as grant {seen[grant]}")
        seen.setdefault(grant, number)
        personal = ", ".join(slot.label for slot in sorted(grant.slots & PERSONAL_SLOTS))
        if personal and agreement.personal_data is None:
            rest = "the rest is given" if grant.slots - PERSONAL_SLOTS else "nothing is left that it gives"
            yield Problem(
                f"{place}, slots",
                f"names {personal}, but personal data is not enabled: they will be withheld, {rest}",
            )
        if grant.terms.feedback_hours is not None and not _all_ways_back(agreement, grant, FEEDBACK):
            yield Problem(
                f"{place}, feedback_hours", "asks for feedback, but no grant of feedback leads back"
            )
        if grant.mode is Mode.ON_REQUEST and not _all_ways_back(agreement, grant, None):
            yield Problem(f"{place}, mode", "gives on request, but no automatic grant carries a request back")
        if grant.terms.retention_days is None:
            yield Problem(
                f"{place}, retention_days",
                "is left out: what this grant gives is kept without limit, unless the notice sets one",
            )


def _all_ways_back(agreement: Agreement, grant: Grant, notice_type: str | None) -> bool:
    return all(
        any(
            back.mode is Mode.AUTOMATIC
            and (notice_type is None or notice_type in back.types)
            and back.giver in (EVERY_PARTY, receiver)
            and back.receiver in (EVERY_PARTY, giver)
            for back in agreement.grants
        )
        for giver in sorted(agreement.parties)
        for receiver in sorted(agreement.parties - {giver})
        if grant.giver in (EVERY_PARTY, giver) and grant.receiver in (EVERY_PARTY, receiver)
    )
