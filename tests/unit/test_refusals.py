from __future__ import annotations

from pathlib import Path

from broker.core.model import Refusal
from broker.core.records import unframe
from broker.log import Partition, Record, open_log
from broker.log.topics import REFUSALS, hub_topics
from broker.services.refusals import Refusals, Refused
from tests.world import MovableClock


def refused(peer: str = "vn", code: str = "bad-slot") -> Refused:
    return Refused(peer, code, bytes(32))


def read(records: list[Record]) -> list[tuple[str, str, int]]:
    found = [unframe(Refusal, record.value) for record in records]
    return [(one.peer, one.code, one.count) for one in found]


async def test_ten_a_second_are_recorded_singly_and_the_rest_with_a_count(tmp_path: Path) -> None:
    clock = MovableClock()
    async with open_log(f"sqlite://{tmp_path}/log.db") as log:
        await log.create(hub_topics([]))
        refusals = Refusals(log, clock)

        singly = [record for _ in range(25) for record in refusals.records(refused())]
        for _ in range(5):
            assert not list(refusals.records(refused(code="expired")))
        await refusals.flush()
        assert not await log.read(Partition(REFUSALS), 0, 10), "the second is not over"
        clock.move(1_000)
        await refusals.flush()

        assert read(singly) == [("vn", "bad-slot", 1)] * 10
        stored = await log.read(Partition(REFUSALS), 0, 10)
        assert sorted((r.code, r.count) for r in (unframe(Refusal, s.value) for s in stored)) == [
            ("bad-slot", 15),
            ("expired", 5),
        ]


async def test_what_was_counted_is_recorded_before_the_next_single_one(tmp_path: Path) -> None:
    clock = MovableClock()
    async with open_log(f"sqlite://{tmp_path}/log.db") as log:
        refusals = Refusals(log, clock)
        for _ in range(12):
            list(refusals.records(refused()))

        clock.move(1_000)

        assert read(list(refusals.records(refused(code="stale")))) == [
            ("vn", "bad-slot", 2),
            ("vn", "stale", 1),
        ]


async def test_one_peer_does_not_hide_anothers_refusals(tmp_path: Path) -> None:
    async with open_log(f"sqlite://{tmp_path}/log.db") as log:
        refusals = Refusals(log, MovableClock())
        for _ in range(12):
            list(refusals.records(refused("vn")))

        assert read(list(refusals.records(refused("jp")))) == [("jp", "bad-slot", 1)]
