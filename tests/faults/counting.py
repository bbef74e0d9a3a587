"""Counts deliveries by member and notice, and compares them with what was owed.

Imports nothing of ours: whoever counts with the code that is tested finds what that code believes.  A reader
of one engine's raw bytes (`raw_sqlite`, `raw_kafka`) hands each value of an inbox topic to `delivery_in`, and
all of them to `compare`.

Source: docs/formats.md, "The hub's records": Avro binary behind five bytes of framing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

FRAME_BYTES = 5
SALT_BYTES = 16
DIGEST_BYTES = 32
MARK = re.compile(rb"mark-[0-9]{6}")
"""What scenarios write into a notice, to know it again whatever number, stream or signature it has."""


Said = tuple[str, tuple[int, str], int]
"""Originator, stream and number of a statement."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One delivery as it lies in a topic.

    `lane` and `place` are what deliveries to a member are numbered by, `stream` and `number` what the notice
    is numbered by at its originator.
    """

    member: str
    lane: str
    place: int
    statement: bytes
    originator: str
    stream: tuple[int, str]
    number: int
    mark: bytes | None


@dataclass(frozen=True, slots=True)
class Found:
    """How many deliveries there are, and how many of them are not as owed."""

    deliveries: int
    lost: int
    doubled: int
    over_delivered: int
    out_of_order: int

    @property
    def faultless(self) -> bool:
        """Tell whether all arrived once, at whom it was owed, in order."""
        return not (self.lost or self.doubled or self.over_delivered or self.out_of_order)

    def __add__(self, other: Found) -> Found:
        """Return what two counts of the same deliveries found wrong together."""
        return Found(
            min(self.deliveries, other.deliveries),
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.over_delivered + other.over_delivered,
            self.out_of_order + other.out_of_order,
        )


def by_statement(delivered: Delivered) -> bytes:
    return delivered.statement


def by_mark(delivered: Delivered) -> bytes:
    return delivered.mark or b"no mark"


def compare(
    owed: Mapping[str, Iterable[Hashable]],
    delivered: Sequence[Delivered],
    notice: Callable[[Delivered], Hashable] = by_statement,
) -> Found:
    """Compare what each member was owed with the deliveries, in the order in which they lie.

    Args:
        owed: The notices that each member must get: from the scenario, never from the hub.
        delivered: Of each member in its order; members may be mixed.
        notice: What makes two deliveries ones of the same notice.
    """
    due = {(member, wanted) for member, all_wanted in owed.items() for wanted in all_wanted}
    counted = Counter((each.member, notice(each)) for each in delivered)
    return Found(
        deliveries=len(delivered),
        lost=len(due - counted.keys()),
        doubled=counted.total() - len(counted),
        over_delivered=len(counted.keys() - due),
        out_of_order=_out_of_order(delivered),
    )


def _out_of_order(delivered: Iterable[Delivered]) -> int:
    """Count deliveries that do not follow what came before them.

    Places of a lane are 1, 2, 3 …; numbers of a stream ascend, with gaps: not every notice is for everybody.
    """
    places: Counter[tuple[str, str]] = Counter()
    numbers: Counter[tuple[str, str, tuple[int, str]]] = Counter()
    wrong = 0
    for each in delivered:
        lane, stream = (each.member, each.lane), (each.member, each.originator, each.stream)
        # The same number again is the same notice again, which is doubled, and not out of order.
        wrong += each.place != places[lane] + 1 or each.number < numbers[stream]
        places[lane] = each.place
        numbers[stream] = max(each.number, numbers[stream])
    return wrong


# --- reading what lies in a topic ---------------------------------------------------------------------


def delivery_in(value: bytes) -> Delivered:
    """Return the delivery in the value of a record of an inbox topic; it must still have its content."""
    head, at = read_bytes(value, FRAME_BYTES)
    branch, at = read_long(value, at)
    if branch != 1:
        raise ValueError("a delivery without its content")
    header, _ = read_bytes(value, at)

    member, here = read_text(head, SALT_BYTES)
    lane, here = read_text(head, here)
    place, here = read_long(head, here)
    statement = head[here : here + DIGEST_BYTES]
    if statement != _name(header):
        raise ValueError("a delivery names another statement than it carries")

    originator, stream, number = _numbered(header)
    marks = set(MARK.findall(value, at))
    if len(marks) > 1:
        raise ValueError("a delivery of two notices")
    mark = marks.pop() if marks else None
    return Delivered(member, lane, place, statement, originator, stream, number, mark)


def statement_in(value: bytes) -> tuple[Said, bytes]:
    """Return the number and the name of the statement in the value of a record of a notices topic."""
    header, _ = read_bytes(value, FRAME_BYTES)
    return _numbered(header), _name(header)


def _name(header: bytes) -> bytes:
    return sha256(b"halong/statement/1\0" + header).digest()


def _numbered(header: bytes) -> Said:
    _, at = read_long(header, 0)
    originator, at = read_text(header, at)
    region, at = read_long(header, at)
    stream, at = read_text(header, at)
    number, _ = read_long(header, at)
    return originator, (region, stream), number


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, and what is behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the bytes behind their length at a place, and what is behind them."""
    length, at = read_long(data, at)
    return data[at : at + length], at + length


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """Return the text behind its length at a place, and what is behind it."""
    found, at = read_bytes(data, at)
    return found.decode(), at
