"""Following a log so that the seat is given back at once, however the loop ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TypeAlias

from broker.log import Batch, Log, LogUnavailable, Partition, Stored

READ_AT_ONCE = 1024
NEAR = 8
"""Records so near to one another are read at once, with what lies between them."""

Place: TypeAlias = tuple[Partition, int]
"""A partition, and the offset of a record in it."""


def batches(
    log: Log, reader: str, topics: Sequence[str], *, sole: bool = False, limit: int = 1024
) -> AbstractAsyncContextManager[AsyncGenerator[Batch, None]]:
    """Return the batches of `Log.follow` as a context: on leaving it, the next in line may follow."""
    return aclosing(log.follow(reader, topics, sole=sole, limit=limit))


class Tail:
    """Reads one partition from its start, as far as it goes, again and again."""

    def __init__(self, log: Log, partition: Partition) -> None:
        self._log = log
        self.partition = partition
        self.next = 0

    async def more(self, end: int) -> AsyncIterator[Sequence[Stored]]:
        """Yield what there is below `end`, as `Log.ends` gave it, and has not been yielded."""
        while self.next < end:
            found = await self._log.read(self.partition, self.next, READ_AT_ONCE)
            if not found:
                # Offsets may have gaps: what is left below `end` are no records.
                self.next = end
                return
            self.next = found[-1].offset + 1
            yield found


async def last_of(log: Log, partition: Partition, end: int) -> Stored | None:
    """Return the last record of a partition below `end`, as `Log.ends` gave it, or None.

    Raises:
        LogUnavailable: The log did not answer.
    """
    back, start = 1, end
    found: Sequence[Stored] = []
    # The last offsets may hold no record, so look further and further back.
    while not found and start > 0:
        start = max(0, end - back)
        found = await log.read(partition, start, back)
        back *= 8
    return found[-1] if found else None


async def read_places(log: Log, places: Collection[Place]) -> Mapping[Place, bytes]:
    """Return the values of records that are known to be there.

    Raises:
        LogUnavailable: The log did not answer, or one is not there.
    """
    values: dict[Place, bytes] = {}
    ordered = sorted(places)
    for at, (partition, start) in enumerate(ordered):
        if (partition, start) in values:
            continue
        end = start
        for other, offset in ordered[at + 1 :]:
            if other != partition or offset > end + NEAR:
                break
            end = offset
        # What a read leaves out, because it would be too large, is what the next place asks for.
        for stored in await log.read(partition, start, end - start + 1):
            values[partition, stored.offset] = stored.value
        if (partition, start) not in values:
            raise LogUnavailable("a record that was there is not", field=partition.topic)
    return values
