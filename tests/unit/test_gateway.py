from __future__ import annotations

from pathlib import Path

import pytest

from broker.core.errors import NotYours
from broker.core.model import Envelope, Refusal, Region
from broker.core.records import encode, framed, unframe
from broker.log import Partition
from broker.log.topics import RECEIPTS, REFUSALS
from tests.world import World, counted, sighting


async def test_what_was_accepted_stands_in_its_originators_partition_as_it_came(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        envelope = world.compose("vn", sighting(), region=Region.EUROPE)

        (outcome,) = await world.send("vn", envelope)

        ends = await world.log.ends(["notices.*"])
        (partition,) = [one for one, end in ends.items() if end]
        (stored,) = await world.log.read(partition, 0, 10)
        assert partition.topic == "notices.europe"
        assert stored.value == framed(Envelope, envelope)
        assert stored.key.hex() == outcome.statement


async def test_outcomes_have_the_order_of_the_request(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        envelopes = [world.compose("vn", sighting(place=f"place {n}")) for n in range(40)]

        outcomes = await world.send("vn", *envelopes)

        assert [one.status for one in outcomes] == ["accepted"] * 40
        assert [one.reference for one in outcomes] == [
            f"halong:vn/asia-pacific/main/{n + 1}" for n in range(40)
        ]


async def test_a_refusal_ends_its_own_stream_and_no_other(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        bad = world.compose("vn", sighting(), notice_type="horoscope")
        behind = world.compose("vn", sighting())
        elsewhere = world.compose("vn", sighting(), stream="other")

        outcomes = await world.send("vn", bad, behind, elsewhere)

        assert [one.status for one in outcomes] == ["refused", "not-attempted", "accepted"]


async def test_the_next_request_may_go_on(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        await world.send("vn", world.compose("vn", sighting(), notice_type="horoscope"))

        (outcome,) = await world.send("vn", world.compose("vn", sighting()))

        assert outcome.status == "accepted"


async def test_what_was_not_attempted_is_no_refusal(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        bad = world.compose("vn", sighting(), notice_type="horoscope")

        await world.send("vn", bad, *[world.compose("vn", sighting()) for _ in range(5)])

        (stored,) = await world.log.read(Partition(REFUSALS), 0, 10)
        assert unframe(Refusal, stored.value).code == "unknown-type"
        assert counted(world.metrics.refusals) == 1


async def test_a_rate_that_is_used_up_leaves_the_rest_for_later(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", rate=3) as world:
        envelopes = [world.compose("vn", sighting()) for _ in range(5)]

        first = await world.send("vn", *envelopes)
        world.clock.move(1_000)
        second = await world.send("vn", *envelopes[3:])

        assert [one.status for one in first] == ["accepted"] * 3 + ["not-attempted"] * 2
        assert first[3].code == "too-many"
        assert [one.status for one in second] == ["accepted"] * 2


async def test_an_empty_request_is_answered_emptily(tmp_path: Path) -> None:
    async with World(tmp_path, "vn") as world:
        assert await world.send("vn") == []


async def test_one_bad_receipt_keeps_all_of_its_request_out_and_is_named(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        good, bad = encode(world.receipt("jp", bytes(32))), encode(world.receipt("vn", bytes(32)))
        with pytest.raises(NotYours) as refused:
            await world.gateway.receive("jp", [good, bad])

        assert refused.value.field == "receipts[1]"
        assert not await world.log.read(Partition(RECEIPTS), 0, 10)
