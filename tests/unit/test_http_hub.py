"""The node's client: it speaks to the pinned hub alone, waits for nothing for ever, and believes no shape."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.http_hub import MOST_RETRY_AFTER_SECONDS, HttpHub, WrongHub, pinned_context
from broker.core.error_codes import error_of
from broker.core.errors import BadConfiguration, NotMember, NotYours, TooMany, Unavailable
from broker.core.keys import Algorithm, PrivateKey, spki_digest
from broker.core.model import Region
from tests.served import HOST, Served
from tests.world import World

sockets = pytest.mark.sockets


@dataclass
class Scripted:
    """A server with the hub's certificate that answers as a test tells it, and keeps what it was asked."""

    served: Served
    answers: list[bytes | None] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head)
                answer = self.answers.pop(0)
                if answer is None:
                    await reader.read()
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError, IndexError):
            pass
        finally:
            writer.close()

    def client(self, *, pin: bytes | None = None, seconds: float = 10.0) -> HttpHub:
        folder = self.served.folder
        context = pinned_context(
            pin or self.served.pin, folder / "vn.pem", folder / "vn.key", folder / "authority.pem"
        )
        return HttpHub(f"https://{HOST}:{self.port}", context, sleep=self.sleep, seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@asynccontextmanager
async def scripted(folder: Path, *answers: bytes | None) -> AsyncIterator[Scripted]:
    here = Scripted(Served(World(folder, "vn"), folder, None), list(answers))  # type: ignore[arg-type]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "hub.pem", folder / "hub.key")
    server = await asyncio.start_server(here.serve, HOST, 0, ssl=context)
    here.port = server.sockets[0].getsockname()[1]
    async with server:
        yield here


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


STREAM = b'{"sequence":7,"statement":null}'


async def ask(hub: HttpHub) -> int:
    return (await hub.stream(Region.ASIA_PACIFIC, "main")).sequence


@sockets
async def test_not_one_byte_of_http_goes_to_another_key(tmp_path: Path) -> None:
    async with scripted(tmp_path, answer("200 OK", STREAM)) as server:
        other = spki_digest(PrivateKey.generate(Algorithm.ESP256))
        async with server.client(pin=other) as hub:
            with pytest.raises(WrongHub) as caught:
                await ask(hub)
        assert caught.value.field == "hub.pin"
        assert server.asked == []
        async with server.client() as hub:
            assert await ask(hub) == 7
        assert server.asked[0].startswith(b"GET /v1/streams/asia-pacific/main HTTP/1.1\r\n")


@sockets
async def test_a_certificate_of_another_authority_is_not_the_hub_although_its_key_is(tmp_path: Path) -> None:
    async with scripted(tmp_path, answer("200 OK", STREAM)) as server:
        (tmp_path / "elsewhere").mkdir()
        stranger = Served(World(tmp_path / "elsewhere", "vn"), tmp_path / "elsewhere", None)  # type: ignore[arg-type]
        context = pinned_context(
            server.served.pin, tmp_path / "vn.pem", tmp_path / "vn.key", stranger.folder / "authority.pem"
        )
        async with HttpHub(f"https://{HOST}:{server.port}", context) as hub:
            with pytest.raises(Unavailable):
                await ask(hub)
        assert server.asked == []


@sockets
@pytest.mark.parametrize(
    ("bytes_", "error"),
    [
        (answer("403 Forbidden", b'{"code":"not-member","message":"x"}'), NotMember),
        (answer("403 Forbidden", b'{"code":"not-yours","message":"x"}'), NotYours),
        (answer("429 Too Many", b'{"code":"too-many","message":"x"}', "Retry-After: 3"), TooMany),
        (answer("503 Unavailable", b'{"code":"unavailable","message":"x"}'), Unavailable),
        (answer("500 Internal", b"<html>"), Unavailable),
        (answer("403 Forbidden", b'{"code":"made-up","message":"x"}'), Unavailable),
        (answer("302 Found", b"", "Location: https://elsewhere.example/"), Unavailable),
        (answer("200 OK", b"not json"), Unavailable),
        (answer("200 OK", b'{"sequence":"seven","statement":null}'), Unavailable),
        (answer("200 OK", b"{}"), Unavailable),
        (answer("200 OK", b'{"sequence":7,"statement":"\xff"}'), Unavailable),
        (answer("400 Bad Request", b'{"code":"\xff","message":""}'), Unavailable),
        (answer("200 OK", b'{"x":' + b"[" * 100_000), Unavailable),
        (answer("400 Bad Request", b'{"x":' + b"[" * 100_000), Unavailable),
        (b"no http at all\r\n\r\n", Unavailable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", Unavailable),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
            Unavailable,
        ),
    ],
)
async def test_every_answer_is_a_value_or_an_error_of_the_tree(
    tmp_path: Path, bytes_: bytes, error: type[Exception]
) -> None:
    async with scripted(tmp_path, bytes_) as server, server.client(seconds=2) as hub:
        with pytest.raises(error):
            await ask(hub)
        assert len(server.asked) == 1


@sockets
async def test_what_is_not_there_is_none_and_no_error(tmp_path: Path) -> None:
    gone = answer("404 Not Found", b'{"code":"not-supported","message":"x"}')
    async with scripted(tmp_path, gone, gone) as server, server.client() as hub:
        assert await hub.statement(bytes(32)) is None
        assert await hub.checkpoint() is None


@sockets
@pytest.mark.parametrize(
    ("said", "waited"), [("3", 3.0), ("86400", MOST_RETRY_AFTER_SECONDS), ("-1", 0.0), ("soon", 1.0)]
)
async def test_the_hub_is_given_the_time_that_it_asks_for_and_no_more_than_a_minute(
    tmp_path: Path, said: str, waited: float
) -> None:
    slow = answer("429 Too Many", b'{"code":"too-many","message":"x"}', f"Retry-After: {said}")
    async with scripted(tmp_path, slow, answer("200 OK", STREAM)) as server, server.client() as hub:
        with pytest.raises(TooMany):
            await ask(hub)
        assert await ask(hub) == 7
        assert [seconds for seconds in server.slept if seconds] == [waited] * (waited > 0)


@sockets
async def test_a_hub_that_never_answers_is_given_up(tmp_path: Path) -> None:
    async with scripted(tmp_path, None) as server, server.client(seconds=0.2) as hub:
        with pytest.raises(Unavailable):
            await ask(hub)


@sockets
async def test_an_answer_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.http_hub.MOST_ANSWER_BYTES", 1000)
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    async with scripted(tmp_path, endless) as server, server.client() as hub:
        with pytest.raises(Unavailable, match="too large"):
            await ask(hub)


@sockets
async def test_a_hub_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async with scripted(tmp_path) as server:
        pass
    async with server.client() as hub:
        with pytest.raises(Unavailable):
            await ask(hub)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "vn.pem").write_text("no certificate")
    with pytest.raises(BadConfiguration) as caught:
        pinned_context(bytes(32), tmp_path / "vn.pem", tmp_path / "vn.key")
    assert caught.value.field == "vn.pem"


@pytest.mark.parametrize("code", ["", "made-up", "HalongError"])
def test_a_code_that_is_none_of_ours_has_no_error(code: str) -> None:
    assert error_of(code) is None


@pytest.mark.parametrize("code", ["unavailable", "bad-proof", "too-many", "not-member"])
def test_a_code_leads_back_to_its_error(code: str) -> None:
    error = error_of(code)
    assert error is not None
    assert error.code == code
    assert error.__module__ == "broker.core.errors"
