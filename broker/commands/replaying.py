"""The past of a hub's log, decided again: reads the headers of a period, and nothing else of the notices.

Decides what of a log is read, and in which order; how a past decision is made again is decided in
`broker.core.dry_run`.  Works on any log that keeps the contract, beside a hub that runs.

First the decisions say what was admitted when.  Then come the notices, partition by partition: most depend on
no other and are decided as they come.  Those that look back (an answer, a recall) wait until what they refer
to was found, and are decided in the order in which they were.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from broker.core.agreements import Reference
from broker.core.dry_run import Outcome, Past, Replay
from broker.core.index import Index
from broker.core.model import Decision
from broker.core.records import decided, header_of, unframe
from broker.log import Log, Partition, Stored
from broker.log.topics import DECISIONS, DISPATCH_STATE
from broker.services.dispatch_state import read_reference, statement_of
from broker.services.following import READ_AT_ONCE, Tail

NOTICES = "notices.*"
SKEW_MS = 600_000
"""Decisions of several dispatchers are in order but for their clocks: so far apart they may be."""

Progress = Callable[[int, int], None]
"""Called with how many records were read of how many."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` until before `until`, in milliseconds UTC."""

    since: int
    until: int

    def has(self, at: int) -> bool:
        """Is this moment in it?"""
        return self.since <= at < self.until


@dataclass(slots=True)
class _Found:
    """What was decided in the period, and what was found of it so far."""

    numbers: dict[bytes, int] = field(default_factory=dict)
    times: array[int] = field(default_factory=lambda: array("q"))
    done: bytearray = field(default_factory=bytearray)
    looking_back: list[Past] = field(default_factory=list)
    past: dict[bytes, Past] = field(default_factory=dict)
    before: dict[bytes, Reference] = field(default_factory=dict)


async def replay_log(
    log: Log,
    old: Index,
    new: Index,
    period: Period,
    *,
    later_by: int = 0,
    tell: Progress = lambda _done, _of: None,
) -> Outcome:
    """Return what the notices of a period would have come to.

    Args:
        log: The hub's log.
        old: What the changes are counted from.
        new: What they are counted to; made by `old.updated`, most of the work is saved.
        period: By the times of the decisions.
        later_by: How much later everything is taken to have happened.
        tell: Is told how far it is.

    Raises:
        LogUnavailable: The log did not answer.
        NotCanonical: A record cannot be read.
    """
    found = _Found()
    replay = Replay(old, new, past=found.past.get, before=found.before.get, later_by=later_by)
    reader = _Reader(log, tell)
    await reader.open(period)
    async for page in reader.decisions():
        _note(found, page, period)
    found.done = bytearray(len(found.times))
    async for page in reader.notices():
        for stored in page:
            _take(found, stored, replay)
    wanted = {each for past in found.looking_back for each in past.header.references}
    if wanted & found.numbers.keys():
        async for page in reader.again(NOTICES):
            _keep(found, page, wanted)
    if earlier := wanted - found.numbers.keys():
        async for page in reader.again(DISPATCH_STATE):
            _remember(found, page, earlier, period)
    for past in sorted(found.looking_back, key=lambda each: each.number):
        replay.add(past)
    return replay.outcome()


async def version_at(log: Log, at: int) -> bytes | None:
    """Return the version of the directory under which the last decision before `at` was made, or None.

    Raises:
        LogUnavailable: The log did not answer.
    """
    reader = _Reader(log, lambda _done, _of: None)
    await reader.open(Period(at, at))
    last: bytes | None = None
    async for page in reader.decisions(before=READ_AT_ONCE):
        for stored in page:
            if decided(stored.value)[1] >= at:
                return last
            last = unframe(Decision, stored.value).directory
    return last


def _note(found: _Found, page: list[Stored], period: Period) -> None:
    for stored in page:
        statement, at = decided(stored.value)
        if period.has(at) and statement not in found.numbers:
            found.numbers[statement] = len(found.times)
            found.times.append(at)


def _take(found: _Found, stored: Stored, replay: Replay) -> None:
    number = found.numbers.get(stored.key)
    # A statement may be stored twice; it was decided once.
    if number is None or found.done[number]:
        return
    found.done[number] = True
    past = Past(stored.key, header_of(stored.value), found.times[number], number)
    if replay.looks_back(past):
        found.looking_back.append(past)
    else:
        replay.add(past)


def _keep(found: _Found, page: list[Stored], wanted: set[bytes]) -> None:
    for stored in page:
        if stored.key in wanted and (number := found.numbers.get(stored.key)) is not None:
            found.past[stored.key] = Past(stored.key, header_of(stored.value), found.times[number], number)


def _remember(found: _Found, page: list[Stored], wanted: set[bytes], period: Period) -> None:
    for stored in page:
        statement = statement_of(stored.key)
        if statement in wanted:
            reference = read_reference(statement, stored.value)
            # What was decided after the period was not known in it.
            if reference.decided_at < period.since:
                found.before[statement] = reference


class _Reader:
    """Pages of a log, counted; what is read is what was there when it was opened."""

    def __init__(self, log: Log, tell: Progress) -> None:
        self._log = log
        self._tell = tell
        self._read = 0
        self._total = 0

    async def open(self, period: Period) -> None:
        # Ends first: whatever was decided below them has its notice below those that are asked for later.
        self._decisions = await self._log.ends([DECISIONS])
        self._notices = await self._log.ends([NOTICES])
        self._first = {
            each: await self._first_decision(each, end, period.since) for each, end in self._decisions.items()
        }
        self._total = sum(self._decisions.values()) - sum(self._first.values()) + sum(self._notices.values())

    async def decisions(self, before: int = 0) -> AsyncIterator[list[Stored]]:
        for partition, end in self._decisions.items():
            async for page in self._pages(partition, end, max(self._first[partition] - before, 0)):
                yield page

    async def notices(self) -> AsyncIterator[list[Stored]]:
        for partition, end in self._notices.items():
            async for page in self._pages(partition, end):
                yield page

    async def again(self, topic: str) -> AsyncIterator[list[Stored]]:
        ends = await self._log.ends([topic])
        self._total += sum(ends.values())
        for partition, end in ends.items():
            async for page in self._pages(partition, end):
                yield page

    async def _pages(self, partition: Partition, end: int, start: int = 0) -> AsyncIterator[list[Stored]]:
        tail = Tail(self._log, partition)
        tail.next = start
        async for page in tail.more(end):
            yield list(page)
            self._read += len(page)
            self._tell(self._read, self._total)

    async def _first_decision(self, partition: Partition, end: int, since: int) -> int:
        """Return an offset before which nothing was decided at `since` or later."""
        low, high = 0, end
        while high - low > READ_AT_ONCE:
            middle = (low + high) // 2
            page = await self._log.read(partition, middle, 1)
            if page and page[0].offset < end and decided(page[0].value)[1] < since - SKEW_MS:
                low = page[0].offset
            else:
                high = middle
        return low
