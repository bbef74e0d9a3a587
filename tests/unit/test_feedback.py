"""Feedback: what is due, the answer that reaches the originator, and what the originator learns from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.feedback.answering import Answer, compose_answer, due, find_received, queue_answer
from adapters.feedback.counts import count
from adapters.feedback.reminders import Reminders
from adapters.feedback.view import FeedbackView, Shared
from adapters.store import Store
from broker.core.errors import AddresseeUnreached, BadHeader, BadSlot
from broker.core.index import Index
from broker.core.model import Status, Tlp
from tests.nodes import TestNode
from tests.world import DAY, World

HOUR = 3_600_000


def agree(world: World, *, way_back: bool = True, more: str = "") -> None:
    """vn gives jp sightings and asks for feedback within three days."""
    world.agree("vn", "jp", grant="feedback_hours = 72", more=more)
    if way_back:
        world.agree("jp", "vn", types=["feedback"], name="back")


def owed(node: TestNode, **within: int) -> list[tuple[str, bool]]:
    found = due(node.store, node.member, node.catalogue, node.world.clock.now(), **within)
    return [(each.shared.reference, each.overdue) for each in found]


def give(node: TestNode, name: str, outcome: str = "HIT_SEIZED", **how: Any) -> Answer:
    index, now = Index(node.source.load()), node.world.clock.now()
    content = {"outcome": outcome}
    made = compose_answer(node.store, node.member, node.catalogue, index, name, content, now=now, **how)
    return queue_answer(node.store, made, now=now, again=how.get("again", False))


def view(node: TestNode) -> FeedbackView:
    found = FeedbackView(node.store, node.member, node.catalogue)
    found.read_all()
    return found


def sent(node: TestNode, reference: str) -> Shared:
    (found,) = view(node).find(reference)
    return found


async def delivered(world: World, vn: TestNode, jp: TestNode, **fields: Any) -> str:
    """Send a sighting, and return its reference."""
    number = vn.enqueue(fields)
    await vn.sends()
    await jp.receives()
    queued = vn.outgoing.queued(number)
    assert queued is not None
    return f"vn/{queued.reference}"


async def test_feedback_goes_to_the_originator_and_is_counted_against_its_own_statement(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        reference = await delivered(world, vn, jp)
        assert owed(jp) == [(reference, False)]
        assert owed(vn) == []
        assert sent(vn, reference).due_at == sent(jp, reference).due_at

        given = give(jp, reference)
        await jp.sends()
        await vn.receives()

        assert [each.member for each in given.receivers if each.receives] == ["vn"]
        assert owed(jp) == []
        assert sent(jp, reference).outcome == sent(vn, reference).outcome == "HIT_SEIZED"
        (received,) = view(vn).given(to_us=True, limit=10)
        assert (received.receiver, received.outcome) == ("jp", "HIT_SEIZED")
        assert received.shared is not None
        assert received.shared.reference == reference


async def test_the_longest_overdue_comes_first_and_what_is_due_late_can_be_left_out(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        first = await delivered(world, vn, jp)
        world.clock.move(2 * DAY)
        second = await delivered(world, vn, jp)
        assert owed(jp, within_ms=2 * DAY) == [(first, False)]

        world.clock.move(DAY + HOUR)

        assert owed(jp) == [(first, True), (second, False)]


async def test_an_answer_is_queued_once_unless_another_is_asked_for(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        reference = await delivered(world, vn, jp)

        numbers = [give(jp, reference).queued for _ in range(3)]
        again = [give(jp, reference, "HIT_OTHER_OFFENCE", again=True).queued for _ in range(2)]

        assert numbers[0] is not None
        assert numbers[1:] == [None, None]
        assert None not in again
        world.clock.move(1)
        await jp.sends()
        await vn.receives()
        assert sent(vn, reference).outcome == "HIT_OTHER_OFFENCE"
        assert view(vn).answers_by(sent(vn, reference).statement, "jp") == 3


async def test_an_answer_that_was_refused_is_owed_again_and_can_be_given_again(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        reference = await delivered(world, vn, jp)
        number = give(jp, reference).queued
        assert number is not None
        assert owed(jp) == []

        jp.outgoing.refuse_draft(number, "addressee-unreached", None)

        assert owed(jp) == [(reference, False)]
        assert give(jp, reference).queued not in (None, number)
        assert owed(jp) == []


async def test_without_a_grant_back_nothing_is_queued_and_it_is_said_why(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world, way_back=False)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        reference = await delivered(world, vn, jp)

        with pytest.raises(AddresseeUnreached):
            give(jp, reference)

        assert jp.states() == []
        assert owed(jp) == [(reference, False)]


async def test_an_open_case_is_answered_while_its_agreement_winds_down(tmp_path: Path) -> None:
    """The one agreement of the two ends; the answer refers to what was shared under it before."""
    async with World(tmp_path, "vn", "jp") as world:
        ends = "terminated_on = 2026-09-30\n            wind_down_days = 90"
        world.agree("vn", "jp", grant="feedback_hours = 72", more=ends, name="both", types=["sighting"])
        agreement = world.source.text_of(world.source.agreements["both"]).decode()
        world.source.add_agreement(
            agreement.replace("version = 1", "version = 2").encode()
            + b'\n[[grant]]\nfrom = "jp"\nto = "vn"\ntypes = ["feedback"]\nslots = ["facts"]\n'
        )
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        reference = await delivered(world, vn, jp)
        world.clock.move(20 * DAY)

        give(jp, reference)
        await jp.sends()
        await vn.receives()

        assert jp.states()[-1][0] == "proven"
        assert sent(vn, reference).outcome == "HIT_SEIZED"


async def test_feedback_of_a_member_that_never_got_the_notice_counts_for_nothing(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        agree(world)
        world.agree("nl", "vn", types=["feedback"])
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        nl = TestNode(world, "nl", tmp_path)
        reference = await delivered(world, vn, jp)
        statement = sent(vn, reference).statement.hex()
        nl.outgoing.enqueue(
            [
                nl.draft(
                    {
                        "type": "feedback",
                        "act": "FEEDBACK",
                        "references": [statement],
                        "notice": {"outcome": "REJECTED"},
                    }
                )
            ],
            world.clock.now(),
        )
        await nl.sends()
        await vn.receives()

        assert sent(vn, reference).answered_at is None
        (received,) = view(vn).given(to_us=True, limit=10)
        assert (received.receiver, received.shared) == ("nl", None)


async def test_what_its_originator_cancels_needs_no_answer(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        reference = await delivered(world, vn, jp)
        statement = sent(vn, reference).statement.hex()

        await delivered(world, vn, jp, act="CANCEL", references=[statement])

        assert owed(jp) == []
        assert sent(vn, reference).due_at is None


async def test_the_answer_is_of_the_status_and_at_least_as_closed_as_the_notice(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        every = 'statuses = ["ACTUAL", "EXERCISE"]\n            tlp_max = "RED"'
        world.agree("vn", "jp", grant=every)
        world.agree("jp", "vn", types=["feedback"], grant=every)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)

        open_one = await delivered(world, vn, jp, tlp="GREEN")
        closed = await delivered(world, vn, jp, tlp="RED", addressees=["jp"], status="EXERCISE")

        assert give(jp, open_one).draft.tlp is Tlp.AMBER
        answered = give(jp, closed).draft
        assert (answered.tlp, answered.status) == (Tlp.RED, Status.EXERCISE)


async def test_a_notice_is_found_by_reference_and_by_the_beginning_of_its_ids(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        reference = await delivered(world, vn, jp)
        mine = sent(jp, reference)

        names = (reference, f"halong:{reference}", mine.statement.hex()[:7], mine.delivery.hex()[:16])
        found = [find_received(jp.store, "jp", jp.catalogue, name) for name in names]

        assert found == [mine] * 4
        for name in ("vn/asia-pacific/main/99", "ffff", "x", ""):
            with pytest.raises(BadHeader):
                find_received(jp.store, "jp", jp.catalogue, name)
        with pytest.raises(BadHeader):
            find_received(vn.store, "vn", vn.catalogue, reference)
        with pytest.raises(BadSlot):
            give(jp, reference, outcome="SOMETHING")


async def test_a_view_that_is_read_in_pieces_or_after_a_crash_says_the_same(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        references = [await delivered(world, vn, jp) for _ in range(5)]
        give_first = FeedbackView(jp.store, "jp", jp.catalogue)
        while give_first.read(1):
            pass
        jp.close()

        with Store.open(jp.path) as store:
            found = due(store, "jp", jp.catalogue, world.clock.now())

        assert [each.shared.reference for each in found] == references


async def test_each_agreement_and_direction_is_counted(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        agree(world)
        world.agree("vn", "nl")
        world.agree("nl", "vn", types=["feedback"], name="nl-back")
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        nl = TestNode(world, "nl", tmp_path)
        references = [await delivered(world, vn, jp) for _ in range(4)]
        await nl.receives()
        world.clock.move(DAY)
        give(jp, references[0])
        give(nl, references[0], "CHECKED_NO_FINDING")
        world.clock.move(DAY)
        give(jp, references[1], "NOT_ARRIVED")
        world.clock.move(2 * DAY)
        references.append(await delivered(world, vn, jp))
        for node in (jp, nl):
            await node.sends()
        await vn.receives()
        for node in (vn, jp, nl):
            view(node)

        counted = {each.agreement: each for each in count(vn.store, "vn", world.clock.now())}
        (mine,) = count(jp.store, "jp", world.clock.now())
        (asked_nothing,) = count(nl.store, "nl", world.clock.now())

        jp_1 = counted["vn-jp/1"]
        assert (jp_1.sent, jp_1.notices, jp_1.asked, jp_1.answered) == (True, 5, 5, 2)
        assert (jp_1.due, jp_1.overdue, jp_1.hits, jp_1.hit_rate) == (1, 2, 1, 0.5)
        assert (mine.sent, mine.notices, mine.answered, mine.overdue) == (False, 5, 2, 2)
        assert mine.median_days == pytest.approx(1.5, abs=0.01)
        nl_1 = counted["vn-nl/1"]
        assert (nl_1.notices, nl_1.asked, nl_1.answered, nl_1.hits, nl_1.overdue) == (5, 0, 1, 0, 0)
        assert (asked_nothing.asked, asked_nothing.answered) == (0, 1)


async def test_a_notice_is_reminded_of_once_when_it_is_due_soon_and_once_when_it_is_late(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        answered = await delivered(world, vn, jp)
        open_one = await delivered(world, vn, jp)
        give(jp, answered)

        def reminded() -> list[str]:
            # As after a restart: what was said is in the store.
            reminders = Reminders(jp.node.equipment)
            with capture_logs() as lines:
                while reminders.step():
                    pass
            assert all(line["reference"] == open_one for line in lines)
            return [line["event"] for line in lines]

        assert reminded() == []
        world.clock.move(2 * DAY + HOUR)
        assert (reminded(), reminded()) == (["feedback.due-soon"], [])
        world.clock.move(DAY)
        assert (reminded(), reminded()) == (["feedback.overdue"], [])
