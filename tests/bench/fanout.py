"""The dispatcher, fan-out 4: beside a plain loop that writes the same bytes in the same transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from broker.log import Partition, Record, Topic, open_log
from broker.log.topics import hub_topics
from broker.services.dispatcher import BATCH as AT_ONCE
from tests.bench.measure import Pair, by_turns, seconds_of
from tests.bench.noting import STEP_SECONDS, Commits, NotingLog, run_until
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import BareFile, Setting, envelopes, signed_together
from tests.world import World

COUNT = 8_192
RECEIVERS = 4
GROUP = "plain"
ROUNDS = 3


def rows(setting: Setting) -> Iterator[Row]:
    """Yield how fast notices become deliveries, on each engine."""
    count = max(setting.some(COUNT) // AT_ONCE * AT_ONCE, 4 * AT_ONCE)
    engines = [engine for engine, _ in setting.urls()]
    for engine in engines:
        pair = asyncio.run(_beside_a_plain_loop(setting, engine, count))
        if engine == "Kafka":
            goal, beside = Goal("ratio", least=0.5, said="≥ 50 %"), "a plain transactional loop, same bytes"
        else:
            goal, beside = None, "a bare loop, same bytes"
        yield Row(
            f"dispatch-{engine.lower()}",
            f"dispatcher, fan-out {RECEIVERS}, {engine}",
            Figure(1 / pair.ours, "/s"),
            f"{beside}: {1 / pair.baseline:,.0f}/s",
            pair.ratio,
            goal=goal,
        )


async def _beside_a_plain_loop(setting: Setting, engine: str, count: int) -> Pair:
    """Return the seconds of one notice: with the dispatcher, and when the bytes that it wrote are there."""
    written: list[Sequence[Record]] = []

    async def dispatched() -> float:
        commits = await _dispatched(setting, dict(setting.urls())[engine], count)
        written[:] = commits.results
        return 1 / commits.rate

    async def plain() -> float:
        if engine == "Kafka":
            return 1 / (await _plain_kafka(setting.kafka_url(), written)).rate
        return 1 / _plain_sqlite(setting, written)

    return await by_turns(dispatched, plain, ROUNDS)


async def _dispatched(setting: Setting, url: str, count: int) -> Commits:
    commits = Commits()
    world = World(
        setting.fresh("dispatch"),
        *(f"m{number}" for number in range(RECEIVERS + 1)),
        url=url,
        wrap=lambda service, log: NotingLog(log, commits) if service == "dispatcher" else log,
    )
    for number in range(1, RECEIVERS + 1):
        world.agree("m0", f"m{number}", slots=["facts", "persons"])
    given = signed_together(world, envelopes(world, count))
    async with world:
        world.stop_services()
        for start in range(0, count, AT_ONCE):
            await world.gateway.publish("m0", given[start : start + AT_ONCE])
        await run_until(world.dispatcher.run, commits, count)
    assert sum(len(results) for results in commits.results) > count * (RECEIVERS + 1)
    return commits


def _plain_sqlite(setting: Setting, results: Sequence[Sequence[Record]]) -> float:
    bare = BareFile(setting.fresh("plain"))
    values = [[record.value for record in each] for each in results]

    def loop() -> None:
        for each in values:
            bare.append(each, len(each))

    seconds = seconds_of(loop)
    bare.close()
    return len(results) * AT_ONCE / seconds


async def _plain_kafka(url: str, results: Sequence[Sequence[Record]]) -> Commits:
    """Read, and write what the dispatcher wrote: aiokafka's own consumer and producer, and nothing else."""
    source = Partition("notices.plain")
    receivers = [f"m{number}" for number in range(RECEIVERS + 1)]
    async with open_log(url) as log:
        await log.create([*hub_topics(receivers), Topic(source.topic)])
        for _ in results:
            await log.append([Record(source, b"%d" % number, bytes(600)) for number in range(AT_ONCE)])
    _, _, rest = url.partition("://")
    bootstrap, _, prefix = rest.partition("/")
    there = TopicPartition(f"{prefix}.{source.topic}", 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=f"{prefix}.{GROUP}",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=f"{prefix}.{GROUP}", linger_ms=0
    )
    commits = Commits()
    async with asyncio.timeout(STEP_SECONDS), consumer, producer:
        consumer.assign([there])
        consumer.seek(there, 0)
        for each in results:
            taken = 0
            while taken < AT_ONCE:
                found = await consumer.getmany(there, timeout_ms=1_000, max_records=AT_ONCE - taken)
                taken += sum(map(len, found.values()))
            async with producer.transaction():
                await _send(producer, prefix, each)
                place = await consumer.position(there)
                await producer.send_offsets_to_transaction({there: place}, f"{prefix}.{GROUP}")
            commits.note(taken, each)
    return commits


async def _send(producer: AIOKafkaProducer, prefix: str, records: Sequence[Record]) -> None:
    by_topic: dict[str, list[tuple[bytes, bytes]]] = {}
    for record in records:
        by_topic.setdefault(record.partition.topic, []).append((record.key, record.value))
    sent = []
    for topic, pairs in by_topic.items():
        sent += await hand_over(producer, f"{prefix}.{topic}", pairs)
    await asyncio.wait(sent)
    for each in sent:
        each.result()


async def hand_over(
    producer: AIOKafkaProducer, topic: str, pairs: Sequence[tuple[bytes, bytes]]
) -> list[asyncio.Future[Any]]:
    """Hand keys and values over in whole batches; each is stored when its future is done."""
    sent = []
    batch = producer.create_batch()
    for key, value in pairs:
        if batch.append(key=key, value=value, timestamp=None) is None:
            sent.append(await producer.send_batch(batch, topic, partition=0))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    return [*sent, await producer.send_batch(batch, topic, partition=0)]
