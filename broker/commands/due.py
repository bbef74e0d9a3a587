"""What of a stored log is to be erased, read by a process that has no part in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from broker.core.errors import BadConfiguration
from broker.core.model import Erasure, Header
from broker.core.records import header_of, unframe
from broker.log import Log, Partition
from broker.log.topics import ERASURES
from broker.progress import Tell
from broker.services.due import Due, find_due
from broker.services.following import Place, Tail, read_places
from broker.services.orders import Orders

NOTICES = "notices.*"


@dataclass(frozen=True, slots=True)
class Named:
    """Something that is due, with its reference; None if the log does not hold the statement."""

    due: Due
    reference: str | None


class StoredHeaders:
    """Reads headers of a stored log.

    Args:
        log: The log.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._places: dict[bytes, Place] | None = None

    async def read(self, statements: Collection[bytes]) -> Mapping[bytes, Header]:
        """Return the headers of statements, of those that are in the log."""
        if not statements:
            return {}
        if self._places is None:
            self._places = {}
            for partition, end in (await self._log.ends([NOTICES])).items():
                async for found in Tail(self._log, partition).more(end):
                    self._places |= {each.key: (partition, each.offset) for each in found}
        places = {each: self._places[each] for each in statements if each in self._places}
        values = await read_places(self._log, set(places.values()))
        return {each: header_of(values[place]) for each, place in places.items()}

    async def named(self, reference: str) -> tuple[bytes, Header]:
        """Return the statement with this reference.

        Raises:
            BadConfiguration: The log holds none.
        """
        for partition, end in (await self._log.ends([NOTICES])).items():
            async for found in Tail(self._log, partition).more(end):
                for each in found:
                    header = header_of(each.value)
                    if header.reference == reference:
                        return each.key, header
        raise BadConfiguration("the log holds no notice of this reference", field="REFERENCE")


async def erased_statements(log: Log) -> set[bytes]:
    """Return the statements of which the log says that they were erased."""
    partition = Partition(ERASURES)
    end = (await log.ends([ERASURES])).get(partition, 0)
    return {
        unframe(Erasure, each.value).statement
        async for found in Tail(log, partition).more(end)
        for each in found
    }


async def due_at(log: Log, orders: Orders, now: int, tell: Tell) -> list[Named]:
    """Return what is due and not erased, what has waited longest first.

    Raises:
        LogUnavailable: The log does not answer.
        NotCanonical: A record cannot be read; `halong audit count` names it.
    """
    erased, headers, read = await erased_statements(log), StoredHeaders(log), 0

    def count(more: int) -> None:
        nonlocal read
        read += more
        tell(read, None)

    found = await find_due(log, headers.read, erased.__contains__, orders.read(), now, count)
    known = await headers.read(found.due.keys())
    return [
        Named(each, known[each.statement].reference if each.statement in known else None)
        for each in sorted(found.due.values(), key=lambda each: (each.since, each.statement))
    ]
