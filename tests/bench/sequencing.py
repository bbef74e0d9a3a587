"""The sequencer: from a topic to a durable leaf under a signed checkpoint."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

from broker.core.keys import new_salt
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import Refusal, Station
from broker.core.records import frame, record_id
from broker.log import Partition, Record
from broker.log.topics import REFUSALS
from tests.bench.measure import seconds_of
from tests.bench.noting import Commits, NotingLog, run_until
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import AT_ONCE, Setting
from tests.world import NOW, World

COUNT = 65_536
LEAST = {"SQLite": 20_000, "Kafka": 15_000}


def rows(setting: Setting) -> Iterator[Row]:
    """Yield how fast records become leaves, on each engine."""
    count = max(setting.some(COUNT), 20_000)
    tree = count / seconds_of(lambda: _in_memory(count))
    for engine, url in setting.urls():
        rate = asyncio.run(_sequenced(setting, url, count)).rate
        yield Row(
            f"sequence-{engine.lower()}",
            f"sequencer, from topic to durable leaf, {engine}",
            Figure(rate, "/s"),
            f"the tree in memory alone: {tree:,.0f}/s",
            rate / tree,
            goal=Goal("value", least=LEAST[engine], said=f"≥ {LEAST[engine]:,}/s"),
        )


def refusals(count: int) -> list[Record]:
    """Return so many records that get leaves."""
    made = [
        Refusal(new_salt(), Station.GATEWAY, "m0", None, os.urandom(32), "bad-slot", 1, NOW)
        for _ in range(count)
    ]
    return [Record(Partition(REFUSALS), record_id(each), frame(each)) for each in made]


def _in_memory(count: int) -> None:
    kept = Tree()
    for start in range(0, count, AT_ONCE):
        kept.extend(
            [leaf_hash(b"\x05" + number.to_bytes(32, "big")) for number in range(start, start + AT_ONCE)]
        )
        kept.root()


async def _sequenced(setting: Setting, url: str, count: int) -> Commits:
    commits = Commits()
    world = World(
        setting.fresh("sequence"),
        "m0",
        url=url,
        wrap=lambda service, log: NotingLog(log, commits) if service == "sequencer" else log,
    )
    async with world:
        world.stop_services()
        given = refusals(count)
        for start in range(0, count, AT_ONCE):
            await world.log.append(given[start : start + AT_ONCE])
        await run_until(world.sequencer.run, commits, count)
    return commits
