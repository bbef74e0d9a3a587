"""Erasure: contents and salts go, and what proves that they were there stays.

Erased is a statement, wherever its contents stand: the notice, and every delivery of it.  What is left is
the header with its signature, the heads of the deliveries, and every leaf.  An `Erasure` record, a leaf of
its own, says when and why; it is written in the step that takes the contents away, so it never says what is
not so.

What is due is computed from the log each time (`broker.services.due`), so a process that died anywhere, or
a log that came back from a backup, leads to the same.  A statement that comes again after it was erased is
erased again.  Several processes may erase: what they do twice does no harm.

Source: docs/erasure.md; docs/formats.md, "The hub's records".
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from broker.aside import Aside
from broker.clock import Clock
from broker.core.keys import new_salt
from broker.core.model import Act, Decision, Delivery, Envelope, Erasure, Header
from broker.core.records import decode, encode, framed, named_frame, unframe
from broker.log import Log, Partition, Record
from broker.log.topics import DISPATCH_STATE, ERASURES, inbox_topic
from broker.services.dispatch_state import read_admitted, statement_of
from broker.services.due import Due, find_due, kept_until
from broker.services.erased import Remains
from broker.services.following import Tail, read_places
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from broker.services.orders import Orders
from broker.telemetry import logger_of

READER = "eraser"
LOOK_SECONDS = 5.0
LOOK_AT_ALL_MS = 3_600_000
LOOK_AGAIN_MS = 60_000
AT_ONCE = 32
"""Statements that are erased in one step."""
NEAR = 64
"""In an inbox, a delivery's leaf is so many records from its decision's, or a few times more."""
MOST_TICK_SECONDS = 600.0
HEADERS_AT_ONCE = 256

log_line = logger_of(READER)


@dataclass(slots=True)
class _Step:
    """What one step writes and takes away."""

    records: list[Record] = field(default_factory=list)
    places: dict[Partition, set[int]] = field(default_factory=dict)

    def replace(self, remains: Remains, offsets: Collection[int]) -> None:
        """Leave of the records at `offsets` only what remains."""
        self.records += [Record(remains.place, remains.name, remains.value), remains.record()]
        self.places.setdefault(remains.place, set()).update(offsets)


class Eraser:
    """Erases what is due.

    Args:
        log: Where contents are.
        ledger: Knows where everything stands.
        orders: The operator's.
        clock: Tells what is due.
        metrics: Where erasures are counted.
    """

    def __init__(self, log: Log, ledger: Ledger, orders: Orders, clock: Clock, metrics: Metrics) -> None:
        self._log = log
        self._ledger = ledger
        self._orders = orders
        self._aside = Aside("the folder of orders", 30.0)
        self._clock = clock
        self._metrics = metrics
        self._state = Tail(log, Partition(DISPATCH_STATE))
        self._look_at = 0
        self._ordered = 0
        self._scrubbing: dict[Partition, float] = {}
        self._scrub_at = 0.0
        self._cleans_by_key = False

    async def run(self) -> None:
        """Erase what falls due, until cancelled.

        Raises:
            LogUnavailable: The log did not answer; run again.
        """
        await self._ledger.caught_up.wait()
        # Whoever was here before may have died before the bytes were gone.
        self._scrub_later(self._ledger.erased.partitions)
        self._cleans_by_key = await self._log.scrub(()) > 0
        while True:
            if not await self.step():
                await asyncio.sleep(LOOK_SECONDS)

    async def step(self) -> bool:
        """Erase some of what is due, if anything is, and say whether it was.

        Raises:
            LogUnavailable: The log did not answer; perhaps it was erased, perhaps not.
        """
        now = self._clock.now()
        orders = await self._aside.call(self._orders.read)
        await self._read_on(now)
        erased = await self._erase_again()
        if now >= self._look_at or len(orders) > self._ordered:
            erased |= await self._erase_due(orders, now)
        await self._scrub()
        return erased

    async def _read_on(self, now: int) -> None:
        """Take note of when the next of what is admitted is due."""
        partition = self._state.partition
        end = (await self._log.ends([DISPATCH_STATE], settled=False)).get(partition, 0)
        async for found in self._state.more(end):
            for stored in found:
                if statement_of(stored.key) is None:
                    continue
                admitted = read_admitted(stored.value)
                until = now if admitted.act == Act.ERASURE else kept_until(admitted)
                if until is not None:
                    self._look_at = min(self._look_at, until)

    async def _erase_due(self, orders: Sequence[Due], now: int) -> bool:
        found = await find_due(self._log, self._headers, self._is_erased, orders, now)
        due = sorted(found.due.values(), key=lambda each: each.since)
        count = 0
        for start in range(0, len(due), AT_ONCE):
            count += await self._erase(due[start : start + AT_ONCE])
        # One that is unknown, or not wholly in the log yet, is looked for again.
        soon = now + (LOOK_AT_ALL_MS if count == len(due) else LOOK_AGAIN_MS)
        self._look_at = min(soon, found.next_at or soon)
        self._ordered = len(orders)
        return count > 0

    def _is_erased(self, statement: bytes) -> bool:
        return statement in self._ledger.erased

    async def _erase(self, due: Sequence[Due]) -> int:
        """Erase statements in one step, and return how many; one that is not wholly in the log yet waits."""
        step, done = _Step(), []
        for each in due:
            remains = await self._remains(each.statement)
            if not remains:
                continue
            for left, offsets in remains:
                step.replace(left, offsets)
            erasure = Erasure(
                salt=new_salt(),
                statement=each.statement,
                ground=each.ground,
                order=each.order,
                at=self._clock.now(),
            )
            step.records.append(Record(Partition(ERASURES), *named_frame(erasure)))
            done.append(each)
        if done:
            await self._store(step)
        for each in done:
            self._metrics.erasures.labels(each.ground.name.lower()).inc()
            log_line.info("notice.erased", statement=each.statement.hex(), code=each.ground.name.lower())
        return len(done)

    async def _store(self, step: _Step) -> None:
        await self._log.take_over(READER)
        await self._log.erase(READER, step.records, step.places)
        self._scrub_later(step.places)
        await self._ledger.erased.refresh()

    async def _erase_again(self) -> bool:
        """Erase what came again after it was erased: sent once more, it would bring the content back."""
        came_again = self._ledger.statements.came_again
        again = list(islice(came_again, HEADERS_AT_ONCE))
        step = _Step()
        for statement in again:
            where = self._ledger.statements.whereabouts(statement)
            if where is None or statement not in self._ledger.erased:
                continue
            places = [(where.partition, offset) for offset in where.offsets]
            envelopes = {
                offset: unframe(Envelope, stored.value)
                for partition, offset in places
                for stored in await self._log.read(partition, offset, 1)
                if stored.offset == offset
            }
            last = envelopes.get(where.offsets[-1])
            # A cluster's cleaner takes all that stands before the last.
            looked_at = [last] if self._cleans_by_key else list(envelopes.values())
            if last is not None and any(each is not None and _has_content(each) for each in looked_at):
                left = framed(Envelope, encode(_bare(last)))
                step.records.append(Record(where.partition, statement, left))
                step.places.setdefault(where.partition, set()).update(envelopes)
        if step.records:
            await self._store(step)
            log_line.info("notices.erased-again", count=len(step.records))
        came_again.difference_update(again)
        return bool(again)

    # --- where contents stand -------------------------------------------------------------------------

    async def _remains(self, statement: bytes) -> list[tuple[Remains, Collection[int]]]:
        """Return what is to be left of a statement, and where it stands; nothing if not all is found."""
        where = self._ledger.statements.whereabouts(statement)
        if where is None:
            return []
        now = self._clock.now()
        places = [(where.partition, where.offsets[-1])]
        if where.decision is not None:
            places.append(where.decision)
        values = await read_places(self._log, places)
        bare = _bare(unframe(Envelope, values[places[0]]))
        remains: list[tuple[Remains, Collection[int]]] = [
            (
                Remains(
                    statement,
                    where.leaf,
                    *where.partition,
                    where.offsets[0],
                    now,
                    framed(Envelope, encode(bare)),
                ),
                where.offsets,
            )
        ]
        if where.decision is None:
            return remains
        decision = unframe(Decision, values[where.decision])
        index = self._ledger.leaf_of(*where.decision)
        for share in decision.shares:
            if share.delivery in self._ledger.erased:
                continue
            found = await self._delivery(share.member, share.delivery, index)
            if found is None:
                return []
            remains.append((found, (found.offset,)))
        return remains

    async def _delivery(self, member: str, name: bytes, index: int) -> Remains | None:
        """Return what is to be left of a delivery whose decision has this leaf; None before its own."""
        partition, count, seen = Partition(inbox_topic(member)), NEAR, 0
        while len(around := self._ledger.near(partition, index, count)) > seen:
            seen, count = len(around), count * 4
            leaves, (start, _), (last, _) = dict(around), around[0], around[-1]
            while start <= last and (found := await self._log.read(partition, start, HEADERS_AT_ONCE)):
                for stored in found:
                    if stored.key == name and stored.offset in leaves:
                        head = unframe(Delivery, stored.value).head
                        value = framed(Delivery, encode(Delivery(head, None, ())))
                        leaf, now = leaves[stored.offset], self._clock.now()
                        return Remains(name, leaf, *partition, stored.offset, now, value)
                start = found[-1].offset + 1
        return None

    async def _headers(self, statements: Collection[bytes]) -> Mapping[bytes, Header]:
        """Return the headers of statements, of those that are in the log."""
        found: dict[bytes, Header] = {}
        for some in _in_parts(sorted(statements), HEADERS_AT_ONCE):
            known = {each: self._ledger.statements.whereabouts(each) for each in some}
            places = {each: (at.partition, at.offsets[-1]) for each, at in known.items() if at is not None}
            values = await read_places(self._log, set(places.values()))
            for each, place in places.items():
                found[each] = decode(Header, unframe(Envelope, values[place]).header)
        return found

    # --- the bytes ------------------------------------------------------------------------------------

    def _scrub_later(self, partitions: Collection[Partition]) -> None:
        now = asyncio.get_running_loop().time()
        self._scrubbing |= dict.fromkeys(partitions, now)
        self._scrub_at = now

    async def _scrub(self) -> None:
        """Have the bytes go: at once where that can be, else again and again until the cleaner has them."""
        now = asyncio.get_running_loop().time()
        if not self._scrubbing or now < self._scrub_at:
            return
        seconds = await self._log.scrub(self._scrubbing.keys())
        self._cleans_by_key = seconds > 0
        self._scrub_at = now + min(seconds / 3, MOST_TICK_SECONDS)
        self._scrubbing = {each: at for each, at in self._scrubbing.items() if now - at < seconds}


def _bare(envelope: Envelope) -> Envelope:
    """Return what is left of a notice: the header, which was never secret from anybody, and its signature."""
    return Envelope(envelope.header, envelope.signature, (), (), ())


def _has_content(envelope: Envelope) -> bool:
    return bool(envelope.disclosures or envelope.sealed or envelope.wraps)


def _in_parts(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
