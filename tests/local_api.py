"""The local API of nodes of the simulated world, on real sockets of the loopback address.

::

    async with local(tmp_path, "vn", "jp") as here:
        here.world.agree("vn", "jp")
        answer = await here["vn"].ask("POST", "/v1/notices", {"type": "sighting", …})
        await here["vn"].node.sends()
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adapters.api.server import HOST, ApiServer
from adapters.configuration import NodeApi
from adapters.sdk.client import Client
from adapters.store import Store
from broker.core.catalogue import Catalogue
from broker.core.model import Region
from tests.nodes import TestNode
from tests.served import Answer, read_answer
from tests.world import World

SECONDS = 10.0
TOKEN = "a-token-of-the-tests-that-is-long-enough"
QUICK = NodeApi(port=0, header_seconds=0.3, body_seconds=0.4, idle_seconds=0.6, connections=8)


@dataclass
class Local:
    """A node and its local API."""

    node: TestNode
    server: ApiServer
    port: int = 0

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = TOKEN,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask as a program would, over a connection of its own."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        told = {"Host": f"{HOST}:{self.port}", "Connection": "close"}
        if token is not None:
            told["Authorization"] = f"Bearer {token}"
        if body is not None:
            told["Content-Type"] = "application/json"
        told |= headers or {}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return await self.raw(
            f"{method} {path} HTTP/1.1\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
        )

    async def raw(self, data: bytes) -> Answer:
        """Send bytes over a connection of their own, and return the first answer."""
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(HOST, self.port)
            try:
                writer.write(data)
                return await read_answer(reader)
            finally:
                writer.transport.abort()

    def client(self, token: str = TOKEN) -> Client:
        """Return the SDK's client."""
        return Client(f"http://{HOST}:{self.port}", token)


@dataclass
class Here:
    """The world, and who in it has a local API."""

    world: World
    folder: Path
    nodes: dict[str, Local] = field(default_factory=dict)

    def __getitem__(self, member: str) -> Local:
        return self.nodes[member]

    async def travels(self, sender: str, receiver: str) -> None:
        """Let everything that waits at one node come to another, and the receipts back."""
        await self[sender].node.sends()
        await self[receiver].node.receives()
        await self[receiver].node.receipts()
        await self.world.settle()


@asynccontextmanager
async def serving(
    node: TestNode, settings: NodeApi | None = None, region: Region | None = Region.ASIA_PACIFIC
) -> AsyncIterator[Local]:
    """Serve the local API of one node until the end of the block."""
    with Store.open(node.path) as store:
        equipment = replace(node.node.equipment, store=store)
        server = ApiServer(settings or NodeApi(port=0), equipment, TOKEN, region)
        local = Local(node, server)
        async with asyncio.TaskGroup() as group:
            port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            task = group.create_task(server.run(port.set_result))
            local.port = await port
            try:
                yield local
            finally:
                task.cancel()


@asynccontextmanager
async def local(
    folder: Path, *members: str, settings: NodeApi | None = None, catalogue: Catalogue | None = None
) -> AsyncIterator[Here]:
    """Serve the local APIs of members' nodes until the end of the block."""
    async with World(folder, *members) as world, AsyncExitStack() as stack:
        here = Here(world, folder)
        for member in members:
            node = TestNode(world, member, folder, catalogue=catalogue)
            stack.callback(node.close)
            here.nodes[member] = await stack.enter_async_context(serving(node, settings))
        yield here


def seen(**values: Any) -> dict[str, Any]:
    """A sighting as the API takes it."""
    return {"type": "sighting", "notice": {"place": "Hai Phong", **values}}
