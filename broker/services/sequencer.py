"""The sequencer: makes a leaf of every record that others wrote, and signs what the leaves come to.

Nobody calls it; it follows.  Leaves stand in `audit.leaves` in the commit that moves its places, so that
each record has exactly one.  It signs only what is committed and read by nobody before it is signed;
what it signed counts once it is read back from `audit.checkpoints`.

One process at a time appends leaves, the one that started last: the log shuts its predecessor out.  Who is
shut out stands by: it follows the leaves, and leads again when a record has waited too long for its leaf.
That is all that it goes by.  A leader that died, hangs or cannot commit is noticed alike, nobody has to
say that it lives, and a mistake costs nothing but a change of places.  Every checkpoint is over leaves that
are committed, so any two of this log continue one another; and only who leads can store one, so they ascend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from broker.aside import Aside
from broker.clock import Clock
from broker.core.cose_receipt import with_root_signed
from broker.core.errors import NotCanonical
from broker.core.merkle import Frontier, leaf_hash
from broker.core.model import Checkpoint, Leaf, TopicPosition
from broker.core.note import LogSigner
from broker.core.records import directory_leaf_entry, frame, leaf_entry_of, unframe
from broker.log import Batch, Fenced, Log, Partition, Record, Stored
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES, DIRECTORY, FOLLOWED
from broker.services.following import Tail, batches, last_of
from broker.services.metrics import Metrics
from broker.telemetry import logger_of

READER = "sequencer"
BATCH = 4096

PATIENCE_SECONDS = 5.0
"""How long a record may wait for its leaf before whoever stands by takes over."""
LOOK_SECONDS = 0.5

log_line = logger_of(READER)

LEAVES = Partition(AUDIT_LEAVES)
CHECKPOINTS = Partition(AUDIT_CHECKPOINTS)


class Sequencer:
    """Follows every topic but its own.

    Args:
        log: Where records come from, and leaves and checkpoints go to.
        signer: The log's key.
        clock: Gives `signed_at`.
        metrics: Where leaves and checkpoints are counted.
        patience: How many seconds a record may wait for its leaf while another leads.
        aside: Where the signer is called, if it may block.
    """

    def __init__(
        self,
        log: Log,
        signer: LogSigner,
        clock: Clock,
        metrics: Metrics,
        *,
        patience: float = PATIENCE_SECONDS,
        aside: Aside | None = None,
    ) -> None:
        self._log = log
        self._aside = aside
        self._signer = signer
        self._clock = clock
        self._metrics = metrics
        self._leaves = Tail(log, LEAVES)
        self._read = 0
        self._tree = Frontier()
        self._places: dict[Partition, int] = {}
        self._moved: set[Partition] = set()
        self._signed = 0
        self._signed_at = 0
        self._claim: int | None = None
        self._patience = patience
        self._stands_by = False
        # So many leaves were under way when the log was lost: they may have been committed after all.
        self._under_way = 0
        self._empty_below: dict[Partition, int] = {}
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Make leaves of what comes, or stand by while another does, until cancelled.

        Raises:
            LogUnavailable: The log did not answer; run again.
            KeyUnavailable: The token with the log's key does not sign now; run again.
            NotCanonical: A record cannot be read, or has a leaf already: the log's places were lost.
        """
        self._stands_by = self._stands_by or await self._was_replaced()
        while True:
            if self._stands_by:
                self._metrics.leads.set(0)
                log_line.warning("sequencer.stands-by", size=self._tree.size)
                await self._stand_by()
            self._stands_by = False
            self._metrics.leads.set(1)
            try:
                await self._lead()
            except Fenced:
                self._stands_by = True

    async def _was_replaced(self) -> bool:
        """Tell whether leaves were made while the log was out of our reach: by a successor, it seems."""
        if not self.caught_up.is_set():
            return False
        known = self._tree.size + self._under_way
        await self._catch_up(settled=False)
        return self._tree.size > known

    async def _lead(self) -> None:
        """Make leaves of what comes, until cancelled.

        Raises:
            Fenced: A successor leads.
        """
        # What a predecessor had begun is decided first: whoever asks for ends would wait for it.
        await self._log.take_over(READER)
        await self._find_signed()
        await self._catch_up()
        # Leaves that were committed just before the last end may still wait for their checkpoint.
        await self._sign()
        self.caught_up.set()
        async with batches(self._log, READER, FOLLOWED, sole=True, limit=BATCH) as following:
            doubted = False
            async for batch in following:
                if batch.claim != self._claim:
                    await self._catch_up()
                    self._claim = batch.claim
                    # A successor may have made leaves of this batch while we slept with it in our hands.
                    # Given up, it comes again from the true place, or not at all if we are shut out.
                    doubted = not doubted and any(map(self._has_leaf, batch.records))
                    if doubted:
                        continue
                await self._commit(batch)
                await self._sign()

    async def _stand_by(self) -> None:
        """Follow the leaves; return when a record has waited too long for its own."""
        loop = asyncio.get_running_loop()
        waiting: tuple[Partition, int] | None = None
        since = loop.time()
        while waiting is None or loop.time() - since < self._patience:
            await self._catch_up(settled=False)
            self.caught_up.set()
            found = await self._without_leaf()
            if found != waiting:
                waiting, since = found, loop.time()
            await asyncio.sleep(LOOK_SECONDS)
        log_line.warning("sequencer.takes-over", topic=waiting[0].topic, partition=waiting[0].number)

    async def _without_leaf(self) -> tuple[Partition, int] | None:
        """Return where a record stands that has no leaf yet, if there is one."""
        for partition, end in sorted((await self._log.ends(FOLLOWED, settled=False)).items()):
            place = self._places.get(partition, 0)
            if end <= max(place, self._empty_below.get(partition, 0)):
                continue
            if found := await self._log.read(partition, place, 1):
                return partition, found[0].offset
            # Offsets may have gaps: what is left below the end are no records.
            self._empty_below[partition] = end
        return None

    async def _commit(self, batch: Batch) -> None:
        entries = [self._entry(stored) for stored in batch.records]
        start = self._tree.size
        leaves = [
            Leaf(start + n, entry, stored.partition.topic, stored.partition.number, stored.offset)
            for n, (stored, entry) in enumerate(zip(batch.records, entries, strict=True))
        ]
        self._under_way = len(leaves)
        await batch.commit([Record(LEAVES, b"%d" % leaf.index, frame(leaf)) for leaf in leaves])
        self._under_way = 0
        self._add(leaves)
        self._metrics.leaves.inc(len(leaves))

    def _entry(self, stored: Stored) -> bytes:
        try:
            self._check_has_none(stored)
            return entry_of(stored)
        except NotCanonical:
            topic, number = stored.partition
            log_line.critical("partition.stopped", topic=topic, partition=number, offset=stored.offset)
            raise

    def _check_has_none(self, stored: Stored) -> None:
        """Let a record pass that has no leaf yet, before anything is written about it."""
        if self._has_leaf(stored):
            raise NotCanonical("a record that has its leaf came again", field=stored.partition.topic)

    def _has_leaf(self, stored: Stored) -> bool:
        return stored.offset < self._places.get(stored.partition, 0)

    def _add(self, leaves: Sequence[Leaf]) -> None:
        """Take in leaves that are committed.

        Raises:
            NotCanonical: A record that has a leaf was given another.
        """
        for leaf in leaves:
            partition = Partition(leaf.topic, leaf.partition)
            if leaf.offset < self._places.get(partition, 0):
                raise NotCanonical(
                    "a record has a second leaf: the reader's place was lost", field=leaf.topic
                )
            self._places[partition] = leaf.offset + 1
            if leaf.index >= self._signed:
                self._moved.add(partition)
        self._tree.extend([leaf_hash(leaf.entry) for leaf in leaves])

    async def _catch_up(self, *, settled: bool = True) -> None:
        """Read the leaves that are committed and not known yet."""
        end = (await self._log.ends([AUDIT_LEAVES], settled=settled)).get(LEAVES, 0)
        async for found in self._leaves.more(end):
            leaves = [unframe(Leaf, stored.value) for stored in found]
            if [leaf.index for leaf in leaves] != list(range(self._read, self._read + len(leaves))):
                raise NotCanonical("the leaves are not numbered one by one", field=AUDIT_LEAVES)
            self._read += len(leaves)
            # Those that this process committed are known already.
            self._add([leaf for leaf in leaves if leaf.index >= self._tree.size])

    async def _find_signed(self) -> None:
        """Find size and time that were signed last; what moved since then is said again."""
        end = (await self._log.ends([AUDIT_CHECKPOINTS])).get(CHECKPOINTS, 0)
        found = await last_of(self._log, CHECKPOINTS, end)
        last = unframe(Checkpoint, found.value) if found is not None else None
        self._signed, self._signed_at = (last.size, last.signed_at) if last is not None else (0, 0)

    async def _sign(self) -> None:
        """Sign the leaves that are committed, if there are more than were signed."""
        size = self._tree.size
        if size <= self._signed:
            return
        root = self._tree.root()
        # The time of the log never goes back, whatever is done to the clock: members would take it for a lie.
        signed_at = max(self._clock.now(), self._signed_at)
        sign = partial(_signed, self._signer, size, root, signed_at)
        checkpoint = Checkpoint(
            size=size,
            root=root,
            note=sign() if self._aside is None else await self._aside.call(sign),
            signed_at=signed_at,
            positions=tuple(
                TopicPosition(partition.topic, partition.number, self._places[partition])
                for partition in sorted(self._moved)
            ),
        )
        # As the one that leads: one who slept before this must not put an older checkpoint behind later ones.
        await self._log.append_as(READER, [Record(CHECKPOINTS, b"%d" % size, frame(checkpoint))])
        self._signed, self._signed_at = size, signed_at
        self._moved.clear()
        self._metrics.checkpoints.inc()
        log_line.info("checkpoint.signed", size=size)


def _signed(signer: LogSigner, size: int, root: bytes, at: int) -> bytes:
    return with_root_signed(signer, signer.sign_checkpoint(size, root, at), root)


def entry_of(stored: Stored) -> bytes:
    """Return the entry of a record's leaf.

    Raises:
        NotCanonical: It is no record that has a leaf.
    """
    if stored.partition.topic != DIRECTORY:
        return leaf_entry_of(stored.value)
    role, separator, data = stored.value.partition(b"\0")
    if not separator:
        raise NotCanonical("not a file of the directory", field=DIRECTORY)
    try:
        return directory_leaf_entry(role.decode(), data)
    except UnicodeDecodeError:
        raise NotCanonical("not a file of the directory", field=DIRECTORY) from None
