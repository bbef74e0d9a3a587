"""Heads in an auditor's answers: what the hub last said of an inbox, and whether the leaves bear it out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from broker.audit.building import AuditIndex
from broker.audit.gaps import HEAD_WITHIN_MS, gaps
from broker.audit.members import standings
from broker.core.model import Delivery, DeliveryHead, Head
from broker.core.note import LogKey
from broker.core.records import decode, delivery_id, encode, frame, named_frame, unframe
from broker.log import Partition, Record
from broker.log.topics import HEADS, inbox_topic
from tests.recount import records
from tests.unit.test_erasure import erased, order
from tests.world import CATALOGUE, World, sighting


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Three deliveries to jp, of which a head tells, and one since."""
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        for number in range(3):
            await world.publish("vn", sighting(place=f"Hue {number}"))
        await world.settle()
        assert await world.heads.write_due() == 2
        await world.publish("vn", sighting(place="Hue again"))
        await world.settle()
        yield world


async def heads_found(world: World, folder: Path) -> list[tuple[str, str]]:
    """Return what an index made anew finds wrong with heads: of whom, and what."""
    index = AuditIndex(folder / "audit.index", LogKey.parse(world.log_signer.vkey), CATALOGUE)
    try:
        index.begin_anew()
        await index.refresh(world.log)
        found = gaps(index, world.clock.now())
        assert all(each.fault for each in found if each.kind == "head")
        return [(each.where, each.what) for each in found if each.kind == "head"]
    finally:
        index.close()


async def says(world: World, **changes: int) -> None:
    """Let the hub say something else of jp's inbox."""
    heads = (await records(world.log, HEADS))[Partition(HEADS)]
    (head,) = [head for each in heads if (head := unframe(Head, each.value)).member == "jp"]
    assert head.deliveries == 3
    lie = replace(head, salt=bytes(16), size=head.size + 1, **changes)
    await world.log.append([Record(Partition(HEADS), *named_frame(lie))])
    await world.settle()


async def test_members_are_told_with_the_head_that_each_was_shown_last(world: World, tmp_path: Path) -> None:
    assert await heads_found(world, tmp_path) == []
    index = AuditIndex(tmp_path / "audit.index", LogKey.parse(world.log_signer.vkey), CATALOGUE)
    (jp,) = [each for each in standings(index, world.clock.now()) if each.member == "jp"]
    index.close()

    assert (jp.delivered, jp.head) == (4, 3)
    assert jp.head_at is not None


@pytest.mark.parametrize("said", [2, 5])
async def test_a_head_that_the_leaves_deny_is_a_fault(said: int, world: World, tmp_path: Path) -> None:
    await says(world, deliveries=said)

    ((where, what),) = await heads_found(world, tmp_path)

    assert where == "jp"
    assert f"said {said} deliveries, and there are 3" in what


async def test_what_was_erased_still_counts_once(world: World, tmp_path: Path) -> None:
    delivered = await world.deliveries("jp")
    order(world, tmp_path, delivered[0].head.statement)
    await erased(world, tmp_path)
    await world.settle()

    assert await heads_found(world, tmp_path) == []


async def test_deliveries_that_wait_for_their_leaf_are_not_missed(world: World, tmp_path: Path) -> None:
    world.stop_services()
    await delivers_without_a_leaf(world)

    assert await heads_found(world, tmp_path) == []


async def delivers_without_a_leaf(world: World) -> None:
    """Put a delivery into jp's inbox of which no leaf tells."""
    inbox = Partition(inbox_topic("jp"))
    last = unframe(Delivery, (await records(world.log, inbox.topic))[inbox][-1].value)
    head = encode(replace(decode(DeliveryHead, last.head), salt=bytes(16), sequence=5))
    await world.log.append([Record(inbox, delivery_id(head), frame(replace(last, head=head)))])


async def test_a_member_of_whom_no_head_tells_for_hours_is_a_fault(world: World, tmp_path: Path) -> None:
    world.clock.move(HEAD_WITHIN_MS + 2000)
    await world.publish("vn", sighting(place="late"))
    await world.settle()
    assert [where for where, _ in await heads_found(world, tmp_path)] == ["jp", "vn"]

    await world.heads.write_due()
    await world.settle()

    assert await heads_found(world, tmp_path) == []
