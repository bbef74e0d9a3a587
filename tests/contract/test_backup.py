"""A hub's log in a backup: out of either engine and into either, while the hub works, and nodes go on."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from broker.backup.archive import LogCopy
from broker.backup.log_copy import copy_in, copy_out
from broker.commands.recount import Recount, recount
from broker.core.errors import BadConfiguration
from broker.core.note import LogKey
from broker.core.records import encode
from broker.log import Log, Partition, Record, Topic, open_log
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES, DECISIONS, ERASED, inbox_topic
from tests.nodes import TestNode
from tests.world import Content, World, sighting

Chunks = list[tuple[str, bytes]]
ON_KAFKA = [pytest.mark.kafka, pytest.mark.sockets]
WAYS = [("sqlite", "sqlite"), pytest.param(("kafka", "kafka"), marks=ON_KAFKA)]
INBOX = Topic("inbox.jp", keep="contents")


@pytest.fixture
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """An empty log on each of the two engines."""
    found = []
    for number, engine in enumerate(request.param):
        if engine == "sqlite":
            found.append(f"sqlite://{tmp_path}/{number}.db")
        else:
            found.append(f"kafka://{request.getfixturevalue('kafka')}/t{uuid.uuid4().hex[:12]}")
    return found[0], found[1]


def quiet(_done: int, _of: int | None) -> None:
    """Nobody watches."""


def notice(number: int) -> Content:
    return sighting(place=f"place {number}")


async def copied(log: Log) -> tuple[LogCopy, Chunks]:
    chunks: Chunks = []
    about = await copy_out(log, "test", lambda name, data: chunks.append((name, data)), quiet)
    return about, chunks


async def restored(url: str, about: LogCopy, chunks: Chunks) -> None:
    async with open_log(url) as log:
        await copy_in(log, about, chunks, quiet)


def other(world: World, folder: Path, url: str) -> World:
    """The same members, keys and directory, and a hub on another log."""
    found = World(folder, url=url)
    found.log_signer, found.source, found.people = world.log_signer, world.source, world.people
    found.clock = world.clock
    # Restored inboxes begin late, so their ends do not tell how many records there are.
    found._is_settled = found._is_settled_by_count  # type: ignore[method-assign]
    return found


async def count(world: World) -> Recount:
    return await recount(world.log, LogKey.parse(world.log_signer.vkey), quiet)


def agreed(folder: Path, url: str) -> World:
    world = World(folder, "vn", "jp", "nl", url=url)
    world.agree("vn", "jp")
    world.agree("vn", "nl")
    return world


@pytest.mark.parametrize("urls", WAYS, indirect=True)
async def test_nodes_go_on_at_a_hub_that_came_back_and_miss_nothing(
    urls: tuple[str, str], tmp_path: Path
) -> None:
    world = agreed(tmp_path, urls[0])
    async with world:
        node = TestNode(world, "jp", tmp_path)
        for number in range(3):
            await world.publish("vn", notice(number))
        await node.receives()
        # Has arrived at the hub, and not at the node.
        for number in range(3, 5):
            await world.publish("vn", notice(number))
        await world.settle()
        before = await count(world)
        about, chunks = await copied(world.log)
        place = node.incoming.place()
        node.close()

    await restored(urls[1], about, chunks)
    async with other(world, tmp_path, urls[1]) as back:
        after = await count(back)
        assert after.findings == []
        assert (after.published, after.delivered, after.root) == (before.published, 10, before.root)
        await back.publish("vn", notice(5))
        node = TestNode(back, "jp", tmp_path)
        await node.receives()

        assert [each.sequence for each in node.incoming.received()] == [1, 2, 3, 4, 5, 6]
        assert node.incoming.place() >= place
        assert len(await back.deliveries("nl")) == 6
        assert (await count(back)).findings == []
        node.close()


class BusyLog:
    """A log on which something happens whenever somebody has asked for ends or places.

    Not where what was erased is looked for while records are copied: how often that is depends on the engine.
    """

    def __init__(self, log: Log, happen: Callable[[], Awaitable[None]]) -> None:
        self._log = log
        self._happen = happen
        self.asked: list[Sequence[str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def ends(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        found = await self._log.ends(topics)
        self.asked.append(topics)
        if topics != [ERASED]:
            await self._happen()
        return found

    async def places(self, reader: str) -> Mapping[Partition, int]:
        found = await self._log.places(reader)
        await self._happen()
        return found


@pytest.mark.parametrize(
    "urls", [("sqlite", "sqlite"), pytest.param(("kafka", "sqlite"), marks=ON_KAFKA)], indirect=True
)
async def test_a_copy_that_is_made_while_the_hub_works_holds_together(
    urls: tuple[str, str], tmp_path: Path
) -> None:
    world = agreed(tmp_path, urls[0])
    sent = 0

    async def more() -> None:
        nonlocal sent
        await world.publish("vn", notice(sent))
        (received,) = (await world.deliveries("jp"))[-1:]
        await world.gateway.receive("jp", [encoded(world, "jp", received.id)])
        await world.settle()
        sent += 1

    async with world:
        await more()
        busy = BusyLog(world.log, more)
        about, chunks = await copied(busy)  # type: ignore[arg-type]  # what is not here is the log's
    assert sent == 8

    await restored(urls[1], about, chunks)
    async with other(world, tmp_path, urls[1]) as back:
        await back.settle()
        found = await count(back)
        assert found.findings == []
        # The last came after all ends were known.  Each other is there whole, or was made whole again.
        assert (found.published, found.delivered, found.refused) == (sent - 1, 2 * (sent - 1), 0)
        lanes = [each.head.sequence for each in await back.deliveries("jp")]
        assert lanes == list(range(1, sent))

        sent_there = await back.publish("vn", notice(sent), stream="second")
        assert sent_there.outcome.status == "accepted"
        assert [each.head.sequence for each in await back.deliveries("jp")] == [*lanes, sent]
        assert (await count(back)).findings == []


def encoded(world: World, member: str, delivery: bytes) -> bytes:
    return encode(world.receipt(member, delivery))


async def test_a_log_that_has_records_is_not_restored_into(tmp_path: Path) -> None:
    world = agreed(tmp_path, f"sqlite://{tmp_path}/0.db")
    async with world:
        await world.publish("vn", notice(0))
        await world.settle()
        about, chunks = await copied(world.log)

        with pytest.raises(BadConfiguration, match="has records"):
            await copy_in(world.log, about, chunks, quiet)


@pytest.mark.parametrize("missing", [DECISIONS, inbox_topic("jp"), AUDIT_LEAVES])
async def test_a_copy_that_lacks_records_is_refused(missing: str, tmp_path: Path) -> None:
    world = agreed(tmp_path, f"sqlite://{tmp_path}/0.db")
    async with world:
        await world.publish("vn", notice(0))
        await world.settle()
        about, chunks = await copied(world.log)
    left = [(name, data) for name, data in chunks if f"/{missing}/" not in name]
    assert len(left) < len(chunks)

    with pytest.raises(BadConfiguration):
        await restored(f"sqlite://{tmp_path}/1.db", about, left)


async def test_what_was_signed_later_than_the_leaves_of_a_copy_is_not_in_it(tmp_path: Path) -> None:
    world = agreed(tmp_path, f"sqlite://{tmp_path}/0.db")
    async with world:
        for number in range(3):
            await world.publish("vn", notice(number))
            await world.settle()
        about, chunks = await copied(world.log)

    assert about.size == about.leaves
    assert [name.split("/")[1] for name, _ in chunks][-2:] == [AUDIT_LEAVES, AUDIT_CHECKPOINTS]


# --- the two calls of the contract on which a restored log rests ----------------------------------------


@pytest.mark.parametrize("offset", [1, 2, 7])
async def test_the_first_record_stands_where_it_is_told_or_later(log_url: str, offset: int) -> None:
    inbox = Partition(INBOX.name)
    async with open_log(log_url) as log:
        await log.create([INBOX])
        await log.begin_at(inbox, offset)
        (first,) = await log.append([Record(inbox, b"one", b"1")])
        (second,) = await log.append([Record(inbox, b"two", b"2")])

        assert offset <= first <= offset + 1
        assert second == first + 1
        assert [each.offset for each in await log.read(inbox, 0, 10)] == [first, second]
        with pytest.raises(BadConfiguration, match="not empty"):
            await log.begin_at(inbox, 100)
    async with open_log(log_url) as log:
        assert [each.key for each in await log.read(inbox, offset, 10)] == [b"one", b"two"]
        (third,) = await log.append([Record(inbox, b"three", b"3")])
        assert third > second


async def test_a_reader_follows_from_the_place_where_it_was_put(log_url: str) -> None:
    inbox = Partition(INBOX.name)
    async with open_log(log_url) as log:
        await log.create([INBOX])
        offsets = await log.append([Record(inbox, b"%d" % n, b"") for n in range(4)])
        await log.set_places("reader", {inbox: offsets[2]})

        assert await log.places("reader") == {inbox: offsets[2]}
        async for batch in log.follow("reader", [INBOX.name], sole=True):
            assert [each.key for each in batch.records] == [b"2", b"3"]
            break
