"""One transactional producer: results and places in one transaction, or nothing.

Starting it shuts out whoever had the same id before, and decides that one's open transaction; only
after that is a committed place final.  A transaction in which anything failed is given up together
with the producer: the next one starts from what is true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

from broker.log import Fenced, LogUnavailable, Partition, Record
from broker.log.kafka_clients import Cluster, bounded, hear, start_client, stop_producer

FILLED_AT_ONCE: Final = 10_000


class TransactionalWriter:
    """Writes under one transactional id, as its only owner."""

    def __init__(self, cluster: Cluster, identity: str, group: str) -> None:
        self._cluster = cluster
        self._identity = identity
        self._group = group
        self._producer: Any = None
        self.fenced = False

    async def start(self) -> None:
        """Shut out the owner before us, and wait until its last transaction is decided.

        Raises:
            LogUnavailable: The cluster did not do that in time.
        """
        self._producer = self._cluster.producer(self._identity)
        await start_client(self._producer, self._cluster.step_seconds, "start transactions")

    async def store(self, results: Sequence[Record], places: Mapping[Partition, int]) -> None:
        """Store the results and the group's places in one transaction.

        Raises:
            Fenced: A successor has taken over; nothing was stored.
            LogUnavailable: Perhaps stored, perhaps not; start another writer.
        """
        producer, self._producer = self._producer, None
        if producer is None:
            raise LogUnavailable("a transaction before failed; the reader starts again")
        try:
            async with asyncio.timeout(self._cluster.step_seconds):
                await self._transaction(producer, results, places)
        except TimeoutError:
            await stop_producer(producer)
            raise LogUnavailable("Kafka did not commit in time") from None
        except Fenced:
            self.fenced = True
            await stop_producer(producer)
            raise
        except BaseException:
            await stop_producer(producer)
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Let go of the id."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer)

    async def _transaction(
        self, producer: Any, results: Sequence[Record], places: Mapping[Partition, int]
    ) -> None:
        step = self._cluster.step_seconds
        offsets = {self._cluster.there(partition): place for partition, place in places.items()}
        await bounded(producer.begin_transaction(), step, "begin a transaction")
        sent = await send(self._cluster, producer, results)
        # A commit goes through although a record of it failed; so each is looked at before.
        await delivered(sent, step)
        if offsets:
            await bounded(producer.send_offsets_to_transaction(offsets, self._group), step, "move the place")
        await bounded(producer.commit_transaction(), step, "commit")


async def send(cluster: Cluster, producer: Any, records: Sequence[Record]) -> list[tuple[Any, list[int]]]:
    """Hand the records to the producer, in whole batches for each partition.

    Returns the future of each batch with the indices of its records.

    Raises:
        LogUnavailable: Not all could be handed over.
    """
    by_partition: dict[Partition, list[int]] = {}
    for index, record in enumerate(records):
        by_partition.setdefault(record.partition, []).append(index)
    sent: list[tuple[Any, list[int]]] = []

    async def hand_over(sending: Awaitable[Any], indices: list[int]) -> None:
        future = await bounded(sending, cluster.step_seconds, "take records")
        future.add_done_callback(hear)
        sent.append((future, indices))

    for partition, indices in by_partition.items():
        topic = cluster.topic(partition.topic)
        if len(indices) == 1:
            record = records[indices[0]]
            await hand_over(producer.send(topic, record.value, record.key, partition.number), indices)
            continue
        batch = producer.create_batch()
        held: list[int] = []
        for index in indices:
            record = records[index]
            if batch.append(key=record.key, value=record.value, timestamp=None) is None:
                await hand_over(producer.send_batch(batch, topic, partition=partition.number), held)
                batch, held = producer.create_batch(), []
                batch.append(key=record.key, value=record.value, timestamp=None)
            held.append(index)
        await hand_over(producer.send_batch(batch, topic, partition=partition.number), held)
    return sent


async def fill(cluster: Cluster, partition: Partition, offset: int) -> None:
    """Use up the offsets of an empty partition below `offset`, by transactions that are taken back.

    Offsets cannot be chosen; but what was taken back keeps those that it had, and its marker one more.

    Raises:
        LogUnavailable: The cluster did not do that in time.
    """
    step = cluster.step_seconds
    producer = cluster.producer(cluster.transaction("restore"))
    try:
        await start_client(producer, step, "start transactions")
        while offset > 0:
            taken = min(max(offset - 1, 1), FILLED_AT_ONCE)
            await bounded(producer.begin_transaction(), step, "begin a transaction")
            await delivered(await send(cluster, producer, [Record(partition, b"", b"")] * taken), step)
            await bounded(producer.abort_transaction(), step, "take back a transaction")
            offset -= taken + 1
    finally:
        await stop_producer(producer)


async def delivered(sent: Sequence[tuple[Any, list[int]]], seconds: float) -> dict[int, int]:
    """Wait until all batches are stored, and return the offset of each record by its index.

    Raises:
        LogUnavailable: One was refused, or not stored in time.
    """
    if sent:
        await asyncio.wait([future for future, _ in sent], timeout=seconds)
    offsets: dict[int, int] = {}
    for future, indices in sent:
        stored = await bounded(future, seconds if future.done() else 0, "store the records")
        offsets |= {index: stored.offset + nth for nth, index in enumerate(indices)}
    return offsets
