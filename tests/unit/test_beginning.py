"""A node that begins anew never signs under a number of its old store, whatever the hub still knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.store import Store, StoreUnavailable
from broker.core.model import Region
from tests.nodes import TestNode
from tests.world import World


def numbers(node: TestNode) -> list[str]:
    return [
        f"{stream}/{sequence}"
        for stream, sequence in node.store.rows("SELECT stream, sequence FROM statements ORDER BY sequence")
    ]


async def said(folder: Path, hub: str, *places: str) -> list[str]:
    """What a node says to a hub that knows nothing of it; its folder stays."""
    (folder / hub).mkdir()
    async with World(folder / hub, "vn", "jp") as world:
        world.agree("vn", "jp")
        node = TestNode(world, "vn", folder)
        for place in places:
            node.enqueue(place=place)
        await node.sends()
        assert {state for state, _ in node.states()} <= {"accepted", "admitted", "proven"}
        found = numbers(node)
        node.close()
        return found


async def test_hub_and_store_begin_anew_and_no_number_is_signed_twice(tmp_path: Path) -> None:
    before = await said(tmp_path, "first", "Hue", "Da Nang")
    for path in (tmp_path / "vn").glob("node.db*"):
        path.unlink()
    after = await said(tmp_path, "second", "Vinh", "Hanoi")
    assert len(before) == len(after) == 2
    assert not set(before) & set(after)


async def test_the_first_store_of_a_member_writes_the_stream_that_everybody_expects(tmp_path: Path) -> None:
    assert await said(tmp_path, "hub", "Hue") == ["main/1"]


async def test_a_store_goes_on_in_its_streams_though_the_file_beside_it_is_lost(tmp_path: Path) -> None:
    await said(tmp_path, "hub", "Hue")
    mark = tmp_path / "vn/node.begun"
    mark.unlink()
    with Store.open(tmp_path / "vn/node.db", sole=True) as store:
        assert store.row("SELECT name FROM streams WHERE region = ?", int(Region.ASIA_PACIFIC)) == ("main",)
        assert store.fact("begun") == 1
    assert mark.exists()


def test_a_store_of_an_earlier_version_is_the_first(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    with Store.open(path) as store, store.write():
        store.run("INSERT INTO streams VALUES (?, 'main', 4, 1)", int(Region.ASIA_PACIFIC))
    path.with_suffix(".begun").write_text("")
    with Store.open(path, sole=True) as store:
        assert store.fact("begun") == 1


def test_no_node_begins_where_it_cannot_be_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.files.token_hex", "{:02d}".format)
    (tmp_path / "node.begun").symlink_to(tmp_path / "nowhere/file")
    (tmp_path / ".node.begun.08").mkdir()
    with pytest.raises(StoreUnavailable):
        Store.open(tmp_path / "node.db", sole=True)
