"""`decide`, clause by clause: one property a test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.core.agreements import Clause, Context, Share, Withhold, decide, sealed_slots
from broker.core.clauses import Agreement, Mode, PersonalData, Terms
from broker.core.directory import Directory
from broker.core.model import Act, Ground, Handling, Header, Obligations, Onward, Slot, Status, Tlp
from tests.strategies import (
    DAY,
    HOUR,
    NOW,
    agreement,
    context,
    digest,
    directory,
    grant,
    header,
    member,
    reference,
    share,
    without_accession,
)

ALL_CLAUSES_MET = agreement(grant("vn", "jp", Slot.FACTS))


def slots_of(
    value: Directory, notice: Header, known: Context | None = None, recipient: str = "jp"
) -> set[Slot]:
    verdict = decide(notice, recipient, value, known or context())
    return set(verdict.slots) if isinstance(verdict, Share) else set()


def reason(value: Directory, notice: Header, known: Context | None = None, recipient: str = "jp") -> Clause:
    verdict = decide(notice, recipient, value, known or context())
    assert isinstance(verdict, Withhold)
    return verdict.reason


def given(value: Directory, notice: Header, known: Context | None = None, recipient: str = "jp") -> Share:
    verdict = decide(notice, recipient, value, known or context())
    assert isinstance(verdict, Share)
    return verdict


def test_a_grant_gives_its_slots_under_its_agreement() -> None:
    verdict = given(directory(ALL_CLAUSES_MET), header())
    assert verdict.slots == {Slot.FACTS}
    assert verdict.grounds == (Ground("jp-vn-2026", 1, digest("jp-vn-2026")),)


def test_what_nothing_grants_is_withheld() -> None:
    assert reason(directory(), header()) is Clause.PARTIES
    assert reason(directory(ALL_CLAUSES_MET), header(), recipient="nl") is Clause.PARTIES


def test_nobody_is_sent_what_it_said_itself() -> None:
    value = directory(agreement(grant("*", "*")))
    assert reason(value, header("vn"), recipient="vn") is Clause.ONESELF


def test_who_is_no_member_gets_nothing_whatever_is_agreed() -> None:
    value = directory(ALL_CLAUSES_MET, members=("vn",))
    assert reason(value, header()) is Clause.MEMBER


# --- accession --------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["vn", "jp"])
def test_an_agreement_that_one_side_has_not_acceded_to_counts_for_nothing(missing: str) -> None:
    value = without_accession(directory(ALL_CLAUSES_MET), missing)
    assert reason(value, header()) is Clause.ACCESSION


@pytest.mark.parametrize("careless", ["vn", "jp"])
def test_acceding_to_other_bytes_is_not_acceding(careless: str) -> None:
    other = member(careless, replace(ALL_CLAUSES_MET, digest=digest("other bytes")))
    value = directory(ALL_CLAUSES_MET)
    value = replace(value, members={**value.members, careless: other})
    assert reason(value, header()) is Clause.ACCESSION


def test_acceding_to_another_version_is_not_acceding() -> None:
    other = member("jp", replace(ALL_CLAUSES_MET, version=2))
    value = directory(ALL_CLAUSES_MET)
    value = replace(value, members={**value.members, "jp": other})
    assert reason(value, header()) is Clause.ACCESSION


def test_who_is_no_party_is_not_bound_by_listing_the_file() -> None:
    value = directory(ALL_CLAUSES_MET)
    value = replace(value, members={**value.members, "nl": member("nl", ALL_CLAUSES_MET)})
    assert reason(value, header(), recipient="nl") is Clause.PARTIES


def test_in_a_community_only_those_bind_each_other_that_acceded() -> None:
    community = agreement(grant("*", "*"), parties=("jp", "nl", "vn"))
    value = without_accession(directory(community), "nl")
    assert slots_of(value, header(), recipient="jp") == {Slot.FACTS}
    assert reason(value, header(), recipient="nl") is Clause.ACCESSION


# --- dates --------------------------------------------------------------------------------------------


def test_an_agreement_gives_from_the_first_millisecond_of_its_first_day() -> None:
    value = directory(replace(ALL_CLAUSES_MET, in_force_at=NOW))
    assert reason(value, header(), context(at=NOW - 1)) is Clause.IN_FORCE
    assert slots_of(value, header(), context(at=NOW)) == {Slot.FACTS}


def ended(days: int = 30, **changes: Any) -> Agreement:
    return replace(ALL_CLAUSES_MET, terminated_at=NOW, wound_down_at=NOW + days * DAY, **changes)


def test_an_agreement_gives_until_before_the_first_millisecond_of_its_last_day() -> None:
    value = directory(ended(0))
    assert slots_of(value, header(), context(at=NOW - 1)) == {Slot.FACTS}
    assert reason(value, header(), context(at=NOW)) is Clause.TERMINATED


def update(known: Context, **fields: Any) -> Header:
    return header(act=Act.UPDATE, references=tuple(sorted(known.references)), **fields)


def test_winding_down_goes_on_with_open_cases_alone() -> None:
    value = directory(ended())
    case = context(reference(shares={"jp": share(Slot.FACTS, under=(ended(),))}), at=NOW)
    assert slots_of(value, update(case), case) == {Slot.FACTS}
    assert reason(value, header(), context(at=NOW)) is Clause.OPEN_CASE


def test_winding_down_ends_at_the_exact_millisecond() -> None:
    value = directory(ended(30))
    case = context(reference(shares={"jp": share(Slot.FACTS, under=(ended(),))}), at=NOW + 30 * DAY - 1)
    assert slots_of(value, update(case), case) == {Slot.FACTS}
    late = replace(case, at=NOW + 30 * DAY)
    assert reason(value, update(late), late) is Clause.TERMINATED


@pytest.mark.parametrize(
    "original",
    [
        pytest.param(reference(shares={}), id="shared with nobody"),
        pytest.param(reference(shares={"nl": share(under=(ended(),))}), id="shared with another"),
        pytest.param(
            reference(shares={"jp": share(under=(agreement(id_="other"),))}), id="under another agreement"
        ),
        pytest.param(
            reference(decided_at=NOW, shares={"jp": share(under=(ended(),))}), id="shared after the end"
        ),
    ],
)
def test_a_case_is_not_open_if_its_statement_was(original: Any) -> None:
    case = context(original, at=NOW + DAY)
    assert reason(directory(ended()), update(case), case) is Clause.OPEN_CASE


def test_a_case_is_open_if_shared_in_the_last_millisecond() -> None:
    case = context(reference(decided_at=NOW - 1, shares={"jp": share(under=(ended(),))}), at=NOW + DAY)
    assert slots_of(directory(ended()), update(case), case) == {Slot.FACTS}


def test_a_case_stays_open_under_a_later_version_of_its_agreement() -> None:
    older = share(under=(Ground("jp-vn-2026", 1, digest("older")),))
    case = context(reference(shares={"jp": older}), at=NOW + DAY)
    assert slots_of(directory(ended(version=2)), update(case), case) == {Slot.FACTS}


def test_while_winding_down_a_receiver_can_still_answer_the_originator() -> None:
    both_ways = replace(ended(), grants=(grant("vn", "jp"), grant("jp", "vn", types=frozenset({"feedback"}))))
    case = context(reference(originator="vn", shares={"jp": share(under=(both_ways,))}), at=NOW + DAY)
    answer = header(
        "jp", act=Act.FEEDBACK, notice_type="feedback", references=tuple(case.references), countries=()
    )
    assert slots_of(directory(both_ways), answer, case, "vn") == {Slot.FACTS}


# --- what a notice must be ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clauses", "fields", "clause"),
    [
        pytest.param({"types": frozenset({"feedback"})}, {}, Clause.TYPE, id="another type"),
        pytest.param({}, {"status": Status.EXERCISE}, Clause.STATUS, id="an exercise, where none is said"),
        pytest.param({}, {"status": Status.TEST}, Clause.STATUS, id="a test, where none is said"),
        pytest.param(
            {"statuses": frozenset({Status.EXERCISE})}, {}, Clause.STATUS, id="an actual one for exercises"
        ),
        pytest.param({"purposes": frozenset({"environment"})}, {}, Clause.PURPOSE, id="another purpose"),
        pytest.param({"countries": frozenset({"NL"})}, {}, Clause.COUNTRIES, id="another route"),
        pytest.param(
            {"countries": frozenset({"NL"})},
            {"countries": ()},
            Clause.COUNTRIES,
            id="a route that is not said",
        ),
        pytest.param({"subjects": frozenset({"hs:30"})}, {}, Clause.SUBJECTS, id="another subject"),
        pytest.param(
            {"subjects": frozenset({"hs:29"})}, {"subjects": ()}, Clause.SUBJECTS, id="a subject not said"
        ),
        pytest.param({"tlp_max": Tlp.GREEN}, {}, Clause.TLP, id="above the ceiling"),
        pytest.param({}, {"tlp": Tlp.AMBER_STRICT}, Clause.TLP, id="above the ceiling that holds unsaid"),
        pytest.param(
            {"campaigns": frozenset({"demeter"})}, {"campaign": "tin-can"}, Clause.CAMPAIGN, id="campaign"
        ),
        pytest.param({"campaigns": frozenset({"demeter"})}, {}, Clause.CAMPAIGN, id="outside any campaign"),
        pytest.param({"mode": Mode.ON_REQUEST}, {}, Clause.MODE, id="not asked for"),
    ],
)
def test_a_notice_is_withheld_and_the_clause_named(
    clauses: dict[str, Any], fields: dict[str, Any], clause: Clause
) -> None:
    value = directory(agreement(grant("vn", "jp", **clauses)))
    assert reason(value, header(**fields)) is clause


@pytest.mark.parametrize(
    ("clauses", "fields"),
    [
        pytest.param({"types": frozenset({"drug-parcel", "feedback"})}, {}, id="one of the types"),
        pytest.param({"statuses": frozenset({Status.TEST})}, {"status": Status.TEST}, id="status"),
        pytest.param({"purposes": frozenset({"customs-enforcement"})}, {}, id="purpose"),
        pytest.param({"countries": frozenset({"NL", "VN"})}, {}, id="one country of the route"),
        pytest.param({"tlp_max": Tlp.RED}, {"tlp": Tlp.AMBER_STRICT}, id="below the ceiling"),
        pytest.param({"campaigns": frozenset({"demeter"})}, {"campaign": "demeter"}, id="campaign"),
        pytest.param(
            {}, {"campaign": "demeter", "purpose": "environment", "countries": ()}, id="lists not said"
        ),
    ],
)
def test_a_notice_is_shared_if_the_clause_is_met(clauses: dict[str, Any], fields: dict[str, Any]) -> None:
    assert slots_of(directory(agreement(grant("vn", "jp", **clauses))), header(**fields)) == {Slot.FACTS}


@pytest.mark.parametrize(
    ("agreed", "said", "matches"),
    [
        ("hs:29", "hs:29", True),
        ("hs:29", "hs:2939", True),
        ("hs:2939", "hs:293911", True),
        ("hs:293911", "hs:29391190", True),
        ("hs:29391190", "hs:29391190", True),
        ("hs:29391190", "hs:2939119010", False),
        ("hs:2939", "hs:29", False),
        ("hs:29", "hs:30", False),
        ("hs:29", "hs:2", False),
        ("hs:29", "cas:29", False),
        ("basel:Y48", "basel:Y48", True),
        ("basel:Y4", "basel:Y48", False),
        ("hs:29", "hs:2x", False),
    ],
)
def test_subjects_match_literally_and_hs_by_chapter_heading_and_subheading(
    agreed: str, said: str, matches: bool
) -> None:
    value = directory(agreement(grant("vn", "jp", subjects=frozenset({agreed}))))
    assert bool(slots_of(value, header(subjects=(said,)))) is matches


def test_a_grant_has_a_direction() -> None:
    value = directory(ALL_CLAUSES_MET)
    assert reason(value, header("jp"), recipient="vn") is Clause.DIRECTION


def test_what_one_party_grants_another_party_does_not() -> None:
    value = directory(agreement(grant("vn", "jp"), parties=("jp", "nl", "vn")))
    assert reason(value, header("nl"), recipient="jp") is Clause.DIRECTION
    assert reason(value, header("vn"), recipient="nl") is Clause.DIRECTION


def test_everybody_in_a_grant_is_every_party_and_nobody_else() -> None:
    value = directory(agreement(grant("*", "rilo-ap"), parties=("jp", "rilo-ap", "vn")))
    assert slots_of(value, header("jp"), recipient="rilo-ap") == {Slot.FACTS}
    assert slots_of(value, header("vn"), recipient="rilo-ap") == {Slot.FACTS}
    assert reason(value, header("nl"), recipient="rilo-ap") is Clause.PARTIES
    assert reason(value, header("vn"), recipient="jp") is Clause.DIRECTION


def test_addressees_narrow() -> None:
    value = directory(agreement(grant("*", "*"), parties=("jp", "nl", "vn")))
    assert slots_of(value, header(addressees=("jp",)), recipient="jp") == {Slot.FACTS}
    assert reason(value, header(addressees=("jp",)), recipient="nl") is Clause.ADDRESSEES


def test_addressees_never_widen() -> None:
    assert reason(directory(), header(addressees=("jp",))) is Clause.PARTIES


# --- on request ---------------------------------------------------------------------------------------

ON_REQUEST = agreement(grant("vn", "jp", mode=Mode.ON_REQUEST))


def test_a_grant_on_request_gives_an_answer_to_the_recipients_request() -> None:
    known = context(reference("request", "jp", act=Act.REQUEST))
    answer = header(act=Act.ANSWER, references=(digest("request"),))
    assert slots_of(directory(ON_REQUEST), answer, known) == {Slot.FACTS}


@pytest.mark.parametrize(
    ("act", "original"),
    [
        pytest.param(Act.ANSWER, reference("x", "nl", act=Act.REQUEST), id="another's request"),
        pytest.param(Act.ANSWER, reference("x", "jp"), id="the recipient's statement that asked for nothing"),
        pytest.param(Act.UPDATE, reference("x", "jp", act=Act.REQUEST), id="not an answer"),
        pytest.param(
            Act.ANSWER, reference("other", "jp", act=Act.REQUEST), id="a request it does not refer to"
        ),
    ],
)
def test_a_grant_on_request_gives_nothing_else(act: Act, original: Any) -> None:
    answer = header(act=act, references=(digest("x"),))
    assert reason(directory(ON_REQUEST), answer, context(original)) is Clause.MODE


# --- personal data ------------------------------------------------------------------------------------

PERSONAL_GRANT = grant("vn", "jp", Slot.FACTS, Slot.IDENTIFIERS, Slot.PERSONS)


def test_personal_data_is_off_unless_the_agreement_switches_it_on() -> None:
    assert slots_of(directory(agreement(PERSONAL_GRANT)), header()) == {Slot.FACTS}


def test_personal_data_flows_from_the_first_millisecond_of_its_day() -> None:
    value = directory(agreement(PERSONAL_GRANT, personal_data=PersonalData(NOW, "article 9")))
    assert slots_of(value, header(), context(at=NOW - 1)) == {Slot.FACTS}
    assert slots_of(value, header(), context(at=NOW)) == {Slot.FACTS, Slot.IDENTIFIERS, Slot.PERSONS}


def test_a_grant_of_personal_data_alone_gives_nothing_while_it_is_off() -> None:
    value = directory(agreement(grant("vn", "jp", Slot.PERSONS)))
    assert reason(value, header()) is Clause.PERSONAL_DATA


def test_personal_data_is_switched_on_for_one_agreement_and_not_for_its_neighbour() -> None:
    on = agreement(grant("vn", "jp", Slot.PERSONS), id_="on", personal_data=PersonalData(0, "article 9"))
    off = agreement(grant("vn", "jp", Slot.FACTS, Slot.IDENTIFIERS), id_="off")
    assert slots_of(directory(on, off), header()) == {Slot.FACTS, Slot.PERSONS}


# --- several grants -------------------------------------------------------------------------------------


def test_several_grants_give_the_union_of_their_slots_and_all_are_grounds() -> None:
    one = agreement(grant("vn", "jp", Slot.FACTS), grant("vn", "jp", Slot.ENTITIES), id_="one")
    two = agreement(grant("*", "*", Slot.INTELLIGENCE), id_="two", parties=("jp", "nl", "vn"))
    verdict = given(directory(two, one), header())
    assert verdict.slots == {Slot.FACTS, Slot.ENTITIES, Slot.INTELLIGENCE}
    assert [ground.agreement for ground in verdict.grounds] == ["one", "two"]


def test_a_grant_that_does_not_apply_adds_neither_slots_nor_duties() -> None:
    other = grant("vn", "jp", Slot.ENTITIES, types=frozenset({"feedback"}), terms=Terms(retention_days=1))
    verdict = given(directory(agreement(grant("vn", "jp"), other)), header())
    assert verdict.slots == {Slot.FACTS}
    assert verdict.obligations.retain_until is None


def test_of_two_versions_that_both_acceded_to_each_counts() -> None:
    first = agreement(grant("vn", "jp", Slot.FACTS), digest=digest("first"))
    second = agreement(grant("vn", "jp", Slot.ENTITIES), version=2, digest=digest("second"))
    assert slots_of(directory(first, second), header()) == {Slot.FACTS, Slot.ENTITIES}


# --- duties ---------------------------------------------------------------------------------------------


def duties(notice: Header, *terms: Terms) -> Obligations:
    value = directory(agreement(*(grant("vn", "jp", terms=each) for each in terms)))
    return given(value, notice).obligations


def test_what_is_not_agreed_and_not_said_is_not_owed_but_nothing_may_be_passed_on() -> None:
    assert duties(header(handling=Handling.H2), Terms()) == Obligations(
        None, None, Handling.H2, Onward.DENY, Onward.DENY, Onward.DENY
    )


@pytest.mark.parametrize(
    ("said", "agreed", "owed"),
    [
        (None, (365,), NOW + 365 * DAY),
        (None, (365, 30), NOW + 30 * DAY),
        (NOW + 10 * DAY, (365, 30), NOW + 10 * DAY),
        (NOW + 90 * DAY, (365, None), NOW + 90 * DAY),
        (NOW + 90 * DAY, (None,), NOW + 90 * DAY),
    ],
)
def test_the_earliest_end_of_retention_counts(
    said: int | None, agreed: tuple[int | None, ...], owed: int
) -> None:
    notice = header(retain_until=said)
    assert duties(notice, *(Terms(retention_days=each) for each in agreed)).retain_until == owed


@pytest.mark.parametrize(
    ("said", "agreed", "owed"),
    [
        (None, (72,), NOW + 72 * HOUR),
        (None, (72, 24), NOW + 24 * HOUR),
        (NOW + HOUR, (72,), NOW + HOUR),
        (NOW + 90 * HOUR, (None,), NOW + 90 * HOUR),
    ],
)
def test_the_earliest_feedback_counts(said: int | None, agreed: tuple[int | None, ...], owed: int) -> None:
    notice = header(feedback_due=said)
    assert duties(notice, *(Terms(feedback_hours=each) for each in agreed)).feedback_due == owed


def test_the_strictest_rule_for_passing_on_counts_each_for_itself() -> None:
    owed = duties(
        header(),
        Terms(
            onward_domestic=Onward.ALLOW, onward_community=Onward.NOTIFY, onward_third_country=Onward.CONSENT
        ),
        Terms(
            onward_domestic=Onward.CONSENT, onward_community=Onward.ALLOW, onward_third_country=Onward.DENY
        ),
    )
    assert owed.onward_domestic is Onward.CONSENT
    assert owed.onward_community is Onward.NOTIFY
    assert owed.onward_third_country is Onward.DENY


# --- what takes back or mends -----------------------------------------------------------------------------

OWED = Obligations(NOW + 30 * DAY, NOW - HOUR, Handling.H2, Onward.CONSENT, Onward.DENY, Onward.NOTIFY)
GOT = share(Slot.FACTS, Slot.PERSONS, under=(ALL_CLAUSES_MET,), obligations=OWED)
FOLLOWING = [Act.RECALL, Act.ERASURE, Act.CORRECTION]


@pytest.mark.parametrize("act", FOLLOWING)
def test_it_reaches_whoever_got_the_original_whatever_has_ended(act: Act) -> None:
    known = context(reference(shares={"jp": GOT}), at=NOW + 5_000 * DAY)
    verdict = given(directory(), header(act=act, references=tuple(known.references)), known)
    assert verdict.slots == {Slot.FACTS, Slot.PERSONS}
    assert verdict.grounds == GOT.grounds


@pytest.mark.parametrize("act", FOLLOWING)
def test_it_reaches_nobody_else_whatever_is_granted(act: Act) -> None:
    known = context(reference(shares={"nl": GOT}))
    notice = header(act=act, references=tuple(known.references))
    assert reason(directory(ALL_CLAUSES_MET), notice, known) is Clause.ORIGINAL


def test_it_shows_no_slot_that_the_recipient_had_not_got() -> None:
    known = context(reference(shares={"jp": share(Slot.FACTS, under=(ALL_CLAUSES_MET,))}))
    wide = agreement(grant("vn", "jp", Slot.FACTS, Slot.ENTITIES))
    notice = header(act=Act.CORRECTION, references=tuple(known.references))
    assert slots_of(directory(wide), notice, known) == {Slot.FACTS}


def test_of_several_originals_it_shows_what_the_recipient_got_of_each() -> None:
    known = context(
        reference("a", shares={"jp": share(Slot.FACTS, Slot.PERSONS, under=(agreement(id_="aa"),))}),
        reference("b", shares={"jp": share(Slot.FACTS, Slot.ENTITIES, under=(agreement(id_="bb"),))}),
        reference("c", shares={"nl": share(Slot.ENTITIES)}),
    )
    verdict = given(directory(), header(act=Act.RECALL, references=tuple(sorted(known.references))), known)
    assert verdict.slots == {Slot.FACTS}
    assert [ground.agreement for ground in verdict.grounds] == ["aa", "bb"]


def test_that_something_was_taken_back_arrives_even_without_any_slot() -> None:
    known = context(
        reference("a", shares={"jp": share(Slot.FACTS)}), reference("b", shares={"jp": share(Slot.ENTITIES)})
    )
    notice = header(act=Act.RECALL, references=tuple(sorted(known.references)))
    assert given(directory(), notice, known).slots == frozenset()


def test_a_member_can_take_back_only_what_it_said_itself() -> None:
    known = context(reference(originator="nl", shares={"jp": GOT}))
    notice = header("vn", act=Act.RECALL, references=tuple(known.references))
    assert reason(directory(), notice, known) is Clause.ORIGINAL


def test_a_correction_brings_no_content_of_another_type() -> None:
    known = context(reference(notice_type="hazardous-waste", shares={"jp": GOT}))
    notice = header(act=Act.CORRECTION, references=tuple(known.references))
    assert reason(directory(), notice, known) is Clause.ORIGINAL


def test_an_order_follows_originals_of_any_type() -> None:
    known = context(reference(notice_type="hazardous-waste", shares={"jp": GOT}))
    order = header(act=Act.ERASURE, notice_type="lifecycle-order", references=tuple(known.references))
    assert slots_of(directory(), order, known) == set(GOT.slots)


def test_addressees_narrow_what_follows_an_original_too() -> None:
    known = context(reference(shares={"jp": GOT, "nl": GOT}))
    notice = header(act=Act.RECALL, references=tuple(known.references), addressees=("nl",))
    assert reason(directory(), notice, known) is Clause.ADDRESSEES


def test_it_is_owed_what_was_owed_for_the_original() -> None:
    known = context(reference(shares={"jp": GOT}))
    notice = header(act=Act.CORRECTION, references=tuple(known.references), retain_until=NOW + 90 * DAY)
    assert given(directory(), notice, known).obligations == replace(OWED, feedback_due=None)


def test_an_update_goes_by_the_grants_of_its_day() -> None:
    known = context(reference(shares={"jp": GOT}))
    assert reason(directory(), update(known), known) is Clause.PARTIES


# --- why not ----------------------------------------------------------------------------------------------


def test_each_agreement_of_the_two_says_where_its_best_grant_failed() -> None:
    one = agreement(
        grant("vn", "jp", tlp_max=Tlp.CLEAR), grant("vn", "jp", types=frozenset({"feedback"})), id_="one"
    )
    two = agreement(grant("jp", "vn"), id_="two")
    foreign = agreement(grant("*", "*"), id_="foreign", parties=("nl", "vn"))
    verdict = decide(header(), "jp", directory(one, two, foreign), context())
    assert isinstance(verdict, Withhold)
    assert [(failed.agreement.agreement, failed.clause) for failed in verdict.agreements] == [
        ("one", Clause.TLP),
        ("two", Clause.DIRECTION),
    ]
    assert verdict.reason is Clause.TLP


def test_clauses_have_names_that_do_not_change() -> None:
    assert [clause.value for clause in Clause] == [
        "oneself", "member", "addressees", "original", "parties", "accession", "in-force", "terminated",
        "open-case", "direction", "type", "status", "purpose", "countries", "subjects", "tlp", "campaign",
        "mode", "personal-data",
    ]  # fmt: skip


# --- sealed ------------------------------------------------------------------------------------------------


def test_a_slot_is_sealed_if_a_grant_that_applies_says_so() -> None:
    sealing = grant("vn", "jp", Slot.FACTS, Slot.ENTITIES, seal=frozenset({Slot.ENTITIES}))
    assert sealed_slots(header(), directory(agreement(sealing)), context()) == {Slot.ENTITIES}
    assert not sealed_slots(header(notice_type="feedback"), directory(agreement(sealing)), context())


def test_a_slot_that_nobody_gets_is_not_sealed() -> None:
    sealing = grant("vn", "jp", Slot.FACTS, Slot.PERSONS, seal=frozenset({Slot.PERSONS}))
    assert not sealed_slots(header(), directory(agreement(sealing)), context())


def test_a_correction_is_sealed_where_the_agreement_of_its_original_seals() -> None:
    sealing = replace(ended(), grants=(grant("vn", "jp", Slot.FACTS, seal=frozenset({Slot.FACTS})),))
    known = context(reference(shares={"jp": share(Slot.FACTS, under=(sealing,))}), at=NOW + 900 * DAY)
    notice = header(act=Act.CORRECTION, references=tuple(known.references))
    assert sealed_slots(notice, directory(sealing), known) == {Slot.FACTS}
