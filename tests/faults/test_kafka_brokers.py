"""Brokers of three are killed one after the other while processes write exactly once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.log import Topic, open_log
from deploy.kafka.cluster import KafkaCluster, missing
from tests.faults.copier import INBOXES
from tests.faults.kills import Workers, fed, stored
from tests.kafka import LEAST_SESSION_MILLISECONDS

pytestmark = [pytest.mark.kafka, pytest.mark.sockets, pytest.mark.soak]

SECONDS = 400
PARTITIONS = 4
INPUT = Topic("notices.test", PARTITIONS, keep="contents")
SEED = 7
KILLS = 6


@pytest.fixture
def three_nodes(kafka: str, tmp_path: Path) -> Iterator[KafkaCluster]:
    if (need := missing()) is not None:
        pytest.skip(f"starting Kafka needs {need}")
    with KafkaCluster(tmp_path, nodes=3) as cluster:
        yield cluster


async def test_any_one_of_three_brokers_may_be_killed(three_nodes: KafkaCluster) -> None:
    chance = random.Random(SEED)
    url = f"kafka://{three_nodes.bootstrap}/live"
    topics = [f"live.{inbox.topic}" for inbox in INBOXES]
    async with open_log(url) as log:
        await log.create([INPUT, *(Topic(inbox.topic) for inbox in INBOXES)])
    workers = Workers(("-m", "tests.faults.copier", url, str(LEAST_SESSION_MILLISECONDS)))
    async with asyncio.timeout(SECONDS):
        try:
            async with fed(three_nodes.bootstrap, f"live.{INPUT.name}", PARTITIONS) as sent:
                for _ in range(2):
                    await workers.said(await workers.start())
                for _ in range(KILLS):
                    number = chance.randint(1, 3)
                    await asyncio.to_thread(three_nodes.kill, number)
                    await asyncio.sleep(chance.uniform(1, 10))
                    await asyncio.to_thread(three_nodes.restart, number)
                    await asyncio.sleep(chance.uniform(1, 5))
            count = sent.total()
            await stored(three_nodes.bootstrap, topics, until=count)
        finally:
            await workers.stop()
        held = await stored(three_nodes.bootstrap, topics)
    assert count > 200
    for topic in topics:
        found = [int(key) for key in held[topic]]
        assert sorted(found) == list(range(count))
        for partition in range(PARTITIONS):
            own = [number for number in found if number % PARTITIONS == partition]
            assert own == sorted(own)
