"""How far each statement has come, for the member that made it.

Read from the log: durable (it has a leaf), decided, refused by the dispatcher, delivered to how many,
and the receipts of those who got it.  Only the originator is told.

Columns instead of objects: a hub knows millions of statements.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Protocol

from broker.core.errors import NotYours
from broker.core.model import (
    Checkpoint,
    Decision,
    Envelope,
    Event,
    Header,
    Leaf,
    Receipt,
    Refusal,
    Region,
    SignedReceipt,
    Station,
)
from broker.core.records import decode, unframe, unframed
from broker.core.wire import Inclusion, StatementStatus, StreamPosition
from broker.log import Log, LogUnavailable, Partition
from broker.log.topics import DECISIONS, DISPATCH_STATE, RECEIPTS, REFUSALS
from broker.services.dispatch_state import read_last_of_stream
from broker.services.following import Tail
from broker.services.pace import Pace

STATEMENT_LEAF = 1
EVENTS = len(Event)
EVENT_BITS = 0xFF
NONE = -1


class Published(Protocol):
    """The published log; `Ledger` is it."""

    @property
    def published(self) -> Checkpoint | None:
        """The checkpoint that counts."""
        ...

    def inclusion(self, index: int, size: int) -> Inclusion | None:
        """Return the path of a leaf."""
        ...

    def leaf_of(self, partition: Partition, offset: int) -> int:
        """Return the index of a record's leaf."""
        ...


class Statements:
    """The life of every statement; `Ledger` keeps it up to date."""

    def __init__(self, log: Log, published: Published, pace: Pace) -> None:
        self._log = log
        self._published = published
        self._pace = pace
        self._decisions = Tail(log, Partition(DECISIONS))
        self._refusals = Tail(log, Partition(REFUSALS))
        self._receipts = Tail(log, Partition(RECEIPTS))
        self._state = Tail(log, Partition(DISPATCH_STATE))
        self._rows: dict[bytes, int] = {}
        self._leaf = array("q")
        self._partition = array("q")
        self._offset = array("q")
        self._decision = array("q")
        self._shares = array("q")
        self._events = array("I")
        self._refused: dict[int, str] = {}
        self._partitions: list[Partition] = []
        self._partition_numbers: dict[Partition, int] = {}
        self._members: dict[str, int] = {}
        # Delivery id → (row, member, events seen) in one number: there are several for each statement.
        self._deliveries: dict[bytes, int] = {}
        self._streams: dict[str, StreamPosition] = {}

    async def refresh(self, ends: Mapping[Partition, int]) -> None:
        """Read on, each topic to its end as given."""
        await self._read_decisions(ends.get(self._decisions.partition, 0))
        async for found in self._refusals.more(ends.get(self._refusals.partition, 0)):
            for stored in found:
                self._note_refusal(unframe(Refusal, stored.value))
        async for found in self._receipts.more(ends.get(self._receipts.partition, 0)):
            for stored in found:
                signed = unframe(SignedReceipt, stored.value)
                self._note_receipt(decode(Receipt, signed.receipt))
        async for found in self._state.more(ends.get(self._state.partition, 0)):
            for stored in found:
                if (last := read_last_of_stream(stored.key, stored.value)) is not None:
                    self._streams[last[0]] = StreamPosition(last[1].sequence, last[1].statement.hex())

    def note_leaf(self, leaf: Leaf, partition: Partition) -> None:
        """Take in a leaf; that of a statement says where it stands."""
        if leaf.entry[0] != STATEMENT_LEAF:
            return
        row = self._row(leaf.entry[1:])
        # A statement that came twice has two leaves; the first is as good as any.
        if self._leaf[row] == NONE:
            self._pace.stored(leaf.entry[1:], leaf.topic)
            number = self._partition_numbers.setdefault(partition, len(self._partitions))
            if number == len(self._partitions):
                self._partitions.append(partition)
            self._leaf[row] = leaf.index
            self._partition[row] = number
            self._offset[row] = leaf.offset

    def stream(self, member: str, region: Region, stream: str) -> StreamPosition:
        """Return the last admitted statement of one of the member's streams."""
        return self._streams.get(f"{member}/{region.slug}/{stream}", StreamPosition(0, None))

    async def status(self, member: str, statement: bytes) -> StatementStatus:
        """Return how far one of the member's statements has come; nothing holds for one that is not known.

        Raises:
            NotYours: It is another member's.
            LogUnavailable: The log did not answer.
        """
        row = self._rows.get(statement)
        if row is None or self._leaf[row] == NONE:
            return StatementStatus(statement.hex(), "", durable=False, decided=False)
        header = await self._header(row)
        if header.originator != member:
            raise NotYours("the statement is another member's", field="statement")
        checkpoint = self._published.published
        size = checkpoint.size if checkpoint is not None else 0
        statement_inclusion = self._published.inclusion(self._leaf[row], size)
        decision, decision_inclusion = None, None
        if self._decision[row] != NONE:
            partition, offset = self._decisions.partition, self._decision[row]
            decision_inclusion = self._published.inclusion(self._published.leaf_of(partition, offset), size)
            decision = unframed(Decision, await self._value(partition, offset))
        refused = self._refused.get(row) if decision is None else None
        return StatementStatus(
            statement=statement.hex(),
            reference=header.reference,
            durable=True,
            decided=decision is not None,
            refused=refused,
            deliveries=self._shares[row],
            receipts={
                event.name.lower(): self._events[row * EVENTS + event]
                for event in Event
                if self._events[row * EVENTS + event]
            },
            decision=decision,
            statement_inclusion=statement_inclusion,
            decision_inclusion=decision_inclusion,
            checkpoint=checkpoint.note if checkpoint is not None else None,
            last=self.stream(member, header.region, header.stream) if refused is not None else None,
        )

    async def _header(self, row: int) -> Header:
        partition = self._partitions[self._partition[row]]
        return decode(Header, unframe(Envelope, await self._value(partition, self._offset[row])).header)

    async def _value(self, partition: Partition, offset: int) -> bytes:
        found = await self._log.read(partition, offset, 1)
        if not found or found[0].offset != offset:
            raise LogUnavailable("a record that was there is not", field=partition.topic)
        return found[0].value

    async def _read_decisions(self, end: int) -> None:
        async for found in self._decisions.more(end):
            for stored in found:
                decision = unframe(Decision, stored.value)
                row = self._row(decision.statement)
                self._decision[row] = stored.offset
                self._shares[row] = len(decision.shares)
                self._pace.decided(decision, stored.offset)
                for share in decision.shares:
                    member = self._members.setdefault(share.member, len(self._members))
                    self._deliveries[share.delivery] = row << 24 | member << 8

    def _note_refusal(self, refusal: Refusal) -> None:
        if refusal.station is Station.DISPATCHER and refusal.statement is not None:
            self._refused[self._row(refusal.statement)] = refusal.code

    def _note_receipt(self, receipt: Receipt) -> None:
        member = self._members.get(receipt.member)
        for delivery in receipt.deliveries:
            known = self._deliveries.get(delivery)
            # A receipt counts for deliveries that went to its member, and each event once.
            if known is None or known >> 8 & 0xFFFF != member or known >> receipt.event & 1:
                continue
            if not known & EVENT_BITS:
                self._pace.receipted(receipt.member, delivery)
            self._deliveries[delivery] = known | 1 << receipt.event
            self._events[(known >> 24) * EVENTS + receipt.event] += 1

    def _row(self, statement: bytes) -> int:
        row = self._rows.get(statement)
        if row is None:
            row = self._rows[statement] = len(self._leaf)
            for column in (self._leaf, self._partition, self._offset, self._decision):
                column.append(NONE)
            self._shares.append(0)
            self._events.extend((0,) * EVENTS)
        return row
