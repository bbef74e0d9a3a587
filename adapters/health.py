"""The node's health page: `/health`, `/ready` and `/metrics` on the loopback address.

Counts and times only, never what a notice says or whom it concerns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from adapters.configuration import MEMBER_FILE
from adapters.metrics import Surroundings, render
from adapters.status import Snapshot
from broker.clock import Clock
from broker.core.errors import BadConfiguration

HOST = "127.0.0.1"
READY_WITHIN_MS = 120_000


class HealthPage:
    """Serves the page.

    Args:
        port: Where on the loopback address; 0 takes a free port.
        look: Returns how the node is.
        clock: Tells the time.
        around: Returns how its files are.
    """

    def __init__(
        self,
        port: int,
        look: Callable[[], Snapshot],
        clock: Clock,
        around: Callable[[], Surroundings] | None = None,
    ) -> None:
        self._around = around
        self._port = port
        self._look = look
        self._clock = clock

    async def run(self, listening: Callable[[int], None]) -> None:
        """Serve until cancelled; call `listening` with the port.

        Raises:
            BadConfiguration: The port cannot be had.
        """
        app = web.Application(client_max_size=1024)
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/ready", self._ready),
                web.get("/metrics", self._metrics),
            ]
        )
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=5.0, shutdown_timeout=1.0)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, HOST, self._port).start()
            except OSError:
                raise BadConfiguration(
                    f"port {self._port} of {HOST} cannot be listened on: another process has it",
                    field=f"{MEMBER_FILE}: health.port",
                ) from None
            listening(runner.addresses[0][1])
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        """Alive: this loop answers, and the store can be read."""
        self._look()
        return web.json_response({"status": "ok"})

    async def _ready(self, _request: web.Request) -> web.Response:
        """Ready: the hub was reached lately, the feed does not stand still, and the directory counts."""
        now, at = self._look(), self._clock.now()
        lately = now.reached_at is not None and at - now.reached_at < READY_WITHIN_MS
        vouched = now.vouched(at)
        ready = lately and now.held is None and vouched
        # Deliveries wait for no cosignature, so this does not make the node unready.
        cosigned = now.uncovered_since is None
        body = {
            "ready": ready,
            "reached": lately,
            "held": now.held_code,
            "directory": vouched,
            "cosigned": cosigned,
        }
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        around = None if self._around is None else self._around()
        text = render(self._look(), self._clock.now(), around)
        return web.Response(body=text, content_type="text/plain", charset="utf-8")
