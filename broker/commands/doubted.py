"""Reads a stored log for what a stolen key puts in doubt; what that is, is decided in `broker.core.doubt`."""

from __future__ import annotations

from collections.abc import Callable

from broker.core.doubt import Doubtful, in_doubt
from broker.core.model import Decision, Envelope, Header
from broker.core.records import decode, partition_of, unframe
from broker.log import Log, Stored
from broker.log.topics import DECISIONS, PARTITIONS_PER_REGION
from broker.services.following import Tail

Progress = Callable[[int, int], None]
"""Called with how many records were read of how many."""


async def doubted(
    log: Log, member: str, key: bytes, since: int, progress: Progress = lambda _read, _of: None
) -> list[Doubtful]:
    """Return the member's statements that a key stolen at `since` puts in doubt, in the order of decisions.

    Raises:
        LogUnavailable: The log does not answer.
        NotCanonical: A record cannot be read; `halong audit count` names it.
    """
    ends = await log.ends([DECISIONS, "notices.*"])
    # Each originator's notices of a region stand in one partition.
    own = partition_of(member, PARTITIONS_PER_REGION)
    ends = {at: end for at, end in ends.items() if at.topic == DECISIONS or at.number == own}
    total, read = sum(ends.values()), 0
    waiting: dict[bytes, Decision] = {}
    found: list[Doubtful] = []
    # Decisions first: they say which of the notices are to be looked at.
    for partition in sorted(ends, key=lambda at: (at.topic != DECISIONS, at)):
        async for records in Tail(log, partition).more(ends[partition]):
            for stored in records:
                if partition.topic == DECISIONS:
                    decision = unframe(Decision, stored.value)
                    if decision.key == key and decision.decided_at >= since:
                        waiting[decision.statement] = decision
                elif stored.key in waiting:
                    one = in_doubt(waiting.pop(stored.key), _header(stored), member, key, since)
                    found += [one] if one is not None else []
            read += len(records)
            progress(read, total)
    return sorted(found, key=lambda each: (each.decided_at, each.reference))


def _header(stored: Stored) -> Header:
    return decode(Header, unframe(Envelope, stored.value).header)
