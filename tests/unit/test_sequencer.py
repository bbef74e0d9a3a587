from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from broker.core.errors import NotCanonical
from broker.core.keys import new_salt
from broker.core.merkle import Tree, leaf_hash, verify_consistency
from broker.core.model import Checkpoint, Leaf, Read, Readable
from broker.core.note import LogKey
from broker.core.records import frame, unframe
from broker.log import Fenced, Log, LogUnavailable, Partition, Record, Stored
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES, DIRECTORY, FOLLOWED, READS
from broker.services.sequencer import Sequencer, entry_of
from tests.crash import CrashingLog, CrashPoints
from tests.world import World, sighting

LEAVES, CHECKPOINTS = Partition(AUDIT_LEAVES), Partition(AUDIT_CHECKPOINTS)


def sequencer(world: World) -> Sequencer:
    return Sequencer(world.log, world.log_signer, world.clock, world.metrics)


async def leaves(world: World) -> list[Leaf]:
    return [unframe(Leaf, stored.value) for stored in await world.log.read(LEAVES, 0, 10_000)]


async def checkpoints(world: World) -> list[Checkpoint]:
    return [unframe(Checkpoint, stored.value) for stored in await world.log.read(CHECKPOINTS, 0, 10_000)]


async def everything(world: World) -> list[Stored]:
    ends = await world.log.ends(FOLLOWED)
    return [stored for partition in sorted(ends) for stored in await world.log.read(partition, 0, 10_000)]


async def test_every_record_has_one_leaf_in_the_order_of_its_partition(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        for _ in range(5):
            await world.publish("vn", sighting())
        await world.deliveries("jp")
        await world.gateway.receive("jp", [])
        await world.settle()

        found = await leaves(world)

        assert [leaf.index for leaf in found] == list(range(len(found)))
        places = sorted((Partition(leaf.topic, leaf.partition), leaf.offset, leaf.entry) for leaf in found)
        assert places == [
            (stored.partition, stored.offset, entry_of(stored)) for stored in await everything(world)
        ]
        for partition in {place[0] for place in places}:
            offsets = [leaf.offset for leaf in found if Partition(leaf.topic, leaf.partition) == partition]
            assert offsets == sorted(offsets)


async def test_each_checkpoint_is_signed_over_its_leaves_and_goes_on_from_the_last(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        for _ in range(5):
            await world.publish("vn", sighting())
            await world.settle()
        tree = Tree(leaf_hash(leaf.entry) for leaf in await leaves(world))
        key = LogKey.parse(world.log_signer.vkey)

        found = await checkpoints(world)

        assert len(found) >= 5
        assert found[-1].size == tree.size
        old = found[0]
        for checkpoint in found:
            assert key.open_checkpoint(checkpoint.note) == (checkpoint.size, checkpoint.root)
            assert checkpoint.root == tree.root(checkpoint.size)
            path = tree.consistency_path(old.size, checkpoint.size)
            assert verify_consistency(old.size, checkpoint.size, old.root, checkpoint.root, path)
            old = checkpoint


async def test_checkpoints_say_how_far_every_partition_was_read(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        await world.publish("vn", sighting())
        await world.settle()

        reached = {
            Partition(position.topic, position.partition): position.next
            for checkpoint in await checkpoints(world)
            for position in checkpoint.positions
        }

        assert reached == {
            partition: end for partition, end in (await world.log.ends(FOLLOWED)).items() if end
        }


async def test_leaves_that_nobody_signed_before_the_end_are_signed_at_the_next_start(tmp_path: Path) -> None:
    world = World(tmp_path, "vn")
    async with world:
        await world.publish("vn", sighting())
        await world.settle()
        size = world.ledger.size
        # As if the process had ended between the leaf's commit and the signature.
        world.stop_services()
        leaf = Leaf(size, b"\x07" + bytes(32), READS, 0, 0)
        await world.log.append([Record(LEAVES, b"", frame(leaf))])

        another = sequencer(world)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(another.run())
            await another.caught_up.wait()
            running.cancel()

        assert (await checkpoints(world))[-1].size == size + 1


class FailsOnce(CrashingLog):
    """A log whose first answer about ends is an error."""

    def __init__(self, log: Log, error: LogUnavailable) -> None:
        super().__init__(log, CrashPoints())
        self._errors = [error]

    async def ends(self, topics: Sequence[str], *, settled: bool = True) -> Mapping[Partition, int]:
        if self._errors:
            raise self._errors.pop()
        return await super().ends(topics, settled=settled)


@pytest.mark.parametrize("error", [Fenced("another leads"), LogUnavailable("the log is away")], ids=str)
async def test_who_fails_while_it_starts_is_ready_all_the_same(tmp_path: Path, error: LogUnavailable) -> None:
    async with World(tmp_path, "vn") as world:
        await world.publish("vn", sighting())
        await world.settle()
        world.stop_services()
        another = Sequencer(FailsOnce(world.log, error), world.log_signer, world.clock, world.metrics)

        async def run() -> None:
            with suppress(LogUnavailable):
                await another.run()
            await another.run()

        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            running = group.create_task(run())
            await another.caught_up.wait()
            running.cancel()


async def test_a_restart_neither_repeats_nor_leaves_out_a_leaf(tmp_path: Path) -> None:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp")
    for _ in range(3):
        async with world:
            await world.publish("vn", sighting())
            await world.deliveries("jp")
    async with world:
        await world.settle()

        assert len(await leaves(world)) == len(await everything(world))


@pytest.mark.parametrize("index", [2, 0], ids=["a number is missing", "a number comes twice"])
async def test_leaves_that_are_not_numbered_one_by_one_stop_it(tmp_path: Path, index: int) -> None:
    async with World(tmp_path) as world:
        world.stop_services()
        leaf = Leaf(0, b"\x07" + bytes(32), READS, 0, 0)
        second = replace(leaf, index=index, offset=1)
        await world.log.append([Record(LEAVES, b"", frame(one)) for one in (leaf, second)])

        with pytest.raises(NotCanonical):
            await asyncio.wait_for(sequencer(world).run(), 5)


async def test_a_record_with_two_leaves_stops_it(tmp_path: Path) -> None:
    """That a reader's place was lost shows before anything is signed over it."""
    async with World(tmp_path) as world:
        world.stop_services()
        first = Leaf(0, b"\x07" + bytes(32), READS, 0, 5)
        await world.log.append([Record(LEAVES, b"", frame(one)) for one in (first, replace(first, index=1))])

        with pytest.raises(NotCanonical):
            await asyncio.wait_for(sequencer(world).run(), 5)

        assert await checkpoints(world) == []


async def test_a_reader_that_lost_its_place_writes_nothing_twice(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.stop_services()
        await world.log.append([Record(Partition(READS), b"", frame(read())) for _ in range(3)])
        known = Leaf(0, b"\x07" + bytes(32), READS, 0, 2)
        await world.log.append([Record(LEAVES, b"", frame(known))])

        with pytest.raises(NotCanonical):
            await asyncio.wait_for(sequencer(world).run(), 5)

        assert await leaves(world) == [known]


def read() -> Read:
    return Read(new_salt(), "jp", Readable.INBOX, (), None, 0)


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        (READS, b""),
        (READS, b"\0\0\0\0\0abc"),
        (READS, frame(Leaf(0, bytes(33), "t", 0, 0))),
        ("notices.europe", frame(Leaf(0, bytes(33), "t", 0, 0))),
        (DIRECTORY, b"no separator"),
        (DIRECTORY, b"\xff\0data"),
    ],
)
def test_what_is_no_record_has_no_leaf(topic: str, value: bytes) -> None:
    with pytest.raises(NotCanonical):
        entry_of(Stored(Partition(topic), 0, b"", value))
