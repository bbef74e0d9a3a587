"""The embedded engine: one process, one file, nobody else to ask.

Decides who follows as which reader, what the next batch is, and who waits for what.  The threads that
touch the disk are in `threads`, the file is in `sqlite`.  Whoever waits for records is woken by the
transaction that stored them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from broker.core.errors import BadConfiguration
from broker.log import Batch, Fenced, LogUnavailable, Partition, Record, Stored, Topic
from broker.log.batch import PendingBatch
from broker.log.growth import Growth
from broker.log.stored_values import Write
from broker.log.threads import Claim, Create, Job, Outcome, Places, Put, ReadPool, Scrub, Writer
from broker.log.topics import matches

WRITES_QUEUED: Final = 2_048
LOOK_AGAIN_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 0.5
FAILURE_SECONDS: Final = 10.0
APPEND: Final = "append"

_events = structlog.get_logger("halong.log")


@dataclass(slots=True, eq=False)
class _Seat:
    """One who follows as a reader: the last to come has the partitions, the others stand by."""

    turn: int = 0


class EmbeddedLog:
    """See `broker.log.Log`.  A lock refuses a second process."""

    def __init__(self, path: Path, *, step_seconds: float = 30.0) -> None:
        self._path = path
        self._step = step_seconds
        self._growth = Growth()
        self._seats: dict[str, list[_Seat]] = {}
        self._failed_at: dict[str, float] = {}
        self._room = asyncio.Semaphore(WRITES_QUEUED)
        self._due: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._writer: Writer | None = None
        self._reads: ReadPool | None = None

    async def open(self) -> None:
        """Open the file, making it if it is not there.

        Raises:
            BadConfiguration: The file is not a log, is damaged, or needs a later version.
            LogUnavailable: Another process has it open, or the disk refuses.
        """
        writer = Writer(self._path, asyncio.get_running_loop(), self._settle)
        try:
            async with asyncio.timeout(self._step):
                await writer.start()
        except TimeoutError:
            raise LogUnavailable(f"{self._path} did not open within {self._step:g} s") from None
        self._writer = writer
        self._reads = ReadPool(self._path, self._step)

    async def create(self, topics: Sequence[Topic]) -> None:
        """See `broker.log.Log`."""
        await self._submit(Create(self._future(), topics))
        self._growth.stir()

    async def append(self, records: Sequence[Record]) -> Sequence[int]:
        """See `broker.log.Log`."""
        self._check(records)
        return await self._put(APPEND, Put(self._future(), Write(records)))

    async def follow(
        self, reader: str, topics: Sequence[str], *, sole: bool = False, limit: int = 1024
    ) -> AsyncGenerator[Batch, None]:
        """See `broker.log.Log`."""
        seat = _Seat()
        seats = self._seats.setdefault(reader, [])
        seats.append(seat)
        self._growth.stir()
        try:
            while True:
                await self._turn(seats, seat, sole=sole)
                try:
                    claim, places = await self._submit(Claim(self._future(), reader))
                    while seats[-1] is seat:
                        records = await self._next(seat, topics, places, sole=sole, limit=limit)
                        if not records:
                            continue
                        for batch in self._batch(reader, claim, records).parts():
                            yield batch
                            places.update(batch.places)
                        if not batch.committed:
                            break
                except LogUnavailable as error:
                    self._open_writer()
                    _events.warning("log.unavailable", service=reader, code=error.code)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            seats.remove(seat)
            self._growth.stir()

    async def read(self, partition: Partition, start: int, limit: int) -> Sequence[Stored]:
        """See `broker.log.Log`."""
        writer, reads = self._open_writer(), self._reads
        assert reads is not None
        number = writer.layout.ids.get(partition)
        if number is None:
            raise _missing(partition)
        return await reads.read([(partition, number, start)], limit)

    async def take_over(self, reader: str) -> None:
        """See `broker.log.Log`."""
        await self._submit(Claim(self._future(), reader))

    async def append_as(self, reader: str, records: Sequence[Record]) -> None:  # noqa: ARG002  one process has one
        """See `broker.log.Log`."""
        await self.append(records)

    async def erase(
        self,
        reader: str,  # noqa: ARG002  one process has one
        records: Sequence[Record],
        places: Mapping[Partition, set[int]],
    ) -> None:
        """See `broker.log.Log`."""
        self._check(records)
        await self._put(APPEND, Put(self._future(), Write(records, erased=places)))

    async def scrub(self, partitions: Collection[Partition]) -> float:  # noqa: ARG002  one file has them all
        """See `broker.log.Log`."""
        await self._submit(Scrub(self._future()))
        return 0.0

    async def ends(
        self,
        topics: Sequence[str],
        *,
        settled: bool = True,  # noqa: ARG002  nothing is ever undecided
    ) -> Mapping[Partition, int]:
        """See `broker.log.Log`."""
        self._open_writer()
        return {p: end for p, end in self._growth.ends.items() if matches(p.topic, topics)}

    async def places(self, reader: str) -> Mapping[Partition, int]:
        """See `broker.log.Log`."""
        found: Mapping[Partition, int] = await self._submit(Places(self._future(), reader))
        return found

    async def wait(self, ends: Mapping[Partition, int], seconds: float) -> None:
        """See `broker.log.Log`."""
        self._open_writer()
        await self._growth.wait(ends, seconds)

    def working(self) -> Mapping[str, bool]:
        """See `broker.log.Log`.

        Who is not sent anything any more appends nothing, so a failure counts for a while only.
        """
        now = asyncio.get_running_loop().time()
        failed = {name for name, at in self._failed_at.items() if now - at < FAILURE_SECONDS}
        names = (APPEND, *(reader for reader, seats in self._seats.items() if seats))
        return {name: name not in failed for name in names}

    async def begin_at(self, partition: Partition, offset: int) -> None:
        """See `broker.log.Log`."""
        if self._growth.ends.get(partition) != 0:
            raise BadConfiguration("the partition is not empty, or not there", field=partition.topic)
        await self._submit(Put(self._future(), Write((), begins={partition: offset})))

    async def set_places(self, reader: str, places: Mapping[Partition, int]) -> None:
        """See `broker.log.Log`."""
        await self._submit(Put(self._future(), Write((), reader, places)))

    async def remarks(self) -> Sequence[str]:
        """See `broker.log.Log`: a file needs no settings."""
        return ()

    async def close(self) -> None:
        """See `broker.log.Log`."""
        writer, reads = self._writer, self._reads
        if writer is None or reads is None:
            return
        self._writer = self._reads = None
        self._growth.stir()
        await reads.close()
        try:
            async with asyncio.timeout(self._step):
                await writer.stop()
        except TimeoutError:
            raise LogUnavailable(f"{self._path} did not close within {self._step:g} s") from None

    # --- who follows ------------------------------------------------------------------------------

    async def _turn(self, seats: Sequence[_Seat], seat: _Seat, *, sole: bool) -> None:
        """Return when the seat is the last that was taken.

        Raises:
            Fenced: It was, and is to be alone, and a successor came.
        """
        while seats[-1] is not seat:
            if sole:
                raise Fenced("a successor follows as this reader now")
            await self._growth.wait({}, LOOK_AGAIN_SECONDS, stir=True)
            self._open_writer()

    async def _next(
        self, seat: _Seat, topics: Sequence[str], places: Mapping[Partition, int], *, sole: bool, limit: int
    ) -> Sequence[Stored]:
        """Return what comes next, or nothing after having waited for something to come."""
        writer, reads = self._open_writer(), self._reads
        assert reads is not None
        followed = [p for p in self._growth.ends if matches(p.topic, topics)]
        behind = [p for p in followed if self._growth.ends[p] > places.get(p, 0)]
        if behind:
            # One partition after the other, so that a busy one cannot starve the rest.
            seat.turn += 1
            start = seat.turn % len(behind)
            chosen = behind[start:] + behind[:start] if sole else [behind[start]]
            spans = [(p, writer.layout.ids[p], places.get(p, 0)) for p in chosen]
            return await reads.read(spans, limit)
        ends = {p: self._growth.ends[p] for p in followed}
        await self._growth.wait(ends, LOOK_AGAIN_SECONDS, stir=True)
        return ()

    def _batch(self, reader: str, claim: int, records: Sequence[Stored]) -> PendingBatch:
        async def store(results: Sequence[Record], places: Mapping[Partition, int]) -> None:
            self._check(results)
            await self._put(reader, Put(self._future(), Write(results, reader, places), claim))

        return PendingBatch(records, claim, store)

    # --- the thread that writes -------------------------------------------------------------------

    async def _put(self, name: str, job: Put) -> list[int]:
        """Have something stored, and remember whether the disk took it."""
        try:
            offsets: list[int] = await self._submit(job)
        except LogUnavailable:
            self._failed_at[name] = asyncio.get_running_loop().time()
            raise
        self._failed_at.pop(name, None)
        return offsets

    async def _submit(self, job: Job) -> Any:
        """Have the writer do a job, and return what came of it.

        Raises:
            LogUnavailable: It was refused, or not done in time.
        """
        if self._room.locked():
            await self._wait_for_room()
        else:
            await self._room.acquire()
        # Given back when the thread is done with the job, also if nobody waits any more.
        try:
            self._open_writer().put(job)
        except LogUnavailable:
            self._room.release()
            raise
        # One timer for all: a timer for each call would cost more than all else that a call costs.
        loop = asyncio.get_running_loop()
        self._due.append((loop.time() + self._step, job.done))
        if self._timer is None:
            self._timer = loop.call_later(self._step, self._expire)
        return await job.done

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(self._step):
                await self._room.acquire()
        except TimeoutError:
            raise self._late() from None

    def _expire(self) -> None:
        """Refuse what is overdue; the writer may still do it."""
        loop = asyncio.get_running_loop()
        while self._due and (self._due[0][1].done() or self._due[0][0] <= loop.time()):
            _, done = self._due.popleft()
            if not done.done():
                done.set_exception(self._late())
        self._timer = loop.call_at(self._due[0][0], self._expire) if self._due else None

    def _late(self) -> LogUnavailable:
        return LogUnavailable(f"the disk did not answer within {self._step:g} s")

    def _settle(self, outcomes: list[Outcome], ends: Mapping[Partition, int]) -> None:
        if ends:
            self._growth.grow(ends)
        for done, outcome in outcomes:
            self._room.release()
            if done.done():
                continue
            if isinstance(outcome, Exception):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)
        while self._due and self._due[0][1].done():
            self._due.popleft()

    def _future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise LogUnavailable("the log is closed")
        return self._writer

    def _check(self, records: Sequence[Record]) -> None:
        ends = self._growth.ends
        for record in records:
            if record.partition not in ends:
                raise _missing(record.partition)


def _missing(partition: Partition) -> BadConfiguration:
    return BadConfiguration(
        f"there is no partition {partition.number} of topic {partition.topic}: create it first",
        field=partition.topic,
    )
