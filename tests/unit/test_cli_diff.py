"""`halong agreement diff` as a lawyer or an operator uses it, at a hub and at a member's node."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.replaying import replay_store
from broker.clock import SystemClock
from broker.commands.agreement.places import open_place
from broker.commands.agreement.trial import DAY
from broker.commands.replaying import Period, replay_log, version_at
from broker.configuration import load_hub_config
from broker.core.dry_run import Change
from broker.core.index import Index
from broker.core.model import Act, Decision, Envelope, Header
from broker.core.records import encode, framed, named_frame, partition_of, statement_id
from broker.log import Partition, Record, open_log
from broker.log.topics import DECISIONS, PARTITIONS_PER_REGION, hub_topics, notices_topic
from broker.moments import moment
from broker.terminal import Exit, Stopped
from tests.networks import make
from tests.nodes import TestNode
from tests.strategies import header
from tests.unit.test_cli_commands import AGREEMENTS, Terminal, at, network
from tests.world import World, sighting

__all__ = ["at", "network"]


def stored(notice: Header, decided_at: int, directory: bytes) -> list[Record]:
    """A notice and its decision, as a hub's log has them."""
    data = encode(notice)
    statement = statement_id(data)
    place = Partition(notices_topic(notice.region), partition_of(notice.originator, PARTITIONS_PER_REGION))
    zero = bytes(32)
    decision = Decision(bytes(16), statement, zero, zero, directory, decided_at, ())
    _, value = named_frame(decision)
    return [
        Record(Partition(DECISIONS), zero, value),
        Record(place, statement, framed(Envelope, encode(Envelope(data, bytes(96), (), (), ())))),
    ]


@pytest.fixture
def past(network: Terminal) -> Terminal:
    """The hub's log holds parcels that vn told of: yesterday ten, a hundred days ago five."""
    config = load_hub_config(Path("hub"))
    now = SystemClock().now()
    version = open_place(Path("hub")).directory.version

    async def fill() -> None:
        async with open_log(config.log_url) as log:
            await log.create(hub_topics(["vn", "jp", "nl"]))
            for number in range(15):
                when = now - (100 * DAY if number < 5 else DAY)
                parcel = header("vn", sequence=number + 1, countries=("JP",), issued_at=when, subjects=())
                await log.append(stored(parcel, when, version))

    asyncio.run(fill())
    return network


def test_an_agreement_taken_out_takes_its_deliveries_with_it(past: Terminal) -> None:
    said = past("agreement diff --without jp-vn-2026 --dir hub")
    assert said.code == Exit.HELD, said.err
    assert "10 notices" in said.out
    assert "10 would not have come" in said.out
    told = past("agreement diff --without jp-vn-2026/1 --since all --dir hub --json").json
    assert told["complete"]
    assert (told["notices"], told["changes"]["removed"]) == (15, 15)
    (lane,) = told["lanes"]
    assert (lane["from"], lane["member"], lane["type"], lane["before"], lane["after"]) == (
        "vn", "jp", "drug-parcel", 15, 0,
    )  # fmt: skip
    assert lane["examples"][0].startswith("halong:vn/asia-pacific/main/")
    assert "facts" in lane["lost"]
    # Nothing of it has changed anything.
    assert past("agreement diff now now --since all --dir hub --json").json["lanes"] == []


def test_a_file_is_tried_beside_or_in_place_of_what_is_there(past: Terminal) -> None:
    text = (AGREEMENTS / "jp-vn-2026.toml").read_text()
    Path("next.toml").write_text(
        text.replace("version = 1", "version = 2").replace('"vn"\nto = "jp"', '"vn"\nto = "*"')
    )
    said = past("agreement diff --add next.toml --dir hub")
    assert said.code == Exit.HELD, said.err
    assert "jp-vn-2026/1 goes on counting beside it; to try it alone, add --without jp-vn-2026/1" in said.err
    said = past("agreement diff --add next.toml --without jp-vn-2026/1 --dir hub --json")
    assert said.json["lanes"] == []
    late = text.replace("version = 1", "version = 3")
    Path("late.toml").write_text(late.replace("in_force_from = 2026-01-01", "in_force_from = 2099-01-01"))
    said = past("agreement diff --add late.toml --without jp-vn-2026 --dir hub")
    assert "nothing of it shows: add --as-of 2099-01-01" in said.err
    assert "10 would not have come" in said.out
    assert (
        past("agreement diff --add late.toml --without jp-vn-2026 --as-of 2099-01-01 --dir hub --json").json[
            "lanes"
        ]
        == []
    )


def test_leaving_and_acceding_are_tried_without_anybody_doing_so(past: Terminal) -> None:
    left = past("agreement diff --leave JP jp-vn-2026 --dir hub --json").json
    assert left["changes"]["removed"] == 10
    assert past("agreement diff --accede jp jp-vn-2026 --dir hub --json").json["lanes"] == []
    assert "nl is no party to jp-vn-2026/1" in past("agreement diff --accede nl jp-vn-2026 --dir hub").err


def test_old_and_new_are_named_by_day_version_or_folder(past: Terminal) -> None:
    version = open_place(Path("hub")).directory.version.hex()
    named = past("agreement diff --without jp-vn-2026 --dir hub --json").json["old"]
    assert named == {"named": "now", "version": version}
    assert past(f"agreement diff {version} now --dir hub --json").json["lanes"] == []
    tomorrow = "2099-01-01"
    assert past(f"agreement diff {tomorrow} now --dir hub --json").json["old"]["version"] == version
    # A member's copy holds every agreement here; another hub's folder, none.
    assert past("agreement diff now vn --dir hub --json").json["lanes"] == []
    make(Path("empty"))
    assert past("agreement diff now empty/hub --dir hub --json").json["changes"]["removed"] == 20
    assert past("agreement diff now empty/hub/directory --dir hub --json").json["changes"]["removed"] == 20
    for wrong, said in (
        ("agreement diff 1999-01-01 now --dir hub", "nothing was decided before this time"),
        (f"agreement diff {'0' * 64} now --dir hub", "this version is not held here"),
        ("agreement diff yesterday now --dir hub", "this is no directory"),
        ("agreement diff --without xx-yy --dir hub", "no agreement of this name"),
        ("agreement diff --without jp-vn-2026 --since soon --dir hub", "this is no time"),
        ("agreement diff --dir hub", "name a change"),
        ("agreement diff now hub/keys --dir hub", "holds no directory"),
        ("agreement diff now vn --since now --dir hub", "--since must be before --until"),
    ):
        refused = past(wrong)
        assert (refused.code, said in refused.err) == (Exit.USAGE, True), (wrong, refused.err)


def test_the_chart_needs_nothing_else_and_says_the_same_numbers(past: Terminal) -> None:
    assert past("agreement diff --without jp-vn-2026 --chart a.svg --dir hub").code == Exit.HELD
    picture = ET.fromstring(Path("a.svg").read_text())
    assert "10 removed" in {each.text for each in picture.iter() if each.tag.endswith("title")}
    assert past("agreement diff --without jp-vn-2026 --chart a.html --dir hub").code == Exit.HELD
    page = Path("a.html").read_text()
    assert '<td>jp</td><td>drug-parcel</td><td class="n">10</td>' in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    refused = past("agreement diff --without jp-vn-2026 --chart a.png --dir hub")
    assert (refused.code, "an .svg or an .html file" in refused.err) == (Exit.USAGE, True)


def test_a_period_without_notices_was_not_checked(past: Terminal) -> None:
    said = past("agreement diff --without jp-vn-2026 --since 2020-01-01 --until 2020-02-01 --dir hub")
    assert said.code == Exit.NOT_CHECKED
    assert "no notice of this period is here" in said.err


def test_at_a_node_it_is_said_what_cannot_be_seen_there(past: Terminal) -> None:
    said = past("agreement diff --without jp-vn-2026 --dir vn")
    assert said.code == Exit.NOT_CHECKED
    assert "what others would give it besides, only the hub can tell" in said.err
    assert not past("agreement diff --without jp-vn-2026 --dir vn --json").json["complete"]


@pytest.mark.parametrize(
    ("text", "before"),
    [("30d", 30 * DAY), ("12h", DAY // 2), ("2w", 14 * DAY), ("90m", 90 * 60_000), ("now", 0)],
)
def test_a_time_is_said_as_people_say_it(text: str, before: int) -> None:
    now = 1_790_000_000_000
    assert moment(text, now) == now - before
    assert moment("2026-01-01", now) == moment("2026-01-01T00:00Z", now) == 1_767_225_600_000
    with pytest.raises(Stopped, match="no time"):
        moment("3x", now)


async def test_a_node_tells_of_its_own_notices_and_of_those_it_got_what_the_hub_tells(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp", slots=["facts", "persons"])
        world.agree("nl", "jp")
        nodes = {who: TestNode(world, who, tmp_path) for who in ("vn", "jp", "nl")}
        for who in ("vn", "nl"):
            for _ in range(3):
                nodes[who].enqueue(person="Ada")
            await nodes[who].sends()
        await nodes["jp"].receives()
        old = Index(world.source.load())
        narrow = [replace(each, personal_data=None) for each in old.directory.agreements]
        wide = replace(narrow[1], grants=(replace(narrow[1].grants[0], receiver="*"),))
        new = old.updated(replace(old.directory, agreements=(narrow[0], wide)))
        period = Period(0, world.clock.now() + DAY)
        hub = await replay_log(world.log, old, new, period)
        version = await version_at(world.log, world.clock.now() + DAY)
        for who, node in nodes.items():
            told = replay_store(node.store, who, old, new, period)
            seen = {lane: row.changes for lane, row in hub.rows.items() if who in (lane.giver, lane.member)}
            assert {lane: row.changes for lane, row in told.rows.items()} == seen, who
            assert told.notices == (6 if who == "jp" else 3)
            node.close()
    assert hub.total(Change.NARROWED) == 3
    assert version == old.directory.version


async def test_what_a_recall_follows_on_each_side_is_what_that_side_gave(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        sent = await world.publish("vn", sighting())
        await world.settle()
        await world.publish("vn", sighting(), act=Act.RECALL, references=(sent.statement,))
        await world.settle()
        old = Index(world.source.load())
        world.agree("vn", "nl", types=["sighting"])
        new = old.updated(world.source.load())
        told = await replay_log(world.log, old, new, Period(0, world.clock.now() + DAY))
    (row,) = told.rows.values()
    assert row.changes == {Change.ADDED: 2}, "the notice, and what takes it back"
