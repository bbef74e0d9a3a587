"""An agreement read out: one sentence for each clause, also for what the text leaves out.

Decides what is said, in the order of the file.  The words are in `labels`, the drawing in `page`.  What a
clause that is left out means is said like any other: a reader must not have to know defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from broker.core.clauses import EVERY_PARTY, PERSONAL_SLOTS, Agreement, Grant, Mode, OnTermination
from broker.core.model import Onward, Slot, Status
from schemas.agreements.words import AgreementWords, Part, agreement_words
from schemas.readable import visible


@dataclass(frozen=True, slots=True)
class Line:
    """What one clause says; `clause` is its name in the file, empty for what no clause changes."""

    clause: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The sentence."""
        return "".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class Chapter:
    """Sentences about one thing; `clause` is the table of the file that they are in."""

    clause: str
    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """An agreement in one language."""

    language: str
    words: AgreementWords
    name: str
    title: str
    chapters: tuple[Chapter, ...]


_Say: TypeAlias = Callable[..., Line]


def read_out(agreement: Agreement, language: str, names: Mapping[str, str] | None = None) -> Reading:
    """Return the agreement as it reads in `language`; `names` are those of members by their ids."""
    return _Reader(agreement, agreement_words(language), names or {}).reading()


def name_of_onward(onward: Onward) -> str:
    """Return the word for it in agreement files: `allow-unless-veto`."""
    return onward.name.lower().replace("_", "-")


class _Reader:
    """One agreement being put in one language."""

    def __init__(self, agreement: Agreement, words: AgreementWords, names: Mapping[str, str]) -> None:
        self.agreement = agreement
        self.words = words
        self.names = names

    def reading(self) -> Reading:
        words, agreement = self.words, self.agreement
        chapters = [
            ("", "about", self._about()),
            ("", "duration", self._duration()),
            ("personal_data", "personal_data", self._personal_data()),
        ]
        grants = [
            Chapter(
                f"grant {place}",
                words.tables["chapters"]["grant"].format(
                    number=place, direction=self._direction(grant, by_name=False)
                ),
                tuple(self._grant(grant)),
            )
            for place, grant in enumerate(agreement.grants, 1)
        ]
        always = [Line("", words.fill("always", key, {})) for key in words.tables["always"]]
        titles = words.tables["chapters"]
        return Reading(
            words.language,
            words,
            agreement.name,
            visible(agreement.title),
            (
                *(Chapter(clause, titles[key], tuple(lines)) for clause, key, lines in chapters),
                *grants,
                Chapter("", titles["always"], tuple(always)),
            ),
        )

    def _line(self, table: str, clause: str, key: str | None = None, **values: str) -> Line:
        return Line(clause, self.words.fill(table, key or clause, values))

    def _about(self) -> Iterator[Line]:
        agreement, say = self.agreement, partial(self._line, "about")
        yield say("title", title=visible(agreement.title))
        yield say("id", id=agreement.id, version=str(agreement.version))
        yield say("nonce", "digest", digest=agreement.digest.hex())
        yield say(
            "parties", parties=self.words.several([self._name(each) for each in sorted(agreement.parties)])
        )
        if len(agreement.parties) > 2:
            yield say("parties", "community", count=str(len(agreement.parties)))
        if agreement.instrument is None:
            yield say("instrument", "no_instrument")
        else:
            yield say("instrument", instrument=visible(agreement.instrument))
        if agreement.instrument_digest is None:
            yield say("instrument_digest", "no_instrument_digest")
        else:
            yield say("instrument_digest", digest=agreement.instrument_digest.hex())

    def _duration(self) -> Iterator[Line]:
        agreement, day, say = self.agreement, self.words.day, partial(self._line, "duration")
        days = self.words.count("day", agreement.wind_down_days)
        end, wound_down = agreement.terminated_at, agreement.wound_down_at
        yield say("in_force_from", date=day(agreement.in_force_at))
        if end is None or wound_down is None:
            yield say("terminated_on", "open_ended")
            later = "wind_down_later" if agreement.wind_down_days else "no_wind_down_later"
            yield Line("wind_down_days", self._later(later, days))
        else:
            yield say("terminated_on", date=day(end))
            if wound_down > end:
                yield say("wind_down_days", "wind_down", days=days, date=day(wound_down))
            else:
                yield say("wind_down_days", "no_wind_down")
        if agreement.review_due_at is None:
            yield say("review_due", "no_review")
        else:
            yield say("review_due", date=day(agreement.review_due_at))
        what = "erase" if agreement.on_termination is OnTermination.ERASE else "keep"
        if wound_down is None:
            yield say("on_termination", what)
        else:
            yield say("on_termination", f"{what}_on", date=day(wound_down))
        yield say("", "follow")

    def _later(self, key: str, days: str) -> tuple[Part, ...]:
        return self.words.fill("duration", key, {"days": days})

    def _personal_data(self) -> Iterator[Line]:
        personal_data, say = self.agreement.personal_data, partial(self._line, "personal_data")
        if personal_data is None:
            yield say("enabled", "off")
        else:
            yield say("from", "on", date=self.words.day(personal_data.from_at))
            yield say("legal_basis", basis=visible(personal_data.legal_basis))

    def _grant(self, grant: Grant) -> Iterator[Line]:
        words, say = self.words, partial(self._line, "grant")
        yield say("from, to", "direction", direction=self._direction(grant, by_name=True))
        yield say(
            "types", types=words.several([words.named("types", each, each) for each in sorted(grant.types)])
        )
        yield from self._slots(grant, say)
        yield self._perhaps(say, "countries", grant.countries, words.country, "any_country")
        yield self._perhaps(say, "subjects", grant.subjects, words.subject, "any_subject")
        statuses = [
            words.named("statuses", each.name, each.name) for each in Status if each in grant.statuses
        ]
        yield say("statuses", statuses=words.several(statuses))
        yield self._perhaps(
            say, "purposes", grant.purposes, lambda code: words.named("purposes", code, code), "any_purpose"
        )
        yield self._perhaps(say, "campaigns", grant.campaigns, visible, "any_campaign")
        meaning = words.labels.word("tlp", grant.tlp_max.name)
        yield say("tlp_max", tlp=grant.tlp_max.name, meaning=meaning[:1].lower() + meaning[1:])
        yield say("mode", "automatic" if grant.mode is Mode.AUTOMATIC else "on_request")
        yield from self._owed(grant, say)
        if grant.seal:
            yield say("seal", slots=self._named_slots(grant.seal))
        else:
            yield say("seal", "no_seal")

    def _slots(self, grant: Grant, say: _Say) -> Iterator[Line]:
        agreement = self.agreement
        yield say("slots", slots=self._named_slots(grant.slots))
        personal = grant.slots & PERSONAL_SLOTS
        if not personal:
            return
        if agreement.personal_data is None:
            yield say("slots", "slots_withheld", slots=self._named_slots(personal))
        elif agreement.personal_data.from_at > agreement.in_force_at:
            from_day = self.words.day(agreement.personal_data.from_at)
            yield say("slots", "slots_later", slots=self._named_slots(personal), date=from_day)

    def _owed(self, grant: Grant, say: _Say) -> Iterator[Line]:
        words, terms = self.words, grant.terms
        if terms.retention_days is None:
            yield say("retention_days", "no_retention")
        else:
            yield say("retention_days", "retention", days=words.count("day", terms.retention_days))
        if terms.feedback_hours is None:
            yield say("feedback_hours", "no_feedback")
        else:
            yield say("feedback_hours", "feedback", hours=words.count("hour", terms.feedback_hours))
        for key, onward in (
            ("domestic", terms.onward_domestic),
            ("community", terms.onward_community),
            ("third_country", terms.onward_third_country),
        ):
            rule = words.tables["onward"][name_of_onward(onward)]
            yield say(f"onward, {key}", f"onward_{key}", rule=rule)
        rule = words.tables["evidence"][name_of_onward(terms.evidentiary_use)]
        yield say("evidentiary_use", rule=rule)

    def _perhaps(
        self,
        say: _Say,
        clause: str,
        values: frozenset[str] | None,
        name: Callable[[str], str],
        otherwise: str,
    ) -> Line:
        if values is None:
            return say(clause, otherwise)
        return say(clause, **{clause: self.words.several([name(each) for each in sorted(values)])})

    def _named_slots(self, slots: Sequence[Slot] | frozenset[Slot]) -> str:
        words = self.words
        return words.several([words.named("slots", slot.name, slot.label) for slot in sorted(slots)])

    def _direction(self, grant: Grant, *, by_name: bool) -> str:
        giver = "every" if grant.giver == EVERY_PARTY else "one"
        receiver = "every" if grant.receiver == EVERY_PARTY else "one"
        name = self._name if by_name else str
        return self.words.tables["directions"][f"{giver}_{receiver}"].format(
            giver=name(grant.giver), receiver=name(grant.receiver)
        )

    def _name(self, member: str) -> str:
        name = self.names.get(member)
        return f"{visible(name)} ({member})" if name else member


def as_object(reading: Reading) -> dict[str, object]:
    """Return the reading for programs."""
    return {
        "language": reading.language,
        "chapters": [
            {
                "title": chapter.title,
                "clause": chapter.clause or None,
                "lines": [{"clause": line.clause or None, "text": line.text} for line in chapter.lines],
            }
            for chapter in reading.chapters
        ],
    }
