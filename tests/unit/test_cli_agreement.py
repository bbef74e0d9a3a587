"""`halong agreement` for lawyers and officers: files alone, no hub and no node."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest

from broker.commands.agreement.check import line_of
from broker.commands.agreement.ending import ending_of
from broker.commands.agreement.new import TEMPLATES
from broker.commands.agreement.writing import KINDS, Plan, next_version, write_agreement
from broker.core.agreement_doubts import doubts_of
from broker.core.agreement_text import parse_agreement, problems_of
from broker.core.agreements import Context, Share, Withhold, decide
from broker.core.clauses import Mode, OnTermination, Terms
from broker.core.errors import BadConfiguration
from broker.core.model import Act, Slot
from broker.terminal import Exit
from schemas.agreements.codes import codes_doubted
from tests.strategies import DAY, NOW, agreement, directory, grant, header, reference, share
from tests.unit.test_cli_commands import AGREEMENTS, NOTICES, Terminal, at, network

__all__ = ["at", "network"]

WRONG = """\
id = "JP VN"
version = 1
title = "Agreement"
nonce = "00112233445566778899aabbccddeeff"
parties = ["jp", "vn"]
in_force_from = 2026-01-01
terminated_on = 2025-01-01

[[grant]]
from = "vn"
to = "jp"
types = ["drug-parcel"]
slots = ["facts"]

[[grant]]
from = "jp"
to = "nl"
types = ["drug-parcel"]
slots = ["facts", "photo"]
onward = { domestic = "perhaps" }
statusses = ["ACTUAL"]
"""


def test_check_says_all_that_is_wrong_with_its_line_and_what_is_possible(at: Terminal) -> None:
    Path("a.toml").write_text(WRONG)
    said = at("agreement check a.toml")
    assert said.code == Exit.FAILED
    assert "a.toml  6 problems" in said.out
    for line in (
        "✗ id (line 1): 'JP VN' is not a name",
        "✗ terminated_on (line 7): must be later than in_force_from",
        "✗ grant 2, to (line 17): 'nl' is not possible; possible are jp, vn, *",
        "✗ grant 2, slots (line 19): 'photo' is not possible; possible are facts, identifiers",
        "✗ grant 2, onward, domestic (line 20): 'perhaps' is not possible; possible are deny, consent",
        "✗ grant 2, statusses (line 21): there is no such clause here; possible are campaigns",
    ):
        assert line in said.out, line
    assert "did you mean statuses?" in said.out
    told = at("agreement check a.toml --json").json
    assert not told["good"]
    assert [each["line"] for each in told["files"][0]["problems"]] == [1, 7, 17, 19, 20, 21]


def test_check_takes_several_files_and_tells_doubts_from_problems(at: Terminal) -> None:
    good = AGREEMENTS / "jp-vn-2026.toml"
    Path("b.toml").write_text(good.read_text().replace('"facts", "identifiers", "entities"]', '"facts"]'))
    Path("c.toml").write_text(good.read_text().replace("retention_days = 730\n", ""))
    assert at(f"agreement check {good}").code == Exit.HELD
    said = at("agreement check c.toml")
    assert said.code == Exit.HELD
    assert "! grant 3, retention_days (line" in said.out
    assert at("agreement check c.toml --strict").code == Exit.FAILED
    both = at(f"agreement check {good} b.toml")
    assert both.code == Exit.FAILED
    assert "with other bytes: a changed text is the next version" in both.out
    Path("d.toml").write_text("id = \nversion")
    broken = at("agreement check d.toml")
    assert broken.code == Exit.FAILED
    assert "not TOML: Invalid value (at line 1, column 6)" in broken.out
    assert at("agreement check missing.toml").code == Exit.USAGE


def test_the_line_of_a_clause_is_found_or_left_unsaid() -> None:
    assert line_of(WRONG, "grant 2") == 15
    assert line_of(WRONG, "grant 3, slots") is None
    assert line_of(WRONG, "grant 1, seal") == 9
    assert line_of(WRONG, "review_due") is None
    assert line_of('"id" = 1\n', "id") is None


def test_show_reads_a_file_out_in_either_language_as_text_json_and_page(at: Terminal) -> None:
    file = AGREEMENTS / "jp-vn-2026.toml"
    english, vietnamese = at(f"agreement show {file}"), at(f"agreement show {file} --language vi")
    assert english.code == vietnamese.code == Exit.HELD
    assert "The receiver erases it after 365 days" in english.out
    assert "Bên nhận xóa sau 365 ngày" in vietnamese.out
    told = at(f"agreement show {file} --json --html page.html").json
    assert told["agreement"] == "jp-vn-2026"
    assert {"title": "Personal data", "clause": "personal_data"}.items() <= told["chapters"][2].items()
    page = Path("page.html").read_text(encoding="utf-8")
    assert "Bên nhận xóa sau" in page
    assert "The receiver erases it" in page
    assert at("agreement show nowhere.toml").code == Exit.USAGE


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_new_writes_always_passes_check_without_a_doubt(template: str) -> None:
    kind = KINDS[template]
    for seed in range(10):
        random = Random(seed)
        others = ("jp", "vn") if kind.pair else random.sample(("jp", "nl", "vn", "za"), random.randint(1, 4))
        office = random.choice(("rilo-ap", "bank-1")) if kind.office else None

        start = date(2026, 1, 1) + timedelta(days=random.randint(0, 2000))
        plan = Plan(
            kind=kind,
            id="agreement-1",
            title=random.choice(('Assistance "plus"', "Hỗ trợ \\ lẫn nhau", "Ärger # nicht $ {x}")),
            parties=(*others, *([office] if office else ["un-basel"] if len(others) == 1 else [])),
            in_force_from=start,
            office=office,
            campaign="demeter" if kind.campaign else None,
            instrument=random.choice((None, "Treaty Series 2025")),
            legal_basis=random.choice((None, "article 9")),
            terminated_on=random.choice((None, start + timedelta(days=random.randint(2, 900)))),
        )
        text = write_agreement(plan).encode()
        assert problems_of(text) == ()
        found = parse_agreement(text)
        assert (*doubts_of(found), *codes_doubted(found)) == ()
        assert found.title == plan.title
        assert found.parties == set(plan.parties)
        personal = any(grant.slots & {Slot.PERSONS, Slot.IDENTIFIERS} for grant in found.grants)
        assert personal is (plan.legal_basis is not None and kind.personal)
        assert all(grant.mode is Mode.AUTOMATIC for grant in found.grants)


def test_new_asks_or_says_what_is_missing_and_overwrites_nothing(at: Terminal) -> None:
    assert "--template is missing" in at("agreement new").err
    line = "agreement new --template bilateral --party jp --party vn"
    assert "--title is missing" in at(line).err
    assert at(line, "--title", "Assistance", "-o", "a.toml").code == Exit.HELD
    assert at("agreement check a.toml --strict").code == Exit.HELD
    assert "is there already" in at(line, "--title", "Assistance", "-o", "a.toml").err
    assert "for two parties" in at(f"{line} --party nl --title A").err
    assert "no --office" in at(f"{line} --office nl --title A").err
    assert "not a name" in at(f"{line} --title A --id", "No name").err
    told = at(
        "agreement new --template campaign --campaign demeter --party jp --party vn --json --title C"
    ).json
    assert json.loads(at(f"agreement check {told['file']} --json").out)["good"]


def test_the_next_version_says_the_same_with_a_fresh_nonce_and_perhaps_an_end() -> None:

    for path in sorted(AGREEMENTS.glob("*.toml")):
        text = path.read_bytes()
        changed = next_version(text, path.name, terminated_on=date(2028, 1, 1))
        before, found = parse_agreement(text), parse_agreement(changed.encode())
        assert found.version == before.version + 1
        assert found.grants == before.grants
        assert found.terminated_at == 1_830_297_600_000
        assert text.decode().split("nonce = ")[1][:34] not in changed
    with pytest.raises(BadConfiguration, match="change it by hand"):
        next_version(text.replace(b"version = 1", b'"version" = 1'), "a.toml")
    with pytest.raises(BadConfiguration, match="later than in_force_from"):
        next_version(text, "a.toml", terminated_on=date(2020, 1, 1))


# --- a directory ------------------------------------------------------------------------------------------


def test_list_tells_who_acceded_who_is_missing_and_what_counts_for_nothing(network: Terminal) -> None:
    network(f"agreement accede {AGREEMENTS / 'jp-nl-2026.toml'} --dir jp --yes -o jp.json")
    assert network("hub take jp.json --dir hub --yes").code == Exit.HELD
    told = {each["agreement"]: each for each in network("agreement list --dir hub --json").json["agreements"]}
    assert told["jp-vn-2026"]["acceded"] == ["jp", "vn"]
    assert told["jp-vn-2026"]["counts"]
    assert told["jp-nl-2026"]["missing"] == ["nl"]
    assert not told["jp-nl-2026"]["counts"]
    said = network("agreement list --dir hub")
    assert "jp-nl-2026/1  counts for nothing: fewer than two have acceded" in said.out
    assert [
        each["agreement"] for each in network("agreement list --dir vn --member NL --json").json["agreements"]
    ] == ["nl-vn-2026"]
    assert network("agreement list --dir .").code == Exit.USAGE


def test_who_tells_the_reach_in_both_directions_and_what_does_not_count(network: Terminal) -> None:
    told = network("agreement who VN drug-parcel --dir vn --json").json
    assert {(each["receiver"], each["agreement"], each["grant"]) for each in told["to"]} == {
        ("jp", "jp-vn-2026/1", 1),
        ("nl", "nl-vn-2026/1", 2),
    }
    assert {each["giver"] for each in told["from"]} == {"jp", "nl"}
    said = network("agreement who vn drug-parcel --dir hub")
    assert said.code == Exit.HELD
    assert "if: countries JP · purposes customs-enforcement" in said.out
    early = network("agreement who vn drug-parcel --dir hub --at 2025-12-31")
    assert early.code == Exit.FAILED
    assert "not in force yet" in early.out
    assert "did you mean drug-parcel?" in network("agreement who vn drug-parcell --dir hub").err
    assert "there are jp, nl, vn" in network("agreement who xx drug-parcel --dir hub").err


def test_explain_of_a_draft_says_the_same_at_the_node_and_at_the_hub(network: Terminal) -> None:
    draft = NOTICES / "drug-parcel.json"
    here = network(f"agreement explain {draft} --dir vn --json").json
    hub = network(f"agreement explain {draft} --dir hub --originator VN --json").json
    assert [(each["member"], each["slots"], each["failed"]) for each in here["receivers"]] == [
        (each["member"], each["slots"], each["failed"]) for each in hub["receivers"]
    ]
    said = network(f"agreement explain {draft} --dir vn")
    assert "1 of 2 would get it" in said.out
    assert "jp-vn-2026/1: the notice names none of the countries" in said.out
    one = network(f"agreement explain {draft} --dir vn --member jp")
    assert "gets nothing" in one.out
    assert "needs --originator" in network(f"agreement explain {draft} --dir hub").err
    assert "its originator" in network(f"agreement explain {draft} --dir vn --member vn").err.replace(
        "notice's", "its"
    )
    assert "no notice of this reference" in network("agreement explain vn/asia-pacific/main/1 --dir vn").err
    Path("x.bin").write_bytes(b"\x00\x01")
    assert "neither a draft nor a signed notice" in network("agreement explain x.bin --dir vn").err


def test_show_finds_an_agreement_of_the_directory_by_name(network: Terminal) -> None:
    said = network("agreement show jp-vn-2026 --dir vn")
    assert "The parties are Customs of jp (jp) and Customs of vn (vn)" in said.out
    assert "did you mean jp-vn-2026?" in network("agreement show jp-vn-2025 --dir vn").err


def test_accede_tells_what_would_flow_at_once_and_what_once_the_others_accede(network: Terminal) -> None:
    parties = "--party jp --party nl"
    network(f"agreement new --template bilateral {parties} --from 2026-01-01 -o new.toml --title Assistance")
    told = network("agreement accede new.toml --dir jp --dry-run --json").json
    assert told["effects"] == []
    assert told["missing"] == ["nl"]
    later = {(each["from"], each["to"], each["type"]): each["after"] for each in told["once_all_acceded"]}
    assert later["nl", "jp", "drug-parcel"] == ["facts", "entities", "intelligence"]
    assert ("jp", "nl", "feedback") in later
    network("agreement accede new.toml --dir nl --yes -o nl.json")
    assert network("hub take nl.json --dir hub --yes").code == Exit.HELD
    now = network("agreement accede new.toml --dir hub --member jp").out
    assert "so far nl has" in now
    assert "jp → nl" in now
    assert "accedes, too" not in now
    assert "vn is no party" in network("agreement accede new.toml --dir vn").err
    assert "--member" in network("agreement accede new.toml --dir hub").err
    assert "jp would accede" in network("agreement accede new.toml --dir hub --member JP").out


def test_leave_works_out_the_dates_and_what_another_agreement_keeps(network: Terminal) -> None:
    at_once = network("agreement leave jp-vn-2026 --dir vn --dry-run --json").json
    assert at_once["open_cases_until"] is None
    assert at_once["erase_by"] == at_once["ends_on"]
    assert {(each["from"], each["to"], each["type"]) for each in at_once["effects"]} >= {
        ("vn", "jp", "drug-parcel"),
        ("jp", "vn", "feedback"),
    }
    assert at_once["held"] == 0
    said = network("agreement leave jp-vn-2026 --dir vn --dry-run").out
    assert "they go on for 90 days only after an end in the text" in said
    orderly = network("agreement leave jp-vn-2026 --dir vn --on 2027-06-30 -o end.toml --json").json
    assert orderly["ends_on"] == "2027-06-30"
    assert orderly["open_cases_until"] == orderly["erase_by"] == "2027-09-28"
    assert orderly["kept_until"] == "2029-09-27"
    assert network("agreement check end.toml").code == Exit.HELD
    kept = network("agreement leave nl-vn-2026 --member nl --dir hub").out
    assert "open cases     end at once" in kept
    assert "nl is no party" in network("agreement leave jp-vn-2026 --member nl --dir hub").err


def test_an_end_of_an_agreement_is_the_one_that_decide_keeps() -> None:
    """The dates that are promised are those at which `decide` stops."""
    value = agreement(
        grant(terms=Terms(retention_days=30)), wind_down_days=90, on_termination=OnTermination.ERASE
    )
    ending = ending_of(value, "jp", NOW, end_at=NOW + 10 * DAY)
    ended = replace(value, terminated_at=ending.ends_at, wound_down_at=ending.open_cases_until)
    case = reference(shares={"jp": share(Slot.FACTS, under=[ended])})
    for moment, act, flows in (
        (ending.ends_at - 1, Act.ORIGINAL, True),
        (ending.ends_at, Act.ORIGINAL, False),
        (ending.ends_at, Act.UPDATE, True),
        ((ending.open_cases_until or 0) - 1, Act.UPDATE, True),
        (ending.open_cases_until or 0, Act.UPDATE, False),
    ):
        references = (case.statement,) if act is Act.UPDATE else ()
        notice = header(act=act, references=references)
        verdict = decide(notice, "jp", directory(ended), Context(moment, {case.statement: case}))
        assert isinstance(verdict, Share if flows else Withhold), (moment, act)
    assert ending.erase_by == ending.open_cases_until
    assert ending.kept_until == (ending.open_cases_until or 0) + 30 * DAY
    assert ending_of(value, "jp", NOW).erase_by == NOW
    free = agreement(grant(), on_termination=OnTermination.KEEP_UNTIL_RETENTION)
    assert ending_of(free, "jp", NOW).kept_until is None
    assert ending_of(free, "jp", NOW).erase_by is None


def test_check_holds_a_file_against_a_directory_if_one_is_named(network: Terminal) -> None:
    file = AGREEMENTS / "jp-vn-2026.toml"
    assert network(f"agreement check {file} --dir vn --strict").code == Exit.HELD
    Path("other.toml").write_text(file.read_text() + "# changed\n")
    said = network("agreement check other.toml --dir hub")
    assert said.code == Exit.FAILED
    assert "is in the directory with other bytes" in said.out
    network("agreement new --template bilateral --party vnn --party jp --title A -o a.toml")
    said = network("agreement check a.toml --dir vn")
    assert said.code == Exit.HELD
    assert "! parties (line" in said.out
    assert "'vnn' is no member of halong-test; did you mean vn?" in said.out
