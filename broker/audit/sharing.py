"""Who received anything from whom, under which agreement, between two moments; and which notices have words.

A delivery counts at the time at which it was decided.  What was shared under two agreements counts for both.
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.audit.building import AuditIndex
from broker.audit.facts import words_of
from broker.audit.finding import COLUMNS, Told, told
from broker.core.model import Slot

ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery: of what, to whom, which slots, under which agreements, and whether it was taken."""

    statement: Told
    member: str
    slots: tuple[Slot, ...]
    agreements: tuple[str, ...]
    decided_at: int
    taken_at: int | None
    acknowledged_at: int | None


@dataclass(frozen=True, slots=True)
class Share:
    """How much one member received under one agreement, and when the first and the last of it."""

    agreement: str
    member: str
    deliveries: int
    first_at: int
    last_at: int


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who received something: all of it counted, and the first so many deliveries."""

    shares: tuple[Share, ...]
    received: tuple[Received, ...]


def sharing(
    index: AuditIndex,
    originator: str,
    *,
    agreement: str | None = None,
    member: str | None = None,
    since: int = 0,
    until: int = ALL,
    limit: int = 100,
) -> Sharing:
    """Return what was received from `originator` from `since` on and before `until`."""
    base = index.base
    names = [agreement] if agreement is not None else [
        name for (name,) in base.rows(
            "SELECT DISTINCT agreement FROM tally WHERE originator = ? ORDER BY 1", originator
        )
    ]  # fmt: skip
    shares: list[Share] = []
    found: dict[int, int] = {}
    to, whom = ("AND member = ?", (member,)) if member is not None else ("", ())
    which = f"FROM ground WHERE agreement = ? AND originator = ? AND decided_at >= ? AND decided_at < ? {to}"
    for name in names:
        values = (name, originator, since, until, *whom)
        shares += [
            Share(name, *row)
            for row in base.rows(
                f"SELECT member, count(*), min(decided_at), max(decided_at) {which}"
                " GROUP BY member ORDER BY member",
                *values,
            )
        ]
        query = f"SELECT delivery, decided_at {which} ORDER BY decided_at, delivery LIMIT ?"
        found |= dict(base.rows(query, *values, limit))
    first = sorted(found.items(), key=lambda each: (each[1], each[0]))[:limit]
    received = [each for number, _ in first for each in _received(index, number)]
    return Sharing(tuple(shares), tuple(received))


def _received(index: AuditIndex, number: int) -> list[Received]:
    return [
        Received(
            statement=told(row[6:]),
            member=row[0],
            slots=tuple(slot for slot in Slot if row[1] >> slot & 1),
            agreements=tuple(row[2].split()),
            decided_at=row[3],
            taken_at=row[4],
            acknowledged_at=row[5],
        )
        for row in index.base.rows(
            f"SELECT d.member, d.slots, d.grounds, d.decided_at, d.taken_at, d.acknowledged_at, {COLUMNS}"  # noqa: S608
            " FROM delivery d JOIN statement s ON s.id = d.statement WHERE d.n = ?",
            number,
        )
    ]


@dataclass(frozen=True, slots=True)
class Matches:
    """How many notices have the words in their facts, and the newest of them."""

    count: int
    statements: tuple[Told, ...]


def search(index: AuditIndex, text: str, *, limit: int = 100) -> Matches:
    """Return the notices whose facts have every word of `text`, of which the last may be a beginning.

    Raises:
        Refused: There is no word in it.
    """
    words = words_of(text)
    (count,) = index.base.rows("SELECT count(*) FROM facts WHERE facts MATCH ?", words)[0]
    rows = index.base.rows(
        f"SELECT {COLUMNS} FROM"  # noqa: S608 - columns from above
        " (SELECT rowid AS n FROM facts WHERE facts MATCH ? ORDER BY rowid DESC LIMIT ?) f"
        " JOIN statement s ON s.n = f.n ORDER BY s.issued_at DESC, s.id",
        words,
        limit,
    )
    return Matches(count, tuple(map(told, rows)))
