"""The threads of the embedded engine: one that writes, and a few that read.

The one that writes takes all that queued while the last transaction became durable, and makes it the
next one.  Each outcome goes back to the event loop in one call for the whole transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from broker.core.errors import BadConfiguration, HalongError
from broker.log import Fenced, LogUnavailable, Partition, Stored, Topic
from broker.log.sqlite import Store
from broker.log.stored_values import Layout, Write

READ_THREADS: Final = 4
READS_QUEUED: Final = 256
EXIT_BROKEN: Final = 1

_events = structlog.get_logger("halong.log")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """Store something; with a claim, only if the reader was not claimed again since."""

    done: asyncio.Future[list[int]]
    write: Write
    claim: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Take over a reader: the answer is the new claim and the places behind all earlier commits."""

    done: asyncio.Future[tuple[int, dict[Partition, int]]]
    reader: str


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Tell the places of a reader, behind all earlier commits."""

    done: asyncio.Future[dict[Partition, int]]
    reader: str


@dataclass(frozen=True, slots=True, eq=False)
class Create:
    """Make topics."""

    done: asyncio.Future[None]
    topics: Sequence[Topic]


@dataclass(frozen=True, slots=True, eq=False)
class Scrub:
    """Take the bytes of what was deleted from the -wal file."""

    done: asyncio.Future[None]


Job = Put | Claim | Places | Create | Scrub
Outcome = tuple[asyncio.Future[Any], Any]
"""Whom to tell, and what: a result, or an error."""

Tell = Callable[[list[Outcome], Mapping[Partition, int]], None]
"""Called in the loop: outcomes, and the ends that changed."""


def _exit() -> None:
    """End the process at once: what is committed is committed, and whoever restarts it begins from there."""
    os._exit(EXIT_BROKEN)


class Writer:
    """The thread that writes.

    Args:
        path: The log's file.
        loop: Where outcomes are told.
        tell: Told of them.
        die: Ends the process, when what cannot happen happens.
    """

    def __init__(
        self, path: Path, loop: asyncio.AbstractEventLoop, tell: Tell, die: Callable[[], object] = _exit
    ) -> None:
        self.layout = Layout()
        self._die = die
        self._path = path
        self._loop = loop
        self._tell = tell
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._claims: dict[str, int] = {}
        self._claim_numbers = itertools.count(1)
        self._doubtful = False
        self.transactions = 0
        self._opened: asyncio.Future[None] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()

    def start(self) -> asyncio.Future[None]:
        """Start the thread; the answer is done when the file is open, or says why not."""
        # A daemon, so that a disk that never answers cannot keep the process from ending.
        threading.Thread(target=self._run, name="halong-log-writer", daemon=True).start()
        return self._opened

    def put(self, job: Job) -> None:
        """Queue a job; the caller bounds how many."""
        self._jobs.put(job)

    def stop(self) -> asyncio.Future[None]:
        """Do what is queued, then close the file."""
        self._jobs.put(None)
        return self._closed

    def _run(self) -> None:
        try:
            store = Store.open(self._path)
        except (BadConfiguration, LogUnavailable) as error:
            self._call(self._answer, self._opened, error)
            return
        self.layout = store.layout
        self._call(self._tell, [], store.layout.ends)
        self._call(self._answer, self._opened, None)
        try:
            while jobs := self._drain():
                self._work(store, jobs)
        except BaseException as error:
            # Nobody would write any more, and everybody wait: what is not foreseen ends the process.
            _events.critical("log.writer-died", exc_info=error)
            self._die()
            raise
        finally:
            store.close()
            self._call(self._answer, self._closed, None)

    def _drain(self) -> list[Job]:
        """Return all that is queued, at least one job; nothing at the end."""
        job = self._jobs.get()
        jobs: list[Job] = []
        while job is not None:
            jobs.append(job)
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs
        if jobs:
            self._jobs.put(None)
        return jobs

    def _work(self, store: Store, jobs: Iterable[Job]) -> None:
        puts: list[Put] = []
        for job in jobs:
            if isinstance(job, Put):
                puts.append(job)
                continue
            self._write(store, puts)
            puts = []
            self._attempt(store, job)
        self._write(store, puts)

    def _write(self, store: Store, puts: Sequence[Put]) -> None:
        """One transaction for all; a reader that was claimed again is refused."""
        outcomes: list[Outcome] = []
        current = []
        for put in puts:
            if put.claim and put.claim != self._claims.get(put.write.reader):
                outcomes.append((put.done, Fenced("the reader was replaced; nothing was stored")))
            else:
                current.append(put)
        before = store.layout.ends
        if current:
            try:
                self._mend(store)
                offsets = store.write([put.write for put in current])
                self.transactions += 1
                outcomes += zip((put.done for put in current), offsets, strict=True)
            except (LogUnavailable, BadConfiguration) as error:
                self._doubtful = True
                outcomes += [(put.done, _copy(error)) for put in current]
        self._finish(store, before, outcomes)

    def _attempt(self, store: Store, job: Claim | Places | Create | Scrub) -> None:
        before = store.layout.ends
        outcome: object = None
        try:
            self._mend(store)
            if isinstance(job, Create):
                store.create(job.topics)
            elif isinstance(job, Places):
                outcome = store.places(job.reader)
            elif isinstance(job, Scrub):
                store.scrub()
            else:
                places = store.places(job.reader)
                self._claims[job.reader] = claim = next(self._claim_numbers)
                outcome = (claim, places)
        except LogUnavailable as error:
            self._doubtful = True
            outcome = error
        except BadConfiguration as error:
            outcome = error
        self._finish(store, before, [(job.done, outcome)])

    def _mend(self, store: Store) -> None:
        if self._doubtful:
            store.reopen()
            self._doubtful = False

    def _finish(self, store: Store, before: Mapping[Partition, int], outcomes: list[Outcome]) -> None:
        self.layout = store.layout
        ends = store.layout.ends
        grown = {} if ends is before else {p: end for p, end in ends.items() if before.get(p) != end}
        if outcomes:
            self._call(self._tell, outcomes, grown)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        # The loop may be gone when the process ends; then nobody is left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    @staticmethod
    def _answer(done: asyncio.Future[None], error: HalongError | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _copy(error: HalongError) -> HalongError:
    """Return an error of its own for each who is told: raising adds a traceback to it."""
    return type(error)(str(error), field=error.field)


class ReadPool:
    """A few threads, each with its own connection that can only read."""

    def __init__(self, path: Path, step_seconds: float) -> None:
        self._path = path
        self._step = step_seconds
        self._threads = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="halong-log-reader")
        self._room = asyncio.Semaphore(READS_QUEUED)
        self._own = threading.local()
        self._stores: list[Store] = []
        self._running: set[Future[Any]] = set()

    async def read(self, spans: Sequence[tuple[Partition, int, int]], limit: int) -> list[Stored]:
        """Return up to `limit` records of the spans (partition, its number in the file, first offset).

        Raises:
            LogUnavailable: The disk refuses, or did not answer in time.
        """

        def read(store: Store) -> list[Stored]:
            found: list[Stored] = []
            for partition, number, start in spans:
                found += store.read(partition, number, start, limit - len(found))
                if len(found) >= limit:
                    break
            return found

        return await self._call(read)

    async def layout(self) -> Layout:
        """Return what the file has now.

        Raises:
            LogUnavailable: The disk refuses, or did not answer in time.
        """
        return await self._call(Store.load)

    async def places(self, reader: str) -> dict[Partition, int]:
        """Return the places of a reader.

        Raises:
            LogUnavailable: The disk refuses, or did not answer in time.
        """

        def places(store: Store) -> dict[Partition, int]:
            store.load()
            return store.places(reader)

        return await self._call(places)

    async def close(self) -> None:
        """Close the connections once no read uses them; those of a read that never comes back stay open."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        # Whoever waited for a read may be gone, and its thread still be at work in SQLite.
        running = [asyncio.wrap_future(each) for each in list(self._running) if not each.done()]
        if running:
            done, late = await asyncio.wait(running, timeout=self._step)
            for each in done:
                each.cancelled() or each.exception()
            if late:
                return
        for store in self._stores:
            store.close()

    async def _call(self, function: Callable[[Store], _T]) -> _T:
        try:
            async with asyncio.timeout(self._step), self._room:
                future = self._threads.submit(self._with, function)
                self._running.add(future)
                future.add_done_callback(self._running.discard)
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise LogUnavailable(f"the disk did not answer within {self._step:g} s") from None

    def _with(self, function: Callable[[Store], _T]) -> _T:
        if not hasattr(self._own, "store"):
            store = Store.open_to_read(self._path)
            self._stores.append(store)
            self._own.store = store
        return function(self._own.store)
