"""The words for agreements in one language, `labels/agreements.<language>.toml`, and how they are filled in.

Decides how dates, numbers and lists are written within a sentence.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

from schemas.code_lists import code_list
from schemas.readable import number, visible
from schemas.wording import LANGUAGES, Labels, labels

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_PLACE = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a sentence; `said` by the agreement, or ours."""

    text: str
    said: bool


@dataclass(frozen=True, slots=True)
class AgreementWords:
    """What is said of agreements in one language."""

    language: str
    tables: Mapping[str, Mapping[str, str]]
    labels: Labels

    def word(self, key: str) -> str:
        """Return a word of the furniture."""
        return self.tables["words"][key]

    def fill(self, table: str, key: str, values: Mapping[str, str]) -> tuple[Part, ...]:
        """Return a sentence with its values in place, told apart from our own words."""
        pieces = _PLACE.split(self.tables[table][key])
        parts = (
            Part(values[each] if place % 2 else each, bool(place % 2)) for place, each in enumerate(pieces)
        )
        return tuple(part for part in parts if part.text)

    def day(self, at: int) -> str:
        """Return the UTC day that begins at this time, or holds it."""
        moment = datetime.fromtimestamp(at / 1000, UTC)
        if self.language == "vi":
            return f"{moment:%d/%m}/{moment.year:04d}"
        return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year:04d}"

    def count(self, unit: str, count: int) -> str:
        """Return a number of days or hours; `unit` is the singular."""
        key = unit if count == 1 else f"{unit}s"
        return self.tables["units"][key].format(count=number(count, self.language))

    def several(self, items: Sequence[str]) -> str:
        """Return a list within a sentence: `a, b and c`."""
        *most, last = items
        return f"{', '.join(most)} {self.word('and')} {last}" if most else last

    def named(self, table: str, key: str, code: str) -> str:
        """Return what a code is called, with the code; the code alone if nothing is known of it."""
        found = self.labels.tables[table].get(key)
        return f"{found} ({code})" if found else visible(code)

    def country(self, code: str) -> str:
        """Return a country's name with its code."""
        name = code_list("countries").find_name(code, self.language)
        return f"{name.text} ({code})" if name else visible(code)

    def subject(self, subject: str) -> str:
        """Return a subject with what it is called and how far it reaches."""
        scheme, _, code = subject.partition(":")
        name = code_list(scheme).find_name(code, self.language) if scheme in ("hs", "basel") else None
        if name is None:
            return visible(subject)
        form = {2: "chapter", 4: "heading"}.get(len(code), "literal") if scheme == "hs" else "literal"
        return self.tables["subjects"][form].format(code=subject, name=name.text)


@cache
def agreement_words(language: str) -> AgreementWords:
    """Return the words for a language.

    Raises:
        BadConfiguration: There are none; says which languages there are.
    """
    known = labels(language)
    text = (files("schemas") / "labels" / f"agreements.{language}.toml").read_text(encoding="utf-8")
    return AgreementWords(language, tomllib.loads(text), known)


def all_words() -> tuple[AgreementWords, ...]:
    """Return the words of every language."""
    return tuple(agreement_words(language) for language in LANGUAGES)
