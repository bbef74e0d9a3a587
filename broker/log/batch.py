"""The batch that both engines hand out: records, and one step that can be tried once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from broker.log import LogUnavailable, Partition, Record, Stored


@dataclass(slots=True, eq=False)
class PendingBatch:
    """See `broker.log.Batch`.  `store` does the one step; `places` are behind what was committed."""

    records: Sequence[Stored]
    claim: int
    store: Callable[[Sequence[Record], Mapping[Partition, int]], Awaitable[None]]
    places: Mapping[Partition, int] = field(default_factory=dict)
    spent: bool = False
    done: int = 0

    async def commit(self, results: Sequence[Record], count: int | None = None) -> None:
        """See `broker.log.Batch`."""
        if self.spent:
            raise LogUnavailable("this batch was committed or given up before")
        self.spent = True
        done = self.records[:count]
        places = places_behind(done)
        await self.store(results, places)
        self.places, self.done = places, len(done)

    @property
    def committed(self) -> bool:
        """Whether all of it was committed, or a part."""
        return self.done > 0

    def parts(self) -> Iterator[PendingBatch]:
        """Yield this batch, then what each commit left of it; the last is whole, or was not committed."""
        part = self
        while True:
            yield part
            if not part.committed or part.done == len(part.records):
                return
            part = PendingBatch(part.records[part.done :], self.claim, self.store)


def places_behind(records: Sequence[Stored]) -> Mapping[Partition, int]:
    """Return, for each partition, the place behind its last record."""
    return {stored.partition: stored.offset + 1 for stored in records}
