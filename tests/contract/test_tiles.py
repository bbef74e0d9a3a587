"""The tiles of a log on either engine: offsets with gaps, a start in the middle, several processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.commands.log_check import check_log
from broker.log import Log, open_log
from broker.log.topics import hub_topics
from broker.services.metrics import Metrics
from broker.services.sequencer import Sequencer
from broker.services.tile_folder import TileFolder
from broker.services.tiles import Tiles
from tests.leaves import LOG, files_in, refusals
from tests.tiles import reach
from tests.world import MovableClock

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

SECONDS = 60
PARTS = (100, 300, 7, 450, 80)


@asynccontextmanager
async def running(log: Log, folder: Path) -> AsyncIterator[Tiles]:
    tiles = Tiles(log, TileFolder(folder), Metrics())
    async with asyncio.TaskGroup() as group:
        following = group.create_task(tiles.run())
        yield tiles
        following.cancel()


async def test_tiles_follow_a_sequencer_on_kafka_and_go_on_after_a_start(
    kafka_url: str, tmp_path: Path
) -> None:
    """Each commit of the sequencer leaves a marker among the offsets, so no offset is a leaf's index."""
    async with asyncio.timeout(SECONDS), open_log(kafka_url) as log, asyncio.TaskGroup() as group:
        await log.create(hub_topics(()))
        leading = group.create_task(Sequencer(log, LOG, MovableClock(), Metrics()).run())
        size = 0
        for count in PARTS:
            await log.append(refusals(count))
            size += count
            async with running(log, tmp_path / "one") as tiles:
                await reach(tiles, size)
        async with running(log, tmp_path / "one") as one, running(log, tmp_path / "two") as two:
            await log.append(refusals(600))
            size += 600
            for tiles in (one, two):
                await reach(tiles, size)
        leading.cancel()

        assert len(files_in(tmp_path / "one")) == size // 256 * 2
        assert files_in(tmp_path / "one") == files_in(tmp_path / "two")
        checked = await check_log(log, LOG.key, tmp_path / "one")
        assert (checked.findings, checked.leaves, checked.records) == ([], size, size)
