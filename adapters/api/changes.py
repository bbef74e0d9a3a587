"""Waiting until the node's store says something else: one look at the store for all who wait.

Decides how soon a change is seen.  Other connections' commits show in SQLite's data version; those of the
API's own connection do not, so the API tells of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from adapters.store import Store
from broker.core.errors import Unavailable

LOOK_SECONDS = 0.05


class Changes:
    """Wakes whoever waits for a change of the store.

    Args:
        store: A connection of the API's own.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                changed = self._store.changed_by_others()
            except Unavailable:
                # Whoever waits looks for itself, and is told that the store cannot be read.
                changed = True
            if changed:
                self.tell()

    def tell(self) -> None:
        """Wake all who wait."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Return whether something holds, as soon as it does or when the time is over."""
        end = asyncio.get_running_loop().time() + seconds
        while not holds():
            try:
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
            except TimeoutError:
                return holds()
        return True
