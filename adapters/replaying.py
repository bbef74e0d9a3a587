"""The past as one member's node knows it, decided again: its own notices, and those that it was given.

Decides what of a node's store can be tried.  Of its own notices a node knows all: who would get them is told
for everybody.  Of the others' it knows those that it got, and so what it would no longer get, or get more or
less of; what it would get anew is not here.  How a past decision is made again is decided in
`broker.core.dry_run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from adapters.member_folder import NodeFolder, open_folder
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
        total = sum(_count(node))
        known: dict[bytes, Past] = {}
        for done, (statement, at, header) in enumerate(_all(node)):
            tell(done + 1, total)
            if period.has(at):
                known[statement] = Past(statement, decode(Header, header), at, 0)
        # Whose decision came first is told by their times; of one moment, what is referred to comes first.
        ordered = sorted(known.values(), key=lambda each: (each.decided_at, bool(each.header.references)))
        known = {
            each.statement: Past(each.statement, each.header, each.decided_at, number)
            for number, each in enumerate(ordered)
        }
        replay = Replay(
            old, new, past=known.get, before=lambda each: _before(node, each, period), later_by=later_by
        )
        member = node.config.member
        for past in known.values():
            replay.add(past, None if past.header.originator == member else member)
    return replay.outcome()


def version_at_node(folder: Path, at: int) -> bytes | None:
    """Return the version under which the last decision before `at` was made, of those that are known."""
    last: tuple[int, bytes] | None = None
    with open_folder(folder, to_read=True) as node:
        for decided_at, version in _versions(node):
            if decided_at < at and (last is None or decided_at >= last[0]):
                last = decided_at, version
    return None if last is None else last[1]


def _count(node: NodeFolder) -> tuple[int, int]:
    ((own,),) = node.store.rows("SELECT count(*) FROM statements WHERE decision IS NOT NULL")
    ((received,),) = node.store.rows("SELECT count(*) FROM deliveries")
    return own, received


def _all(node: NodeFolder) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield each statement that is known, when it was decided, and its header; contents are not looked at."""
    for id_, envelope, decision in _rows(
        node, "statements", "id, envelope, decision", "decision IS NOT NULL"
    ):
        yield id_, decode(Decision, decision).decided_at, decode(Envelope, envelope).header
    for _, record in _rows(node, "deliveries", "id, record", "state != 'quarantined'"):
        delivery = decode(Delivery, record)
        head = decode(DeliveryHead, delivery.head)
        # Of what was erased nothing is left that could be decided again.
        if delivery.envelope is not None:
            yield head.statement, head.decided_at, delivery.envelope.header


def _versions(node: NodeFolder) -> Iterator[tuple[int, bytes]]:
    for _, blob in _rows(node, "statements", "id, decision", "decision IS NOT NULL"):
        decision = decode(Decision, blob)
        yield decision.decided_at, decision.directory
    for _, record in _rows(node, "deliveries", "id, record", "state != 'quarantined'"):
        head = decode(DeliveryHead, decode(Delivery, record).head)
        yield head.decided_at, head.directory


def _rows(node: NodeFolder, table: str, columns: str, condition: str) -> Iterator[tuple[bytes, ...]]:
    last = 0
    query = f"SELECT rowid, {columns} FROM {table} WHERE rowid > ? AND {condition}"  # noqa: S608  words of this file
    while found := node.store.rows(f"{query} ORDER BY rowid LIMIT {AT_ONCE}", last):
        for number, *values in found:
            last = number
            yield tuple(values)


def _before(node: NodeFolder, statement: bytes, period: Period) -> Reference | None:
    row = node.store.row("SELECT value FROM refs WHERE statement = ?", statement)
    if row is None:
        return None
    reference = msgspec.json.decode(row[0], type=Reference)
    return reference if reference.decided_at < period.since else None
