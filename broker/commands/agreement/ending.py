"""When an agreement ends for a member, until when open cases go on, and what must be erased by when.

Decides dates alone, as the clauses have them (docs/agreements.md): leaving without an end in the text ends
everything at once; an end in the text lets open cases go on for the days of winding down.
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.clauses import EVERY_PARTY, Agreement, OnTermination

DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Ending:
    """How an agreement ends for a member.

    Args:
        ends_at: From when on nothing new begins under it.
        open_cases_until: Until when open cases go on; None if they end with it.
        erase_by: When what was received is erased; None if it is kept until its retention ends.
        kept_until: The last day on which the retention of anything received under it can end; None where a
            grant sets no retention.
    """

    ends_at: int
    open_cases_until: int | None
    erase_by: int | None
    kept_until: int | None


def ending_of(agreement: Agreement, member: str, now: int, *, end_at: int | None = None) -> Ending:
    """Return how the agreement ends for the member: at `end_at` by its text, or now because it leaves."""
    if end_at is None:
        over = agreement.terminated_at is not None and agreement.terminated_at <= now
        ends_at = agreement.terminated_at if over and agreement.terminated_at is not None else now
        wound_down = now
        open_cases_until = None
    else:
        ends_at = end_at
        wound_down = end_at + agreement.wind_down_days * DAY
        open_cases_until = wound_down if agreement.wind_down_days else None
    retention = [
        grant.terms.retention_days
        for grant in agreement.grants
        if grant.receiver in (EVERY_PARTY, member) and grant.giver != member
    ]
    days = [each for each in retention if each is not None]
    limited = len(days) == len(retention)
    return Ending(
        ends_at=ends_at,
        open_cases_until=open_cases_until,
        erase_by=wound_down if agreement.on_termination is OnTermination.ERASE else None,
        kept_until=wound_down + max(days, default=0) * DAY if limited else None,
    )
