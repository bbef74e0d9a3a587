"""An operator with the hub's disk and the log's key rewrites one leaf: every member's node finds it out.

The disk is really rewritten, every root is computed again, and every checkpoint is signed again with the time
that it had.  Then the hub's own code, unmodified, serves it, and the log grows past what everybody saw.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.witness.judging import Denied, Submission
from broker.core.errors import BadProof
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import Checkpoint, Leaf
from broker.core.records import frame, unframe
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES, FOLLOWED
from broker.services.dispatcher import READER as DISPATCHER
from tests.nodes import TestNode
from tests.witnesses import WitnessNode, asked, cosigned, grow, witness_node, witnesses
from tests.world import World

# Not for its sockets, it has none: for its seconds of disk it runs with `make test`.
pytestmark = pytest.mark.sockets

OFFSET_BITS = 40
Rewrite = Callable[[list[Leaf], int], list[Leaf]]


def dropped(leaves: list[Leaf], at: int) -> list[Leaf]:
    return leaves[:at] + leaves[at + 1 :]


def changed(leaves: list[Leaf], at: int) -> list[Leaf]:
    return [*leaves[:at], replace(leaves[at], entry=b"\x02" + os.urandom(32)), *leaves[at + 1 :]]


def inserted(leaves: list[Leaf], at: int) -> list[Leaf]:
    return [*leaves[:at], Leaf(at, b"\x02" + os.urandom(32), "elsewhere", 0, 0), *leaves[at:]]


def reordered(leaves: list[Leaf], at: int) -> list[Leaf]:
    """Change places with the next leaf of another topic, so that each topic's records keep their order."""
    other = next(n for n in range(at + 1, len(leaves)) if leaves[n].topic != leaves[at].topic)
    between = leaves[at + 1 : other]
    return [*leaves[:at], leaves[other], leaves[at], *between, *leaves[other + 1 :]]


def rewrite(path: Path, world: World, how: Rewrite, at: int) -> int:
    """Rewrite the leaves on the hub's disk from `at` on, and sign every checkpoint again.

    Returns how many leaves there are more.
    """
    with closing(sqlite3.connect(path)) as disk, disk:
        partitions = {
            topic: id_ << OFFSET_BITS for topic, id_ in disk.execute("SELECT topic, id FROM partitions")
        }

        def rows(topic: str) -> list[tuple[int, bytes]]:
            base = partitions[topic]
            return disk.execute(
                "SELECT id, value FROM records WHERE id >= ? AND id < ? ORDER BY id",
                (base, base + (1 << OFFSET_BITS)),
            ).fetchall()

        before = rows(AUDIT_LEAVES)
        leaves = how([unframe(Leaf, value) for _, value in before], at)
        assert leaves != [unframe(Leaf, value) for _, value in before]
        base = partitions[AUDIT_LEAVES]
        disk.execute("DELETE FROM records WHERE id >= ? AND id < ?", (base, base + (1 << OFFSET_BITS)))
        disk.executemany(
            "INSERT INTO records VALUES (?, ?, ?)",
            [(base + n, b"%d" % n, frame(replace(leaf, index=n))) for n, leaf in enumerate(leaves)],
        )
        tree = Tree(leaf_hash(leaf.entry) for leaf in leaves)
        moved = len(leaves) - len(before)
        for id_, value in rows(AUDIT_CHECKPOINTS):
            checkpoint = unframe(Checkpoint, value)
            size = checkpoint.size + (moved if checkpoint.size > at else 0)
            root = tree.root(size)
            note = world.log_signer.sign_checkpoint(size, root, checkpoint.signed_at)
            again = frame(replace(checkpoint, size=size, root=root, note=note))
            disk.execute("UPDATE records SET value = ? WHERE id = ?", (again, id_))
    return moved


class Rewritten(World):
    """A world whose log has, after it was rewritten, more or fewer leaves than records."""

    moved = 0

    async def _is_settled(self) -> bool:
        notices = await self.log.ends(["notices.*"])
        dispatched = await self.log.places(DISPATCHER)
        if any(dispatched.get(partition, 0) < end for partition, end in notices.items()):
            return False
        return self.ledger.size == sum((await self.log.ends(FOLLOWED)).values()) + self.moved


@pytest.mark.parametrize("how", [dropped, changed, inserted, reordered], ids=lambda how: how.__name__)
async def test_whoever_rewrites_one_leaf_is_found_out_by_every_member(tmp_path: Path, how: Rewrite) -> None:
    (tmp_path / "hub").mkdir()
    world = Rewritten(tmp_path / "hub", "vn", "jp", "nl")
    world.agree("vn", "jp")
    world.agree("vn", "nl")
    async with world:
        nodes = dict(witnesses(world, tmp_path))
        for _ in range(2):
            await grow(world, nodes)
        await cosigned(world, nodes)
        leaves = world.ledger.size
    world.moved = rewrite(tmp_path / "hub" / "log.db", world, how, leaves // 2)
    for each in nodes.values():
        each.node.close()
    async with world:
        nodes = {member: witness_node(world, member, tmp_path) for member in nodes}
        before = {member: each.witness.latest() for member, each in nodes.items()}
        # Somebody who has seen nothing of it publishes, until the log is longer than it was.
        other = TestNode(world, world.join("us").id, tmp_path)
        world.agree("us", "jp")
        while world.ledger.size <= leaves + 10:
            other.enqueue(place="elsewhere")
            await other.sends()
            await world.settle()
        await asked(world)
        given = (await world.log.ends(["audit.cosignatures"])).copy()
        for member, each in nodes.items():
            await caught(member, each, before[member])
        assert (await world.log.ends(["audit.cosignatures"])) == given
    for each in nodes.values():
        each.node.close()
    other.close()


async def caught(member: str, each: WitnessNode, before: object) -> None:
    """The witness cosigns nothing, the feed stops, and both say so."""
    files = each.node.files()
    with pytest.raises(BadProof):
        await each.rhythm.step()
    assert each.witness.latest() == before, member
    refusal = await each.node.refusal()
    assert refusal is not None, member
    assert refusal.code == "bad-proof", member
    assert {("log.forked", "bad-proof"), ("feed.stopped", "bad-proof")} <= set(each.node.alarms()), member
    assert each.node.files() == files, member
    ((kept, shown),) = each.node.store.rows("SELECT kept, shown FROM contradictions")
    key = each.witness.log
    assert key.open_checkpoint(kept) == before
    assert key.open_checkpoint(shown).size > key.open_checkpoint(kept).size


async def test_the_evidence_of_a_rewritten_log_convinces_whoever_has_the_log_key_alone(
    tmp_path: Path,
) -> None:
    """Two checkpoints of one size and two roots, both signed: nothing else is needed."""
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        await cosigned(world, nodes)
        jp = nodes["jp"]
        latest = jp.witness.latest()
        assert latest is not None
        fork = world.log_signer.sign_checkpoint(latest.size, os.urandom(32), world.clock.now())
        assert isinstance(await jp.witness.add(Submission(latest.size, (), fork)), Denied)
        ((kept, shown),) = jp.node.store.rows("SELECT kept, shown FROM contradictions")
        one, two = (jp.witness.log.open_checkpoint(each) for each in (kept, shown))
        assert one.size == two.size
        assert one.root != two.root
