"""The words for a notice in one language, from `labels/<language>.toml`.

Decides what fields, symbols, slots and the page's furniture are called.  The labels are no part of the
schemas and their digests: a better word never makes another notice.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from broker.core.errors import BadConfiguration

LANGUAGES = ("en", "vi")

Words = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Labels:
    """What everything is called in one language."""

    language: str
    tables: Mapping[str, Any]

    def find_field(self, record: str, field: str) -> str | None:
        """Return the label of a field, or None; the word for that record goes before the general one."""
        fields = self.tables["fields"]
        own = fields.get(record, {}).get(field)
        general = fields.get(field)
        return own or (general if isinstance(general, str) else None)

    def field(self, record: str, field: str) -> str:
        """Return the label of a field, or its name where there is none."""
        return self.find_field(record, field) or field.replace("_", " ")

    def find_symbol(self, enum: str, symbol: str) -> str | None:
        """Return the label of an enum's symbol, or None."""
        found = self.tables["enums"].get(enum, {}).get(symbol)
        return str(found) if found else None

    def symbol(self, enum: str, symbol: str) -> str:
        """Return the label of an enum's symbol, or the symbol where there is none."""
        return self.find_symbol(enum, symbol) or symbol

    def word(self, table: str, key: str) -> str:
        """Return a word of a table; for what comes from outside, `key` itself where there is none."""
        return str(self.tables[table].get(key, key))

    def page(self, key: str) -> str:
        """Return a word of the page's furniture, which is always there."""
        return str(self.tables["page"][key])


@cache
def labels(language: str) -> Labels:
    """Return the words for a language.

    Raises:
        BadConfiguration: There are none; says which languages there are.
    """
    if language not in LANGUAGES:
        raise BadConfiguration(
            f"no words for this language; there are {', '.join(LANGUAGES)}", field=language
        )
    text = (files("schemas") / "labels" / f"{language}.toml").read_text(encoding="utf-8")
    return Labels(language, tomllib.loads(text))
