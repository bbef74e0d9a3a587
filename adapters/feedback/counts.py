"""What agreements bring: feedback asked, given and still owed, for each agreement and direction.

Live traffic alone: exercises and tests are no results.  A *hit* is an answer that something was found; the
hit rate is the share of hits in the answers, the median that of the days from decision to first answer.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from adapters.store import Store
from broker.core.model import Status

HITS = ("HIT_SEIZED", "HIT_OTHER_OFFENCE")
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Count:
    """One agreement in one direction.

    `sent` tells whether it is about what this member sent.  `notices` counts each receiver of a notice;
    `asked` those of which feedback was asked, `answered` all that were answered, asked or not; `due` what is
    owed and not late, `overdue` what is late.
    """

    agreement: str
    sent: bool
    notices: int
    asked: int
    answered: int
    due: int
    overdue: int
    hits: int
    median_days: float | None

    @property
    def hit_rate(self) -> float | None:
        """The share of hits in the answers; None without any."""
        return self.hits / self.answered if self.answered else None


def count(store: Store, member: str, now: int, *, since: int = 0) -> list[Count]:
    """Return the counts of what was shared since a time, by agreement, what was sent first.

    Something shared under two agreements counts for both.
    """
    live = int(Status.ACTUAL)
    days: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for agreement, sent, took in store.rows(
        "SELECT a.value, s.originator = ?, s.answered_at - s.given_at FROM shared s,"
        " json_each(s.agreements) a WHERE s.given_at >= ? AND s.status = ? AND s.answered_at IS NOT NULL",
        member, since, live,
    ):  # fmt: skip
        days[agreement, bool(sent)].append(max(took, 0) / DAY_MS)
    rows = store.rows(
        "SELECT a.value, s.originator = ?, count(*), count(s.due_at), count(s.answered_at),"
        " sum(s.answered_at IS NULL AND s.due_at > ?), sum(s.answered_at IS NULL AND s.due_at <= ?),"
        " sum(s.outcome IN (?, ?)) FROM shared s, json_each(s.agreements) a"
        " WHERE s.given_at >= ? AND s.status = ? GROUP BY 1, 2 ORDER BY 2 DESC, 1",
        member, now, now, *HITS, since, live,
    )  # fmt: skip
    return [
        Count(
            agreement=agreement,
            sent=bool(sent),
            notices=notices,
            asked=asked,
            answered=answered,
            due=due or 0,
            overdue=overdue or 0,
            hits=hits or 0,
            median_days=median(took) if (took := days[agreement, bool(sent)]) else None,
        )
        for agreement, sent, notices, asked, answered, due, overdue, hits in rows
    ]
