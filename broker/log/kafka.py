"""The engine on a cluster: Apache Kafka 4 through `aiokafka`.

One file a concern: `kafka_clients` (names, settings, the end of every wait), `kafka_kept` (clients that
many use), `kafka_writer` (a transaction), `kafka_shared` and `kafka_sole` (following), `kafka_progress`
(whether a reader moves), `kafka_reads` (questions), `kafka_topics` (what is created how), `kafka_remarks`
(what an operator should mend).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from broker.core.errors import BadConfiguration
from broker.log import Batch, LogUnavailable, Partition, Record, Stored, Topic
from broker.log.growth import Growth
from broker.log.kafka_clients import TICK, Cluster, start_client, stop_producer
from broker.log.kafka_reads import Reads
from broker.log.kafka_remarks import remarks
from broker.log.kafka_shared import SharedFollower
from broker.log.kafka_sole import SoleFollower
from broker.log.kafka_topics import create_topics
from broker.log.kafka_writer import TransactionalWriter, delivered, fill, send

LOOK_SECONDS: Final = 0.02
FAILURE_SECONDS: Final = 10.0
"""How long an append that failed says that appends fail, if none succeeds."""


class KafkaLog:
    """See `broker.log.Log`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._reads = Reads(cluster)
        self._producer: Any = None
        self._producer_lock = asyncio.Lock()
        self._followers: set[SharedFollower | SoleFollower] = set()
        self._taken_over: dict[str, TransactionalWriter] = {}
        self._growth = Growth()
        self._waited: Counter[Partition] = Counter()
        self._looking = False
        self._failed_at = -math.inf
        self._closed = False

    async def open(self) -> None:
        """Find the cluster.

        Raises:
            BadConfiguration: The TLS files cannot be used.
            LogUnavailable: No broker answers.
        """
        try:
            await self._reads.start()
        except BaseException:
            await self._reads.stop()
            raise

    async def create(self, topics: Sequence[Topic]) -> None:
        """See `broker.log.Log`."""
        await create_topics(self._cluster, self._reads, topics)

    async def append(self, records: Sequence[Record]) -> Sequence[int]:
        """See `broker.log.Log`."""
        if not records:
            return []
        await self._reads.check({record.partition for record in records})
        try:
            offsets = await self._append(records)
        except LogUnavailable:
            self._failed_at = asyncio.get_running_loop().time()
            raise
        self._failed_at = -math.inf
        return [offsets[index] for index in range(len(records))]

    async def follow(
        self, reader: str, topics: Sequence[str], *, sole: bool = False, limit: int = 1024
    ) -> AsyncGenerator[Batch, None]:
        """See `broker.log.Log`."""
        self._check_open()
        follower: SharedFollower | SoleFollower = (
            SoleFollower(self._cluster, self._reads, reader, topics, limit)
            if sole
            else SharedFollower(self._cluster, self._reads, reader, topics, limit)
        )
        if sole:
            await self._let_go(reader)
        self._followers.add(follower)
        try:
            async with aclosing(follower.batches()) as batches:
                async for batch in batches:
                    yield batch
        finally:
            self._followers.discard(follower)

    async def read(self, partition: Partition, start: int, limit: int) -> Sequence[Stored]:
        """See `broker.log.Log`."""
        return await self._reads.read(partition, start, limit)

    async def take_over(self, reader: str) -> None:
        """See `broker.log.Log`."""
        self._check_open()
        await self._let_go(reader)
        identity = self._cluster.transaction(reader)
        writer = TransactionalWriter(self._cluster, identity, self._cluster.group(reader))
        self._taken_over[reader] = writer
        try:
            await writer.start()
        except BaseException:
            await self._let_go(reader)
            raise

    async def append_as(self, reader: str, records: Sequence[Record]) -> None:
        """See `broker.log.Log`."""
        await self._reads.check({record.partition for record in records})
        for follower in self._followers:
            if isinstance(follower, SoleFollower) and follower.reader == reader:
                await follower.append(records)
                return
        if reader not in self._taken_over:
            raise LogUnavailable("take over first")
        await self._taken_over[reader].store(records, {})

    async def erase(
        self,
        reader: str,
        records: Sequence[Record],
        places: Mapping[Partition, set[int]],  # noqa: ARG002  the cleaner goes by keys
    ) -> None:
        """See `broker.log.Log`."""
        await self.append_as(reader, records)

    async def scrub(self, partitions: Collection[Partition]) -> float:
        """See `broker.log.Log`.

        A segment is cleaned once it is rolled, and an idle partition rolls none: a tick does, written when
        the erasing records have reached the lag.
        """
        if partitions:
            await self._append([Record(partition, TICK, b"") for partition in sorted(partitions)])
        return self._cluster.compaction_lag_seconds

    async def _let_go(self, reader: str) -> None:
        if (writer := self._taken_over.pop(reader, None)) is not None:
            await writer.stop()

    async def ends(self, topics: Sequence[str], *, settled: bool = True) -> Mapping[Partition, int]:
        """See `broker.log.Log`."""
        found = await self._reads.named(topics)
        return await (self._reads.ends(found) if settled else self._reads.committed(found))

    async def places(self, reader: str) -> Mapping[Partition, int]:
        """See `broker.log.Log`."""
        partitions = await self._reads.partitions(re.compile(re.escape(self._cluster.prefix)))
        return await self._reads.places(reader, partitions)

    async def wait(self, ends: Mapping[Partition, int], seconds: float) -> None:
        """See `broker.log.Log`.

        One of those who wait asks for the ends of all partitions that anybody waits for; when it leaves,
        another goes on.  That small question, 50 times a second, costs less than fetching for each who
        waits what it will read anyway.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self._waited.update(ends.keys())
        try:
            while not self._growth.past(ends) and loop.time() < until:
                if self._looking:
                    await self._growth.wait(ends, until - loop.time(), stir=True)
                else:
                    await self._look(ends, until)
        finally:
            self._waited.subtract(ends.keys())
            self._waited += Counter()  # forgets those for which nobody waits

    def working(self) -> Mapping[str, bool]:
        """See `broker.log.Log`.

        Who is not sent anything any more appends nothing, so a failure counts for a while only.
        """
        failed = asyncio.get_running_loop().time() - self._failed_at < FAILURE_SECONDS
        return {"append": not failed} | {each.reader: each.stands for each in self._followers}

    async def begin_at(self, partition: Partition, offset: int) -> None:
        """See `broker.log.Log`."""
        there = self._cluster.there(partition)
        await self._reads.check([partition])
        if (await self._reads.committed([there]))[partition]:
            raise BadConfiguration("the partition is not empty", field=partition.topic)
        await fill(self._cluster, partition, offset)

    async def set_places(self, reader: str, places: Mapping[Partition, int]) -> None:
        """See `broker.log.Log`."""
        group = self._cluster.group(reader)
        writer = TransactionalWriter(self._cluster, self._cluster.transaction(reader), group)
        try:
            await writer.start()
            await writer.store([], places)
        finally:
            await writer.stop()
        await self._reads.until_placed(reader, places)

    async def remarks(self) -> Sequence[str]:
        """See `broker.log.Log`."""
        return await remarks(self._cluster, self._reads)

    async def close(self) -> None:
        """See `broker.log.Log`."""
        if self._closed:
            return
        self._closed = True
        self._growth.stir()
        for follower in list(self._followers):
            await follower.stop()
        for reader in list(self._taken_over):
            await self._let_go(reader)
        if self._producer is not None:
            await self._give_up(self._producer)
        await self._reads.stop()

    # --- waiting ----------------------------------------------------------------------------------

    async def _look(self, ends: Mapping[Partition, int], until: float) -> None:
        loop = asyncio.get_running_loop()
        self._looking = True
        try:
            while not self._growth.past(ends) and loop.time() < until:
                now = await self._reads.committed(
                    [self._cluster.there(partition) for partition in self._waited]
                )
                known = self._growth.ends
                self._growth.grow({p: end for p, end in now.items() if known.get(p) != end})
                if not self._growth.past(ends):
                    await asyncio.sleep(min(LOOK_SECONDS, max(until - loop.time(), 0)))
        finally:
            self._looking = False
            self._growth.stir()

    # --- appending --------------------------------------------------------------------------------

    async def _append(self, records: Sequence[Record]) -> Mapping[int, int]:
        """Append, and return the offset of each record by its index."""
        producer = await self._appending()
        try:
            async with asyncio.timeout(self._cluster.step_seconds):
                sent = await send(self._cluster, producer, records)
                return await delivered(sent, self._cluster.step_seconds)
        except (TimeoutError, LogUnavailable) as error:
            await self._give_up(producer)
            if isinstance(error, TimeoutError):
                raise LogUnavailable("Kafka did not store the records in time") from None
            raise

    async def _appending(self) -> Any:
        """Return the producer, starting it the first time and after it was given up."""
        async with self._producer_lock:
            self._check_open()
            if self._producer is None:
                producer = self._cluster.producer()
                try:
                    await start_client(producer, self._cluster.step_seconds, "start appending")
                except BaseException:
                    await stop_producer(producer)
                    raise
                self._producer = producer
            return self._producer

    async def _give_up(self, producer: Any) -> None:
        """Stop a producer that failed, once, whoever finds out first."""
        async with self._producer_lock:
            if self._producer is not producer:
                return
            self._producer = None
        await stop_producer(producer)

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("the log is closed")
