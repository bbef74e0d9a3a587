"""The past as one member's node knows it, decided again: its own notices, and those that it was given.

Decides what of a node's store can be tried.  Of its own notices a node knows all: who would get them is told
for everybody.  Of the others' it knows those that it got, and so what it would no longer get, or get more or
less of; what it would get anew is not here.  How a past decision is made again is decided in
`broker.core.dry_run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from adapters.member_folder import open_folder
from adapters.store import Store
from adapters.stored import stored_reference
from broker.core.agreements import Reference
from broker.core.dry_run import Outcome, Past, Replay
from broker.core.index import Index
from broker.core.model import Decision, Delivery, DeliveryHead, Envelope, Header
from broker.core.records import decode

AT_ONCE = 512


class Period(Protocol):
    """A stretch of time."""

    @property
    def since(self) -> int:
        """Its first millisecond."""
        ...

    def has(self, at: int) -> bool:
        """Is this moment in it?"""
        ...


def replay_node(
    folder: Path,
    old: Index,
    new: Index,
    period: Period,
    *,
    later_by: int = 0,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Outcome:
    """Return what the notices of a period, those that this node knows, would have come to.

    Raises:
        BadConfiguration: There is no node here.
        StoreUnavailable: Its store cannot be read now.
    """
    with open_folder(folder, to_read=True) as node:
        return replay_store(node.store, node.config.member, old, new, period, later_by=later_by, tell=tell)


def replay_store(
    store: Store,
    member: str,
    old: Index,
    new: Index,
    period: Period,
    *,
    later_by: int = 0,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Outcome:
    """Return what the notices in a member's store would have come to.

    Raises:
        StoreUnavailable: It cannot be read now.
    """
    total = sum(_count(store))
    found: list[Past] = []
    for done, (statement, at, header) in enumerate(_all(store)):
        tell(done + 1, total)
        if period.has(at):
            found.append(Past(statement, decode(Header, header), at, 0))
    # Whose decision came first is told by their times; of one moment, what is referred to comes first.
    found.sort(key=lambda each: (each.decided_at, bool(each.header.references)))
    known = {each.statement: replace(each, number=number) for number, each in enumerate(found)}
    replay = Replay(
        old, new, past=known.get, before=lambda each: _before(store, each, period), later_by=later_by
    )
    for past in known.values():
        replay.add(past, None if past.header.originator == member else member)
    return replay.outcome()


def version_at_node(folder: Path, at: int) -> bytes | None:
    """Return the version under which the last decision before `at` was made, of those that are known."""
    last: tuple[int, bytes] | None = None
    with open_folder(folder, to_read=True) as node:
        for decided_at, version in _versions(node.store):
            if decided_at < at and (last is None or decided_at >= last[0]):
                last = decided_at, version
    return None if last is None else last[1]


def _count(store: Store) -> tuple[int, int]:
    ((own,),) = store.rows("SELECT count(*) FROM statements WHERE decision IS NOT NULL")
    ((received,),) = store.rows("SELECT count(*) FROM deliveries")
    return own, received


def _all(store: Store) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield each statement that is known, when it was decided, and its header; contents are not looked at."""
    for id_, envelope, decision in _rows(
        store, "statements", "id, envelope, decision", "decision IS NOT NULL"
    ):
        yield id_, decode(Decision, decision).decided_at, decode(Envelope, envelope).header
    for _, record in _rows(store, "deliveries", "id, record", "state != 'quarantined'"):
        delivery = decode(Delivery, record)
        head = decode(DeliveryHead, delivery.head)
        # Of what was erased nothing is left that could be decided again.
        if delivery.envelope is not None:
            yield head.statement, head.decided_at, delivery.envelope.header


def _versions(store: Store) -> Iterator[tuple[int, bytes]]:
    for _, blob in _rows(store, "statements", "id, decision", "decision IS NOT NULL"):
        decision = decode(Decision, blob)
        yield decision.decided_at, decision.directory
    for _, record in _rows(store, "deliveries", "id, record", "state != 'quarantined'"):
        head = decode(DeliveryHead, decode(Delivery, record).head)
        yield head.decided_at, head.directory


def _rows(store: Store, table: str, columns: str, condition: str) -> Iterator[tuple[bytes, ...]]:
    last = 0
    query = f"SELECT rowid, {columns} FROM {table} WHERE rowid > ? AND {condition}"  # noqa: S608  words of this file
    while found := store.rows(f"{query} ORDER BY rowid LIMIT {AT_ONCE}", last):
        for number, *values in found:
            last = number
            yield tuple(values)


def _before(store: Store, statement: bytes, period: Period) -> Reference | None:
    row = store.row("SELECT value FROM refs WHERE statement = ?", statement)
    if row is None:
        return None
    reference = stored_reference(row[0])
    return reference if reference.decided_at < period.since else None
