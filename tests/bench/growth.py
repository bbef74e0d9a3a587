"""What appending, asking and proving cost when the log has grown."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

from broker.core.model import Delivery
from broker.core.records import frame
from broker.log import Partition, Record
from broker.log.topics import inbox_topic
from tests.bench.measure import Pair, by_turns
from tests.bench.noting import Commits, NotingLog, run_until
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import AT_ONCE, Setting
from tests.world import World

INBOX = Partition(inbox_topic("m1"))
TOGETHER = 64
FEED_ITEMS = 256
TIMES = 200
LOAD_SECONDS = 3_600.0


def rows(setting: Setting) -> Iterator[Row]:
    """Yield by how much each cost has grown."""
    small, large = setting.growth
    for name, what, pair in asyncio.run(_compared(setting, small, large)):
        yield Row(
            f"growth-{name}",
            f"{what}, at {large:,} leaves",
            Figure(pair.ours * 1e3, "ms"),
            f"at {small:,}: {pair.baseline * 1e3:.2g} ms",
            1 / pair.ratio,
            "x",
            Goal("ratio", most=1.5, said="≤ 1.5 ×"),
        )


async def _compared(setting: Setting, small: int, large: int) -> list[tuple[str, str, Pair]]:
    """Ask a log of each size in turn: a machine that slows down slows both."""
    async with _grown(setting, small) as before, _grown(setting, large) as after:
        return [
            (name, what, await by_turns(partial(call, after, large), partial(call, before, small), TIMES))
            for name, what, call in (
                ("append", f"{TOGETHER} records appended", _append),
                ("feed", f"{FEED_ITEMS} items of the feed", _feed),
                ("proof", "a path of inclusion", _proof),
            )
        ]


@asynccontextmanager
async def _grown(setting: Setting, leaves: int) -> AsyncIterator[World]:
    """Serve a log of so many leaves, in which nothing else goes on."""
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
        following.cancel()
        yield world


def _deliveries(count: int) -> list[Record]:
    """Return small deliveries: what costs grow by is their number."""
    return [Record(INBOX, os.urandom(32), frame(Delivery(os.urandom(64), None, ()))) for _ in range(count)]


async def _append(world: World, leaves: int) -> float:
    records = _deliveries(TOGETHER)
    started = time.perf_counter()
    await world.log.append(records)
    return time.perf_counter() - started


async def _feed(world: World, leaves: int) -> float:
    place = random.randrange(leaves - FEED_ITEMS)
    started = time.perf_counter()
    answer = await world.inbox.feed("m1", place, FEED_ITEMS, 0)
    assert len(answer.items) == FEED_ITEMS
    return time.perf_counter() - started


async def _proof(world: World, leaves: int) -> float:
    index = random.randrange(leaves)
    started = time.perf_counter()
    assert world.ledger.inclusion(index, leaves) is not None
    return time.perf_counter() - started
