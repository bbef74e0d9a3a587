"""Short English phrases for grants and standings in tables on a terminal; `show` has the sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from broker.core.agreements import Clause
from broker.core.clauses import Agreement, Grant, Mode, OnTermination, Terms
from broker.core.model import Onward, Slot, Status, Tlp
from broker.core.reach import time_of

STANDING = {
    None: "in force",
    Clause.IN_FORCE: "not in force yet",
    Clause.OPEN_CASE: "winding down",
    Clause.TERMINATED: "over",
    Clause.ACCESSION: "not acceded to by both",
    Clause.PERSONAL_DATA: "personal data alone, which is not switched on",
}
WEEK = 7 * 86_400_000
NAMED = 6
"""How many members a line names; of more it says how many there are."""


def day(at: int) -> str:
    """Return the UTC day that a time is in."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"


def standing_of(agreement: Agreement, at: int) -> str:
    """Return how the agreement stands by its dates, with the date that comes next."""
    clause = time_of(agreement, at)
    words = STANDING[clause]
    match clause:
        case Clause.IN_FORCE:
            return f"{words}: from {day(agreement.in_force_at)}"
        case Clause.OPEN_CASE if agreement.wound_down_at is not None:
            return f"{words}: open cases until {day(agreement.wound_down_at)}"
        case Clause.TERMINATED if agreement.terminated_at is not None:
            return f"{words} since {day(agreement.terminated_at)}"
        case _:
            end = agreement.terminated_at
            return words if end is None else f"{words} until {day(end)}"


def review_of(agreement: Agreement, at: int) -> str | None:
    """Return whether its review is due, or None if there is none planned or it is over."""
    due = agreement.review_due_at
    if due is None or time_of(agreement, at) in (Clause.OPEN_CASE, Clause.TERMINATED):
        return None
    if at >= due:
        return f"review overdue since {day(due)}"
    return f"review due {day(due)}"


def personal_of(agreement: Agreement, at: int) -> str:
    """Return whether personal data flows."""
    personal_data = agreement.personal_data
    if personal_data is None:
        return "no personal data"
    return (
        "personal data" if at >= personal_data.from_at else f"personal data from {day(personal_data.from_at)}"
    )


def conditions_of(grant: Grant) -> Iterator[str]:
    """Yield what a notice must be, as the grant says; nothing for what is as usual."""
    if grant.mode is Mode.ON_REQUEST:
        yield "on request"
    for key in ("countries", "subjects", "purposes", "campaigns"):
        values = getattr(grant, key)
        if values is not None:
            yield f"{key} {', '.join(sorted(values))}"
    if grant.statuses != {Status.ACTUAL}:
        yield "status " + ", ".join(each.name for each in sorted(grant.statuses))
    if grant.tlp_max is not Tlp.AMBER:
        yield f"up to TLP {grant.tlp_max.name}"
    if grant.seal:
        yield f"sealed {' '.join(slot.label for slot in sorted(grant.seal))}"


def terms_of(terms: Terms) -> Iterator[str]:
    """Yield what the receiver owes."""
    yield "keep without limit" if terms.retention_days is None else f"keep {terms.retention_days} d"
    if terms.feedback_hours is not None:
        yield f"feedback in {terms.feedback_hours} h"
    onward = (
        ("home", terms.onward_domestic),
        ("community", terms.onward_community),
        ("third countries", terms.onward_third_country),
    )
    allowed = [f"{where} {rule_of(rule)}" for where, rule in onward if rule is not Onward.DENY]
    yield f"pass on: {', '.join(allowed)}" if allowed else "not to be passed on"
    if terms.evidentiary_use is not Onward.DENY:
        yield f"in court: {rule_of(terms.evidentiary_use)}"


def rule_of(onward: Onward) -> str:
    """Return a rule as agreement files name it."""
    return onward.name.lower().replace("_", "-")


def slots_of(slots: Iterable[Slot]) -> str:
    """Return slots in their order."""
    return " ".join(slot.label for slot in sorted(slots))


def names_of(members: Iterable[str]) -> str:
    """Return members by name, or how many more there are."""
    listed = sorted(members)
    if len(listed) <= NAMED:
        return " ".join(listed)
    return f"{' '.join(listed[: NAMED - 1])} and {len(listed) - NAMED + 1} more"


def on_termination_of(agreement: Agreement) -> str:
    """Return what becomes of what was received, in the words of the file."""
    return "erase" if agreement.on_termination is OnTermination.ERASE else "keep until retention"


def grant_object(grant: Grant) -> dict[str, object]:
    """Return conditions and terms for programs, under the names that the file has for them."""

    def listed(values: Iterable[str] | None) -> list[str] | None:
        return None if values is None else sorted(values)

    terms = grant.terms
    return {
        "countries": listed(grant.countries),
        "subjects": listed(grant.subjects),
        "statuses": [each.name for each in sorted(grant.statuses)],
        "purposes": listed(grant.purposes),
        "campaigns": listed(grant.campaigns),
        "tlp_max": grant.tlp_max.name,
        "mode": grant.mode.value,
        "seal": [slot.label for slot in sorted(grant.seal)],
        "retention_days": terms.retention_days,
        "feedback_hours": terms.feedback_hours,
        "onward": {
            "domestic": rule_of(terms.onward_domestic),
            "community": rule_of(terms.onward_community),
            "third_country": rule_of(terms.onward_third_country),
        },
        "evidentiary_use": rule_of(terms.evidentiary_use),
    }
