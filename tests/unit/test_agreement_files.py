"""The agreements that come with Halong say what the manual and the demo say they do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from broker.core.agreements import Agreement, Clause, Share, Withhold, decide, parse_agreement, warnings_of
from broker.core.clauses import Mode
from broker.core.directory import Directory
from broker.core.errors import BadConfiguration
from broker.core.model import Onward, Slot, Status
from tests.strategies import NOW, context, directory, header

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs/agreements.md").read_text(encoding="utf-8")
SCENARIO = ROOT / "broker/demo/scenario/agreements"
DEMO = {path.stem: parse_agreement(path.read_bytes(), path.name) for path in sorted(SCENARIO.glob("*.toml"))}


def slots(value: Directory, recipient: str, originator: str, notice_type: str, **fields: object) -> set[Slot]:
    notice = header(originator, notice_type=notice_type, subjects=(), **fields)
    verdict = decide(notice, recipient, value, context(at=NOW))
    return set(verdict.slots) if isinstance(verdict, Share) else set()


@pytest.fixture(scope="module")
def demo() -> Directory:
    return directory(*DEMO.values(), members=("jp", "nl", "rilo-ap", "vn"))


def example() -> str:
    (found,) = re.findall(r"```toml\n(.*?)```", MANUAL, re.DOTALL)
    return str(found)


def test_the_manuals_example_says_what_the_manual_says() -> None:
    agreement = parse_agreement(example().encode())
    to_japan, to_viet_nam, back = agreement.grants
    assert agreement.name == "jp-vn-2026/3"
    assert to_japan.terms.onward_community is Onward.NOTIFY
    assert to_viet_nam.mode is Mode.ON_REQUEST
    assert back.types == {"feedback", "lifecycle-confirmation"}
    assert warnings_of(agreement) == ()


def test_the_manual_explains_every_clause_that_an_agreement_may_have() -> None:
    for where in ("", "[personal_data]\n", "[[grant]]\n"):
        text = example().replace(where or "id =", f"{where}nonsense = 1\n" + ("" if where else "id ="), 1)
        possible = message_of(text).rpartition("possible are ")[2].split(", ")
        assert len(possible) > 2
        for clause in possible:
            assert f"`{clause}" in MANUAL or f"[{clause}]" in MANUAL or f"[[{clause}]]" in MANUAL, clause


def message_of(text: str) -> str:
    with pytest.raises(BadConfiguration) as caught:
        parse_agreement(text.encode(), "jp-vn-2026/3.toml")
    return str(caught.value)


def test_the_manual_names_every_reason_for_withholding() -> None:
    table = MANUAL.partition("## When a notice did not arrive")[2].partition("## ")[0]
    assert re.findall(r"`([a-z-]+)`(?=[^|]*\|[^|]*\|$)", table, re.MULTILINE) == [
        each.value for each in Clause
    ]


def test_the_manual_quotes_messages_as_they_are() -> None:
    quoted = re.findall(r"^jp-vn-2026/3\.toml: .*$", MANUAL, re.MULTILINE)
    assert message_of(example().replace('"persons"]', '"photos"]', 1)) == quoted[0]
    assert message_of(example().replace("2028-06-30", "2025-06-30")) == quoted[1]
    assert message_of(example() + "statusses = 1\n").startswith(
        quoted[2].removesuffix("…").replace("grant 2", "grant 3")
    )


@pytest.mark.parametrize("name", sorted(DEMO))
def test_an_agreement_of_the_demo_is_filed_under_its_id_and_leads_feedback_back(name: str) -> None:
    agreement = DEMO[name]
    assert agreement.id == name
    assert not any("feedback" in warning for warning in warnings_of(agreement))
    assert not any(grant.seal for grant in agreement.grants)


def test_the_demo_has_agreements_of_different_width(demo: Directory) -> None:
    everything = {Slot.FACTS, Slot.IDENTIFIERS, Slot.ENTITIES, Slot.PERSONS}
    assert slots(demo, "jp", "vn", "drug-parcel") == everything
    assert slots(demo, "nl", "vn", "drug-parcel") == {Slot.FACTS}
    assert slots(demo, "rilo-ap", "vn", "drug-parcel") == {Slot.FACTS, Slot.INTELLIGENCE}
    assert slots(demo, "nl", "jp", "drug-parcel") == {Slot.FACTS}
    assert slots(demo, "vn", "nl", "hazardous-waste") == {Slot.FACTS, Slot.ENTITIES}
    assert slots(demo, "jp", "nl", "hazardous-waste") == set()
    assert slots(demo, "vn", "rilo-ap", "revenue-fraud") == {Slot.FACTS, Slot.INTELLIGENCE}
    assert slots(demo, "nl", "rilo-ap", "revenue-fraud") == set()


def test_of_the_demo_only_the_community_runs_exercises(demo: Directory) -> None:
    exercise = Status.EXERCISE
    assert slots(demo, "rilo-ap", "vn", "drug-parcel", status=exercise) == {Slot.FACTS, Slot.INTELLIGENCE}
    assert slots(demo, "jp", "vn", "drug-parcel", status=exercise) == set()


def test_a_parcel_that_does_not_touch_japan_is_not_for_japan(demo: Directory) -> None:
    notice = header("vn", countries=("KR", "VN"))
    verdict = decide(notice, "jp", demo, context(at=NOW))
    assert isinstance(verdict, Withhold)
    assert verdict.reason is Clause.COUNTRIES


def test_every_receiver_of_the_demo_can_give_feedback(demo: Directory) -> None:
    for giver in demo.members:
        for receiver in demo.members:
            if any(slots(demo, receiver, giver, each) for each in ("drug-parcel", "hazardous-waste")):
                assert slots(demo, giver, receiver, "feedback"), (giver, receiver)


def test_without_an_agreement_of_the_demo_what_it_alone_carried_stays_away(demo: Directory) -> None:
    rest: list[Agreement] = [each for name, each in DEMO.items() if name != "nl-vn-2026"]
    narrower = directory(*rest, members=("jp", "nl", "rilo-ap", "vn"))
    for giver in demo.members:
        for receiver in demo.members:
            for notice_type in ("drug-parcel", "hazardous-waste", "revenue-fraud", "feedback"):
                now = slots(narrower, receiver, giver, notice_type)
                if {giver, receiver} == {"nl", "vn"}:
                    assert now == set()
                else:
                    assert now == slots(demo, receiver, giver, notice_type)
