"""What is to be erased, and since when: computed from the log, the same by the hub and by whoever audits it.

Looked at is what the dispatcher remembers of each statement (`dispatch.state`): who received it, until when
each may keep it, and which acts order something to be erased.  A header is read only where that says nothing.
Nothing of what was found is kept: it is computed again each time.

Source: docs/erasure.md.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field

from broker.core.model import Act, ErasureGround, Header, Refusal, Station
from broker.core.records import unframe
from broker.log import Log, Partition
from broker.log.topics import DISPATCH_STATE, REFUSALS
from broker.services.dispatch_state import Admitted, read_admitted, statement_of
from broker.services.following import READ_AT_ONCE, Tail

Headers = Callable[[Collection[bytes]], Awaitable[Mapping[bytes, Header]]]
"""Returns the headers of statements; those that the log does not hold are left out."""

Tell = Callable[[int], None]
"""Told of how many records were read more."""


@dataclass(frozen=True, slots=True)
class Due:
    """A statement that is to be erased, since when, on which ground, and by whose order.

    `order` is the statement of the originator that orders it, or the digest of the operator's order.
    """

    statement: bytes
    since: int
    ground: ErasureGround
    order: bytes | None = None


@dataclass(slots=True)
class Found:
    """What is due, by statement, and when the next retention ends of those that are not."""

    due: dict[bytes, Due] = field(default_factory=dict)
    next_at: int | None = None

    def take(self, each: Due, now: int) -> None:
        """Take in a statement that is or will be due; an order that is known already goes before."""
        if each.since <= now:
            self.due.setdefault(each.statement, each)
        elif self.next_at is None or each.since < self.next_at:
            self.next_at = each.since


async def find_due(
    log: Log,
    headers: Headers,
    is_erased: Callable[[bytes], bool],
    orders: Iterable[Due],
    now: int,
    tell: Tell = lambda _read: None,
) -> Found:
    """Return what is due at `now` and not erased.

    Args:
        log: Where everything is.
        headers: Reads headers.
        is_erased: Says of a statement whether it was erased.
        orders: What the operator has ordered.
        now: The time.
        tell: Told how reading goes on.

    Raises:
        LogUnavailable: The log did not answer.
        NotCanonical: A record cannot be read.
    """
    found = Found()
    for order in orders:
        if not is_erased(order.statement):
            found.take(order, now)
    unreceived = {each async for each in _refused(log, tell) if not is_erased(each)}
    acts: dict[bytes, int] = {}
    async for statement, admitted in _admitted(log, tell):
        if admitted.act == Act.ERASURE:
            acts[statement] = admitted.decided_at
        if is_erased(statement):
            unreceived.discard(statement)
        elif not admitted.shares:
            unreceived.add(statement)
        else:
            unreceived.discard(statement)
            until = kept_until(admitted)
            if until is not None:
                found.take(Due(statement, until, ErasureGround.RETENTION), now)
    for each in await _ordered(headers, acts):
        if not is_erased(each.statement) and each.since <= now:
            known = found.due.get(each.statement)
            if known is None or known.order is None:
                found.due[each.statement] = each
    for some in _in_parts(sorted(unreceived)):
        for statement, header in (await headers(some)).items():
            if header.retain_until is not None:
                found.take(Due(statement, header.retain_until, ErasureGround.RETENTION), now)
    return found


def kept_until(admitted: Admitted) -> int | None:
    """Return until when the last of those who received a statement may keep it; None if one may for ever."""
    times = [share.retain_until for share in admitted.shares]
    known = [each for each in times if each is not None]
    return max(known) if times and len(known) == len(times) else None


def _in_parts(items: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(items), READ_AT_ONCE):
        yield items[start : start + READ_AT_ONCE]


async def _ordered(headers: Headers, acts: Mapping[bytes, int]) -> list[Due]:
    """Return what originators have ordered to be erased."""
    if not acts:
        return []
    ordering = await headers(acts.keys())
    named = await headers({each for header in ordering.values() for each in header.references})
    return [
        Due(statement, acts[act], ErasureGround.ORDER, act)
        for act, header in ordering.items()
        for statement in header.references
        # Nobody takes back what somebody else said.
        if statement in named and named[statement].originator == header.originator
    ]


async def _refused(log: Log, tell: Tell) -> AsyncIterator[bytes]:
    """Yield the statements that a dispatcher refused: they stand in the log, and nobody received them."""
    partition = Partition(REFUSALS)
    async for stored in Tail(log, partition).more((await log.ends([REFUSALS])).get(partition, 0)):
        tell(len(stored))
        for each in stored:
            refusal = unframe(Refusal, each.value)
            if refusal.station is Station.DISPATCHER and refusal.statement is not None:
                yield refusal.statement


async def _admitted(log: Log, tell: Tell) -> AsyncIterator[tuple[bytes, Admitted]]:
    partition = Partition(DISPATCH_STATE)
    async for stored in Tail(log, partition).more((await log.ends([DISPATCH_STATE])).get(partition, 0)):
        tell(len(stored))
        for each in stored:
            statement = statement_of(each.key)
            if statement is not None:
                yield statement, read_admitted(each.value)
