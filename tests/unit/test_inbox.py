from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker.core.merkle import leaf_hash, verify_inclusion
from broker.core.model import Delivery, Read, Readable
from broker.core.note import LogKey
from broker.core.records import decode, leaf_entry, unframe
from broker.log import Partition
from broker.log.topics import READS
from broker.services import inbox as inbox_module
from tests.world import World, sighting


async def reads(world: World) -> list[Read]:
    return [unframe(Read, stored.value) for stored in await world.log.read(Partition(READS), 0, 1000)]


async def test_every_item_is_proved_to_the_checkpoint_of_its_answer(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        for _ in range(7):
            await world.publish("vn", sighting())
        await world.settle()

        feed = await world.inbox.feed("jp", 0, 100, 0)

        assert feed.checkpoint is not None
        size, root = LogKey.parse(world.log_signer.vkey).open_checkpoint(feed.checkpoint)
        assert len(feed.items) == 7
        for item in feed.items:
            entry = leaf_entry(decode(Delivery, item.delivery))
            assert verify_inclusion(leaf_hash(entry), item.index, size, item.path, root)


async def test_nothing_leaves_before_a_published_checkpoint_covers_it(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        await world.publish("vn", sighting())
        await world.deliveries("jp")
        before = world.ledger.size
        # The dispatcher goes on; the sequencer is stopped.
        world.tasks["sequencer"].cancel()
        await world.publish("vn", sighting())
        async with asyncio.timeout(10):
            while not (await world.log.read(Partition("inbox.jp"), 1, 1)):
                await world.log.wait(await world.log.ends(["inbox.jp"]), 0.05)

        feed = await world.inbox.feed("jp", 1, 100, 0)

        assert feed.items == []
        assert world.ledger.size == before


async def test_pages_join_without_gap_or_overlap(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        for _ in range(10):
            await world.publish("vn", sighting())
        await world.settle()

        place, sequences, behind = 0, [], []
        while (feed := await world.inbox.feed("jp", place, 3, 0)).items:
            sequences += [world.received(item).head.sequence for item in feed.items]
            behind.append(feed.behind)
            place = feed.next

        assert sequences == list(range(1, 11))
        assert behind == [7, 4, 1, 0]
        assert feed.next == place


async def test_an_answer_has_a_bound_in_bytes_and_always_one_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        for _ in range(3):
            await world.publish("vn", sighting())
        await world.settle()
        monkeypatch.setattr(inbox_module, "MOST_BYTES", 10)

        feed = await world.inbox.feed("jp", 0, 100, 0)

        assert len(feed.items) == 1
        assert feed.behind == 2


async def test_a_member_reads_its_own_inbox_alone(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        world.agree("vn", "nl")
        await world.publish("vn", sighting())

        assert {one.head.member for one in await world.deliveries("jp")} == {"jp"}
        assert {one.head.member for one in await world.deliveries("nl")} == {"nl"}


async def test_what_was_read_is_written_down_before_the_answer_and_once_for_it(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        for _ in range(3):
            await world.publish("vn", sighting())
        await world.settle()

        feed = await world.inbox.feed("jp", 0, 100, 0)
        (read,) = await reads(world)

        assert (read.reader, read.what, read.at) == ("jp", Readable.INBOX, world.clock.now())
        assert list(read.ids) == sorted(world.received(item).id for item in feed.items)


async def test_an_empty_answer_is_no_reading(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        await world.publish("vn", sighting())
        await world.settle()

        feed = await world.inbox.feed("jp", 0, 100, 0)

        assert feed.items == []
        assert await reads(world) == []


async def test_a_feed_waits_for_what_is_published_next(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        await world.directory.refresh()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(world.inbox.feed("jp", 0, 100, 20))
            await world.publish("vn", sighting())

        assert len(waiting.result().items) == 1


async def test_a_feed_that_waited_in_vain_answers_emptily(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        feed = await world.inbox.feed("jp", 5, 100, 0.01)

        assert (feed.items, feed.next, feed.behind) == ([], 5, 0)
