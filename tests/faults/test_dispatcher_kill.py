"""The dispatcher is killed on Kafka under load; a consumer that imports nothing of ours counts deliveries.

The control forgets the past and must show duplicates, or the test proves nothing.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from broker.core.model import Envelope, Header
from broker.core.records import decode, framed, partition_of, statement_id
from broker.log import Partition, Record, open_log
from broker.log.topics import PARTITIONS_PER_REGION, hub_topics, inbox_topic, notices_topic
from tests.faults.kills import Workers, stored
from tests.signed_world import SignedWorld
from tests.world import World, sighting

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

MEMBERS = ("vn", "jp", "nl")
SECONDS = 90
SEED = 20261125
NOTICES = 600
AT_ONCE = 10
PAUSE_SECONDS = 0.04
"""Between two portions of the load: about two hundred notices a second."""
LONGEST_LIFE_SECONDS = 0.6


def prepare(folder: Path) -> list[bytes]:
    """Write a directory in which `vn` and `jp` give to all; return notices of both, in turn."""
    world, drafts = SignedWorld(folder, *MEMBERS), World(folder, *MEMBERS)
    for giver in ("vn", "jp"):
        for receiver in MEMBERS:
            if giver != receiver:
                text = drafts.source.text_of(drafts.agree(giver, receiver))
                world.network.accede(text, giver, receiver)
    return [world.compose(("vn", "jp")[number % 2], sighting()) for number in range(NOTICES)]


def record(envelope: bytes) -> tuple[str, Record]:
    """The record that the gateway makes of an envelope, and whose it is."""
    data = decode(Envelope, envelope).header
    header = decode(Header, data)
    partition = Partition(
        notices_topic(header.region), partition_of(header.originator, PARTITIONS_PER_REGION)
    )
    return header.originator, Record(partition, statement_id(data), framed(Envelope, envelope))


async def under_kills(
    folder: Path, kafka: str, url: str, session: int, *, kills: int, flags: tuple[str, ...] = ()
) -> dict[str, tuple[int, int, int]]:
    """Publish and kill; return for each member how many deliveries it is owed, has, and has but once."""
    chance = random.Random(SEED)
    records = [record(envelope) for envelope in prepare(folder)]
    workers = Workers(("-m", "tests.faults.dispatching", str(folder), url, str(session), *flags))
    prefix = url.rsplit("/", 1)[1]
    topics = {member: f"{prefix}.{inbox_topic(member)}" for member in MEMBERS}

    async def publish() -> None:
        for start in range(0, len(records), AT_ONCE):
            await log.append([each for _, each in records[start : start + AT_ONCE]])
            await asyncio.sleep(PAUSE_SECONDS)

    try:
        async with open_log(url) as log:
            await log.create(hub_topics(MEMBERS))
            async with asyncio.TaskGroup() as group:
                group.create_task(publish())
                for _ in range(kills):
                    worker = await workers.start()
                    await workers.said(worker)
                    # The moment of the kill, anywhere in a transaction or between two.
                    await asyncio.sleep(chance.uniform(0.1, LONGEST_LIFE_SECONDS))
                    await workers.kill(worker)
                await workers.said(await workers.start())
        owed = {member: sum(who != member for who, _ in records) for member in MEMBERS}
        for member, topic in topics.items():
            await stored(kafka, [topic], until=owed[member])
    finally:
        await workers.stop()
    held = await stored(kafka, topics.values())
    return {
        member: (owed[member], len(held[topic]), len(set(held[topic]))) for member, topic in topics.items()
    }


async def test_a_dispatcher_that_is_killed_loses_nothing_and_delivers_nothing_twice(
    tmp_path: Path, kafka: str, kafka_url: str, kafka_session: int
) -> None:
    async with asyncio.timeout(SECONDS):
        counted = await under_kills(tmp_path, kafka, kafka_url, kafka_session, kills=5)

    assert counted["nl"][0] == NOTICES
    for owed, deliveries, different in counted.values():
        assert owed == deliveries == different


async def test_the_count_finds_deliveries_that_were_made_twice(
    tmp_path: Path, kafka: str, kafka_url: str, kafka_session: int
) -> None:
    async with asyncio.timeout(SECONDS):
        counted = await under_kills(tmp_path, kafka, kafka_url, kafka_session, kills=3, flags=("--forget",))

    # Each delivery has an id of its own, so one that is made again is one more.
    assert any(deliveries > owed for owed, deliveries, _ in counted.values())
