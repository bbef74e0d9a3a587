"""A process that dies at a chosen call of the log.

Each call has two points: before it (nothing happened) and after it (it happened, nobody was told).
From the crash on every call crashes, so that no `finally` of the service can do what a dead process
cannot.  `Crash` is a BaseException: nothing in a service swallows it.

A test counts the points of one quiet run, then lives through a crash at each::

    for point in range(1, await count_points(life) + 1):
        async with open_log(url) as log:
            await live(log, crash_at=point)
        async with open_log(url) as log:
            await live(log)
        ...  # nothing lost, nothing doubled
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Collection, Mapping, Sequence

from broker.log import Batch, Log, Partition, Record, Stored, Topic


class Crash(BaseException):
    """The process is dead."""


class CrashPoints:
    """Counts the points that were passed, and crashes at the chosen one and at all after it."""

    def __init__(self, crash_at: int | None = None) -> None:
        self.crash_at = crash_at
        self.passed: list[str] = []

    def reach(self, name: str) -> None:
        """Pass the next point, or die there."""
        self.passed.append(name)
        if self.crash_at is not None and len(self.passed) >= self.crash_at:
            raise Crash(name)


class CrashingLog:
    """A log that works until the chosen point."""

    def __init__(self, log: Log, points: CrashPoints) -> None:
        self._log = log
        self._points = points

    async def create(self, topics: Sequence[Topic]) -> None:
        self._points.reach("before create")
        await self._log.create(topics)
        self._points.reach("after create")

    async def append(self, records: Sequence[Record]) -> Sequence[int]:
        self._points.reach("before append")
        offsets = await self._log.append(records)
        self._points.reach("after append")
        return offsets

    async def follow(
        self, reader: str, topics: Sequence[str], *, sole: bool = False, limit: int = 1024
    ) -> AsyncGenerator[Batch, None]:
        self._points.reach("before follow")
        async for batch in self._log.follow(reader, topics, sole=sole, limit=limit):
            self._points.reach("after a batch was taken")
            yield CrashingBatch(batch, self._points)
            self._points.reach("before the next batch")

    async def read(self, partition: Partition, start: int, limit: int) -> Sequence[Stored]:
        self._points.reach("before read")
        found = await self._log.read(partition, start, limit)
        self._points.reach("after read")
        return found

    async def take_over(self, reader: str) -> None:
        self._points.reach("before take over")
        await self._log.take_over(reader)
        self._points.reach("after take over")

    async def append_as(self, reader: str, records: Sequence[Record]) -> None:
        self._points.reach("before append")
        await self._log.append_as(reader, records)
        self._points.reach("after append")

    async def erase(
        self, reader: str, records: Sequence[Record], places: Mapping[Partition, set[int]]
    ) -> None:
        self._points.reach("before erase")
        await self._log.erase(reader, records, places)
        self._points.reach("after erase")

    async def scrub(self, partitions: Collection[Partition]) -> float:
        self._points.reach("before scrub")
        seconds = await self._log.scrub(partitions)
        self._points.reach("after scrub")
        return seconds

    async def ends(self, topics: Sequence[str], *, settled: bool = True) -> Mapping[Partition, int]:
        self._points.reach("before ends")
        found = await self._log.ends(topics, settled=settled)
        self._points.reach("after ends")
        return found

    async def places(self, reader: str) -> Mapping[Partition, int]:
        self._points.reach("before places")
        found = await self._log.places(reader)
        self._points.reach("after places")
        return found

    async def wait(self, ends: Mapping[Partition, int], seconds: float) -> None:
        self._points.reach("before wait")
        await self._log.wait(ends, seconds)
        self._points.reach("after wait")

    def working(self) -> Mapping[str, bool]:
        return self._log.working()

    async def close(self) -> None:
        """Do nothing: the log belongs to the test."""


class CrashingBatch:
    """A batch whose commit can be the last thing that was done, or not done."""

    def __init__(self, batch: Batch, points: CrashPoints) -> None:
        self._batch = batch
        self._points = points

    @property
    def records(self) -> Sequence[Stored]:
        return self._batch.records

    @property
    def claim(self) -> int:
        return self._batch.claim

    async def commit(self, results: Sequence[Record], count: int | None = None) -> None:
        self._points.reach("before commit")
        await self._batch.commit(results, count)
        self._points.reach("after commit")


async def dies(life: Awaitable[None]) -> bool:
    """Run a life to its end, and tell whether it ended by a crash (also inside a TaskGroup)."""
    try:
        await life
    except Crash:
        return True
    except BaseExceptionGroup as group:
        crash, rest = group.split(Crash)
        if rest is not None:
            raise rest from None
        return crash is not None
    return False
