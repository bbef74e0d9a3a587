"""What is left of erased records, and which it was: a view of the topic `erased`.

An erased record has left its place.  What is left of it (a header with its signature, the head of a
delivery) stands behind, under the same key, and has a second leaf of the same entry.  So that an inbox can
show each thing in the place and with the leaf that it always had, whoever erases writes down in the same
step which leaf was the first.  Indexes of leaves never change; offsets do, when a log comes back from a
backup.
"""

from __future__ import annotations

import msgspec

from broker.core.errors import NotCanonical
from broker.log import Log, Partition, Record
from broker.log.scratch import Scratch
from broker.log.topics import ERASED
from broker.services.following import Tail, read_places

INDEX_BYTES = 8


class Remains(msgspec.Struct, array_like=True, frozen=True):
    """What is left of a record.

    `name` is the key under which it stood, `index` that of its first leaf, `offset` where it stood then;
    `value` is what is left, framed as in its topic.
    """

    name: bytes
    index: int
    topic: str
    partition: int
    offset: int
    at: int
    value: bytes

    @property
    def place(self) -> Partition:
        """The partition in which it stood."""
        return Partition(self.topic, self.partition)

    def record(self) -> Record:
        """Return the record that says so."""
        return Record(Partition(ERASED), b"%d" % self.index, _encode(self))


_encode = msgspec.msgpack.Encoder().encode
_REMAINS = msgspec.msgpack.Decoder(Remains)


def read_remains(value: bytes) -> Remains:
    """Return what a record of the topic says.

    Raises:
        NotCanonical: It says nothing.
    """
    try:
        return _REMAINS.decode(value)
    except msgspec.DecodeError:
        raise NotCanonical("not what is left of a record", field=ERASED) from None


class Erased:
    """Follows the topic.

    Args:
        log: Where it is.
        scratch: Where what is not recent is kept.
    """

    def __init__(self, log: Log, scratch: Scratch) -> None:
        self._log = log
        self._tail = Tail(log, Partition(ERASED))
        self._firsts = scratch.map()
        self._offsets = scratch.map()
        self.partitions: dict[Partition, int] = {}
        """Where anything was erased, and when the last time."""

    async def refresh(self, end: int | None = None) -> None:
        """Read on to the end, or to this one.

        Raises:
            LogUnavailable: The log did not answer.
        """
        partition = self._tail.partition
        if end is None:
            end = (await self._log.ends([ERASED])).get(partition, 0)
        async for found in self._tail.more(end):
            for stored in found:
                remains = read_remains(stored.value)
                self.partitions[remains.place] = max(remains.at, self.partitions.get(remains.place, 0))
                if self._firsts.get(remains.name) is None:
                    self._firsts.put(remains.name, _number(remains.index))
                    self._offsets.put(_number(remains.index), _number(stored.offset))

    def __contains__(self, name: bytes) -> bool:
        """Say whether what stood under a key was erased."""
        return self._firsts.get(name) is not None

    def repeated(self, name: bytes, index: int) -> bool:
        """Say whether a leaf is the second of something that was erased."""
        first = self._firsts.get(name)
        return first is not None and first != _number(index)

    async def at(self, index: int) -> Remains | None:
        """Return what is left of the record whose first leaf this is, None if it was not erased.

        Raises:
            LogUnavailable: The log did not answer.
        """
        offset = self._offsets.get(_number(index))
        if offset is None:
            return None
        place = self._tail.partition, int.from_bytes(offset)
        return read_remains((await read_places(self._log, [place]))[place])


def _number(value: int) -> bytes:
    return value.to_bytes(INDEX_BYTES)
