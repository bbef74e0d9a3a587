"""The hub's server: mutual TLS 1.3, a socket, and an end that is quick.

Any certificate of the hub's authority gets through the handshake; who it belongs to is judged in `api`,
so that a refused peer reads why.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from broker.core.directory import Directory
from broker.core.errors import BadConfiguration
from broker.telemetry import logger_of
from broker.web.api import Api, Services
from broker.web.connection import Connection, Connections
from broker.web.console import Console

BACKLOG = 512
STOP_SECONDS = 0.3
LOOPBACK = "127.0.0.1"

log_line = logger_of("web")


def server_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return the TLS settings of the hub.

    Raises:
        BadConfiguration: A file is missing or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    # Sessions are not resumed: a ticket would be one more secret, and aiohttp's client never uses it.
    context.num_tickets = 0
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        raise BadConfiguration(f"not a certificate with the key {key.name}", field=str(certificate)) from None
    try:
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError):
        raise BadConfiguration("not the certificate of an authority", field=str(authority)) from None
    return context


class HubServer:
    """Serves the paths of `services` to whoever has a certificate.

    Args:
        services: What is answered with.
        tls: See `server_context`.
        host: The address to listen at.
        port: The port; 0 takes a free one.
    """

    def __init__(self, services: Services, tls: ssl.SSLContext, host: str, port: int) -> None:
        self._services = services
        self._tls = tls
        self._host = host
        self._port = port
        self._api = Api(services)
        self._connections = Connections(services.limits)
        services.directory.watch(self._cut_those_who_left)

    async def run(self, listening: Callable[[int], None]) -> None:
        """Serve until cancelled; call `listening` with the port once peers can connect.

        Raises:
            BadConfiguration: The address cannot be had.
        """
        limits = self._services.limits
        # Whoever hangs up waits for nothing any more: what it asked for ends, too.
        runner = web.AppRunner(
            self._api.application(), shutdown_timeout=STOP_SECONDS, handler_cancellation=True
        )
        await runner.setup()
        server = runner.server
        assert server is not None
        try:
            listener = await asyncio.get_running_loop().create_server(
                lambda: Connection(self._connections, server),
                self._host,
                self._port,
                ssl=self._tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=limits.handshake_seconds,
                ssl_shutdown_timeout=1.0,
            )
        except OSError as error:
            await runner.cleanup()
            raise _taken(self._host, self._port, error) from None
        try:
            listening(listener.sockets[0].getsockname()[1])
            await asyncio.Event().wait()
        finally:
            listener.close()
            await runner.cleanup()

    def _cut_those_who_left(self, directory: Directory) -> None:
        now = self._services.clock.now()
        gone = self._connections.abort_unless(
            lambda key: directory.member_of_transport_key(key, now) is not None
        )
        if gone:
            log_line.info("connections.cut", count=gone)


class HealthServer:
    """Answers on the loopback address: alive, ready, and the counters.

    Args:
        port: The port; 0 takes a free one.
        ready: What the process waits for, by name; it is ready when all hold.
        services: Where the counters are.
        console: What the operator's own tools ask; nothing without it.
    """

    def __init__(
        self,
        port: int,
        ready: Callable[[], dict[str, bool]],
        services: Services,
        console: Console | None = None,
    ) -> None:
        self._console = console
        self._port = port
        self._ready = ready
        self._services = services

    async def run(self, listening: Callable[[int], None]) -> None:
        """Serve until cancelled; call `listening` with the port.

        Raises:
            BadConfiguration: The port cannot be had.
        """
        app = web.Application()
        app.router.add_get("/health", self._answer_health)
        app.router.add_get("/ready", self._answer_ready)
        app.router.add_get("/metrics", self._answer_metrics)
        if self._console is not None:
            self._console.add_to(app)
        runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=30.0, shutdown_timeout=STOP_SECONDS, handle_signals=False
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, LOOPBACK, self._port)
            try:
                await site.start()
            except OSError as error:
                raise _taken(LOOPBACK, self._port, error) from None
            if self._console is not None:
                self._console.listens_at(runner.addresses[0][1])
            listening(runner.addresses[0][1])
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _answer_health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _answer_ready(self, _request: web.Request) -> web.Response:
        parts = self._ready()
        ready = all(parts.values())
        return web.json_response({"ready": ready, "parts": parts}, status=200 if ready else 503)

    async def _answer_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._services.metrics.render(), content_type="text/plain", charset="utf-8")


def _taken(host: str, port: int, error: OSError) -> BadConfiguration:
    return BadConfiguration(f"cannot listen at {host}:{port}: {error.strerror}", field="listen.port")
