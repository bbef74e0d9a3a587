"""The embedded log as another process sees it: to count and to verify, beside the hub or after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Final

from broker.core.errors import BadConfiguration
from broker.log import Batch, LogUnavailable, Partition, Record, Stored, Topic
from broker.log.threads import ReadPool
from broker.log.topics import matches

LOOK_SECONDS: Final = 0.1
"""How often to look whether the other process has written; it cannot wake us."""


class ReadOnlyLog:
    """See `broker.log.Log`; whatever would write is refused."""

    def __init__(self, path: Path, *, step_seconds: float = 30.0) -> None:
        self._path = path
        self._step = step_seconds
        self._pool: ReadPool | None = None
        self._ids: Mapping[Partition, int] = {}

    async def open(self) -> None:
        """Open the file.

        Raises:
            BadConfiguration: There is none, or it is not a log that this version reads.
            LogUnavailable: The disk refuses.
        """
        self._pool = ReadPool(self._path, self._step)
        await self.ends(())

    async def create(self, topics: Sequence[Topic]) -> None:  # noqa: ARG002  refused whatever is asked
        """Refuse."""
        raise self._refusal()

    async def append(self, records: Sequence[Record]) -> Sequence[int]:  # noqa: ARG002  refused as well
        """Refuse."""
        raise self._refusal()

    def follow(self, *_: object, **__: object) -> AsyncGenerator[Batch, None]:
        """Refuse: a follower's place is written down."""
        raise self._refusal()

    async def read(self, partition: Partition, start: int, limit: int) -> Sequence[Stored]:
        """See `broker.log.Log`."""
        if partition not in self._ids:
            await self.ends(())
        if partition not in self._ids:
            raise BadConfiguration(f"there is no topic {partition.topic} here", field=partition.topic)
        return await self._reads().read([(partition, self._ids[partition], start)], limit)

    async def take_over(self, reader: str) -> None:  # noqa: ARG002  refused as well
        """Refuse: a reader's claim is written down."""
        raise self._refusal()

    async def append_as(self, reader: str, records: Sequence[Record]) -> None:  # noqa: ARG002  refused as well
        """Refuse."""
        raise self._refusal()

    async def erase(self, *_: object) -> None:
        """Refuse."""
        raise self._refusal()

    async def scrub(self, *_: object) -> float:
        """Refuse."""
        raise self._refusal()

    async def ends(
        self,
        topics: Sequence[str],
        *,
        settled: bool = True,  # noqa: ARG002  nothing is ever undecided
    ) -> Mapping[Partition, int]:
        """See `broker.log.Log`."""
        layout = await self._reads().layout()
        self._ids = layout.ids
        return {p: end for p, end in layout.ends.items() if matches(p.topic, topics)}

    async def places(self, reader: str) -> Mapping[Partition, int]:
        """See `broker.log.Log`."""
        return await self._reads().places(reader)

    async def wait(self, ends: Mapping[Partition, int], seconds: float) -> None:
        """See `broker.log.Log`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        names = tuple({partition.topic for partition in ends})
        while True:
            now = await self.ends(names)
            left = until - loop.time()
            if left <= 0 or any(now.get(partition, 0) > end for partition, end in ends.items()):
                return
            await asyncio.sleep(min(LOOK_SECONDS, left))

    def working(self) -> Mapping[str, bool]:
        """See `broker.log.Log`."""
        return {}

    async def begin_at(self, partition: Partition, offset: int) -> None:  # noqa: ARG002  refused as well
        """Refuse."""
        raise self._refusal()

    async def set_places(self, reader: str, places: Mapping[Partition, int]) -> None:  # noqa: ARG002  as well
        """Refuse."""
        raise self._refusal()

    async def remarks(self) -> Sequence[str]:
        """See `broker.log.Log`: a file needs no settings."""
        return ()

    async def close(self) -> None:
        """See `broker.log.Log`."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    def _reads(self) -> ReadPool:
        if self._pool is None:
            raise LogUnavailable("the log is closed")
        return self._pool

    def _refusal(self) -> LogUnavailable:
        return LogUnavailable(f"{self._path} was opened to read only", field=str(self._path))
