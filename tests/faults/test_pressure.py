"""One member that floods, or that asks and does not listen, slows nobody else and fills nobody's memory."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from pathlib import Path

import pytest

from broker.core.errors import TooMany
from broker.services import gateway
from broker.services.turns import Turns
from broker.web.api import FEEDS
from tests.served import SECONDS, Served, read_answer, served, until
from tests.world import World, sighting

FLOODS = 24
"""Connections over which one member sends full requests without end."""

A_FLOOD = 512
NOTICES = 12
LARGE = "x" * 16_000
MANY = 200
"""Deliveries that are together more than what any buffer between hub and member holds."""


async def test_peers_take_turns_and_each_has_but_one_at_a_time() -> None:
    turns = Turns("requests", 3, at_once=1)
    order: list[str] = []

    async def work(peer: str) -> None:
        async with turns.of(peer):
            for _ in range(3):
                order.append(peer)
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for peer in ("much", "much", "much", "little"):
            group.create_task(work(peer))

    assert order[:6] == ["much", "little"] * 3
    assert turns.present("much") == 0


async def test_what_is_too_much_is_refused_at_once_and_room_is_given_back() -> None:
    turns = Turns("feeds", 2)
    async with turns.of("vn"), turns.of("jp"):
        async with turns.of("vn"):
            with pytest.raises(TooMany, match="2 feeds"):
                async with turns.of("vn"):
                    pass
        async with turns.of("vn"):
            pass


async def test_a_member_has_so_much_undecided_and_others_as_much_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "MOST_UNDECIDED", 5)
    async with World(tmp_path, "vn", "jp") as world:
        world.stop_services()
        for _ in range(5):
            assert (await world.publish("vn", sighting())).outcome.status == "accepted"

        with pytest.raises(TooMany) as refused:
            await world.publish("vn", sighting())
        assert refused.value.field == "undecided"
        assert (await world.publish("jp", sighting())).outcome.status == "accepted"
        # The dispatcher comes back, and there is room again.
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            dispatching = group.create_task(world.dispatcher.run())
            while not await world.gateway._backlog.has_room("vn"):
                await world.log.wait(await world.log.ends(["decisions"]), 1)
            dispatching.cancel()
        assert (await world.publish("vn", sighting(), stream="other")).outcome.status == "accepted"


@pytest.mark.sockets
async def test_a_member_that_floods_has_no_more_of_the_gateway_than_another(tmp_path: Path) -> None:
    """While the other's one notice is under way, a request or two of the flood are checked, not all."""
    async with served(tmp_path, "vn", "jp") as hub:
        world = hub.world
        world.agree("jp", "vn")
        flood = [world.compose("vn", sighting()) for _ in range(A_FLOOD)]
        between: list[int] = []

        def checked() -> int:
            return int(world.metrics.notices.labels("accepted")._value.get())

        async with asyncio.TaskGroup() as group:
            floods = [group.create_task(flooding(hub, flood)) for _ in range(FLOODS)]
            await until(lambda: checked() > 2 * A_FLOOD)
            for _ in range(NOTICES):
                before = checked()
                answer = await hub.ask(
                    "POST", "/v1/notices", body(world.compose("jp", sighting())), name="jp"
                )
                assert answer.json["results"][0]["status"] == "accepted"
                between.append(checked() - before)
            for each in floods:
                each.cancel()

    assert max(between) <= 3 * A_FLOOD, between


async def flooding(hub: Served, envelopes: list[bytes]) -> None:
    reader, writer = await hub.connect("vn")
    data = body(*envelopes)
    request = b"POST /v1/notices HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    try:
        while True:
            writer.write(request)
            await writer.drain()
            answer = await read_answer(reader)
            if answer.status == 429:
                # As a well-behaved client would not do: at once again.
                assert int(answer.headers["retry-after"]) >= 1
    finally:
        writer.transport.abort()


def body(*envelopes: bytes) -> bytes:
    return json.dumps({"envelopes": [b64encode(each).decode() for each in envelopes]}).encode()


@pytest.mark.sockets
async def test_a_member_that_asks_and_does_not_read_holds_no_more_than_its_feeds(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp", "nl") as hub:
        world = hub.world
        for receiver in ("jp", "nl"):
            world.agree("vn", receiver, slots=["facts", "identifiers", "intelligence"])
        for _ in range(MANY):
            await world.publish("vn", sighting(text=LARGE, place=LARGE, plate=LARGE))
        await world.settle()
        feed = "/v1/feed?after=0&limit=1024"
        deaf = [await hub.connect("jp") for _ in range(FEEDS)]
        try:
            for _, writer in deaf:
                writer.write(b"GET %s HTTP/1.1\r\nHost: hub\r\n\r\n" % feed.encode())
            await until(lambda: hub.server._api._feeds.present("jp") == FEEDS)

            # Answered long ago, and not taken: one more would be one more in memory.
            refused = await hub.ask("GET", feed, name="jp")
            assert (refused.status, refused.json["code"]) == (429, "too-many")
            assert int(refused.headers["retry-after"]) >= 1

            # Nobody else hears of it.
            async with asyncio.timeout(SECONDS):
                answer = await hub.ask("GET", feed, name="nl")
                assert len(answer.json["items"]) > MANY / 2
                assert (await hub.ask("GET", "/v1/checkpoint", name="jp")).status == 200
        finally:
            for _, writer in deaf:
                writer.transport.abort()
        await until(lambda: hub.server._api._feeds.present("jp") == 0)
