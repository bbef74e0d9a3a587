"""A hub that was restored from an old backup: every node that had seen more finds it out, also much later."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adapters.log_seen import seen_of_log
from broker.core.errors import BadSuccession, Unavailable
from broker.core.succession import EndedLog, end_of
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


async def test_what_all_bring_together_is_an_end_that_covers_what_each_saw(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    world = Past(tmp_path / "hub")
    key = world.log_signer.key
    async with world:
        nodes = {member: TestNode(world, member, tmp_path) for member in MEMBERS}
        for member in ("vn", "jp", "nl", "za"):
            # Each sees another part: za nothing beyond the backup, vn the most.
            await publish(world, nodes, 1)
            await nodes[member].receives()
        await nodes["za"].receives()
    world.remember()
    async with world:
        for member in ("nl", "jp", "vn"):
            await publish(world, nodes, 1)
            await nodes[member].receives()
    world.set_back()
    async with world:
        await world.settle()
        published = world.ledger.published
        assert published is not None
        shown = {member: seen_of_log(node.store, key) for member, node in nodes.items()}
        end = end_of(key, [published.note, *(note for seen in shown.values() for note in seen.ends)])
        sizes = {member: seen.heads[-1].size for member, seen in shown.items()}
        assert end.heads[-1].size == max(sizes.values()) > published.size > 0
        for seen in shown.values():
            head = end.next_to(seen.heads[-1])
            assert head is not None
            end.check_covers(seen.heads[-1], world.ledger.consistency(seen.heads[-1].size, head.size))
        # Whoever saw the most denies an end without what it saw, and nobody else does.
        shorter = EndedLog(key, end.ends[:-1])
        for member, seen in shown.items():
            path = world.ledger.consistency(seen.heads[-1].size, shorter.heads[-1].size)
            if sizes[member] == max(sizes.values()):
                with pytest.raises(BadSuccession):
                    shorter.check_covers(seen.heads[-1], path)
                continue
            head = shorter.next_to(seen.heads[-1])
            assert head is not None
            shorter.check_covers(seen.heads[-1], world.ledger.consistency(seen.heads[-1].size, head.size))
    for node in nodes.values():
        node.close()
