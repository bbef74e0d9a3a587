"""The runner: every delivery is checked, handed on once, and answered for, whatever fails in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.channels import Item
from adapters.channels.folder import FolderChannel
from adapters.directories import DirectoryUnknown
from adapters.receiving.runner import FEED_SECONDS, DecisionAwaited
from broker.core.errors import Unavailable, UnknownKey
from broker.core.model import Act, Delivery, Status
from broker.core.records import decode, encode
from broker.core.wire import Feed
from tests.crash import Crash, CrashPoints
from tests.nodes import OtherHub, TestNode
from tests.world import DAY, SECONDS, World, sighting


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, "vn", "jp", "nl")
    world.agree("vn", "jp", slots=["facts", "persons"])
    world.agree("nl", "jp")
    world.agree("jp", "vn")
    async with world:
        yield world


class Spy:
    """A channel that keeps what it got."""

    def __init__(self, statuses: frozenset[Status] = frozenset({Status.ACTUAL})) -> None:
        self.name = "spy"
        self.statuses = statuses
        self.items: list[Item] = []

    async def check(self) -> str:
        return "it spies"

    async def deliver(self, item: Item) -> None:
        self.items.append(item)


def read(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_bytes())
    return found


async def receipts_of(world: World, statement: bytes, originator: str = "vn") -> dict[str, int]:
    await world.settle()
    return (await world.ledger.statements.status(originator, statement)).receipts


async def test_a_notice_arrives_as_files_is_recorded_and_receipted(world: World, tmp_path: Path) -> None:
    sent = await world.publish("vn", sighting(person="Ada", plate="29A-1"))
    node = TestNode(world, "jp", tmp_path)
    await node.receives()
    await node.receipts()

    (file,) = node.files()
    shown = read(file)
    assert shown["statement"] == sent.statement.hex()
    assert shown["notice"] == {"place": "Hai Phong", "person": "Ada"}
    assert shown["slots"] == {
        "facts": "shown",
        "identifiers": "withheld",
        "entities": "withheld",
        "persons": "shown",
        "intelligence": "withheld",
        "attachments": "withheld",
    }
    assert node.snapshot().received == {"delivered": 1}
    assert await receipts_of(world, sent.statement) == {"delivered": 1}
    assert node.snapshot().receipts_waiting == 0
    assert node.snapshot().alarms == ()


async def test_everything_arrives_once_and_in_order_after_a_long_time_offline(
    world: World, tmp_path: Path
) -> None:
    node = TestNode(world, "jp", tmp_path)
    node.local.online = False
    for number in range(60):
        await world.publish("vn", sighting(place=f"vn {number:03}"))
        await world.publish("nl", sighting(place=f"nl {number:03}"))
    assert isinstance(await node.refusal(), Unavailable)
    assert node.snapshot().held == "the hub is out of reach"
    world.clock.move(86_400_000)

    node.local.online = True
    await node.receives()
    places = [str(read(file)["notice"]) for file in node.files()]
    assert len(places) == 120
    assert node.snapshot().received == {"delivered": 120}
    for lane in ("vn", "nl"):
        files = sorted((node.inbox / "asia-pacific" / lane).glob("*.json"))
        assert [read(file)["notice"] for file in files] == [
            {"place": f"{lane} {number:03}"} | ({} if lane == "nl" else {"person": None})
            for number in range(60)
        ]
    assert node.snapshot().held is None
    assert node.snapshot().behind == 0


async def test_wherever_the_node_dies_everything_is_delivered_and_receipted_once(
    world: World, tmp_path: Path
) -> None:
    sent = {(await world.publish("vn", sighting(place=place))).statement.hex() for place in ("a", "b", "c")}
    point = 0
    finished = False
    while not finished:
        point += 1
        points = CrashPoints()
        folder = tmp_path / str(point)
        folder.mkdir()
        node = TestNode(world, "jp", folder, points=points)
        points.passed.clear()
        points.crash_at = point
        try:
            await node.receives()
            await node.receipts()
            finished = True
        except Crash:
            pass
        finally:
            node.close()
        node = TestNode(world, "jp", folder)
        await node.receives()
        await node.receipts()
        assert {read(file)["statement"] for file in node.files()} == sent
        assert len(node.files()) == len(sent)
        assert node.snapshot().received == {"delivered": len(sent)}
        assert node.snapshot().receipts_waiting == 0
        assert node.snapshot().alarms == ()
        node.close()
    assert point > 12


async def test_an_exercise_is_recorded_and_reaches_only_channels_that_take_exercises(
    world: World, tmp_path: Path
) -> None:
    for giver, receiver in (("vn", "jp"), ("vn", "nl")):
        world.agree(giver, receiver, name=f"drill-{receiver}", grant='statuses = ["ACTUAL", "EXERCISE"]')
    sent = await world.publish("vn", sighting(), status=Status.EXERCISE)
    live = TestNode(world, "jp", tmp_path)
    await live.receives()
    await live.receipts()
    assert live.files() == []
    assert live.snapshot().received == {"accepted": 1}

    drill = Spy(frozenset(Status))
    node = TestNode(world, "nl", tmp_path, channels=[drill])
    await node.receives()
    await node.receipts()
    assert [item.notice.statement for item in drill.items] == [sent.statement]
    assert await receipts_of(world, sent.statement) == {"accepted": 1, "delivered": 1}


async def test_a_decision_under_a_directory_that_is_not_here_waits_for_it(
    world: World, tmp_path: Path
) -> None:
    node = TestNode(world, "jp", tmp_path)
    node.source.load()
    before = node.source.load()
    node.source.load = lambda: before  # type: ignore[method-assign]
    world.agree("vn", "nl", name="later")
    await world.publish("vn", sighting())
    assert isinstance(await node.refusal(), DirectoryUnknown)
    assert node.files() == []
    assert node.alarms() == [("feed.stopped", "unavailable")]
    del node.source.load
    await node.receives()
    assert len(node.files()) == 1


async def test_what_answers_a_notice_of_ours_waits_until_ours_is_proven(world: World, tmp_path: Path) -> None:
    node = TestNode(world, "jp", tmp_path)
    node.enqueue()
    await node.node.outbox.step()
    await world.settle()
    (ours,) = node.outgoing.listed()
    assert ours.state == "accepted"
    assert ours.statement is not None
    await world.publish("vn", sighting(), act=Act.FEEDBACK, references=(ours.statement,))
    assert isinstance(await node.refusal(), DecisionAwaited)
    await node.sends()
    await node.receives()
    assert len(node.files()) == 1


async def test_an_answer_on_request_is_checked_against_the_request_that_we_made(
    world: World, tmp_path: Path
) -> None:
    world.agree("nl", "vn", name="on-request", grant='mode = "on-request"')
    world.agree("vn", "nl", name="way-back")
    node = TestNode(world, "vn", tmp_path)
    node.enqueue({"act": "REQUEST", "addressees": ["nl"]})
    await node.sends()
    (request,) = node.outgoing.listed()
    assert request.statement is not None
    await world.publish("nl", sighting(place="no answer"))
    await world.publish("nl", sighting(place="answer"), act=Act.ANSWER, references=(request.statement,))
    await node.receives()
    (file,) = node.files()
    assert read(file)["notice"] == {"place": "answer"}


async def test_a_correction_shows_what_the_original_showed_also_within_one_answer_of_the_feed(
    world: World, tmp_path: Path
) -> None:
    first = await world.publish("vn", sighting(person="Ada"))
    await world.publish("vn", sighting(person="Bob"), act=Act.CORRECTION, references=(first.statement,))
    node = TestNode(world, "jp", tmp_path)
    await node.receives()
    assert [read(file)["act"] for file in node.files()] == ["ORIGINAL", "CORRECTION"]
    assert node.snapshot().alarms == ()


async def test_repeats_in_the_feed_are_harmless(world: World, tmp_path: Path) -> None:
    class Repeating(OtherHub):
        async def feed(self, after: int, limit: int, wait: float) -> Feed:
            feed = await super().feed(0, limit, wait)
            return Feed(feed.items + feed.items, feed.next, feed.behind, feed.checkpoint)

    await world.publish("vn", sighting())
    node = TestNode(world, "jp", tmp_path, wrap=Repeating)
    await world.settle()
    assert await node.node.runner.step(0)
    assert isinstance(await node.refusal(), Unavailable)
    await world.publish("vn", sighting())
    await world.settle()
    assert await node.node.runner.step(0)
    await node.hands_on()
    assert len(node.files()) == 2
    assert node.alarms() == []


async def test_content_that_was_erased_before_it_came_leaves_a_record(world: World, tmp_path: Path) -> None:
    class Erased(OtherHub):
        async def feed(self, after: int, limit: int, wait: float) -> Feed:
            feed = await super().feed(after, limit, wait)
            items = []
            for item in feed.items:
                bare = replace(decode(Delivery, item.delivery), envelope=None, proofs=())
                items.append(type(item)(item.place, encode(bare), item.index, item.path))
            return Feed(items, feed.next, feed.behind, feed.checkpoint)

    await world.publish("vn", sighting())
    node = TestNode(world, "jp", tmp_path, wrap=Erased)
    await node.receives()
    assert node.files() == []
    assert node.snapshot().received == {"erased": 1}


async def test_receipts_for_many_deliveries_go_under_one_signature(world: World, tmp_path: Path) -> None:
    sent = [await world.publish("vn", sighting(place=str(number))) for number in range(30)]
    node = TestNode(world, "jp", tmp_path)
    await node.receives()
    await node.receipts()
    ((batches,),) = node.store.rows("SELECT count(*) FROM batches")
    assert batches == 1
    for each in sent:
        assert await receipts_of(world, each.statement) == {"delivered": 1}


async def test_a_receipt_that_the_hub_refuses_holds_up_no_other(world: World, tmp_path: Path) -> None:
    await world.publish("vn", sighting())
    sent = await world.publish("vn", sighting())
    node = TestNode(world, "jp", tmp_path)
    await node.receives()
    first, *_ = node.incoming.owed(9)
    node.incoming.sign([first], b"no receipt at all")
    await node.receipts()
    assert await receipts_of(world, sent.statement) == {"delivered": 1}
    assert node.alarms() == [("receipt.refused", "not-canonical")]
    assert node.snapshot().receipts_waiting == 0


async def test_receipts_wait_for_a_hub_that_is_out_of_reach_and_are_signed_once(
    world: World, tmp_path: Path
) -> None:
    sent = await world.publish("vn", sighting())
    node = TestNode(world, "jp", tmp_path)
    await node.receives()
    node.local.online = False
    for _ in range(3):
        with pytest.raises(Unavailable):
            await node.node.receipts.step()
    assert node.snapshot().receipts_waiting == 1
    assert len(node.incoming.unsent_receipts(9)) == 1
    node.local.online = True
    await node.receipts()
    assert await receipts_of(world, sent.statement) == {"delivered": 1}


async def test_receipts_under_a_key_that_the_hub_does_not_know_are_signed_again(
    world: World, tmp_path: Path
) -> None:
    sent = await world.publish("vn", sighting())
    node = TestNode(world, "jp", tmp_path)
    await node.receives()
    listed = world.source.members["jp"]
    world.revoke("jp")
    await world.directory.refresh()
    with pytest.raises(UnknownKey):
        await node.node.receipts.step()
    assert node.snapshot().receipts_waiting == 1
    world.source.members["jp"] = listed
    await world.directory.refresh()
    await node.receipts()
    assert await receipts_of(world, sent.statement) == {"delivered": 1}


async def test_several_channels_each_get_a_delivery(world: World, tmp_path: Path) -> None:
    await world.publish("vn", sighting())
    first, second = Spy(), FolderChannel(tmp_path / "second", name="second")
    node = TestNode(world, "jp", tmp_path, channels=[first, second])
    await node.receives()
    assert len(first.items) == 1
    assert len(list((tmp_path / "second").rglob("*.json"))) == 1


def is_done(node: TestNode) -> bool:
    now = node.snapshot()
    return (now.sent, now.received, now.receipts_waiting) == ({"proven": 15}, {"delivered": 15}, 0)


async def test_nodes_that_run_by_themselves_survive_a_hub_that_comes_and_goes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The nodes' waiting moves the clock, and the hub's work takes real time: a minute is over before it.
    monkeypatch.setattr("adapters.sending.proving.LOST_AFTER_MS", DAY)
    vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        running = [group.create_task(node.node.run()) for node in (vn, jp)]
        for round_ in range(3):
            for node in (vn, jp):
                node.local.online = round_ != 1
            for _ in range(5):
                vn.enqueue(place=str(round_))
                jp.enqueue(place=str(round_))
                await asyncio.sleep(0)
        while not all(is_done(node) for node in (vn, jp)):  # noqa: ASYNC110 - stores have no events
            await asyncio.sleep(0.01)
        for task in running:
            task.cancel()
    for node in (vn, jp):
        assert len(node.files()) == 15
        assert node.alarms() == []


class Enough(Exception):
    """The node was watched for long enough."""


async def test_the_feed_waits_for_what_comes_only_once_it_is_known_to_go_on(
    world: World, tmp_path: Path
) -> None:
    asked: list[float] = []

    class Watched(OtherHub):
        async def feed(self, after: int, limit: int, wait: float) -> Feed:
            asked.append(wait)
            if len(asked) in (1, 4):
                raise Unavailable("out of reach")
            if len(asked) == 6:
                raise Enough
            return await super().feed(after, limit, 0)

    node = TestNode(world, "jp", tmp_path, wrap=Watched)
    with pytest.raises(Enough):
        await node.node.runner.run()
    assert asked == [0, 0, FEED_SECONDS, FEED_SECONDS, 0, FEED_SECONDS]
