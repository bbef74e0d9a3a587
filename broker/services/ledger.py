"""The published log as members see it: its tree, where each record's leaf is, the checkpoint that counts.

What is answered to members comes from here, and only what was read back from the log is in it.  It is
made from the log at every start and follows it, and what is not recent of it is on disk
(`broker.log.scratch`); each process that answers has its own.  Two of them are
never equally far, and to a member whose questions go to both the log must not seem to shrink: so an answer
waits until it is as far as what the member has seen (`reach`), or as anybody can have seen (`renew`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from broker.core.errors import NotCanonical
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import Checkpoint, Leaf
from broker.core.records import unframe
from broker.core.wire import Covering, Inclusion
from broker.log import Log, LogUnavailable, Partition
from broker.log.scratch import Numbers, Scratch
from broker.log.topics import (
    AUDIT_CHECKPOINTS,
    AUDIT_LEAVES,
    DECISIONS,
    DISPATCH_STATE,
    ERASED,
    RECEIPTS,
    REFUSALS,
)
from broker.services.coverings import Coverings
from broker.services.erased import Erased
from broker.services.following import Place, Tail, read_places
from broker.services.metrics import Metrics
from broker.services.pace import Pace
from broker.services.statements import Statements
from broker.telemetry import logger_of

LOOK_AGAIN_SECONDS = 5.0
RENEW_SECONDS = 10.0
REACH_SECONDS = 5.0

log_line = logger_of("ledger")


@dataclass(slots=True)
class _Places:
    """The leaves of one partition: offsets and leaf indexes, both ascending."""

    offsets: Numbers
    indexes: Numbers


class Ledger:
    """Follows the leaves, the checkpoints, and what happened to statements.

    Args:
        log: What is followed.
        metrics: Where the published size is shown.
        alone: No other process answers members.
        scratch: Where what is not recent is kept.
    """

    def __init__(
        self, log: Log, metrics: Metrics, *, alone: bool = True, scratch: Scratch | None = None
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._alone = alone
        self._leaves = Tail(log, Partition(AUDIT_LEAVES))
        self._checkpoints = Tail(log, Partition(AUDIT_CHECKPOINTS))
        self._pending: deque[tuple[int, Checkpoint]] = deque()
        self._published_to = 0
        self._scratch = scratch = scratch or Scratch()
        self._tree = Tree(level=scratch.column)
        self._places: dict[Partition, _Places] = {}
        self._published: Checkpoint | None = None
        self._advanced = asyncio.Event()
        self._coverings = Coverings(scratch)
        self.caught_up = asyncio.Event()
        self.pace = Pace(metrics, scratch, lambda delivery: self.statements.is_receipted(delivery))
        self.statements = Statements(log, self, self.pace, scratch)
        self.erased = Erased(log, scratch)

    @property
    def published(self) -> Checkpoint | None:
        """The latest checkpoint that was read back, under which everything is answered."""
        return self._published

    @property
    def size(self) -> int:
        """How many leaves the published checkpoint covers."""
        return self._published.size if self._published is not None else 0

    def inclusion(self, index: int, size: int) -> Inclusion | None:
        """Return the path of a leaf to a checkpoint that was published, or None if it does not cover it."""
        if not 0 <= index < size <= self.size:
            return None
        return Inclusion(index, self._tree.inclusion_path(index, size))

    def consistency(self, old: int, new: int) -> list[bytes] | None:
        """Return the path from the tree of `old` leaves to that of `new`, None if that is not published."""
        return self._tree.consistency_path(old, new) if 0 < old <= new <= self.size else None

    def covering(self, index: int) -> tuple[Place, int] | None:
        """Return place and size of the first checkpoint over a leaf, if the published one is much later."""
        published = self._published
        found = self._coverings.beside([index], published) if published is not None else ()
        return ((self._checkpoints.partition, found[0].offset), found[0].size) if found else None

    def as_covering(self, value: bytes, size: int, to: int) -> Covering:
        """Return a checkpoint's record as it goes along with an answer under a checkpoint of `to` leaves."""
        return Covering(unframe(Checkpoint, value).note, self._tree.consistency_path(size, to))

    async def coverings(self, indexes: Iterable[int], checkpoint: Checkpoint) -> list[Covering]:
        """Return the checkpoints that first covered leaves, as far as `checkpoint` came much later.

        Raises:
            LogUnavailable: The log did not answer.
        """
        chosen = self._coverings.beside(indexes, checkpoint)
        places = [(self._checkpoints.partition, each.offset) for each in chosen]
        values = await read_places(self._log, places)
        return [
            self.as_covering(values[place], each.size, checkpoint.size)
            for place, each in zip(places, chosen, strict=True)
        ]

    def leaf_of(self, partition: Partition, offset: int) -> int:
        """Return the index of a record's leaf, -1 while it has none."""
        places = self._places.get(partition)
        if places is None:
            return -1
        at = places.offsets.place_of(offset)
        found = at < len(places.offsets) and places.offsets[at] == offset
        return places.indexes[at] if found else -1

    def leaves_of(self, partition: Partition, start: int, count: int) -> list[tuple[int, int]]:
        """Return offset and leaf index of the first `count` published records from offset `start` on."""
        places = self._places.get(partition)
        if places is None:
            return []
        first = places.offsets.place_of(start)
        last = min(first + count, places.indexes.place_of(self.size))
        return [(places.offsets[at], places.indexes[at]) for at in range(first, last)]

    def near(self, partition: Partition, index: int, count: int) -> list[tuple[int, int]]:
        """Return offset and leaf index of records of the partition whose leaves are nearest to `index`.

        At most `count` of each side.
        """
        places = self._places.get(partition)
        if places is None:
            return []
        at = places.indexes.place_of(index)
        around = range(max(0, at - count), min(at + count, len(places.indexes)))
        return [(places.offsets[each], places.indexes[each]) for each in around]

    def first_leaves(self, prefix: str) -> dict[str, int]:
        """Return the first leaf of each partition whose topic begins so, by the rest of the topic's name."""
        return {
            partition.topic.removeprefix(prefix): places.indexes[0]
            for partition, places in self._places.items()
            if partition.topic.startswith(prefix)
        }

    def covered(self, partition: Partition, start: int) -> int:
        """Return how many records of the partition, from offset `start` on, the checkpoint covers."""
        places = self._places.get(partition)
        if places is None:
            return 0
        return max(0, places.indexes.place_of(self.size) - places.offsets.place_of(start))

    async def advance(self, seconds: float) -> None:
        """Return when another checkpoint is published, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._advanced.wait()

    async def reach(self, size: int) -> None:
        """Return once a checkpoint of at least this size counts, or after a while: perhaps there is none."""
        until = asyncio.get_running_loop().time() + REACH_SECONDS
        while self.size < size and (left := until - asyncio.get_running_loop().time()) > 0:
            await self.advance(left)

    async def renew(self) -> None:
        """Return once every checkpoint counts here that anybody can have been shown before this call.

        Raises:
            LogUnavailable: The log did not answer, or this process is behind.
        """
        if self._alone:
            return
        end = (await self._log.ends([AUDIT_CHECKPOINTS], settled=False)).get(self._checkpoints.partition, 0)
        try:
            async with asyncio.timeout(RENEW_SECONDS):
                while self._published_to < end:
                    await self._advanced.wait()
        except TimeoutError:
            raise LogUnavailable("this process is behind the published log") from None

    async def run(self) -> None:
        """Follow the log, until cancelled.

        Raises:
            LogUnavailable: The log did not answer; run again.
            NotCanonical: The leaves, or a checkpoint over them, are not what this hub writes.
        """
        topics = [AUDIT_LEAVES, AUDIT_CHECKPOINTS, DECISIONS, REFUSALS, RECEIPTS, DISPATCH_STATE, ERASED]
        while True:
            # What refers to decisions and leaves is bounded first, so that what it refers to is there.
            ends = {
                **await self._log.ends([RECEIPTS, AUDIT_CHECKPOINTS]),
                **await self._log.ends(
                    [topic for topic in topics if topic not in (RECEIPTS, AUDIT_CHECKPOINTS)]
                ),
            }
            await self._read_leaves(ends.get(self._leaves.partition, 0))
            await self.statements.refresh(ends)
            await self.erased.refresh(ends.get(Partition(ERASED), 0))
            await self._read_checkpoints(ends.get(self._checkpoints.partition, 0))
            self._publish()
            self.caught_up.set()
            await self._log.wait(ends, LOOK_AGAIN_SECONDS)

    async def _read_leaves(self, end: int) -> None:
        async for found in self._leaves.more(end):
            leaves = [unframe(Leaf, stored.value) for stored in found]
            for expected, leaf in enumerate(leaves, start=self._tree.size):
                if leaf.index != expected:
                    raise NotCanonical("the leaves are not numbered one by one", field=AUDIT_LEAVES)
                partition = Partition(leaf.topic, leaf.partition)
                places = self._places.get(partition)
                if places is None:
                    numbers = self._scratch.numbers
                    places = self._places[partition] = _Places(numbers(), numbers())
                places.offsets.append(leaf.offset)
                places.indexes.append(leaf.index)
                self.statements.note_leaf(leaf, partition)
            self._tree.extend([leaf_hash(leaf.entry) for leaf in leaves])

    async def _read_checkpoints(self, end: int) -> None:
        async for found in self._checkpoints.more(end):
            self._pending.extend((stored.offset, unframe(Checkpoint, stored.value)) for stored in found)

    def _publish(self) -> None:
        newest = None
        for offset, checkpoint in self._ready():
            self._coverings.add(offset, checkpoint)
            if checkpoint.size > max(self.size, newest.size if newest is not None else 0):
                newest = checkpoint
        if newest is not None:
            if self._tree.root(newest.size) != newest.root:
                log_line.critical("checkpoint.false", size=newest.size)
                raise NotCanonical("a checkpoint has another root than the leaves", field=AUDIT_CHECKPOINTS)
            self._published = newest
            self._metrics.published_size.set(newest.size)
            self._metrics.checkpoint_at.set(newest.signed_at / 1000)
            self._covered(newest)
        published_to = self._pending[0][0] if self._pending else self._checkpoints.next
        if published_to == self._published_to:
            return
        self._published_to = published_to
        # Whoever waits holds this very event; who comes later waits for the next.
        self._advanced.set()
        self._advanced = asyncio.Event()

    def _covered(self, checkpoint: Checkpoint) -> None:
        decisions = self._places.get(Partition(DECISIONS))
        if decisions is not None:
            covered = decisions.indexes.place_of(checkpoint.size)
            if covered:
                # What is read while this process starts was covered long ago.
                signed_at = checkpoint.signed_at if self.caught_up.is_set() else None
                self.pace.covered(decisions.offsets[covered - 1], signed_at)

    def _ready(self) -> Iterator[tuple[int, Checkpoint]]:
        while self._pending and self._pending[0][1].size <= self._tree.size:
            yield self._pending.popleft()
