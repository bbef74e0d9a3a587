"""Following a log so that the seat is given back at once, however the loop ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing

from broker.log import Batch, Log, Partition, Stored

READ_AT_ONCE = 1024


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
