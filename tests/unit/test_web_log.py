"""The log as files over HTTP: a member makes every proof of its own from what it fetches."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker.core.merkle import verify_inclusion
from broker.core.note import LogKey
from broker.core.tiles import ENTRIES, Tile, TiledTree, tiles_of
from tests.leaves import Leaves
from tests.served import Answer, Served, served
from tests.world import sighting

pytestmark = pytest.mark.sockets

SECONDS = 20.0
FOR_EVER = "max-age=31536000, immutable"


async def signed(hub: Served, least: int) -> tuple[int, bytes]:
    """Return what the checkpoint says once it covers so many leaves."""
    key = LogKey.parse((await hub.ask("GET", "/log/vkey")).body.decode().strip())
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await hub.ask("GET", "/log/checkpoint")
            if answer.status == 200 and key.open_checkpoint(answer.body).size >= least:
                assert answer.headers["content-type"] == "text/plain; charset=utf-8"
                assert answer.headers["cache-control"] == "max-age=2"
                return key.open_checkpoint(answer.body)
            await asyncio.sleep(0.01)


async def fetched(hub: Served, size: int) -> dict[Tile, Answer]:
    return {tile: await hub.ask("GET", f"/log/{tile.path}") for tile in tiles_of(size)}


async def test_a_member_makes_its_own_proofs_from_the_tiles(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub:
        hub.world.agree("vn", "jp")
        for _ in range(5):
            await hub.world.publish("vn", sighting())
        await hub.world.settle()
        size, root = await signed(hub, hub.world.ledger.size)
        found = await fetched(hub, size)

        assert {answer.status for answer in found.values()} == {200}
        assert {answer.headers["cache-control"] for answer in found.values()} == {FOR_EVER}
        assert {answer.headers["content-type"] for answer in found.values()} == {"application/octet-stream"}
        tree = TiledTree(size, lambda tile: found[tile].body)
        assert tree.root() == root
        for index in range(size):
            assert verify_inclusion(tree.leaf(index), index, size, tree.inclusion_path(index), root)


async def test_full_tiles_come_from_the_disk_and_partial_ones_stay_when_they_are_full(tmp_path: Path) -> None:
    async with served(tmp_path, "vn") as hub:
        await hub.world.settle()
        hub.world.stop_services()
        first, _ = await signed(hub, 1)
        # As if another process of the hub had gone on.
        leaves = Leaves(hub.world.log)
        leaves.tree, leaves.signer = hub.world.ledger._tree, hub.world.log_signer
        leaves.entries = [b""] * first
        await leaves.grow(600)
        size, root = await signed(hub, first + 600)
        found = await fetched(hub, size)

        assert TiledTree(size, lambda tile: found[tile].body).root() == root
        assert found[Tile(0, 1)].body == (tmp_path / "tiles/tile/0/001").read_bytes()
        beginning = await hub.ask("GET", "/log/tile/0/001.p/7")
        assert (beginning.status, beginning.body) == (200, found[Tile(0, 1)].body[: 7 * 32])
        entries = await hub.ask("GET", "/log/tile/entries/001.p/7")
        assert (entries.status, entries.body) == (200, found[Tile(ENTRIES, 1)].body[: 7 * 35])


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/000",
        "tile/0/000.p/255",
        "tile/entries/000",
        "tile/1/000.p/1",
        "tile/0/x001/000",
        "tile/0/0",
        "tile/0/000.p/0",
        "tile/-1/000.p/1",
        "tile/0/000.p/1/",
        "tile/0/..%2f..%2f..%2flog.db",
        "tile/entries/%2e%2e/%2e%2e/log.db",
        "tile/",
        "nothing",
    ],
)
async def test_what_the_checkpoint_does_not_cover_is_not_there(tmp_path: Path, path: str) -> None:
    async with served(tmp_path, "vn") as hub:
        await hub.world.settle()
        await signed(hub, 1)
        answer = await hub.ask("GET", f"/log/{path}")
        assert (answer.status, answer.json["code"]) == (404, "not-supported")


async def test_a_process_that_does_not_know_yet_how_far_the_log_is_does_not_say_that_it_is_shorter(
    tmp_path: Path,
) -> None:
    async with served(tmp_path, "vn") as hub:
        await hub.world.settle()
        await signed(hub, 1)
        hub.tiles.caught_up.clear()
        hub.tiles._published = None
        for path in ("checkpoint", "tile/0/000.p/1"):
            answer = await hub.ask("GET", f"/log/{path}")
            assert (answer.status, answer.json["code"]) == (503, "unavailable")


@pytest.mark.parametrize("path", ["checkpoint", "vkey", "tile/0/000.p/1"])
async def test_who_is_no_member_reads_nothing_of_the_log(tmp_path: Path, path: str) -> None:
    async with served(tmp_path, "vn", "jp") as hub:
        await hub.world.settle()
        await signed(hub, 1)
        hub.world.revoke("jp")
        await hub.world.directory.refresh()
        answer = await hub.ask("GET", f"/log/{path}", name="jp")
        assert (answer.status, answer.json["code"]) == (403, "not-member")
