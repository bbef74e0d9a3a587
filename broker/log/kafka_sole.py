"""Following alone: one process reads all partitions, in one transaction a batch; its successor shuts it out.

There is no group to share with, so the partitions are assigned by hand and topics that appear are
taken up by looking.  The places are kept as a group's all the same.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import TopicPartition

from broker.log import Batch, Fenced, LogUnavailable, Partition, Record, Stored
from broker.log.batch import PendingBatch
from broker.log.kafka_clients import FETCH_WAIT_MILLISECONDS, Cluster, bounded, start_client, stop_consumer
from broker.log.kafka_progress import Progress
from broker.log.kafka_reads import Reads, stored
from broker.log.kafka_writer import TransactionalWriter

LOOK_SECONDS: Final = 1.0
"""How often to look for topics that were made since."""
RETRY_SECONDS: Final = 0.2

_claims = itertools.count(1)
_events = structlog.get_logger("halong.log")


class SoleFollower:
    """The one process that follows as its reader."""

    def __init__(
        self, cluster: Cluster, reads: Reads, reader: str, topics: Sequence[str], limit: int
    ) -> None:
        self.stands = False
        self.reader = reader
        self._cluster = cluster
        self._reads = reads
        self._pattern = re.compile(cluster.pattern(topics))
        self._limit = limit
        self._consumer: Any = None
        self._writer: TransactionalWriter | None = None
        self._claim = 0
        self._places: dict[Partition, int] = {}
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._look_at = 0.0
        self._progress = Progress(cluster)

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Yield batches until closed or shut out.

        Raises:
            Fenced: A successor has taken over.
        """
        try:
            while True:
                try:
                    await self._take_over()
                    while True:
                        records = await self._fetch()
                        if not records:
                            continue
                        for batch in self._batch(records).parts():
                            yield batch
                            self._places.update(batch.places)
                        if not batch.committed:
                            if not batch.spent:
                                await self._confirm()
                            break
                except Fenced:
                    raise
                except LogUnavailable as error:
                    _events.warning("log.unavailable", service=self.reader, code=error.code)
                    await asyncio.sleep(RETRY_SECONDS)
                if self._writer is not None and self._writer.fenced:
                    raise Fenced("a successor follows as this reader now")
                await self.stop()
        finally:
            await self.stop()

    async def append(self, records: Sequence[Record]) -> None:
        """See `broker.log.Log.append_as`."""
        if self._writer is None:
            raise LogUnavailable("the reader takes over anew")
        await self._writer.store(records, {})

    async def stop(self) -> None:
        """Let go of everything."""
        self.stands = False
        consumer, self._consumer = self._consumer, None
        writer, self._writer = self._writer, None
        if consumer is not None:
            await stop_consumer(consumer)
        if writer is not None:
            await writer.stop()

    async def _take_over(self) -> None:
        step = self._cluster.step_seconds
        identity = self._cluster.transaction(self.reader)
        # 1. The predecessor is shut out, and its open transaction is decided.
        self._writer = TransactionalWriter(self._cluster, identity, self._cluster.group(self.reader))
        await self._writer.start()
        # 2. Only now the committed places are final; they are asked for with the partitions.
        self._consumer = self._cluster.consumer()
        await start_client(self._consumer, step, "start a reader")
        self._claim = next(_claims)
        self._assigned = frozenset()
        self._places = {}
        self._look_at = 0.0
        self._progress.begin()
        self.stands = True

    async def _confirm(self) -> None:
        """Store the places once more: that changes nothing, and only who was not replaced can.

        Raises:
            Fenced: A successor has taken over; to take over in turn would shut it out.
        """
        if self._writer is not None and self._places:
            await self._writer.store([], self._places)

    async def _assign(self) -> None:
        """Take up the partitions that have appeared; all go on from what was committed."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        there = frozenset(await self._reads.partitions(self._pattern))
        if there == self._assigned:
            return
        appeared = list(there - self._assigned)
        self._places |= await self._reads.places(self.reader, appeared)
        self._consumer.assign(list(there))
        for partition in there:
            self._consumer.seek(partition, self._places.get(self._cluster.here(partition), 0))
        self._assigned = there

    async def _fetch(self) -> Sequence[Stored]:
        await self._assign()
        if not self._assigned:
            await asyncio.sleep(FETCH_WAIT_MILLISECONDS / 1000)
            return ()
        fetching = self._consumer.getmany(timeout_ms=FETCH_WAIT_MILLISECONDS, max_records=self._limit)
        found = await bounded(fetching, self._cluster.step_seconds, "yield records")
        await self._progress.watch(self._consumer, list(self._assigned), found=bool(found))
        return stored(self._cluster, itertools.chain.from_iterable(found.values()))

    def _batch(self, records: Sequence[Stored]) -> PendingBatch:
        writer = self._writer
        assert writer is not None

        async def store(results: Sequence[Record], places: Mapping[Partition, int]) -> None:
            await self._reads.check({record.partition for record in results})
            await writer.store(results, places)

        return PendingBatch(records, self._claim, store)
