"""Processes to be killed, a load to kill them under, and the counting of what they stored.

The counting imports nothing of ours: a plain consumer that sees what is committed.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 20
RECORDS_AT_ONCE = 20
PAUSE_SECONDS = 0.02
"""Between two portions of the load: some hundreds of records a second."""


@dataclass
class Workers:
    """Processes of one kind: `python` with these arguments."""

    arguments: Sequence[str]
    running: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self) -> asyncio.subprocess.Process:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, *self.arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        self.running.append(worker)
        return worker

    async def said(self, worker: asyncio.subprocess.Process) -> bytes:
        """Return the next line that a process writes."""
        assert worker.stdout is not None
        return await worker.stdout.readline()

    async def kill(self, worker: asyncio.subprocess.Process) -> None:
        worker.kill()
        await worker.wait()
        self.running.remove(worker)

    async def stop(self) -> None:
        """Let all end by themselves, so that no transaction stays open; kill who does not."""
        for worker in self.running:
            with suppress(ProcessLookupError):
                worker.send_signal(signal.SIGCONT)
                worker.terminate()
        for worker in self.running:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await worker.wait()
            except TimeoutError:
                worker.kill()
                await worker.wait()
        self.running.clear()


@asynccontextmanager
async def fed(bootstrap: str, topic: str, partitions: int) -> AsyncIterator[Counter[int]]:
    """Append numbered records, in turn over the partitions, until left; count them by partition."""
    sent: Counter[int] = Counter()
    enough = asyncio.Event()

    async def feed() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
            while not enough.is_set():
                for _ in range(RECORDS_AT_ONCE):
                    number = sent.total()
                    value = b"%d" % number
                    await producer.send_and_wait(topic, value, value, number % partitions)
                    sent[number % partitions] += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async with asyncio.TaskGroup() as group:
        group.create_task(feed())
        yield sent
        enough.set()


async def stored(
    bootstrap: str, topics: Iterable[str], *, until: int | None = None
) -> Mapping[str, list[bytes]]:
    """Read the first partition of each topic from its beginning, as anybody would.

    Until its end, or until it holds that many different keys.
    """
    found: dict[str, list[bytes]] = {topic: [] for topic in topics}
    left = {TopicPartition(topic, 0) for topic in found}
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    async with consumer:
        consumer.assign(list(left))
        for there in left:
            consumer.seek(there, 0)
        ends = await consumer.end_offsets(list(left))
        while left:
            for there, records in (await consumer.getmany(*left, timeout_ms=100)).items():
                found[there.topic] += [record.key for record in records]
            for there in list(left):
                at_end = await consumer.position(there) >= ends[there]
                if at_end if until is None else len(set(found[there.topic])) >= until:
                    left.discard(there)
    return found
