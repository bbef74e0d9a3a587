"""A hub of several processes at several addresses: a node finds one that answers, and that is not behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from adapters.http_hub import HttpHub
from broker.core.errors import Unavailable
from broker.core.model import Region
from broker.core.note import LogKey
from broker.core.wire import NOT_HERE, Feed
from broker.services.metrics import Metrics
from broker.web.api import Services
from broker.web.hub import HubServer, server_context
from tests.served import HOST, Served, served
from tests.unit.test_http_hub import STREAM, answer, scripted
from tests.unit.test_web import client
from tests.world import sighting

pytestmark = pytest.mark.sockets

ELSEWHERE = answer("503 Unavailable", b'{"code":"%s","message":""}' % NOT_HERE.encode())
BUSY = answer("503 Unavailable", b'{"code":"unavailable","message":""}')


async def ask(hub: HttpHub) -> int:
    return (await hub.stream(Region.ASIA_PACIFIC, "main")).sequence


def addresses(hub: HttpHub, *ports: int) -> HttpHub:
    """The client of a scripted server, at other addresses."""
    return HttpHub(" ".join(f"https://{HOST}:{port}" for port in ports), hub._context, sleep=hub._sleep)


async def test_an_address_that_does_not_answer_is_left_for_the_next_at_once_and_for_good(
    tmp_path: Path,
) -> None:
    async with scripted(tmp_path) as dead:
        pass
    async with (
        scripted(tmp_path, *[answer("200 OK", STREAM)] * 2) as server,
        addresses(server.client(), dead.port, server.port) as hub,
    ):
        assert await ask(hub) == 7
        assert await ask(hub) == 7


async def test_what_one_process_does_not_answer_is_asked_of_another(tmp_path: Path) -> None:
    async with (
        scripted(tmp_path, ELSEWHERE, answer("200 OK", STREAM)) as server,
        addresses(server.client(), server.port, server.port) as hub,
    ):
        assert await ask(hub) == 7


async def test_an_address_that_cannot_answer_now_is_left_for_the_next_question(tmp_path: Path) -> None:
    async with scripted(tmp_path) as dead:
        pass
    async with (
        scripted(tmp_path, BUSY, answer("200 OK", STREAM)) as server,
        addresses(server.client(), server.port, dead.port, server.port) as hub,
    ):
        with pytest.raises(Unavailable):
            await ask(hub)
        assert await ask(hub) == 7


async def test_when_none_answers_it_is_said_once_all_were_asked(tmp_path: Path) -> None:
    async with scripted(tmp_path, ELSEWHERE, ELSEWHERE) as server:
        async with addresses(server.client(), server.port, server.port) as hub:
            with pytest.raises(Unavailable):
                await ask(hub)
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/feed?after=0"),
        ("GET", f"/v1/statements/{bytes(32).hex()}"),
        ("GET", "/v1/streams/asia-pacific/main"),
        ("GET", "/v1/checkpoint"),
        ("POST", "/v1/notices"),
        ("POST", "/v1/receipts"),
    ],
)
async def test_a_process_says_what_it_does_not_answer_and_never_that_there_is_no_such_thing(
    tmp_path: Path, method: str, path: str
) -> None:
    async with served(tmp_path, "vn") as hub, asyncio.TaskGroup() as group:
        world, folder = hub.world, hub.folder
        nothing = Services(world.directory, world.clock, Metrics(), hub.limits, world.refused)
        tls = server_context(folder / "hub.pem", folder / "hub.key", folder / "authority.pem")
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        running = group.create_task(HubServer(nothing, tls, HOST, 0).run(port.set_result))
        hub.port = await port

        told = await hub.ask(method, path)

        assert (told.status, told.json["code"]) == (503, NOT_HERE)
        running.cancel()


async def size_of(hub: Served, feed: Feed) -> int:
    assert feed.checkpoint is not None
    return LogKey.parse(hub.world.log_signer.vkey).open_checkpoint(feed.checkpoint)[0]


async def test_whoever_has_seen_more_is_answered_when_this_process_has_it_too(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub, client(hub, "vn") as vn:
        await hub.world.publish("vn", sighting())
        await hub.world.settle()
        seen = hub.world.ledger.size + 1
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(hub.ask("GET", f"/v1/feed?after=0&seen={seen}"))
            await vn.checkpoint()
            assert not asking.done()
            await hub.world.publish("vn", sighting())

        feed = msgspec.json.decode(asking.result().body, type=Feed)
        assert await size_of(hub, feed) >= seen


async def test_the_client_says_what_it_has_seen(tmp_path: Path) -> None:
    note = b"halong-test/log\n12\nroot\n\n"
    first = msgspec.json.encode(Feed([], 0, 0, note))
    empty = msgspec.json.encode(Feed([], 0, 0, None))
    async with scripted(tmp_path, answer("200 OK", first), answer("200 OK", empty)) as server:
        async with server.client() as hub:
            await hub.feed(0, 1, 0)
            await hub.feed(0, 1, 0)
        assert [b"seen=12 " in asked for asked in server.asked] == [False, True]
