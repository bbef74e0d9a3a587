"""Who read what, and what was refused and why."""

from __future__ import annotations

from dataclasses import dataclass

from broker.audit.building import AuditIndex
from broker.audit.finding import find
from broker.audit.sharing import ALL
from broker.core.error_codes import error_of
from broker.core.model import Readable, Region, Station


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer that told of contents or headers: to whom, of how many statements or deliveries, and why."""

    at: int
    reader: str
    what: Readable
    count: int
    reason: str | None


def readings(
    index: AuditIndex,
    name: str | None = None,
    *,
    reader: str | None = None,
    since: int = 0,
    until: int = ALL,
    limit: int = 100,
) -> tuple[Reading, ...]:
    """Return the newest reads, of everything or of the one statement that `name` means and its deliveries.

    Raises:
        NotFound: There is no such statement, or more than one.
    """
    terms, values = "r.at >= ? AND r.at < ?", [since, until]
    asked: list[object] = list(values)
    if reader is not None:
        terms, asked = f"{terms} AND r.reader = ?", [*asked, reader]
    if name is not None:
        id_ = find(index.base, name).statement
        terms += (
            " AND r.n IN (SELECT reading FROM told WHERE id = ? UNION SELECT t.reading FROM delivery d"
            " JOIN told t ON t.id = d.id WHERE d.statement = ?)"
        )
        asked += [id_, id_]
    rows = index.base.rows(
        f"SELECT r.at, r.reader, r.what, r.count, r.reason FROM reading r WHERE {terms}"  # noqa: S608 - as above
        " ORDER BY r.at DESC, r.id LIMIT ?",
        *asked,
        limit,
    )
    return tuple(Reading(at, by, Readable(what), count, reason) for at, by, what, count, reason in rows)


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that was refused: by which station to whom, its code, and the statement if it is known."""

    at: int
    peer: str
    station: Station
    code: str
    count: int
    reference: str | None
    statement: bytes | None

    @property
    def why(self) -> str:
        """What the code means, in a sentence."""
        return why(self.code)


@dataclass(frozen=True, slots=True)
class Refusals:
    """All that was refused, counted by code, and the newest of it."""

    codes: tuple[tuple[str, int], ...]
    refused: tuple[Refused, ...]


def why(code: str) -> str:
    """Return what a code means, in a sentence."""
    error = error_of(code)
    return (error.__doc__ or "").partition("\n")[0].rstrip(".") if error is not None else "not known here"


def refusals(
    index: AuditIndex,
    *,
    peer: str | None = None,
    code: str | None = None,
    since: int = 0,
    until: int = ALL,
    limit: int = 100,
) -> Refusals:
    """Return what was refused from `since` on and before `until`."""
    terms, values = "r.at >= ? AND r.at < ?", [since, until]
    asked: list[object] = list(values)
    for name, value in (("peer", peer), ("code", code)):
        if value is not None:
            terms, asked = f"{terms} AND r.{name} = ?", [*asked, value]
    codes = index.base.rows(
        f"SELECT r.code, sum(r.count) FROM refusal r WHERE {terms} GROUP BY r.code ORDER BY 2 DESC, 1",  # noqa: S608
        *asked,
    )
    rows = index.base.rows(
        "SELECT r.at, r.peer, r.station, r.code, r.count, r.statement, s.originator, s.region, s.stream,"  # noqa: S608
        f" s.sequence FROM refusal r LEFT JOIN statement s ON s.id = r.statement WHERE {terms}"
        " ORDER BY r.at DESC, r.id LIMIT ?",
        *asked,
        limit,
    )
    found = [
        Refused(at, by, Station(station), said, count, _reference(*number), id_)
        for at, by, station, said, count, id_, *number in rows
    ]
    return Refusals(tuple(codes), tuple(found))


def _reference(originator: str | None, region: int, stream: str, sequence: int) -> str | None:
    return None if originator is None else f"halong:{originator}/{Region(region).slug}/{stream}/{sequence}"
