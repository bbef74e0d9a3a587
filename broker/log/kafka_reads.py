"""Questions to the cluster that change nothing: ends, places, topics, and ranges of a partition."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition

from broker.core.errors import BadConfiguration
from broker.log import LogUnavailable, Partition, Stored
from broker.log.kafka_clients import (
    FETCH_WAIT_MILLISECONDS,
    Cluster,
    bounded,
    stop_admin,
    stop_consumer,
)

READERS: Final = 4
"""Ranges that are read at the same time; more wait for their turn."""


@dataclass(slots=True, eq=False)
class _Position:
    """A consumer, and the partition and offset from which it goes on without being asked anew."""

    consumer: Any
    partition: Partition | None = None
    next: int = -1


class Reads:
    """Clients that belong to no group."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._asking: Any = None
        self._admin: Any = None
        self._room = asyncio.Semaphore(READERS)
        self._idle: list[_Position] = []
        self._closed = False

    async def start(self) -> None:
        """Find the cluster.

        Raises:
            LogUnavailable: No broker answers.
        """
        step = self._cluster.step_seconds
        self._asking = self._cluster.consumer()
        self._admin = self._cluster.admin()
        await bounded(self._asking.start(), step, "answer at the address")
        await bounded(self._admin.start(), step, "answer at the address")

    async def stop(self) -> None:
        """Close the clients."""
        self._closed = True
        if self._asking is not None:
            await stop_consumer(self._asking)
        if self._admin is not None:
            await stop_admin(self._admin)
        while self._idle:
            await stop_consumer(self._idle.pop().consumer)

    @property
    def admin(self) -> Any:
        """The administrative client."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        return self._admin

    async def partitions(self, pattern: re.Pattern[str]) -> list[TopicPartition]:
        """Return the partitions of all topics whose names match."""
        consumer = self._open()
        topics = await bounded(consumer.topics(), self._cluster.step_seconds, "list the topics")
        return [
            TopicPartition(topic, number)
            for topic in topics
            if pattern.match(topic)
            for number in consumer.partitions_for_topic(topic) or ()
        ]

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[Partition, int]:
        """Return the ends of what is committed, in one question to each broker."""
        consumer = self._open()
        asking = consumer.end_offsets(list(partitions))
        ends = await bounded(asking, self._cluster.step_seconds, "tell the ends")
        return {self._cluster.here(partition): end for partition, end in ends.items()}

    async def places(self, reader: str) -> dict[Partition, int]:
        """Return the committed places of a reader, in one question."""
        asking = self.admin.list_consumer_group_offsets(self._cluster.group(reader))
        found = await bounded(asking, self._cluster.step_seconds, "tell the places of a reader")
        return {
            self._cluster.here(there): place.offset for there, place in found.items() if place.offset >= 0
        }

    async def read(self, partition: Partition, start: int, limit: int) -> list[Stored]:
        """Return committed records from offset `start`; see `broker.log.Log.read`."""
        there = self._cluster.there(partition)
        known = await self.partitions(re.compile(f"^{re.escape(there.topic)}$"))
        if there not in known:
            raise BadConfiguration(
                f"there is no partition {partition.number} of topic {partition.topic}: create it first",
                field=partition.topic,
            )
        end = (await self.ends([there]))[partition]
        found: list[Stored] = []
        if start >= end:
            return found
        async with self._reader(partition, start) as position:
            until = asyncio.get_running_loop().time() + self._cluster.step_seconds
            while len(found) < limit and position.next < end:
                found += await self._more(position, there, limit - len(found))
                if asyncio.get_running_loop().time() > until:
                    raise LogUnavailable("Kafka did not yield the records in time")
        return found

    async def _more(self, position: _Position, there: TopicPartition, limit: int) -> list[Stored]:
        step = self._cluster.step_seconds
        fetching = position.consumer.getmany(there, timeout_ms=FETCH_WAIT_MILLISECONDS, max_records=limit)
        records = stored(self._cluster, (await bounded(fetching, step, "yield records")).get(there, ()))
        # Markers of transactions hold offsets too: the position passes them, records do not tell.
        position.next = await bounded(position.consumer.position(there), step, "tell a position")
        return records

    @asynccontextmanager
    async def _reader(self, partition: Partition, start: int) -> AsyncIterator[_Position]:
        """Lend a consumer that stands at `start`; one that failed is not used again."""
        async with self._room:
            position = await self._take(partition, start)
            try:
                yield position
            except BaseException:
                await stop_consumer(position.consumer)
                raise
            if self._closed:
                await stop_consumer(position.consumer)
            else:
                self._idle.append(position)

    async def _take(self, partition: Partition, start: int) -> _Position:
        self._open()
        for index, idle in enumerate(self._idle):
            if (idle.partition, idle.next) == (partition, start):
                return self._idle.pop(index)
        if len(self._idle) >= READERS:
            position = self._idle.pop(0)
        else:
            position = _Position(self._cluster.consumer())
            await bounded(position.consumer.start(), self._cluster.step_seconds, "start a reader")
        there = self._cluster.there(partition)
        position.consumer.assign([there])
        position.consumer.seek(there, start)
        position.partition, position.next = partition, start
        return position

    def _open(self) -> Any:
        if self._closed:
            raise LogUnavailable("the log is closed")
        return self._asking


def stored(cluster: Cluster, records: Iterable[Any]) -> list[Stored]:
    """Return the library's records as ours."""
    return [
        Stored(
            cluster.here(TopicPartition(record.topic, record.partition)),
            record.offset,
            record.key or b"",
            record.value or b"",
        )
        for record in records
    ]
