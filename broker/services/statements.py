"""How far each statement has come, for the member that made it.

Read from the log: durable (it has a leaf), decided, refused by the dispatcher, delivered to how many,
and the receipts of those who got it.  Only the originator is told.

A hub knows millions of statements: what is not recent is on disk (`broker.log.scratch`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

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
from broker.core.wire import Covering, Inclusion, StatementStatus, StreamPosition
from broker.log import Log, Partition
from broker.log.scratch import Scratch
from broker.log.topics import DECISIONS, DISPATCH_STATE, RECEIPTS, REFUSALS
from broker.services.dispatch_state import read_last_of_stream
from broker.services.following import Place, Tail, read_places
from broker.services.pace import Pace

STATEMENT_LEAF = 1
NONE = -1
REPEAT_BYTES = 8


class Known(msgspec.Struct, array_like=True):
    """What is known of a statement; places are offsets, `NONE` while there is none."""

    leaf: int = NONE
    partition: int = NONE
    offset: int = NONE
    decision: int = NONE
    decided_at: int = 0
    shares: int = 0
    events: list[int] = msgspec.field(default_factory=lambda: [0] * len(Event))
    refused: str | None = None
    repeats: int = 0


class Sent(msgspec.Struct, array_like=True):
    """A delivery of a statement: to which member, and a bit for each event that was receipted."""

    statement: bytes
    member: int
    events: int = 0


_encode = msgspec.msgpack.Encoder().encode
_KNOWN = msgspec.msgpack.Decoder(Known)
_SENT = msgspec.msgpack.Decoder(Sent)
_OFFSET = msgspec.msgpack.Decoder(int)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a statement stands: its first leaf, every record of it, the last one last, and its decision."""

    leaf: int
    partition: Partition
    offsets: tuple[int, ...]
    decision: Place | None


class Published(Protocol):
    """The published log; `Ledger` is it."""

    @property
    def published(self) -> Checkpoint | None:
        """The checkpoint that counts."""
        ...

    def inclusion(self, index: int, size: int) -> Inclusion | None:
        """Return the path of a leaf."""
        ...

    def covering(self, index: int) -> tuple[Place, int] | None:
        """Return place and size of the first checkpoint over a leaf, if the one that counts is much later."""
        ...

    def as_covering(self, value: bytes, size: int, to: int) -> Covering:
        """Return a checkpoint's record as it goes along with an answer."""
        ...

    def leaf_of(self, partition: Partition, offset: int) -> int:
        """Return the index of a record's leaf."""
        ...


class Statements:
    """The life of every statement; `Ledger` keeps it up to date."""

    def __init__(self, log: Log, published: Published, pace: Pace, scratch: Scratch) -> None:
        self._log = log
        self._published = published
        self._pace = pace
        self._decisions = Tail(log, Partition(DECISIONS))
        self._refusals = Tail(log, Partition(REFUSALS))
        self._receipts = Tail(log, Partition(RECEIPTS))
        self._state = Tail(log, Partition(DISPATCH_STATE))
        self._known = scratch.map()
        self._sent = scratch.map()
        self._partitions: list[Partition] = []
        self._partition_numbers: dict[Partition, int] = {}
        self._members: dict[str, int] = {}
        self._streams: dict[str, StreamPosition] = {}
        self._earlier = scratch.map()
        self.came_again: set[bytes] = set()
        """Statements that have a further record: sent again, or what is left of them; for who erases."""

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
        statement = leaf.entry[1:]
        known = self._find(statement)
        # A statement that came twice, or was erased, has two leaves; the first is as good as any.
        if known.leaf == NONE:
            number = self._partition_numbers.setdefault(partition, len(self._partitions))
            if number == len(self._partitions):
                self._partitions.append(partition)
            known.leaf, known.partition = leaf.index, number
            # Perhaps its decision was read before its leaf was made.
            if known.decision != NONE:
                self._pace.published_in(leaf.topic, known.decided_at)
        else:
            # An entry for each: whoever sends one statement again and again makes no list grow.
            self._earlier.put(_repeat(statement, known.repeats), _encode(known.offset))
            known.repeats += 1
            self.came_again.add(statement)
        # The last record of a key is the one that stays.
        known.offset = leaf.offset
        self._known.put(statement, _encode(known))

    def whereabouts(self, statement: bytes) -> Whereabouts | None:
        """Return where a statement stands, or None while it is not in the log."""
        known = self._find(statement)
        if known.leaf == NONE:
            return None
        earlier = (self._earlier.get(_repeat(statement, each)) for each in range(known.repeats))
        return Whereabouts(
            leaf=known.leaf,
            partition=self._partitions[known.partition],
            offsets=(*(_OFFSET.decode(each) for each in earlier if each is not None), known.offset),
            decision=None if known.decision == NONE else (self._decisions.partition, known.decision),
        )

    def stream(self, member: str, region: Region, stream: str) -> StreamPosition:
        """Return the last admitted statement of one of the member's streams."""
        return self._streams.get(f"{member}/{region.slug}/{stream}", StreamPosition(0, None))

    async def status(self, member: str, statement: bytes) -> StatementStatus:
        """Return how far one of the member's statements has come; nothing holds for one that is not known.

        Raises:
            NotYours: It is another member's.
            LogUnavailable: The log did not answer.
        """
        (found,) = await self.statuses(member, [statement])
        if isinstance(found, NotYours):
            raise found
        return found

    async def statuses(self, member: str, statements: Sequence[bytes]) -> list[StatementStatus | NotYours]:
        """Return the same of several, in their order; that one is another member's is a value.

        Raises:
            LogUnavailable: The log did not answer.
        """
        known = [self._find(statement) for statement in statements]
        places = {self._place(each) for each in known if each.leaf != NONE}
        places |= {(self._decisions.partition, each.decision) for each in known if each.decision != NONE}
        coverings = [self._covering(each) for each in known]
        places |= {each[0] for each in coverings if each is not None}
        values = await read_places(self._log, places)
        return [
            self._status(member, statement, each, covering, values)
            for statement, each, covering in zip(statements, known, coverings, strict=True)
        ]

    def _status(
        self,
        member: str,
        statement: bytes,
        known: Known,
        covering: tuple[Place, int] | None,
        values: Mapping[Place, bytes],
    ) -> StatementStatus | NotYours:
        if known.leaf == NONE:
            return StatementStatus(statement.hex(), "", durable=False, decided=False)
        header = decode(Header, unframe(Envelope, values[self._place(known)]).header)
        if header.originator != member:
            return NotYours("the statement is another member's", field="statement")
        checkpoint = self._published.published
        size = checkpoint.size if checkpoint is not None else 0
        decision, decision_inclusion = None, None
        if known.decision != NONE:
            place = self._decisions.partition, known.decision
            decision_inclusion = self._published.inclusion(self._published.leaf_of(*place), size)
            decision = unframed(Decision, values[place])
        refused = known.refused if decision is None else None
        covered = None
        if covering is not None and decision_inclusion is not None:
            covered = self._published.as_covering(values[covering[0]], covering[1], size)
        return StatementStatus(
            statement=statement.hex(),
            reference=header.reference,
            durable=True,
            decided=decision is not None,
            refused=refused,
            deliveries=known.shares,
            receipts={event.name.lower(): known.events[event] for event in Event if known.events[event]},
            decision=decision,
            statement_inclusion=self._published.inclusion(known.leaf, size),
            decision_inclusion=decision_inclusion,
            checkpoint=checkpoint.note if checkpoint is not None else None,
            covered=covered,
            last=self.stream(member, header.region, header.stream) if refused is not None else None,
        )

    def _covering(self, known: Known) -> tuple[Place, int] | None:
        if known.decision == NONE:
            return None
        index = self._published.leaf_of(self._decisions.partition, known.decision)
        return None if index < 0 else self._published.covering(index)

    def _place(self, known: Known) -> Place:
        return self._partitions[known.partition], known.offset

    async def _read_decisions(self, end: int) -> None:
        async for found in self._decisions.more(end):
            for stored in found:
                decision = unframe(Decision, stored.value)
                known = self._find(decision.statement)
                known.decision, known.shares = stored.offset, len(decision.shares)
                known.decided_at = decision.decided_at
                if known.leaf != NONE:
                    self._pace.published_in(self._partitions[known.partition].topic, known.decided_at)
                self._known.put(decision.statement, _encode(known))
                for share in decision.shares:
                    member = self._members.setdefault(share.member, len(self._members))
                    self._sent.put(share.delivery, _encode(Sent(decision.statement, member)))
                self._pace.decided(decision, stored.offset)

    def _note_refusal(self, refusal: Refusal) -> None:
        if refusal.station is Station.DISPATCHER and refusal.statement is not None:
            known = self._find(refusal.statement)
            known.refused = refusal.code
            self._known.put(refusal.statement, _encode(known))

    def _note_receipt(self, receipt: Receipt) -> None:
        member = self._members.get(receipt.member)
        for delivery in receipt.deliveries:
            value = self._sent.get(delivery)
            sent = None if value is None else _SENT.decode(value)
            # A receipt counts for deliveries that went to its member, and each event once.
            if sent is None or sent.member != member or sent.events >> receipt.event & 1:
                continue
            first = not sent.events
            sent.events |= 1 << receipt.event
            self._sent.put(delivery, _encode(sent))
            known = self._find(sent.statement)
            known.events[receipt.event] += 1
            self._known.put(sent.statement, _encode(known))
            if first:
                self._pace.receipted(receipt.member)

    def leaf(self, statement: bytes) -> int:
        """Return the index of a statement's leaf, -1 while it has none."""
        return self._find(statement).leaf

    def is_receipted(self, delivery: bytes) -> bool:
        """Say whether there is a receipt for a delivery."""
        value = self._sent.get(delivery)
        return value is not None and _SENT.decode(value).events != 0

    def _find(self, statement: bytes) -> Known:
        value = self._known.get(statement)
        return Known() if value is None else _KNOWN.decode(value)


def _repeat(statement: bytes, number: int) -> bytes:
    """Return under what the place of a record is kept that others of its statement came after."""
    return statement + number.to_bytes(REPEAT_BYTES, "big")
