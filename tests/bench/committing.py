"""The embedded log's group commit, beside `executemany` with the same durability."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

from broker.log import Log, Partition, Record, Topic, open_log
from tests.bench.measure import Pair, by_turns
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import AT_ONCE, BareFile, Setting

COUNT = 40_960
VALUE = os.urandom(700)
PARTITION = Partition("bench")
GOAL = Goal("ratio", least=0.7, said="≥ 70 %")


def rows(setting: Setting) -> Iterator[Row]:
    """Yield what many callers at once come to, with some records each and with one."""
    count = setting.some(COUNT)
    for key, each, callers in (("commit-some", 64, 16), ("commit-one", 1, 1_000)):
        pair = asyncio.run(_appending(setting, count, each, callers))
        yield Row(
            key,
            f"group commit, SQLite, {callers:,} callers with {each} record{'s' * (each > 1)} each",
            Figure(count / pair.ours, "/s"),
            f"bare executemany of {AT_ONCE:,}: {count / pair.baseline:,.0f}/s",
            pair.ratio,
            goal=GOAL,
        )


async def _appending(setting: Setting, count: int, each: int, callers: int) -> Pair:
    folder = setting.fresh("commit")
    bare = BareFile(folder)
    async with open_log(f"sqlite://{folder.absolute()}/log.db") as log:
        await log.create([Topic(PARTITION.topic)])

        async def baseline() -> float:
            started = time.perf_counter()
            bare.append([VALUE] * count)
            return time.perf_counter() - started

        pair = await by_turns(lambda: _seconds(log, count, each, callers), baseline)
    bare.close()
    return pair


async def _seconds(log: Log, count: int, each: int, callers: int) -> float:
    calls = iter(range(0, count, each))

    async def caller() -> None:
        for _ in calls:
            await log.append([Record(PARTITION, VALUE[:32], VALUE)] * each)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    return time.perf_counter() - started
