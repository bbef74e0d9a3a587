"""Members that are slow, silent or behind.

A member is *silent* when something waits for it longer than anybody should be away, *behind* when something
waits that it could have taken, *slow* when it takes long to say what became of what it took.  One for which
nothing waits is none of these, however long it has not come: reads without an answer are not recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from broker.audit.building import AuditIndex

State = Literal["silent", "behind", "slow", "well"]
HOUR_MS = 3_600_000
LOOKED_AT = 1_000
"""So many of a member's last receipts say how long it takes."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is too long, in milliseconds."""

    silent: int = 24 * HOUR_MS
    behind: int = HOUR_MS // 4
    slow: int = HOUR_MS


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member stands.

    `untaken` waits in its inbox, `unanswered` for its receipt, each with the time of the oldest; `takes` is
    the median of the time from decision to receipt over its last receipts.  `head` is how many deliveries
    the hub said last that there were, and `head_at` when.
    """

    member: str
    state: State
    published: int
    delivered: int
    taken: int
    acknowledged: int
    rejected: int
    untaken_since: int | None
    unanswered_since: int | None
    takes: float | None
    last_published_at: int | None
    last_taken_at: int | None
    last_receipt_at: int | None
    head: int | None
    head_at: int | None

    @property
    def untaken(self) -> int:
        """How many deliveries it has not taken."""
        return self.delivered - self.taken


def standings(index: AuditIndex, now: int, patience: Patience | None = None) -> tuple[Standing, ...]:
    """Return how each member stands, those first that somebody should call."""
    limits = patience or Patience()
    order = {"silent": 0, "behind": 1, "slow": 2, "well": 3}
    found = [_standing(index, row, now, limits) for row in index.base.rows("SELECT * FROM member")]
    return tuple(sorted(found, key=lambda each: (order[each.state], each.member)))


def _standing(index: AuditIndex, row: tuple[Any, ...], now: int, limits: Patience) -> Standing:
    member, published, delivered, taken, acknowledged, rejected, *last = row
    base = index.base
    (untaken,) = base.rows(
        "SELECT min(decided_at) FROM delivery WHERE member = ? AND taken_at IS NULL", member
    )[0]
    (unanswered,) = base.rows(
        "SELECT min(decided_at) FROM delivery WHERE member = ? AND acknowledged_at IS NULL"
        " AND rejected_at IS NULL",
        member,
    )[0]
    spans = base.rows(
        "SELECT acknowledged_at - decided_at FROM delivery WHERE member = ? AND acknowledged_at IS NOT NULL"
        " ORDER BY acknowledged_at DESC LIMIT ?",
        member,
        LOOKED_AT,
    )
    takes = median(max(0, span) for (span,) in spans) if spans else None
    times = [at or None for at in last]
    head = base.row("SELECT deliveries, at FROM head WHERE member = ? ORDER BY size DESC LIMIT 1", member)
    return Standing(
        member, _state(untaken, unanswered, takes, now, limits), published, delivered, taken, acknowledged,
        rejected, untaken, unanswered, takes, *times, *(head or (None, None)),
    )  # fmt: skip


def _state(
    untaken: int | None, unanswered: int | None, takes: float | None, now: int, limits: Patience
) -> State:
    if untaken is not None and now - untaken > limits.silent:
        return "silent"
    if untaken is not None and now - untaken > limits.behind:
        return "behind"
    waits = now - unanswered if unanswered is not None else 0
    return "slow" if max(waits, takes or 0) > limits.slow else "well"
