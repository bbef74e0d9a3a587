"""What is said of a kind of notice beforehand is what `decide` then does with notices of the kind."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from broker.commands.agreement.phrases import personal_of, review_of, standing_of
from broker.core.agreements import FOLLOWING_ACTS, Clause, Share, Withhold, decide
from broker.core.clauses import Mode
from broker.core.model import Act, Header
from broker.core.reach import Lead, leads, reached_slots
from tests.strategies import (
    DAY,
    MEMBERS,
    NOW,
    TYPES,
    agreement,
    any_case,
    any_directory,
    context,
    directory,
    grant,
    header,
    reference,
    without_accession,
)

CASES = 400


def test_nobody_gets_a_notice_to_whom_no_lead_goes_nor_a_slot_that_none_gives() -> None:
    shared = 0
    for seed in range(CASES):
        case = any_case(Random(seed))
        notice = case.header
        if notice.act in FOLLOWING_ACTS:
            continue
        for recipient in MEMBERS:
            verdict = decide(notice, recipient, case.directory, case.context)
            if not isinstance(verdict, Share):
                continue
            shared += 1
            found = [
                lead
                for lead in leads(
                    case.directory,
                    case.context.at,
                    givers=[notice.originator],
                    receivers=[recipient],
                    types=[notice.notice_type],
                )
                if lead.clause in (None, Clause.OPEN_CASE)
            ]
            assert verdict.slots <= frozenset().union(*(lead.slots for lead in found))
            assert {ground.digest for ground in verdict.grounds} <= {lead.agreement.digest for lead in found}
    assert shared > 100


def _meeting(lead: Lead, notice_type: str) -> Header:
    """A notice that meets every condition of the lead."""
    wants = lead.grant
    asks = wants.mode is Mode.ON_REQUEST
    subject = min(wants.subjects or ("basel:Y48",))
    return header(
        lead.giver,
        notice_type=notice_type,
        countries=(min(wants.countries),) if wants.countries else (),
        subjects=(subject,),
        status=min(wants.statuses),
        purpose=min(wants.purposes or ("customs-enforcement",)),
        campaign=min(wants.campaigns) if wants.campaigns else None,
        tlp=wants.tlp_max,
        act=Act.ANSWER if asks else Act.ORIGINAL,
        references=(reference("request").statement,) if asks else (),
    )


def test_what_a_lead_promises_comes_with_a_notice_that_meets_its_conditions() -> None:
    kept = 0
    for seed in range(CASES // 4):
        value = any_directory(Random(seed))
        at = NOW + Random(seed).choice((-20, 0, 5)) * 86_400_000
        for lead in leads(value, at):
            for notice_type in lead.grant.types:
                request = reference("request", lead.receiver, act=Act.REQUEST, decided_at=at - 1)
                verdict = decide(_meeting(lead, notice_type), lead.receiver, value, context(request, at=at))
                if lead.clause is None:
                    assert isinstance(verdict, Share)
                    assert verdict.slots >= lead.slots
                    kept += 1
                elif isinstance(verdict, Withhold):
                    failed = {each.agreement.digest: each.clause for each in verdict.agreements}
                    assert lead.agreement.digest in failed
    assert kept > 100


def test_a_lead_names_what_keeps_it_from_counting() -> None:
    both = agreement(grant("vn", "jp"), grant("jp", "vn", types=frozenset({"feedback"})))
    later = agreement(grant("vn", "jp"), id_="later", in_force_at=NOW + 1)
    value = without_accession(directory(both, later), "nl")
    found = list(leads(value, NOW, givers=["vn"], types=["drug-parcel"]))
    assert [(each.name, each.receiver, each.clause) for each in found] == [
        ("jp-vn-2026/1#1", "jp", None),
        ("later/1#1", "jp", Clause.IN_FORCE),
    ]
    gone = without_accession(value, "jp")
    assert {each.clause for each in leads(gone, NOW)} == {Clause.ACCESSION}
    assert reached_slots(found) == {("vn", "jp", "drug-parcel"): both.grants[0].slots}
    assert not list(leads(replace(value, agreements=()), NOW, types=TYPES))


def test_how_an_agreement_stands_is_said_with_the_date_that_comes_next() -> None:
    ending = agreement(grant(), terminated_at=NOW, wound_down_at=NOW + 90 * DAY, review_due_at=NOW - DAY)
    open_ended = agreement(grant(), review_due_at=NOW + DAY)
    moments = {
        ending.in_force_at - 1: "not in force yet: from ",
        NOW - 1: "in force until ",
        NOW: "winding down: open cases until ",
        NOW + 90 * DAY - 1: "winding down: open cases until ",
        NOW + 90 * DAY: "over since ",
    }
    for at, words in moments.items():
        assert standing_of(ending, at).startswith(words)
    assert standing_of(open_ended, NOW) == "in force"
    assert (review_of(ending, NOW - DAY) or "").startswith("review overdue since ")
    assert review_of(ending, NOW) is None
    assert (review_of(open_ended, NOW) or "").startswith("review due ")
    assert personal_of(open_ended, NOW) == "no personal data"
