"""An Erasure whose content still lies in a topic is found: by `audit check`, and by a reader of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from broker.commands.erasure_check import GONE_WITHIN_MS
from broker.commands.log_check import Checked, check_log
from broker.core.keys import new_salt
from broker.core.model import Delivery, Envelope, Erasure, ErasureGround
from broker.core.note import LogKey
from broker.core.records import class_of, encode, framed, named_frame, unframe
from broker.log import Partition, Record
from broker.log.topics import ERASURES, inbox_topic
from broker.services.erasure import Eraser
from broker.services.orders import Orders
from tests.audit_recount import recount
from tests.recount import records
from tests.world import NETWORK, Sent, World, sighting

EARLY = "the content is there, and the log says that it was erased"
LATE = "the content is there an hour after it was to be gone"


async def published(world: World) -> Sent:
    world.agree("vn", "jp")
    sent = await world.publish("vn", sighting(place="Hue"))
    await world.publish("vn", sighting(place="Da Nang"))
    await world.settle()
    return sent


async def says_erased(world: World, statement: bytes) -> None:
    """Write what says that a statement was erased, and nothing else."""
    erasure = Erasure(new_salt(), statement, ErasureGround.ORDER, bytes(32), world.clock.now())
    await world.log.append([Record(Partition(ERASURES), *named_frame(erasure))])
    await world.settle()


async def erase(world: World, folder: Path, statement: bytes) -> None:
    orders = Orders(folder, NETWORK)
    orders.write(statement, "halong:vn", ErasureGround.ORDER, "a judge said so", world.clock.now())
    eraser = Eraser(world.log, world.ledger, orders, world.clock, world.metrics)
    while await eraser.step():
        await world.settle()


async def checked(world: World, folder: Path) -> Checked:
    return await check_log(world.log, LogKey.parse(world.log_signer.vkey), folder / "no tiles")


def file_of(folder: Path) -> Path:
    (file,) = folder.rglob("log.db")
    return file


def whats(found: Checked) -> Sequence[str]:
    return [each.what for each in found.findings]


async def test_what_was_erased_is_found_by_nobody(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        sent = await published(world)
        await erase(world, tmp_path, sent.statement)
        world.clock.move(2 * GONE_WITHIN_MS)
        await world.publish("vn", sighting(place="Hanoi"))
        await world.settle()

        assert whats(await checked(world, tmp_path)) == []
        assert recount(file_of(tmp_path)).remaining() == []


async def test_an_erasure_that_only_says_so_is_found_wherever_the_content_lies(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        sent = await published(world)
        assert whats(await checked(world, tmp_path)) == []
        await says_erased(world, sent.statement)

        found = await checked(world, tmp_path)

        assert not found.verified
        assert [(each.what, each.where.partition("/")[0].partition(".")[0]) for each in found.findings] == [
            (EARLY, "inbox"),
            (EARLY, "notices"),
        ]
        topics = [topic for topic, statement in recount(file_of(tmp_path)).remaining()]
        assert sorted(topics) == ["inbox.jp", "notices.asia-pacific"]


@pytest.mark.parametrize("topic", ["notices.", "inbox."])
async def test_one_copy_that_was_left_is_enough(topic: str, tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        sent = await published(world)
        (left,) = [found[0] for found in (await records(world.log, f"{topic}*")).values() if found]
        await erase(world, tmp_path, sent.statement)
        # Put in again behind what is left, as a repetition is until it is erased, too.
        await world.log.append([Record(left.partition, left.key, left.value)])
        await world.settle()
        assert whats(await checked(world, tmp_path)) == []

        world.clock.move(GONE_WITHIN_MS + 1000)
        await world.publish("vn", sighting(place="Hanoi"))
        await world.settle()

        assert whats(await checked(world, tmp_path)) == [LATE]
        assert [each for each, _ in recount(file_of(tmp_path)).remaining()] == [left.partition.topic]


async def test_what_a_cleaner_still_has_to_take_is_found_only_after_an_hour(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        sent = await published(world)
        # As on a cluster: what is left stands behind, and what was there goes later.
        inbox = (await records(world.log, inbox_topic("jp")))[Partition(inbox_topic("jp"))]
        (notices,) = [each for each in (await records(world.log, "notices.*")).values() if each]
        bare = {each.partition: each for each in (inbox[0], notices[0])}
        erasure = Erasure(new_salt(), sent.statement, ErasureGround.ORDER, bytes(32), world.clock.now())
        behind = [Record(each.partition, each.key, _bare(each.value)) for each in bare.values()]
        await world.log.append([*behind, Record(Partition(ERASURES), *named_frame(erasure))])
        await world.settle()
        assert whats(await checked(world, tmp_path)) == []

        world.clock.move(GONE_WITHIN_MS + 1000)
        await world.publish("vn", sighting(place="Hanoi"))
        await world.settle()

        assert whats(await checked(world, tmp_path)) == [LATE, LATE]


def _bare(value: bytes) -> bytes:
    if class_of(value) is Delivery:
        return framed(Delivery, encode(Delivery(unframe(Delivery, value).head, None, ())))
    envelope = unframe(Envelope, value)
    return framed(Envelope, encode(Envelope(envelope.header, envelope.signature, (), (), ())))
