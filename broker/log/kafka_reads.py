"""Questions to the cluster that change nothing: ends, places, topics, and ranges of a partition."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from broker.core.errors import BadConfiguration
from broker.log import LogUnavailable, Partition, Stored
from broker.log.kafka_clients import (
    FETCH_WAIT_MILLISECONDS,
    PARTITION_FETCH_BYTES,
    TICK,
    Cluster,
    bounded,
    start_client,
    stop_admin,
    stop_consumer,
)
from broker.log.kafka_kept import KeptClient

READERS: Final = 4
"""Ranges that are read at the same time; more wait for their turn."""
KEPT: Final = 12
"""Consumers kept where they stand: a ledger goes on in six partitions, an inbox in one for each member."""
READ_WAIT_MILLISECONDS: Final = 2
"""How long a broker may keep a question for a range; what is asked for is there, so it answers at once.

Behind it the library asks for more, and no other partition meanwhile: a longer wait would be ours."""
RETRY_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 0.005

_T = TypeVar("_T")


@dataclass(slots=True, eq=False)
class _Position:
    """A consumer, and the partition and offsets from which it goes on without being asked anew.

    From `since`, behind the last record that it yielded, to `next` there are no records, but markers of
    transactions: whoever goes on from one of these gets the same.
    """

    consumer: Any
    partition: Partition | None = None
    since: int = -1
    next: int = -1
    at_end: bool = False

    def goes_on(self, partition: Partition, start: int) -> bool:
        """Does it go on from this place?"""
        return self.partition == partition and self.since <= start <= self.next


class Reads:
    """Clients that belong to no group."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        step = cluster.step_seconds
        self._asking = KeptClient(cluster.consumer, stop_consumer, step)
        self._asking_all = KeptClient(
            partial(cluster.consumer, isolation_level="read_uncommitted"), stop_consumer, step
        )
        self._admin = KeptClient(cluster.admin, stop_admin, step)
        self._rooms = {True: asyncio.Semaphore(READERS), False: asyncio.Semaphore(READERS)}
        self._idle: dict[bool, list[_Position]] = {True: [], False: []}
        self._known: set[TopicPartition] = set()
        self._decided: dict[Partition, int] = {}
        self._closed = False

    async def start(self) -> None:
        """Find the cluster.

        Raises:
            LogUnavailable: No broker answers.
        """
        for client in (self._asking, self._asking_all, self._admin):
            await client.start()

    async def stop(self) -> None:
        """Close the clients."""
        self._closed = True
        for client in (self._asking, self._asking_all, self._admin):
            await client.stop()
        for idle in self._idle.values():
            while idle:
                await stop_consumer(idle.pop().consumer)

    async def describe_cluster(self) -> Mapping[str, Any]:
        """Return what the cluster says of itself."""
        described: Mapping[str, Any] = await self._ask(
            lambda admin: admin.describe_cluster(), "describe itself"
        )
        return described

    async def create_topics(self, topics: Sequence[Any]) -> Any:
        """Create topics; what is refused is in the answer, the call itself succeeds."""
        return await self._ask(lambda admin: admin.create_topics(list(topics)), "create topics")

    async def partitions(self, pattern: re.Pattern[str]) -> list[TopicPartition]:
        """Return the partitions of all topics whose names match."""
        topics = await self._ask(lambda admin: admin.describe_topics(), "list the topics")
        return [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in topics
            if pattern.match(topic["topic"])
            for partition in topic["partitions"]
        ]

    async def describe(self, pattern: re.Pattern[str]) -> list[Mapping[str, Any]]:
        """Return what the cluster says of the topics whose names match: partitions, copies."""
        topics = await self._ask(lambda admin: admin.describe_topics(), "list the topics")
        return [topic for topic in topics if pattern.match(topic["topic"])]

    async def settings(self, asked: Sequence[Any]) -> dict[str, Mapping[str, str]]:
        """Return the settings of topics and brokers, by their names."""
        if not asked:
            return {}
        answers = await self._ask(lambda admin: admin.describe_configs(list(asked)), "tell settings")
        return {
            name: {setting: value for setting, value, *_ in found}
            for answer in answers
            for _code, _message, _kind, name, found in answer.resources
        }

    async def named(self, topics: Sequence[str]) -> list[TopicPartition]:
        """Return the partitions of topics by their names; what is known is not asked for again."""
        names = {self._cluster.topic(name) for name in topics}
        if not any(name.endswith("*") for name in topics):
            known = [there for there in self._known if there.topic in names]
            if len({there.topic for there in known}) == len(names):
                return known
        found = await self.partitions(re.compile(self._cluster.pattern(topics)))
        self._known.update(found)
        return found

    async def committed(self, partitions: Iterable[TopicPartition]) -> dict[Partition, int]:
        """Return where what is decided ends: the first open transaction of anybody, or the end."""
        asked = await self._end_offsets(self._asking, partitions)
        ends = {self._cluster.here(partition): end for partition, end in asked.items()}
        self._decided |= ends
        return ends

    async def ends(self, partitions: Sequence[TopicPartition]) -> dict[Partition, int]:
        """Return ends below which all lies that was committed before; all below them is decided.

        A transaction is committed before its records can be read, and a record that was committed cannot
        be read while an older transaction of somebody else is open in its partition.  So this waits
        until what is written now is decided.
        """
        written = await self._end_offsets(self._asking_all, partitions)

        async def decided() -> dict[Partition, int]:
            while True:
                ends = await self.committed(partitions)
                if all(ends[self._cluster.here(there)] >= end for there, end in written.items()):
                    return ends
                await asyncio.sleep(LOOK_SECONDS)

        return await bounded(decided(), self._cluster.step_seconds, "decide open transactions")

    async def places(self, reader: str, partitions: Sequence[TopicPartition]) -> dict[Partition, int]:
        """Return the committed places of a reader, in one question; partitions without one are left out."""

        async def ask(admin: Any) -> Mapping[TopicPartition, Any]:
            group = self._cluster.group(reader)
            places: Mapping[TopicPartition, Any] = await admin.list_consumer_group_offsets(
                group, partitions=list(partitions)
            )
            # A coordinator that is still loading, or no longer is one, answers with an error that the
            # library does not look at, and with no partitions: that would mean "from the beginning".
            if not places.keys() >= set(partitions):
                raise GroupCoordinatorNotAvailableError
            return places

        if not partitions:
            return {}
        found = await self._ask(ask, "tell the places of a reader")
        return {
            self._cluster.here(there): place.offset for there, place in found.items() if place.offset >= 0
        }

    async def until_placed(self, reader: str, places: Mapping[Partition, int]) -> None:
        """Return when a reader is seen at these places: a moment after their transaction is confirmed."""
        wanted = {self._cluster.there(partition): place for partition, place in places.items()}

        async def ask(admin: Any) -> None:
            found = await admin.list_consumer_group_offsets(
                self._cluster.group(reader), partitions=list(wanted)
            )
            if {there: kept.offset for there, kept in found.items()} != wanted:
                raise GroupCoordinatorNotAvailableError

        if wanted:
            await self._ask(ask, "tell the places of a reader")

    async def check(self, partitions: Iterable[Partition]) -> None:
        """Return if all these partitions are there; topics are never taken away.

        Raises:
            BadConfiguration: One is not.
        """
        missing = {self._cluster.there(partition) for partition in partitions} - self._known
        if missing:
            self._known.update(await self.partitions(re.compile(re.escape(self._cluster.prefix))))
        for there in missing - self._known:
            partition = self._cluster.here(there)
            raise BadConfiguration(
                f"there is no partition {partition.number} of topic {partition.topic}: create it first",
                field=partition.topic,
            )

    async def read(self, partition: Partition, start: int, limit: int) -> list[Stored]:
        """Return committed records from offset `start`; see `broker.log.Log.read`."""
        await self.check([partition])
        # What was decided once is decided: behind that, and only there, the cluster is asked.
        if start + limit <= (end := self._decided.get(partition, 0)) and (
            found := await self._read(partition, start, limit, end)
        ):
            return found
        end = (await self.committed([self._cluster.there(partition)]))[partition]
        return await self._read(partition, start, limit, end) if start < end else []

    async def _read(self, partition: Partition, start: int, limit: int, end: int) -> list[Stored]:
        there = self._cluster.there(partition)
        found: list[Stored] = []
        async with self._reader(partition, start, one=limit == 1) as position:
            until = asyncio.get_running_loop().time() + self._cluster.step_seconds
            while len(found) < limit and position.next < end:
                found += await self._more(position, there, limit - len(found))
                position.at_end = position.next >= end
                if asyncio.get_running_loop().time() > until:
                    raise LogUnavailable("Kafka did not yield the records in time")
        return found

    async def _ask(self, question: Callable[[Any], Awaitable[_T]], what: str) -> _T:
        """Ask until the cluster can answer: a broker may be gone, or not yet know its part."""

        async def ask(admin: Any) -> _T:
            while True:
                try:
                    return await question(admin)
                except KafkaError as error:
                    if not error.retriable:
                        raise
                await asyncio.sleep(RETRY_SECONDS)

        self._check_open()
        async with self._admin.use() as admin:
            return await bounded(ask(admin), self._cluster.step_seconds, what)

    async def _end_offsets(
        self, client: KeptClient, partitions: Iterable[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        self._check_open()
        async with client.use() as consumer:
            asking: Awaitable[Mapping[TopicPartition, int]] = consumer.end_offsets(list(partitions))
            return await bounded(asking, self._cluster.step_seconds, "tell the ends")

    async def _more(self, position: _Position, there: TopicPartition, limit: int) -> list[Stored]:
        step = self._cluster.step_seconds
        fetching = position.consumer.getmany(there, timeout_ms=FETCH_WAIT_MILLISECONDS, max_records=limit)
        records = stored(self._cluster, (await bounded(fetching, step, "yield records")).get(there, ()))
        if records:
            position.since = records[-1].offset + 1
        # Markers of transactions hold offsets too: the position passes them, records do not tell.
        position.next = await bounded(position.consumer.position(there), step, "tell a position")
        return records

    @asynccontextmanager
    async def _reader(self, partition: Partition, start: int, *, one: bool) -> AsyncIterator[_Position]:
        """Lend a consumer that stands at `start`; one that failed is not used again.

        Those that read `one` record fetch no more than its batch; they are others than those that go on.
        """
        async with self._rooms[one]:
            position = await self._take(partition, start, one=one)
            try:
                yield position
            except BaseException:
                await stop_consumer(position.consumer)
                raise
            if self._closed:
                await stop_consumer(position.consumer)
            else:
                if one or position.at_end:
                    # Else it would ask again and again for what is not there, or is not wanted.
                    position.consumer.pause(self._cluster.there(partition))
                self._idle[one].append(position)

    async def _take(self, partition: Partition, start: int, *, one: bool) -> _Position:
        self._check_open()
        there = self._cluster.there(partition)
        positions = self._idle[one]
        for index, idle in enumerate(positions):
            if idle.goes_on(partition, start):
                idle.consumer.resume(there)
                return positions.pop(index)
        if len(positions) >= KEPT:
            position = positions.pop(0)
        else:
            bytes_at_once = 1 if one else PARTITION_FETCH_BYTES  # a batch comes whole, however large
            position = _Position(self._cluster.consumer(READ_WAIT_MILLISECONDS, bytes_at_once))
            try:
                await start_client(position.consumer, self._cluster.step_seconds, "start a reader")
            except BaseException:
                await stop_consumer(position.consumer)
                raise
        position.consumer.assign([there])
        position.consumer.seek(there, start)
        position.partition, position.since, position.next = partition, start, start
        return position

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("the log is closed")


def stored(cluster: Cluster, records: Iterable[Any]) -> list[Stored]:
    """Return the library's records as ours, without ticks."""
    named: dict[tuple[str, int], Partition] = {}
    found = []
    for record in records:
        if record.key == TICK and not record.value:
            continue
        there = record.topic, record.partition
        if there not in named:
            named[there] = cluster.here(TopicPartition(*there))
        found.append(Stored(named[there], record.offset, record.key or b"", record.value or b""))
    return found
