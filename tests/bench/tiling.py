"""The log as files: from a topic to a durable leaf and its durable tile, and a proof made of tiles alone."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from broker.core.merkle import Tree
from broker.core.tiles import Tile, TiledTree
from broker.services.tile_folder import TileFolder
from broker.services.tiles import Tiles
from tests.bench.measure import seconds_of
from tests.bench.noting import STEP_SECONDS, Commits, NotingLog
from tests.bench.rows import Figure, Goal, Row
from tests.bench.sequencing import refusals
from tests.bench.setting import AT_ONCE, Setting
from tests.world import World

COUNT = 131_072
LEAST = {"SQLite": 20_000, "Kafka": 15_000}
PROOFS = 200


def rows(setting: Setting) -> Iterator[Row]:
    """Yield how fast records become leaves with tiles, on each engine, and what a proof from tiles costs."""
    count = max(setting.some(COUNT), 32_768)
    for engine, url in setting.urls():
        folder = setting.fresh("tiles")
        rate, alone, tiles = asyncio.run(_tiled(setting, url, folder, count))
        yield Row(
            f"tile-{engine.lower()}",
            f"sequencer and tiles at once, from topic to durable leaf and tile, {engine}",
            Figure(rate, "/s"),
            f"tiles alone, again from the topic: {alone:,.0f}/s",
            rate / alone,
            goal=Goal("value", least=LEAST[engine], said=f"≥ {LEAST[engine]:,}/s"),
        )
        if engine == "SQLite":
            yield _proof(tiles)


def _proof(tiles: Tiles) -> Row:
    assert tiles.published is not None
    size, chance = tiles.published.size, random.Random(1)
    tree = Tree(TiledTree(size, _read(tiles)).leaf(index) for index in range(4_096))

    def prove() -> None:
        # Nothing of the last proof is kept: what somebody pays who asks for one and no more.
        TiledTree(size, _read(tiles)).inclusion_path(chance.randrange(size))

    kept = seconds_of(lambda: tree.inclusion_path(chance.randrange(4_096)), PROOFS)
    return Row(
        "tile-proof",
        f"an inclusion proof from tiles, {size:,} leaves",
        Figure(seconds_of(prove, PROOFS) * 1e3, "ms"),
        f"from a tree in memory: {kept * 1e3:.2g} ms",
        goal=Goal("value", most=1.0, said="< 1 ms"),
    )


def _read(tiles: Tiles) -> Callable[[Tile], bytes]:
    def read(tile: Tile) -> bytes:
        data = tiles.read(tile)
        assert data is not None
        return data

    return read


async def _tiled(setting: Setting, url: str, folder: Path, count: int) -> tuple[float, float, Tiles]:
    """Return leaves a second with their tiles, tiles a second made again alone, and the tiles."""
    commits = Commits()
    world = World(
        setting.fresh("tile"),
        "m0",
        url=url,
        wrap=lambda service, log: NotingLog(log, commits) if service == "sequencer" else log,
    )
    async with world:
        world.stop_services()
        given = refusals(count)
        for start in range(0, count, AT_ONCE):
            await world.log.append(given[start : start + AT_ONCE])
        tiles = Tiles(world.log, TileFolder(folder / "first"), world.metrics)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(world.sequencer.run()), group.create_task(tiles.run())]
            await commits.reach(1)
            first, started = sum(commits.taken), commits.at[0]
            await _reach(tiles, count)
            rate = (count - first) / (time.perf_counter() - started)
            for task in tasks:
                task.cancel()
        again = Tiles(world.log, TileFolder(folder / "again"), world.metrics)
        async with asyncio.TaskGroup() as group:
            started = time.perf_counter()
            task = group.create_task(again.run())
            await _reach(again, count)
            alone = count / (time.perf_counter() - started)
            task.cancel()
        return rate, alone, tiles


async def _reach(tiles: Tiles, count: int) -> None:
    async with asyncio.timeout(STEP_SECONDS):
        while tiles.published is None or tiles.published.size < count:  # noqa: ASYNC110  it wakes nobody
            await asyncio.sleep(0.005)
