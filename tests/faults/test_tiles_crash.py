"""The tile builder dies at each of its writes in turn, and at each of its calls of the log, and goes on.

Whatever the moment: no file under a tile's name ever has other bytes than the topic says, and in the end all
are there.  A name that no `sync` has confirmed may be gone after the crash, as after a power cut.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from broker.log import Log, open_log
from broker.services.metrics import Metrics
from broker.services.tile_folder import Disk, TileFolder
from broker.services.tiles import Tiles
from tests.crash import CrashingLog, CrashPoints, dies
from tests.faults import chance
from tests.leaves import Leaves, files_in
from tests.tiles import reach

SECONDS = 60.0
COUNTS = (300, 700, 200)
"""Leaves that come between one checkpoint and the next: one bundle, three more, one."""


class CrashingDisk(Disk):
    """A disk that works until the chosen point, and loses names that were not confirmed."""

    def __init__(self, points: CrashPoints) -> None:
        self._points = points
        self._unconfirmed: list[Path] = []

    def write(self, path: Path, data: bytes) -> None:
        self._points.reach("before write")
        path.write_bytes(data[: len(data) // 2])
        self._points.reach("in the middle of write")
        super().write(path, data)
        self._points.reach("after write")

    def rename(self, old: Path, new: Path) -> None:
        self._points.reach("before rename")
        super().rename(old, new)
        self._unconfirmed.append(new)
        self._points.reach("after rename")

    def sync(self, folder: Path) -> None:
        self._points.reach("before sync")
        super().sync(folder)
        self._unconfirmed = [path for path in self._unconfirmed if path.parent != folder]
        self._points.reach("after sync")

    def lose(self, place: random.Random) -> None:
        """Lose some of the names that were not confirmed."""
        for path in self._unconfirmed:
            if place.random() < 0.5:
                path.unlink()


# Not for its sockets, it has none: for its seconds of disk it runs with `make test`.
pytestmark = pytest.mark.sockets


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    url = f"sqlite://{tmp_path}/log.db"
    async with open_log(url) as opened:
        yield opened


class Here:
    """Stands in for the thread aside, in which a `Crash` would kill the thread alone."""

    async def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        return function(*arguments)


async def live(log: Log, folder: Path, points: CrashPoints, disk: Disk, size: int) -> None:
    """Make tiles until so many leaves are published."""
    tiles = Tiles(CrashingLog(log, points), TileFolder(folder, disk), Metrics())
    tiles._aside = Here()  # type: ignore[assignment]  # calls it as the thread would
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        following = group.create_task(tiles.run())
        await reach(tiles, size)
        following.cancel()


async def test_a_crash_at_any_point_leaves_no_wrong_tile_and_all_are_there_in_the_end(
    log: Log, tmp_path: Path
) -> None:
    place = random.Random(f"{chance.seed()} tiles")
    leaves = Leaves(log)
    for count in COUNTS:
        await leaves.grow(count)
    size, whole = leaves.tree.size, leaves.files()
    quiet = CrashPoints()
    await live(log, tmp_path / "quiet", quiet, CrashingDisk(quiet), size)
    assert files_in(tmp_path / "quiet") == whole
    names = set(quiet.passed)
    assert {"in the middle of write", "after rename", "before sync", "after read"} <= names

    deaths = 0
    for point in range(1, len(quiet.passed) + 1):
        folder = tmp_path / str(point)
        points = CrashPoints(crash_at=point)
        disk = CrashingDisk(points)
        deaths += await dies(live(log, folder, points, disk, size))
        disk.lose(place)
        assert files_in(folder).items() <= whole.items(), points.passed[-1]
        calm = CrashPoints()
        await live(log, folder, calm, CrashingDisk(calm), size)
        assert files_in(folder) == whole, points.passed[-1]
    assert deaths >= len(quiet.passed) - 3


async def test_a_crash_while_upper_tiles_come_to_be_leaves_no_gap(log: Log, tmp_path: Path) -> None:
    """65,536 leaves make the first tile of the second level; it dies where that has its turn."""
    place = random.Random(f"{chance.seed()} upper tiles")
    leaves = Leaves(log)
    await leaves.grow(65_500)
    whole = leaves.files()
    folder = tmp_path / "tiles"
    calm = CrashPoints()
    await live(log, folder, calm, CrashingDisk(calm), 65_500)
    assert files_in(folder) == whole
    await leaves.grow(600)
    whole = leaves.files()
    assert "tile/1/000" in whole

    steps = CrashPoints()
    deaths = 0
    # It gets a little further each time, whatever was lost on the way.
    for point in range(1, 120, 3):
        steps = CrashPoints(crash_at=point)
        disk = CrashingDisk(steps)
        deaths += await dies(live(log, folder, steps, disk, leaves.tree.size))
        disk.lose(place)
        assert files_in(folder).items() <= whole.items()
    assert deaths > 5
    calm = CrashPoints()
    await live(log, folder, calm, CrashingDisk(calm), leaves.tree.size)
    assert files_in(folder) == whole
