"""The inbox: a member's deliveries, in order, each with the proof that it is in the log.

It hands out only what a published checkpoint covers, so that the hub cannot later deny it, and it
writes down who was given what before the answer leaves.  Whose inbox it is was judged by whoever calls.
"""

from __future__ import annotations

import asyncio

from broker.clock import Clock
from broker.core.keys import new_salt
from broker.core.model import Delivery, Read, Readable
from broker.core.records import named_frame, unframed
from broker.core.wire import Feed, FeedItem
from broker.log import Log, Partition, Record, Stored
from broker.log.topics import READS, inbox_topic
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from broker.telemetry import logger_of

MOST_ITEMS = 1024
MOST_BYTES = 8 << 20
READ_AT_ONCE = 64

log_line = logger_of("inbox")


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

    async def feed(self, member: str, after: int, limit: int, seconds: float) -> Feed:
        """Return what the member's inbox holds from place `after` on; waits `seconds` for something to come.

        A place is an offset of the member's topic; 0 is the start.

        Raises:
            LogUnavailable: The log did not answer.
        """
        self._metrics.member_polled_at.labels(member).set(self._clock.now() / 1000)
        with self._metrics.polls.track_inprogress():
            await self._until_something(Partition(inbox_topic(member)), after, seconds)
        return await self._answer(member, after, min(limit, MOST_ITEMS))

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
        taken = await self._take(partition, after, min(limit, ready))
        items = []
        for stored in taken:
            index = self._ledger.leaf_of(partition, stored.offset)
            inclusion = self._ledger.inclusion(index, checkpoint.size)
            if inclusion is None:
                break
            encoded = unframed(Delivery, stored.value)
            items.append(FeedItem(stored.offset, encoded, inclusion.index, inclusion.path))
        taken = taken[: len(items)]
        if taken:
            await self._note(member, [stored.key for stored in taken])
        covered = await self._ledger.coverings([each.index for each in items], checkpoint)
        next_place = taken[-1].offset + 1 if taken else after
        return Feed(items, next_place, ready - len(items), checkpoint.note, covered)

    async def _take(self, partition: Partition, start: int, count: int) -> list[Stored]:
        taken: list[Stored] = []
        size = 0
        while len(taken) < count and size < MOST_BYTES:
            found = await self._log.read(partition, start, min(READ_AT_ONCE, count - len(taken)))
            if not found:
                break
            for stored in found:
                size += len(stored.value)
                if taken and size > MOST_BYTES:
                    break
                taken.append(stored)
            start = found[-1].offset + 1
        return taken

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
