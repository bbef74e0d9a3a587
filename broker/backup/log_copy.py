"""A hub's log, out of one engine and into any: at a moment that never splits what belongs together.

The hub goes on while it is copied, so the copy ends in each topic at another moment.  **The order in which
the ends are asked for makes the copy whole**: first where the dispatcher was, then checkpoints, leaves, what
others wrote, decisions, and last what decisions name.  Whatever is below an earlier end finds all that it
refers to below a later one.  What the later ones have in excess (deliveries and state of decisions that came
after) is left out, and is made again from its notice.

**Offsets move.**  The records of a partition come back one after the other, without the gaps that a cluster's
markers left; leaves, whose positions are hints and under no signature, are written with the offsets of now.
Places that nodes hold point into `inbox.*`, and nobody can change those: there the first record comes back so
late that none stands before where it stood.  A node that goes on from its place then misses nothing, and
passes over the few that it meets again.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from broker.backup.archive import LogCopy, PartitionCopy
from broker.core.errors import BadConfiguration, NotCanonical
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import Checkpoint, Decision, Delivery, DeliveryHead, Leaf, TopicPosition
from broker.core.records import decode, frame, unframe
from broker.log import Log, Partition, Record, Stored
from broker.log.topics import (
    AUDIT_CHECKPOINTS,
    AUDIT_COSIGNATURES,
    AUDIT_LEAVES,
    DECISIONS,
    DIRECTORY,
    DISPATCH_STATE,
    ERASED,
    ERASURES,
    HEADS,
    READS,
    RECEIPTS,
    REFUSALS,
    hub_topics,
)
from broker.progress import Tell
from broker.services.dispatch_state import LaneKey, state_of, statement_of
from broker.services.erased import read_remains
from broker.services.following import Tail, read_places

INBOX: Final = "inbox."
NOTICES: Final = "notices."
READ_AT_ONCE: Final = 4096
CHUNK_BYTES: Final = 4 << 20
PREFIX: Final = "log/"

DISPATCHER: Final = "dispatcher"
SEQUENCER: Final = "sequencer"

_HEAD: Final = struct.Struct(">QII")
MOST_OFFSET: Final = 1 << 62

Add = Callable[[str, bytes], None]
"""Called with the name of a part and its bytes."""


# --- out ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Seen:
    """What the copy holds so far, as far as what follows depends on it."""

    statements: set[bytes] = field(default_factory=set)
    deliveries: set[bytes] = field(default_factory=set)
    lanes: dict[LaneKey, int] = field(default_factory=dict)
    last: Checkpoint | None = None


class RemainsByPlace:
    """What is left of erased records, by where they stood: there it goes into the copy, so each leaf has one.

    Args:
        log: Whose records.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._tail = Tail(log, Partition(ERASED))
        self._places: dict[Partition, dict[int, int]] = {}

    async def fill(self, partition: Partition, start: int, found: Sequence[Stored], end: int) -> list[Stored]:
        """Return the records, with what is left of those that stood between them: `start` to before `end`."""
        there = {each.offset for each in found}
        if len(there) == end - start:
            return list(found)
        # Who erases takes a record away in the step that says what is left: whoever sees the gap finds it.
        ended = (await self._log.ends([ERASED])).get(self._tail.partition, 0)
        async for some in self._tail.more(ended):
            for stored in some:
                remains = read_remains(stored.value)
                self._places.setdefault(remains.place, {}).setdefault(remains.offset, stored.offset)
        known = self._places.get(partition, {})
        gone = {
            offset: known[offset] for offset in range(start, end) if offset not in there and offset in known
        }
        values = await read_places(self._log, [(self._tail.partition, place) for place in gone.values()])
        filled = list(found)
        for offset, place in gone.items():
            remains = read_remains(values[self._tail.partition, place])
            filled.append(Stored(partition, offset, remains.name, remains.value))
        return sorted(filled, key=lambda each: each.offset)


async def copy_out(log: Log, engine: str, add: Add, tell: Tell) -> LogCopy:
    """Hand every record of the log to `add`, in parts, and return what was copied.

    Raises:
        LogUnavailable: The log did not answer.
        NotCanonical: A record cannot be read.
    """
    dispatched = await log.places(DISPATCHER)
    ends: dict[Partition, int] = {}
    for topics in (
        [AUDIT_COSIGNATURES],
        [AUDIT_CHECKPOINTS],
        [AUDIT_LEAVES],
        [REFUSALS, RECEIPTS, READS, ERASURES, ERASED, HEADS],
        [DECISIONS],
        ["notices.*", "inbox.*", DISPATCH_STATE, DIRECTORY],
    ):
        ends |= await log.ends(topics)
    seen, total, done = _Seen(), sum(ends.values()), 0
    copied = []
    for partition in sorted(ends, key=_order):
        count = 0
        chunk = _Chunk(partition, add)
        async for found in _kept(log, partition, ends[partition], seen):
            for stored in found:
                chunk.put(stored)
            count += len(found)
            tell(done + count, total)
        chunk.end()
        done += ends[partition]
        copied.append(PartitionCopy(partition.topic, partition.number, count, ends[partition]))
    leaves = next((each.records for each in copied if each.topic == AUDIT_LEAVES), 0)
    return LogCopy(
        engine=engine,
        partitions=copied,
        dispatched=[(topic, number, place) for (topic, number), place in sorted(dispatched.items())],
        leaves=leaves,
        size=seen.last.size if seen.last is not None else 0,
        root=seen.last.root.hex() if seen.last is not None else "",
    )


def _order(partition: Partition) -> tuple[int, Partition]:
    """Decisions first, which say what else is kept; state after the inboxes; leaves and checkpoints last."""
    topics = (DECISIONS, ERASED, DISPATCH_STATE, AUDIT_LEAVES, AUDIT_CHECKPOINTS)
    rank = {topic: number for number, topic in enumerate(topics, start=1)}
    rank[DECISIONS] = -1
    return rank.get(partition.topic, 0), partition


async def _kept(log: Log, partition: Partition, end: int, seen: _Seen) -> AsyncIterator[Sequence[Stored]]:
    """Yield the records of a partition that belong to the copy."""
    if partition.topic == DISPATCH_STATE:
        yield await _state(log, partition, end, seen)
        return
    erasable = partition.topic.startswith((INBOX, NOTICES))
    async for found in _whole(log, partition, end) if erasable else _records(log, partition, end):
        if partition.topic == DECISIONS:
            for stored in found:
                decision = unframe(Decision, stored.value)
                seen.statements.add(decision.statement)
                seen.deliveries.update(share.delivery for share in decision.shares)
        elif partition.topic.startswith(INBOX):
            found = [stored for stored in found if stored.key in seen.deliveries]
            for stored in found:
                head = decode(DeliveryHead, unframe(Delivery, stored.value).head)
                lane = head.member, head.lane
                seen.lanes[lane] = max(seen.lanes.get(lane, 0), head.sequence)
        elif partition.topic == AUDIT_CHECKPOINTS and found:
            seen.last = unframe(Checkpoint, found[-1].value)
        yield found


async def _whole(log: Log, partition: Partition, end: int) -> AsyncIterator[Sequence[Stored]]:
    """Yield the records of a partition of contents, with what is left of erased ones in their places."""
    remains, start = RemainsByPlace(log), 0
    async for found in _records(log, partition, end):
        if found:
            yield await remains.fill(partition, start, found, found[-1].offset + 1)
            start = found[-1].offset + 1
    if start < end:
        yield await remains.fill(partition, start, (), end)


async def _state(log: Log, partition: Partition, end: int, seen: _Seen) -> list[Stored]:
    """Return the dispatcher's state as it was when the last decision of the copy was made."""
    statements: dict[bytes, bytes] = {}
    async for found in _records(log, partition, end):
        for stored in found:
            statement = statement_of(stored.key)
            if statement in seen.statements:
                statements[statement] = stored.value
    if len(statements) < len(seen.statements):
        raise NotCanonical(
            "a statement was decided, and the dispatcher does not know it", field=DISPATCH_STATE
        )
    records = state_of(statements, seen.lanes)
    return [Stored(partition, n, record.key, record.value) for n, record in enumerate(records)]


async def _records(log: Log, partition: Partition, end: int) -> AsyncIterator[Sequence[Stored]]:
    start = 0
    while start < end and (found := await log.read(partition, start, READ_AT_ONCE)):
        start = found[-1].offset + 1
        yield [stored for stored in found if stored.offset < end]


class _Chunk:
    """Puts records of a partition together into parts of a few megabytes."""

    def __init__(self, partition: Partition, add: Add) -> None:
        self._name = f"{PREFIX}{partition.topic}/{partition.number}"
        self._add = add
        self._parts = 0
        self._data = bytearray()

    def put(self, stored: Stored) -> None:
        """Take in a record."""
        self._data += _HEAD.pack(stored.offset, len(stored.key), len(stored.value))
        self._data += stored.key
        self._data += stored.value
        if len(self._data) >= CHUNK_BYTES:
            self.end()

    def end(self) -> None:
        """Hand on what there is."""
        if self._data:
            self._add(f"{self._name}/{self._parts:06}", bytes(self._data))
            self._parts += 1
            self._data.clear()


def records_of(name: str, data: bytes) -> Iterator[Stored]:
    """Yield the records of a part.

    Raises:
        BadConfiguration: It is none of a log.
    """
    topic, _, numbers = name.removeprefix(PREFIX).partition("/")
    number, _, _ = numbers.partition("/")
    if not number.isdecimal() or not data:
        raise BadConfiguration("not a part of a log", field=name)
    partition, at = Partition(topic, int(number)), 0
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise BadConfiguration("a part of the log ends in a record", field=name)
        offset, key, value = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if offset >= MOST_OFFSET:
            raise BadConfiguration("a record stood where none can", field=name)
        if at + key + value > len(data):
            raise BadConfiguration("a part of the log ends in a record", field=name)
        yield Stored(partition, offset, data[at : at + key], data[at + key : at + key + value])
        at += key + value


# --- in -----------------------------------------------------------------------------------------------


class _Moved:
    """Where the records of each partition stood, and where they stand now."""

    def __init__(self) -> None:
        self._before: dict[Partition, array[int]] = {}
        self._now: dict[Partition, array[int]] = {}

    def add(self, partition: Partition, before: Iterable[int], now: Iterable[int]) -> None:
        """Take note of records that were written."""
        self._before.setdefault(partition, array("q")).extend(before)
        self._now.setdefault(partition, array("q")).extend(now)

    def offset(self, partition: Partition, before: int) -> int:
        """Return where a record stands now.

        Raises:
            BadConfiguration: The copy does not have it.
        """
        known = self._before.get(partition, array("q"))
        at = bisect_left(known, before)
        if at == len(known) or known[at] != before:
            raise BadConfiguration("a leaf's record is missing", field=partition.topic)
        return self._now[partition][at]

    def place(self, partition: Partition, before: int) -> int:
        """Return the place behind all records that stood before `before`."""
        at = bisect_left(self._before.get(partition, array("q")), before)
        return self._now[partition][at - 1] + 1 if at else 0


async def copy_in(log: Log, about: LogCopy, chunks: Iterable[tuple[str, bytes]], tell: Tell) -> None:
    """Fill an empty log with what was copied, and put its readers where they were.

    Raises:
        BadConfiguration: The log has records already, or the copy does not hold together.
        LogUnavailable: The log did not answer; what was written so far is of no use.
    """
    topics = hub_topics(
        {each.topic.removeprefix(INBOX) for each in about.partitions if each.topic.startswith(INBOX)}
    )
    names = [topic.name for topic in topics]
    if any((await log.ends(names)).values()):
        raise BadConfiguration("the log there has records: name an empty one with --log", field="log")
    dispatched = {Partition(topic, number): place for topic, number, place in about.dispatched}
    if not dispatched.keys() <= {Partition(each.name, n) for each in topics for n in range(each.partitions)}:
        raise BadConfiguration("a place is in a partition that no hub has", field="dispatched")
    await log.create(topics)
    for each in about.partitions:
        if each.topic.startswith(INBOX) and each.records and each.end > each.records:
            await log.begin_at(Partition(each.topic, each.number), each.end - each.records)
    moved, followed, tree = _Moved(), dict[Partition, int](), Tree()
    total, done = sum(each.records for each in about.partitions), 0
    for name, data in chunks:
        found = list(records_of(name, data))
        offsets = await log.append([_moved_record(stored, moved, followed) for stored in found])
        moved.add(found[0].partition, (stored.offset for stored in found), offsets)
        if found[0].partition.topic == AUDIT_LEAVES:
            tree.extend([leaf_hash(unframe(Leaf, stored.value).entry) for stored in found])
        done += len(found)
        tell(done, total)
    if about.size > tree.size or (about.size and tree.root(about.size).hex() != about.root):
        raise BadConfiguration("the leaves do not make the tree of the last checkpoint", field=AUDIT_LEAVES)
    await log.set_places(SEQUENCER, {each: moved.place(each, place) for each, place in followed.items()})
    await log.set_places(DISPATCHER, {each: moved.place(each, place) for each, place in dispatched.items()})


def _moved_record(stored: Stored, moved: _Moved, followed: dict[Partition, int]) -> Record:
    """Return a record as it is written now; `followed` is how far leaves have come in each partition."""
    value = stored.value
    if stored.partition.topic == AUDIT_LEAVES:
        leaf = unframe(Leaf, value)
        partition = Partition(leaf.topic, leaf.partition)
        followed[partition] = leaf.offset + 1
        value = frame(replace(leaf, offset=moved.offset(partition, leaf.offset)))
    elif stored.partition.topic == ERASED:
        remains = read_remains(value)
        offset = moved.offset(remains.place, remains.offset)
        value = msgspec.structs.replace(remains, offset=offset).record().value
    elif stored.partition.topic == AUDIT_CHECKPOINTS:
        checkpoint = unframe(Checkpoint, value)
        positions = tuple(_position(each, moved) for each in checkpoint.positions)
        value = frame(replace(checkpoint, positions=positions))
    return Record(stored.partition, stored.key, value)


def _position(position: TopicPosition, moved: _Moved) -> TopicPosition:
    partition = Partition(position.topic, position.partition)
    return replace(position, next=moved.place(partition, position.next))
