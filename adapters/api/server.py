"""The local API's server: the loopback address alone, and bounds on everything that a caller can draw out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec
from aiohttp import web

from adapters.api.about import About
from adapters.api.changes import Changes
from adapters.api.guard import Guard, answer_expectation
from adapters.api.handlers import Handlers
from adapters.api.openapi import description
from adapters.api.problem import problem
from adapters.api.receiving import Receiving
from adapters.api.routes import DESCRIPTION, ROUTES
from adapters.api.sending import Sending
from adapters.configuration import MEMBER_FILE, NodeApi, NodeConfig
from adapters.equipment import Equipment
from adapters.store import Store
from broker.bounded_http import BoundedConnection
from broker.core.errors import BadConfiguration
from broker.core.limits import MOST_REQUEST_BYTES
from broker.core.model import Region
from broker.local_token import Token, make_token

HOST = "127.0.0.1"
BACKLOG = 64
STOP_SECONDS = 0.3


class Connections:
    """How many callers are connected, and how many may be."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0


class Caller(BoundedConnection):
    """A caller's connection; one too many is cut."""

    __slots__ = ("_connections", "_counted")

    def __init__(self, connections: Connections, settings: NodeApi, server: web.Server) -> None:
        super().__init__(
            server,
            header_seconds=settings.header_seconds,
            idle_seconds=settings.idle_seconds,
            problem=problem,
        )
        self._connections = connections
        self._counted = False

    def admitted(self, _transport: asyncio.BaseTransport) -> bool:
        """Say whether there are not too many."""
        self._counted = self._connections.count < self._connections.most
        self._connections.count += self._counted
        return self._counted

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._connections.count -= self._counted
        self._counted = False
        super().connection_lost(exc)


class ApiServer:
    """Serves the local API.

    Args:
        settings: The port and the bounds.
        equipment: What the node works with; the store is a connection of the API's own.
        token: What callers must show.
        region: What notices lead in that name none.
    """

    def __init__(self, settings: NodeApi, equipment: Equipment, token: str, region: Region | None) -> None:
        self._settings = settings
        self._catalogue = equipment.catalogue
        self._changes = Changes(equipment.store)
        self._handlers = Handlers(
            Sending(equipment, region, self._changes),
            Receiving(equipment, self._changes),
            About(equipment),
            settings.body_seconds,
        )
        self._guard = Guard(Token(token), frozenset({DESCRIPTION}), MOST_REQUEST_BYTES)
        self._connections = Connections(settings.connections)
        self._description = b""

    async def run(self, listening: Callable[[int], None]) -> None:
        """Serve until cancelled; call `listening` with the port.

        Raises:
            BadConfiguration: The port cannot be had.
        """
        runner = web.AppRunner(self._application(), shutdown_timeout=STOP_SECONDS, handler_cancellation=True)
        await runner.setup()
        server = runner.server
        assert server is not None
        try:
            listener = await asyncio.get_running_loop().create_server(
                lambda: Caller(self._connections, self._settings, server),
                HOST,
                self._settings.port,
                backlog=BACKLOG,
            )
        except OSError:
            await runner.cleanup()
            raise BadConfiguration(
                f"port {self._settings.port} of {HOST} cannot be listened on: another process has it",
                field=f"{MEMBER_FILE}: api.port",
            ) from None
        port = listener.sockets[0].getsockname()[1]
        self._description = msgspec.json.encode(description(self._catalogue, port))
        try:
            listening(port)
            await self._changes.run()
        finally:
            listener.close()
            await runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(
            middlewares=[self._guard.with_problems, self._guard.with_caller],
            client_max_size=MOST_REQUEST_BYTES,
        )
        for route in ROUTES:
            app.router.add_route(
                route.method, route.path, self._handlers.of(route), expect_handler=answer_expectation
            )
        app.router.add_get(DESCRIPTION, self._describe, expect_handler=answer_expectation)
        return app

    async def _describe(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._description, content_type="application/json")


async def run_api(config: NodeConfig, equipment: Equipment, listening: Callable[[int], None]) -> None:
    """Serve the local API of a node as its settings say, until cancelled.

    Raises:
        BadConfiguration: The port or the token cannot be used.
    """
    assert config.api is not None
    token = make_token(config.root)
    # A connection of its own sees what the node commits, as other processes do.
    with Store.open(config.store_path) as store:
        mine = replace(equipment, store=store)
        await ApiServer(config.api, mine, token, config.leading_region).run(listening)
