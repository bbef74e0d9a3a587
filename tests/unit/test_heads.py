"""Heads as the hub writes them and nodes find them right: hourly, of nothing, and of what was erased."""

from __future__ import annotations

from pathlib import Path

from broker.core.model import Head
from broker.core.records import decode
from broker.services.heads import EVERY_MS, Heads
from tests.nodes import TestNode
from tests.unit.test_erasure import erased, order
from tests.world import World, sighting


async def written(world: World) -> int:
    await world.settle()
    count = await world.heads.write_due()
    await world.settle()
    return count


async def test_every_member_has_a_head_every_hour_also_if_nothing_came(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        await world.publish("vn", sighting())
        assert await written(world) == 3
        assert await written(world) == 0
        world.clock.move(EVERY_MS)
        assert await written(world) == 3
        heads = {}
        for member in ("vn", "jp", "nl"):
            answer = world.heads.answer(member)
            assert answer.head is not None
            heads[member] = decode(Head, answer.head)
        assert {member: head.deliveries for member, head in heads.items()} == {"vn": 0, "jp": 1, "nl": 0}
        assert heads["jp"].at - heads["jp"].at % 1000 == world.clock.now()


async def test_a_node_finds_every_head_right_also_after_the_hub_started_again(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        jp = TestNode(world, "jp", tmp_path)
        for part in range(3):
            for number in range(3):
                await world.publish("vn", sighting(place=f"{part} {number}"))
            await jp.receives()
            assert await written(world) == 2
            assert await jp.node.heads.step()
            assert jp.node.heads.kept().deliveries == 3 * (part + 1)
            world.clock.move(EVERY_MS)
            # Another process goes on from the heads that are in the log.
            world.heads = Heads(world.log, world.ledger, world.directory, world.clock)
        assert jp.alarms() == []
        jp.close()


async def test_what_was_erased_counts_once_in_its_place(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        sent = [await world.publish("vn", sighting(place=f"Hue {n}")) for n in range(4)]
        jp = TestNode(world, "jp", tmp_path)
        assert await written(world) == 2
        order(world, tmp_path, sent[1].statement)
        await erased(world, tmp_path)
        await world.publish("vn", sighting(place="later"))
        world.clock.move(EVERY_MS)
        for heads in (world.heads, Heads(world.log, world.ledger, world.directory, world.clock)):
            world.heads = heads
            await written(world)
            await jp.receives()
            assert await jp.node.heads.step()
            assert jp.node.heads.kept().deliveries == 5
            world.clock.move(EVERY_MS)
        assert jp.incoming.counts() == {"delivered": 4, "erased": 1}
        assert jp.alarms() == []
        jp.close()


async def test_a_member_without_a_head_gets_one_over_all_that_it_was_sent(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        await written(world)
        world.join("nl")
        world.agree("vn", "nl")
        await world.directory.refresh()
        await world.publish("vn", sighting())
        await world.settle()
        # A process that starts now knows of jp's head, and of nothing of nl's.
        world.heads = Heads(world.log, world.ledger, world.directory, world.clock)
        assert await written(world) == 1
        nl = TestNode(world, "nl", tmp_path)
        await nl.receives()
        assert await nl.node.heads.step()
        assert nl.node.heads.kept().deliveries == 1
        nl.close()
