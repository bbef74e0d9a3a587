"""The ladder of trust: the same notices at each step, and what the step adds.

Each rung does all that the one before it does and one thing more, up to a member's node that got everything
over HTTP with mutual TLS and has verified it again.  Signatures are of 64 together, as a node makes them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaProducer

from adapters.http_hub import HttpHub, pinned_context
from broker.core import signing
from broker.core.agreements import Context
from broker.core.index import Index
from broker.core.model import Envelope
from broker.core.notice import Arrived, read_envelope
from broker.core.records import framed
from broker.log import Partition, Record, Topic, open_log
from broker.services.dispatcher import BATCH as AT_ONCE
from tests.bench import deciding
from tests.bench.fanout import hand_over
from tests.bench.noting import Commits, NotingLog
from tests.bench.setting import BareFile, Setting, envelopes, signed_together
from tests.nodes import TestNode
from tests.served import HOST, served
from tests.soak.watching import NodeStore
from tests.world import NETWORK, World

COUNT = 4_096
FAN_OUT = (33, 8, 1)
DECIDED = f"+ decided for {deciding.MEMBERS} members"
DELIVERED_TO_ONE = "+ redacted deliveries to 1"
PARTITION = Partition("bench")


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: so many notices, in so many seconds, of which so many on a processor."""

    engine: str
    name: str
    count: int
    seconds: float
    processor: float
    on: str = ""
    """The rung that it stands on, if not the one before."""

    @property
    def rate(self) -> float:
        """Notices a second."""
        return self.count / self.seconds

    @property
    def microseconds(self) -> float:
        """Of a processor, for each notice."""
        return self.processor / self.count * 1e6


class _Climb:
    """One engine's ladder."""

    def __init__(self, setting: Setting, engine: str, count: int) -> None:
        self._setting = setting
        self._engine = engine
        self._count = count
        self.rungs: list[Rung] = []

    @asynccontextmanager
    async def _rung(self, name: str, on: str = "") -> AsyncIterator[None]:
        signing._covers_batch.cache_clear()
        started, processor = time.perf_counter(), time.process_time()
        yield
        seconds, processor = time.perf_counter() - started, time.process_time() - processor
        self.rungs.append(Rung(self._engine, name, self._count, seconds, processor, on))

    def _url(self) -> str:
        return self._setting.kafka_url() if self._engine == "Kafka" else self._file_url()

    def _file_url(self) -> str:
        return f"sqlite://{self._setting.fresh('ladder').absolute()}/log.db"

    async def climb(self) -> None:
        """Climb all of it."""
        world = World(self._setting.fresh("signer"), "m0")
        given = signed_together(world, envelopes(world, self._count))
        values = [framed(Envelope, each) for each in given]
        await self._raw(values)
        await self._checked(world, given, values)
        await self._decided(given)
        for receivers in FAN_OUT:
            await self._delivered(receivers)
        await self._proven()
        await self._received()

    async def _raw(self, values: Sequence[bytes]) -> None:
        if self._engine == "SQLite":
            bare = BareFile(self._setting.fresh("bare"))
            async with self._rung("raw append"):
                bare.append(values)
            bare.close()
            return
        url = self._url()
        async with open_log(url) as log:
            await log.create([Topic(PARTITION.topic)])
        bootstrap, _, prefix = url.removeprefix("kafka://").partition("/")
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0) as producer:
            await producer.send_and_wait(f"{prefix}.{PARTITION.topic}", b"", b"")
            async with self._rung("raw append"):
                pairs = [(value[:32], value) for value in values]
                await asyncio.wait(await hand_over(producer, f"{prefix}.{PARTITION.topic}", pairs))

    async def _checked(self, world: World, given: Sequence[bytes], values: Sequence[bytes]) -> None:
        directory, at = world.source.load(), world.clock.now()
        keys = directory.signing_keys("m0", at)

        def signed(data: bytes) -> Arrived:
            arrived = read_envelope(data)
            signing.verify_header(
                arrived.envelope.header, arrived.header, arrived.envelope.signature, keys, (),
                pq_required=False, network=NETWORK,
            )  # fmt: skip
            return arrived

        async with open_log(self._url()) as log:
            await log.create([Topic(PARTITION.topic)])
            await log.append([Record(PARTITION, b"", b"")])

            async def append(start: int) -> None:
                part = values[start : start + AT_ONCE]
                await log.append([Record(PARTITION, value[:32], value) for value in part])

            steps = range(0, self._count, AT_ONCE)
            async with self._rung("through the log"):
                for start in steps:
                    await append(start)
            async with self._rung("+ Avro, strictly"):
                for start in steps:
                    for data in given[start : start + AT_ONCE]:
                        read_envelope(data)
                    await append(start)
            async with self._rung("+ signature"):
                for start in steps:
                    for data in given[start : start + AT_ONCE]:
                        signed(data)
                    await append(start)

    async def _decided(self, given: Sequence[bytes]) -> None:
        index, context = self._index()
        headers = [read_envelope(each).header for each in given]
        async with self._world("m0") as world:
            world.stop_services()
            fresh = signed_together(world, envelopes(world, self._count))
            async with self._rung("+ digests and values: the gateway"):
                await self._publish(world, fresh)
            async with self._rung(DECIDED):
                await self._publish(world, fresh)
                for header in headers:
                    index.shares(header, context)

    def _index(self) -> tuple[Index, Context]:
        world = deciding.network(self._setting)
        return Index(world.source.load()), Context(world.clock.now(), {})

    async def _publish(self, world: World, given: Sequence[bytes]) -> None:
        for start in range(0, len(given), AT_ONCE):
            await world.gateway.publish("m0", given[start : start + AT_ONCE])

    @asynccontextmanager
    async def _world(self, *members: str, commits: Commits | None = None) -> AsyncIterator[World]:
        """Serve members of which all get everything from the first; only the dispatcher runs."""
        noted = Commits() if commits is None else commits
        world = World(
            self._setting.fresh("ladder"),
            *members,
            url=self._url(),
            wrap=lambda service, log: NotingLog(log, noted) if service == "dispatcher" else log,
        )
        for member in members[1:]:
            world.agree("m0", member, slots=["facts", "persons"])
        async with world:
            for name in ("sequencer", "ledger"):
                world.tasks[name].cancel()
            yield world

    def _warm_and_rest(self, world: World) -> tuple[list[bytes], list[bytes]]:
        """Return a first batch, in which partitions find their owners, and the notices that count."""
        given = signed_together(world, envelopes(world, AT_ONCE + self._count))
        return given[:AT_ONCE], given[AT_ONCE:]

    async def _delivered(self, receivers: int) -> None:
        commits = Commits()
        async with self._world(*_members(receivers), commits=commits) as world:
            first, rest = self._warm_and_rest(world)
            await self._publish(world, first)
            await commits.reach(len(first))
            async with self._rung(f"+ redacted deliveries to {receivers}", on=DECIDED):
                await self._publish(world, rest)
                await commits.reach(len(first) + len(rest))

    async def _proven(self) -> None:
        world = World(self._setting.fresh("ladder"), *_members(1), url=self._url())
        world.agree("m0", "m1", slots=["facts", "persons"])
        async with world:
            first, rest = self._warm_and_rest(world)
            await self._publish(world, first)
            await world.settle()
            async with self._rung("+ audit log, to 1", on=DELIVERED_TO_ONE):
                await self._publish(world, rest)
                await world.settle()

    async def _received(self) -> None:
        folder = self._setting.fresh("ladder")
        async with served(folder, *_members(1), url=self._url()) as here:
            world = here.world
            world.agree("m0", "m1", slots=["facts", "persons"])
            await world.directory.refresh()
            first, rest = self._warm_and_rest(world)
            async with (
                self._hub(folder, here.pin, here.port, "m0") as sender,
                self._hub(folder, here.pin, here.port, "m1") as receiver,
            ):
                node = TestNode(world, "m1", folder, wrap=lambda _local: receiver, channels=[])
                counted = NodeStore(node.path)

                async def travel(given: Sequence[bytes], until: int) -> None:
                    for start in range(0, len(given), AT_ONCE):
                        await sender.publish(given[start : start + AT_ONCE])
                    while counted.delivered() < until:
                        await node.node.runner.step(1.0)

                await travel(first, len(first))
                async with self._rung("+ over HTTP with mutual TLS, verified by a node"):
                    await travel(rest, len(first) + len(rest))
                node.close()

    def _hub(self, folder: Path, pin: bytes, port: int, member: str) -> HttpHub:
        context = pinned_context(
            pin, folder / f"{member}.pem", folder / f"{member}.key", folder / "authority.pem"
        )
        return HttpHub(f"https://{HOST}:{port}", context)


def _members(receivers: int) -> list[str]:
    return [f"m{number}" for number in range(receivers + 1)]


def climb(setting: Setting) -> Iterator[Rung]:
    """Yield every rung of each engine's ladder."""
    count = max(setting.some(COUNT), 2 * AT_ONCE)
    for engine, _ in setting.urls():
        ladder = _Climb(setting, engine, count)
        asyncio.run(ladder.climb())
        yield from ladder.rungs
