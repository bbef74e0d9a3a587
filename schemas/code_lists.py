"""Code lists by edition: which codes there are, and what they are called.

Decides what a code list says.  That a code is unknown is judged in `flags`; where the facts come from
is in `codes/README.md`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from broker.core.errors import BadConfiguration

SELECTIONS = frozenset({"locations"})
"""Lists that hold a choice: a code that is not there says nothing."""


@dataclass(frozen=True, slots=True)
class CodeName:
    """What a code is called, and in which language, if the wanted one has no name for it."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class CodeList:
    """One edition of a list.  `codes` has for each code its names by language and other columns."""

    name: str
    edition: str
    codes: Mapping[str, Mapping[str, str]]

    def __contains__(self, code: object) -> bool:
        return code in self.codes

    def __iter__(self) -> Iterator[str]:
        return iter(self.codes)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def is_selection(self) -> bool:
        """Whether the list holds a choice, so that a code that is not there says nothing."""
        return self.name in SELECTIONS

    def find_name(self, code: str, language: str) -> CodeName | None:
        """Return what `code` is called, in English where `language` has no name for it."""
        names = self.codes.get(code)
        if names is None:
            return None
        own = names.get(language)
        return CodeName(own, language) if own else CodeName(names["en"], "en")


@cache
def code_list(name: str, edition: str | None = None) -> CodeList:
    """Return an edition of a code list, the latest if none is named.

    Raises:
        BadConfiguration: There is no such list or edition; says which there are.
    """
    editions = _editions(name)
    if edition is None:
        edition = editions[-1]
    elif edition not in editions:
        raise BadConfiguration(
            f"the code list {name} has no such edition; there are {', '.join(editions)}", field=name
        )
    text = (files("schemas") / "codes" / name / f"{edition}.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return CodeList(name, edition, {row.pop("code"): row for row in rows})


def code_lists() -> list[str]:
    """Return the names of all code lists."""
    return sorted(entry.name for entry in (files("schemas") / "codes").iterdir() if entry.is_dir())


def _editions(name: str) -> list[str]:
    known = code_lists()
    if name not in known:
        raise BadConfiguration(f"no such code list; there are {', '.join(known)}", field=name)
    folder = files("schemas") / "codes" / name
    return sorted(entry.name.removesuffix(".csv") for entry in folder.iterdir() if entry.is_file())
