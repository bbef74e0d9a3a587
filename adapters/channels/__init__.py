"""Channels: where checked deliveries go on the member's side.

A channel gets only what passed every check of `checks`.  It decides how a delivery arrives in the member's
own systems; which statuses it takes is configured, live notices alone unless more are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from broker.core.errors import Unavailable
from broker.core.model import DeliveryHead, Status
from broker.core.notice import Notice
from schemas.shown import ProofLine

LIVE_ALONE = frozenset({Status.ACTUAL})


class ChannelUnavailable(Unavailable):
    """The channel cannot take the delivery now; it is offered again, and nothing passes it by."""


@dataclass(frozen=True, slots=True)
class Item:
    """A checked delivery, where the log has it, and the names of members by their ids."""

    id: bytes
    head: DeliveryHead
    notice: Notice
    proof: ProofLine
    names: Mapping[str, str]


class Channel(Protocol):
    """One way into the member's systems."""

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
        the same, and arrives once.

        Raises:
            ChannelUnavailable: Not now.
        """
        ...
