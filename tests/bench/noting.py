"""A log that notes when each batch of a service was committed, and what with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from broker.log import Batch, Log, Record, Stored

STEP_SECONDS = 120.0


@dataclass(slots=True)
class Commits:
    """What was committed: when, how many records went in, and what came out."""

    at: list[float] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    results: list[Sequence[Record]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, taken: int, results: Sequence[Record]) -> None:
        """Note a commit that was just heard."""
        self.at.append(time.perf_counter())
        self.taken.append(taken)
        self.results.append(results)
        self.changed.set()

    async def reach(self, count: int, seconds: float = STEP_SECONDS) -> None:
        """Return once so many records were committed."""
        async with asyncio.timeout(seconds):
            while sum(self.taken) < count:
                self.changed.clear()
                await self.changed.wait()

    @property
    def rate(self) -> float:
        """How many records a second, from the first commit to the last: without what starting took."""
        return sum(self.taken[1:]) / (self.at[-1] - self.at[0])


class NotingLog:
    """See `broker.log.Log`; all but following is handed through."""

    def __init__(self, log: Log, commits: Commits) -> None:
        self._log = log
        self._commits = commits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def follow(
        self, reader: str, topics: Sequence[str], *, sole: bool = False, limit: int = 1024
    ) -> AsyncGenerator[Batch, None]:
        async with aclosing(self._log.follow(reader, topics, sole=sole, limit=limit)) as following:
            async for batch in following:
                yield NotedBatch(batch, self._commits)


class NotedBatch:
    """A batch whose commit is noted."""

    def __init__(self, batch: Batch, commits: Commits) -> None:
        self._batch = batch
        self._commits = commits

    @property
    def records(self) -> Sequence[Stored]:
        return self._batch.records

    @property
    def claim(self) -> int:
        return self._batch.claim

    async def commit(self, results: Sequence[Record], count: int | None = None) -> None:
        await self._batch.commit(results, count)
        self._commits.note(len(self._batch.records[:count]), results)


async def run_until(
    run: Callable[[], Awaitable[None]], commits: Commits, count: int, seconds: float = STEP_SECONDS
) -> None:
    """Run a service until so many records were committed."""
    async with asyncio.TaskGroup() as group:

        async def service() -> None:
            await run()

        task = group.create_task(service())
        await commits.reach(count, seconds)
        task.cancel()
