"""What the dispatcher must remember: statements admitted, the last of each stream, lane sequences.

It is written to `dispatch.state` in the transaction that writes the results, and read from there; the
last record of a key counts.  This file decides how it is written and found again.  What follows from
it is decided in `dispatcher`.

Statements are kept as bytes that are decoded only when a notice refers to them, the older ones on disk
(`broker.log.scratch`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from broker.core.agreements import Reference, Share
from broker.core.errors import NotCanonical
from broker.core.model import Act, Ground, Handling, Header, Obligations, Onward, Region, Slot
from broker.log import Log, Partition, Record
from broker.log.scratch import Scratch
from broker.log.topics import DISPATCH_STATE
from broker.services.following import Tail

STATEMENT = b"statement/"
STREAM = b"stream/"
LANE = b"lane/"

StreamKey = tuple[str, Region, str]
"""Originator, region, stream."""

LaneKey = tuple[str, str]
"""Member, lane."""


class AdmittedShare(msgspec.Struct, array_like=True, frozen=True):
    """What one member got."""

    member: str
    slots: list[int]
    grounds: list[tuple[str, int, bytes]]
    retain_until: int | None
    feedback_due: int | None
    handling: int
    onward: tuple[int, int, int]


class Admitted(msgspec.Struct, array_like=True, frozen=True):
    """A statement that was admitted, with what a later decision about it may need."""

    originator: str
    region: int
    stream: str
    sequence: int
    notice_type: str
    act: int
    decided_at: int
    shares: list[AdmittedShare]


class LastOfStream(msgspec.Struct, array_like=True, frozen=True):
    """The last admitted statement of a stream."""

    sequence: int
    statement: bytes


_ADMITTED = msgspec.msgpack.Decoder(Admitted)
_LAST = msgspec.msgpack.Decoder(LastOfStream)
_LANE = msgspec.msgpack.Decoder(int)
_encode = msgspec.msgpack.Encoder().encode


def admitted(header: Header, decided_at: int, shares: Mapping[str, Share]) -> Admitted:
    """Return what is remembered of a statement that was shared so."""
    return Admitted(
        originator=header.originator,
        region=header.region,
        stream=header.stream,
        sequence=header.sequence,
        notice_type=header.notice_type,
        act=header.act,
        decided_at=decided_at,
        shares=[
            AdmittedShare(
                member=member,
                slots=sorted(share.slots),
                grounds=[(ground.agreement, ground.version, ground.digest) for ground in share.grounds],
                retain_until=share.obligations.retain_until,
                feedback_due=share.obligations.feedback_due,
                handling=share.obligations.handling,
                onward=(
                    share.obligations.onward_domestic,
                    share.obligations.onward_community,
                    share.obligations.onward_third_country,
                ),
            )
            for member, share in sorted(shares.items())
        ],
    )


def reference_of(statement: bytes, found: Admitted) -> Reference:
    """Return a remembered statement as decisions look at it."""
    return Reference(
        statement=statement,
        originator=found.originator,
        notice_type=found.notice_type,
        act=Act(found.act),
        decided_at=found.decided_at,
        shares={share.member: _share(share) for share in found.shares},
    )


def _share(share: AdmittedShare) -> Share:
    domestic, community, third_country = share.onward
    return Share(
        slots=frozenset(Slot(slot) for slot in share.slots),
        grounds=tuple(Ground(*ground) for ground in share.grounds),
        obligations=Obligations(
            retain_until=share.retain_until,
            feedback_due=share.feedback_due,
            handling=Handling(share.handling),
            onward_domestic=Onward(domestic),
            onward_community=Onward(community),
            onward_third_country=Onward(third_country),
        ),
    )


@dataclass(slots=True)
class Stream:
    """One stream: its last statement, and every number under which a statement was admitted.

    Numbers are kept as stretches without a gap, by their first and last: there are few.
    """

    last: bytes | None = None
    firsts: array[int] = field(default_factory=lambda: array("q"))
    lasts: array[int] = field(default_factory=lambda: array("q"))

    @property
    def sequence(self) -> int:
        """The last number, 0 before the first."""
        return self.lasts[-1] if self.lasts else 0

    def add(self, number: int, statement: bytes) -> None:
        """Add a statement; its number is above the last."""
        if self.lasts and number == self.lasts[-1] + 1:
            self.lasts[-1] = number
        else:
            self.firsts.append(number)
            self.lasts.append(number)
        self.last = statement

    def has(self, number: int) -> bool:
        """Was a statement admitted under this number?"""
        at = bisect_right(self.firsts, number) - 1
        return at >= 0 and number <= self.lasts[at]


class DispatchState:
    """The state as far as it was read; nothing is added that is not in the log."""

    def __init__(self, log: Log, scratch: Scratch | None = None) -> None:
        self._log = log
        self._tail = Tail(log, Partition(DISPATCH_STATE))
        self._statements = (scratch or Scratch()).map()
        self._streams: dict[StreamKey, Stream] = {}
        self._lanes: dict[LaneKey, int] = {}

    async def refresh(self) -> None:
        """Read on to the end.

        Raises:
            LogUnavailable: The log did not answer.
        """
        partition = self._tail.partition
        end = (await self._log.ends([partition.topic])).get(partition, 0)
        async for found in self._tail.more(end):
            for stored in found:
                self._apply(stored.key, stored.value)

    def knows(self, statement: bytes) -> bool:
        """Was the statement admitted?"""
        return statement in self._statements

    def reference(self, statement: bytes) -> Reference | None:
        """Return what was decided about an admitted statement, or None if none is known by this id."""
        value = self._statements.get(statement)
        return None if value is None else reference_of(statement, _ADMITTED.decode(value))

    def stream(self, key: StreamKey) -> Stream:
        """Return a stream, empty if nothing of it was admitted."""
        return self._streams.get(key) or Stream()

    def lane(self, key: LaneKey) -> int:
        """Return the last sequence of a member's lane, 0 before the first delivery."""
        return self._lanes.get(key, 0)

    def take(self, change: Change) -> None:
        """Add what a batch changed, once it is committed; `refresh` meets it again and passes over it."""
        for statement, found in change.statements.items():
            self._remember(statement, _encode(found))
        self._lanes |= change.lanes

    def _apply(self, key: bytes, value: bytes) -> None:
        try:
            if key.startswith(STATEMENT):
                self._remember(bytes.fromhex(key[len(STATEMENT) :].decode()), value)
            elif key.startswith(LANE):
                member, _, lane = key[len(LANE) :].decode().partition("/")
                self._lanes[member, lane] = _LANE.decode(value)
            elif not key.startswith(STREAM):
                raise NotCanonical("a key of another kind", field=DISPATCH_STATE)
        except (msgspec.DecodeError, ValueError):
            raise NotCanonical("a state record that cannot be read", field=DISPATCH_STATE) from None

    def _remember(self, statement: bytes, value: bytes) -> None:
        if statement in self._statements:
            return
        found = _ADMITTED.decode(value)
        self._statements.put(statement, value)
        stream = self._streams.setdefault((found.originator, Region(found.region), found.stream), Stream())
        if found.sequence > stream.sequence:
            stream.add(found.sequence, statement)


class Change:
    """What one batch adds to the state: seen by the batch at once, by the state when it is in the log."""

    def __init__(self, state: DispatchState) -> None:
        self._state = state
        self.statements: dict[bytes, Admitted] = {}
        self.lanes: dict[LaneKey, int] = {}
        self._streams: dict[StreamKey, Stream] = {}

    def knows(self, statement: bytes) -> bool:
        """Was the statement admitted, before this batch or in it?"""
        return statement in self.statements or self._state.knows(statement)

    def reference(self, statement: bytes) -> Reference | None:
        """Return what was decided about the statement, before this batch or in it."""
        found = self.statements.get(statement)
        return self._state.reference(statement) if found is None else reference_of(statement, found)

    def stream(self, key: StreamKey) -> tuple[int, bytes | None]:
        """Return the last number of a stream and its statement."""
        stream = self._streams.get(key) or self._state.stream(key)
        return stream.sequence, stream.last

    def has_number(self, key: StreamKey, number: int) -> bool:
        """Was a statement admitted under this number, before this batch or in it?"""
        return self._state.stream(key).has(number) or (
            key in self._streams and self._streams[key].has(number)
        )

    def next_in_lane(self, key: LaneKey) -> int:
        """Return the next sequence of a member's lane, and count it as taken."""
        sequence = self.lanes.get(key) or self._state.lane(key)
        self.lanes[key] = sequence + 1
        return sequence + 1

    def admit(self, header: Header, statement: bytes, decided_at: int, shares: Mapping[str, Share]) -> None:
        """Remember the statement as the last of its stream."""
        self.statements[statement] = admitted(header, decided_at, shares)
        stream = self._streams.setdefault(stream_key(header), Stream())
        stream.add(header.sequence, statement)

    def records(self) -> Iterator[Record]:
        """Yield the records that make this change last."""
        partition = Partition(DISPATCH_STATE)
        for statement, found in self.statements.items():
            yield Record(partition, STATEMENT + statement.hex().encode(), _encode(found))
        for (originator, region, name), stream in self._streams.items():
            key = STREAM + f"{originator}/{region.slug}/{name}".encode()
            yield Record(partition, key, _encode(LastOfStream(stream.sequence, stream.last or b"")))
        for (member, lane), sequence in self.lanes.items():
            yield Record(partition, LANE + f"{member}/{lane}".encode(), _encode(sequence))


def stream_key(header: Header) -> StreamKey:
    """Return which stream the header numbers its statement in."""
    return header.originator, header.region, header.stream


def read_last_of_stream(key: bytes, value: bytes) -> tuple[str, LastOfStream] | None:
    """Return `<originator>/<region>/<stream>` and its last statement, or None for another state record."""
    if not key.startswith(STREAM):
        return None
    return key[len(STREAM) :].decode(), _LAST.decode(value)


def statement_of(key: bytes) -> bytes | None:
    """Return the statement that a state record remembers, or None for another state record."""
    return bytes.fromhex(key[len(STATEMENT) :].decode()) if key.startswith(STATEMENT) else None


def read_admitted(value: bytes) -> Admitted:
    """Return what the state record of a statement says.

    Raises:
        NotCanonical: It says nothing.
    """
    try:
        return _ADMITTED.decode(value)
    except msgspec.DecodeError:
        raise NotCanonical("a state record that cannot be read", field=DISPATCH_STATE) from None


def read_reference(statement: bytes, value: bytes) -> Reference:
    """Return what the state record of a statement says about it, as decisions look at it."""
    return reference_of(statement, _ADMITTED.decode(value))


def state_of(statements: Mapping[bytes, bytes], lanes: Mapping[LaneKey, int]) -> Iterator[Record]:
    """Yield the state of a dispatcher that admitted just these statements, and brought its lanes so far.

    Args:
        statements: The records that remember them, by statement.
        lanes: The last sequence of each lane.
    """
    partition = Partition(DISPATCH_STATE)
    last: dict[StreamKey, LastOfStream] = {}
    for statement, value in statements.items():
        found = _ADMITTED.decode(value)
        key = (found.originator, Region(found.region), found.stream)
        if key not in last or found.sequence > last[key].sequence:
            last[key] = LastOfStream(found.sequence, statement)
        yield Record(partition, STATEMENT + statement.hex().encode(), value)
    for (originator, region, name), each in last.items():
        yield Record(partition, STREAM + f"{originator}/{region.slug}/{name}".encode(), _encode(each))
    for (member, lane), sequence in lanes.items():
        yield Record(partition, LANE + f"{member}/{lane}".encode(), _encode(sequence))
