"""What agreements bring, by agreement and direction: sent, taken, acknowledged, answered, and with what.

Live traffic alone: exercises are no results.  Counted are the deliveries that were decided on the days asked
for, in UTC.  A *hit* is an answer that something was found; what its originator recalled is not overdue.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from broker.audit.building import AuditIndex
from broker.audit.sharing import ALL
from broker.audit.taking import DAY_MS, HOUR_MS

HITS = frozenset({"HIT_SEIZED", "HIT_OTHER_OFFENCE"})


@dataclass(frozen=True, slots=True)
class Effect:
    """One agreement in one direction: from an originator to a member."""

    agreement: str
    originator: str
    member: str
    sent: int
    taken: int
    acknowledged: int
    rejected: int
    asked: int
    answered: int
    hits: int
    overdue: int
    median_hours: float | None

    @property
    def hit_rate(self) -> float | None:
        """The share of hits in the answers; None without any."""
        return self.hits / self.answered if self.answered else None


@dataclass(slots=True)
class _Answers:
    hours: list[float] = field(default_factory=list)
    hits: int = 0


def effects(
    index: AuditIndex, now: int, *, agreement: str | None = None, since: int = 0, until: int = ALL
) -> tuple[Effect, ...]:
    """Return what each agreement brought in each direction, from the day of `since` to that of `until`."""
    first, behind = since // DAY_MS, -(-until // DAY_MS)
    answers = _answers(index, first * DAY_MS, min(behind * DAY_MS, ALL))
    overdue = _overdue(index, now, first, behind)
    rows = index.base.rows(
        "SELECT agreement, originator, member, sum(sent), sum(taken), sum(acknowledged), sum(rejected),"
        " sum(asked) FROM tally WHERE day >= ? AND day < ? AND (? IS NULL OR agreement = ?)"
        " GROUP BY 1, 2, 3 HAVING sum(sent) > 0 ORDER BY 1, 2, 3",
        first, behind, agreement, agreement,
    )  # fmt: skip
    found = []
    for *key, sent, taken, acknowledged, rejected, asked in rows:
        way = (key[0], key[1], key[2])
        came = answers.get(way, _Answers())
        found.append(
            Effect(
                *way,
                sent,
                taken,
                acknowledged,
                rejected,
                asked,
                len(came.hours),
                came.hits,
                overdue.get(way, 0),
                median(came.hours) if came.hours else None,
            )
        )
    return tuple(found)


def _answers(index: AuditIndex, since: int, until: int) -> dict[tuple[str, str, str], _Answers]:
    found: dict[tuple[str, str, str], _Answers] = defaultdict(_Answers)
    # Each delivery once: by its first answer's time, and what the last one says.
    for grounds, originator, member, decided_at, first_at, outcome in index.base.rows(
        "SELECT d.grounds, d.originator, d.member, d.decided_at, d.answered_at,"
        " (SELECT s.outcome FROM answer l JOIN statement s ON s.id = l.statement WHERE l.about = d.statement"
        " AND l.by = d.member ORDER BY l.decided_at DESC, l.statement DESC LIMIT 1)"
        " FROM delivery d WHERE d.n IN (SELECT e.n FROM answer a JOIN delivery e"
        " ON e.statement = a.about AND e.member = a.by WHERE a.decided_at >= ?)"
        " AND d.live AND d.decided_at >= ? AND d.decided_at < ?",
        since, since, until,
    ):  # fmt: skip
        for ground in grounds.split():
            came = found[ground.rpartition("/")[0], originator, member]
            came.hours.append(max(0, first_at - decided_at) / HOUR_MS)
            came.hits += outcome in HITS
    return found


def _overdue(index: AuditIndex, now: int, first: int, behind: int) -> dict[tuple[str, str, str], int]:
    found: dict[tuple[str, str, str], int] = defaultdict(int)
    hour = now // HOUR_MS
    # Whole hours are counted already; of the one that runs, one by one.
    rows = index.base.rows(
        "SELECT grounds, originator, member, sum(count) FROM owed WHERE day >= ? AND day < ? AND hour < ?"
        " GROUP BY 1, 2, 3",
        first, behind, hour,
    ) + index.base.rows(
        "SELECT grounds, originator, member, count(*) FROM delivery WHERE feedback_due >= ?"
        " AND feedback_due <= ? AND feedback_due IS NOT NULL AND live AND answered_at IS NULL"
        " AND decided_at >= ? AND decided_at < ? GROUP BY 1, 2, 3",
        hour * HOUR_MS, now, first * DAY_MS, min(behind * DAY_MS, ALL),
    )  # fmt: skip
    for grounds, originator, member, count in rows:
        for ground in grounds.split():
            found[ground.rpartition("/")[0], originator, member] += count
    return found
