"""Makes the index from the topics, goes on where it stopped, and begins anew at any doubt.

Decides in which order topics are read.  What refers to something is bounded before what it refers to is, and
read after it, so that whatever a record adds to another one finds it; therefore the index is the same
whether it was made at once or in a hundred steps.  Places move in the step that writes the rows.

In doubt is an index that is ahead of the log, that has another last leaf than the log has there, whose own
leaves have gaps, or that is damaged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from broker.audit.base import Base, Doubted, discard
from broker.audit.leaves import Leaves
from broker.audit.taking import Taking
from broker.core.catalogue import Catalogue
from broker.core.errors import NotCanonical, Refused
from broker.core.model import Checkpoint, Leaf
from broker.core.note import LogKey
from broker.core.records import unframe
from broker.log import Log, Partition, Stored
from broker.log.topics import (
    AUDIT_CHECKPOINTS,
    AUDIT_LEAVES,
    DECISIONS,
    ERASURES,
    HEADS,
    READS,
    RECEIPTS,
    REFUSALS,
)
from broker.services.following import Tail

INDEX_FILE = "audit.index"
INBOXES, NOTICES = "inbox.*", "notices.*"

Progress = Callable[[int, int], None]
"""Called with how many records were read of how many."""


class AuditIndex:
    """The index of one log.

    Args:
        path: Its file.
        key: The log's public key.
        catalogue: The notice types, by which facts are read.
    """

    def __init__(self, path: Path, key: LogKey, catalogue: Catalogue) -> None:
        self.path = path
        self.key = key
        self._catalogue = catalogue
        schemas = sorted((each.name, each.digest.hex()) for each in catalogue)
        self._about = {"log": key.vkey, "schemas": sha256(json.dumps(schemas).encode()).hexdigest()}
        try:
            self._open()
        except Doubted:
            self.begin_anew()

    def _open(self) -> None:
        self.base = Base.open(self.path, self._about)
        self._taking = Taking(self.base, self._catalogue)
        self.leaves = Leaves(self.base)

    @property
    def octets(self) -> int:
        """How large the index is."""
        (pages,) = self.base.rows("PRAGMA page_count")[0]
        (size,) = self.base.rows("PRAGMA page_size")[0]
        return int(pages) * int(size)

    def close(self) -> None:
        """Close the file."""
        self.base.close()

    def begin_anew(self) -> None:
        """Throw away what there is."""
        self.base.close()
        discard(self.path)
        self._open()

    async def refresh(self, log: Log, progress: Progress = lambda _read, _of: None) -> None:
        """Read on to the end of the log.

        Raises:
            LogUnavailable: The log did not answer.
            IndexUnavailable: The index cannot be written.
            NotCanonical: The leaves of the log are not numbered one by one.
        """
        try:
            await self._refresh(log, progress)
        except Doubted:
            self.begin_anew()
            try:
                await self._refresh(log, progress)
            except Doubted:
                raise NotCanonical("the leaves are not numbered one by one", field=AUDIT_LEAVES) from None

    async def _refresh(self, log: Log, progress: Progress) -> None:
        await self._check_fits(log)
        # What refers is bounded first, and read last.
        last = await log.ends([READS, RECEIPTS, REFUSALS, ERASURES, HEADS, AUDIT_CHECKPOINTS])
        middle = await log.ends([DECISIONS, AUDIT_LEAVES])
        ends = {**last, **middle}
        waiting = {**ends, **await log.ends([INBOXES, NOTICES])}
        counted = _Counted(progress, sum(max(0, end - self._place(each)) for each, end in waiting.items()))
        # Twice: what was erased meanwhile has left its place, and what is left of it stands behind.
        for _ in range(2):
            inboxes, notices = await log.ends([INBOXES]), await log.ends([NOTICES])
            for found in (notices, inboxes):
                for partition, end in sorted(found.items()):
                    await self._follow(log, partition, end, counted)
        for topic in (DECISIONS, READS, RECEIPTS, REFUSALS, ERASURES, HEADS, AUDIT_LEAVES, AUDIT_CHECKPOINTS):
            for partition in sorted(each for each in ends if each.topic == topic):
                await self._follow(log, partition, ends[partition], counted)
        if self._taking.erased:
            self.base.tidy()
            self._taking.erased = False

    async def _check_fits(self, log: Log) -> None:
        """Let an index pass that was made from this log.

        Raises:
            Doubted: It was not.
        """
        rows = self.base.rows("SELECT topic, number, next FROM place")
        ends = await log.ends(sorted({topic for topic, _, _ in rows}))
        # 1. The log goes at least as far as it was read.
        if any(ends.get(Partition(topic, number), 0) < place for topic, number, place in rows):
            raise Doubted
        # 2. The last leaf that was read is still the one that stands there.
        row = self.base.row("SELECT n, entry, at FROM leaf ORDER BY n DESC LIMIT 1")
        if row is not None:
            found = await log.read(Partition(AUDIT_LEAVES), row[2], 1)
            if not found or found[0].offset != row[2]:
                raise Doubted
            leaf = unframe(Leaf, found[0].value)
            if (leaf.index, leaf.entry) != (row[0], row[1]):
                raise Doubted

    def _place(self, partition: Partition) -> int:
        row = self.base.row("SELECT next FROM place WHERE topic = ? AND number = ?", *partition)
        return row[0] if row is not None else 0

    async def _follow(self, log: Log, partition: Partition, end: int, counted: _Counted) -> None:
        tail = Tail(log, partition)
        tail.next = self._place(partition)
        take = self._reader_of(partition.topic)
        async for found in tail.more(end):
            # Read beyond the end as it was bounded would be what others refer to not yet.
            within = [each for each in found if each.offset < end]
            try:
                with self.base.step():
                    self._take(within, take, partition)
                    self._taking.flush()
                    self.base.run(
                        "INSERT OR REPLACE INTO place VALUES (?, ?, ?)", *partition, min(tail.next, end)
                    )
            except BaseException:
                self._taking.forget()
                self.leaves.reload()
                raise
            counted.add(len(within))

    def _take(self, found: Sequence[Stored], take: Callable[[Stored], None], partition: Partition) -> None:
        for stored in found:
            try:
                take(stored)
            except Refused as error:
                self.base.run(
                    "INSERT OR IGNORE INTO finding VALUES (?, ?, ?, ?)", *partition, stored.offset, error.code
                )

    def _reader_of(self, topic: str) -> Callable[[Stored], None]:
        taking = self._taking
        readers: Mapping[str, Callable[[bytes], None]] = {
            DECISIONS: taking.decision,
            READS: taking.read,
            RECEIPTS: taking.receipt,
            REFUSALS: taking.refusal,
            ERASURES: taking.erasure,
            HEADS: taking.head,
            AUDIT_CHECKPOINTS: lambda value: self.leaves.take_checkpoint(unframe(Checkpoint, value)),
        }
        if topic == AUDIT_LEAVES:
            return lambda stored: self.leaves.take(unframe(Leaf, stored.value), stored.offset)
        by_kind = taking.statement if topic.startswith("notices.") else taking.delivery
        read = readers.get(topic, by_kind)
        return lambda stored: read(stored.value)


class _Counted:
    """How far the reading is."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._read = 0

    def add(self, count: int) -> None:
        """Count records that were read."""
        self._read += count
        self._progress(self._read, max(self._total, self._read))
