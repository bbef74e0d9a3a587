"""What a receiver owes is said to it in words, in both languages, with what only the agreement says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

from broker.core.agreements import Share, decide
from broker.core.clauses import EVERY_PARTY, OnTermination, Terms
from broker.core.further_terms import AtTheEnd, FurtherTerms, further_terms
from broker.core.model import Act, Handling, Obligations, Onward
from schemas import LANGUAGES, labels
from schemas.obligations import in_words
from tests.nodes import TestNode
from tests.strategies import DAY, MEMBERS, NOW, agreement, any_case, directory, grant, header
from tests.world import World

OWED = Obligations(NOW + 30 * DAY, NOW + DAY, Handling.H1, Onward.CONSENT, Onward.NOTIFY, Onward.DENY)


def test_every_obligation_has_its_sentence_in_both_languages() -> None:
    further = FurtherTerms(
        Onward.CONSENT,
        (
            AtTheEnd("jp-vn-2026", 3, OnTermination.ERASE, NOW + 90 * DAY),
            AtTheEnd("office", 1, OnTermination.KEEP_UNTIL_RETENTION, None),
            AtTheEnd("open", 1, OnTermination.ERASE, None),
        ),
    )
    said = in_words(OWED, further)
    assert list(said) == list(LANGUAGES)
    for language, lines in said.items():
        words = labels(language)
        text = "\n".join(lines)
        assert len(lines) == 10
        for rule in (OWED.onward_domestic, OWED.onward_community, OWED.onward_third_country):
            assert words.word("onward", rule.name) in text
        assert words.word("evidence", "CONSENT") in text
        for name in ("jp-vn-2026/3", "office/1", "open/1"):
            assert name in text
    assert len(in_words(OWED, None)["en"]) == 6
    without = replace(OWED, retain_until=None, feedback_due=None)
    assert in_words(without, None)["en"][:2] == ["Keep until: No limit set", "Feedback by: Not asked for"]


def test_use_in_court_is_the_strictest_of_the_grants_that_may_have_applied() -> None:
    """For any notice, no looser than any grant by which it came."""
    compared = 0
    for seed in range(300):
        case = any_case(Random(seed))
        loose = tuple(
            replace(
                each,
                grants=tuple(
                    replace(
                        one,
                        terms=replace(one.terms, evidentiary_use=Onward(Random(number).choice((0, 1, 4)))),
                    )
                    for number, one in enumerate(each.grants, seed)
                ),
            )
            for each in case.directory.agreements
        )
        value = replace(case.directory, agreements=loose)
        for recipient in MEMBERS:
            verdict = decide(case.header, recipient, value, case.context)
            if not isinstance(verdict, Share) or case.header.act in (Act.RECALL, Act.CORRECTION, Act.ERASURE):
                continue
            compared += 1
            found = further_terms(case.header, recipient, verdict.grounds, value)
            digests = {ground.digest for ground in verdict.grounds}
            for each in value.agreements:
                for one in each.grants:
                    if (
                        each.digest in digests
                        and one.giver in (EVERY_PARTY, case.header.originator)
                        and one.receiver in (EVERY_PARTY, recipient)
                        and case.header.notice_type in one.types
                    ):
                        assert found.evidentiary_use <= one.terms.evidentiary_use
            assert {(end.agreement, end.version) for end in found.ends} == {
                (ground.agreement, ground.version) for ground in verdict.grounds
            }
    assert compared > 50


def test_what_follows_an_original_under_another_type_has_the_terms_of_all_that_leads_there() -> None:
    value = directory(
        agreement(
            grant(terms=Terms(evidentiary_use=Onward.ALLOW)),
            grant(terms=Terms(evidentiary_use=Onward.CONSENT)),
            grant("jp", "vn", terms=Terms(evidentiary_use=Onward.DENY)),
        )
    )
    order = header(notice_type="lifecycle-order")
    (ground,) = [each.ground for each in value.agreements]
    assert further_terms(order, "jp", [ground], value).evidentiary_use is Onward.CONSENT
    assert further_terms(order, "jp", [], value).evidentiary_use is Onward.DENY


async def test_a_delivery_says_all_that_is_owed_on_its_page_and_in_its_json(tmp_path: Path) -> None:
    more = 'on_termination = "erase"\nterminated_on = 2027-06-30\nwind_down_days = 90'
    kept = "retention_days = 365\nfeedback_hours = 72"
    terms = f'evidentiary_use = "consent"\n{kept}\nonward = {{ community = "notify" }}'
    async with World(tmp_path, "vn", "jp") as world:
        made = world.agree("vn", "jp", types=["sighting"], slots=["facts"], more=more, grant=terms)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue(place="Hai Phong")
        await vn.sends()
        await jp.receives()
        await jp.hands_on()
        (path,) = jp.inbox.rglob("*.json")
        owed = json.loads(path.read_text(encoding="utf-8"))["obligations"]
        page = path.with_suffix(".html").read_text(encoding="utf-8")
    assert owed["evidentiary_use"] == "CONSENT"
    assert owed["on_termination"] == [
        {"agreement": made.id, "version": made.version, "rule": "erase", "on": "2027-09-28T00:00:00.000Z"}
    ]
    for language in LANGUAGES:
        for sentence in owed["in_words"][language]:
            label, _, said = sentence.partition(": ")
            assert label in page
            # The page shows times on the reader's clock, which here is UTC, too.
            assert said in page.replace("&#39;", "'")
