"""Two sequencers follow one log: one leads, the other stands by, whatever happens to the first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiokafka import AIOKafkaProducer

from broker.clock import SystemClock
from broker.core.keys import Algorithm, PrivateKey, new_salt
from broker.core.model import Leaf, Read, Readable
from broker.core.note import LogSigner
from broker.core.records import frame, record_id, unframe
from broker.log import Batch, Fenced, Log, Partition, Record, open_log
from broker.log.kafka_clients import Cluster
from broker.log.topics import AUDIT_LEAVES, READS, hub_topics
from broker.services.metrics import Metrics
from broker.services.sequencer import READER, Sequencer
from tests.crash import CrashingLog, CrashPoints
from tests.world import NETWORK

SECONDS = 60
PATIENCE_SECONDS = 0.3
LOOK_SECONDS = 0.02


class HeldLog(CrashingLog):
    """A log whose user sleeps, with a batch in its hands, while `awake` is not set: like a paused process."""

    def __init__(self, log: Log) -> None:
        super().__init__(log, CrashPoints())
        self.log = log
        self.awake = asyncio.Event()
        self.taken = asyncio.Event()

    async def follow(
        self, reader: str, topics: Sequence[str], *, sole: bool = False, limit: int = 1024
    ) -> AsyncGenerator[Batch, None]:
        async with aclosing(self.log.follow(reader, topics, sole=sole, limit=limit)) as batches:
            async for batch in batches:
                self.taken.set()
                await self.awake.wait()
                yield batch


@dataclass
class Two:
    """Two sequencers, each with what a process of its own would have."""

    logs: Sequence[HeldLog]
    sequencers: Sequence[Sequencer]
    metrics: Sequence[Metrics]
    group: asyncio.TaskGroup
    tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def start(self, number: int) -> None:
        self.logs[number].awake.set()
        self.tasks[number] = self.group.create_task(self.sequencers[number].run())
        await self.sequencers[number].caught_up.wait()

    def leads(self, number: int) -> bool:
        (sample,) = next(iter(self.metrics[number].leads.collect())).samples
        return sample.value == 1

    async def write(self) -> bytes:
        """Store something that gets a leaf, and return its id."""
        read = Read(new_salt(), "vn", Readable.INBOX, (bytes(32),), None, 1)
        await self.logs[0].log.append([Record(Partition(READS), record_id(read), frame(read))])
        return record_id(read)

    async def leaves(self) -> list[Leaf]:
        return [
            unframe(Leaf, each.value) for each in await self.logs[0].log.read(Partition(AUDIT_LEAVES), 0, 99)
        ]

    async def leaf_of(self, id_: bytes) -> None:
        """Return when the record has its leaf."""
        while not any(leaf.entry.endswith(id_) for leaf in await self.leaves()):  # noqa: ASYNC110  a log of another process
            await asyncio.sleep(LOOK_SECONDS)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  the metrics wake nobody
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def two(url: str) -> AsyncIterator[Two]:
    signer = LogSigner(f"{NETWORK}/log", PrivateKey.generate(Algorithm.ED25519))
    async with asyncio.timeout(SECONDS), open_log(url) as first, _another(url, first) as second:
        await first.create(hub_topics(("vn",)))
        logs, metrics = [HeldLog(first), HeldLog(second)], [Metrics(), Metrics()]
        sequencers = [
            Sequencer(log, signer, SystemClock(), metric, patience=PATIENCE_SECONDS)
            for log, metric in zip(logs, metrics, strict=True)
        ]
        async with asyncio.TaskGroup() as group:
            here = Two(logs, sequencers, metrics, group)
            yield here
            for task in here.tasks.values():
                task.cancel()


@asynccontextmanager
async def _another(url: str, log: Log) -> AsyncIterator[Log]:
    """Open the log once more; the embedded one belongs to one process, so both have the same."""
    if url.startswith("sqlite:"):
        yield log
        return
    async with open_log(url) as another:
        yield another


async def test_who_is_shut_out_stands_by_and_leads_again_when_the_other_is_gone(log_url: str) -> None:
    async with two(log_url) as both:
        await both.start(0)
        written = [await both.write()]
        await both.leaf_of(written[-1])

        await both.start(1)
        written.append(await both.write())
        await both.leaf_of(written[-1])
        await until(lambda: not both.leads(0))
        assert both.leads(1)

        both.tasks.pop(1).cancel()
        written.append(await both.write())
        await both.leaf_of(written[-1])
        assert both.leads(0)

        leaves = await both.leaves()
    assert [leaf.index for leaf in leaves] == [0, 1, 2]
    assert [leaf.entry[1:] for leaf in leaves] == written


@pytest.mark.parametrize("at", ["its first batch", "a later batch"])
async def test_who_slept_while_it_was_replaced_makes_no_leaf_when_it_wakes_up(log_url: str, at: str) -> None:
    async with two(log_url) as both:
        await both.start(1)
        written = [await both.write()]
        await both.leaf_of(written[-1])
        await both.start(0)
        if at == "a later batch":
            written.append(await both.write())
            await both.leaf_of(written[-1])

        sleeper = both.logs[0]
        sleeper.taken.clear()
        sleeper.awake.clear()
        written.append(await both.write())
        await sleeper.taken.wait()
        await both.leaf_of(written[-1])
        assert both.leads(1)

        sleeper.awake.set()
        await until(lambda: not both.leads(0))
        written.append(await both.write())
        await both.leaf_of(written[-1])
        assert both.leads(1)

        leaves = await both.leaves()
    assert [leaf.index for leaf in leaves] == list(range(len(written)))
    assert [leaf.entry[1:] for leaf in leaves] == written


@pytest.mark.kafka
@pytest.mark.sockets
async def test_who_was_replaced_puts_nothing_behind_what_its_successor_stored(kafka_url: str) -> None:
    read = Read(new_salt(), "vn", Readable.INBOX, (bytes(32),), None, 1)
    record = Record(Partition(READS), record_id(read), frame(read))
    async with two(kafka_url) as both:
        first, second = (each.log for each in both.logs)
        await first.take_over(READER)
        await first.append_as(READER, [record])
        await second.take_over(READER)
        with pytest.raises(Fenced):
            await first.append_as(READER, [record])
        await second.append_as(READER, [record])

        assert len(await first.read(Partition(READS), 0, 9)) == 2


@pytest.mark.kafka
@pytest.mark.sockets
async def test_a_start_does_not_wait_for_what_a_dead_predecessor_left_open(
    kafka: str, kafka_url: str
) -> None:
    cluster = Cluster((kafka,), kafka_url.rpartition("/")[2] + ".")
    dead = AIOKafkaProducer(
        bootstrap_servers=kafka,
        transactional_id=cluster.transaction(READER),
        transaction_timeout_ms=10 * SECONDS * 1000,
    )
    async with two(kafka_url) as both, dead:
        await dead.begin_transaction()
        await dead.send_and_wait(cluster.topic(AUDIT_LEAVES), b"half of what it had to say", partition=0)

        await both.start(0)
        await both.leaf_of(await both.write())

        assert len(await both.leaves()) == 1
