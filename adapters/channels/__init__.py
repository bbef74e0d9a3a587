"""Channels: where checked deliveries go on the member's side.

A channel gets only what passed every check of `checks`.  It decides how a delivery arrives in the member's
own systems; which statuses it takes is configured, live notices alone unless more are named.  When it is
offered what, and what follows from a failure, is decided in `worker`, the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from broker.core.errors import Refused, Unavailable
from broker.core.further_terms import FurtherTerms
from broker.core.model import DeliveryHead, Status
from broker.core.notice import Notice
from schemas.shown import ProofLine

LIVE_ALONE = frozenset({Status.ACTUAL})
MOST_NUMBER = 1 << 63
_DELIVERY = re.compile("[0-9a-f]{64}")


class ChannelUnavailable(Unavailable):
    """The channel cannot take the delivery now; it is offered again, and nothing passes it by.

    Args:
        message: What is wrong, without any value of the notice.
        field: The channel's name.
        answer: What the other side answered, as a short code: `http-503`, `smtp-451`, `exit-75`.
        retry_after_seconds: How long the other side asks to be left alone.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        answer: str = Unavailable.code,
        retry_after_seconds: float = 0.0,
    ) -> None:
        super().__init__(message, field=field)
        self.answer = answer
        self.retry_after_seconds = retry_after_seconds


class ChannelRefused(Refused):
    """The other side will never take this delivery: it becomes a dead letter, and the next one is offered.

    Args:
        message: What is wrong, without any value of the notice.
        field: The channel's name.
        answer: What the other side answered, as a short code: `http-410`, `smtp-550`, `exit-1`.
    """

    def __init__(self, message: str, *, field: str | None = None, answer: str) -> None:
        super().__init__(message, field=field)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Item:
    """A checked delivery, where the log has it, the names of members, and what agreements ask beside it.

    `number` is its place in the channel's queue: it grows from one item to the next, and the same delivery
    that is offered again after a failure has the same; a replay has another.  `doubtful_since` is there if
    the key that signed it is known to have been stolen by then: somebody else may have written it.
    """

    id: bytes
    head: DeliveryHead
    notice: Notice
    proof: ProofLine
    names: Mapping[str, str]
    number: int = 0
    further: FurtherTerms | None = None
    doubtful_since: int | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """The last item that the other side has: its number, and the id of its delivery."""

    number: int
    delivery: bytes

    @classmethod
    def told(cls, number: object, delivery: object, channel: str) -> Reached:
        """Return a place as the other side has it, where others can write, too.

        Raises:
            ChannelUnavailable: It is none that a channel keeps: somebody changed it.
        """
        if not (isinstance(number, int) and 0 <= number < MOST_NUMBER) or not (
            isinstance(delivery, str) and _DELIVERY.fullmatch(delivery)
        ):
            raise ChannelUnavailable("its place is none of ours", field=channel, answer="bad-place")
        return cls(number, bytes.fromhex(delivery))


class Channel(Protocol):
    """One way into the member's systems.  Calls come one after another, never two at once."""

    @property
    def name(self) -> str:
        """The name in receipts and configuration."""
        ...

    @property
    def statuses(self) -> frozenset[Status]:
        """What it takes: live notices, exercises, tests."""
        ...

    async def deliver(self, item: Item) -> None:
        """Return when the delivery is where it belongs and would survive a crash.

        The same delivery may be offered again, after a crash or a failure further on: by its id it is
        the same, and arrives once, or as something that can be told to be the same.

        Raises:
            ChannelUnavailable: Not now.
            ChannelRefused: Never.
        """
        ...

    async def check(self) -> str:
        """Return what was found of the other side, for a person; nothing is delivered by that.

        Raises:
            ChannelUnavailable: It cannot be reached now.
            BadConfiguration: What is configured cannot work.
        """
        ...


@runtime_checkable
class MakesTables(Protocol):
    """A channel whose other side needs tables, which it can make."""

    async def create(self) -> None:
        """Make what is not there.

        Raises:
            ChannelUnavailable: It cannot be reached now.
        """
        ...


@runtime_checkable
class TakesMany(Protocol):
    """A channel that is faster with several items at once."""

    async def deliver_all(self, items: Sequence[Item]) -> None:
        """Return when all of them are where they belong, in this order; otherwise as `deliver`.

        When it raises, each of them may have arrived or not: they are offered again, one by one.
        """
        ...


@runtime_checkable
class KeepsPlace(Protocol):
    """A channel whose other side stores the place with what it takes, so that each arrives exactly once."""

    async def reached(self) -> Reached | None:
        """Return the last item that was taken; nothing that was begun before may arrive after this.

        Asked before the first delivery and after every failure.

        Raises:
            ChannelUnavailable: It cannot be told now.
        """
        ...


@runtime_checkable
class Closes(Protocol):
    """A channel that holds a connection."""

    async def close(self) -> None:
        """Give the connection back; the next delivery opens another."""
        ...
