"""A client of the library that many use at the same time, and that is made anew after it failed.

The library never goes back to its bootstrap list, and would not find a cluster that came back elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from broker.log import LogUnavailable
from broker.log.kafka_clients import start_client


class KeptClient:
    """A client that is started when it is first needed, and again after it failed."""

    def __init__(
        self, make: Callable[[], Any], stop: Callable[[Any], Awaitable[None]], step_seconds: float
    ) -> None:
        self._make = make
        self._stop = stop
        self._step = step_seconds
        self._lock = asyncio.Lock()
        self._running: Any = None

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Any]:
        """Lend the client; others may use it at the same time.

        Raises:
            LogUnavailable: It cannot be started.
        """
        client = await self.start()
        try:
            yield client
        except LogUnavailable:
            await self._drop(client)
            raise

    async def start(self) -> Any:
        """Return the client, started.

        Raises:
            LogUnavailable: It cannot be started.
        """
        async with self._lock:
            if self._running is None:
                client = self._make()
                try:
                    await start_client(client, self._step, "answer at the address")
                except BaseException:
                    await self._stop(client)
                    raise
                self._running = client
            return self._running

    async def stop(self) -> None:
        """Stop the client if it runs."""
        await self._drop(self._running)

    async def _drop(self, client: Any) -> None:
        if client is not None and client is self._running:
            self._running = None
            await self._stop(client)
