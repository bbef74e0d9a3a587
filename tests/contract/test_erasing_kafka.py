"""On a cluster what was erased goes from topics and disk: ticks let segments roll, the cleaner cleans."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker.commands.log_check import check_log
from broker.commands.recount import recount
from broker.core.model import ErasureGround
from broker.core.note import LogKey
from broker.log import Partition, Record, Topic, open_log
from broker.services.erasure import Eraser
from broker.services.orders import Orders
from deploy.kafka.cluster import KafkaCluster
from tests.world import NETWORK, World, sighting

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

SECONDS = 120.0
QUICK = {"max.compaction.lag.ms": "2000", "file.delete.delay.ms": "0"}
CANARY = b"canary-" + b"7f3a" * 16
TOPIC = Topic("inbox.test", keep="contents")
ONE = Partition(TOPIC.name)
INDEXES = {".index", ".timeindex"}


async def test_what_was_erased_goes_and_nobody_sees_a_tick(kafka_url: str) -> None:
    async with open_log(kafka_url, topic_settings=QUICK) as log:
        await log.create([TOPIC])
        await log.append([Record(ONE, b"one", CANARY), Record(ONE, b"two", b"kept")])
        await log.take_over("eraser")
        await log.erase("eraser", [Record(ONE, b"one", b"left")], {ONE: {0}})
        async with asyncio.timeout(SECONDS):
            while CANARY in [each.value for each in await log.read(ONE, 0, 10)]:
                assert await log.scrub([ONE]) == 2.0
                await asyncio.sleep(0.5)  # the cluster's own clock
        found = await log.read(ONE, 0, 10)
        assert [(each.key, each.value) for each in found] == [(b"two", b"kept"), (b"one", b"left")]


def topics_with(cluster: KafkaCluster, text: bytes) -> set[str]:
    """Return in which topics the brokers' files hold a text: segments, and whatever else lies there.

    Left out are indexes, which hold numbers alone and mostly room that they have not used.
    """
    return {
        path.parent.name.rpartition("-")[0].partition(".")[2] or path.name
        for node in cluster.nodes.values()
        for path in (node.folder / "data").rglob("*")
        if path.suffix not in INDEXES and path.is_file() and text in path.read_bytes()
    }


async def test_what_was_erased_goes_from_the_brokers_files_and_the_log_verifies(
    own_cluster: KafkaCluster, tmp_path: Path
) -> None:
    url = f"kafka://{own_cluster.bootstrap}/hub"
    async with World(tmp_path, "vn", "jp", "nl", url=url, topic_settings=QUICK) as world:
        world.agree("vn", "jp", slots=["facts", "persons"])
        world.agree("vn", "nl", slots=["facts"])
        sent = await world.publish("vn", sighting(place=CANARY.decode(), person=CANARY.decode()))
        await world.publish("vn", sighting(place="Hue kept"))
        await world.settle()
        there = topics_with(own_cluster, CANARY)
        assert there == {"notices.asia-pacific", "inbox.jp", "inbox.nl"}
        assert topics_with(own_cluster, b"Hue kept") == there

        orders = Orders(tmp_path, NETWORK)
        orders.write(sent.statement, "halong:vn", ErasureGround.ORDER, "a judge said so", world.clock.now())
        eraser = Eraser(world.log, world.ledger, orders, world.clock, world.metrics)
        async with asyncio.timeout(SECONDS):
            while await asyncio.to_thread(topics_with, own_cluster, CANARY):
                await eraser.step()

        assert topics_with(own_cluster, b"Hue kept") == there
        key = LogKey.parse(world.log_signer.vkey)
        async with asyncio.timeout(SECONDS):
            while (counted := await recount(world.log, key)).waiting:
                await world.log.wait(await world.log.ends(["*"]), 0.2)
        assert counted.verified, counted.findings
        checked = await check_log(world.log, key, tmp_path / "no tiles")
        assert checked.verified, checked.findings
