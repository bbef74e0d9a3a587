"""Where each partition ends, and who waits for it to grow.  Belongs to one event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

from broker.log import Partition


class Growth:
    """The known ends of partitions; waiting costs nothing until one grows."""

    def __init__(self) -> None:
        self.ends: dict[Partition, int] = {}
        self._waiting: dict[Partition, set[asyncio.Future[None]]] = {}
        self._stirred: set[asyncio.Future[None]] = set()

    def grow(self, ends: Mapping[Partition, int]) -> None:
        """Take note of these ends, and wake who waits for one of the partitions."""
        self.ends.update(ends)
        for partition in ends:
            _wake(self._waiting.get(partition, ()))

    def stir(self) -> None:
        """Wake all who want to hear of other changes: topics made, readers come and gone, an end."""
        _wake(self._stirred)

    def past(self, ends: Mapping[Partition, int]) -> bool:
        """Has one of the partitions grown past its given end?"""
        return any(self.ends.get(partition, 0) > end for partition, end in ends.items())

    async def wait(self, ends: Mapping[Partition, int], seconds: float, *, stir: bool = False) -> None:
        """Return when one of the partitions has grown past its given end, at a stir, or after `seconds`."""
        if self.past(ends):
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for partition in ends:
            self._waiting.setdefault(partition, set()).add(woken)
        if stir:
            self._stirred.add(woken)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await woken
        finally:
            self._stirred.discard(woken)
            for partition in ends:
                waiting = self._waiting[partition]
                waiting.discard(woken)
                if not waiting:
                    del self._waiting[partition]


def _wake(waiting: Iterable[asyncio.Future[None]]) -> None:
    for woken in waiting:
        if not woken.done():
            woken.set_result(None)
