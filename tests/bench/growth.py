"""What appending, asking and proving cost when the log has grown."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from statistics import median

from broker.core.model import Delivery
from broker.core.records import frame
from broker.log import Partition, Record
from broker.log.topics import inbox_topic
from tests.bench.noting import Commits, NotingLog, run_until
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import AT_ONCE, Setting
from tests.world import World

INBOX = Partition(inbox_topic("m1"))
TOGETHER = 64
FEED_ITEMS = 256
TIMES = 200
LOAD_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Costs:
    """Milliseconds of one call each, when the log had so many leaves."""

    leaves: int
    append: float
    feed: float
    proof: float


def rows(setting: Setting) -> Iterator[Row]:
    """Yield by how much each cost has grown."""
    small, large = (asyncio.run(_costs(setting, leaves)) for leaves in setting.growth)
    for name, what in (
        ("append", f"{TOGETHER} records appended"),
        ("feed", f"{FEED_ITEMS} items of the feed"),
        ("proof", "a path of inclusion"),
    ):
        before, after = getattr(small, name), getattr(large, name)
        yield Row(
            f"growth-{name}",
            f"{what}, at {large.leaves:,} leaves",
            Figure(after, "ms"),
            f"at {small.leaves:,}: {before:.3g} ms",
            after / before,
            "x",
            Goal("ratio", most=1.5, said="≤ 1.5 ×"),
        )


def _deliveries(count: int) -> list[Record]:
    """Return small deliveries: what costs grow by is their number."""
    return [Record(INBOX, os.urandom(32), frame(Delivery(os.urandom(64), None, ()))) for _ in range(count)]


async def _costs(setting: Setting, leaves: int) -> Costs:
    commits = Commits()
    world = World(
        setting.fresh("growth"),
        "m1",
        wrap=lambda service, log: NotingLog(log, commits) if service == "sequencer" else log,
    )
    async with world, asyncio.TaskGroup() as group:
        world.stop_services()
        for start in range(0, leaves, AT_ONCE):
            await world.log.append(_deliveries(min(AT_ONCE, leaves - start)))
        await run_until(world.sequencer.run, commits, leaves, LOAD_SECONDS)
        following = group.create_task(world.ledger.run())
        async with asyncio.timeout(LOAD_SECONDS):
            while world.ledger.size < leaves:
                await world.ledger.advance(1.0)
        chance = random.Random(leaves)

        async def append() -> object:
            return await world.log.append(records)

        async def feed() -> object:
            place = chance.randrange(leaves - FEED_ITEMS)
            answer = await world.inbox.feed("m1", place, FEED_ITEMS, 0)
            assert len(answer.items) == FEED_ITEMS
            return answer

        async def proof() -> object:
            return world.ledger.inclusion(chance.randrange(leaves), leaves)

        found = []
        for call in (append, feed, proof):
            records = _deliveries(TOGETHER)
            found.append(await _milliseconds(call))
        following.cancel()
    return Costs(leaves, *found)


async def _milliseconds(call: Callable[[], Awaitable[object]]) -> float:
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - started) * 1e3)
    return median(taken)
