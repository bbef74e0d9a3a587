"""The inbox: a member's deliveries, in order, each with the proof that it is in the log.

It hands out only what a published checkpoint covers, so that the hub cannot later deny it, and it
writes down who was given what before the answer leaves.  Whose inbox it is was judged by whoever calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from broker.clock import Clock
from broker.core.keys import new_salt
from broker.core.model import Delivery, Read, Readable
from broker.core.records import named_frame, unframed
from broker.core.wire import Feed, FeedItem
from broker.log import Log, LogUnavailable, Partition, Record, Stored
from broker.log.topics import READS, inbox_topic
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from broker.telemetry import logger_of

MOST_ITEMS = 1024
MOST_BYTES = 8 << 20
READ_AT_ONCE = 64

log_line = logger_of("inbox")


@dataclass(frozen=True, slots=True)
class _Shown:
    """A delivery, or what is left of it, in the place that it has for its member."""

    offset: int
    index: int
    key: bytes
    value: bytes


@dataclass(slots=True)
class _Taken:
    """What goes into an answer; `count` records were looked at, and `next` is behind them."""

    next: int
    count: int = 0
    shown: list[_Shown] = field(default_factory=list)


class Inbox:
    """Answers feeds.

    Args:
        log: Where deliveries are, and `Read` records go to.
        ledger: Knows what is published.
        clock: Gives the time of a `Read`.
        metrics: Where answers and waiting polls are counted.
    """

    def __init__(self, log: Log, ledger: Ledger, clock: Clock, metrics: Metrics) -> None:
        self._log = log
        self._ledger = ledger
        self._clock = clock
        self._metrics = metrics
        self._passed: dict[tuple[str, int], int] = {}

    async def feed(self, member: str, after: int, limit: int, seconds: float) -> Feed:
        """Return what the member's inbox holds from place `after` on; waits `seconds` for something to come.

        A place is an offset of the member's topic; 0 is the start.

        Raises:
            LogUnavailable: The log did not answer.
        """
        self._metrics.member_polled_at.labels(member).set(self._clock.now() / 1000)
        partition = Partition(inbox_topic(member))
        end = asyncio.get_running_loop().time() + seconds
        start = max(after, self._passed.get((member, after), 0))
        while True:
            with self._metrics.polls.track_inprogress():
                await self._until_something(partition, start, end - asyncio.get_running_loop().time())
            feed = await self._answer(member, start, min(limit, MOST_ITEMS))
            if feed.items or feed.next == start:
                return feed
            # There was nothing but what is shown in an earlier place: it is passed over, now and next time.
            start = feed.next
            self._passed = {key: place for key, place in self._passed.items() if key[0] != member}
            self._passed[member, after] = start

    async def _until_something(self, partition: Partition, after: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self._ledger.covered(partition, after) and (left := end - loop.time()) > 0:
            await self._ledger.advance(left)

    async def _answer(self, member: str, after: int, limit: int) -> Feed:
        partition = Partition(inbox_topic(member))
        # Everything in one answer is proved to one checkpoint, whatever is published meanwhile.
        checkpoint = self._ledger.published
        ready = self._ledger.covered(partition, after)
        if checkpoint is None or not ready:
            return Feed([], after, 0, checkpoint.note if checkpoint is not None else None)
        taken = await self._take(partition, after, limit, ready)
        items = []
        for shown in taken.shown:
            inclusion = self._ledger.inclusion(shown.index, checkpoint.size)
            if inclusion is None:
                taken.next = shown.offset
                break
            encoded = unframed(Delivery, shown.value)
            items.append(FeedItem(shown.offset, encoded, inclusion.index, inclusion.path))
        if items:
            await self._note(member, [each.key for each in taken.shown[: len(items)]])
        covered = await self._ledger.coverings([each.index for each in items], checkpoint)
        return Feed(items, taken.next, ready - taken.count, checkpoint.note, covered)

    async def _take(self, partition: Partition, start: int, limit: int, ready: int) -> _Taken:
        """Return up to `limit` deliveries of the `ready` records from `start` on, each where it always was.

        What is left of an erased delivery is shown in the place and with the leaf that the delivery had, and
        not once more where it stands now.
        """
        taken = _Taken(start)
        size = 0
        while taken.count < ready and len(taken.shown) < limit and size < MOST_BYTES:
            count = min(READ_AT_ONCE, ready - taken.count, limit - len(taken.shown))
            leaves = self._ledger.leaves_of(partition, taken.next, count)
            if not leaves:
                break
            stored = await self._stored(partition, taken.next, leaves)
            for offset, index in leaves:
                shown = await self._shown(stored.get(offset), offset, index)
                if shown is not None:
                    size += len(shown.value)
                    if taken.shown and size > MOST_BYTES:
                        break
                    taken.shown.append(shown)
                taken.count += 1
                taken.next = offset + 1
        return taken

    async def _stored(
        self, partition: Partition, start: int, leaves: Sequence[tuple[int, int]]
    ) -> dict[int, Stored]:
        """Return the records with these leaves by their offsets, as far as a read yields them."""
        found: dict[int, Stored] = {}
        last = leaves[-1][0]
        while start <= last and (more := await self._log.read(partition, start, len(leaves) - len(found))):
            found |= {each.offset: each for each in more if each.offset <= last}
            start = more[-1].offset + 1
        return found

    async def _shown(self, stored: Stored | None, offset: int, index: int) -> _Shown | None:
        """Return what is shown of a record; None of what is shown in an earlier place.

        Raises:
            LogUnavailable: A record is gone, and it is not known yet what is left of it.
        """
        erased = self._ledger.erased
        if stored is not None and stored.key not in erased:
            return _Shown(offset, index, stored.key, stored.value)
        if stored is None:
            # Erased a moment ago, perhaps.
            await erased.refresh()
        elif erased.repeated(stored.key, index):
            return None
        remains = await erased.at(index)
        if remains is None:
            raise LogUnavailable("a record that was there is not", field="inbox")
        return _Shown(offset, index, remains.name, remains.value)

    async def _note(self, member: str, deliveries: list[bytes]) -> None:
        """Write down that the member was given these deliveries, durably, before it is."""
        read = Read(
            salt=new_salt(),
            reader=member,
            what=Readable.INBOX,
            ids=tuple(sorted(set(deliveries))),
            reason=None,
            at=self._clock.now(),
        )
        await self._log.append([Record(Partition(READS), *named_frame(read))])
        self._metrics.feed_answers.inc()
        self._metrics.feed_items.inc(len(deliveries))
        log_line.info("inbox.read", member=member, count=len(deliveries))
