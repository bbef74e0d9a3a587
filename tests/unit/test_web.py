"""The hub's HTTP interface as the node's own client uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from adapters.http_hub import HttpHub, WrongHub, pinned_context
from broker.core.errors import NotYours, TooMany, Unavailable
from broker.core.merkle import leaf_hash, verify_inclusion
from broker.core.model import Delivery, Region
from broker.core.note import LogKey
from broker.core.records import decode, encode, leaf_entry
from broker.core.wire import Publication
from broker.log import Log, LogUnavailable, Record
from tests.crash import CrashingLog, CrashPoints
from tests.served import HOST, Served, served, until
from tests.world import sighting

pytestmark = pytest.mark.sockets


def client(hub: Served, name: str, pin: bytes | None = None) -> HttpHub:
    context = pinned_context(
        pin or hub.pin, hub.folder / f"{name}.pem", hub.folder / f"{name}.key", hub.folder / "authority.pem"
    )
    return HttpHub(f"https://{HOST}:{hub.port}", context)


async def test_a_notice_goes_from_one_member_to_another_and_its_receipt_comes_back(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub, client(hub, "vn") as vn, client(hub, "jp") as jp:
        hub.world.agree("vn", "jp")
        await hub.world.directory.refresh()
        envelopes = [hub.world.compose("vn", sighting(place=f"place {n}")) for n in range(3)]

        outcomes = (await vn.publish(envelopes)).results
        assert [one.status for one in outcomes] == ["accepted"] * 3
        feed = await jp.feed(0, 100, 10)
        while len(feed.items) < 3:
            feed = await jp.feed(0, 100, 10)

        assert feed.checkpoint is not None
        size, root = LogKey.parse(hub.world.log_signer.vkey).open_checkpoint(feed.checkpoint)
        for item in feed.items:
            entry = leaf_entry(decode(Delivery, item.delivery))
            assert verify_inclusion(leaf_hash(entry), item.index, size, item.path, root)
        received = [hub.world.received(item) for item in feed.items]
        assert [one.values["place"] for one in received] == ["place 0", "place 1", "place 2"]

        await jp.receipts([encode(hub.world.receipt("jp", *[one.id for one in received]))])
        await hub.world.settle()
        status = await vn.statement(received[0].head.statement)
        assert status is not None
        assert (status.decided, status.deliveries, status.receipts) == (True, 1, {"delivered": 1})
        position = await vn.stream(Region.ASIA_PACIFIC, "main")
        assert (position.sequence, position.statement) == (3, received[2].head.statement.hex())
        checkpoint = await vn.checkpoint()
        assert checkpoint is not None
        assert LogKey.parse(hub.world.log_signer.vkey).open_checkpoint(checkpoint).size >= size


async def test_codes_come_back_as_the_errors_that_they_are(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp", rate=1) as hub, client(hub, "vn") as vn, client(hub, "jp") as jp:
        sent = hub.world.compose("vn", sighting())
        (outcome,) = (await vn.publish([sent])).results
        assert outcome.statement is not None
        await hub.world.settle()

        with pytest.raises(NotYours):
            await jp.statement(bytes.fromhex(outcome.statement))
        with pytest.raises(NotYours):
            await jp.statements([bytes.fromhex(outcome.statement)])
        with pytest.raises(TooMany):
            await vn.publish([hub.world.compose("vn", sighting())])


async def test_several_statements_are_told_of_as_each_by_itself(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub, client(hub, "vn") as vn:
        envelopes = [hub.world.compose("vn", sighting(place=f"place {n}")) for n in range(3)]
        sent = [bytes.fromhex(one.statement or "") for one in (await vn.publish(envelopes)).results]
        await hub.world.settle()
        asked = [sent[2], bytes(32), sent[0], sent[1]]
        told = await vn.statements(asked)
        assert told == [await vn.statement(each) for each in asked]
        assert [one is not None and one.decided for one in told] == [True, False, True, True]


async def test_a_feed_waits_and_is_woken_by_the_checkpoint(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub, client(hub, "jp") as jp:
        hub.world.agree("vn", "jp")
        await hub.world.directory.refresh()
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            waiting = group.create_task(jp.feed(0, 100, 60))
            await hub.world.publish("vn", sighting())

        assert len(waiting.result().items) == 1


async def test_before_the_first_checkpoint_there_is_none(tmp_path: Path) -> None:
    async with served(tmp_path, "vn") as hub, client(hub, "vn") as vn:
        await hub.world.settle()
        hub.world.tasks["ledger"].cancel()
        hub.world.ledger._published = None

        assert await vn.checkpoint() is None


async def test_a_node_does_not_speak_to_another_hub_than_the_pinned_one(tmp_path: Path) -> None:
    async with served(tmp_path, "vn") as hub, client(hub, "vn", pin=bytes(32)) as vn:
        with pytest.raises(WrongHub):
            await vn.checkpoint()


async def test_who_hangs_up_does_not_go_on_waiting(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub:
        for _ in range(10):
            _, writer = await hub.connect("jp")
            writer.write(b"GET /v1/feed?wait=60 HTTP/1.1\r\nHost: hub\r\n\r\n")
            await until(lambda: hub.server._api._feeds.present("jp") == 1)

            writer.transport.abort()

            await until(lambda: hub.server._api._feeds.present("jp") == 0)


async def test_a_hub_that_stops_answers_whoever_waits_quickly(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with served(tmp_path, "vn", "jp") as hub:
        _, writer = await hub.connect("jp")
        writer.write(b"GET /v1/feed?wait=60 HTTP/1.1\r\nHost: hub\r\n\r\n")
        await until(lambda: hub.server._api._feeds.present("jp") == 1)
        started = loop.time()
    assert loop.time() - started < 5
    writer.transport.abort()


async def test_a_log_that_cannot_store_is_told_as_such_and_the_same_may_come_again(tmp_path: Path) -> None:
    failing = {"gateway"}

    class Full(CrashingLog):
        async def append(self, records: Sequence[Record]) -> Sequence[int]:
            if failing:
                raise LogUnavailable("/var/lib/halong/log.db is full", field="/var/lib/halong/log.db")
            return await super().append(records)

    def wrap(service: str, log: Log) -> Log:
        return Full(log, CrashPoints()) if service == "gateway" else log

    async with (
        served(tmp_path, "vn", "jp", wrap=wrap) as hub,
        client(hub, "vn") as vn,
        client(hub, "jp") as jp,
    ):
        hub.world.agree("vn", "jp")
        await hub.world.directory.refresh()
        envelope = hub.world.compose("vn", sighting())
        with pytest.raises(Unavailable):
            await vn.publish([envelope])
        answer = await hub.ask("POST", "/v1/notices", msgspec.json.encode(Publication([envelope])))
        assert (answer.status, answer.json["code"]) == (503, "unavailable")
        assert b"/var" not in answer.body, "where our files are is nobody's business"
        assert (await hub.ask("GET", "/v1/feed", name="jp")).status == 200

        failing.clear()
        (outcome,) = (await vn.publish([envelope])).results
        await hub.world.settle()

        assert outcome.status == "accepted"
        assert len((await jp.feed(0, 100, 0)).items) == 1
