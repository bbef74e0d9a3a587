"""On a cluster what was erased goes from the topics: ticks let segments roll, the cleaner cleans."""

from __future__ import annotations

import asyncio

import pytest

from broker.log import Partition, Record, Topic, open_log

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

SECONDS = 60.0
QUICK = {"max.compaction.lag.ms": "2000", "file.delete.delay.ms": "0"}
CANARY = b"canary-" + b"7f3a" * 16
TOPIC = Topic("inbox.test", keep="contents")
ONE = Partition(TOPIC.name)


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
