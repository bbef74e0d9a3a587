"""The originator holds the hub's decision against its own, as far as it can know what the hub knew."""

from __future__ import annotations

from dataclasses import replace

from adapters.receiving.checks import Confirmed, compare_decision
from broker.core.clauses import Agreement
from broker.core.index import Index
from broker.core.model import Act, Decision, DecisionShare, Header, Slot
from tests.strategies import DAY, NOW, agreement, context, digest, directory, grant, header, reference, share

COMMUNITY = agreement(grant("*", "*", Slot.FACTS), parties=("jp", "nl", "vn"))
ENDED = replace(COMMUNITY, terminated_at=NOW - DAY, wound_down_at=NOW + DAY)
BEFORE = NOW - 2 * DAY

THIRD = reference("third", "nl", decided_at=BEFORE, shares={"vn": share(Slot.FACTS, under=(ENDED,))})
"""What nl said before the end, as vn knows it: that jp was given it, too, vn is not told."""

OWN = reference("own", "vn", decided_at=BEFORE, shares={})
"""What vn said before the end, and nobody was given."""


def going_on(*statements: bytes, act: Act = Act.UPDATE) -> Header:
    return header(act=act, references=tuple(sorted(statements)))


def compared(under: Agreement, notice: Header, slots: tuple[Slot, ...], *known: object) -> Confirmed:
    """What comes of a hub that gave jp these slots, by what vn knows."""
    decision = Decision(
        salt=bytes(16),
        statement=digest("statement"),
        signature=bytes(32),
        key=bytes(32),
        directory=bytes(32),
        decided_at=NOW,
        shares=(DecisionShare("jp", slots, (under.ground,), digest("delivery")),),
    )
    references = context(*known).references  # type: ignore[arg-type]
    return compare_decision(decision, notice, Index(directory(under)), references)


def test_a_case_that_a_third_party_opened_is_not_held_against_the_hub() -> None:
    found = compared(ENDED, going_on(THIRD.statement), (Slot.FACTS,), THIRD)
    assert found.wider == ()
    # nl said it to us, so its own case is open; jp's is what nobody told us of.
    assert found.narrower == ("nl",)
    assert found.learned.shares["jp"].slots == {Slot.FACTS}


def test_nor_is_one_of_which_we_know_nothing_at_all() -> None:
    assert compared(ENDED, going_on(digest("unknown")), (Slot.FACTS,)).wider == ()


def test_more_slots_than_an_open_case_gives_are_wider_all_the_same() -> None:
    assert compared(ENDED, going_on(THIRD.statement), (Slot.FACTS, Slot.PERSONS), THIRD).wider == ("jp",)


def test_our_own_statement_opens_no_case_for_whom_it_was_not_given_to() -> None:
    assert compared(ENDED, going_on(OWN.statement), (Slot.FACTS,), OWN).wider == ("jp",)


def test_what_a_third_party_said_after_the_end_opens_no_case() -> None:
    late = replace(THIRD, decided_at=NOW - DAY)
    assert compared(ENDED, going_on(late.statement), (Slot.FACTS,), late).wider == ("jp",)


def test_a_notice_that_goes_on_with_nothing_is_no_open_case() -> None:
    assert compared(ENDED, header(), (Slot.FACTS,)).wider == ("jp",)


def test_where_nothing_winds_down_a_third_party_excuses_nothing() -> None:
    apart = agreement(grant("nl", "jp", Slot.FACTS), parties=("jp", "nl", "vn"))
    assert compared(apart, going_on(THIRD.statement), (Slot.FACTS,), THIRD).wider == ("jp",)


def test_an_agreement_that_is_over_is_no_open_case_either() -> None:
    over = replace(ENDED, wound_down_at=NOW)
    assert compared(over, going_on(THIRD.statement), (Slot.FACTS,), THIRD).wider == ("jp",)


def test_a_member_that_was_left_out_is_told_also_where_others_are_not_known() -> None:
    found = compared(COMMUNITY, going_on(THIRD.statement), (), THIRD)
    assert found.narrower == ("jp", "nl")
