"""A mail server that drops the connection or hangs at every stage of handing a mail in.

Nothing is lost and the order stays; a mail is there twice only if the server had taken it and never said so:
then both have the same Message-ID.  What its answers mean is in `test_channels_mail`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from adapters.channels import Closes
from adapters.channels.places import Places
from adapters.channels.terms import Terms
from adapters.node import make_channels
from deploy.kafka.tls import make_certificates
from tests.counterparts import Counterpart
from tests.nodes import TestNode
from tests.world import SECONDS, World, sighting

pytestmark = pytest.mark.sockets

STAGES = ("greeting", "ehlo", "starttls", "ehlo-tls", "mail", "rcpt", "data", "text", "dot", "taken", "quit")
"""Where the server can be struck: before its answer; at `taken` it has the mail and did not say so."""


@dataclass
class Server(Counterpart):
    """A mail server, line by line, so that it can misbehave anywhere; only once, at its stage."""

    kind = "mail"
    stage: str = ""
    hangs: bool = False
    tls: bool = True
    mails: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    struck: int = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        tls = self.folder / "tls"
        make_certificates(tls, ["server"])
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(tls / "server.pem", tls / "server.key")
        self.working: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.settings = (
            f'host = "localhost"\nport = {port}\nauthority = "{tls / "ca.pem"}"\n'
            'sender = "halong@node.example"\nrecipients = ["desk@customs.example", "night@customs.example"]\n'
        )
        try:
            yield
        finally:
            server.close()
            for task in self.working:
                task.cancel()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.working.add(task)
        try:
            with contextlib.suppress(_Dropped, OSError, asyncio.IncompleteReadError):
                await self._speak(reader, writer)
        finally:
            self.working.discard(task)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, stage: str, answer: str) -> None:
        """Answer, unless this is where trouble is."""
        if stage == self.stage:
            self.stage, self.struck = "", self.struck + 1
            if self.hangs:
                await asyncio.Event().wait()
            raise _Dropped
        writer.write(f"{answer}\r\n".encode())
        await writer.drain()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted = False
        await self._answer(writer, "greeting", "220 here")
        while line := await reader.readline():
            verb = line.split()[0].upper().decode()
            self.said.append(verb)
            match verb:
                case "EHLO":
                    offers = "250-here\r\n250 STARTTLS" if self.tls and not encrypted else "250 here"
                    await self._answer(writer, "ehlo-tls" if encrypted else "ehlo", offers)
                case "STARTTLS" if self.tls:
                    await self._answer(writer, "starttls", "220 go on")
                    await writer.start_tls(self.context)
                    encrypted = True
                case "MAIL" if encrypted:
                    await self._answer(writer, "mail", "250 yes")
                case "RCPT" if encrypted:
                    await self._answer(writer, "rcpt", "250 yes")
                case "DATA" if encrypted:
                    await self._answer(writer, "data", "354 go on")
                    await self._take(reader, writer)
                case "QUIT":
                    await self._answer(writer, "quit", "221 bye")
                    return
                case _:
                    writer.write(b"502 no\r\n")

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = await reader.readline()
        if self.stage == "text":
            await self._answer(writer, "text", "")
        while not text.endswith(b"\r\n.\r\n"):
            text += await reader.readexactly(1)
        if self.stage == "dot":
            await self._answer(writer, "dot", "")
        mail = message_from_bytes(text[:-3], policy=default)
        self.mails.append(str(mail["Message-ID"]).strip())
        await self._answer(writer, "taken", "250 taken")


class _Dropped(Exception):
    """The connection ends here."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp")
    async with world:
        yield world


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    folder = tmp_path / "side"
    folder.mkdir()
    server = Server(folder)
    async with server.serving():
        yield server


async def finish(node: TestNode) -> None:
    for worker in node.node.workers:
        if isinstance(worker._channel, Closes):
            await worker._channel.close()


async def works(world: World, tmp_path: Path, server: Server, terms: Terms | None = None) -> TestNode:
    """Three notices by way of the server, until the channel has nothing before it."""
    (channel,) = make_channels(server.config())
    node = TestNode(world, "jp", tmp_path, channels=[channel], terms={"side": terms or Terms()})
    for place in ("one", "two", "three"):
        await world.publish("vn", sighting(place=place))
    async with asyncio.timeout(SECONDS):
        await node.receives()
        while node.snapshot().channels[0].behind:
            world.clock.move(60_000)
            await node.hands_on()
        await finish(node)
    return node


def expected(node: TestNode) -> list[str]:
    """What is to be mailed, in its order."""
    rows = node.store.rows("SELECT delivery FROM queue WHERE channel IS NULL ORDER BY number")
    return [f"<{delivery.hex()}@halong.node.example>" for (delivery,) in rows]


@pytest.mark.parametrize("stage", STAGES)
async def test_a_connection_that_ends_loses_nothing_and_doubles_only_what_was_taken_without_a_word(
    world: World, tmp_path: Path, server: Server, stage: str
) -> None:
    server.stage = stage
    node = await works(world, tmp_path, server)
    assert server.struck == 1
    want = expected(node)
    assert list(dict.fromkeys(server.mails)) == want
    assert Counter(server.mails) == Counter(want) + Counter(want[:1] if stage == "taken" else [])
    assert node.snapshot().received == {"delivered": 3}
    node.close()


@pytest.mark.parametrize("stage", STAGES)
async def test_a_server_that_hangs_is_left_in_time_and_loses_nothing(
    world: World, tmp_path: Path, server: Server, stage: str
) -> None:
    server.stage, server.hangs = stage, True
    node = await works(world, tmp_path, server, Terms(timeout_seconds=0.5))
    assert server.struck == 1
    want = expected(node)
    assert list(dict.fromkeys(server.mails)) == want
    assert Counter(server.mails) == Counter(want) + Counter(want[:1] if stage == "taken" else [])
    node.close()


async def test_where_no_tls_is_offered_nothing_is_said_and_the_notices_wait(
    world: World, tmp_path: Path, server: Server
) -> None:
    server.tls = False
    (channel,) = make_channels(server.config())
    node = TestNode(world, "jp", tmp_path, channels=[channel])
    await world.publish("vn", sighting(place="one"))
    await node.receives()
    for _ in range(3):
        world.clock.move(60_000)
        await node.hands_on()
    assert set(server.said) <= {"EHLO", "QUIT"}
    place = Places(node.store).at("side")
    assert place is not None
    assert (place.number, place.failures) == (0, 4)
    server.tls = True
    world.clock.move(600_000)
    await node.hands_on()
    assert server.mails == expected(node)
    await finish(node)
    node.close()
