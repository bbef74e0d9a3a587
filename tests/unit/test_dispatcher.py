from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.errors import NotCanonical
from broker.core.model import (
    Act,
    Decision,
    Delivery,
    DeliveryHead,
    Disclosure,
    Envelope,
    Header,
    Proof,
    Refusal,
    Region,
    Slot,
    Station,
)
from broker.core.records import (
    content_digest,
    decode,
    delivery_id,
    encode,
    encode_content,
    encode_delivery,
    framed,
    leaf_entry,
    partition_of,
    record_id,
    statement_id,
    unframe,
)
from broker.log import LogUnavailable, Partition, Record
from broker.log.batch import PendingBatch
from broker.log.topics import (
    DECISIONS,
    DISPATCH_STATE,
    PARTITIONS_PER_REGION,
    REFUSALS,
    inbox_topic,
    notices_topic,
)
from broker.services import dispatcher
from broker.services.dispatcher import Dispatcher
from tests.crash import CrashingLog, CrashPoints
from tests.world import World, counted, sighting


async def decisions(world: World) -> list[Decision]:
    return [unframe(Decision, stored.value) for stored in await world.log.read(Partition(DECISIONS), 0, 1000)]


async def test_each_member_gets_what_its_agreement_gives_it_and_nothing_else(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl", "za") as world:
        world.agree("vn", "jp", slots=["facts"])
        world.agree("vn", "nl", slots=["facts", "persons"])
        await world.publish("vn", sighting(person="Ada", firm="Lovelace Ltd"))

        (jp,) = await world.deliveries("jp")
        (nl,) = await world.deliveries("nl")

        assert jp.values == {"place": "Hai Phong"}
        assert nl.values == {"place": "Hai Phong", "person": "Ada"}
        assert await world.deliveries("za") == []
        assert await world.deliveries("vn") == []


async def test_a_delivery_is_what_its_head_and_the_decision_say(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp", slots=["facts", "persons"])
        sent = await world.publish("vn", sighting(person="Ada"))
        (received,) = await world.deliveries("jp")
        (decision,) = await decisions(world)

        assert received.head.statement == decision.statement == sent.statement
        assert received.head.slots == (Slot.FACTS, Slot.PERSONS)
        assert received.head.content == content_digest(received.envelope)
        assert received.head.decided_at == decision.decided_at == world.clock.now()
        assert received.head.directory == decision.directory == world.directory.value.version
        (share,) = decision.shares
        assert (share.member, share.slots, share.delivery) == ("jp", received.head.slots, received.id)
        assert decision.key == world.people["vn"].signer.public.id


async def test_lanes_count_without_a_gap_for_each_member_and_originator(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl", "za") as world:
        for giver, receiver in (("vn", "jp"), ("vn", "nl"), ("za", "jp")):
            world.agree(giver, receiver)
        for _ in range(3):
            await world.publish("vn", sighting())
        await world.publish("za", sighting())
        await world.publish("vn", sighting(), stream="other")

        lanes = [(one.head.lane, one.head.sequence) for one in await world.deliveries("jp")]

        assert sorted(lanes) == [
            *[("asia-pacific/vn", n) for n in (1, 2, 3, 4)],
            ("asia-pacific/za", 1),
        ]
        assert [one.head.sequence for one in await world.deliveries("nl")] == [1, 2, 3, 4]


async def test_a_notice_that_nobody_gets_is_decided_all_the_same(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        sent = await world.publish("vn", sighting())
        await world.settle()

        (decision,) = await decisions(world)

        assert decision.statement == sent.statement
        assert decision.shares == ()


async def test_a_statement_that_comes_again_is_dropped_and_counted(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        first = await world.publish("vn", sighting())
        await world.publish("vn", sighting())

        again = await world.send("vn", first.envelope, first.envelope)
        received = await world.deliveries("jp")

        assert [one.status for one in again] == ["accepted", "accepted"]
        assert len(received) == 2
        assert len(await decisions(world)) == 2
        assert counted(world.metrics.duplicates) == 2
        assert not await world.log.read(Partition(REFUSALS), 0, 10)


async def test_a_statement_that_comes_again_after_a_restart_is_dropped(tmp_path: Path) -> None:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp")
    async with world:
        first = await world.publish("vn", sighting())
        await world.settle()
    async with world:
        await world.send("vn", first.envelope)

        (received,) = await world.deliveries("jp")

        assert received.head.statement == first.statement


async def test_a_stream_goes_on_after_a_restart_where_it_was(tmp_path: Path) -> None:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp")
    async with world:
        await world.publish("vn", sighting())
        await world.settle()
    async with world:
        await world.publish("vn", sighting())

        received = await world.deliveries("jp")

        assert [one.head.sequence for one in received] == [1, 2]


async def test_numbers_may_be_skipped(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        await world.publish("vn", sighting())
        await world.publish("vn", sighting(), sequence=7)
        await world.publish("vn", sighting(), sequence=1000)

        assert len(await world.deliveries("jp")) == 3


async def test_a_refused_number_does_not_move_its_stream(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        first = await world.publish("vn", sighting())
        await world.publish("vn", sighting(), previous=None)
        await world.publish("vn", sighting(), previous=first.statement)

        received = await world.deliveries("jp")

        (stored,) = await world.log.read(Partition(REFUSALS), 0, 10)
        refusal = unframe(Refusal, stored.value)
        assert (refusal.station, refusal.peer, refusal.code) == (Station.DISPATCHER, "vn", "out-of-order")
        assert [decode(Header, one.envelope.header).sequence for one in received] == [1, 3]


async def test_an_equivocation_raises_an_alarm(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        await world.publish("vn", sighting(place="Hai Phong"))
        await world.publish("vn", sighting(place="Da Nang"), sequence=1, previous=None)
        await world.settle()

        assert counted(world.metrics.equivocations) == 1


async def test_a_correction_goes_where_the_original_went_with_no_more(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp", slots=["facts"])
        original = await world.publish("vn", sighting(person="Ada"))
        await world.settle()
        world.agree("vn", "nl", slots=["facts", "persons"])
        world.agree("vn", "jp", slots=["facts", "persons"], name="wider")

        await world.publish(
            "vn",
            sighting(place="Da Nang", person="Eve"),
            act=Act.CORRECTION,
            references=(original.statement,),
        )

        assert [one.values for one in await world.deliveries("jp")] == [
            {"place": "Hai Phong"},
            {"place": "Da Nang"},
        ]
        assert await world.deliveries("nl") == []


async def test_a_recall_in_the_same_batch_finds_its_original(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        await world.directory.refresh()
        first = world.compose("vn", sighting())
        statement = statement_id(decode(Envelope, first).header)
        second = world.compose("vn", sighting(), act=Act.RECALL, references=(statement,))

        await world.send("vn", first, second)

        assert len(await world.deliveries("jp")) == 2


async def test_a_reference_in_another_region_is_found(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        original = await world.publish("vn", sighting(), region=Region.EUROPE)
        await world.settle()

        await world.publish("vn", sighting(), act=Act.RECALL, references=(original.statement,))

        assert len(await world.deliveries("jp")) == 2


async def test_a_reference_to_nothing_counts_for_nothing(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")

        sent = await world.publish("vn", sighting(), act=Act.RECALL, references=(bytes(32),))

        assert await world.deliveries("jp") == []
        assert (await decisions(world))[0].statement == sent.statement


async def test_who_joins_while_the_hub_runs_gets_what_is_agreed_from_then_on(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        await world.publish("vn", sighting())
        await world.settle()
        world.join("nl")
        world.agree("vn", "nl")

        await world.publish("vn", sighting(place="Da Nang"))

        assert [one.values["place"] for one in await world.deliveries("nl")] == ["Da Nang"]


async def test_two_notices_never_share_a_salt(tmp_path: Path) -> None:
    """Else a leaf could be guessed from a record whose content is known."""
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        world.agree("vn", "nl")
        for _ in range(3):
            await world.publish("vn", sighting())
        heads = [one.head for member in ("jp", "nl") for one in await world.deliveries(member)]

        salts = [one.salt for one in heads] + [one.salt for one in await decisions(world)]

        assert len(set(salts)) == 9


@pytest.mark.parametrize("name", ["bytes that are none of ours", "a notice in a foreign partition"])
async def test_what_it_cannot_read_stops_it_and_is_not_passed_over(tmp_path: Path, name: str) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        envelope = world.compose("vn", sighting())
        header = decode(Header, decode(Envelope, envelope).header)
        owner = partition_of("vn", PARTITIONS_PER_REGION)
        if name.startswith("bytes"):
            record = Record(Partition(notices_topic(header.region), owner), b"key", b"\0\0\0\0\0")
        else:
            elsewhere = Partition(notices_topic(header.region), (owner + 1) % PARTITIONS_PER_REGION)
            record = Record(elsewhere, b"key", framed(Envelope, envelope))

        dispatcher = type(world.dispatcher)(world.log, world.directory, world.clock, world.metrics)
        world.stop_services()
        await world.log.append([record])
        for _ in range(2):
            with pytest.raises(NotCanonical):
                await asyncio.wait_for(dispatcher.run(), 5)

        assert await decisions(world) == []


@pytest.mark.parametrize("key", [b"number/vn", b"statement/none", b""], ids=["kind", "statement", "empty"])
async def test_a_memory_that_it_cannot_read_stops_it(tmp_path: Path, key: bytes) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        dispatcher = type(world.dispatcher)(world.log, world.directory, world.clock, world.metrics)
        world.agree("vn", "jp")
        world.stop_services()
        await world.log.append([Record(Partition(DISPATCH_STATE), key, b"\x01")])
        await world.publish("vn", sighting())

        with pytest.raises(NotCanonical):
            await asyncio.wait_for(dispatcher.run(), 5)


async def test_keys_of_records_are_their_ids(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        await world.publish("vn", sighting())
        (received,) = await world.deliveries("jp")

        (stored,) = await world.log.read(Partition(DECISIONS), 0, 10)
        (inbox,) = await world.log.read(Partition("inbox.jp"), 0, 10)

        assert stored.key == record_id(unframe(Decision, stored.value))
        assert inbox.key == received.id == delivery_id(decode_head(received.raw))
        assert leaf_entry(unframe(Decision, stored.value))[1:] == stored.key


def decode_head(raw: bytes) -> bytes:
    return decode(Delivery, raw).head


@pytest.mark.parametrize("head", [b"", b"x" * 63, b"x" * 64, b"x" * 9000], ids=len)
@pytest.mark.parametrize("proofs", [(), (Proof(3, 1, (bytes(32), bytes(32))), Proof(3, 2, ()))], ids=len)
def test_a_delivery_put_together_is_the_one_that_is_encoded(head: bytes, proofs: tuple[Proof, ...]) -> None:
    envelope = Envelope(b"header", b"signature", (Disclosure(Slot.FACTS, bytes(16), b"value"),), (), ())

    assert encode_delivery(head, encode_content(encode(envelope), proofs)) == encode(
        Delivery(head, envelope, proofs)
    )


class FullDisk(CrashPoints):
    """A disk that takes no batch so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def reach(self, name: str) -> None:
        if name == "before commit" and self.times:
            self.times -= 1
            raise LogUnavailable("the disk is full")


async def test_what_cannot_be_stored_is_tried_again_later_and_later(tmp_path: Path) -> None:
    disk = FullDisk(10)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    class Slow(World):
        def services(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
            log = CrashingLog(self.log, disk)
            dispatcher = Dispatcher(log, self.directory, self.clock, self.metrics, sleep=pause)
            return {**super().services(), "dispatcher": dispatcher.run}

    async with Slow(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        await world.publish("vn", sighting())
        await world.settle()
        assert pauses == sorted(pauses)
        assert len(pauses) == 10
        assert pauses[0] < 0.1
        assert pauses[-1] == 5.0

        disk.times = 1
        await world.publish("vn", sighting())
        await world.settle()
        assert pauses[10:] == pauses[:1]
        assert len(await world.deliveries("jp")) == 2


@settings(max_examples=12)
@given(
    lengths=st.lists(st.integers(1, 4_000), min_size=1, max_size=12),
    most=st.one_of(st.just(1), st.integers(1, 40_000), st.just(1 << 24)),
)
def test_a_transaction_ends_with_the_notice_that_fills_it_and_decides_the_same(
    lengths: list[int], most: int
) -> None:
    """However large notices are and however many get them: what is held at once is bounded."""
    receivers = ("jp", "nl", "za")
    commits: list[list[int]] = []
    commit = PendingBatch.commit

    async def noted(self: PendingBatch, results: Sequence[Record], count: int | None = None) -> None:
        await commit(self, results, count)
        sizes: dict[bytes, int] = {}
        statements = [each.key for each in self.records[:count]]
        for record in results:
            if record.partition.topic in {inbox_topic(member) for member in receivers}:
                head = decode(DeliveryHead, unframe(Delivery, record.value).head)
                sizes[head.statement] = sizes.get(head.statement, 0) + len(record.value)
        if sizes:
            assert set(statements) == sizes.keys()
            commits.append([sizes[each] for each in statements])

    async def play(folder: Path) -> None:
        async with World(folder, "vn", *receivers) as world:
            for member in receivers:
                world.agree("vn", member)
            await world.directory.refresh()
            envelopes = [world.compose("vn", sighting(place="x" * length)) for length in lengths]
            await world.send("vn", *envelopes)
            names = [statement_id(decode(Envelope, each).header) for each in envelopes]
            for member in receivers:
                received = [each.head for each in await world.deliveries(member)]
                assert [each.statement for each in received] == names
                assert [each.sequence for each in received] == list(range(1, len(lengths) + 1))
            assert [each.statement for each in await decisions(world)] == names

    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(dispatcher, "RESULT_BYTES", most)
        patch.setattr(PendingBatch, "commit", noted)
        asyncio.run(play(Path(folder)))
    assert sum(map(len, commits)) == len(lengths)
    assert all(sum(sizes[:-1]) < most for sizes in commits)
