"""What a receiver owes, in words: how long it keeps a notice, whom it may tell, what it must answer.

Decides what is said and in which order; the same on pages, in JSON and on a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator

from broker.core.clauses import OnTermination
from broker.core.further_terms import AtTheEnd, FurtherTerms
from broker.core.model import Obligations
from schemas.fields import Row
from schemas.readable import Value, time, visible
from schemas.wording import LANGUAGES, Labels, labels


def obligation_rows(
    owed: Obligations, further: FurtherTerms | None, words: Labels, offset_minutes: int
) -> tuple[Row, ...]:
    """Return what is owed as labelled lines; `further` is None where the agreements are not at hand."""
    return tuple(_rows(owed, further, words, offset_minutes))


def in_words(
    owed: Obligations, further: FurtherTerms | None, offset_minutes: int = 0
) -> dict[str, list[str]]:
    """Return what is owed as sentences, by language."""
    return {
        language: [
            f"{row.label}: {value.text}"
            for row in obligation_rows(owed, further, labels(language), offset_minutes)
            for value in row.values
        ]
        for language in LANGUAGES
    }


def _rows(
    owed: Obligations, further: FurtherTerms | None, words: Labels, offset_minutes: int
) -> Iterator[Row]:
    def at(moment: int | None, otherwise: str) -> Value:
        return (
            Value(words.page(otherwise)) if moment is None else time(moment, words.language, offset_minutes)
        )

    yield Row(words.page("keep_until"), (at(owed.retain_until, "keep_not_limited"),))
    yield Row(words.page("feedback_by"), (at(owed.feedback_due, "feedback_not_asked"),))
    for key, onward in (
        ("onward_domestic", owed.onward_domestic),
        ("onward_community", owed.onward_community),
        ("onward_third_country", owed.onward_third_country),
    ):
        yield Row(words.page(key), (Value(words.word("onward", onward.name)),))
    if further is not None:
        rule = words.word("evidence", further.evidentiary_use.name)
        yield Row(words.page("evidentiary_use"), (Value(rule),))
        if further.ends:
            ends = (_at_the_end(each, words, offset_minutes) for each in further.ends)
            yield Row(words.page("at_the_end"), tuple(ends))
    handling = f"{owed.handling.name}: {words.word('handling', owed.handling.name)}"
    yield Row(words.page("handling_code"), (Value(handling),))


def _at_the_end(each: AtTheEnd, words: Labels, offset_minutes: int) -> Value:
    name = f"{visible(each.agreement)}/{each.version}"
    if each.rule is OnTermination.KEEP_UNTIL_RETENTION:
        return Value(words.page("end_keep").format(agreement=name))
    if each.on_at is None:
        return Value(words.page("end_erase").format(agreement=name))
    day = time(each.on_at, words.language, offset_minutes).text
    return Value(words.page("end_erase_on").format(agreement=name, date=day))
