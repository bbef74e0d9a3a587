"""Nine real agreements as files: each clause is there, is told apart from the others, and does as it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from broker.core.agreement_text import problems_of
from broker.core.agreements import Share, decide
from broker.core.clauses import PersonalData
from broker.core.model import Onward, Slot, Tlp
from schemas import LANGUAGES
from schemas.agreements.sentences import read_out
from tests.real_agreements.clauses import CLAUSES, PARTNERS, RealClause, agreements, table
from tests.strategies import NOW, context, directory, header

MANUAL = Path(__file__).parents[2] / "docs/agreements.md"
HEAD = "| a real clause |"
FILES = {partner: (agreement, text) for partner, agreement, text in agreements()}
WRITTEN = [clause for clause in CLAUSES if clause.check is not None]


def section(manual: str) -> str:
    """The table of the manual."""
    start = manual.index(HEAD)
    return manual[start : manual.index("\n\n", start) + 1]


@pytest.mark.parametrize("clause", WRITTEN, ids=[clause.says for clause in WRITTEN])
def test_a_real_clause_is_in_the_files_that_have_it_and_in_no_other(clause: RealClause) -> None:
    assert clause.check is not None
    having = {partner for partner, (agreement, text) in FILES.items() if clause.check(agreement, text)}
    assert having >= set(clause.where)
    if clause.alone:
        assert having == set(clause.where)


def test_what_cannot_be_written_has_a_reason_and_what_can_has_a_way() -> None:
    for clause in CLAUSES:
        assert bool(clause.how) == (clause.check is not None)
        assert clause.how or clause.limit
        assert clause.where.keys() <= set(PARTNERS)


def test_the_manual_has_the_table_as_the_tests_hold_it() -> None:
    assert section(MANUAL.read_text(encoding="utf-8")) == table()


@pytest.mark.parametrize("partner", PARTNERS)
def test_each_is_an_agreement_that_cites_its_source_and_reads_out_in_both_languages(partner: str) -> None:
    agreement, text = FILES[partner]
    assert problems_of(text.encode()) == ()
    assert agreement.parties == {"nl", partner}
    assert agreement.instrument is not None
    assert text.splitlines()[0].endswith(f"({agreement.instrument}).")
    for language in LANGUAGES:
        assert len(read_out(agreement, language).chapters) == 4 + len(agreement.grants)


@pytest.mark.parametrize("partner", PARTNERS)
def test_each_gives_and_binds_as_its_clauses_say(partner: str) -> None:
    agreement, _ = FILES[partner]
    value = directory(agreement, members=("nl", partner))
    verdict = decide(header(partner, tlp=Tlp.AMBER), "nl", value, context())
    assert isinstance(verdict, Share)
    assert (Slot.PERSONS in verdict.slots) is (partner in ("us", "cv", "jp"))
    owed = verdict.obligations
    assert owed.onward_third_country is (Onward.DENY if partner == "ae" else Onward.CONSENT)
    assert owed.onward_community is (Onward.NOTIFY if partner in ("us", "za", "au", "id") else Onward.CONSENT)
    assert owed.onward_domestic is (Onward.ALLOW_UNLESS_VETO if partner == "jp" else Onward.CONSENT)
    # To switch personal data on is one table: nothing else has to change.
    on = replace(agreement, personal_data=PersonalData(NOW, "equivalence was agreed"))
    verdict = decide(header(partner), "nl", directory(on, members=("nl", partner)), context())
    assert isinstance(verdict, Share)
    assert Slot.PERSONS in verdict.slots
