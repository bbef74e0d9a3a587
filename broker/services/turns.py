"""Turns: how much of one peer's is done at once, so that who asks for much slows nobody but itself.

What would be too much is refused at once; what is allowed to come waits for its turn.  Between turns of one
peer the others have theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from broker.core.errors import TooMany


@dataclass(slots=True)
class _Line:
    room: asyncio.Semaphore
    present: int = 0


class Turns:
    """Lets `at_once` of each peer's requests go on at a time, while others wait; `most` may be present.

    Holds something for present peers alone.

    Args:
        what: What is counted, for the message.
        most: How many of one peer's may be present.
        at_once: How many of them go on at a time; all if it is not given.
    """

    def __init__(self, what: str, most: int, at_once: int | None = None) -> None:
        self._what = what
        self._most = most
        self._at_once = most if at_once is None else at_once
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def of(self, peer: str) -> AsyncIterator[None]:
        """Go on when it is the peer's turn.

        Raises:
            TooMany: As many of the peer's as may be are present.
        """
        line = self._lines.setdefault(peer, _Line(asyncio.Semaphore(self._at_once)))
        if line.present >= self._most:
            raise TooMany(f"{self._most} {self._what} of this member are under way", field=self._what)
        line.present += 1
        try:
            async with line.room:
                yield
        finally:
            line.present -= 1
            if not line.present:
                del self._lines[peer]

    def present(self, peer: str) -> int:
        """Return how many of the peer's are present."""
        line = self._lines.get(peer)
        return 0 if line is None else line.present
