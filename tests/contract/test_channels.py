"""One contract for every channel, against its real other side.

What arrives is what was delivered, in order, live notices alone; what is offered again arrives once or is
recognisably the same; a failing or hanging other side loses nothing and stops nobody else; what it never
takes is a dead letter.  What kill -9 leaves behind is counted in `tests.faults.test_channels_killed`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from adapters.channels import Closes, Item
from adapters.channels.folder import FolderChannel
from adapters.channels.places import Places
from adapters.channels.terms import Terms
from adapters.node import make_channels
from adapters.receiving.shown import shown
from broker.core.model import Status
from tests.counterparts import KINDS, POISON, Cluster, Counterpart, Mail, counterpart
from tests.nodes import TestNode
from tests.world import SECONDS, World, sighting

pytestmark = pytest.mark.sockets


@pytest.fixture(
    params=[pytest.param(kind, marks=[pytest.mark.kafka] if kind == "kafka" else []) for kind in KINDS]
)
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Counterpart]:
    folder = tmp_path / "side"
    folder.mkdir()
    async with counterpart(request.param, folder, request.getfixturevalue) as side:
        yield side


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp", slots=["facts", "persons"], grant='statuses = ["ACTUAL", "EXERCISE", "TEST"]')
    async with world:
        yield world


class Keeper:
    """A channel that keeps what it got."""

    name = "keeper"
    statuses = frozenset(Status)

    def __init__(self) -> None:
        self.items: list[Item] = []

    async def deliver(self, item: Item) -> None:
        self.items.append(item)


async def publish(world: World, count: int) -> list[str]:
    places = [f"place {number:03}" for number in range(count)]
    for place in places:
        await world.publish("vn", sighting(place=place, person="Ada"))
    return places


def place_of(said: object) -> str:
    """The place that something which arrived names."""
    if isinstance(said, dict):
        return str(said["notice"]["place"])
    (line,) = (line for line in str(said).splitlines() if "place 0" in line)
    return line[line.index("place 0") :].strip()


async def goes_on(node: TestNode, side: Counterpart, count: int) -> None:
    """Work until so many arrived, while the clock moves."""
    async with asyncio.timeout(SECONDS):
        while len(await side.arrived()) < count:
            await node.hands_on()
            node.world.clock.move(60_000)


async def close(node: TestNode) -> None:
    for worker in node.node.workers:
        if isinstance(worker._channel, Closes):
            await worker._channel.close()
    node.close()


async def test_what_arrives_is_what_was_delivered_in_order_and_live_alone(
    world: World, tmp_path: Path, side: Counterpart
) -> None:
    keeper = Keeper()
    node = TestNode(world, "jp", tmp_path, channels=[side.channel(), keeper])
    await world.publish("vn", sighting(place="exercise"), status=Status.EXERCISE)
    places = await publish(world, 12)
    await world.publish("vn", sighting(place="test"), status=Status.TEST)
    await node.receives()
    await goes_on(node, side, 12)
    arrived = await side.arrived()
    assert [place_of(each.said) for each in arrived] == places
    live = [item for item in keeper.items if item.notice.header.status is Status.ACTUAL]
    assert [each.delivery for each in arrived] == [item.id.hex() for item in live]
    if not isinstance(side, Mail):
        assert [each.said for each in arrived] == [
            json.loads(msgspec.json.encode(shown(item))) for item in live
        ]
    assert node.snapshot().received == {"delivered": 14}
    await close(node)


async def test_what_is_offered_again_is_there_once_or_recognisably_the_same(
    world: World, tmp_path: Path, side: Counterpart
) -> None:
    keeper = Keeper()
    node = TestNode(world, "jp", tmp_path, channels=[side.channel(), keeper])
    await publish(world, 3)
    await node.receives()
    await goes_on(node, side, 3)
    before = await side.arrived()
    # As after a crash that forgot what was confirmed.
    with node.store.write():
        node.store.run("UPDATE channels SET place = 0 WHERE name = 'side'")
    await close(node)
    node = TestNode(world, "jp", tmp_path, channels=[side.channel(), keeper])
    await node.hands_on()
    after = await side.arrived()
    assert {each.delivery for each in after} == {each.delivery for each in before}
    if side.exact:
        assert after == before
    (state,) = (each for each in node.snapshot().channels if each.name == "side")
    assert (state.failures, state.behind) == (0, 0)
    await close(node)


async def test_an_other_side_that_fails_loses_nothing_and_no_order(
    world: World, tmp_path: Path, side: Counterpart
) -> None:
    well = FolderChannel(tmp_path / "well", pages=False, name="well")
    if isinstance(side, Cluster):
        # The shared cluster stays; what fails is the way to it.
        side._point_to("localhost:1")
        bad = side.channel()
        side._point_to(side.bootstrap)
    else:
        bad = side.channel()
        await side.fail()
    terms = {"side": Terms(timeout_seconds=5)}
    node = TestNode(world, "jp", tmp_path, channels=[bad, well], terms=terms)
    places = await publish(world, 5)
    await node.receives()
    assert len(list((tmp_path / "well").rglob("*.json"))) == 5
    place = Places(node.store).at("side")
    assert place is not None
    assert (place.failures, place.number) == (1, 0)
    assert node.snapshot().received == {"delivered": 5}
    assert {receipt.channel for receipt in node.incoming.owed(9)} == {"well"}
    await close(node)
    await side.mend()
    node = TestNode(world, "jp", tmp_path, channels=[side.channel(), well])
    await goes_on(node, side, 5)
    assert [place_of(each.said) for each in await side.arrived()] == places
    await close(node)


async def test_an_other_side_that_hangs_stops_nobody_else_and_loses_nothing(
    world: World, tmp_path: Path, side: Counterpart
) -> None:
    well = FolderChannel(tmp_path / "well", pages=False, name="well")
    places = await publish(world, 4)
    listener = None
    node = TestNode(world, "jp", tmp_path, channels=[side.channel(), well])
    await world.settle()
    await node.node.runner.step(0)
    if isinstance(side, Cluster):
        # Something that takes the connection, and never says a word.
        listener = socket.create_server(("127.0.0.1", 0))
        side._point_to(f"localhost:{listener.getsockname()[1]}")
        hanging = side.channel()
        side._point_to(side.bootstrap)
    else:
        await side.hang(node)
        hanging = side.channel()
    await close(node)
    terms = {"side": Terms(timeout_seconds=0.4)}
    node = TestNode(world, "jp", tmp_path, channels=[hanging, well], terms=terms)
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        running = group.create_task(node.node.run())
        while len(list((tmp_path / "well").rglob("*.json"))) < 4:  # noqa: ASYNC110 - files have no events
            await asyncio.sleep(0.01)
        running.cancel()
    assert await side.arrived() == []
    await close(node)
    await side.mend()
    if listener is not None:
        listener.close()
    node = TestNode(world, "jp", tmp_path, channels=[side.channel(), well])
    await goes_on(node, side, 4)
    # What hung may have been taken in the end: a repeat is recognisable; where exactly once is said, is none.
    arrived = await side.arrived()
    firsts = list(dict.fromkeys(each.delivery for each in arrived))
    assert [place_of(each.said) for each in arrived][-4:] == places
    assert len(firsts) == 4
    if side.exact:
        assert len(arrived) == 4
    await close(node)


async def test_what_is_never_taken_is_a_dead_letter_and_the_rest_arrives(
    world: World, tmp_path: Path, side: Counterpart
) -> None:
    if not side.poisonous:
        # A folder takes whatever there is room for.
        return
    node = TestNode(world, "jp", tmp_path, channels=[side.channel()])
    await world.publish("vn", sighting(place="place 000"))
    await world.publish("vn", sighting(place=POISON))
    await world.publish("vn", sighting(place="place 001"))
    await node.receives()
    await goes_on(node, side, 2)
    assert [place_of(each.said) for each in await side.arrived()] == ["place 000", "place 001"]
    ((code,),) = node.store.rows("SELECT code FROM letters")
    assert code in {"http-422", "smtp-554", "sqlite-constraint-trigger", "sql-23514", "too-large", "exit-3"}
    assert node.snapshot().received == {"delivered": 2, "checked": 1}
    await close(node)


async def test_it_says_whether_it_can_be_reached_and_delivers_nothing_by_that(side: Counterpart) -> None:
    (channel,) = make_channels(side.config())
    said = await channel.check()  # type: ignore[attr-defined]
    assert said
    assert await side.arrived() == []
