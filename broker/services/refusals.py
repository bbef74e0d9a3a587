"""The record of what a gateway refused: enough to prove it, not so much that it can fill the log.

Of one peer at most ten refusals a second are recorded singly; the rest of that second is recorded as one
for each code, with a count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from broker.clock import Clock
from broker.core.keys import new_salt
from broker.core.model import Refusal, Station
from broker.core.records import named_frame
from broker.log import Log, Partition, Record
from broker.log.topics import REFUSALS

SINGLY_PER_SECOND = 10
WINDOW_MILLISECONDS = 1_000
STRANGER = "-"
"""The peer in the refusal of a key that belongs to no member; no member can be called so."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What was refused to whom: the digest of what came, and its statement where it can be told."""

    peer: str
    code: str
    content: bytes
    statement: bytes | None = None


@dataclass(slots=True)
class _Window:
    started_at: int
    singly: int = 0
    counted: dict[str, tuple[Refused, int]] = field(default_factory=dict)


class Refusals:
    """Turns refusals into records.

    Holds one window for each peer, so peers must be a bounded set: members, and `STRANGER`.
    """

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def records(self, refused: Refused) -> Iterator[Record]:
        """Yield what is to be appended now: the refusal itself, or what was counted before it, or nothing."""
        now = self._clock.now()
        window = self._windows.setdefault(refused.peer, _Window(now))
        if not 0 <= now - window.started_at < WINDOW_MILLISECONDS:
            yield from self._close(refused.peer, now)
            window = self._windows[refused.peer] = _Window(now)
        if window.singly < SINGLY_PER_SECOND:
            window.singly += 1
            yield _record(refused, 1, now)
        else:
            _, count = window.counted.get(refused.code, (refused, 0))
            window.counted[refused.code] = refused, count + 1

    async def record(self, refused: Refused) -> None:
        """Record a refusal, or count it for later.

        Raises:
            LogUnavailable: The log did not take the record.
        """
        if records := list(self.records(refused)):
            await self._log.append(records)

    async def run(self) -> None:
        """Record what was counted once its second is over, until cancelled."""
        while True:
            await asyncio.sleep(WINDOW_MILLISECONDS / 1000)
            await self.flush()

    async def flush(self) -> None:
        """Record what was counted in seconds that are over.

        Raises:
            LogUnavailable: The log did not take the records.
        """
        now = self._clock.now()
        over = [
            peer
            for peer, window in self._windows.items()
            if window.counted and not 0 <= now - window.started_at < WINDOW_MILLISECONDS
        ]
        records = [record for peer in over for record in self._close(peer, now)]
        if records:
            await self._log.append(records)

    def _close(self, peer: str, now: int) -> Iterator[Record]:
        for refused, count in self._windows.pop(peer).counted.values():
            yield _record(refused, count, now)


def _record(refused: Refused, count: int, now: int) -> Record:
    refusal = Refusal(
        salt=new_salt(),
        station=Station.GATEWAY,
        peer=refused.peer,
        statement=refused.statement,
        content=refused.content,
        code=refused.code,
        count=count,
        at=now,
    )
    return Record(Partition(REFUSALS), *named_frame(refusal))
