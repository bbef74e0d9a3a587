"""The tiles of a log: on disk what the topic says, handed out what is signed, and nothing of another log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.core.errors import BadConfiguration, NotCanonical
from broker.core.merkle import verify_inclusion
from broker.core.tiles import ENTRIES, Tile, TiledTree, tiles_of
from broker.log import Log, LogUnavailable, open_log
from broker.services.metrics import Metrics
from broker.services.tile_folder import Disk, TileFolder
from broker.services.tiles import Tiles
from tests.leaves import Leaves, files_in
from tests.tiles import reach

SECONDS = 20.0


def url(folder: Path, name: str) -> str:
    return f"sqlite://{folder.absolute()}/{name}.db"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    async with open_log(url(tmp_path, "log")) as opened:
        yield opened


@asynccontextmanager
async def running(log: Log, folder: Path, size: int, disk: Disk | None = None) -> AsyncIterator[Tiles]:
    """The tiles of the log, once a checkpoint of this size is handed out."""
    tiles = Tiles(log, TileFolder(folder, disk), Metrics())
    async with asyncio.TaskGroup() as group:
        following = group.create_task(tiles.run())
        await reach(tiles, size)
        yield tiles
        following.cancel()


async def test_what_is_on_disk_is_what_anybody_makes_of_the_topic(log: Log, tmp_path: Path) -> None:
    leaves, folder = Leaves(log), tmp_path / "tiles"
    await leaves.grow(100)
    async with running(log, folder, 100) as tiles:
        assert files_in(folder) == {}
        for count in (156, 1, 700, 43):
            await leaves.grow(count)
            await reach(tiles, leaves.tree.size)
            assert files_in(folder) == leaves.files()
    async with running(log, tmp_path / "again", 1_000):
        assert files_in(tmp_path / "again") == files_in(folder) == leaves.files()


async def test_every_tile_and_beginning_of_one_is_handed_out_up_to_the_checkpoint(
    log: Log, tmp_path: Path
) -> None:
    leaves = Leaves(log)
    await leaves.grow(600)
    async with running(log, tmp_path / "tiles", 600) as tiles:
        for size in (1, 255, 256, 300, 600):
            for tile in tiles_of(size):
                assert tiles.read(tile) == leaves.data(tile)
        for beyond in (Tile(0, 2), Tile(0, 2, 89), Tile(1, 0, 3), Tile(2, 0, 1), Tile(ENTRIES, 2, 89)):
            assert tiles.read(beyond) is None

        # Leaves that nobody signed yet are nobody's business.
        await leaves.grow(10, sign=False)
        assert tiles.read(Tile(0, 2, 89)) is None
        await leaves.sign()
        await reach(tiles, 610)
        assert tiles.read(Tile(0, 2, 89)) == leaves.data(Tile(0, 2, 89))


async def test_proofs_come_from_what_is_handed_out(log: Log, tmp_path: Path) -> None:
    leaves = Leaves(log)
    await leaves.grow(777)
    async with running(log, tmp_path / "tiles", 777) as tiles:
        assert tiles.published is not None

        def read(tile: Tile) -> bytes:
            data = tiles.read(tile)
            assert data is not None
            return data

        tree = TiledTree(777, read)
        assert tree.root() == tiles.published.root
        for index in (0, 255, 256, 700, 776):
            path = tree.inclusion_path(index)
            assert verify_inclusion(leaves.tree.leaf(index), index, 777, path, tiles.published.root)


async def test_a_start_goes_on_from_what_is_on_disk(log: Log, tmp_path: Path) -> None:
    leaves, folder = Leaves(log), tmp_path / "tiles"
    await leaves.grow(900)
    async with running(log, folder, 900):
        pass
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    await leaves.grow(300)
    async with running(log, folder, 1_200) as tiles:
        assert tiles.read(Tile(0, 4, 176)) == leaves.data(Tile(0, 4, 176))
        assert files_in(folder) == leaves.files()
    assert before.items() <= {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}.items()


@pytest.mark.parametrize(
    "gone", ["tile/entries/000", "tile/0/000", "tile/entries/001", "tile/0/001", "tile/0/002"]
)
async def test_what_is_missing_is_made_again(log: Log, tmp_path: Path, gone: str) -> None:
    leaves, folder = Leaves(log), tmp_path / "tiles"
    await leaves.grow(800)
    async with running(log, folder, 800):
        pass
    (folder / gone).unlink()
    half = folder / "tile/0/.001.half"
    half.write_bytes(b"half")
    async with running(log, folder, 800):
        assert files_in(folder) == leaves.files()
        assert not half.exists()


async def fails(log: Log, folder: Path, error: type[Exception], what: str) -> None:
    """Run until it refuses to go on."""
    tiles = Tiles(log, TileFolder(folder), Metrics())
    async with asyncio.timeout(SECONDS):
        with pytest.raises(error, match=what):
            await tiles.run()
    assert tiles.published is None


async def test_tiles_of_another_log_are_not_added_to(log: Log, tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    async with open_log(url(tmp_path, "other")) as other:
        await Leaves(other, b"another").grow(300)
        async with running(other, folder, 300):
            before = files_in(folder)
    await Leaves(log).grow(700)

    await fails(log, folder, NotCanonical, "not those of this log")
    assert files_in(folder) == before


async def test_tiles_of_a_log_that_was_set_back_are_not_added_to(log: Log, tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    leaves = Leaves(log)
    await leaves.grow(600)
    async with running(log, folder, 600):
        pass
    async with open_log(url(tmp_path, "past")) as past:
        back = Leaves(past)
        await back.grow(300)
        await fails(past, folder, NotCanonical, "not those of this log")
        # With as many leaves again, of which fewer are signed.
        await back.grow(300, sign=False)
        await fails(past, folder, NotCanonical, "more leaves than are signed")


async def test_a_bundle_that_is_there_with_other_bytes_is_not_passed_over(log: Log, tmp_path: Path) -> None:
    leaves, folder = Leaves(log), tmp_path / "tiles"
    await leaves.grow(800)
    async with running(log, folder, 800):
        pass
    (folder / "tile/0/000").unlink()
    wrong = folder / "tile/entries/001"
    wrong.write_bytes(bytes(len(wrong.read_bytes())))

    await fails(log, folder, NotCanonical, "other bytes")
    assert not any(wrong.read_bytes())


async def test_a_checkpoint_with_another_root_is_not_handed_out(log: Log, tmp_path: Path) -> None:
    leaves, folder = Leaves(log), tmp_path / "tiles"
    await leaves.grow(300, sign=False)
    await leaves.sign(300, bytes(32))

    await fails(log, folder, NotCanonical, "another root")
    assert files_in(folder) == {}


async def test_leaves_that_are_not_numbered_one_by_one_make_no_tile(log: Log, tmp_path: Path) -> None:
    leaves, folder = Leaves(log), tmp_path / "tiles"
    await leaves.grow(300, skipped=1)

    await fails(log, folder, NotCanonical, "one by one")
    assert files_in(folder) == {}


async def test_a_checkpoint_over_leaves_that_are_not_there_makes_no_tile(log: Log, tmp_path: Path) -> None:
    leaves, folder = Leaves(log), tmp_path / "tiles"
    await leaves.grow(300, sign=False)
    await leaves.sign(301, bytes(32))

    await fails(log, folder, NotCanonical, "one by one")


async def test_several_processes_write_the_same_into_one_folder(log: Log, tmp_path: Path) -> None:
    leaves, folder = Leaves(log), tmp_path / "tiles"
    await leaves.grow(300)
    async with running(log, folder, 300) as first, running(log, folder, 300) as second:
        half = folder / "tile/0/.001.half"
        half.write_bytes(b"of a third")
        async with running(log, folder, 300):
            assert half.exists()
        await leaves.grow(700)
        for tiles in (first, second):
            await reach(tiles, 1_000)
            assert tiles.read(Tile(0, 2)) == leaves.data(Tile(0, 2))
        assert files_in(folder) == leaves.files()


async def test_tiles_that_are_being_made_again_are_waited_for(log: Log, tmp_path: Path) -> None:
    await Leaves(log).grow(300)
    with TileFolder(tmp_path / "tiles").alone():
        await fails(log, tmp_path / "tiles", LogUnavailable, "made again")
    async with running(log, tmp_path / "tiles", 300):
        with pytest.raises(BadConfiguration, match="another process"), TileFolder(tmp_path / "tiles").alone():
            raise AssertionError


class Full(Disk):
    """A disk that takes no more."""

    def write(self, path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")


async def test_a_full_disk_is_waited_for(log: Log, tmp_path: Path) -> None:
    leaves, folder = Leaves(log), tmp_path / "tiles"
    await leaves.grow(300)
    tiles = Tiles(log, TileFolder(folder, Full()), Metrics())
    with pytest.raises(LogUnavailable, match="No space left"):
        await tiles.run()
    assert tiles.published is None
    async with running(log, folder, 300):
        assert files_in(folder) == leaves.files()


async def test_how_far_it_is_and_how_far_behind_is_shown(log: Log, tmp_path: Path) -> None:
    await Leaves(log).grow(300)
    async with running(log, tmp_path / "tiles", 300) as tiles:
        shown = tiles._metrics.render().decode()
        assert "halong_tiles_size 300.0" in shown
        assert "halong_tiles_behind 0.0" in shown
