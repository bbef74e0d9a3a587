"""Erasure: contents are gone from every file of the log, and all that proves that they were there stays."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from broker.backup.log_copy import copy_in, copy_out
from broker.commands.recount import Recount, recount
from broker.core.model import Act, Delivery, DeliveryHead, Envelope, Erasure, ErasureGround, Header, Refusal
from broker.core.note import LogKey
from broker.core.records import decode, statement_id, unframe
from broker.log import Partition, open_log
from broker.log.topics import ERASURES, REFUSALS
from broker.services.erasure import LOOK_AT_ALL_MS, Eraser
from broker.services.inbox import Inbox
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from broker.services.orders import Orders
from tests.crash import Crash, CrashingLog, CrashPoints
from tests.nodes import TestNode
from tests.recount import records
from tests.world import DAY, NETWORK, NOW, World, sighting

CANARY = "Canary-7f3a-" + "x" * 40


def eraser(world: World, folder: Path) -> Eraser:
    return Eraser(world.log, world.ledger, Orders(folder, NETWORK), world.clock, world.metrics)


def order(world: World, folder: Path, statement: bytes, ground: ErasureGround = ErasureGround.ORDER) -> Path:
    orders = Orders(folder, NETWORK)
    return orders.write(statement, "halong:vn", ground, "a judge said so", world.clock.now())


async def erased(world: World, folder: Path) -> list[Erasure]:
    """Erase what is due, and return every record that says so."""
    await world.settle()
    one = eraser(world, folder)
    while await one.step():
        await world.settle()
    found = (await records(world.log, ERASURES))[Partition(ERASURES)]
    return [unframe(Erasure, each.value) for each in found]


async def counted(world: World) -> Recount:
    await world.settle()
    return await recount(world.log, LogKey.parse(world.log_signer.vkey))


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def files_with(folder: Path, text: str = CANARY) -> list[str]:
    return [
        path.name
        for path in sorted(folder.rglob("*"))
        if path.is_file() and text.encode() in path.read_bytes()
    ]


async def test_an_ordered_erasure_leaves_nothing_of_the_content_in_any_file_and_the_log_verifies(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp", slots=["facts", "persons"])
        world.agree("vn", "nl", slots=["facts"])
        first = await world.publish("vn", sighting(place=CANARY, person=CANARY))
        other = await world.publish("vn", sighting(place="Hue"))
        before = await counted(world)
        assert before.verified
        assert files_with(tmp_path) != []

        path = order(world, tmp_path, first.statement)
        (erasure,) = await erased(world, tmp_path)

        assert erasure.statement == first.statement
        assert erasure.ground is ErasureGround.ORDER
        assert files_with(tmp_path) == []
        after = await counted(world)
        assert after.verified, after.findings
        assert (after.published, after.delivered) == (before.published, before.delivered)
        # Nothing else is erased.
        kept = await world.deliveries("jp", 1)
        assert [each.head.statement for each in kept] == [other.statement]
        assert path.exists()


async def test_the_feed_shows_what_was_erased_in_its_place_with_the_leaf_that_it_had(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        sent = [await world.publish("vn", sighting(place=f"{CANARY} {n}")) for n in range(4)]
        await world.settle()
        before = await world.inbox.feed("jp", 0, 10, 0)
        order(world, tmp_path, sent[1].statement)
        await erased(world, tmp_path)
        await world.settle()

        for _ in range(2):
            feed = await world.inbox.feed("jp", 0, 10, 0)
            assert [(each.place, each.index) for each in feed.items] == [
                (each.place, each.index) for each in before.items
            ]
            shown = [decode(Delivery, each.delivery) for each in feed.items]
            assert [each.envelope is None for each in shown] == [False, True, False, False]
            assert shown[1].head == decode(Delivery, before.items[1].delivery).head
            assert feed.behind == 0
        # Behind the last there is only what was shown in its place already.
        assert (await world.inbox.feed("jp", before.next, 10, 0)).items == []


async def test_a_member_that_had_not_fetched_it_yet_gets_its_lane_without_a_hole(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        sent = [await world.publish("vn", sighting(place=f"Hue {n}")) for n in range(3)]
        order(world, tmp_path, sent[0].statement)
        await erased(world, tmp_path)
        jp = TestNode(world, "jp", tmp_path)
        await jp.receives()
        assert jp.incoming.counts() == {"delivered": 2, "erased": 1}
        assert jp.alarms() == []
        jp.close()


async def test_the_end_of_retention_erases_when_the_last_receiver_may_not_keep_it(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp", grant="retention_days = 10")
        world.agree("vn", "nl", grant="retention_days = 20")
        sent = await world.publish("vn", sighting(place=CANARY))
        assert await erased(world, tmp_path) == []
        world.clock.move(20 * DAY - 1)
        assert await erased(world, tmp_path) == []
        world.clock.move(1)
        (erasure,) = await erased(world, tmp_path)
        assert (erasure.statement, erasure.ground, erasure.order) == (
            sent.statement,
            ErasureGround.RETENTION,
            None,
        )
        assert files_with(tmp_path) == []


async def test_what_nobody_received_goes_when_its_originator_said_and_what_has_no_end_stays(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        sent = await world.publish("vn", sighting(place=CANARY), retain_until=NOW + DAY)
        await world.publish("vn", sighting(place="for ever"))
        world.clock.move(1000 * DAY)
        assert [each.statement for each in await erased(world, tmp_path)] == [sent.statement]
        assert files_with(tmp_path) == []
        assert files_with(tmp_path, "for ever") != []


async def test_what_is_sent_again_after_it_was_erased_is_erased_again(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        sent = await world.publish("vn", sighting(place=CANARY))
        order(world, tmp_path, sent.statement)
        assert len(await erased(world, tmp_path)) == 1
        await world.store("vn", sent.envelope)
        await world.settle()
        assert files_with(tmp_path) != []
        assert len(await erased(world, tmp_path)) == 1
        assert files_with(tmp_path) == []
        assert (await counted(world)).verified


async def test_erasing_twice_changes_nothing(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        sent = await world.publish("vn", sighting(place=CANARY))
        order(world, tmp_path, sent.statement)
        assert len(await erased(world, tmp_path)) == 1
        ends = await world.log.ends(["*"])
        order(world, tmp_path, sent.statement, ErasureGround.TERMINATION)
        assert len(await erased(world, tmp_path)) == 1
        assert await world.log.ends(["*"]) == ends


async def test_the_originator_is_told_of_an_erased_statement_as_before(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        sent = await world.publish("vn", sighting(place=CANARY))
        await world.settle()
        order(world, tmp_path, sent.statement)
        await erased(world, tmp_path)
        await world.settle()
        status = await world.ledger.statements.status("vn", sent.statement)
        assert status.decided
        assert status.deliveries == 1
        assert status.statement_inclusion is not None


async def test_a_statement_is_left_with_its_header_and_its_signature(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        sent = await world.publish("vn", sighting(place=CANARY))
        order(world, tmp_path, sent.statement)
        await erased(world, tmp_path)
        stored = [one for found in (await records(world.log, "notices.*")).values() for one in found]
        (envelope,) = [unframe(Envelope, one.value) for one in stored]
        whole = decode(Envelope, sent.envelope)
        assert (envelope.header, envelope.signature) == (whole.header, whole.signature)
        assert decode(Header, envelope.header) == sent.header
        assert envelope.disclosures == ()


async def test_a_log_with_erased_places_comes_back_from_a_backup_and_shows_the_same(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        sent = [await world.publish("vn", sighting(place=f"{CANARY} {n}")) for n in range(4)]
        for each in (sent[1], sent[3]):
            order(world, tmp_path, each.statement)
        await erased(world, tmp_path)
        await world.settle()
        before = (await world.inbox.feed("jp", 0, 10, 0)).items
        parts: list[tuple[str, bytes]] = []
        about = await copy_out(world.log, "sqlite", lambda *part: parts.append(part), lambda *_: None)
    (tmp_path / "other").mkdir()
    async with open_log(f"sqlite://{tmp_path}/other/log.db") as log:
        await copy_in(log, about, parts, lambda *_: None)
        assert (await recount(log, LogKey.parse(world.log_signer.vkey))).verified
        ledger = Ledger(log, Metrics())
        following = asyncio.ensure_future(ledger.run())
        await ledger.caught_up.wait()
        feed = await Inbox(log, ledger, world.clock, Metrics()).feed("jp", 0, 10, 0)
        following.cancel()
    assert [each.index for each in feed.items] == [each.index for each in before]
    assert [each.delivery for each in feed.items] == [each.delivery for each in before]


async def test_a_crash_at_any_call_of_the_log_leaves_nothing_half_erased(tmp_path: Path) -> None:
    async def live(name: str, points: CrashPoints) -> None:
        folder = make_folder(tmp_path / name)
        async with World(folder, "vn", "jp") as world:
            world.agree("vn", "jp")
            sent = [await world.publish("vn", sighting(place=CANARY)) for _ in range(2)]
            order(world, folder, sent[0].statement)
            await world.settle()
            crashing = CrashingLog(world.log, points)
            orders = Orders(folder, NETWORK)
            with suppress(Crash):
                await Eraser(crashing, world.ledger, orders, world.clock, world.metrics).step()
            assert len(await erased(world, folder)) == 1
            order(world, folder, sent[1].statement)
            assert len(await erased(world, folder)) == 2
            assert files_with(folder) == []
            assert (await counted(world)).verified

    quiet = CrashPoints()
    await live("quiet", quiet)
    assert "before erase" in quiet.passed
    # Reads change nothing: only around what is written can something be half done.
    writes = [n for n, name in enumerate(quiet.passed, 1) if "erase" in name or "scrub" in name]
    for point in writes:
        await live(str(point), CrashPoints(point))


# --- the originator's own order: no gateway takes one yet ------------------------------------------------


@pytest.fixture
def acts_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gateway take what it refuses while nodes cannot carry it out."""
    monkeypatch.setattr("broker.core.header.UNSUPPORTED_ACTS", frozenset())


@pytest.mark.usefixtures("acts_are_taken")
async def test_an_originator_orders_its_own_statements_to_be_erased_and_the_receivers_get_the_order(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        named = [await world.publish("vn", sighting(place=f"{CANARY} {n}")) for n in range(2)]
        other = await world.publish("vn", sighting(place="Hue"))
        references = tuple(sorted(each.statement for each in named))
        act = await world.publish("vn", sighting(), act=Act.ERASURE, references=references)
        before = await counted(world)

        found = await erased(world, tmp_path)

        assert {(each.statement, each.ground, each.order) for each in found} == {
            (each, ErasureGround.ORDER, act.statement) for each in references
        }
        assert files_with(tmp_path) == []
        after = await counted(world)
        assert after.verified, after.findings
        assert (after.published, after.delivered) == (before.published, before.delivered)
        feed = await world.inbox.feed("jp", 0, 10, 0)
        shown = [decode(Delivery, each.delivery) for each in feed.items]
        kept = [decode(DeliveryHead, each.head).statement for each in shown if each.envelope is not None]
        assert kept == [other.statement, act.statement]
        assert await erased(world, tmp_path) == found


@pytest.mark.usefixtures("acts_are_taken")
async def test_nobody_orders_what_somebody_else_said_to_be_erased(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        sent = await world.publish("vn", sighting(place=CANARY))
        await world.publish("jp", sighting(), act=Act.ERASURE, references=(sent.statement,))
        assert await erased(world, tmp_path) == []
        assert files_with(tmp_path) != []


@pytest.mark.usefixtures("acts_are_taken")
async def test_an_order_that_was_not_admitted_erases_nothing(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        sent = await world.publish("vn", sighting(place=CANARY))
        no_order: dict[str, Any] = {"sequence": 9, "previous": bytes(32)}
        act = await world.publish("vn", sighting(), act=Act.ERASURE, references=(sent.statement,), **no_order)
        await world.settle()
        (refused,) = (await records(world.log, REFUSALS))[Partition(REFUSALS)]
        assert unframe(Refusal, refused.value).statement == act.statement
        assert await erased(world, tmp_path) == []
        assert files_with(tmp_path) != []


@pytest.mark.usefixtures("acts_are_taken")
async def test_an_order_that_came_before_what_it_names_is_carried_out_within_the_hour(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        early = world.compose("vn", sighting(place=CANARY))
        named = statement_id(decode(Envelope, early).header)
        act = await world.publish("vn", sighting(), act=Act.ERASURE, references=(named,), stream="second")
        one = eraser(world, tmp_path)
        await world.settle()
        while await one.step():
            await world.settle()
        await world.send("vn", early)
        await world.settle()
        world.clock.move(LOOK_AT_ALL_MS)
        while await one.step():
            await world.settle()
        found = (await records(world.log, ERASURES))[Partition(ERASURES)]
        assert [unframe(Erasure, each.value).order for each in found] == [act.statement]
        assert files_with(tmp_path) == []


def test_an_order_of_another_network_or_about_no_statement_counts_for_nothing(tmp_path: Path) -> None:
    for network, statement in (("another", b"1" * 32), (NETWORK, b"1" * 31), (NETWORK, bytes(32))):
        Orders(tmp_path, network).write(statement, "halong:vn", ErasureGround.ORDER, "a judge said so", NOW)
    assert [each.statement for each in Orders(tmp_path, NETWORK).read()] == [bytes(32)]
