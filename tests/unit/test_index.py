"""The index, the rule and Cedar give one answer, and the rule has the properties that people rely on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.agreements import Share, decide, sealed_slots
from broker.core.clauses import EVERY_PARTY, PERSONAL_SLOTS, Agreement, Terms
from broker.core.directory import Directory
from broker.core.index import MOST_KEPT_PARTITIONS, Index
from broker.core.model import Act, Slot
from tests.strategies import (
    DAY,
    MEMBERS,
    NOW,
    Case,
    agreement,
    any_case,
    any_directory,
    any_notice,
    context,
    digest,
    directory,
    grant,
    header,
)

few = settings(deadline=None, max_examples=40)
randoms = st.integers(0, 2**32 - 1).map(Random)
FOLLOWING = (Act.RECALL, Act.ERASURE, Act.CORRECTION)


def decided(case: Case) -> dict[str, Share]:
    """What each member gets, asked one by one."""
    verdicts = {each: decide(case.header, each, case.directory, case.context) for each in MEMBERS}
    return {each: verdict for each, verdict in verdicts.items() if isinstance(verdict, Share)}


def slots_of(shares: Mapping[str, Share]) -> set[tuple[str, Slot]]:
    return {(member, slot) for member, share in shares.items() for slot in share.slots}


@few
@given(randoms)
def test_the_index_answers_as_the_rule_does(random: Random) -> None:
    case = any_case(random)
    index = Index(case.directory)
    assert index.shares(case.header, case.context) == decided(case)
    assert index.sealed_slots(case.header, case.context) == sealed_slots(
        case.header, case.directory, case.context
    )


@few
@given(randoms)
def test_nobody_receives_what_no_agreement_or_original_names(random: Random) -> None:
    case = any_case(random)
    for recipient, share in decided(case).items():
        if case.header.act in FOLLOWING:
            got = {
                slot
                for each in case.context.references.values()
                if each.originator == case.header.originator and recipient in each.shares
                for slot in each.shares[recipient].slots
            }
        else:
            got = named(case, recipient)
        assert share.slots <= got


def named(case: Case, recipient: str) -> set[Slot]:
    """The slots that any grant between the two names for this type, whatever its other clauses."""
    return {
        slot
        for agreement in case.directory.agreements
        if {case.header.originator, recipient} <= agreement.parties
        for grant in agreement.grants
        if grant.giver in (EVERY_PARTY, case.header.originator)
        and grant.receiver in (EVERY_PARTY, recipient)
        and case.header.notice_type in grant.types
        for slot in grant.slots
        if slot not in PERSONAL_SLOTS or agreement.personal_data is not None
    }


@few
@given(randoms)
def test_narrower_addressees_never_widen(random: Random) -> None:
    case = any_case(random)
    everybody = decided(replace(case, header=replace(case.header, addressees=())))
    some = tuple(sorted(random.sample(MEMBERS, 3)))
    fewer = some[:2]
    to_some = decided(replace(case, header=replace(case.header, addressees=some)))
    to_fewer = decided(replace(case, header=replace(case.header, addressees=fewer)))
    assert to_some == {member: everybody[member] for member in some if member in everybody}
    assert to_fewer == {member: everybody[member] for member in fewer if member in everybody}


@few
@given(randoms)
def test_another_agreement_never_loosens_a_duty(random: Random) -> None:
    case = any_case(random)
    if case.header.act in FOLLOWING:
        return
    fewer = replace(case, directory=replace(case.directory, agreements=case.directory.agreements[:-1]))
    wider = decided(case)
    for recipient, share in decided(fewer).items():
        owed, owed_before = wider[recipient].obligations, share.obligations
        assert (owed.retain_until or 2**60) <= (owed_before.retain_until or 2**60)
        assert (owed.feedback_due or 2**60) <= (owed_before.feedback_due or 2**60)
        assert owed.onward_domestic <= owed_before.onward_domestic
        assert owed.onward_third_country <= owed_before.onward_third_country


@few
@given(randoms)
def test_the_order_of_agreements_does_not_matter(random: Random) -> None:
    case = any_case(random)
    agreements = list(case.directory.agreements)
    random.shuffle(agreements)
    shuffled = replace(case, directory=replace(case.directory, agreements=tuple(agreements)))
    assert decided(shuffled) == decided(case)


def changed(random: Random, value: Directory) -> Directory:
    """The directory with one thing changed that anybody might change."""
    agreements, members = list(value.agreements), dict(value.members)
    place = random.randrange(len(agreements)) if agreements else 0
    member = random.choice(sorted(members))
    match random.choice(("add", "add", "remove", "other", "terms", "leave", "accede", "member")):
        case "remove" if len(agreements) > 1:
            del agreements[place]
        case "other" if agreements:
            agreements[place] = any_directory(random).agreements[0]
        case "terms" if agreements:
            agreements[place] = replace(agreements[place], personal_data=None)
        case "leave":
            members[member] = replace(members[member], accessions={})
        case "accede":
            listed = {(each.id, each.version): each.digest for each in agreements}
            members[member] = replace(members[member], accessions=listed)
        case "member" if len(members) > 3:
            del members[member]
        case _:
            agreements.append(any_directory(random).agreements[-1])
    return replace(value, agreements=tuple(agreements), members=members)


@settings(few, max_examples=10)
@given(randoms)
def test_an_index_that_is_updated_again_and_again_is_one_that_is_made_anew(random: Random) -> None:
    value = any_directory(random)
    index = Index(value)
    for _ in range(6):
        before, asked = index, any_notice(random, value)
        answer = before.shares(asked.header, asked.context)
        value = changed(random, value)
        index = before.updated(value)
        anew = Index(value)
        assert (index._compiled, index.directory) == (anew._compiled, value)
        case = any_notice(random, value) if value.agreements else replace(asked, directory=value)
        assert index.shares(case.header, case.context) == anew.shares(case.header, case.context)
        # The one that it was made of answers as before.
        assert before.shares(asked.header, asked.context) == answer


def test_what_a_changed_agreement_is_not_about_is_taken_over_as_it_is() -> None:
    one = agreement(grant("vn", "jp"), id_="one")
    other = agreement(grant("nl", "za", Slot.PERSONS), id_="other", parties=("nl", "za"))
    index = Index(directory(one, other))
    updated = index.updated(directory(one, replace(other, digest=digest("changed"))))
    assert updated.group_of(header("vn")) is index.group_of(header("vn")) is not None
    assert updated.group_of(header("nl")) is not index.group_of(header("nl"))


def test_the_index_forgets_partitions_rather_than_growing() -> None:
    agreements: list[Agreement] = [
        agreement(grant("vn", "jp", subjects=frozenset({f"hs:{code:04}"})), id_=f"a-{code}")
        for code in range(MOST_KEPT_PARTITIONS + 20)
    ]
    index = Index(directory(*agreements))
    for code in range(len(agreements)):
        notice = header(subjects=(f"hs:{code:04}",))
        assert [share.grounds[0].agreement for share in index.shares(notice, context()).values()] == [
            f"a-{code}"
        ]
    (group,) = index._compiled.groups.values()
    assert len(group.partitions) <= MOST_KEPT_PARTITIONS


def test_what_is_kept_from_one_notice_does_not_fix_the_times_of_the_next() -> None:
    index = Index(directory(agreement(grant("vn", "jp", terms=Terms(retention_days=1)))))
    due = [index.shares(header(), context(at=at))["jp"].obligations.retain_until for at in (NOW, NOW + 1)]
    assert due == [NOW + DAY, NOW + DAY + 1]
