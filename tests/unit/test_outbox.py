"""The outbox: every notice goes out once, under a number of its own, whatever fails in between."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from broker.core.catalogue import Catalogue, NoticeType
from broker.core.errors import TooMany, Unavailable
from broker.core.model import Act, Envelope, Header, Region
from broker.core.records import decode, statement_id
from broker.core.timely import COVERED_WITHIN_MS
from broker.core.wire import Inclusion, Outcome, Outcomes, StatementStatus, StreamPosition
from tests.crash import Crash, CrashPoints
from tests.nodes import LocalHub, OtherHub, TestNode
from tests.world import SIGHTING, World

HIDDEN = NoticeType("hidden", {**SIGHTING.schema, "name": "Hidden"})
"""A type that the node knows and the hub does not."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, "vn", "jp", "nl")
    world.agree("vn", "jp")
    async with world:
        yield world


def numbers(envelopes: Sequence[bytes]) -> list[int]:
    return [decode(Header, decode(Envelope, each).header).sequence for each in envelopes]


class Recorder(OtherHub):
    """The hub, and everything that was ever handed to it."""

    def __init__(self, hub: LocalHub) -> None:
        super().__init__(hub)
        self.handed: list[bytes] = []
        self.requests = 0

    async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
        self.handed += envelopes
        self.requests += 1
        return await super().publish(envelopes)


class Seen(list[Recorder]):
    """The hubs that were put around a node's, one after the other."""

    def wrap(self, hub: LocalHub) -> Recorder:
        self.append(Recorder(hub))
        return self[-1]

    @property
    def handed(self) -> list[bytes]:
        return [each for hub in self for each in hub.handed]


def signed_twice(envelopes: Sequence[bytes]) -> list[str]:
    """Return the references under which more than one thing was said."""
    said: dict[str, set[bytes]] = {}
    for each in envelopes:
        header = decode(Envelope, each).header
        said.setdefault(decode(Header, header).reference, set()).add(header)
    return [reference for reference, headers in said.items() if len(headers) > 1]


async def places(world: World, member: str = "jp") -> list[str]:
    return [received.values["place"] for received in await world.deliveries(member)]


async def test_what_is_queued_is_sent_in_one_request_numbered_chained_and_proven(
    world: World, tmp_path: Path
) -> None:
    hub = Seen()
    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    for place in ("Hai Phong", "Da Nang", "Hue"):
        node.enqueue(place=place)
    await node.sends()

    headers = [decode(Header, decode(Envelope, each).header) for each in hub[0].handed]
    assert hub[0].requests == 1
    assert [header.sequence for header in headers] == [1, 2, 3]
    known = [queued.statement for queued in node.outgoing.listed()]
    assert [header.previous for header in headers] == [None, *known[:2]]
    assert node.states() == [("proven", None)] * 3
    assert await places(world) == ["Hai Phong", "Da Nang", "Hue"]
    assert node.snapshot().alarms == ()


async def test_a_proven_notice_tells_its_reference(world: World, tmp_path: Path) -> None:
    node = TestNode(world, "vn", tmp_path)
    node.enqueue()
    await node.sends()
    (queued,) = node.outgoing.listed()
    assert queued.reference == "asia-pacific/main/1"


async def test_what_was_queued_while_the_hub_was_out_of_reach_goes_out_when_it_is_back(
    world: World, tmp_path: Path
) -> None:
    node = TestNode(world, "vn", tmp_path)
    node.local.online = False
    for number in range(40):
        node.enqueue(place=f"place {number}")
        with pytest.raises(Unavailable):
            await node.node.outbox.step()
        world.clock.move(3_600_000)
    assert node.snapshot().sent == {"waiting": 40}
    node.local.online = True
    await node.sends()
    assert await places(world) == [f"place {number}" for number in range(40)]


async def test_an_answer_that_was_lost_costs_a_repeat_and_nothing_else(world: World, tmp_path: Path) -> None:
    class Deaf(Recorder):
        async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
            answer = await super().publish(envelopes)
            if self.requests < 3:
                raise Unavailable("the answer was lost")
            return answer

    node = TestNode(world, "vn", tmp_path, wrap=Deaf)
    node.enqueue()
    await node.sends()
    assert isinstance(node.hub, Deaf)
    assert len(node.hub.handed) == 3
    assert len(set(node.hub.handed)) == 1
    assert await places(world) == ["Hai Phong"]


async def test_wherever_the_node_dies_nothing_is_lost_doubled_or_signed_twice(
    world: World, tmp_path: Path
) -> None:
    handed: list[bytes] = []

    class Keeping(Recorder):
        def __init__(self, hub: LocalHub) -> None:
            super().__init__(hub)
            self.handed = handed

    sent: list[str] = []
    point = 0
    finished = False
    while not finished:
        point += 1
        points = CrashPoints(None)
        node = TestNode(world, "vn", tmp_path, wrap=Keeping, points=points)
        for part in ("a", "b"):
            sent.append(f"{point} {part}")
            node.enqueue(place=sent[-1])
        points.passed.clear()
        points.crash_at = point
        try:
            await node.sends()
            finished = True
        except* Crash:
            pass
        finally:
            node.close()
    node = TestNode(world, "vn", tmp_path, wrap=Keeping)
    await node.sends()
    assert point > 15
    assert sorted(await places(world)) == sorted(sent)
    assert signed_twice(handed) == []
    assert node.alarms() == []
    node.close()


async def test_what_the_hub_refuses_for_good_ends_with_its_code_and_holds_up_nothing(
    world: World, tmp_path: Path
) -> None:
    node = TestNode(world, "vn", tmp_path, catalogue=Catalogue([SIGHTING, HIDDEN]))
    node.enqueue(place="first")
    node.enqueue({"type": "hidden"})
    node.enqueue(place="third")
    await node.sends()
    assert node.states() == [("proven", None), ("refused", "unknown-type"), ("proven", None)]
    assert await places(world) == ["first", "third"]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"effective_until": "2026-09-21T15:00:00Z"}, "expired", "effective_until"),
        ({"addressees": ["nl"]}, "addressee-unreached", "addressees"),
        ({"addressees": ["jp", "nl"]}, "addressee-unreached", "addressees"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_a_number_is_spent(
    world: World, tmp_path: Path, fields: dict[str, object], code: str, field: str
) -> None:
    node = TestNode(world, "vn", tmp_path)
    node.enqueue(dict(fields))
    node.enqueue()
    world.clock.move(86_400_000)
    await node.sends()
    assert node.states() == [("refused", code), ("proven", None)]
    refused, proven = node.outgoing.listed()
    assert refused.field == field
    assert proven.reference == "asia-pacific/main/1"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"countries": ("vn",)}, "bad-header"),
        ({"act": Act.ERASURE, "references": (bytes(32),)}, "not-supported"),
    ],
)
async def test_what_was_queued_under_other_rules_is_held_to_those_of_now(
    world: World, tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    """An earlier version may have queued what no hub takes any more."""
    node = TestNode(world, "vn", tmp_path, wrap=Recorder)
    node.outgoing.enqueue([replace(node.draft(), **changes)], world.clock.now())
    await node.sends()
    assert node.states() == [("refused", code)]
    assert isinstance(node.hub, Recorder)
    assert node.hub.handed == []


async def test_a_partial_notice_goes_to_whom_it_can_reach(world: World, tmp_path: Path) -> None:
    node = TestNode(world, "vn", tmp_path)
    node.enqueue({"addressees": ["jp", "nl"], "partial": True})
    await node.sends()
    assert await places(world) == ["Hai Phong"]
    assert await places(world, "nl") == []


async def test_a_slot_that_must_be_sealed_goes_out_empty_or_not_at_all(world: World, tmp_path: Path) -> None:
    world.agree("vn", "nl", slots=["facts", "persons"], grant='seal = ["persons"]')
    node = TestNode(world, "vn", tmp_path)
    node.enqueue(person="Ada")
    node.enqueue()
    await node.sends()
    assert node.states() == [("refused", "sealing-required"), ("proven", None)]


async def test_a_type_may_demand_sealing_by_itself(world: World, tmp_path: Path) -> None:
    sealed = NoticeType("sighting", {**SIGHTING.schema, "sealed": ["persons"]})
    node = TestNode(world, "vn", tmp_path, catalogue=Catalogue([sealed]))
    node.enqueue(person="Ada")
    await node.sends()
    assert node.states() == [("refused", "sealing-required")]


async def test_a_node_that_lost_its_store_opens_another_stream(world: World, tmp_path: Path) -> None:
    node = TestNode(world, "vn", tmp_path)
    node.enqueue(place="before")
    await node.sends()
    node.close()
    shutil.rmtree(tmp_path / "vn")

    node = TestNode(world, "vn", tmp_path)
    node.enqueue(place="after")
    await node.sends()
    assert await places(world) == ["before", "after"]
    (queued,) = node.outgoing.listed()
    assert queued.reference is not None
    assert queued.reference.startswith("asia-pacific/main-")
    assert node.alarms() == [("stream.left", "out-of-order")]


async def test_a_node_that_was_set_back_signs_no_number_again(world: World, tmp_path: Path) -> None:
    hub = Seen()
    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    node.enqueue(place="first")
    await node.sends()
    node.close()
    shutil.copy(node.path, tmp_path / "backup")
    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    node.enqueue(place="second")
    await node.sends()
    node.close()
    for file in node.path.parent.glob("node.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup", node.path)

    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    node.enqueue(place="third")
    await node.sends()
    assert await places(world) == ["first", "second", "third"]
    assert signed_twice(hub.handed) == []


@pytest.mark.parametrize("arrived", [0, 1, 2, 3])
async def test_a_node_that_was_set_back_says_nothing_again_that_was_under_way(
    world: World, tmp_path: Path, arrived: int
) -> None:
    class Unheard(Recorder):
        """Takes some of the first request; its answer is lost, and the backup made meanwhile."""

        async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
            if (tmp_path / "backup").exists():
                return await super().publish(envelopes)
            await super().publish(envelopes[:arrived])
            with sqlite3.connect(node.path) as store, sqlite3.connect(tmp_path / "backup") as backup:
                store.backup(backup)
            raise Unavailable("the answer is lost")

    node = TestNode(world, "vn", tmp_path, wrap=Unheard)
    for place in ("first", "second", "third"):
        node.enqueue(place=place)
    with pytest.raises(Unavailable):
        await node.node.outbox.step()
    await world.settle()
    lost = node.outgoing.listed()
    node.enqueue(place="fourth")
    await node.sends()
    node.close()
    for file in node.path.parent.glob("node.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup", node.path)

    node = TestNode(world, "vn", tmp_path, wrap=Unheard)
    node.enqueue(place="fifth")
    await node.sends()
    assert sorted(await places(world)) == ["fifth", "first", "fourth", "second", "third"]
    assert [each.state for each in node.outgoing.listed()] == ["proven"] * 4
    assert [each.statement for each in node.outgoing.listed()][:3] == [each.statement for each in lost]
    assert node.alarms() == [("stream.left", "out-of-order")]


@pytest.mark.parametrize("before", [0, 2])
async def test_a_node_that_was_set_back_says_nothing_again_that_waited(
    world: World, tmp_path: Path, before: int
) -> None:
    """Drafts that were not signed when the backup was made are recognised by the names they got since."""
    node = TestNode(world, "vn", tmp_path)
    for number in range(before):
        node.enqueue(place=f"before {number}")
    await node.sends()
    for number in range(3):
        node.enqueue(place=f"waited {number}")
    node.close()
    shutil.copy(node.path, tmp_path / "backup")
    node = TestNode(world, "vn", tmp_path)
    await node.sends()
    node.enqueue(place="after")
    await node.sends()
    node.close()
    for file in node.path.parent.glob("node.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup", node.path)

    node = TestNode(world, "vn", tmp_path)
    node.enqueue(place="later")
    await node.sends()

    said = await places(world)
    assert sorted(said) == sorted(
        [*(f"before {n}" for n in range(before)), *(f"waited {n}" for n in range(3)), "after", "later"]
    )
    assert {state for state, _ in node.states()} == {"proven"}
    assert node.alarms() == [("stream.left", "out-of-order")]


def with_another_path(_world: World, told: StatementStatus) -> StatementStatus:
    return structs.replace(told, decision_inclusion=Inclusion(0, []))


def with_a_log_that_took_it_in_much_later(world: World, told: StatementStatus) -> StatementStatus:
    assert told.checkpoint is not None
    size, root = world.log_signer.key.open_checkpoint(told.checkpoint)
    late = world.clock.now() + 2 * COVERED_WITHIN_MS
    return structs.replace(told, covered=None, checkpoint=world.log_signer.sign_checkpoint(size, root, late))


@pytest.mark.parametrize(
    ("forged", "code"),
    [(with_another_path, "bad-proof"), (with_a_log_that_took_it_in_much_later, "untimely")],
)
async def test_a_node_that_was_set_back_recognises_nothing_by_a_proof_that_does_not_hold(
    world: World,
    tmp_path: Path,
    forged: Callable[[World, StatementStatus], StatementStatus],
    code: str,
) -> None:
    class Forging(OtherHub):
        """Tells of one statement what is not so, and truly of many."""

        async def statement(self, statement: bytes) -> StatementStatus | None:
            told = await super().statement(statement)
            return told and forged(world, told)

        async def statements(self, statements: Sequence[bytes]) -> Sequence[StatementStatus | None]:
            return [await LocalHub.statement(self, each) for each in statements]

    node = TestNode(world, "vn", tmp_path)
    node.enqueue(place="waited")
    node.close()
    shutil.copy(node.path, tmp_path / "backup")
    node = TestNode(world, "vn", tmp_path)
    await node.sends()
    node.close()
    for file in node.path.parent.glob("node.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup", node.path)

    node = TestNode(world, "vn", tmp_path, wrap=Forging)
    await node.node.outbox.step()
    assert ("proof.bad", code) in node.alarms()
    assert ("proven", None) not in node.states()


async def test_what_was_admitted_although_it_was_refused_is_found_and_not_said_twice(
    world: World, tmp_path: Path
) -> None:
    class Confused(Recorder):
        """Stores the first request, says that it was refused, and denies it when it is asked."""

        async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
            answer = await super().publish(envelopes)
            if self.requests > 1:
                return answer
            first = replace_outcome(answer.results[0])
            return Outcomes([first, *answer.results[1:]])

        async def statement(self, statement: bytes) -> StatementStatus | None:
            return None if self.requests == 1 else await super().statement(statement)

    node = TestNode(world, "vn", tmp_path, wrap=Confused)
    node.enqueue(place="first")
    node.enqueue(place="second")
    await node.sends()
    assert node.states() == [("proven", None)] * 2
    assert await places(world) == ["first", "second"]


def replace_outcome(outcome: Outcome) -> Outcome:
    return Outcome(outcome.statement, outcome.reference, "refused", "out-of-order", "previous")


async def test_what_was_refused_for_good_but_is_at_the_hub_counts_as_accepted(
    world: World, tmp_path: Path
) -> None:
    class LateRefusal(Recorder):
        """Takes the first request, loses the answer, and refuses when it comes again."""

        async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
            if self.requests == 0:
                await super().publish(envelopes)
                raise Unavailable("the answer was lost")
            await self.world.settle()
            results = [Outcome(None, None, "refused", "expired", "effective_until")]
            rest = [Outcome(None, None, "not-attempted", "not-attempted")] * (len(envelopes) - 1)
            return Outcomes(results + rest)

    node = TestNode(world, "vn", tmp_path, wrap=LateRefusal)
    node.enqueue(place="first")
    node.enqueue(place="second")
    await node.sends()
    assert node.states() == [("proven", None)] * 2
    assert await places(world) == ["first", "second"]


async def test_what_is_queued_with_a_clock_ahead_waits_for_its_time(world: World, tmp_path: Path) -> None:
    node = TestNode(world, "vn", tmp_path)
    node.outgoing.enqueue([node.draft(place="early")], world.clock.now() + 3_600_000)
    node.enqueue(place="now")
    await node.node.outbox.step()
    assert [state for state, _ in node.states()] == ["waiting", "accepted"]
    assert node.alarms() == [("outbox.blocked", "not-yet-valid")]
    world.clock.move(3_600_000)
    await node.sends()
    assert await places(world) == ["now", "early"]


async def test_a_key_that_the_hub_does_not_know_holds_notices_and_loses_none(
    world: World, tmp_path: Path
) -> None:
    node = TestNode(world, "vn", tmp_path)
    listed = world.source.members["vn"]
    world.revoke("vn")
    node.enqueue()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await node.node.outbox.step()
    assert node.states() == [("waiting", None)]
    assert node.alarms() == [("outbox.blocked", "unknown-key")]
    world.source.members["vn"] = listed
    await node.sends()
    assert await places(world) == ["Hai Phong"]


async def test_a_rate_is_kept_and_everything_goes_out_in_the_end(tmp_path: Path) -> None:
    world = World(tmp_path, "vn", "jp", rate=3)
    world.agree("vn", "jp")
    async with world:
        node = TestNode(world, "vn", tmp_path)
        for number in range(10):
            node.enqueue(place=str(number))
        slowed = 0
        while node.outgoing.busy_regions():
            try:
                if not await node.node.outbox.step():
                    await world.settle()
            except TooMany:
                slowed += 1
                world.clock.move(1000)
        assert slowed > 1
        assert await places(world) == [str(number) for number in range(10)]


async def test_what_the_hub_acknowledged_and_then_lost_is_sent_again(world: World, tmp_path: Path) -> None:
    class Forgetful(Recorder):
        """Acknowledges the first request and throws it away."""

        async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
            if self.requests == 0:
                self.requests += 1
                self.handed += envelopes
                names = [decode(Envelope, each).header for each in envelopes]
                return Outcomes([Outcome(statement_id(name).hex(), None, "accepted") for name in names])
            return await super().publish(envelopes)

    node = TestNode(world, "vn", tmp_path, wrap=Forgetful)
    node.enqueue()
    await node.node.outbox.step()
    assert node.states() == [("accepted", None)]
    world.clock.move(120_000)
    await node.sends()
    assert await places(world) == ["Hai Phong"]
    assert node.alarms() == [("statement.lost", "unavailable")]


async def test_a_hub_that_denies_what_it_proved_gets_the_rest_in_another_stream(
    world: World, tmp_path: Path
) -> None:
    class SetBack(Recorder):
        """Refuses a number that followed on, and names the very statement that it followed."""

        last = StreamPosition(0, None)

        async def statement(self, statement: bytes) -> StatementStatus | None:
            status = await super().statement(statement)
            if self.requests != 2 or status is None or not status.durable:
                return status
            return StatementStatus(
                status.statement,
                status.reference,
                durable=True,
                decided=False,
                refused="stale",
                last=self.last,
            )

    node = TestNode(world, "vn", tmp_path, wrap=SetBack)
    node.enqueue(place="first")
    await node.sends()
    assert isinstance(node.hub, SetBack)
    node.hub.last = await node.hub.stream(Region.ASIA_PACIFIC, "main")
    node.enqueue(place="second")
    await node.sends()
    assert ("stream.left", "stale") in node.alarms()
    assert node.outgoing.stream(Region.ASIA_PACIFIC).name != "main"


async def test_an_answer_for_another_number_of_notices_or_for_others_is_no_answer(
    world: World, tmp_path: Path
) -> None:
    class Muddled(Recorder):
        async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
            results = (await super().publish(envelopes)).results
            if self.requests == 1:
                return Outcomes(results[:1])
            return Outcomes(results[::-1]) if self.requests == 2 else Outcomes(results)

    node = TestNode(world, "vn", tmp_path, wrap=Muddled)
    node.enqueue(place="first")
    node.enqueue(place="second")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await node.node.outbox.step()
        assert node.states() == [("signed", None)] * 2
    await node.sends()
    assert await places(world) == ["first", "second"]


@pytest.mark.parametrize("times", [0, 2])
async def test_an_answer_about_another_number_of_statements_proves_nothing(
    world: World, tmp_path: Path, times: int
) -> None:
    class Muddled(OtherHub):
        muddled = True

        async def statements(self, statements: Sequence[bytes]) -> Sequence[StatementStatus | None]:
            told = list(await super().statements(statements))
            return told * times if self.muddled else told

    node = TestNode(world, "vn", tmp_path, wrap=Muddled)
    node.enqueue()
    with pytest.raises(Unavailable) as caught:
        await node.node.outbox.step()
    assert caught.value.field == "statuses"
    assert node.states() == [("accepted", None)]
    node.hub.muddled = False  # type: ignore[attr-defined]  # the hub that was wrapped
    await node.sends()
    assert node.states() == [("proven", None)]


@pytest.mark.parametrize("decided", [None, False])
async def test_a_node_that_was_set_back_waits_until_the_hub_tells_what_it_admitted(
    world: World, tmp_path: Path, decided: bool | None
) -> None:
    class Slow(OtherHub):
        slow = True

        async def statement(self, statement: bytes) -> StatementStatus | None:
            told = await super().statement(statement)
            if not self.slow or told is None:
                return told
            return None if decided is None else structs.replace(told, decided=decided)

    node = TestNode(world, "vn", tmp_path)
    node.enqueue(place="before")
    await node.sends()
    node.close()
    shutil.rmtree(tmp_path / "vn")

    node = TestNode(world, "vn", tmp_path, wrap=Slow)
    node.enqueue(place="after")
    with pytest.raises(Unavailable):
        await node.node.outbox.step()
    assert (node.states(), node.alarms()) == ([("waiting", None)], [])
    node.hub.slow = False  # type: ignore[attr-defined]  # the hub that was wrapped
    await node.sends()
    assert await places(world) == ["before", "after"]


async def test_a_hub_whose_clock_is_behind_is_sent_the_same_again(world: World, tmp_path: Path) -> None:
    class Behind(Recorder):
        async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
            if self.requests < 3:
                self.handed += envelopes
                self.requests += 1
                return Outcomes([Outcome(None, None, "refused", "not-yet-valid", "issued_at")])
            return await super().publish(envelopes)

    node = TestNode(world, "vn", tmp_path, wrap=Behind)
    node.enqueue()
    await node.sends()
    assert isinstance(node.hub, Behind)
    assert len(set(node.hub.handed)) == 1
    assert node.states() == [("proven", None)]
    assert node.alarms() == [("outbox.blocked", "not-yet-valid")]


async def test_regions_do_not_hold_each_other_up(world: World, tmp_path: Path) -> None:
    class HalfOpen(Recorder):
        async def stream(self, region: Region, stream: str) -> StreamPosition:
            if region is Region.EUROPE:
                raise Unavailable("not this one")
            return await super().stream(region, stream)

    node = TestNode(world, "vn", tmp_path, wrap=HalfOpen)
    node.enqueue({"region": "europe"})
    node.enqueue({"region": "asia-pacific"})
    for _ in range(3):
        with pytest.raises(Unavailable):
            await node.node.outbox.step()
        await world.settle()
    assert node.states() == [("waiting", None), ("proven", None)]


async def test_sharing_that_is_narrower_or_wider_than_agreed_is_told(world: World, tmp_path: Path) -> None:
    node = TestNode(world, "vn", tmp_path)
    world.agree("vn", "nl", name="with-nl")
    node.enqueue()
    # The node holds other agreements for the version that the hub decides under.
    honest = node.source.load()
    with_jp, with_nl = honest.agreements
    node.source._kept[honest.version] = replace(honest, agreements=(with_jp, replace(with_nl, grants=())))
    node.source.load = lambda: replace(honest, version=b"\0" * 32)  # type: ignore[method-assign]
    await node.sends()
    assert node.alarms() == [("decision.wider", "not-agreed")]
