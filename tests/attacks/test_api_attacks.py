"""What may be tried on the node's local API: by others on the machine, by web pages, by programs that err."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from adapters.api.server import HOST
from adapters.configuration import NodeApi
from broker.core.limits import MOST_REQUEST_BYTES
from tests.local_api import QUICK, TOKEN, Here, Local, local, seen
from tests.served import Answer, read_answer, until

pytestmark = pytest.mark.sockets

Attack: TypeAlias = Callable[[Here], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Row:
    """An attack, and the answer that it gets: status and code."""

    name: str
    status: int
    code: str
    attack: Attack


def get(path: str, **headers: str) -> Attack:
    """Ask for a path, with other headers than usual."""

    async def ask(here: Here) -> Answer:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return await here["vn"].ask("GET", path, headers=told)

    return ask


def post(path: str, body: object, **headers: str) -> Attack:
    """Send a body to a path, with other headers than usual."""

    async def ask(here: Here) -> Answer:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return await here["vn"].ask("POST", path, body, headers=told)

    return ask


async def without_a_token(here: Here) -> Answer:
    return await here["vn"].ask("GET", "/v1/status", token=None)


async def with_another_token(here: Here) -> Answer:
    return await here["vn"].ask("GET", "/v1/status", token=TOKEN + "x")


async def with_part_of_the_token(here: Here) -> Answer:
    return await here["vn"].ask("GET", "/v1/status", token=TOKEN[:-1])


async def without_a_host(here: Here) -> Answer:
    return await here["vn"].raw(
        f"GET /v1/status HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode()
    )


async def an_unknown_path_without_a_token(here: Here) -> Answer:
    return await here["vn"].ask("GET", "/v1/secrets", token=None)


async def another_notice_under_a_source(here: Here) -> Answer:
    await here["vn"].ask("POST", "/v1/notices", {**seen(), "source": "one"})
    return await here["vn"].ask("POST", "/v1/notices", {**seen(plate="x"), "source": "one"})


async def a_chunked_body_without_end(here: Here) -> Answer:
    head = (
        f"POST /v1/notices HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    return await here["vn"].raw(head.encode() + chunk * (MOST_REQUEST_BYTES // 0x10000 + 2))


async def a_body_that_says_it_is_too_large(here: Here) -> Answer:
    head = (
        f"POST /v1/notices HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {MOST_REQUEST_BYTES + 1}\r\n\r\n"
    )
    return await here["vn"].raw(head.encode())


async def a_body_that_trickles(here: Here) -> Answer:
    head = (
        f"POST /v1/notices HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    return await here["vn"].raw(head.encode())


async def as_many_bodies_as_memory_might_hold(here: Here) -> Answer:
    """Eight that do not end, and one more."""
    head = (
        f"POST /v1/notices HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    writers = []
    for _ in range(8):
        _, writer = await asyncio.open_connection(HOST, here["br"].port)
        writer.write(head.encode())
        writers.append(writer)
    handlers = here["br"].server._handlers
    await until(lambda: handlers._bodies == 8)
    answer = await here["br"].ask("POST", "/v1/notices", seen())
    for writer in writers:
        writer.transport.abort()
    return answer


ROWS = [
    Row("no token", 401, "not-authorised", without_a_token),
    Row("another token", 401, "not-authorised", with_another_token),
    Row("a part of the token", 401, "not-authorised", with_part_of_the_token),
    Row("an unknown path and no token", 401, "not-authorised", an_unknown_path_without_a_token),
    Row("a page's own name, pointed here", 401, "not-authorised", get("/v1/status", Host="evil.example")),
    Row("the same with our port", 401, "not-authorised", get("/v1/status", Host="evil.example:8446")),
    Row("a name that only begins like ours", 401, "not-authorised", get("/v1/status", Host="localhost.evil")),
    Row(
        "a name that hides ours as its port", 401, "not-authorised", get("/v1/status", Host="evil:127.0.0.1")
    ),
    Row(
        "the description by a page's own name",
        401,
        "not-authorised",
        get("/openapi.json", Host="evil.example"),
    ),
    Row("no name", 400, "not-canonical", without_a_host),
    Row("an unknown path", 404, "not-found", get("/v1/secrets")),
    Row("a way up", 400, "not-canonical", get("/v1/types/..%2f..%2fkeys")),
    Row("a notice that is not there", 404, "not-found", get("/v1/notices/9")),
    Row("a delivery that is not there", 404, "not-found", get(f"/v1/deliveries/{'0' * 64}")),
    Row("a type that is not there", 404, "not-found", get("/v1/types/gossip")),
    Row("a number that is none", 400, "not-canonical", get("/v1/notices/one")),
    Row("a number in other digits", 400, "not-canonical", get("/v1/notices/%D9%A3")),
    Row("a number of a thousand digits", 400, "not-canonical", get(f"/v1/notices/{'9' * 1000}")),
    Row("a parameter out of range", 400, "not-canonical", get("/v1/deliveries?limit=100000")),
    Row("a wait for ever", 400, "not-canonical", get("/v1/deliveries?wait=1e9")),
    Row("no number to wait", 400, "not-canonical", get("/v1/deliveries?wait=nan")),
    Row("a parameter twice", 400, "not-canonical", get("/v1/deliveries?after=1&after=2")),
    Row("a parameter that nothing has", 400, "not-canonical", get("/v1/status?debug=1")),
    Row("a body that is no JSON", 400, "not-canonical", post("/v1/notices", b"{")),
    Row("a body of text", 400, "not-canonical", post("/v1/notices", b"{}", Content_Type="text/plain")),
    Row(
        "a form of a page",
        400,
        "not-canonical",
        post("/v1/notices", b"a=b", Content_Type="application/x-www-form-urlencoded"),
    ),
    Row("a body nested without end", 400, "not-canonical", post("/v1/notices", b"[" * 100_000)),
    Row(
        "a compressed body",
        400,
        "not-canonical",
        post("/v1/notices", gzip.compress(b"{}"), Content_Encoding="gzip"),
    ),
    Row("an expectation that nothing meets", 417, "not-canonical", post("/v1/notices", seen(), Expect="x")),
    Row("an expectation without a token", 417, "not-canonical", get("/openapi.json", Expect="200-ok")),
    Row("no notice at all", 400, "not-canonical", post("/v1/notices", [])),
    Row("too many notices", 400, "not-canonical", post("/v1/notices", [{}] * 1001)),
    Row("a key that is none", 400, "not-canonical", post("/v1/notices", seen(), Idempotency_Key="a b")),
    Row("a notice that is no object", 422, "bad-header", post("/v1/notices", 3)),
    Row("a field that no notice has", 422, "bad-header", post("/v1/notices", {**seen(), "sender": "jp"})),
    Row("a source that is no text", 422, "bad-header", post("/v1/notices", {**seen(), "source": 3})),
    Row("a source with a line feed", 422, "bad-header", post("/v1/notices", {**seen(), "source": "a\nb"})),
    Row("an unknown type", 422, "unknown-type", post("/v1/notices", {"type": "gossip", "notice": {}})),
    Row("content that does not fit", 422, "bad-slot", post("/v1/preview", seen(place=3))),
    Row(
        "to nobody who may have it",
        422,
        "addressee-unreached",
        post("/v1/preview", {**seen(), "addressees": ["br"]}),
    ),
    Row("another notice under a source", 409, "source-reused", another_notice_under_a_source),
    Row("a body without end", 413, "too-large", a_chunked_body_without_end),
    Row("a body that says it is too large", 413, "too-large", a_body_that_says_it_is_too_large),
    Row("as many bodies as memory might hold", 429, "too-many", as_many_bodies_as_memory_might_hold),
    Row("a body that trickles", 503, "unavailable", a_body_that_trickles),
]


async def test_each_is_refused_with_its_code_and_changes_nothing(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp", "br", settings=NodeApi(port=0, body_seconds=2.0)) as here:
        found = {}
        for row in ROWS:
            answer = await row.attack(here)
            found[row.name] = (answer.status, answer.json["code"])
            assert answer.headers["content-type"] == "application/problem+json", row.name
            assert answer.json["status"] == answer.status
        assert found == {row.name: (row.status, row.code) for row in ROWS}
        assert [each.draft.source for each in here["vn"].node.outgoing.listed()] == ["one"]


async def test_a_page_of_another_origin_is_given_no_leave_to_ask(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        vn = here["vn"]
        asks = {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        answers = [
            await vn.ask("OPTIONS", "/v1/notices", token=None, headers=asks),
            await vn.ask("GET", "/openapi.json", token=None, headers=asks),
            await vn.ask("GET", "/v1/status", headers=asks),
        ]

        for answer in answers:
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answers[0].status == 401


async def _ends(here: Local, sent: bytes) -> bool:
    """Send bytes and wait until the other side hangs up."""
    reader, writer = await asyncio.open_connection(HOST, here.port)
    writer.write(sent)
    try:
        async with asyncio.timeout(5):
            while await reader.read(1024):
                pass
        return True
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("sent", [b"", b"GET /v1/status HT", b"GET /v1/status HTTP/1.1\r\nHost: 127"])
async def test_a_header_that_does_not_end_is_waited_for_a_while(tmp_path: Path, sent: bytes) -> None:
    async with local(tmp_path, "vn", "jp", settings=QUICK) as here:
        assert await _ends(here["vn"], sent)


async def test_one_connection_too_many_is_cut_and_the_others_go_on(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp", settings=NodeApi(port=0, connections=2)) as here:
        vn = here["vn"]
        held = [await asyncio.open_connection(HOST, vn.port) for _ in range(2)]
        await until(lambda: vn.server._connections.count == 2)

        assert await _ends(vn, b"")

        request = f"GET /v1/status HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        for reader, writer in held:
            writer.write(request.encode())
            assert (await read_answer(reader)).status == 200
            writer.transport.abort()
        await until(lambda: vn.server._connections.count == 0)


async def test_the_api_listens_on_this_machine_alone(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        with pytest.raises(OSError):  # noqa: PT011 - refused, or no such address: nobody answers there
            async with asyncio.timeout(2):
                await asyncio.open_connection("127.0.0.2", here["vn"].port)
