"""`halong channel`: a person sees how channels are, stops them, lets them go on, and settles dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.channels import ChannelRefused, ChannelUnavailable, Item
from adapters.configuration import MEMBER_FILE
from broker.cli import halong
from broker.core.model import Slot, Status
from broker.terminal import Exit, run
from tests.nodes import TestNode
from tests.unit.test_cli_commands import Said, Terminal
from tests.world import World, sighting

CONFIG = """\
member = "jp"
network = "n"

[channels.desk]
path = "desk"

[channels.registry]
kind = "sql"
url = "sqlite:///own.db"
"""


class Desk:
    """A channel that keeps what it got, but for what it refuses, while it is well."""

    name = "desk"
    statuses = frozenset({Status.ACTUAL})

    def __init__(self) -> None:
        self.places: list[str] = []
        self.refuses: set[str] = set()
        self.well = True

    async def deliver(self, item: Item) -> None:
        place = str(item.notice.values[Slot.FACTS]["place"])
        if not self.well:
            raise ChannelUnavailable("not now", field=self.name, answer="http-503")
        if place in self.refuses:
            raise ChannelRefused("never", field=self.name, answer="http-422")
        self.places.append(place)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp")
    async with world:
        yield world


@pytest.fixture
def node(world: World, tmp_path: Path) -> TestNode:
    node = TestNode(world, "jp", tmp_path, channels=[Desk()])
    (tmp_path / "jp" / MEMBER_FILE).write_text(CONFIG)
    return node


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("HALONG_DIR", str(tmp_path / "jp"))

    def type_(line: str, *more: str) -> Said:
        capsys.readouterr()
        code = run(halong, ["channel", *line.split(), *more])
        return Said(code, *capsys.readouterr())

    return type_


def desk_of(node: TestNode) -> Desk:
    desk = node.node.workers[0]._channel
    assert isinstance(desk, Desk)
    return desk


async def publish(world: World, *places: str) -> None:
    for place in places:
        await world.publish("vn", sighting(place=place))


def rows(at: Terminal) -> dict[str, Any]:
    return {each["name"]: each for each in at("list --json").json["channels"]}


async def test_the_list_says_how_each_channel_is(world: World, node: TestNode, at: Terminal) -> None:
    assert rows(at)["desk"]["state"] == "not-started"
    await publish(world, "one", "two")
    await node.receives()
    desk = desk_of(node)
    desk.well = False
    await publish(world, "three")
    for _ in range(6):
        await node.receives()
        world.clock.move(60_000)
    found = rows(at)
    assert {name: (row["kind"], row["state"]) for name, row in found.items()} == {
        "desk": ("folder", "open"),
        "registry": ("sql", "not-started"),
    }
    assert (found["desk"]["behind"], found["desk"]["handed_on"], found["desk"]["code"]) == (1, 2, "http-503")
    said = at("list")
    assert said.code == Exit.HELD
    assert "left alone: http-503, 6 failures in a row" in said.out


async def test_a_paused_channel_gets_nothing_and_a_resumed_one_everything_in_order(
    world: World, node: TestNode, at: Terminal
) -> None:
    await publish(world, "one")
    await node.receives()
    assert at("pause desk").code == Exit.HELD
    await publish(world, "two", "three")
    await node.receives()
    assert desk_of(node).places == ["one"]
    assert rows(at)["desk"]["state"] == "paused"
    assert at("resume desk --json").json == {"name": "desk", "state": "resumed"}
    await node.hands_on()
    assert desk_of(node).places == ["one", "two", "three"]


async def test_a_channel_that_is_left_alone_is_tried_at_once_when_a_person_says_so(
    world: World, node: TestNode, at: Terminal
) -> None:
    desk_of(node).well = False
    await publish(world, "one")
    for _ in range(6):
        await node.receives()
        world.clock.move(60_000)
    desk_of(node).well = True
    await node.hands_on()
    at("resume desk")
    await node.hands_on()
    assert desk_of(node).places == ["one"]


async def test_a_replay_offers_again_what_came_since_or_one_delivery_after_what_waits(
    world: World, node: TestNode, at: Terminal
) -> None:
    await publish(world, "one", "two", "three")
    await node.receives()
    desk = desk_of(node)
    said = at("replay desk --since 2020-01-01")
    assert (said.code, desk.places) == (Exit.USAGE, ["one", "two", "three"])
    assert "3 deliveries go to desk once more" in said.err
    at("pause desk")
    await publish(world, "four")
    await node.receives()
    assert at("replay desk --since 2020-01-01 --yes --json").json == {"name": "desk", "replayed": 3}
    at("resume desk")
    await node.hands_on()
    assert desk.places == ["one", "two", "three", "four", "one", "two", "three"]
    assert at("replay desk --delivery vn/asia-pacific/main/2 --yes").code == Exit.HELD
    await node.hands_on()
    assert desk.places[7:] == ["two"]
    assert node.snapshot().received == {"delivered": 4}
    (owed,) = node.store.rows("SELECT count(*) FROM receipts")
    assert owed == (4,)
    assert at("replay desk --since 2020-01-01 --delivery aabbccdd").code == Exit.USAGE
    assert at("replay desk --since yesterday").code == Exit.USAGE
    assert at("replay desk --delivery vn/asia-pacific/main/9 --yes").code == Exit.FAILED
    # What a shell hands over for bytes that are no text.
    assert at("replay desk --yes --delivery", "\udcff").code == Exit.FAILED


async def test_a_replay_that_is_asked_for_twice_goes_out_once_and_what_waits_is_not_doubled(
    world: World, node: TestNode, at: Terminal
) -> None:
    await publish(world, "one", "two", "three")
    await node.receives()
    desk = desk_of(node)
    at("pause desk")
    await publish(world, "four")
    await node.receives()
    assert at("replay desk --delivery vn/asia-pacific/main/2 --yes --json").json["replayed"] == 1
    # Of the whole range one waits by that, and one never went out.
    assert at("replay desk --since 2020-01-01 --yes --json").json["replayed"] == 2
    assert at("replay desk --since 2020-01-01 --yes").out == "nothing to replay\n"
    assert at("replay desk --delivery vn/asia-pacific/main/4 --yes").out == "nothing to replay\n"
    assert rows(at)["desk"]["behind"] == 4
    assert desk.places == ["one", "two", "three"]
    at("resume desk")
    await node.hands_on()
    assert desk.places[3:] == ["four", "two", "one", "three"]
    # Once they went out, they may go again.
    assert at("replay desk --since 2020-01-01 --yes --json").json["replayed"] == 4


async def test_a_replay_over_what_is_partly_not_there_hands_on_what_is(
    world: World, node: TestNode, at: Terminal
) -> None:
    """What is quarantined never goes out, nor does what has not come; what is a dead letter goes out once."""
    desk = desk_of(node)
    desk.refuses = {"dead"}
    await publish(world, "one", "wrong", "dead", "two")
    await node.receives()
    with node.store.write():
        # As of one that was proven to be the hub's and was wrong: it never came into the queue.
        node.store.run("DELETE FROM queue WHERE delivery IN (SELECT id FROM deliveries WHERE sequence = 2)")
        node.store.run("UPDATE deliveries SET state = 'quarantined' WHERE sequence = 2")
    assert at("replay desk --since 2999-01-01 --yes").out == "nothing to replay\n"
    assert at("replay desk --delivery vn/asia-pacific/main/2 --yes").out == "nothing to replay\n"
    assert at("replay desk --since 1970-01-01 --yes --json").json["replayed"] == 3
    # A dead letter that is offered again already is not doubled by that.
    assert at("dead desk --retry").code == Exit.HELD
    desk.refuses = set()
    await node.hands_on()
    assert desk.places == ["one", "wrong", "two", "one", "dead", "two"]
    assert at("dead desk").out == "no dead letters\n"


@pytest.mark.parametrize("outcome", [None, "refused", "unavailable"])
async def test_a_pause_while_a_delivery_is_under_way_lets_it_end_and_offers_nothing_more(
    world: World, node: TestNode, at: Terminal, outcome: str | None
) -> None:
    desk = desk_of(node)
    take = desk.deliver

    async def deliver(item: Item) -> None:
        if not desk.places:
            assert at("pause desk").code == Exit.HELD
            if outcome is None:
                assert at("replay desk --since 2020-01-01 --yes").out == "nothing to replay\n"
            desk.well = outcome != "unavailable"
            desk.refuses = {"one"} if outcome == "refused" else set()
        await take(item)

    desk.deliver = deliver  # type: ignore[method-assign]
    monkey = "adapters.channels.worker.CONFIRM_AFTER_SECONDS"
    await publish(world, "one", "two", "three")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monkey, 0.0)
        await node.receives()
        world.clock.move(600_000)
        await node.receives()
    row = rows(at)["desk"]
    assert row["state"] == "paused"
    assert desk.places == (["one"] if outcome is None else [])
    assert (row["behind"], row["dead"]) == {None: (2, 0), "refused": (2, 1), "unavailable": (3, 0)}[outcome]
    desk.deliver = take  # type: ignore[method-assign]
    desk.well = True
    at("resume desk")
    await node.hands_on()
    assert desk.places == (["two", "three"] if outcome == "refused" else ["one", "two", "three"])


async def test_dead_letters_are_shown_and_offered_again_or_given_up(
    world: World, node: TestNode, at: Terminal
) -> None:
    desk = desk_of(node)
    desk.refuses = {"two", "three"}
    await publish(world, "one", "two", "three")
    await node.receives()
    (two, three) = at("dead desk --json").json["letters"]
    assert (two["reference"], two["code"], two["attempts"]) == (
        "halong:vn/asia-pacific/main/2",
        "http-422",
        1,
    )
    assert "vn/asia-pacific/main/3" in at("dead desk").out
    assert rows(at)["desk"]["dead"] == 2
    assert node.snapshot().received == {"delivered": 1, "checked": 2}

    desk.refuses = {"three"}
    assert at("dead desk --retry").code == Exit.HELD
    await node.hands_on()
    assert desk.places == ["one", "two"]
    (still,) = at("dead desk --json").json["letters"]
    assert still["delivery"] == three["delivery"]

    said = at("dead desk --drop")
    assert (said.code, "Give up" in said.out) == (Exit.USAGE, False)
    assert at(f"dead desk --drop --delivery {three['delivery'][:12]} --yes").code == Exit.HELD
    assert at("dead desk").out == "no dead letters\n"
    assert node.snapshot().received == {"delivered": 2, "accepted": 1}
    events = node.store.rows("SELECT event, count(*) FROM receipts GROUP BY event ORDER BY event")
    assert events == [(0, 1), (1, 2)]


async def test_what_is_not_there_is_said_with_what_is(node: TestNode, at: Terminal) -> None:
    said = at("pause fax")
    assert said.code == Exit.USAGE
    assert "there are: desk, registry" in said.err
    assert at("pause desk").code == Exit.UNAVAILABLE
    assert at("test desk --create").code == Exit.USAGE


def test_the_tables_of_a_sql_channel_are_printed_or_made(tmp_path: Path, at: Terminal) -> None:
    (tmp_path / "jp").mkdir()
    (tmp_path / "jp" / MEMBER_FILE).write_text(CONFIG)
    said = at("test registry --ddl")
    assert "CREATE TABLE IF NOT EXISTS halong_notice (" in said.out
    assert "CREATE TABLE IF NOT EXISTS halong_notice_place (" in said.out
    assert at("test registry").code == Exit.UNAVAILABLE
    assert "0 rows" in at("test registry --create").out
    assert at("test registry --json").json["kind"] == "sql"
    assert at("test desk").code == Exit.HELD
