"""Heads: every hour the hub says of each inbox how much was delivered, in a record that becomes a leaf.

A member that was told so finds out what was cut after the decision, also if nothing comes for days: that a
head does not come is an alarm as well.  Decides when a head is due and what it says; what a node makes of
it is in `adapters.receiving.heads`.

A head is made from the leaves alone, which nobody erases.  What is left of an erased delivery has a second
leaf of the same entry, and counts once.  The last head of each member says where to go on after a
start.  Several processes may write heads; each is true of its tree, and a member is shown the one over the
largest.

Source: docs/formats.md, "The hub's records".
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import takewhile

from broker.clock import Clock
from broker.core.keys import new_salt
from broker.core.model import Checkpoint, Head, Leaf
from broker.core.records import EMPTY_CHAIN, chained, encode, named_frame, unframe
from broker.core.wire import HeadAnswer
from broker.log import Log, LogUnavailable, Partition, Record
from broker.log.topics import AUDIT_LEAVES, HEADS, inbox_topic
from broker.services.current import CurrentDirectory
from broker.services.following import READ_AT_ONCE, Tail
from broker.services.ledger import Ledger
from broker.telemetry import logger_of

EVERY_MS = 3_600_000
FIRST_SECONDS = 60.0
"""After a start: late enough that whatever was under way is published, soon enough for who was cut off."""
LOOK_SECONDS = 30.0

INBOX = inbox_topic("")
LEAVES = Partition(AUDIT_LEAVES)

log_line = logger_of("heads")


@dataclass(slots=True)
class _Chain:
    """How much was delivered to one member, by the leaves from `since` to where was read."""

    since: int
    deliveries: int = 0
    chain: bytes = EMPTY_CHAIN


@dataclass(frozen=True, slots=True)
class _Written:
    """A head that is in the log."""

    offset: int
    head: Head


class Heads:
    """Writes heads, and shows each member its own.

    Args:
        log: Where leaves are, and heads go to.
        ledger: Knows what is published.
        directory: Says who is a member.
        clock: Tells when a head is due.
        first_seconds: How long after a start nothing is written.
    """

    def __init__(
        self,
        log: Log,
        ledger: Ledger,
        directory: CurrentDirectory,
        clock: Clock,
        *,
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._directory = directory
        self._clock = clock
        self._first_seconds = first_seconds
        self._heads = Tail(log, Partition(HEADS))
        self._written: dict[str, list[_Written]] = {}
        self._chains: dict[str, _Chain] | None = None
        self._next = 0

    async def run(self) -> None:
        """Write heads as they fall due, until cancelled.

        Raises:
            LogUnavailable: The log did not answer; run again.
        """
        await self._ledger.caught_up.wait()
        await self.refresh()
        await asyncio.sleep(self._first_seconds)
        while True:
            await self.write_due()
            await asyncio.sleep(LOOK_SECONDS)

    def answer(self, member: str) -> HeadAnswer:
        """Return the member's head over the largest tree, of those that the published checkpoint covers."""
        checkpoint = self._ledger.published
        for written in self._written.get(member, ()):
            index = self._ledger.leaf_of(self._heads.partition, written.offset)
            inclusion = None if checkpoint is None else self._ledger.inclusion(index, checkpoint.size)
            if checkpoint is not None and inclusion is not None:
                return HeadAnswer(encode(written.head), inclusion, checkpoint.note)
        return HeadAnswer()

    async def refresh(self) -> None:
        """Read on what heads there are, whoever wrote them.

        Raises:
            LogUnavailable: The log did not answer.
        """
        end = (await self._log.ends([HEADS])).get(self._heads.partition, 0)
        async for found in self._heads.more(end):
            for stored in found:
                head = unframe(Head, stored.value)
                known = [_Written(stored.offset, head), *self._written.get(head.member, ())]
                # The last may not be covered yet, so the one before is kept, too.
                self._written[head.member] = sorted(known, key=lambda each: -each.head.size)[:2]

    async def write_due(self) -> int:
        """Write a head for each member whose last is an hour old, and return how many.

        Raises:
            LogUnavailable: The log did not answer; some may have been written.
        """
        await self.refresh()
        checkpoint = self._ledger.published
        if checkpoint is None:
            return 0
        at = max(self._clock.now(), checkpoint.signed_at)
        due = [member for member in sorted(self._directory.value.members) if self._is_due(member, at)]
        if not due:
            return 0
        chains = await self._read_to(checkpoint)
        nothing = _Chain(0)
        heads = [
            Head(
                salt=new_salt(),
                member=member,
                size=checkpoint.size,
                deliveries=chains.get(member, nothing).deliveries,
                chain=chains.get(member, nothing).chain,
                at=at,
            )
            for member in due
        ]
        partition = self._heads.partition
        await self._log.append([Record(partition, *named_frame(head)) for head in heads])
        await self.refresh()
        log_line.info("heads.written", count=len(heads), size=checkpoint.size)
        return len(heads)

    def _is_due(self, member: str, at: int) -> bool:
        written = self._written.get(member)
        return not written or at - written[0].head.at >= EVERY_MS

    async def _read_to(self, checkpoint: Checkpoint) -> dict[str, _Chain]:
        """Read the leaves on to those that the checkpoint covers, and return every member's chain."""
        if self._chains is None:
            self._chains = self._begin()
            self._next = min((each.since for each in self._chains.values()), default=checkpoint.size)
        chains, size = self._chains, checkpoint.size
        # A leaf's offset is at least its index: each took one, and none was ever taken away.
        while self._next < size:
            stored = await self._log.read(LEAVES, self._next, READ_AT_ONCE)
            leaves = [unframe(Leaf, each.value) for each in stored]
            covered = list(takewhile(lambda leaf: leaf.index < size, leaves))
            for leaf in covered:
                self._count(chains, leaf)
            if len(covered) < len(stored):
                self._next = stored[len(covered)].offset
                break
            if not stored:
                raise LogUnavailable("leaves that are published are not there", field=AUDIT_LEAVES)
            self._next = stored[-1].offset + 1
        return chains

    def _begin(self) -> dict[str, _Chain]:
        """Return where each member's last head stopped, or its first delivery if it has none."""
        chains: dict[str, _Chain] = {}
        for member, first in self._ledger.first_leaves(INBOX).items():
            written = self._written.get(member)
            if written is None:
                chains[member] = _Chain(first)
            else:
                head = written[0].head
                chains[member] = _Chain(head.size, head.deliveries, head.chain)
        return chains

    def _count(self, chains: dict[str, _Chain], leaf: Leaf) -> None:
        if not leaf.topic.startswith(INBOX):
            return
        member, delivery = leaf.topic.removeprefix(INBOX), leaf.entry[1:]
        chain = chains.setdefault(member, _Chain(leaf.index))
        if leaf.index >= chain.since and not self._ledger.erased.repeated(delivery, leaf.index):
            chain.deliveries += 1
            chain.chain = chained(chain.chain, delivery)
