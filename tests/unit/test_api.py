"""The local API: what the member's own systems ask of the node, over real connections."""

from __future__ import annotations

import asyncio
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from adapters.api.openapi import FILE, description, page
from adapters.api.routes import ROUTES
from broker.core.errors import BadConfiguration
from broker.local_token import TOKEN_FILE, Token, make_token, read_token
from tests.local_api import Here, local, seen
from tests.world import CATALOGUE

sockets = pytest.mark.sockets
ROOT = Path(__file__).parents[2]


async def published(here: Here, *notices: object, member: str = "vn") -> list[int]:
    answer = await here[member].ask("POST", "/v1/notices", list(notices) if len(notices) > 1 else notices[0])
    assert answer.status == 202, answer.body
    return [each["id"] for each in answer.json["notices"]]


# --- sending ------------------------------------------------------------------------------------------


@sockets
async def test_a_notice_is_followed_from_the_queue_to_its_reader(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        here.world.agree("vn", "jp")
        (id_,) = await published(here, seen(plate="51F-123.45"))
        vn, jp = here["vn"], here["jp"]

        async def stage() -> tuple[str, int | None, int, int]:
            state = (await vn.ask("GET", f"/v1/notices/{id_}")).json
            return state["stage"], state["receivers"], state["delivered"], state["acknowledged"]

        assert await stage() == ("queued", None, 0, 0)
        await vn.node.sends()
        assert await stage() == ("proven", 1, 0, 0)
        await here.travels("vn", "jp")
        await vn.node.node.following.step()
        assert await stage() == ("delivered", 1, 1, 0)

        (delivery,) = (await jp.ask("GET", "/v1/deliveries")).json["deliveries"]
        read = [await jp.ask("POST", f"/v1/deliveries/{delivery['delivery']}/read") for _ in range(2)]
        assert [(each.status, each.json["known"]) for each in read] == [(202, False), (202, True)]
        await here.travels("vn", "jp")
        here.world.clock.move(1000)
        await vn.node.node.following.step()
        assert await stage() == ("acknowledged", 1, 1, 1)


@sockets
async def test_a_stage_is_waited_for_and_told_as_soon_as_it_is_reached(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here, asyncio.TaskGroup() as group:
        here.world.agree("vn", "jp")
        (id_,) = await published(here, seen())
        waiting = group.create_task(here["vn"].ask("GET", f"/v1/notices/{id_}?stage=proven&wait=9"))
        await here["vn"].node.sends()

        assert (await waiting).json["stage"] == "proven"


@sockets
async def test_what_nobody_gets_is_as_far_as_it_comes_when_it_is_proven(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        (id_,) = await published(here, seen())
        await here["vn"].node.sends()

        async with asyncio.timeout(5):
            state = (await here["vn"].ask("GET", f"/v1/notices/{id_}?stage=delivered&wait=60")).json

        assert (state["stage"], state["receivers"]) == ("proven", 0)


@sockets
async def test_a_refused_notice_says_why(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        (id_,) = await published(here, {**seen(), "addressees": ["jp"]})
        await here["vn"].node.sends()

        state = (await here["vn"].ask("GET", f"/v1/notices/{id_}?stage=delivered&wait=9")).json

        assert (state["stage"], state["code"], state["field"]) == (
            "refused",
            "addressee-unreached",
            "addressees",
        )


@sockets
async def test_where_nothing_can_be_stored_what_is_known_is_told_and_nothing_is_taken(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        here.world.agree("vn", "jp")
        vn = here["vn"]
        (id_,) = await published(here, seen())
        await vn.node.sends()
        vn.node.store._connection.execute("PRAGMA query_only = ON")
        vn.server._changes._store._connection.execute("PRAGMA query_only = ON")

        state = await vn.ask("GET", f"/v1/notices/{id_}?stage=acknowledged&wait=0.2")
        taken = await vn.ask("POST", "/v1/notices", seen())

        assert (state.status, state.json["stage"]) == (200, "proven")
        assert (taken.status, taken.json["code"]) == (503, "unavailable")


@sockets
async def test_a_source_is_queued_once_and_another_notice_under_it_is_refused(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        vn = here["vn"]
        notice = {**seen(), "source": "case-17", "countries": ["VN", "JP"]}
        (first,) = await published(here, notice)

        again = await vn.ask("POST", "/v1/notices", {**notice, "countries": ["JP", "VN"]})
        other = await vn.ask("POST", "/v1/notices", {**notice, "countries": ["JP"]})
        twice = await vn.ask(
            "POST", "/v1/notices", [{**seen(), "source": "b"}, {**seen(plate="x"), "source": "b"}]
        )

        assert again.json["notices"] == [{"id": first, "known": True, "source": "case-17"}]
        assert (other.status, other.json["code"], other.json["field"]) == (409, "source-reused", "source")
        assert (twice.status, twice.json["field"]) == (409, "1.source")
        assert len((await vn.ask("GET", "/v1/notices")).json["notices"]) == 1
        assert [one["id"] for one in (await vn.ask("GET", "/v1/notices?source=case-17")).json["notices"]] == [
            first
        ]


@sockets
async def test_a_request_with_a_key_can_be_repeated(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        notices = [seen(plate="a"), {**seen(plate="b"), "source": "mine"}]
        answers = [
            await here["vn"].ask("POST", "/v1/notices", notices, headers={"Idempotency-Key": "8e03"})
            for _ in range(2)
        ]

        first, second = (each.json["notices"] for each in answers)
        assert [each["source"] for each in first] == ["8e03/0", "mine"]
        assert [each["id"] for each in first] == [each["id"] for each in second]
        assert [each["known"] for each in first + second] == [False, False, True, True]


@sockets
async def test_of_many_notices_all_are_queued_or_none(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        vn = here["vn"]
        refused = await vn.ask("POST", "/v1/notices", [seen(), seen(colour="red")])

        assert (refused.status, refused.json["code"], refused.json["field"]) == (422, "bad-slot", "1.colour")
        assert (await vn.ask("GET", "/v1/notices")).json["notices"] == []
        assert await published(here, seen(), seen(), seen()) == [1, 2, 3]
        page = (await vn.ask("GET", "/v1/notices?after=1&limit=1")).json["notices"]
        assert [one["id"] for one in page] == [2]


@sockets
async def test_a_preview_says_who_gets_what_and_queues_nothing(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp", "br") as here:
        here.world.agree("vn", "jp", slots=["facts"])

        answer = (await here["vn"].ask("POST", "/v1/preview", seen())).json

        (jp, br) = answer["receivers"]
        assert (jp["member"], jp["slots"], jp["receives"]) == ("jp", ["facts"], True)
        assert (br["member"], br["slots"], br["receives"]) == ("br", [], False)
        assert br["reason"]
        assert (await here["vn"].ask("GET", "/v1/notices")).json["notices"] == []


# --- receiving ----------------------------------------------------------------------------------------


@sockets
async def test_a_reader_goes_on_from_its_place_and_misses_nothing(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        here.world.agree("vn", "jp")
        await published(here, *(seen(place=str(number)) for number in range(5)))
        await here.travels("vn", "jp")

        place, places, more = 0, [], True
        while more:
            answer = (await here["jp"].ask("GET", f"/v1/deliveries?after={place}&limit=2")).json
            places += [each["notice"]["place"] for each in answer["deliveries"]]
            place, more = answer["place"], answer["more"]

        assert places == ["0", "1", "2", "3", "4"]
        assert (await here["jp"].ask("GET", f"/v1/deliveries?after={place}")).json == {
            "deliveries": [],
            "place": place,
            "more": False,
        }


@sockets
async def test_a_waiting_reader_is_told_when_something_comes(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here, asyncio.TaskGroup() as group:
        here.world.agree("vn", "jp")
        waiting = group.create_task(here["jp"].ask("GET", "/v1/deliveries?wait=9"))
        await published(here, seen())
        await here.travels("vn", "jp")

        assert len((await waiting).json["deliveries"]) == 1


@sockets
async def test_exercises_are_shown_to_those_who_ask_for_them(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        here.world.agree("vn", "jp", grant='statuses = ["ACTUAL", "EXERCISE"]')
        await published(here, {**seen(), "status": "EXERCISE"}, seen())
        await here.travels("vn", "jp")

        async def statuses(query: str) -> list[str]:
            answer = (await here["jp"].ask("GET", f"/v1/deliveries{query}")).json
            return [each["status"] for each in answer["deliveries"]]

        assert await statuses("") == ["ACTUAL"]
        assert await statuses("?status=EXERCISE") == ["EXERCISE"]
        assert await statuses("?status=EXERCISE&status=ACTUAL") == ["EXERCISE", "ACTUAL"]
        assert await statuses("?limit=1") == ["ACTUAL"]


@sockets
async def test_what_was_withheld_is_said_to_be_and_is_not_there(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        here.world.agree("vn", "jp", slots=["facts"])
        await published(here, seen(person="Ada"))
        await here.travels("vn", "jp")
        listed = await here["jp"].ask("GET", "/v1/deliveries")
        (delivery,) = listed.json["deliveries"]
        one = await here["jp"].ask("GET", f"/v1/deliveries/{delivery['delivery']}")
        page = await here["jp"].ask("GET", f"/v1/deliveries/{delivery['delivery']}/page?language=vi")

        assert one.json == delivery
        assert (delivery["slots"]["facts"], delivery["slots"]["persons"]) == ("shown", "withheld")
        assert "person" not in delivery["notice"]
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        for answer in (listed, one, page):
            assert b"Ada" not in answer.body
            assert b"Hai Phong" in answer.body


@sockets
async def test_a_delivery_that_somebody_changed_in_the_store_is_not_shown(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        here.world.agree("vn", "jp")
        await published(here, seen(plate="51F-123.45"))
        await here.travels("vn", "jp")
        store = here["jp"].node.store
        with store.write():
            store.run("UPDATE deliveries SET record = CAST(replace(hex(record), '35314', '35324') AS BLOB)")

        answer = await here["jp"].ask("GET", "/v1/deliveries")

        assert (answer.status, answer.json["code"]) == (503, "unavailable")
        assert [event for event, _ in here["jp"].node.alarms()] == ["delivery.changed"]


@sockets
async def test_a_notice_is_answered_once_and_what_is_due_is_listed(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        here.world.agree("vn", "jp")
        here.world.agree("jp", "vn", types=["feedback"])
        due = "2026-12-01T00:00:00Z"
        await published(here, {**seen(), "feedback_due": due})
        await here.travels("vn", "jp")
        jp = here["jp"]
        (owed,) = (await jp.ask("GET", "/v1/feedback")).json["due"]
        body = {"to": owed["delivery"], "notice": {"outcome": "CHECKED_NO_FINDING"}}

        first, second = [await jp.ask("POST", "/v1/feedback", body) for _ in range(2)]
        unknown = await jp.ask("POST", "/v1/feedback", {**body, "to": "00" * 32})

        assert owed["due_at"] == "2026-12-01T00:00:00.000Z"
        assert (first.status, first.json["known"], second.json) == (202, False, {"id": None, "known": True})
        assert unknown.status == 422
        await here.travels("jp", "vn")
        (answered,) = (await here["vn"].ask("GET", "/v1/deliveries")).json["deliveries"]
        assert (answered["type"], answered["notice"]["outcome"]) == ("feedback", "CHECKED_NO_FINDING")


# --- the node and its description -----------------------------------------------------------------------


@sockets
async def test_the_node_tells_how_it_is_and_what_it_knows(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        vn = here["vn"]
        await published(here, seen())
        status = (await vn.ask("GET", "/v1/status")).json
        types = (await vn.ask("GET", "/v1/types")).json["types"]
        schema = (await vn.ask("GET", "/v1/types/drug-parcel")).json

        assert (status["member"], status["notices"]) == ("vn", {"queued": 1})
        assert {each["name"] for each in types} >= {"drug-parcel", "feedback", "sighting"}
        assert jsonschema_rs.validator_for(schema).is_valid({"channel": "POST"})


@sockets
async def test_the_description_is_told_to_everybody_and_says_nothing_of_the_node(tmp_path: Path) -> None:
    async with local(tmp_path, "vn", "jp") as here:
        answer = await here["vn"].ask("GET", "/openapi.json", token=None)

        assert answer.json == msgspec.json.decode(
            msgspec.json.encode(description(CATALOGUE, here["vn"].port))
        )


def test_the_description_in_the_documentation_is_that_of_the_routes() -> None:
    assert (ROOT / FILE).read_bytes() == page()


def test_every_route_has_an_operation_and_every_reference_leads_somewhere() -> None:
    told = msgspec.json.decode(page())
    operations = {
        (method.upper(), path): operation["operationId"]
        for path, methods in told["paths"].items()
        for method, operation in methods.items()
    }

    assert operations == {(route.method, route.path): route.name for route in ROUTES}
    known = told["components"]["schemas"]

    def follow(value: object) -> None:
        match value:
            case {"$ref": str() as ref}:
                assert ref.removeprefix("#/components/schemas/") in known
            case dict():
                for each in value.values():
                    follow(each)
            case list():
                for each in value:
                    follow(each)
            case _:
                pass

    follow(told)


# --- the token ------------------------------------------------------------------------------------------


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    token = make_token(tmp_path)

    assert make_token(tmp_path) == read_token(tmp_path) == token
    assert (tmp_path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    assert len(token) >= 43


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0o600, "no token"),
        (b"x" * 43, 0o640, "others can read"),
        (b"x" * 43, 0o604, "others can read"),
        (b"short", 0o600, "is no token"),
        (b"", 0o600, "is no token"),
        ("ü".encode() * 40, 0o600, "is no token"),
        (b"x" * 5000, 0o600, "longer"),
        (b"two words " * 5, 0o600, "is no token"),
    ],
)
def test_a_token_that_is_none_is_not_used(
    tmp_path: Path, content: bytes | None, mode: int, said: str
) -> None:
    if content is not None:
        (tmp_path / TOKEN_FILE).write_bytes(content)
        (tmp_path / TOKEN_FILE).chmod(mode)

    with pytest.raises(BadConfiguration, match=said):
        read_token(tmp_path)


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ("Bearer secret", True),
        ("bearer secret", True),
        ("Bearer  secret ", True),
        ("Basic secret", False),
        ("Bearer Secret", False),
        ("Bearer", False),
        ("secret", False),
        ("", False),
        (None, False),
        ("Bearer secret\udcff", False),
    ],
)
def test_only_the_token_itself_is_the_token(header: str | None, shown: bool) -> None:
    assert Token("secret").is_shown(header) is shown
