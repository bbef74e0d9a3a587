"""What does not follow on: equivocations, missing numbers, decisions without deliveries, heads denied.

Decides what is *wrong* and what an auditor merely wants to know: a number that an originator skipped is no
fault.  This is the quick look; that every record has its leaf is proved by `halong audit count`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from broker.audit.building import AuditIndex
from broker.core.errors import Equivocation
from broker.core.model import Delivery, Region
from broker.core.records import LEAF_TYPES

Kind = Literal["equivocation", "lane", "stream", "undelivered", "undecided", "unreadable", "skipped", "head"]
MOST = 100
DELIVERY_LEAF = bytes((LEAF_TYPES[Delivery],))
PATIENCE_MS = 60_000
"""So long a statement may wait for its decision before it is worth a word."""
HEAD_WITHIN_MS = 3 * 3_600_000
"""So long a member may have deliveries of which no head tells; one is written every hour."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that does not follow on; `fault` says whether it must not be."""

    kind: Kind
    where: str
    what: str
    fault: bool = True


def gaps(index: AuditIndex, now: int) -> tuple[Gap, ...]:
    """Return what does not follow on, at most 100 of a kind, faults first."""
    found = [
        *_equivocations(index),
        *_lanes(index),
        *_undelivered(index),
        *_heads(index),
        *_unreadable(index),
        *_undecided(index, now),
        *_streams(index),
    ]
    return tuple(sorted(found, key=lambda each: not each.fault))


def _equivocations(index: AuditIndex) -> list[Gap]:
    rows = index.base.rows(
        "SELECT s.originator, s.region, s.stream, s.sequence, s.id, o.id FROM refusal r"
        " JOIN statement s ON s.id = r.statement LEFT JOIN statement o ON o.originator = s.originator"
        " AND o.region = s.region AND o.stream = s.stream AND o.sequence = s.sequence"
        " AND o.decided_at IS NOT NULL WHERE r.code = ? ORDER BY r.at LIMIT ?",
        Equivocation.code,
        MOST,
    )
    return [
        Gap(
            "equivocation",
            _number(*number),
            f"{id_.hex()[:12]} was signed under the number of {other.hex()[:12] if other else 'another'}",
        )
        for *number, id_, other in rows
    ]


def _lanes(index: AuditIndex) -> list[Gap]:
    found = []
    for member, region, originator, deliveries, last in index.base.rows(
        "SELECT member, region, originator, deliveries, last FROM lane WHERE deliveries <> last LIMIT ?", MOST
    ):
        rows = index.base.rows(
            "SELECT before, sequence FROM (SELECT sequence,"
            " lag(sequence, 1, 0) OVER (ORDER BY sequence) AS before"
            " FROM delivery WHERE member = ? AND region = ? AND originator = ?) WHERE sequence <> before + 1"
            " LIMIT 3",
            member, region, originator,
        )  # fmt: skip
        said = ", ".join(
            f"{number} twice" if before == number else f"after {before} comes {number}"
            for before, number in rows
        )
        found.append(Gap("lane", f"{region}/{originator} to {member}", f"{deliveries} of {last}: {said}"))
    return found


def _undelivered(index: AuditIndex) -> list[Gap]:
    rows = index.base.rows(
        "SELECT s.originator, s.region, s.stream, s.sequence, u.decided,"
        " (SELECT count(*) FROM delivery d WHERE d.statement = u.statement) FROM undelivered u"
        " JOIN statement s ON s.id = u.statement ORDER BY s.decided_at LIMIT ?",
        MOST,
    )
    return [
        Gap("undelivered", _number(*number), f"decided for {decided}, delivered to {delivered}")
        for *number, decided, delivered in rows
    ]


def _heads(index: AuditIndex) -> list[Gap]:
    """Hold the last head of each member against the leaves of its deliveries; by the log's own time."""
    base = index.base
    signed = base.row("SELECT max(signed_at) FROM checkpoint")
    last = {
        member: (size, deliveries, at)
        for member, size, deliveries, at in base.rows(
            "SELECT member, max(size), deliveries, at FROM head GROUP BY member"
        )
    }
    found = []
    for member, delivered in base.rows("SELECT member, delivered FROM member ORDER BY member"):
        size, said, at = last.get(member, (0, 0, None))
        if at is not None and said != (there := delivered - _since(index, member, size)):
            told = f"at {size} leaves the hub said {said} deliveries, and there are {there}"
            found.append(Gap("head", member, told))
        if at is None:
            (at,) = base.rows("SELECT min(decided_at) FROM delivery WHERE member = ?", member)[0]
        if at is not None and signed is not None and (signed[0] or 0) - at > HEAD_WITHIN_MS:
            found.append(Gap("head", member, "the hub has not said for three hours what it delivered"))
    return found[:MOST]


def _since(index: AuditIndex, member: str, size: int) -> int:
    """Return how many deliveries to a member the first `size` leaves do not have."""
    # Behind them; what is left of an erased one has a second leaf, and its first may be before.
    (behind,) = index.base.rows(
        "SELECT count(DISTINCT l.entry) FROM leaf l JOIN delivery d ON d.id = substr(l.entry, 2)"
        " WHERE l.n >= ? AND substr(l.entry, 1, 1) = ? AND d.member = ?"
        " AND NOT EXISTS (SELECT 1 FROM leaf b WHERE b.entry = l.entry AND b.n < ?)",
        size, DELIVERY_LEAF, member, size,
    )[0]  # fmt: skip
    return int(behind) + _without_leaf(index, member)


def _without_leaf(index: AuditIndex, member: str) -> int:
    """Return how many of the last deliveries to a member wait for their leaf."""
    count, before = 0, 1 << 62
    while True:
        rows = index.base.rows(
            "SELECT n, (SELECT 1 FROM leaf WHERE entry = CAST(? || d.id AS BLOB)) FROM delivery d"
            " WHERE member = ? AND n < ? ORDER BY n DESC LIMIT 64",
            DELIVERY_LEAF, member, before,
        )  # fmt: skip
        for _, has_leaf in rows:
            if has_leaf:
                return count
            count += 1
        if not rows:
            return count
        before = rows[-1][0]


def _unreadable(index: AuditIndex) -> list[Gap]:
    rows = index.base.rows(
        "SELECT topic, number, at, code FROM finding ORDER BY topic, number, at LIMIT ?", MOST
    )
    return [
        Gap("unreadable", f"{topic}/{number} at {at}", f"the record is not as it must be ({code})")
        for topic, number, at, code in rows
    ]


def _undecided(index: AuditIndex, now: int) -> list[Gap]:
    rows = index.base.rows(
        "SELECT s.originator, s.region, s.stream, s.sequence FROM statement s WHERE s.decided_at IS NULL"
        " AND s.issued_at < ? AND NOT EXISTS (SELECT 1 FROM refusal r WHERE r.statement = s.id)"
        " ORDER BY s.issued_at LIMIT ?",
        now - PATIENCE_MS,
        MOST,
    )
    return [Gap("undecided", _number(*number), "neither decided nor refused", fault=False) for number in rows]


def _streams(index: AuditIndex) -> list[Gap]:
    rows = index.base.rows(
        "SELECT originator, region, stream, sequence, after, broken FROM skipped"
        " ORDER BY broken DESC, originator, region, stream, sequence LIMIT ?",
        MOST,
    )
    return [
        Gap("stream", _number(*number), f"was decided after number {after}")
        if broken
        else Gap("skipped", _number(*number), f"follows on number {after}", fault=False)
        for *number, after, broken in rows
    ]


def _number(originator: str, region: int, stream: str, sequence: int) -> str:
    return f"{originator}/{Region(region).slug}/{stream}/{sequence}"
