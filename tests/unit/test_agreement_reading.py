"""An agreement reads out whole, in both languages: a lawyer finds every clause again, with its value."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.resources import files
from random import Random
from unicodedata import is_normalized

import pytest

from broker.core.agreement_text import parse_agreement
from broker.core.clauses import EVERY_PARTY, Agreement, Mode
from broker.core.model import Slot
from schemas import LANGUAGES
from schemas.agreements.codes import codes_doubted
from schemas.agreements.page import agreement_page, agreement_text
from schemas.agreements.sentences import Reading, name_of_onward, read_out
from schemas.agreements.words import agreement_words, all_words
from tests.agreement_files import text_of
from tests.strategies import DAY, NOW, agreement, any_agreement, grant

SEEDS = range(16)


def any_whole_agreement(random: Random) -> Agreement:
    """A random one that went through its file, so that it has every clause that a file can have."""
    return parse_agreement(text_of(any_agreement(random, 7), random).encode())


def said(reading: Reading, chapter: str, clause: str) -> str:
    """All that is said of a clause in a chapter of the file."""
    return " ".join(
        line.text
        for each in reading.chapters
        if each.clause == chapter
        for line in each.lines
        if line.clause == clause
    )


def day(at: int, language: str) -> str:
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return f"{moment:%d/%m/%Y}" if language == "vi" else f"{moment.day} {moment:%B %Y}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_value_of_every_clause_is_said_under_the_clauses_name(language: str) -> None:
    for seed in SEEDS:
        value = any_whole_agreement(Random(seed))
        reading = read_out(value, language)
        about = {each: said(reading, "", each) for each in ("id", "title", "parties", "instrument")}
        assert value.id in about["id"]
        assert f" {value.version} " in about["id"]
        assert value.title in about["title"]
        assert all(party in about["parties"] for party in value.parties)
        assert value.digest.hex() in said(reading, "", "nonce")
        assert (value.instrument or "") in about["instrument"]
        if value.instrument_digest is not None:
            assert value.instrument_digest.hex() in said(reading, "", "instrument_digest")
        dates = {
            "in_force_from": value.in_force_at,
            "terminated_on": value.terminated_at,
            "review_due": value.review_due_at,
            "on_termination": value.wound_down_at,
        }
        for clause, at in dates.items():
            assert at is None or day(at, language) in said(reading, "", clause)
        assert not value.wind_down_days or str(value.wind_down_days) in said(reading, "", "wind_down_days")
        if value.personal_data is not None:
            assert day(value.personal_data.from_at, language) in said(reading, "personal_data", "from")
            assert value.personal_data.legal_basis in said(reading, "personal_data", "legal_basis")
        for number, each in enumerate(value.grants, 1):
            _compare(value, number, reading, language)
            assert each.giver in (EVERY_PARTY, *value.parties)


def _compare(value: Agreement, number: int, reading: Reading, language: str) -> None:
    words, each, place = agreement_words(language), value.grants[number - 1], f"grant {number}"
    direction = said(reading, place, "from, to")
    assert all(party in direction for party in {each.giver, each.receiver} - {EVERY_PARTY})
    lists = {
        "types": each.types,
        "countries": each.countries,
        "subjects": each.subjects,
        "purposes": each.purposes,
        "campaigns": each.campaigns,
        "statuses": {status.name for status in each.statuses},
        "slots": {slot.label for slot in each.slots},
        "seal": {slot.label for slot in each.seal},
        "tlp_max": {each.tlp_max.name},
    }
    for clause, values in lists.items():
        sentence = said(reading, place, clause)
        assert sentence, clause
        for one in values or ():
            assert re.search(rf"(?<![\w:]){re.escape(one)}(?!\w)", sentence), (clause, one, sentence)
    for slot in set(Slot) - each.slots:
        assert f"({slot.label})" not in said(reading, place, "slots")
    assert (
        said(reading, place, "mode")
        == words.tables["grant"]["automatic" if each.mode is Mode.AUTOMATIC else "on_request"]
    )
    terms = each.terms
    for clause, amount in (
        ("retention_days", terms.retention_days),
        ("feedback_hours", terms.feedback_hours),
    ):
        sentence = said(reading, place, clause)
        assert str(amount) in sentence if amount is not None else not re.search(r"\d", sentence)
    for clause, table, rule in (
        ("onward, domestic", "onward", terms.onward_domestic),
        ("onward, community", "onward", terms.onward_community),
        ("onward, third_country", "onward", terms.onward_third_country),
        ("evidentiary_use", "evidence", terms.evidentiary_use),
    ):
        assert said(reading, place, clause).endswith(f": {words.tables[table][name_of_onward(rule)]}.")


class _Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.said: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_page_and_lines_say_all_sentences_in_both_languages_and_load_nothing() -> None:
    value = any_whole_agreement(Random(3))
    page = agreement_page(value, "vi", {"jp": "Japan <b>Customs</b>"})
    read = _Text(page)
    everything = "".join(read.said)
    for language in LANGUAGES:
        reading = read_out(value, language, {"jp": "Japan <b>Customs</b>"})
        lines = " ".join(agreement_text(reading).split())
        for chapter in reading.chapters:
            for line in chapter.lines:
                assert line.text in everything
                assert all(word in lines for word in line.text.split())
    assert not read.tags & {"script", "img", "link", "iframe", "form", "b"}
    assert "default-src &#39;none&#39;" in page
    assert page.index('id="in-vi" checked') > 0


def test_what_an_agreement_says_cannot_become_markup() -> None:
    title = '<script>alert(1)</script> & "quoted"'
    page = agreement_page(agreement(grant(), title=title))
    assert "<script" not in page
    assert title in "".join(_Text(page).said)


def test_the_words_of_the_languages_fit_each_other() -> None:
    english, vietnamese = (
        tomllib.loads((files("schemas") / "labels" / f"agreements.{one}.toml").read_text(encoding="utf-8"))
        for one in LANGUAGES
    )
    assert {table: set(words) for table, words in english.items()} == {
        table: set(words) for table, words in vietnamese.items()
    }
    for table, words in english.items():
        for key, word in words.items():
            other = vietnamese[table][key]
            assert sorted(re.findall(r"{\w+}", word)) == sorted(re.findall(r"{\w+}", other)), key
            assert is_normalized("NFC", other)
            assert word.strip() == word != ""
            assert other.strip() == other != ""
    assert [each.language for each in all_words()] == list(LANGUAGES)


@pytest.mark.parametrize(
    ("clauses", "clause", "words"),
    [
        ({"types": frozenset({"drug-parcels"})}, "grant 1, types", "did you mean drug-parcel?"),
        ({"countries": frozenset({"UK"})}, "grant 1, countries", "did you mean GB?"),
        ({"countries": frozenset({"EU"})}, "grant 1, countries", "list its states"),
        ({"countries": frozenset({"QQ"})}, "grant 1, countries", "code of no country"),
        ({"subjects": frozenset({"hs:2999"})}, "grant 1, subjects", "not in the list hs"),
        ({"subjects": frozenset({"bassel:Y48"})}, "grant 1, subjects", "did you mean basel?"),
        ({"purposes": frozenset({"customs-enforcment"})}, "grant 1, purposes", "mean customs-enforcement?"),
    ],
)  # fmt: skip
def test_types_and_codes_that_do_not_exist_are_doubted_with_the_nearest(
    clauses: dict[str, frozenset[str]], clause: str, words: str
) -> None:
    (doubt,) = codes_doubted(agreement(grant(**clauses)))
    assert doubt.clause == clause
    assert words in doubt.wrong


def test_codes_that_exist_are_not_doubted() -> None:
    fine = grant(
        countries=frozenset({"JP"}),
        subjects=frozenset({"hs:29", "hs:293911", "hs:29391190", "basel:Y48", "cas:50-36-2"}),
        types=frozenset({"drug-parcel", "feedback", "lifecycle-confirmation"}),
        purposes=frozenset({"customs-enforcement"}),
    )
    assert codes_doubted(agreement(fine)) == ()


def test_a_wind_down_is_said_with_its_last_day() -> None:
    value = agreement(grant(), terminated_at=NOW, wound_down_at=NOW + 90 * DAY, wind_down_days=90)
    reading = read_out(value, "en")
    assert day(NOW + 90 * DAY, "en") in said(reading, "", "wind_down_days")
    assert day(NOW + 90 * DAY, "en") in said(reading, "", "on_termination")
