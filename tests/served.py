"""The simulated world behind real sockets: mutual TLS 1.3 on the loopback address."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.clock import SystemClock
from broker.configuration import Limits
from broker.core.keys import Algorithm, PrivateKey, spki_digest
from broker.directory.certificates import issue, make_authority, make_hub_certificate, make_request
from broker.services.tile_folder import TileFolder
from broker.services.tiles import Tiles
from broker.web.api import Services
from broker.web.hub import HealthServer, HubServer, server_context
from tests.world import NETWORK, World

HOST = "127.0.0.1"
SECONDS = 10.0
QUICK = Limits(header_seconds=0.3, body_seconds=0.4, idle_seconds=0.6, handshake_seconds=0.5)
"""Limits at which a test need not wait long."""


@dataclass
class Served:
    """A world with a hub that listens; `port` and `health` are where."""

    world: World
    folder: Path
    limits: Limits
    port: int = 0
    health: int = 0
    ready: dict[str, bool] = field(default_factory=dict)

    server: HubServer = field(init=False)
    tiles: Tiles = field(init=False)

    def __post_init__(self) -> None:
        # Certificates are judged by the machine's clock, not by the world's.
        now = SystemClock().now()
        self._authority_key = PrivateKey.generate(Algorithm.ESP256)
        self._now = now
        self.authority = make_authority(NETWORK, self._authority_key.to_pem(), now)
        self._write("authority.pem", self.authority)
        hub = PrivateKey.generate(Algorithm.ESP256)
        self.pin = spki_digest(hub)
        self._write("hub.key", hub.to_pem())
        self._write(
            "hub.pem",
            make_hub_certificate(
                NETWORK, HOST, hub.to_pem(), self.authority, self._authority_key.to_pem(), now
            ),
        )
        for person in self.world.people.values():
            self.certify(person.id, person.transport)

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def certify(self, name: str, key: PrivateKey) -> None:
        """Give a key a certificate of the network's authority."""
        request = make_request(NETWORK, name, key.to_pem())
        self._write(f"{name}.key", key.to_pem())
        certificate = issue(request, NETWORK, self.authority, self._authority_key.to_pem(), self._now)
        self._write(f"{name}.pem", certificate)

    def context(self, name: str | None) -> ssl.SSLContext:
        """Return the TLS settings of a client with the certificate of `name`, or without any."""
        context = ssl.create_default_context(cafile=str(self.folder / "authority.pem"))
        if name is not None:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    async def connect(self, name: str | None = "vn") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection by hand."""
        return await asyncio.open_connection(HOST, self.port, ssl=self.context(name), server_hostname=HOST)

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        name: str = "vn",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request over a connection of its own."""
        head = f"{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n"
        head += "".join(f"{key}: {value}\r\n" for key, value in (headers or {}).items())
        return await self.raw(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body, name=name)

    async def raw(self, data: bytes, *, name: str | None = "vn") -> Answer:
        """Send bytes over a connection of their own, and return the first answer."""
        async with asyncio.timeout(SECONDS):
            reader, writer = await self.connect(name)
            try:
                writer.write(data)
                return await read_answer(reader)
            finally:
                writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer.  Raises IncompleteReadError or ConnectionError if the connection ends first."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(lines[0].split()[1]), headers, body)


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail if it does not in time."""
    async with asyncio.timeout(SECONDS):
        # The conditions are of the code under test, which has no event for them.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def served(
    folder: Path, *members: str, limits: Limits | None = None, kind: type[World] = World, **world: Any
) -> AsyncIterator[Served]:
    """Serve a world until the end of the block."""
    async with kind(folder, *members, **world) as hub, asyncio.TaskGroup() as group:
        here = Served(hub, folder, limits or Limits())
        tiles = here.tiles = Tiles(hub.log, TileFolder(folder / "tiles"), hub.metrics)
        services = Services(
            directory=hub.directory,
            clock=hub.clock,
            metrics=hub.metrics,
            limits=here.limits,
            refusals=hub.refused,
            gateway=hub.gateway,
            inbox=hub.inbox,
            ledger=hub.ledger,
            registry=hub.registry,
            tiles=tiles,
            cosignatures=hub.cosignatures,
        )
        tls = server_context(folder / "hub.pem", folder / "hub.key", folder / "authority.pem")
        ports: list[asyncio.Future[int]] = [asyncio.get_running_loop().create_future() for _ in range(2)]
        here.server = HubServer(services, tls, HOST, 0)
        tasks = [
            group.create_task(tiles.run()),
            group.create_task(here.server.run(ports[0].set_result)),
            group.create_task(HealthServer(0, lambda: here.ready, services).run(ports[1].set_result)),
        ]
        here.port, here.health = await ports[0], await ports[1]
        try:
            yield here
        finally:
            for task in tasks:
                task.cancel()
