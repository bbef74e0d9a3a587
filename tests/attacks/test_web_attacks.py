"""What may be tried on the hub's sockets: strangers, the slow, the large, the malformed."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pytest

from broker import bounded_http
from broker.configuration import Limits
from broker.core.keys import Algorithm, PrivateKey
from broker.core.model import Refusal
from broker.core.records import unframe
from broker.log import Partition
from broker.log.topics import REFUSALS
from tests.served import HOST, QUICK, Answer, Served, read_answer, served, until
from tests.signed_world import SignedWorld
from tests.world import NOW, counted, sighting

pytestmark = pytest.mark.sockets

Attack: TypeAlias = Callable[[Served], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Row:
    """An attack, and the answer that it gets: status and code."""

    name: str
    status: int
    code: str
    attack: Attack


async def a_stranger(hub: Served) -> Answer:
    hub.certify("stranger", PrivateKey.generate(Algorithm.ESP256))
    return await hub.ask("GET", "/v1/feed", name="stranger")


async def a_strangers_notice(hub: Served) -> Answer:
    hub.certify("vn", PrivateKey.generate(Algorithm.ESP256))
    return await hub.ask("POST", "/v1/notices", b'{"envelopes": []}')


async def a_member_that_left(hub: Served) -> Answer:
    hub.world.revoke("vn")
    await hub.world.directory.refresh()
    return await hub.ask("GET", "/v1/checkpoint")


async def a_key_that_does_not_count_yet(hub: Served) -> Answer:
    hub.world.clock.move(-30 * 86_400_000)
    return await hub.ask("GET", "/v1/checkpoint")


async def a_look_at_anothers_statement(hub: Served) -> Answer:
    sent = await hub.world.publish("vn", sighting())
    await hub.world.settle()
    return await hub.ask("GET", f"/v1/statements/{sent.statement.hex()}", name="jp")


async def a_look_at_anothers_among_several(hub: Served) -> Answer:
    sent = await hub.world.publish("vn", sighting())
    await hub.world.settle()
    return await hub.ask("POST", "/v1/statements", statements(bytes(32), sent.statement), name="jp")


def statements(*ids: bytes) -> bytes:
    return json.dumps({"statements": [each.hex() for each in ids]}).encode()


async def too_many_statements(hub: Served) -> Answer:
    return await hub.ask("POST", "/v1/statements", statements(*[bytes(32)] * 257))


async def ids_that_are_none(hub: Served) -> Answer:
    return await hub.ask("POST", "/v1/statements", statements(bytes(31)))


async def a_notice_for_another(hub: Served) -> Answer:
    envelope = b64encode(hub.world.compose("vn", sighting())).decode()
    answer = await hub.ask("POST", "/v1/notices", f'{{"envelopes": ["{envelope}"]}}'.encode(), name="jp")
    (outcome,) = answer.json["results"]
    return replace(answer, body=b'{"code": "%s"}' % outcome["code"].encode())


async def a_body_that_is_no_json(hub: Served) -> Answer:
    return await hub.ask("POST", "/v1/notices", b"{")


async def a_body_that_is_no_utf_8(hub: Served) -> Answer:
    return await hub.ask("POST", "/v1/notices", b'{"envelopes": ["\xff"]}')


async def a_body_of_another_shape(hub: Served) -> Answer:
    return await hub.ask("POST", "/v1/notices", b'{"envelopes": [1]}')


async def a_body_without_its_field(hub: Served) -> Answer:
    return await hub.ask("POST", "/v1/receipts", b"{}")


async def a_body_nested_without_end(hub: Served) -> Answer:
    return await hub.ask("POST", "/v1/notices", b'{"x":' + b"[" * 100_000)


async def bytes_that_are_no_base64(hub: Served) -> Answer:
    return await hub.ask("POST", "/v1/notices", b'{"envelopes": ["?"]}')


async def too_many_notices(hub: Served) -> Answer:
    return await hub.ask("POST", "/v1/notices", b'{"envelopes": [' + b'"",' * 1024 + b'""]}')


async def a_body_that_is_too_large(hub: Served) -> Answer:
    return await hub.raw(
        b"POST /v1/notices HTTP/1.1\r\nHost: hub\r\nContent-Length: 16777217\r\n\r\n" + bytes(1 << 20)
    )


async def an_endless_body_in_chunks(hub: Served) -> Answer:
    reader, writer = await hub.connect()
    writer.write(b"POST /v1/notices HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(17):
        writer.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
    try:
        return await read_answer(reader)
    finally:
        writer.transport.abort()


async def a_bomb(hub: Served) -> Answer:
    bomb = gzip.compress(bytes(64 << 20))
    return await hub.ask("POST", "/v1/notices", bomb, headers={"Content-Encoding": "gzip"})


async def a_long_line(hub: Served) -> Answer:
    return await hub.ask("GET", "/v1/feed?after=" + "1" * 5000)


async def a_long_header(hub: Served) -> Answer:
    return await hub.ask("GET", "/v1/feed", headers={"X": "y" * 5000})


async def many_headers(hub: Served) -> Answer:
    return await hub.ask("GET", "/v1/feed", headers={f"X-{n}": "y" for n in range(100)})


async def no_http(hub: Served) -> Answer:
    return await hub.raw(b"\x16\x03\x01 what is this\r\n\r\n")


async def two_lengths(hub: Served) -> Answer:
    lengths = b"Content-Length: 5\r\nTransfer-Encoding: chunked"
    return await hub.raw(b"POST /v1/notices HTTP/1.1\r\nHost: hub\r\n" + lengths + b"\r\n\r\n0\r\n\r\n")


async def chunks_that_are_none(hub: Served) -> Answer:
    return await hub.raw(
        b"POST /v1/notices HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"
    )


async def a_path_that_is_not_there(hub: Served) -> Answer:
    return await hub.ask("GET", "/v1/../../etc/passwd")


async def another_method(hub: Served) -> Answer:
    return await hub.ask("DELETE", "/v1/feed")


async def an_id_that_is_none(hub: Served) -> Answer:
    return await hub.ask("GET", "/v1/statements/..%2f..%2f")


async def a_region_that_is_none(hub: Served) -> Answer:
    return await hub.ask("GET", "/v1/streams/atlantis/main")


async def a_negative_place(hub: Served) -> Answer:
    return await hub.ask("GET", "/v1/feed?after=-1")


async def a_place_in_other_digits(hub: Served) -> Answer:
    return await hub.ask("GET", "/v1/feed?after=%D9%A1")


async def a_wait_that_is_no_number(hub: Served) -> Answer:
    return await hub.ask("GET", "/v1/feed?wait=nan")


async def a_wait_with_a_part_that_is_none(hub: Served) -> Answer:
    return await hub.ask("GET", "/v1/feed?wait=1.e9")


async def an_id_in_upper_case(hub: Served) -> Answer:
    return await hub.ask("GET", f"/v1/statements/{'AB' * 32}")


async def a_number_of_witnesses_in_other_digits(hub: Served) -> Answer:
    return await hub.ask("GET", "/log/cosigned?least=%D9%A1")


async def more_witnesses_than_anybody_has(hub: Served) -> Answer:
    return await hub.ask("GET", "/log/cosigned?least=10000")


async def a_body_that_trickles(hub: Served) -> Answer:
    reader, writer = await hub.connect()
    writer.write(b"POST /v1/notices HTTP/1.1\r\nHost: hub\r\nContent-Length: 1000\r\n\r\n{")
    try:
        return await read_answer(reader)
    finally:
        writer.transport.abort()


ROWS = (
    Row("a certificate of the authority whose key belongs to nobody", 403, "not-member", a_stranger),
    Row("a certificate in a member's name with another key", 403, "not-member", a_strangers_notice),
    Row("a member whose key was revoked", 403, "not-member", a_member_that_left),
    Row("a member whose key does not count yet", 403, "not-member", a_key_that_does_not_count_yet),
    Row("a look at another's statement", 403, "not-yours", a_look_at_anothers_statement),
    Row("a look at another's statement among several", 403, "not-yours", a_look_at_anothers_among_several),
    Row("more statements than a question may have", 413, "too-large", too_many_statements),
    Row("an id of another length in a list", 400, "not-canonical", ids_that_are_none),
    Row("a notice in another's name", 200, "not-yours", a_notice_for_another),
    Row("a body that is no JSON", 400, "not-canonical", a_body_that_is_no_json),
    Row("a body that is no UTF-8", 400, "not-canonical", a_body_that_is_no_utf_8),
    Row("a body of another shape", 400, "not-canonical", a_body_of_another_shape),
    Row("a body without its field", 400, "not-canonical", a_body_without_its_field),
    Row("a body nested without end", 400, "not-canonical", a_body_nested_without_end),
    Row("bytes that are no base64", 400, "not-canonical", bytes_that_are_no_base64),
    Row("more notices than a request may have", 413, "too-large", too_many_notices),
    Row("a body that says that it is too large", 413, "too-large", a_body_that_is_too_large),
    Row("a body that never ends", 413, "too-large", an_endless_body_in_chunks),
    Row("a body that unfolds into 64 MiB", 400, "not-canonical", a_bomb),
    Row("a request line that is too long", 400, "not-canonical", a_long_line),
    Row("a header that is too long", 400, "not-canonical", a_long_header),
    Row("too many headers", 400, "not-canonical", many_headers),
    Row("no HTTP at all", 400, "not-canonical", no_http),
    Row("a body with two lengths", 400, "not-canonical", two_lengths),
    Row("a body in chunks that are none", 400, "not-canonical", chunks_that_are_none),
    Row("a path out of the tree", 404, "not-supported", a_path_that_is_not_there),
    Row("a method that is not there", 405, "not-supported", another_method),
    Row("a path as an id", 400, "not-canonical", an_id_that_is_none),
    Row("a region that is none", 400, "not-canonical", a_region_that_is_none),
    Row("a negative place", 400, "not-canonical", a_negative_place),
    Row("a place in other digits", 400, "not-canonical", a_place_in_other_digits),
    Row("a wait that is no number", 400, "not-canonical", a_wait_that_is_no_number),
    Row("a wait with a part that is none", 400, "not-canonical", a_wait_with_a_part_that_is_none),
    Row("an id in upper case", 400, "not-canonical", an_id_in_upper_case),
    Row("witnesses in other digits", 400, "not-canonical", a_number_of_witnesses_in_other_digits),
    Row("more witnesses than anybody has", 400, "not-canonical", more_witnesses_than_anybody_has),
    Row("a body that trickles", 503, "unavailable", a_body_that_trickles),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_it_is_answered_with_its_status_and_code(row: Row, tmp_path: Path) -> None:
    limits = QUICK if "trickles" in row.name else Limits()
    async with served(tmp_path, "vn", "jp", limits=limits) as hub, asyncio.timeout(20):
        answer = await row.attack(hub)

        assert (answer.status, answer.json["code"]) == (row.status, row.code)
        assert (await hub.ask("GET", "/v1/feed", name="jp")).status in (200, 403), "others are served"


@pytest.mark.parametrize("path", ["?known=abcd", f"?known={'AB' * 32}", f"/versions/{'AB' * 32}"])
async def test_a_version_in_another_form_is_none(path: str, tmp_path: Path) -> None:
    async with served(tmp_path, "vn", kind=SignedWorld) as hub:
        answer = await hub.ask("GET", f"/v1/directory{path}")
        assert (answer.status, answer.json["code"]) == (400, "not-canonical")


async def test_a_stranger_leaves_a_record_with_its_key(tmp_path: Path) -> None:
    async with served(tmp_path, "vn") as hub:
        await a_stranger(hub)

        (stored,) = await hub.world.log.read(Partition(REFUSALS), 0, 10)
        refusal = unframe(Refusal, stored.value)
        assert (refusal.peer, refusal.code) == ("-", "not-member")
        assert len(refusal.content) == 32


@pytest.mark.parametrize("name", ["no certificate", "a certificate of another authority"])
async def test_who_has_no_certificate_of_the_authority_gets_no_answer(name: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with served(tmp_path, "vn") as hub:
        context = hub.context(None)
        if name.startswith("a certificate"):
            other = Served(hub.world, tmp_path / "other", Limits())
            context.load_cert_chain(tmp_path / "other" / "vn.pem", other.folder / "vn.key")
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await get_feed(hub, context)


async def get_feed(hub: Served, context: ssl.SSLContext) -> Answer:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(HOST, hub.port, ssl=context, server_hostname=HOST)
        try:
            writer.write(b"GET /v1/feed HTTP/1.1\r\nHost: hub\r\n\r\n")
            return await read_answer(reader)
        finally:
            writer.transport.abort()


async def test_older_tls_is_not_spoken(tmp_path: Path) -> None:
    async with served(tmp_path, "vn") as hub:
        context = hub.context("vn")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(HOST, hub.port, ssl=context, server_hostname=HOST)


async def ends(reader: asyncio.StreamReader) -> bool:
    """Return when the peer has closed the connection."""
    async with asyncio.timeout(8):
        try:
            return await reader.read(1) == b""
        except ConnectionError:
            return True


@pytest.mark.parametrize(
    "first",
    [b"", b"GET /v1/feed HTTP/1.1\r\nHost: h", b"POST /v1/notices HTTP/1.1\r\n"],
    ids=["says nothing", "stops in a header", "stops between headers"],
)
async def test_who_does_not_end_its_header_is_cut(first: bytes, tmp_path: Path) -> None:
    async with served(tmp_path, "vn", limits=QUICK) as hub:
        reader, writer = await hub.connect()
        writer.write(first)

        assert await ends(reader)
        writer.transport.abort()


async def test_a_header_that_trickles_is_cut_however_often_a_byte_comes(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", limits=QUICK) as hub:
        reader, writer = await hub.connect()
        writer.write(b"GET /v1/feed HTTP/1.1\r\nX: ")
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(ends(reader))
            while not ended.done():
                writer.write(b"y")
                await asyncio.wait([ended], timeout=0.05)
        assert ended.result()
        writer.transport.abort()


async def test_a_second_header_that_trickles_is_cut_too(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", limits=QUICK) as hub:
        reader, writer = await hub.connect()
        writer.write(b"GET /v1/feed HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert (await read_answer(reader)).status == 200
        writer.write(b"GET /v1/fe")

        assert await ends(reader)
        writer.transport.abort()


async def test_who_does_not_finish_the_handshake_is_cut(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", limits=QUICK) as hub:
        reader, writer = await asyncio.open_connection(HOST, hub.port)

        assert await ends(reader)
        writer.transport.abort()


async def test_who_is_idle_is_cut(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", limits=QUICK) as hub:
        reader, writer = await hub.connect()
        writer.write(b"GET /v1/feed HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert (await read_answer(reader)).status == 200

        assert await ends(reader)
        writer.transport.abort()


async def test_who_does_not_take_its_answer_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "WRITE_SECONDS", 0.3)
    async with served(tmp_path, "vn", "jp") as hub:
        hub.world.agree("vn", "jp", slots=["facts", "entities", "persons", "intelligence"])
        texts = dict.fromkeys(("place", "firm", "person", "text"), "x" * 16_000)
        for _ in range(128):
            await hub.world.publish("vn", sighting(**texts))
        await hub.world.settle()
        _, writer = await hub.connect("jp")

        # Some answers of 11 MB are more than what the system holds for a client that does not read.
        writer.write(20 * b"GET /v1/feed?limit=1024 HTTP/1.1\r\nHost: hub\r\n\r\n")
        await until(lambda: counted(hub.world.metrics.feed_answers) > 0)
        await until(lambda: hub.server._connections.count == 0)
        assert counted(hub.world.metrics.feed_answers) < 5, "the other answers were not even made"
        writer.transport.abort()


async def test_garbage_behind_a_request_ends_the_connection(tmp_path: Path) -> None:
    async with served(tmp_path, "vn") as hub, asyncio.timeout(10):
        reader, writer = await hub.connect()
        writer.write(b"GET /v1/streams/europe/main HTTP/1.1\r\nHost: hub\r\n\r\n\0\0garbage\r\n\r\n")

        answer = await read_answer(reader)

        assert (answer.status, answer.json["code"]) == (400, "not-canonical")
        assert await ends(reader)
        writer.transport.abort()


async def test_requests_that_come_at_once_are_answered_in_order(tmp_path: Path) -> None:
    async with served(tmp_path, "vn") as hub, asyncio.timeout(10):
        reader, writer = await hub.connect()
        paths = [f"/v1/feed?after={place}" for place in range(20)]
        writer.write(b"".join(f"GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n".encode() for path in paths))

        assert [(await read_answer(reader)).json["next"] for _ in paths] == list(range(20))
        writer.transport.abort()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v1/fe",
        b"POST /v1/notices HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\n{",
        b"GET /v1/feed?wait=20 HTTP/1.1\r\nHost: hub\r\n\r\n",
    ],
    ids=["in the header", "in the body", "in a long poll"],
)
async def test_who_closes_its_half_is_let_go_at_once(sent: bytes, tmp_path: Path) -> None:
    async with served(tmp_path, "vn") as hub, asyncio.timeout(10):
        _, writer = await hub.connect()
        await until(lambda: hub.server._connections.count == 1)
        writer.write(sent)
        await writer.drain()

        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)

        await until(lambda: hub.server._connections.count == 0)
        writer.transport.abort()


async def test_one_key_has_a_bounded_number_of_connections(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp", limits=Limits(connections_per_key=2)) as hub:
        held = [await hub.connect("vn") for _ in range(2)]
        for reader, writer in held:
            writer.write(b"GET /v1/feed HTTP/1.1\r\nHost: hub\r\n\r\n")
            assert (await read_answer(reader)).status == 200

        reader, third = await hub.connect("vn")

        assert await ends(reader)
        assert (await hub.ask("GET", "/v1/feed", name="jp")).status == 200
        for _, writer in [*held, (reader, third)]:
            writer.transport.abort()


async def test_the_connections_of_a_revoked_key_are_cut_at_once(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub, asyncio.timeout(10):
        reader, writer = await hub.connect("vn")
        writer.write(b"GET /v1/feed?wait=60 HTTP/1.1\r\nHost: hub\r\n\r\n")
        other, stays = await hub.connect("jp")
        stays.write(b"GET /v1/feed HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert (await read_answer(other)).status == 200

        hub.world.revoke("vn")
        await hub.world.directory.refresh()

        assert await ends(reader)
        stays.write(b"GET /v1/feed HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert (await read_answer(other)).status == 200
        for one in (writer, stays):
            one.transport.abort()


async def test_a_key_that_ends_is_refused_on_the_connection_that_is_open(tmp_path: Path) -> None:
    async with served(tmp_path, "vn") as hub, asyncio.timeout(10):
        reader, writer = await hub.connect("vn")
        writer.write(b"GET /v1/feed HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert (await read_answer(reader)).status == 200

        hub.world.clock.move(-(NOW // 2))
        writer.write(b"GET /v1/feed HTTP/1.1\r\nHost: hub\r\n\r\n")

        assert (await read_answer(reader)).json["code"] == "not-member"
        writer.transport.abort()


async def test_who_is_too_fast_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", rate=1) as hub:
        envelopes = [b64encode(hub.world.compose("vn", sighting())).decode() for _ in range(2)]

        answers = [
            await hub.ask("POST", "/v1/notices", f'{{"envelopes": ["{one}"]}}'.encode()) for one in envelopes
        ]

        assert [one.status for one in answers] == [200, 429]
        assert answers[1].json["code"] == "too-many"
        assert answers[1].headers["retry-after"] == "1"


async def test_a_member_has_a_bounded_number_of_bodies_under_way(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub, asyncio.timeout(10):
        held = [await hub.connect("vn") for _ in range(8)]
        for _, writer in held:
            writer.write(b"POST /v1/notices HTTP/1.1\r\nHost: hub\r\nContent-Length: 1000\r\n\r\n{")
        await until(lambda: hub.server._api._requests.present("vn") == 8)

        answer = await hub.ask("POST", "/v1/notices", b'{"envelopes": []}')

        assert (answer.status, answer.json["code"]) == (429, "too-many")
        assert (await hub.ask("POST", "/v1/notices", b'{"envelopes": []}', name="jp")).status == 200
        for _, writer in held:
            writer.transport.abort()
