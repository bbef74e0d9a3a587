"""What of each peer's waits for a reader of the log: its queue is the log, and this is the queue's bound.

While a reader is behind or away, what peers send would fill the disk; each may have so much waiting, whatever
the others have.  Counted is what came through this process since it started.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort

from broker.log import Log, Partition


class Backlog:
    """Knows who has too much waiting.

    Args:
        log: Tells how far the reader is; it is asked only about a peer that seems to have too much waiting.
        reader: Whose work waits.
        most: How many records of one peer may wait.
    """

    def __init__(self, log: Log, reader: str, most: int) -> None:
        self._log = log
        self._reader = reader
        self._most = most
        self._waiting: dict[str, dict[Partition, array[int]]] = {}

    def add(self, peer: str, partition: Partition, offset: int) -> None:
        """Count a record that was stored."""
        insort(self._waiting.setdefault(peer, {}).setdefault(partition, array("q")), offset)

    async def has_room(self, peer: str) -> bool:
        """Tell whether the peer may have more waiting.

        Raises:
            LogUnavailable: The log did not answer.
        """
        if self._count(peer) < self._most:
            return True
        places = await self._log.places(self._reader)
        for partition, offsets in self._waiting[peer].items():
            del offsets[: bisect_left(offsets, places.get(partition, 0))]
        return self._count(peer) < self._most

    def _count(self, peer: str) -> int:
        return sum(map(len, self._waiting.get(peer, {}).values()))
