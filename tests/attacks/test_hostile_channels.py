"""What the other side of a channel may do to the node: a false place, a command that leaves one behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.channels import ChannelUnavailable
from adapters.channels.control import Control
from adapters.channels.exec import ExecChannel
from adapters.channels.folder import FolderChannel
from adapters.channels.sql_sqlite import SqliteChannel
from broker.core.model import Status
from tests.nodes import TestNode
from tests.world import World, sighting

PLACE = "UPDATE halong_notice_place SET number = ?, delivery = ?"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path, "vn", "jp")
    made.agree("vn", "jp")
    async with made:
        yield made


async def publish(world: World, place: str) -> None:
    await world.publish("vn", sighting(place=place), addressees=("jp",))


@pytest.mark.parametrize(
    ("number", "delivery"),
    [
        (1, "no digits"),
        (1, "ab"),
        (1, b"\x00\xff"),
        ("text", "00" * 32),
        (-1, "00" * 32),
        (1.5, "00" * 32),
    ],
)
async def test_a_place_that_somebody_changed_stops_that_channel_alone(
    world: World, tmp_path: Path, number: object, delivery: object
) -> None:
    table = SqliteChannel(tmp_path / "notices.db", place="jp/table", name="table")
    await table.create()
    desk = FolderChannel(tmp_path / "desk", pages=False, name="desk")
    await publish(world, "one")
    node = TestNode(world, "jp", tmp_path, channels=[table, desk])
    await node.receives()
    db = sqlite3.connect(tmp_path / "notices.db")
    with db:
        (place,) = db.execute("SELECT number, delivery FROM halong_notice_place").fetchall()
        db.execute(PLACE, (number, delivery))
    node.close()
    await publish(world, "two")
    node = TestNode(world, "jp", tmp_path, channels=[table, desk])

    await world.settle()
    for _ in range(3):
        await node.node.runner.step(0)
        for worker in node.node.workers:
            await worker.step()

    assert len(list((tmp_path / "desk").rglob("*.json"))) == 2
    assert node.node.workers[0]._places.at("table").code == "bad-place"  # type: ignore[union-attr]
    assert db.execute("SELECT count(*) FROM halong_notice").fetchall() == [(1,)]

    with db:
        db.execute(PLACE, place)
    Control(node.store, "table").resume()
    await node.receives()
    assert db.execute("SELECT count(*) FROM halong_notice").fetchall() == [(2,)]
    db.close()


async def test_of_two_channels_to_one_folder_neither_shows_what_the_other_has_half_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(world, "one")
    first, second = (FolderChannel(tmp_path / "desk", pages=False, name=name) for name in ("first", "second"))

    def dies(*_: object) -> None:
        raise OSError

    halves = []
    for channel in (first, second):
        (tmp_path / channel.name).mkdir()
        node = TestNode(world, "jp", tmp_path / channel.name, channels=[channel])
        await world.settle()
        await node.node.runner.step(0)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", dies)
            await node.node.workers[0].step()
        node.close()
        halves.append(set((tmp_path / "desk").rglob(".*.part")))

    assert len(halves[0]) == 2
    assert len(halves[1]) == 4
    assert not list((tmp_path / "desk").rglob("*.json"))


@pytest.mark.sockets
@pytest.mark.parametrize("leaves", ["sleep", "setsid sleep"])
async def test_a_command_that_ends_and_leaves_its_input_to_another_holds_up_nothing(
    tmp_path: Path, leaves: str
) -> None:
    """Also one that left its group, and would not end with it, however much it was given and did not read."""
    script = tmp_path / "run"
    script.write_text(f"#!/bin/sh\nexec 3<&0\n{leaves} 600 <&3 &\necho $! >child\n")
    script.chmod(0o700)
    channel = ExecChannel([str(script)], tmp_path, statuses=frozenset(Status), name="run")
    left: list[int] = []
    try:
        for data in (b"x" * (4 << 20), b"y"):
            async with asyncio.timeout(10):
                assert await channel._run(data, dict(os.environ)) == 0
                left.append(int((tmp_path / "child").read_text()))
    finally:
        for each in left:
            os.kill(each, signal.SIGKILL)


async def test_a_command_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ChannelUnavailable):
        await ExecChannel(["/nowhere"], tmp_path)._run(b"", {})


@pytest.mark.sockets
async def test_a_command_gets_all_of_its_input_from_its_beginning(tmp_path: Path) -> None:
    channel = ExecChannel(["/bin/sh", "-c", "cat >got"], tmp_path, statuses=frozenset(Status), name="run")
    data = bytes(range(256)) * 4096
    assert await channel._run(data, dict(os.environ)) == 0
    assert (tmp_path / "got").read_bytes() == data
