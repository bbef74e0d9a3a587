"""A hub that was restored from an old backup: every node that had seen more finds it out, also much later."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from broker.core.errors import Unavailable
from tests.nodes import TestNode
from tests.world import World

# Not for its sockets, it has none: for its seconds of disk it runs with `make test`.
pytestmark = pytest.mark.sockets

MEMBERS = ("vn", "jp", "nl", "za")


class Past(World):
    """A hub whose log can be set back to where it was; its members and keys stay."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, *MEMBERS)
        self.folder = folder
        self.agree("vn", "jp")
        self.agree("vn", "nl")

    def remember(self) -> None:
        shutil.copy(self.folder / "log.db", self.folder / "backup")

    def set_back(self) -> None:
        for path in self.folder.glob("log.db*"):
            path.unlink()
        shutil.copy(self.folder / "backup", self.folder / "log.db")


async def publish(world: World, nodes: dict[str, TestNode], count: int) -> None:
    for number in range(count):
        nodes["vn"].enqueue(place=f"place {number}")
    await nodes["vn"].sends()


async def test_every_node_notices_though_the_log_has_grown_longer_than_what_it_saw(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    world = Past(tmp_path / "hub")
    nodes: dict[str, TestNode] = {}
    async with world:
        nodes = {member: TestNode(world, member, tmp_path) for member in MEMBERS}
        await publish(world, nodes, 3)
        for node in nodes.values():
            await node.receives()
    world.remember()
    async with world:
        await publish(world, nodes, 3)
        for node in nodes.values():
            await node.receives()
    seen = max(node.snapshot().tree_size for node in nodes.values())
    for node in nodes.values():
        # Everybody meets the outage.
        node.local.online = False
        with pytest.raises(Unavailable):
            await node.node.runner.step(0)
        node.local.online = True
    world.set_back()
    async with world:
        # Somebody who has seen nothing of it publishes, until the log is longer than it was.
        other = TestNode(world, world.join("us").id, tmp_path)
        world.agree("us", "jp")
        while world.ledger.size <= seen + 10:
            other.enqueue(place="elsewhere")
            await other.sends()
            await world.settle()
        for member, node in nodes.items():
            before = node.files()
            refusal = await node.refusal()
            assert refusal is not None, member
            assert refusal.code == "bad-proof", member
            assert ("feed.stopped", "bad-proof") in node.alarms()
            assert node.files() == before
        assert await other.refusal() is None
    for node in (*nodes.values(), other):
        node.close()
