"""How a node's parts keep on working, and how long they wait: after a failure, for work.

Waiting is the only thing here that takes time, so tests hand in a `sleep` that moves their clock.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import NoReturn

from broker.core.errors import Refused, Unavailable

FIRST_SECONDS = 0.25
LONGEST_SECONDS = 60.0
LOOK_SECONDS = 0.05
LONGEST_IDLE_SECONDS = 2.0


class Patience:
    """Back-off with jitter, and a wait that work cuts short.

    Args:
        sleep: Waits some seconds.
        chance: A number from 0 to 1, another each time: members that failed together must not all come
            back together.
        longest_seconds: The longest wait after a failure.
    """

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] | None = None,
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        self._sleep = sleep
        self._chance = chance or secrets.SystemRandom().random
        self._longest = longest_seconds

    def spread(self, seconds: float) -> float:
        """Return a random time between half of `seconds` and all of it."""
        return seconds * (0.5 + self._chance() / 2)

    def seconds_after(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row: twice as long each time, and spread."""
        return self.spread(min(FIRST_SECONDS * 2 ** min(failures, 32), self._longest))

    async def keep_on(
        self,
        step: Callable[[], Awaitable[bool]],
        wake: Callable[[], bool],
        failed: Callable[[Unavailable | Refused, int], None],
        passing: tuple[type[Unavailable | Refused], ...] = (Unavailable, Refused),
    ) -> NoReturn:
        """Take one step after the other for ever; whatever fails is tried again, later and later.

        Args:
            step: Says whether it did anything; if not, there is a wait for work.
            wake: Says whether there is work.
            failed: Told of each failure, and of how many there were in a row.
            passing: What may pass; anything else ends the work.
        """
        failures = idle = 0
        while True:
            try:
                progressed = await step()
                failures, idle = 0, 0 if progressed else idle + 1
                # Looking whether there is work may fail like the work itself.
                if not progressed:
                    await self.idle(idle, wake)
            except passing as error:
                failures += 1
                failed(error, failures)
                await self.after_failure(failures)

    async def after_failure(self, failures: int) -> None:
        """Wait after so many failures in a row."""
        await self._sleep(self.seconds_after(failures))

    async def rest(self, seconds: float) -> None:
        """Wait between half of `seconds` and all of it, until something is looked at again."""
        await self._sleep(self.spread(seconds))

    async def idle(self, rounds: int, wake: Callable[[], bool]) -> None:
        """Wait for work; the longer there was none the longer, but `wake` ends it."""
        seconds = min(LOOK_SECONDS * 1.5 ** min(rounds, 16), LONGEST_IDLE_SECONDS)
        while seconds > 0 and not wake():
            await self._sleep(min(LOOK_SECONDS, seconds))
            seconds -= LOOK_SECONDS
