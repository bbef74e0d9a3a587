"""Index, rule and Cedar give one answer on random directories, and none of them could be another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core import agreements as rule
from broker.core.agreements import Clause, Share, Withhold, decide
from broker.core.clauses import EVERY_PARTY, Agreement, Grant, Mode, PersonalData
from broker.core.directory import Directory
from broker.core.index import Index
from broker.core.model import Status, Tlp
from tests.cedar import CONDITIONS, Judged, Oracle
from tests.faults.chance import scaled, seed
from tests.strategies import MEMBERS, Case, any_case, any_directory, any_notice

CASES = 20_000
"""Questions about one directory, header, member and time, of six slots each."""
NOTICES = 20
"""On one directory, so that what an index keeps from one cannot spoil the next."""


@dataclass(slots=True)
class Seen:
    """What the compared answers were."""

    shared: int = 0
    withheld: Counter[Clause] = field(default_factory=Counter)
    failed: Counter[Clause] = field(default_factory=Counter)
    cases: int = 0
    empty: int = 0

    def take(self, case: Case) -> dict[str, Share]:
        """Ask the rule about every member, count its answers, and return what each gets."""
        shares = {}
        for member in MEMBERS:
            verdict = decide(case.header, member, case.directory, case.context)
            self.cases += 1
            if isinstance(verdict, Share):
                shares[member] = verdict
                self.shared += 1
                self.empty += not verdict.slots
            else:
                self.withheld[verdict.reason] += 1
                self.failed.update(each.clause for each in verdict.agreements)
        return shares


def several(random: Random, count: int = NOTICES) -> list[Case]:
    value = any_directory(random)
    return [any_notice(random, value) for _ in range(count)]


def said(shares: dict[str, Share]) -> dict[str, Judged]:
    """The rule's answer as Cedar can give it: who gets no slot gets nothing that is asked about."""
    return {who: Judged(s.slots, s.grounds, s.obligations) for who, s in shares.items() if s.slots}


def agree_on(first_seed: int, count: int) -> Seen:
    """Compare index, rule and Cedar on so many cases, and what fewer agreements leave of them."""
    seen, number = Seen(), first_seed
    while seen.cases < count:
        random = Random(number)
        cases = several(random)
        index = Index(cases[0].directory)
        answers = [seen.take(case) for case in cases]
        assert [index.shares(case.header, case.context) for case in cases] == answers, number
        assert Oracle(cases[0].directory).judged(cases) == [said(each) for each in answers], number
        # Without a grant, or without an agreement, nobody gets anything that it did not get.
        for fewer in (_without_a_grant(random, cases[0]), _without_an_agreement(random, cases[0])):
            left = index.updated(fewer.directory)
            for case, answer in zip(cases, answers, strict=True):
                rest = left.shares(case.header, case.context)
                assert all(who in answer and s.slots <= answer[who].slots for who, s in rest.items()), number
        number += 1
    return seen


def _without_a_grant(random: Random, case: Case) -> Case:
    agreements = list(case.directory.agreements)
    place = random.randrange(len(agreements))
    grants = list(agreements[place].grants)
    del grants[random.randrange(len(grants))]
    agreements[place] = replace(agreements[place], grants=tuple(grants))
    return replace(case, directory=replace(case.directory, agreements=tuple(agreements)))


def _without_an_agreement(random: Random, case: Case) -> Case:
    rest = random.sample(case.directory.agreements, len(case.directory.agreements) - 1)
    return replace(case, directory=replace(case.directory, agreements=tuple(rest)))


def test_index_rule_and_cedar_agree_and_fewer_agreements_never_give_more() -> None:
    seen = agree_on(1, 1_500)
    assert seen.shared > 100
    assert len(seen.withheld) > len(Clause) - 4


@pytest.mark.soak
def test_index_rule_and_cedar_agree_on_twenty_thousand_cases_in_which_every_clause_decides() -> None:
    seen = agree_on(seed(), scaled(CASES))
    print(f"{seen.cases:,} cases: {seen.shared:,} shared, {seen.empty:,} of them without a slot")
    for clause in Clause:
        print(
            f"{clause.value:>14}: decided {seen.withheld[clause]:,}, of an agreement {seen.failed[clause]:,}"
        )
    assert seen.cases >= scaled(CASES)
    assert seen.shared > seen.cases / 20
    assert min(seen.withheld[clause] for clause in Clause) >= scaled(20)


# --- each condition is needed ----------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("condition", CONDITIONS)
def test_cedar_without_a_condition_gives_another_answer(condition: str) -> None:
    """The cases tell apart what policies say from what they would say without any one condition."""
    for number in range(400):
        cases = several(Random(number))
        if Oracle(cases[0].directory, without=condition).slots(cases) != [
            {who: share.slots for who, share in Seen().take(case).items() if share.slots} for case in cases
        ]:
            return
    pytest.fail(f"no case tells policies without {condition} from those with it")


def first_failures(without: Clause) -> Callable[..., Clause | None]:
    """The rule's own look at a grant, but for one clause, which it takes as met."""
    real = rule.first_failure

    def wrong(agreement: Agreement, grant: Grant, *rest: Any) -> Clause | None:
        clause = real(agreement, grant, *rest)
        if clause is not without:
            return clause
        # What comes behind it is asked, too: with the clause mended it is the first that fails.
        return real(*mended(agreement, grant, without, rest[-1].at), *rest)

    return wrong


OF_A_GRANT = [Clause.TYPE, Clause.STATUS, Clause.PURPOSE, Clause.COUNTRIES, Clause.SUBJECTS, Clause.TLP]
OF_A_GRANT += [Clause.CAMPAIGN, Clause.MODE, Clause.DIRECTION]
OF_AN_AGREEMENT = [Clause.IN_FORCE, Clause.TERMINATED, Clause.OPEN_CASE]


def mended(agreement: Agreement, grant: Grant, clause: Clause, at: int) -> tuple[Agreement, Grant]:
    """An agreement and a grant in which one clause is met whatever comes."""
    match clause:
        case Clause.TYPE:
            types = frozenset({"drug-parcel", "feedback", "hazardous-waste", "lifecycle-order"})
            grant = replace(grant, types=types)
        case Clause.STATUS:
            grant = replace(grant, statuses=frozenset(Status))
        case Clause.TLP:
            grant = replace(grant, tlp_max=Tlp.RED)
        case Clause.MODE:
            grant = replace(grant, mode=Mode.AUTOMATIC)
        case Clause.DIRECTION:
            grant = replace(grant, giver=EVERY_PARTY, receiver=EVERY_PARTY)
        case Clause.IN_FORCE:
            agreement = replace(agreement, in_force_at=at)
        case Clause.TERMINATED | Clause.OPEN_CASE:
            agreement = replace(agreement, terminated_at=None, wound_down_at=None)
        case Clause.PERSONAL_DATA:
            agreement = replace(agreement, personal_data=PersonalData(at, "an article"))
        case _:
            grant = replace(grant, **{LISTS[clause]: None})
    return agreement, grant


LISTS: dict[Clause, Any] = {
    Clause.PURPOSE: "purposes",
    Clause.COUNTRIES: "countries",
    Clause.SUBJECTS: "subjects",
    Clause.CAMPAIGN: "campaigns",
}


@pytest.fixture(scope="module")
def judged() -> Sequence[tuple[list[Case], list[dict[str, Any]]]]:
    """Cases, and who gets which slots by Cedar."""
    found = [several(Random(number), 30) for number in range(3_000, 3_040)]
    return [(cases, Oracle(cases[0].directory).slots(cases)) for cases in found]


@pytest.mark.soak
@pytest.mark.parametrize("clause", [*OF_A_GRANT, *OF_AN_AGREEMENT], ids=lambda each: each.value)
def test_a_rule_that_takes_one_clause_as_met_is_told_from_cedar(
    clause: Clause, judged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule, "first_failure", first_failures(clause))
    assert is_told(judged)


@pytest.mark.soak
def test_a_rule_that_gives_personal_data_at_once_is_told_from_cedar(
    judged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule, "given_slots", lambda _agreement, grant, _at: grant.slots)
    assert is_told(judged)


@pytest.mark.soak
def test_a_rule_that_asks_nobody_for_an_accession_is_told_from_cedar(
    judged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Directory, "acceded", lambda _self, member, agreement: member in agreement.parties)
    assert is_told(judged)


@pytest.mark.soak
def test_the_rule_as_it_is_is_not_told_from_cedar(judged: Any) -> None:
    assert not is_told(judged)


def is_told(judged: Sequence[tuple[list[Case], list[dict[str, Any]]]]) -> bool:
    """Does the rule answer otherwise than Cedar did, in any case?"""
    return any(
        {who: share.slots for who, share in Seen().take(case).items() if share.slots} != slots
        for cases, answers in judged
        for case, slots in zip(cases, answers, strict=True)
    )


# --- the reason is the reason -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1).map(Random))
def test_where_the_clause_that_is_named_is_mended_the_notice_comes_further(random: Random) -> None:
    """Of every agreement of the two, the named clause is what stands in the way, and nothing before it."""
    case = any_case(random)
    for recipient, agreement, clause in withheld(case):
        if clause is Clause.ACCESSION and case.header.originator not in case.directory.members:
            continue
        depth = list(Clause).index
        changed = tuple(
            with_clause_mended(each, clause, case.context.at) if each == agreement else each
            for each in case.directory.agreements
        )
        value = replace(case.directory, agreements=changed)
        if clause is Clause.ACCESSION:
            value = with_accessions(value, agreement, (recipient, case.header.originator))
        verdict = decide(case.header, recipient, value, case.context)
        if isinstance(verdict, Withhold):
            (failed,) = (each.clause for each in verdict.agreements if each.agreement == agreement.ground)
            assert depth(failed) > depth(clause)


def withheld(case: Case) -> Iterator[tuple[str, Agreement, Clause]]:
    by_ground = {each.ground: each for each in case.directory.agreements}
    for recipient in MEMBERS:
        verdict = decide(case.header, recipient, case.directory, case.context)
        if isinstance(verdict, Withhold):
            for each in verdict.agreements:
                yield recipient, by_ground[each.agreement], each.clause


def with_clause_mended(agreement: Agreement, clause: Clause, at: int) -> Agreement:
    if clause is Clause.ACCESSION:
        return agreement
    whole, _ = mended(agreement, agreement.grants[0], clause, at)
    return replace(whole, grants=tuple(mended(agreement, each, clause, at)[1] for each in agreement.grants))


def with_accessions(value: Any, agreement: Agreement, members: Sequence[str]) -> Any:
    listed = {
        id_: replace(
            value.members[id_],
            accessions={
                **value.members[id_].accessions,
                (agreement.id, agreement.version): agreement.digest,
            },
        )
        for id_ in members
        if id_ in value.members
    }
    return replace(value, members={**value.members, **listed})
