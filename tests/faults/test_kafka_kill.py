"""Processes that write exactly once are killed, and paused past their time; what is stored is counted.

The control leaves one call out of the transaction and must show duplicates, or the test proves nothing.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time

import pytest

from broker.log import Topic, open_log
from tests.faults.copier import INBOXES
from tests.faults.kills import Workers, fed, stored
from tests.faults.table import Row, record

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

SECONDS = 120
PARTITIONS = 4
INPUT = Topic("notices.test", PARTITIONS, keep="contents")
SEED = 20251125
LONGEST_LIFE_SECONDS = 0.4
ZOMBIES = 4
CLAIMING_SECONDS = 2.5
WAKE_SECONDS = 1.0


async def under_kills(
    bootstrap: str, url: str, session: int, *, kills: int, flags: tuple[str, ...] = ()
) -> tuple[int, list[list[int]]]:
    """Feed, kill and pause; return how many records were fed, and what each inbox holds in the end."""
    chance = random.Random(SEED)
    prefix = url.rsplit("/", 1)[1]
    topics = [f"{prefix}.{inbox.topic}" for inbox in INBOXES]
    async with open_log(url) as log:
        await log.create([INPUT, *(Topic(inbox.topic) for inbox in INBOXES)])
    workers = Workers(("-m", "tests.faults.copier", url, str(session), *flags))
    try:
        async with fed(bootstrap, f"{prefix}.{INPUT.name}", PARTITIONS) as sent:
            paused = await workers.start()
            for nth in range(kills):
                worker = await workers.start()
                await workers.said(worker)
                if nth == 1:
                    paused.send_signal(signal.SIGSTOP)
                # The moment of the kill, anywhere in a transaction or between two.
                await asyncio.sleep(chance.uniform(0.0, LONGEST_LIFE_SECONDS))
                await workers.kill(worker)
            # A zombie: it comes back when its partitions have long had other owners.
            paused.send_signal(signal.SIGCONT)
            await workers.said(await workers.start())
        count = sent.total()
        await stored(bootstrap, topics, until=count)
    finally:
        await workers.stop()
    held = await stored(bootstrap, topics)
    return count, [[int(key) for key in held[topic]] for topic in topics]


async def test_processes_that_are_killed_lose_nothing_and_double_nothing(
    kafka: str, kafka_url: str, kafka_session: int
) -> None:
    async with asyncio.timeout(SECONDS):
        count, inboxes = await under_kills(kafka, kafka_url, kafka_session, kills=8)
    assert count > 200
    for found in inboxes:
        assert sorted(found) == list(range(count))
        for partition in range(PARTITIONS):
            own = [number for number in found if number % PARTITIONS == partition]
            assert own == sorted(own)


async def under_zombies(bootstrap: str, url: str, session: int, *, times: int) -> tuple[int, list[list[int]]]:
    """Pause the owner until the group has another, wake it while that one claims; return as `under_kills`."""
    prefix = url.rsplit("/", 1)[1]
    topics = [f"{prefix}.{inbox.topic}" for inbox in INBOXES]
    async with open_log(url) as log:
        await log.create([INPUT, *(Topic(inbox.topic) for inbox in INBOXES)])
    workers = Workers(("-m", "tests.faults.copier", url, str(session)))
    try:
        async with fed(bootstrap, f"{prefix}.{INPUT.name}", PARTITIONS) as sent:
            owner = await workers.start()
            await workers.said(owner)
            for _ in range(times):
                successor = await workers.start()
                await workers.said(successor)
                owner.send_signal(signal.SIGSTOP)
                await asyncio.sleep(session / 1000 + CLAIMING_SECONDS)
                owner.send_signal(signal.SIGCONT)
                await asyncio.sleep(WAKE_SECONDS)
                await workers.kill(owner)
                owner = successor
        count = sent.total()
        await stored(bootstrap, topics, until=count)
    finally:
        await workers.stop()
    held = await stored(bootstrap, topics)
    return count, [[int(key) for key in held[topic]] for topic in topics]


@pytest.mark.soak
async def test_who_wakes_up_while_it_is_replaced_doubles_nothing(
    kafka: str, kafka_url: str, kafka_session: int
) -> None:
    began = time.monotonic()
    async with asyncio.timeout(SECONDS):
        count, inboxes = await under_zombies(kafka, kafka_url, kafka_session, times=ZOMBIES)
    doubled = sum(len(found) - len(set(found)) for found in inboxes)
    lost = sum(count - len(set(found)) for found in inboxes)
    record(
        Row(
            name="owner of partitions wakes up while it is replaced", engine="kafka", kills=ZOMBIES,
            notices=count, deliveries=sum(map(len, inboxes)), lost=lost, doubled=doubled, over_delivered=0,
            out_of_order=0, seed=SEED, seconds=time.monotonic() - began,
        )
    )  # fmt: skip
    assert (doubled, lost) == (0, 0)


async def test_the_count_finds_duplicates_when_the_place_is_not_in_the_transaction(
    kafka: str, kafka_url: str, kafka_session: int
) -> None:
    began = time.monotonic()
    async with asyncio.timeout(SECONDS):
        count, inboxes = await under_kills(
            kafka, kafka_url, kafka_session, kills=3, flags=("--forget-places",)
        )
    record(
        Row(
            name="place not in the transaction", engine="kafka", kills=3, notices=count,
            deliveries=sum(map(len, inboxes)), lost=sum(count - len(set(found)) for found in inboxes),
            doubled=sum(len(found) - len(set(found)) for found in inboxes), over_delivered=0, out_of_order=0,
            seed=SEED, seconds=time.monotonic() - began, control=True,
        )
    )  # fmt: skip
    for found in inboxes:
        assert set(found) == set(range(count))
        assert len(found) > count
