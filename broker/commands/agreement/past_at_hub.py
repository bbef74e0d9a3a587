"""A notice of the past, with all that was decided about it, read back from a hub's log.

Decides where a statement, its decision and what it refers to are found; reads beside a hub that runs.  What
follows from it is computed by `adapters.preview`, as a node does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from adapters.past import Past, Undecided
from broker.core.agreements import Reference
from broker.core.model import Decision, Envelope, Header, Refusal, Region
from broker.core.records import decode, partition_of, unframe
from broker.log import Log, Partition, Stored
from broker.log.topics import DECISIONS, PARTITIONS_PER_REGION, REFUSALS, notices_topic
from broker.services.dispatch_state import DispatchState
from broker.services.following import Tail

Progress = Callable[[int, int | None], None]
"""Called with how many records were looked at."""

ID_BYTES = 32


async def past_at_hub(log: Log, named: str, tell: Progress) -> Past | Undecided | None:
    """Return what the log says of a statement, named by reference or id (hex); None if it has none such.

    Raises:
        LogUnavailable: The log did not answer.
    """
    looked = _Looking(log, tell)
    header = await looked.header(named.removeprefix("halong:"))
    if header is None:
        return None
    statement = looked.statement
    decision = await looked.decision()
    if decision is None:
        return Undecided(await looked.refusal())
    return Past(
        statement,
        header,
        decision.directory,
        decision.decided_at,
        await references_at_hub(log, header.references, decision.decided_at),
        {share.member: frozenset(share.slots) for share in decision.shares},
    )


async def references_at_hub(log: Log, statements: Sequence[bytes], at: int) -> Mapping[bytes, Reference]:
    """Return what was decided about statements, those of them that were admitted at `at` or before.

    Raises:
        LogUnavailable: The log did not answer.
    """
    if not statements:
        return {}
    state = DispatchState(log)
    await state.refresh()
    found = {each: state.reference(each) for each in statements}
    return {id_: each for id_, each in found.items() if each is not None and each.decided_at <= at}


class _Looking:
    """One search through the log; `statement` is known once its header was found."""

    def __init__(self, log: Log, tell: Progress) -> None:
        self._log = log
        self._tell = tell
        self._seen = 0
        self.statement = b""

    async def header(self, named: str) -> Header | None:
        partitions, wanted = await partitions_named(self._log, named)
        for partition in partitions:
            async for stored in self._records(partition):
                if wanted and stored.key != wanted:
                    continue
                header = _header(stored.value)
                if wanted or header.reference.removeprefix("halong:") == named:
                    self.statement = stored.key
                    return header
        return None

    async def decision(self) -> Decision | None:
        async for stored in self._records(Partition(DECISIONS)):
            # Looking for its bytes first: only one of a million decisions is about it.
            if self.statement in stored.value:
                decision = unframe(Decision, stored.value)
                if decision.statement == self.statement:
                    return decision
        return None

    async def refusal(self) -> str | None:
        code = None
        async for stored in self._records(Partition(REFUSALS)):
            if self.statement in stored.value:
                refusal = unframe(Refusal, stored.value)
                code = refusal.code if refusal.statement == self.statement else code
        return code

    async def _records(self, partition: Partition) -> AsyncIterator[Stored]:
        end = (await self._log.ends([partition.topic])).get(partition, 0)
        async for found in Tail(self._log, partition).more(end):
            for stored in found:
                yield stored
            self._seen += len(found)
            self._tell(self._seen, None)


async def partitions_named(log: Log, named: str) -> tuple[list[Partition], bytes]:
    """Return where a notice of this reference or id (hex) may stand, and its id if that is what names it.

    Raises:
        LogUnavailable: The log did not answer.
    """
    try:
        wanted = bytes.fromhex(named)
    except ValueError:
        wanted = b""
    if len(wanted) != ID_BYTES:
        return _partitions_of(named), b""
    return sorted(await log.ends([notices_topic(region) for region in Region])), wanted


def _partitions_of(reference: str) -> list[Partition]:
    """Return where the notice of this reference must stand; nowhere if it is no reference."""
    originator, _, rest = reference.partition("/")
    slug = rest.partition("/")[0]
    region = next((each for each in Region if each.slug == slug), None)
    if region is None:
        return []
    return [Partition(notices_topic(region), partition_of(originator, PARTITIONS_PER_REGION))]


def _header(value: bytes) -> Header:
    return decode(Header, unframe(Envelope, value).header)
