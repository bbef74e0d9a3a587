"""The batch that both engines hand out: records, and one step that can be tried once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from broker.log import LogUnavailable, Partition, Record, Stored


@dataclass(slots=True, eq=False)
class PendingBatch:
    """See `broker.log.Batch`.  `store` does the one step; `places` are behind the batch."""

    records: Sequence[Stored]
    claim: int
    places: Mapping[Partition, int]
    store: Callable[[Sequence[Record]], Awaitable[None]]
    spent: bool = False
    committed: bool = False

    async def commit(self, results: Sequence[Record]) -> None:
        """See `broker.log.Batch`."""
        if self.spent:
            raise LogUnavailable("this batch was committed or given up before")
        self.spent = True
        await self.store(results)
        self.committed = True


def places_behind(records: Sequence[Stored]) -> Mapping[Partition, int]:
    """Return, for each partition, the place behind its last record."""
    return {stored.partition: stored.offset + 1 for stored in records}
