"""Every clause that docs/agreements.md names, from the text of a file to the decision: met, and not met.

Each row is asked of the rule, of the index and of Cedar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.core.agreements import Clause, Context, Reference, Share, decide, parse_agreement, sealed_slots
from broker.core.clauses import Agreement, OnTermination
from broker.core.index import Index
from broker.core.model import Act, Handling, Onward, Slot, Status, Tlp
from tests.cedar import Oracle
from tests.strategies import DAY, HOUR, MEMBERS, Case, context, directory, header, reference, share
from tests.world import World, sighting

PAGE = Path(__file__).parents[2] / "docs/agreements.md"
TEXT = """
id = "jp-vn-2026"
version = 3
nonce = "5f0b1d9c2a7e48d3b6c4e1f2a3958670"
title = "A title"
parties = {parties}
in_force_from = 2026-01-01
{top}
{personal}
[[grant]]
from = {giver}
to = {receiver}
types = ["drug-parcel"]
slots = {slots}
{grant}
"""
USUAL = {"parties": '["jp", "vn"]', "giver": '"vn"', "receiver": '"jp"', "slots": '["facts", "persons"]'}
USUAL |= {"top": "", "personal": "", "grant": ""}
ON = '[personal_data]\nenabled = true\nfrom = 2026-03-01\nlegal_basis = "Article 9"'


def ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000)


def written(**parts: str) -> Agreement:
    """The agreement of a file, in which these parts are otherwise."""
    return parse_agreement(TEXT.format(**USUAL | parts).encode())


JUNE = ms("2026-06-01T12:00")
OVER = "terminated_on = 2026-05-01\nwind_down_days = 90"


def before_the_end(**fields: Any) -> Reference:
    """Something that vn gave jp under the agreement, in April."""
    under = written(top=OVER)
    fields.setdefault("shares", {"jp": share(Slot.FACTS, Slot.PERSONS, under=(under,))})
    return reference(decided_at=ms("2026-04-30T23:59:59.999"), **fields)


@dataclass(frozen=True)
class Row:
    """A text, a notice and a time, and what jp gets of it: slots, or the clause that is not met."""

    clause: str
    is_: str
    gets: str
    text: Mapping[str, str] = field(default_factory=dict)
    at: str = "2026-06-01T12:00"
    known: tuple[Reference, ...] = ()
    notice: Mapping[str, Any] = field(default_factory=dict)
    recipient: str = "jp"

    def case(self) -> Case:
        """The question."""
        asked = {"references": tuple(sorted(each.statement for each in self.known)), **self.notice}
        return Case(directory(written(**self.text)), header(**asked), context(*self.known, at=ms(self.at)))


REASONS = {"purposes": "purpose", "campaigns": "campaign", "tlp_max": "tlp"}
"""Clauses whose name as a reason differs."""


def grant_rows(clause: str, line: str, met: Mapping[str, Any], unmet: Mapping[str, Any]) -> list[Row]:
    """A clause of a grant that one notice meets and another does not."""
    return [
        Row(clause, f"{line}, met", "facts", {"grant": line}, notice=met),
        Row(clause, f"{line}, not met", REASONS.get(clause, clause), {"grant": line}, notice=unmet),
        Row(clause, f"{line}, left out", "facts", {}, notice=met),
    ]


def asks(member: str) -> Reference:
    """A request of the member."""
    return reference("request", member, act=Act.REQUEST)


OF_ANOTHER_TYPE = (before_the_end(notice_type="feedback"),)
ORDER = {"act": Act.RECALL, "notice_type": "lifecycle-order"}
EXERCISES = {"grant": 'statuses = ["EXERCISE"]'}
ASKED = {"grant": 'mode = "on-request"'}
EVERYBODY = {"parties": '["jp", "nl", "vn"]', "giver": '"*"', "receiver": '"*"'}

ROWS = [
    Row("in_force_from", "the millisecond before", "in-force", at="2025-12-31T23:59:59.999"),
    Row("in_force_from", "the first millisecond", "facts", at="2026-01-01T00:00"),
    Row("terminated_on", "the last millisecond", "facts", {"top": OVER}, at="2026-04-30T23:59:59.999"),
    Row("terminated_on", "over", "terminated", {"top": "terminated_on = 2026-05-01"}, at="2026-05-01T00:00"),
    Row("wind_down_days", "no open case", "open-case", {"top": OVER}, at="2026-05-01T00:00"),
    *(
        Row("wind_down_days", is_, gets, {"top": OVER}, at, (before_the_end(),), {"act": Act.UPDATE})
        for is_, gets, at in (
            ("an open case", "facts", "2026-05-01T00:00"),
            ("an open case, in the last millisecond", "facts", "2026-07-29T23:59:59.999"),
            ("an open case, wound down", "terminated", "2026-07-30T00:00"),
        )
    ),
    Row("personal_data", "off", "facts"),
    Row("personal_data", "not from today", "facts", {"personal": ON}, at="2026-02-28T23:59:59.999"),
    Row("personal_data", "its first millisecond", "facts persons", {"personal": ON}, at="2026-03-01T00:00"),
    Row("personal_data", "off by its own word", "facts", {"personal": "[personal_data]\nenabled = false"}),
    Row("personal_data", "alone, and off", "personal-data", {"slots": '["persons"]'}),
    Row("parties", "of others", "parties", recipient="nl"),
    Row("parties", "a third one", "facts", EVERYBODY, recipient="nl"),
    Row("from", "of the other", "direction", {"giver": '"jp"', "receiver": '"vn"'}),
    Row("from", "everybody", "facts", EVERYBODY),
    Row("to", "another", "direction", {**EVERYBODY, "giver": '"vn"', "receiver": '"nl"'}),
    Row("to", "oneself", "oneself", EVERYBODY, recipient="vn"),
    Row("types", "of it", "facts"),
    Row("types", "another", "type", notice={"notice_type": "feedback"}),
    Row("slots", "those of it", "facts persons", {"personal": ON}),
    *grant_rows("countries", 'countries = ["JP"]', {"countries": ("JP", "VN")}, {"countries": ("VN",)}),
    *grant_rows("subjects", 'subjects = ["hs:29"]', {"subjects": ("hs:293911",)}, {"subjects": ("hs:30",)}),
    *grant_rows("subjects", 'subjects = ["cas:50-3"]', {"subjects": ("cas:50-3",)}, {"subjects": ("cas:5",)}),
    *grant_rows("purposes", 'purposes = ["environment"]', {"purpose": "environment"}, {}),
    *grant_rows("campaigns", 'campaigns = ["demeter"]', {"campaign": "demeter"}, {"campaign": "tin-can"}),
    *grant_rows("tlp_max", 'tlp_max = "GREEN"', {"tlp": Tlp.GREEN}, {"tlp": Tlp.AMBER}),
    Row("tlp_max", "left out, and above AMBER", "tlp", notice={"tlp": Tlp.AMBER_STRICT}),
    Row("statuses", "exercises", "facts", EXERCISES, notice={"status": Status.EXERCISE}),
    Row("statuses", "exercises alone", "status", EXERCISES),
    Row("statuses", "left out", "status", notice={"status": Status.TEST}),
    Row("mode", "not asked for", "mode", ASKED),
    Row("mode", "asked for", "facts", ASKED, known=(asks("jp"),), notice={"act": Act.ANSWER}),
    Row("mode", "asked for by another", "mode", ASKED, known=(asks("nl"),), notice={"act": Act.ANSWER}),
    Row("mode", "automatic", "facts", {"grant": 'mode = "automatic"'}),
    # What no clause can change.
    Row("addressees", "among them", "facts", EVERYBODY, notice={"addressees": ("jp",)}),
    Row("addressees", "not among them", "addressees", EVERYBODY, notice={"addressees": ("nl",)}),
    Row("addressees", "reached by nothing", "parties", notice={"addressees": ("nl",)}, recipient="nl"),
    *(
        Row(act.name.lower(), is_, gets, text, known=known, notice={"act": act})
        for act in (Act.RECALL, Act.ERASURE, Act.CORRECTION)
        for is_, gets, text, known in (
            ("after the end", "facts persons", {"top": "terminated_on = 2026-05-01"}, (before_the_end(),)),
            ("of what it had not got", "original", {}, (before_the_end(shares={"nl": share(Slot.FACTS)}),)),
            ("of another's", "original", {}, (before_the_end(originator="nl"),)),
            (
                "of several",
                "persons",
                {},
                (before_the_end(), reference("x", shares={"jp": share(Slot.PERSONS, Slot.ENTITIES)})),
            ),
            (
                "of several without a slot in common",
                "",
                {},
                (before_the_end(), reference("x", shares={"jp": share(Slot.ENTITIES)})),
            ),
        )
    ),
    Row("correction", "by another type", "original", known=OF_ANOTHER_TYPE, notice={"act": Act.CORRECTION}),
    Row("recall", "by an order", "facts persons", known=OF_ANOTHER_TYPE, notice=ORDER),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.clause}: {row.is_}")
def test_a_clause_of_the_text_decides(row: Row) -> None:
    case = row.case()
    verdict = decide(case.header, row.recipient, case.directory, case.context)
    if isinstance(verdict, Share):
        assert " ".join(slot.label for slot in sorted(verdict.slots)) == row.gets
    else:
        assert verdict.reason is Clause(row.gets)
    everybody = {who: decide(case.header, who, case.directory, case.context) for who in MEMBERS}
    shares = {who: one for who, one in everybody.items() if isinstance(one, Share)}
    assert Index(case.directory).shares(case.header, case.context) == shares
    assert Oracle(case.directory).slots([case]) == [{w: one.slots for w, one in shares.items() if one.slots}]


# --- what is owed ----------------------------------------------------------------------------------------


def owed(grant: str, **notice: Any) -> Any:
    verdict = decide(header(**notice), "jp", directory(written(grant=grant)), Context(JUNE, {}))
    assert isinstance(verdict, Share)
    return verdict.obligations


def test_retention_and_feedback_count_to_the_millisecond_and_the_notice_may_ask_for_less() -> None:
    said = owed("retention_days = 365\nfeedback_hours = 72")
    assert (said.retain_until, said.feedback_due) == (JUNE + 365 * DAY, JUNE + 72 * HOUR)
    said = owed("retention_days = 365\nfeedback_hours = 72", retain_until=JUNE + 1, feedback_due=JUNE + 2)
    assert (said.retain_until, said.feedback_due) == (JUNE + 1, JUNE + 2)
    said = owed("retention_days = 365", retain_until=JUNE + 366 * DAY)
    assert (said.retain_until, said.feedback_due) == (JUNE + 365 * DAY, None)


@pytest.mark.parametrize("rule", list(Onward), ids=lambda rule: rule.name)
@pytest.mark.parametrize("way", ["domestic", "community", "third_country"])
def test_each_way_of_passing_on_has_each_rule_and_denies_where_nothing_is_said(
    way: str, rule: Onward
) -> None:
    said = owed(f'onward = {{ {way} = "{rule.name.lower().replace("_", "-")}" }}')
    ways = {
        "domestic": said.onward_domestic,
        "community": said.onward_community,
        "third_country": said.onward_third_country,
    }
    assert ways == {each: rule if each == way else Onward.DENY for each in ways}


@pytest.mark.parametrize("use", [Onward.DENY, Onward.CONSENT, Onward.ALLOW], ids=lambda use: use.name)
def test_use_in_court_stands_in_the_agreement_that_the_delivery_names(use: Onward) -> None:
    found = written(grant=f'evidentiary_use = "{use.name.lower()}"')
    assert found.grants[0].terms.evidentiary_use is use
    verdict = decide(header(), "jp", directory(found), Context(JUNE, {}))
    assert isinstance(verdict, Share)
    assert verdict.grounds == (found.ground,)


def test_what_is_sealed_by_one_grant_is_sealed_also_where_it_is_empty() -> None:
    value = directory(written(personal=ON, grant='seal = ["persons"]'))
    assert sealed_slots(header(), value, Context(JUNE, {})) == {Slot.PERSONS}
    assert sealed_slots(header(notice_type="feedback"), value, Context(JUNE, {})) == set()
    assert sealed_slots(header(), value, Context(ms("2026-02-01"), {})) == set(), "persons do not flow yet"


@pytest.mark.parametrize(
    "top",
    [
        'instrument = "Treaty Series 17"',
        f'instrument_digest = "{"ab" * 32}"',
        "review_due = 2026-02-01",
        'on_termination = "keep-until-retention"',
    ],
)
def test_what_is_for_people_alone_lets_flow_what_flowed(top: str) -> None:
    assert slots(written(top=top)) == {Slot.FACTS}
    assert written().on_termination is OnTermination.ERASE


@pytest.mark.parametrize(
    ("said", "other"),
    [
        ('id = "jp-vn-2026"', 'id = "jp-vn-2027"'),
        ("version = 3", "version = 4"),
        ('nonce = "5f', 'nonce = "6f'),
        ('title = "A title"', 'title = "Another"'),
    ],
)
def test_another_id_version_nonce_or_title_is_another_file_to_which_nobody_acceded(
    said: str, other: str
) -> None:
    text = TEXT.format(**USUAL)
    listed = directory(parse_agreement(text.encode()))
    changed = replace(listed, agreements=(parse_agreement(text.replace(said, other).encode()),))
    verdict = decide(header(), "jp", changed, Context(JUNE, {}))
    assert not isinstance(verdict, Share)
    assert verdict.reason is Clause.ACCESSION


def slots(found: Agreement) -> set[Slot]:
    verdict = decide(header(), "jp", directory(found), Context(JUNE, {}))
    return set(verdict.slots) if isinstance(verdict, Share) else set()


# --- nothing is left out -----------------------------------------------------------------------------------

ELSEWHERE = {
    *("id", "version", "nonce", "title", "instrument", "instrument_digest", "review_due", "on_termination"),
    *("retention_days", "feedback_hours", "onward", "evidentiary_use", "seal"),
}
"""Clauses that the tests above are about."""


def named_in(heading: str) -> set[str]:
    """What the table under a heading of the page names."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name.strip("[]") for cell in cells for name in re.findall("`([^`]+)`", cell)}


def test_every_clause_of_the_page_is_proven_here() -> None:
    clauses = named_in("The clauses of the agreement") | named_in("The clauses of a grant")
    assert (
        clauses
        == ({row.clause for row in ROWS} - {"addressees", "recall", "erasure", "correction"}) | ELSEWHERE
    )


def test_every_reason_is_on_the_page_and_nearly_all_decide_a_row() -> None:
    assert named_in("When a notice did not arrive") == {clause.value for clause in Clause}
    decided = {row.gets for row in ROWS}
    # The others need another directory than these rows have: see test_agreements.
    assert {clause.value for clause in Clause} - decided == {"member", "accession"}


# --- it travels ------------------------------------------------------------------------------


async def test_what_is_owed_travels_with_the_delivery_and_with_what_follows_it(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        terms = "retention_days = 30\nfeedback_hours = 24\n"
        terms += 'onward = { domestic = "consent", community = "notify" }'
        agreed = world.agree("vn", "jp", slots=["facts"], grant=terms)
        sent = await world.publish("vn", sighting(person="Ada"), handling=Handling.H2)
        back = {"act": Act.RECALL, "references": (sent.statement,)}
        await world.publish("vn", sighting(person="Ada"), **back)
        got, recall = await world.deliveries("jp")
    at = got.head.decided_at
    assert got.head.grounds == (agreed.ground,)
    assert got.head.obligations.retain_until == at + 30 * DAY
    assert got.head.obligations.feedback_due == at + 24 * HOUR
    assert got.head.obligations.handling is Handling.H2
    assert got.head.obligations.onward_domestic is Onward.CONSENT
    assert got.head.obligations.onward_community is Onward.NOTIFY
    assert got.head.obligations.onward_third_country is Onward.DENY
    assert {one.slot for one in got.envelope.disclosures} == {Slot.FACTS}
    assert recall.head.obligations == replace(got.head.obligations, feedback_due=None)
