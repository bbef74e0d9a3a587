"""The SDK: what a program in Python sees of the local API, over real connections."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import adapters
from adapters import WITHHELD, Client, SyncClient
from adapters.configuration import MEMBER_FILE, NodeApi
from adapters.notices import DrugParcel, Feedback, FreeText, Person
from adapters.sdk import client as sdk_client
from adapters.sdk import transport
from broker.core.errors import (
    AddresseeUnreached,
    BadConfiguration,
    BadSlot,
    NotAuthorised,
    NotFound,
    SourceReused,
    Unavailable,
)
from broker.local_token import TOKEN_FILE
from tests.local_api import HOST, TOKEN, Here, local, seen, serving

sockets = pytest.mark.sockets

PARCEL = DrugParcel(
    channel="POST",
    postal_item="RN849807307VN",
    narrative=FreeText(language="en", text="the third one"),
)


def agree(here: Here) -> None:
    here.world.agree("vn", "jp", types=["drug-parcel", "sighting"], slots=["facts", "identifiers"])
    here.world.agree("jp", "vn", types=["feedback"])


@sockets
async def test_a_typed_notice_goes_out_and_comes_in(tmp_path: Path) -> None:
    async with (
        local(tmp_path, "vn", "jp") as here,
        here["vn"].client() as vn,
        here["jp"].client() as jp,
    ):
        agree(here)
        (receiver,) = await vn.preview(PARCEL, countries=["JP"])
        sent = await vn.publish(PARCEL, countries=["JP"], source="case-17")
        again = await vn.publish(PARCEL, countries=["JP"], source="case-17")
        await here.travels("vn", "jp")
        assert (await sent.state()).stage == "proven"
        await here["vn"].node.node.following.step()

        assert (receiver.member, receiver.slots) == ("jp", ["facts", "identifiers"])
        assert (again.id, again.known) == (sent.id, True)
        assert (await sent.wait("delivered", 5)).delivered == 1
        (delivery,) = [each async for each in jp.feed(follow=False)]
        notice = delivery.notice
        assert isinstance(notice, DrugParcel)
        assert notice.channel == "POST"
        assert notice.narrative is WITHHELD
        assert notice.recipient is WITHHELD
        assert notice.route is None
        assert await jp.delivery(delivery.id) == delivery
        assert "RN849807307VN" in await jp.page(delivery, "vi")


@sockets
async def test_what_was_found_is_answered_once_and_read_once(tmp_path: Path) -> None:
    async with (
        local(tmp_path, "vn", "jp") as here,
        here["vn"].client() as vn,
        here["jp"].client() as jp,
    ):
        agree(here)
        await vn.publish(PARCEL, feedback_due="2026-12-01T00:00:00Z")
        await here.travels("vn", "jp")
        (due,) = await jp.feedback_due()
        found = Feedback(outcome="HIT_SEIZED", usefulness=5)

        first = await jp.feedback(due.delivery, found)
        assert first is not None
        assert await jp.feedback(due.delivery, found) is None
        await jp.read(due.delivery)
        await jp.read(due.delivery)

        assert await jp.feedback_due() == []
        await here.travels("jp", "vn")
        (answer,) = [each async for each in vn.feed(follow=False)]
        assert isinstance(answer.notice, Feedback)
        assert (answer.notice.outcome, answer.notice.usefulness) == ("HIT_SEIZED", 5)


@sockets
async def test_errors_are_the_classes_of_their_codes(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here, here["vn"].client() as vn:
        agree(here)
        with pytest.raises(BadSlot) as bad:
            await vn.publish(seen(place=3))
        with pytest.raises(AddresseeUnreached):
            await vn.preview(seen(), addressees=["br"])
        await vn.publish(seen(), source="a")
        with pytest.raises(SourceReused):
            await vn.publish(seen(plate="x"), source="a")
        with pytest.raises(NotFound):
            await vn.notice(99)
        with pytest.raises(NotFound):
            await vn.read("00" * 32)
        async with here["vn"].client("x" * 40) as stranger:
            with pytest.raises(NotAuthorised):
                await stranger.status()
            with pytest.raises(NotAuthorised):
                await anext(stranger.feed())
        sent = await vn.publish(seen(), addressees=["jp"])
        refused = await vn.publish({**seen(), "addressees": ["br"]})
        await here["vn"].node.sends()

        assert bad.value.field == "place"
        with pytest.raises(AddresseeUnreached):
            await refused.wait("proven", 5)
        with pytest.raises(Unavailable):
            await sent.wait("delivered", 0.1)
        assert (await sent.state()).stage == "proven"
        with pytest.raises(ValueError, match="a stage is one of"):
            await sent.wait("deliverd", 0)


@sockets
async def test_a_long_answer_comes_whole_and_one_that_is_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with local(tmp_path, "vn", "jp") as here, here["vn"].client() as vn, here["jp"].client() as jp:
        agree(here)
        text = "x" * 10_000
        await vn.publish_all([seen(place=f"{number} {text}") for number in range(40)])
        await here.travels("vn", "jp")

        found = [each.content["place"].partition(" ")[0] async for each in jp.feed(follow=False)]
        assert found == [str(number) for number in range(40)]

        monkeypatch.setattr(transport, "MOST_ANSWER_BYTES", 100_000)
        with pytest.raises(Unavailable, match="too large"):
            await jp.deliveries()
        assert len((await jp.deliveries(limit=5)).deliveries) == 5


@sockets
async def test_a_feed_goes_on_where_it_was_when_the_node_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_client, "LONGEST_WAIT_SECONDS", 0.1)
    async with local(tmp_path, "vn", "jp") as here:
        agree(here)
        jp = here["jp"].node
        places: list[str] = []

        async def publish(place: str) -> None:
            here["vn"].node.enqueue(place=place)
            await here["vn"].node.sends()
            await jp.receives()

        async with asyncio.timeout(20), serving(jp) as first:
            port = first.port
            client = Client(f"http://{HOST}:{port}", TOKEN)
            await client.__aenter__()
            feed = client.feed()
            await publish("1")
            places.append((await anext(feed)).content["place"])
        await publish("2")
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            waiting = group.create_task(_next(feed))
            async with serving(jp, NodeApi(port=port)):
                places.append(await waiting)
                await publish("3")
                places.append(await _next(feed))
        await client.__aexit__(None, None, None)

        assert places == ["1", "2", "3"]


async def _next(feed: object) -> str:
    delivery = await anext(feed)  # type: ignore[call-overload]
    return str(delivery.content["place"])


@sockets
async def test_the_other_face_blocks_and_says_the_same(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        agree(here)

        def send() -> int:
            with SyncClient(f"http://{HOST}:{here['vn'].port}", TOKEN) as vn:
                assert [each.receives for each in vn.preview(PARCEL)] == [True]
                sent = vn.publish(PARCEL, source="x")
                (again,) = vn.publish_all(
                    [{"type": "drug-parcel", "notice": PARCEL.to_json(), "source": "x"}]
                )
                assert (again.id, again.known) == (sent.id, True)
                assert [each.id for each in vn.notices(source="x")] == [sent.id]
                assert vn.notice(sent.id).stage == sent.state().stage == "queued"
                with pytest.raises(BadSlot):
                    vn.publish(seen(place=3))
                return sent.id

        def receive() -> None:
            with SyncClient(f"http://{HOST}:{here['jp'].port}", TOKEN) as jp:
                (delivery,) = list(jp.feed(follow=False))
                assert isinstance(delivery.notice, DrugParcel)
                assert jp.deliveries().deliveries == [jp.delivery(delivery.id)] == [delivery]
                assert "RN849807307VN" in jp.page(delivery)
                jp.read(delivery)
                given = jp.feedback(delivery, Feedback(outcome="HIT_SEIZED"))
                assert given is not None
                assert jp.feedback_due() == []
                assert jp.status().member == "jp"

        id_ = await asyncio.to_thread(send)
        await here.travels("vn", "jp")
        await asyncio.to_thread(receive)
        await here.travels("vn", "jp")
        await here["vn"].node.node.following.step()
        async with here["vn"].client() as vn:
            assert (await vn.notice(id_)).stage == "acknowledged"


@sockets
async def test_an_answer_that_was_lost_is_asked_again_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    """The first connection is cut after the request arrived: the client cannot know what became of it."""
    async with local(tmp_path, "vn", "jp") as here:
        vn = here["vn"]
        cut: list[bytes] = []

        async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.read(1 << 16)
            to_node = await asyncio.open_connection(HOST, vn.port)
            to_node[1].write(request.replace(f":{port}".encode(), f":{vn.port}".encode()))
            answer = await to_node[0].read(1 << 16)
            to_node[1].transport.abort()
            cut.append(answer)
            if len(cut) == 1:
                writer.transport.abort()
                return
            writer.write(answer)
            await writer.drain()
            writer.transport.close()

        server = await asyncio.start_server(between, HOST, 0)
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(20), server, Client(f"http://{HOST}:{port}", TOKEN) as client:
            sent = await client.publish(seen())

        assert (len(cut), sent.known) == (2, True)
        assert len(vn.node.outgoing.listed()) == 1


def test_a_client_of_a_folder_needs_an_api_and_its_token(tmp_path: Path) -> None:
    (tmp_path / MEMBER_FILE).write_text('member = "vn"\nnetwork = "halong-test"\n')
    with pytest.raises(BadConfiguration, match=r"no \[api\]"):
        Client.of_node(tmp_path)
    with (tmp_path / MEMBER_FILE).open("a") as file:
        file.write("[api]\nport = 1\n")
    with pytest.raises(BadConfiguration, match="no token"):
        Client.of_node(tmp_path)
    (tmp_path / TOKEN_FILE).write_text("x" * 43)
    (tmp_path / TOKEN_FILE).chmod(0o600)
    assert isinstance(Client.of_node(tmp_path), Client)
    assert isinstance(SyncClient.of_node(tmp_path), SyncClient)


@pytest.mark.parametrize("url", ["http://node.example:8446", "http://127.0.0.2.example", "ftp://hub"])
def test_the_token_does_not_leave_the_machine_in_the_clear(url: str) -> None:
    with pytest.raises(BadConfiguration):
        Client(url, TOKEN)


def test_a_client_is_entered_first() -> None:
    with pytest.raises(RuntimeError, match="enter the client first"):
        SyncClient("http://127.0.0.1:1", TOKEN).status()


@sockets
async def test_a_node_that_is_not_there_is_unavailable_and_the_reason_is_told() -> None:
    async with Client("http://127.0.0.1:1", TOKEN) as client:
        with pytest.raises(Unavailable, match="does `halong member` run"):
            await client.status()


def test_a_person_that_is_withheld_cannot_be_taken_for_nobody() -> None:
    parcel = DrugParcel(channel="POST", recipient=Person(name="Ada"))
    assert parcel.recipient
    assert parcel.sender is None
    assert parcel.sender is not WITHHELD


def test_the_door_names_what_there_is_and_loads_no_part_of_the_hub() -> None:
    assert [name for name in adapters.__all__ if not hasattr(adapters, name)] == []
    with pytest.raises(AttributeError):
        adapters.Server  # noqa: B018
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys; from adapters import Client; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    heavy = ("broker.log", "broker.services", "broker.web", "adapters.store", "jinja2", "aiokafka")
    assert "adapters.sdk.client" in loaded
    assert [name for name in loaded if name.startswith(heavy)] == []
