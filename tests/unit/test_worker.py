"""The worker: each channel by itself, in order, offered again after whatever happened, and never skipped."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.channels import ChannelRefused, ChannelUnavailable, Item, Reached
from adapters.channels.places import Place, Places
from adapters.channels.terms import HOUR_MS, Terms
from adapters.channels.worker import Worker
from adapters.directories import DirectoryUnknown
from adapters.receiving.opening import Opening
from adapters.receiving.shown import shown
from broker.core.errors import BadProof, Refused
from broker.core.model import Slot, Status
from tests.crash import Crash
from tests.nodes import TestNode
from tests.world import SECONDS, World, sighting


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp", slots=["facts", "persons"], grant='statuses = ["ACTUAL", "EXERCISE"]')
    async with world:
        yield world


@dataclass
class Desk:
    """A channel that keeps what it got, and does with the next ones what it is told."""

    name: str = "desk"
    statuses: frozenset[Status] = frozenset({Status.ACTUAL})
    items: list[Item] = field(default_factory=list)
    answers: list[BaseException] = field(default_factory=list)
    offered: int = 0
    closed: int = 0

    async def deliver(self, item: Item) -> None:
        self.offered += 1
        if self.answers:
            raise self.answers.pop(0)
        self.items.append(item)

    async def close(self) -> None:
        self.closed += 1

    @property
    def places(self) -> list[str]:
        return [str(item.notice.values[Slot.FACTS]["place"]) for item in self.items]


@dataclass
class ManyDesk(Desk):
    """The same, with many at once; one place is never taken."""

    poison: str = ""

    async def deliver(self, item: Item) -> None:
        if item.notice.values[Slot.FACTS]["place"] == self.poison:
            raise ChannelRefused("never", field=self.name, answer="poison")
        await super().deliver(item)

    async def deliver_all(self, items: Sequence[Item]) -> None:
        if any(item.notice.values[Slot.FACTS]["place"] == self.poison for item in items):
            raise ChannelUnavailable("not all of them", field=self.name)
        self.items += items


class ExactDesk(Desk):
    """The same, and the other side tells where it stands."""

    async def reached(self) -> Reached | None:
        return Reached(self.items[-1].number, self.items[-1].id) if self.items else None


class Hanging(Desk):
    """A channel that never answers."""

    async def deliver(self, item: Item) -> None:
        self.offered += 1
        await asyncio.Event().wait()


def unavailable(**more: float) -> ChannelUnavailable:
    return ChannelUnavailable("not now", field="desk", answer="busy", **more)  # type: ignore[arg-type]


def place_of(node: TestNode, name: str = "desk") -> Place:
    found = Places(node.store).at(name)
    assert found is not None
    return found


async def publish(world: World, *places: str) -> None:
    for place in places:
        await world.publish("vn", sighting(place=place))


async def goes_on(node: TestNode, until: int) -> None:
    """Work until the first channel has so many, while the clock moves."""
    async with asyncio.timeout(SECONDS):
        while place_of(node).handed < until:
            if not await node.node.workers[0].step():
                node.world.clock.move(1000)


def worker_of(node: TestNode, channel: Desk, terms: Terms) -> Worker:
    """A worker with other terms, in place of the node's."""
    worker = Worker(node.node.equipment, channel, Opening(node.node.equipment), terms)
    node.node.workers[:] = [worker]
    return worker


async def test_what_a_channel_does_not_take_is_offered_again_later_and_later_and_nothing_passes_it_by(
    world: World, tmp_path: Path
) -> None:
    await publish(world, "first", "second", "third")
    desk = Desk(answers=[unavailable() for _ in range(4)])
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await node.receives()
    assert (desk.offered, desk.items) == (1, [])
    assert node.snapshot().received == {"checked": 3}
    assert node.incoming.owed(9) == []
    waits = []
    for _ in range(3):
        retry_at = place_of(node).retry_at
        assert retry_at is not None
        waits.append(retry_at - world.clock.now())
        world.clock.move(waits[-1] - 1)
        await node.hands_on()
        assert desk.offered == len(waits)
        world.clock.move(1)
        await node.hands_on()
        assert desk.offered == len(waits) + 1
    assert all(second > first for first, second in itertools.pairwise(waits))
    await goes_on(node, 3)
    assert desk.places == ["first", "second", "third"]
    assert node.snapshot().received == {"delivered": 3}
    assert node.snapshot().held is None
    assert node.alarms() == []


async def test_a_channel_that_hangs_or_fails_holds_up_neither_the_feed_nor_another_channel(
    world: World, tmp_path: Path
) -> None:
    hanging, failing, well = Hanging("hanging"), Desk("failing"), Desk("well")
    failing.answers = [unavailable() for _ in range(1000)]
    node = TestNode(world, "jp", tmp_path, channels=[hanging, failing, well])
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        running = group.create_task(node.node.run())
        for number in range(10):
            await publish(world, str(number))
        while len(well.items) < 10:  # noqa: ASYNC110 - the channel has no event
            await asyncio.sleep(0)
        running.cancel()
    assert well.places == [str(number) for number in range(10)]
    assert hanging.offered == 1
    assert failing.offered > 1
    assert node.snapshot().received == {"delivered": 10}
    # Some may be on their way already.
    assert {receipt.channel for receipt in node.incoming.owed(99)} <= {"well"}
    assert (hanging.closed, failing.closed > 1, well.closed) == (1, True, 1)


async def test_a_channel_that_hangs_is_cut_off_in_time_and_asked_again(world: World, tmp_path: Path) -> None:
    await publish(world, "one")
    hanging = Hanging()
    node = TestNode(world, "jp", tmp_path, channels=[hanging])
    worker_of(node, hanging, Terms(timeout_seconds=0.01))
    await node.receives()
    assert place_of(node).code == "timeout"
    world.clock.move(60_000)
    await node.hands_on()
    assert hanging.offered == 2


async def test_a_refused_delivery_is_a_dead_letter_and_the_next_ones_arrive(
    world: World, tmp_path: Path
) -> None:
    await publish(world, "one", "two", "three")
    desk = Desk(answers=[ChannelRefused("gone", field="desk", answer="http-410")])
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await node.receives()
    assert desk.places == ["two", "three"]
    assert node.store.rows("SELECT channel, code, attempts FROM letters") == [("desk", "http-410", 1)]
    assert node.snapshot().received == {"checked": 1, "delivered": 2}
    assert node.alarms() == [("channel.dead-letter", "http-410")]
    assert (place_of(node).failures, place_of(node).handed) == (0, 2)


@pytest.mark.parametrize(
    ("terms", "attempts"),
    [(Terms(give_up_attempts=3), 3), (Terms(give_up_hours=1, circuit_seconds=1800, circuit_failures=1), 4)],
    ids=["attempts", "age"],
)
async def test_a_delivery_that_was_tried_for_long_enough_is_given_up(
    world: World, tmp_path: Path, terms: Terms, attempts: int
) -> None:
    await publish(world, "one", "two")
    desk = Desk(answers=[unavailable() for _ in range(attempts)])
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    worker_of(node, desk, terms)
    await node.receives()
    for _ in range(attempts):
        retry_at = place_of(node).retry_at
        world.clock.move(
            HOUR_MS // 3 if retry_at is None else max(retry_at - world.clock.now(), HOUR_MS // 3)
        )
        await node.hands_on()
    assert node.store.rows("SELECT code, attempts FROM letters") == [("busy", attempts)]
    assert desk.places == ["two"]


async def test_after_some_failures_in_a_row_one_delivery_tells_whether_the_channel_is_well_again(
    world: World, tmp_path: Path
) -> None:
    await publish(world, *(str(number) for number in range(5)))
    desk = ManyDesk(answers=[unavailable() for _ in range(6)])
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    worker_of(node, desk, Terms(circuit_failures=3, circuit_seconds=600))
    desk.poison = "2"
    await node.receives()
    waits = []
    while desk.answers:
        retry_at = place_of(node).retry_at
        assert retry_at is not None
        waits.append(retry_at - world.clock.now())
        world.clock.move(waits[-1])
        await node.hands_on()
    assert all(wait < 10_000 for wait in waits[:2])
    assert all(300_000 <= wait <= 600_000 for wait in waits[2:6])
    await goes_on(node, 4)
    assert node.alarms() == [("channel.dead-letter", "poison"), ("channel.open", "busy")]
    assert desk.places == ["0", "1", "3", "4"]
    assert place_of(node).failures == 0


async def test_what_the_other_side_asks_for_is_waited_for(world: World, tmp_path: Path) -> None:
    await publish(world, "one")
    desk = Desk(answers=[unavailable(retry_after_seconds=120.0)])
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await node.receives()
    assert place_of(node).retry_at == world.clock.now() + 120_000


async def test_a_clock_that_was_set_back_does_not_silence_a_channel(world: World, tmp_path: Path) -> None:
    await publish(world, "one")
    desk = Desk(answers=[unavailable()])
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await node.receives()
    world.clock.move(-30 * 86_400_000)
    await node.hands_on()
    assert desk.places == ["one"]


async def test_one_bad_delivery_in_a_batch_is_found_and_costs_the_others_nothing(
    world: World, tmp_path: Path
) -> None:
    await publish(world, *(str(number) for number in range(9)))
    desk = ManyDesk(poison="6")
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await node.receives()
    assert desk.places == ["0", "1", "2", "3", "4", "5", "7", "8"]
    assert node.store.rows("SELECT code FROM letters") == [("poison",)]


async def test_a_delivery_is_the_same_whether_it_was_just_checked_or_is_opened_from_the_store(
    world: World, tmp_path: Path
) -> None:
    await publish(world, "one", "two")
    desk = Desk()
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await node.receives()
    opening = Opening(node.node.equipment)
    for item in desk.items:
        again = await opening.open(item.id)
        assert again is not None
        assert shown(again) == shown(item)
        assert (again.proof, again.names) == (item.proof, item.names)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ("DELETE FROM checkpoints", "bad-proof", "checkpoint"),
        ("UPDATE deliveries SET leaf = leaf + 1", "bad-proof", "path"),
        ("UPDATE deliveries SET sequence = sequence + 1", "lane-gap", "sequence"),
        (
            """UPDATE deliveries SET (record, leaf, path, size) =
               (SELECT record, leaf, path, size FROM deliveries ORDER BY place DESC LIMIT 1)""",
            "bad-proof",
            "delivery",
        ),
    ],
)
async def test_what_the_store_holds_otherwise_than_it_was_checked_is_not_opened(
    world: World, tmp_path: Path, change: str, code: str, field: str
) -> None:
    await publish(world, "first", "second")
    desk = Desk()
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await node.receives()
    opening = Opening(node.node.equipment)
    with pytest.raises(BadProof, match="no such delivery"):
        await opening.open(bytes(32))
    with node.store.write():
        node.store.run(change)

    with pytest.raises(Refused) as caught:
        await opening.open(desk.items[0].id)
    assert (caught.value.code, caught.value.field) == (code, field)


async def test_little_of_what_was_just_checked_is_kept(world: World, tmp_path: Path) -> None:
    await publish(world, *(str(number) for number in range(20)))
    desk = Desk()
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    node.node.opening._most = 2_000
    await node.receives()
    assert 0 < len(node.node.opening._kept) < 5
    assert len(desk.items) == 20


async def test_what_somebody_changed_in_the_store_reaches_no_channel(world: World, tmp_path: Path) -> None:
    await publish(world, "one", "two")
    node = TestNode(world, "jp", tmp_path, channels=[Desk()])
    await world.settle()
    await node.node.runner.step(0)
    ((id_, record), *_) = node.store.rows("SELECT id, record FROM deliveries ORDER BY place")
    with node.store.write():
        node.store.run("UPDATE deliveries SET record = ? WHERE id = ?", record.replace(b"one", b"ONE"), id_)
    node.close()
    desk = Desk()
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await node.hands_on()
    assert desk.places == ["two"]
    assert node.alarms() == [("channel.dead-letter", "bad-delivery"), ("delivery.changed", "bad-delivery")]


async def test_a_directory_that_is_not_here_makes_a_channel_wait_and_is_not_its_fault(
    world: World, tmp_path: Path
) -> None:
    await publish(world, "one")
    node = TestNode(world, "jp", tmp_path, channels=[Desk()])
    await world.settle()
    await node.node.runner.step(0)
    node.close()
    desk = Desk()
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    world.agree("vn", "jp", name="later")
    with pytest.raises(DirectoryUnknown):
        await node.hands_on()
    assert place_of(node).failures == 0
    version = world.source._versions
    node.source._kept |= version
    await node.hands_on()
    assert desk.places == ["one"]


async def test_where_the_other_side_stands_decides_what_is_offered_after_a_crash(
    world: World, tmp_path: Path
) -> None:
    await publish(world, "one", "two", "three")
    desk = ExactDesk()
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await world.settle()
    await node.node.runner.step(0)

    def dies(*_: object) -> None:
        raise Crash

    node.node.workers[0]._places.confirm = dies  # type: ignore[method-assign]
    with pytest.raises(Crash):
        await node.hands_on()
    assert desk.places == ["one", "two", "three"]
    node.close()
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await node.receives()
    assert desk.places == ["one", "two", "three"]
    assert node.snapshot().received == {"delivered": 3}


async def test_a_place_on_another_queue_skips_nothing(world: World, tmp_path: Path) -> None:
    """The store was restored, or the table belongs to another node."""
    await publish(world, "one", "two", "three")

    class Elsewhere(Desk):
        async def reached(self) -> Reached | None:
            return Reached(2, bytes(32))

    desk = Elsewhere()
    node = TestNode(world, "jp", tmp_path, channels=[desk])
    await node.receives()
    assert desk.places == ["one", "two", "three"]


async def test_a_channel_that_is_added_begins_with_what_comes(world: World, tmp_path: Path) -> None:
    await publish(world, "before")
    first = Desk("first")
    node = TestNode(world, "jp", tmp_path, channels=[first])
    await node.receives()
    node.close()
    second = Desk("second")
    node = TestNode(world, "jp", tmp_path, channels=[first, second])
    await node.receives()
    await publish(world, "after")
    await node.receives()
    assert (first.places, second.places) == (["before", "after"], ["after"])


async def test_a_channel_passes_over_statuses_that_it_does_not_take(world: World, tmp_path: Path) -> None:
    live, drill = Desk("live"), Desk("drill", frozenset({Status.EXERCISE}))
    node = TestNode(world, "jp", tmp_path, channels=[live, drill])
    await publish(world, "real")
    await world.publish("vn", sighting(place="exercise"), status=Status.EXERCISE)
    await publish(world, "real too")
    await node.receives()
    assert (live.places, drill.places) == (["real", "real too"], ["exercise"])
    assert node.snapshot().received == {"delivered": 3}
