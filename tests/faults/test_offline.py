"""Nodes that were away for a day: what waits at the hub, and what waits at the node, drains in its order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.nodes import TestNode
from tests.world import DAY, World

# Not for its sockets, it has none: for its seconds of disk it runs with `make test`.
pytestmark = pytest.mark.sockets

MANY = 150
FEW = 40


def places(node: TestNode) -> list[str]:
    """Return the places in a node's files, in the order of their lane."""
    return [json.loads(path.read_bytes())["notice"]["place"] for path in node.files()]


async def test_a_receiver_that_was_away_for_a_day_gets_everything_in_order(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue(place="before")
        await vn.sends()
        await jp.receives()
        jp.local.online = False
        for number in range(MANY):
            vn.enqueue(place=f"{number:04d}")
        await vn.sends()
        world.clock.move(DAY)

        jp.local.online = True
        await jp.receives()
        await jp.receipts()

        assert places(jp) == ["before", *(f"{number:04d}" for number in range(MANY))]
        assert jp.alarms() == []
        assert jp.snapshot().receipts_waiting == 0
        vn.close()
        jp.close()


async def test_what_a_publisher_queued_in_a_day_without_the_hub_goes_out_in_order(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.local.online = False
        for number in range(MANY):
            vn.enqueue(place=f"{number:04d}")
            world.clock.move(DAY // MANY)
        assert await vn.refusal() is not None
        # What is over by then is refused by its code, and holds up nothing.
        late = {"effective_until": "2026-09-23T00:00:00Z"}
        soon = vn.enqueue(late, place="too late")
        world.clock.move(30 * DAY)

        vn.local.online = True
        await vn.sends()
        await jp.receives()

        assert places(jp) == [f"{number:04d}" for number in range(MANY)]
        queued = vn.outgoing.queued(soon)
        assert queued is not None
        assert (queued.state, queued.code) == ("refused", "expired")
        vn.close()
        jp.close()


async def test_whoever_was_away_holds_up_nobody_else(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        world.agree("vn", "nl")
        vn, jp, nl = (TestNode(world, member, tmp_path) for member in ("vn", "jp", "nl"))
        jp.local.online = False
        for number in range(FEW):
            vn.enqueue(place=f"{number:04d}")
        await vn.sends()
        await nl.receives()

        assert len(nl.files()) == FEW
        assert vn.states() == [("proven", None)] * FEW
        jp.local.online = True
        await jp.receives()
        assert places(jp) == places(nl)
        for node in (vn, jp, nl):
            node.close()
