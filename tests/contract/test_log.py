"""The log's contract, over both engines: one test a promise."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import aclosing

import pytest

from broker.core.errors import BadConfiguration
from broker.log import Batch, Log, LogUnavailable, Partition, Record, Stored, Topic, open_log
from tests.crash import CrashingLog, CrashPoints, dies

SECONDS = 60
"""No test waits longer for what must come."""

INPUT = Topic("notices.test", partitions=2, keep="contents")
OUTPUT = Topic("inbox.test")
STATE = Topic("dispatch.test", keep="state")
ONE, OTHER = Partition(INPUT.name, 0), Partition(INPUT.name, 1)
OUT = Partition(OUTPUT.name)


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """Fail instead of hanging, wherever it hangs."""

    def late(*_: object) -> None:
        pytest.fail(f"not done within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def records(partition: Partition, numbers: Sequence[int]) -> list[Record]:
    return [Record(partition, b"key %d" % n, b"value %d" % n) for n in numbers]


def numbers(found: Sequence[Stored]) -> list[int]:
    return [int(stored.value.split()[-1]) for stored in found]


def copies(batch: Batch) -> list[Record]:
    return [Record(OUT, stored.key, stored.value) for stored in batch.records]


async def everything(log: Log, partition: Partition) -> list[Stored]:
    """Read all that is committed, whatever the gaps."""
    end = (await log.ends([partition.topic]))[partition]
    found: list[Stored] = []
    start = 0
    while start < end and (more := await log.read(partition, start, 100)):
        found += more
        start = more[-1].offset + 1
    return found


async def copy_all(log: Log, count: int, *, sole: bool = False) -> None:
    """A small service: copies inputs to the output until that holds `count` records."""
    held = len(await everything(log, OUT))
    if held >= count:
        return
    async with aclosing(log.follow("copy", ["notices.*"], sole=sole, limit=3)) as batches:
        async for batch in batches:
            await batch.commit(copies(batch))
            held = len(await everything(log, OUT))
            if held >= count:
                return


async def take(log: Log, reader: str, count: int, *topics: str, sole: bool = False) -> list[Stored]:
    """Follow until `count` records came; all are committed without results."""
    found: list[Stored] = []
    async with aclosing(log.follow(reader, topics or ["notices.*"], sole=sole)) as batches:
        async for batch in batches:
            found += batch.records
            await batch.commit([])
            if len(found) >= count:
                break
    return found


async def test_records_keep_their_order_in_a_partition(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        first = await log.append(records(ONE, range(5)) + records(OTHER, range(5, 9)))
        second = await log.append(records(ONE, range(9, 12)))

        one, other = await log.read(ONE, 0, 100), await log.read(OTHER, 0, 100)

    assert numbers(one) == [0, 1, 2, 3, 4, 9, 10, 11]
    assert numbers(other) == [5, 6, 7, 8]
    assert [stored.offset for stored in one] == [*first[:5], *second]
    assert [stored.offset for stored in other] == list(first[5:])
    assert [stored.key for stored in other] == [b"key 5", b"key 6", b"key 7", b"key 8"]


async def test_what_was_appended_is_there_after_reopening(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT, OUTPUT])
        await log.append(records(ONE, range(10)))
        taken = await take(log, "reader", 10)
        await log.append(records(ONE, range(10, 15)))

    async with open_log(log_url) as log:
        assert numbers(await everything(log, ONE)) == list(range(15))
        assert numbers(taken) + numbers(await take(log, "reader", 5)) == list(range(15))


async def test_a_batch_is_from_one_partition_and_no_longer_than_its_limit(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        await log.append(records(ONE, range(10)) + records(OTHER, range(10, 20)))

        left = 20
        async with aclosing(log.follow("reader", ["notices.*"], limit=4)) as batches:
            async for batch in batches:
                assert len({stored.partition for stored in batch.records}) == 1
                assert 1 <= len(batch.records) <= 4
                left -= len(batch.records)
                await batch.commit([])
                if not left:
                    break


async def test_a_sole_reader_gets_all_partitions_each_in_order(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        await log.append(records(ONE, range(10)) + records(OTHER, range(10, 20)))

        found = await take(log, "reader", 20, sole=True)

    assert numbers([stored for stored in found if stored.partition == ONE]) == list(range(10))
    assert numbers([stored for stored in found if stored.partition == OTHER]) == list(range(10, 20))


@pytest.mark.parametrize("sole", [False, True], ids=["shared", "sole"])
async def test_results_and_place_are_stored_together_or_not_at_all(log_url: str, *, sole: bool) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT, OUTPUT])
        await log.append(records(ONE, [1]))
        async with aclosing(log.follow("reader", ["notices.*"], sole=sole)) as batches:
            batch = await anext(batches)
            with pytest.raises((LogUnavailable, BadConfiguration)):
                await batch.commit([*copies(batch), Record(Partition("nowhere"), b"", b"")])
            assert await everything(log, OUT) == []

            again = await anext(batches)
            assert numbers(again.records) == [1]
            assert again.claim != batch.claim
            await again.commit(copies(again))

        assert numbers(await everything(log, OUT)) == [1]
        assert await log.places("reader") == {ONE: again.records[-1].offset + 1}


async def test_a_batch_is_committed_once(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT, OUTPUT])
        await log.append(records(ONE, [1]))
        async with aclosing(log.follow("reader", ["notices.*"])) as batches:
            batch = await anext(batches)
            await batch.commit(copies(batch))
            with pytest.raises(LogUnavailable):
                await batch.commit(copies(batch))

        assert numbers(await everything(log, OUT)) == [1]


async def test_a_batch_that_was_not_committed_comes_again_under_another_claim(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        await log.append(records(ONE, range(3)))
        async with aclosing(log.follow("reader", ["notices.*"])) as batches:
            first = await anext(batches)
            second = await anext(batches)
            assert numbers(first.records) == numbers(second.records) == [0, 1, 2]
            assert first.claim != second.claim
            with pytest.raises(LogUnavailable):
                await first.commit([])
            await second.commit([])
            await log.append(records(ONE, [3]))
            third = await anext(batches)
            assert (numbers(third.records), third.claim) == ([3], second.claim)


@pytest.mark.parametrize("sole", [False, True], ids=["shared", "sole"])
async def test_what_a_commit_left_of_a_batch_comes_next_under_the_same_claim(
    log_url: str, *, sole: bool
) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT, OUTPUT])
        await log.append(records(ONE, range(7)))
        async with aclosing(log.follow("reader", ["notices.*"], sole=sole)) as batches:
            whole = await anext(batches)
            await whole.commit(copies(whole)[:2], 2)
            left = await anext(batches)
            assert (numbers(left.records), left.claim) == ([2, 3, 4, 5, 6], whole.claim)
            await left.commit(copies(left)[:1], 1)
            last = await anext(batches)
            assert numbers(last.records) == [3, 4, 5, 6]
            # Nothing of it is committed: it comes again from the true place, under another claim.
            again = await anext(batches)
            assert numbers(again.records) == [3, 4, 5, 6]
            assert again.claim != whole.claim
            await again.commit(copies(again)[:3], 3)
        # Who takes the seat later goes on in the middle of what was one batch.
        assert numbers(await take(log, "reader", 1, sole=sole)) == [6]
        assert numbers(await everything(log, OUT)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("sole", [False, True], ids=["shared", "sole"])
async def test_a_reader_that_was_replaced_cannot_commit(log_url: str, *, sole: bool) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT, OUTPUT])
        await log.append(records(ONE, [1]))
        async with (
            aclosing(log.follow("reader", ["notices.*"], sole=sole)) as old,
            aclosing(log.follow("reader", ["notices.*"], sole=sole)) as young,
        ):
            late = await anext(old)
            # On a cluster two may share; then it is the old one's leaving that hands the partition over.
            if not sole:
                await old.aclose()
            batch = await anext(young)
            await batch.commit(copies(batch))
            with pytest.raises(LogUnavailable):
                await late.commit(copies(late))
            if sole:
                with pytest.raises(LogUnavailable):
                    await anext(old)

        assert numbers(await everything(log, OUT)) == [1]


async def test_who_takes_over_shuts_its_predecessor_out_and_may_append_before_it_follows(
    log_url: str,
) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT, OUTPUT])
        await log.append(records(ONE, [1]))
        async with aclosing(log.follow("reader", ["notices.*"], sole=True)) as old:
            late = await anext(old)
            await log.take_over("reader")
            with pytest.raises(LogUnavailable):
                await late.commit(copies(late))
        await log.append_as("reader", records(OUT, [2]))
        async with aclosing(log.follow("reader", ["notices.*"], sole=True)) as young:
            batch = await anext(young)
            await batch.commit(copies(batch))
            await log.append_as("reader", records(OUT, [3]))

        assert numbers(await everything(log, OUT)) == [2, 1, 3]


async def test_a_process_tells_what_it_does_with_the_log(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        await log.append(records(ONE, [1]))
        async with aclosing(log.follow("reader", ["notices.*"])) as batches:
            await anext(batches)
            assert log.working() == {"append": True, "reader": True}
        assert log.working() == {"append": True}


@pytest.mark.parametrize("sole", [False, True], ids=["shared", "sole"])
async def test_a_crash_at_every_call_loses_nothing_and_doubles_nothing(log_url: str, *, sole: bool) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT, OUTPUT])

    async def life(crash_at: int | None, first: int) -> CrashPoints:
        """Append three records unless they are there, and copy all: until the end, or until the crash."""
        points = CrashPoints(crash_at)

        async def live(log: Log) -> None:
            missing = 3 - len([n for n in numbers(await everything(log, ONE)) if n >= first])
            if missing:
                await log.append(records(ONE, range(first, first + 3)))
            await copy_all(log, first + 3, sole=sole)

        async with open_log(log_url) as log:
            crashed = await dies(live(CrashingLog(log, points)))
        assert crashed == (crash_at is not None and len(points.passed) >= crash_at)
        return points

    quiet = await life(None, 0)
    first = 3
    for crash_at in range(1, len(quiet.passed) + 1):
        await life(crash_at, first)
        await life(None, first)
        first += 3

        async with open_log(log_url) as log:
            assert numbers(await everything(log, OUT)) == list(range(first)), f"crash at {crash_at}"


async def test_a_waiting_follower_is_woken(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(take(log, "reader", 2))
            await log.append(records(ONE, [1]))
            await log.append(records(OTHER, [2]))
        assert sorted(numbers(taking.result())) == [1, 2]


async def test_wait_returns_when_a_partition_grows(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        before = await log.ends([INPUT.name])
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(log.wait(before, 3600))
            group.create_task(log.wait({OTHER: before[OTHER]}, 3600))
            await log.append(records(ONE, [1]))
            await log.append(records(OTHER, [1]))
        after = await log.ends([INPUT.name])
        assert all(after[partition] > before[partition] for partition in (ONE, OTHER))


async def test_wait_returns_in_time_when_nothing_grows(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        await log.append(records(ONE, [1]))
        await log.wait(await log.ends([INPUT.name]), 0.05)
        await log.wait({}, 0.0)


async def test_everything_committed_lies_below_the_ends(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT, OUTPUT])
        assert await log.ends(["notices.*", OUTPUT.name, "nowhere"]) == {ONE: 0, OTHER: 0, OUT: 0}
        await log.append(records(ONE, range(4)))
        await copy_all(log, 4)
        ends = await log.ends(["notices.*", OUTPUT.name])
        # Nothing is undecided now.
        assert await log.ends(["notices.*", OUTPUT.name], settled=False) == ends
        for partition in (ONE, OUT):
            found = await log.read(partition, 0, 100)
            assert len(found) == 4
            assert found[-1].offset < ends[partition]
            assert await log.read(partition, ends[partition], 100) == []
        assert ends[OTHER] == 0


async def test_a_range_is_read_from_any_offset_gaps_or_not(log_url: str) -> None:
    """On a cluster the markers of transactions hold offsets too."""
    async with open_log(log_url) as log:
        await log.create([INPUT, OUTPUT])
        for n in range(6):
            await log.append(records(ONE, [n]))
            await copy_all(log, n + 1)
        found = await everything(log, OUT)
        assert numbers(found) == list(range(6))
        assert [s.offset for s in found] == sorted({s.offset for s in found})
        for nth, stored in enumerate(found):
            assert list(await log.read(OUT, stored.offset, 2)) == found[nth : nth + 2]
            assert list(await log.read(OUT, stored.offset + 1, 2)) == found[nth + 1 : nth + 3]


async def test_many_ranges_are_read_at_once(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        await log.append(records(ONE, range(40)) + records(OTHER, range(40)))
        async with asyncio.TaskGroup() as group:
            reading = [
                group.create_task(log.read(partition, start, 5))
                for start in range(0, 40, 5)
                for partition in (ONE, OTHER)
            ]
        assert sorted(n for task in reading for n in numbers(task.result())) == sorted([*range(40)] * 2)


async def test_large_and_many_records_of_one_call_keep_their_order(log_url: str) -> None:
    sizes = [1, 600_000, 3, 0, 500_000, 400_000, 7]
    given = [Record(ONE, b"%d" % n, bytes(size)) for n, size in enumerate(sizes)]
    given += [Record(ONE, b"%d" % n, b"x" * 100) for n in range(len(sizes), 3000)]
    async with open_log(log_url) as log:
        await log.create([INPUT, OUTPUT])
        offsets = await log.append(given)
        assert list(offsets) == sorted(set(offsets))
        found = await everything(log, ONE)
        assert [(s.key, s.value, s.offset) for s in found] == [
            (record.key, record.value, offset) for record, offset in zip(given, offsets, strict=True)
        ]
        await copy_all(log, 5)
        assert [s.value for s in (await everything(log, OUT))[:5]] == [r.value for r in given[:5]]


async def test_topics_are_made_once(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        await log.append(records(OTHER, [1]))
        await log.create([INPUT, OUTPUT])
        assert set(await log.ends(["*"])) == {ONE, OTHER, OUT}
        assert numbers(await everything(log, OTHER)) == [1]


async def test_a_topic_keeps_its_number_of_partitions(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        with pytest.raises(BadConfiguration, match="2 partitions, not 3"):
            await log.create([OUTPUT, Topic(INPUT.name, partitions=3)])


async def test_a_follower_takes_up_topics_that_are_made_later(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
        await log.append(records(ONE, [1]))
        async with aclosing(log.follow("reader", ["notices.*"], sole=True)) as batches:
            batch = await anext(batches)
            await batch.commit([])
            await log.create([Topic("notices.later")])
            await log.append(records(Partition("notices.later"), [2]))
            later = await anext(batches)
            assert numbers(later.records) == [2]
            await later.commit([])


async def test_the_last_state_of_a_key_is_kept(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT, STATE])
        state = Partition(STATE.name)
        await log.append(records(ONE, range(3)))
        async with aclosing(log.follow("reader", ["notices.*"])) as batches:
            batch = await anext(batches)
            await batch.commit([Record(state, b"last", stored.value) for stored in batch.records])
        await log.append([Record(state, b"other", b"value 9")])

    async with open_log(log_url) as log:
        last = {stored.key: stored.value for stored in await everything(log, state)}
        assert last == {b"last": b"value 2", b"other": b"value 9"}


async def test_a_closed_log_says_so(log_url: str) -> None:
    async with open_log(log_url) as log:
        await log.create([INPUT])
    await log.close()
    for call in (log.append(records(ONE, [1])), log.read(ONE, 0, 1), log.ends(["*"])):
        with pytest.raises(LogUnavailable):
            await call


async def test_an_unknown_partition_is_named(log_url: str) -> None:
    async with open_log(log_url) as log:
        with pytest.raises(BadConfiguration, match="nowhere"):
            await log.read(Partition("nowhere"), 0, 1)


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "kafka:///x", "postgres://here/x", "log.db"])
async def test_an_address_that_names_no_log_is_refused(url: str) -> None:
    with pytest.raises(BadConfiguration):
        async with open_log(url):
            pass


async def test_kafka_without_its_library_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("broker.log.kafka")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiokafka", None)
    with pytest.raises(BadConfiguration, match=r"halong\[kafka\]"):
        async with open_log("kafka://localhost:1"):
            pass
