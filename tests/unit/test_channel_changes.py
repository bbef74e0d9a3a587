"""Channels that are renamed, taken out, added, or of another kind while deliveries wait for them.

Nothing is lost without a word: what waits for a channel that is no longer there is counted under its name
until somebody brings it back, hands it on by another, or gives it up.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.channels import MakesTables
from adapters.channels.places import Place, Places
from adapters.configuration import MEMBER_FILE, load_node_config
from adapters.node import make_channels
from broker.cli import halong
from broker.core.model import Event, Status
from broker.terminal import Exit, run
from tests.nodes import TestNode
from tests.unit.test_cli_commands import Said, Terminal
from tests.world import World, sighting

HEAD = 'member = "jp"\nnetwork = "n"\n'
FOLDER = '[channels.{name}]\nkind = "folder"\npath = "{name}"\npages = false\n'
TABLE = '[channels.{name}]\nkind = "sql"\nurl = "sqlite:///own.db"\n'
NEVER = '[channels.{name}]\nkind = "exec"\ncommand = ["false"]\nattempts = 1\n'


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp", grant='statuses = ["ACTUAL", "EXERCISE"]')
    async with world:
        yield world


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("HALONG_DIR", str(tmp_path / "jp"))

    def type_(line: str, *more: str) -> Said:
        capsys.readouterr()
        code = run(halong, ["channel", *line.split(), *more])
        return Said(code, *capsys.readouterr())

    return type_


class Jp:
    """The member's node, made anew on the same store with every change of its settings."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.root = folder / "jp"
        self.node: TestNode | None = None

    async def runs(self, *channels: str) -> TestNode:
        """Run it with these channels, until they have what they can take."""
        self.close()
        self.root.mkdir(exist_ok=True)
        (self.root / MEMBER_FILE).write_text(HEAD + "".join(channels))
        made = make_channels(load_node_config(self.root))
        for each in made:
            if isinstance(each, MakesTables):
                await each.create()
        self.node = TestNode(self.world, "jp", self.folder, channels=made)
        await self.node.receives()
        return self.node

    async def gets(self, *places: str, status: Status = Status.ACTUAL) -> None:
        assert self.node is not None
        for place in places:
            await self.world.publish("vn", sighting(place=place), status=status)
        await self.node.receives()

    def close(self) -> None:
        if self.node is not None:
            self.node.close()

    def files(self, name: str) -> list[str]:
        found = sorted((self.root / name).rglob("*.json"))
        return [json.loads(path.read_bytes())["notice"]["place"] for path in found]

    def rows(self) -> list[str]:
        with contextlib.closing(sqlite3.connect(self.root / "own.db")) as connection:
            found = connection.execute("SELECT notice FROM halong_notice ORDER BY number").fetchall()
        return [json.loads(notice)["place"] for (notice,) in found]

    def place(self, name: str) -> Place:
        assert self.node is not None
        found = Places(self.node.store).at(name)
        assert found is not None
        return found


@pytest.fixture
def jp(world: World, tmp_path: Path) -> Iterator[Jp]:
    jp = Jp(world, tmp_path)
    yield jp
    jp.close()


def listed(at: Terminal) -> dict[str, Any]:
    rows = at("list --json").json["channels"]
    return {each["name"]: (each["kind"], each["state"], each["behind"], each["dead"]) for each in rows}


async def test_what_waits_for_a_channel_that_is_renamed_is_told_and_can_be_handed_on_by_the_new_one(
    jp: Jp, at: Terminal
) -> None:
    await jp.runs(FOLDER.format(name="desk"))
    await jp.gets("one")
    at("pause desk")
    await jp.gets("two", "three")
    node = await jp.runs(FOLDER.format(name="counter"))
    await jp.gets("four")

    assert (jp.files("desk"), jp.files("counter")) == (["one"], ["four"])
    assert listed(at) == {
        "desk": (None, "not-configured", 3, 0),
        "counter": ("folder", "well", 0, 0),
    }
    assert "no longer in member.toml" in at("list").out
    assert node.snapshot().received == {"delivered": 2, "checked": 2}

    said = at("replay desk --since 2020-01-01 --yes")
    assert (said.code, "there are: counter" in said.err) == (Exit.USAGE, True)
    at("replay counter --delivery vn/asia-pacific/main/2 --yes")
    at("replay counter --delivery vn/asia-pacific/main/3 --yes")
    await node.hands_on()
    assert sorted(jp.files("counter")) == ["four", "three", "two"]
    assert node.snapshot().received == {"delivered": 4}
    assert listed(at)["desk"] == (None, "not-configured", 3, 0)
    assert at("forget desk --yes --json").json == {"name": "desk", "given_up": 3}
    assert listed(at) == {"counter": ("folder", "well", 0, 0)}
    await jp.gets("five")
    assert node.snapshot().received == {"delivered": 5}


async def test_a_channel_that_comes_back_goes_on_where_it_was(jp: Jp, at: Terminal) -> None:
    await jp.runs(FOLDER.format(name="desk"), FOLDER.format(name="other"))
    await jp.gets("one")
    await jp.runs(FOLDER.format(name="other"))
    await jp.gets("two", "three")
    assert listed(at)["desk"] == (None, "not-configured", 2, 0)
    await jp.runs(FOLDER.format(name="other"), FOLDER.format(name="desk"))
    assert jp.files("desk") == jp.files("other") == ["one", "two", "three"]
    assert listed(at)["desk"] == ("folder", "well", 0, 0)


async def test_a_channel_that_becomes_of_another_kind_loses_and_doubles_nothing(jp: Jp, at: Terminal) -> None:
    folder, table = FOLDER.format(name="desk"), TABLE.format(name="desk")
    await jp.runs(folder)
    await jp.gets("one")
    at("pause desk")
    await jp.gets("two", "three")
    at("resume desk")
    await jp.runs(table)
    await jp.gets("four")
    assert (jp.files("desk"), jp.rows()) == (["one"], ["two", "three", "four"])
    await jp.runs(folder)
    await jp.gets("five")
    # The table's own place is now behind the store's.
    node = await jp.runs(table)
    await jp.gets("six")
    assert (jp.files("desk"), jp.rows()) == (["one", "five"], ["two", "three", "four", "six"])
    assert node.snapshot().received == {"delivered": 6}
    assert listed(at) == {"desk": ("sql", "well", 0, 0)}
    assert jp.place("desk").handed == 6


async def test_a_channel_that_is_added_later_begins_there_and_gets_what_was_before_by_a_replay(
    jp: Jp, at: Terminal
) -> None:
    await jp.runs(FOLDER.format(name="desk"))
    await jp.gets("one", "two")
    (jp.root / MEMBER_FILE).write_text(HEAD + FOLDER.format(name="desk") + TABLE.format(name="later"))
    assert listed(at)["later"] == ("sql", "not-started", 0, 0)
    assert at("replay later --since 2020-01-01 --yes").code == Exit.UNAVAILABLE
    node = await jp.runs(FOLDER.format(name="desk"), TABLE.format(name="later"))
    await jp.gets("three")
    assert jp.rows() == ["three"]
    assert at("replay later --since 2020-01-01 --yes --json").json["replayed"] == 3
    await node.hands_on()
    assert sorted(jp.rows()) == ["one", "three", "two"]


async def test_dead_letters_of_a_channel_that_was_taken_out_stay_until_they_are_given_up(
    jp: Jp, at: Terminal
) -> None:
    await jp.runs(NEVER.format(name="script"))
    await jp.gets("one")
    at("pause script")
    await jp.gets("two")
    node = await jp.runs(FOLDER.format(name="desk"))
    await jp.gets("three")
    assert listed(at)["script"] == (None, "not-configured", 2, 1)
    assert len(at("dead script --json").json["letters"]) == 1
    assert at("dead script --retry").code == Exit.USAGE
    assert node.snapshot().received == {"checked": 2, "delivered": 1}
    assert at("forget desk --yes").code == Exit.USAGE
    assert at("forget script").code == Exit.USAGE
    assert listed(at)["script"] == (None, "not-configured", 2, 1)

    assert at("forget script --yes --json").json == {"name": "script", "given_up": 3}
    assert node.snapshot().received == {"accepted": 2, "delivered": 1}
    assert node.store.rows("SELECT count(*) FROM letters") == [(0,)]
    owed = node.store.rows("SELECT event, channel, count(*) FROM receipts GROUP BY event ORDER BY event")
    assert owed == [(Event.ACCEPTED, None, 2), (Event.DELIVERED, "desk", 1)]
    # Whoever forgot too much replays it, and a channel of that name begins anew.
    at("replay desk --since 2020-01-01 --yes")
    await node.hands_on()
    assert sorted(jp.files("desk")) == ["one", "three", "two"]
    await jp.runs(NEVER.format(name="script"), FOLDER.format(name="desk"))
    assert listed(at)["script"] == ("exec", "well", 0, 0)


async def test_what_a_channel_no_longer_takes_is_accepted_and_waits_for_nobody(jp: Jp, at: Terminal) -> None:
    both = FOLDER.format(name="desk") + 'statuses = ["ACTUAL", "EXERCISE"]\n'
    await jp.runs(both)
    at("pause desk")
    await jp.gets("real")
    await jp.gets("drill", status=Status.EXERCISE)
    node = await jp.runs(FOLDER.format(name="desk"))
    assert node.snapshot().received == {"checked": 1, "accepted": 1}
    assert node.store.rows("SELECT event FROM receipts") == [(Event.ACCEPTED,)]
    node = await jp.runs(both)
    at("resume desk")
    await node.hands_on()
    assert jp.files("desk") == ["real", "drill"]
    assert node.snapshot().received == {"delivered": 1, "accepted": 1}


async def test_a_dead_letter_of_a_status_that_is_no_longer_taken_does_not_vanish(
    jp: Jp, at: Terminal
) -> None:
    both = NEVER.format(name="desk") + 'statuses = ["ACTUAL", "EXERCISE"]\n'
    await jp.runs(both)
    await jp.gets("drill", status=Status.EXERCISE)
    await jp.gets("real")
    assert listed(at)["desk"] == ("exec", "well", 0, 2)
    node = await jp.runs(FOLDER.format(name="desk"))
    assert len(at("dead desk --retry --json").json["letters"]) == 1
    await node.hands_on()
    assert jp.files("desk") == ["real"]
    assert listed(at)["desk"] == ("folder", "well", 0, 1)
    assert node.snapshot().received == {"checked": 1, "delivered": 1}
    assert at("dead desk --drop --yes").code == Exit.HELD
    assert node.snapshot().received == {"accepted": 1, "delivered": 1}
