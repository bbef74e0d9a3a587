"""The node's health page: `/health`, `/ready` and `/metrics` on the loopback address.

Counts and times only, never what a notice says or whom it concerns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from aiohttp import web

from adapters.configuration import MEMBER_FILE
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
    """

    def __init__(self, port: int, look: Callable[[], Snapshot], clock: Clock) -> None:
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
        """Ready: the hub was reached lately and the feed does not stand still."""
        now = self._look()
        lately = now.reached_at is not None and self._clock.now() - now.reached_at < READY_WITHIN_MS
        ready = lately and now.held is None
        body = {"ready": ready, "reached": lately, "held": now.held_code}
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = "\n".join(_lines(self._look(), self._clock.now())) + "\n"
        return web.Response(text=text, content_type="text/plain", charset="utf-8")


def _lines(now: Snapshot, at: int) -> Iterator[str]:
    """Yield the snapshot in Prometheus' text format."""
    yield "# TYPE halong_node_notices gauge"
    for state, count in sorted(now.sent.items()):
        yield f'halong_node_notices{{state="{state}"}} {count}'
    yield "# TYPE halong_node_deliveries gauge"
    for state, count in sorted(now.received.items()):
        yield f'halong_node_deliveries{{state="{state}"}} {count}'
    gauges = {
        "receipts_waiting": now.receipts_waiting,
        "behind": now.behind,
        "tree_size": now.tree_size,
        "held": int(now.held is not None),
        "alarms": sum(alarm.count for alarm in now.alarms),
    }
    for name, since in (
        ("hub_reached_seconds_ago", now.reached_at),
        ("oldest_waiting_seconds", now.waiting_since),
        ("oldest_unproven_seconds", now.unproven_since),
    ):
        if since is not None:
            gauges[name] = max(at - since, 0) // 1000
    for name, value in gauges.items():
        yield f"# TYPE halong_node_{name} gauge"
        yield f"halong_node_{name} {value}"
