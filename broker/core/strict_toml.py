"""TOML read strictly: each key is known and of its kind, or the error says which and what is possible.

For the files that people write by hand and sign or rely on.  Messages name the file, the clause and
the choices; they are meant for an officer, not for a programmer.
"""

from __future__ import annotations

import datetime
import difflib
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, NoReturn, TypeVar

from broker.core.errors import BadConfiguration

DAY = 86_400_000
MOST_FILE_BYTES = 256 * 1024
MOST_TEXT = 1_000
LONGEST_WORD = 60
"""Longer than this, what stands where a word should is no misspelling."""

_EPOCH = datetime.date(1970, 1, 1).toordinal()

T = TypeVar("T")


class Form(NamedTuple):
    """What a text must be: a test, and the same in words."""

    holds: Callable[[str], bool]
    words: str


class Problem(NamedTuple):
    """One thing that is wrong with a file: the clause, empty for the file itself, and what is possible."""

    clause: str
    wrong: str


class Table:
    """One table of a TOML file.

    Take each key once, then `finish()`: what was not taken is not a key of this table.

    Args:
        values: The parsed table.
        file: The file's name, for messages.
        clause: Where in the file the table is, empty for the file itself.
        problems: Where `attempt` notes what is wrong instead of refusing the file at once.
    """

    def __init__(
        self,
        values: Mapping[str, object],
        file: str,
        clause: str = "",
        problems: list[Problem] | None = None,
    ) -> None:
        self._values = values
        self._file = file
        self._clause = clause
        self._problems = problems
        self._known: list[str] = []

    @classmethod
    def parse(cls, text: bytes, file: str, problems: list[Problem] | None = None) -> Table:
        """Return the file's outermost table.

        Raises:
            BadConfiguration: The file is too large, not UTF-8 or not TOML.
        """
        if len(text) > MOST_FILE_BYTES:
            raise BadConfiguration(f"{file}: longer than {MOST_FILE_BYTES} bytes", field=file)
        try:
            return cls(tomllib.loads(text.decode()), file, problems=problems)
        except UnicodeDecodeError as error:
            message = f"{file}: not UTF-8 at byte {error.start}"
        except ValueError as error:  # TOMLDecodeError is one, and so is a number too long to be read
            message = f"{file}: not TOML: {error}"
        except RecursionError:
            message = f"{file}: not TOML: nested too deeply"
        raise BadConfiguration(message, field=file) from None

    def fail(self, key: str, wrong: str) -> NoReturn:
        """Refuse the file because of this key."""
        place = self.place(key)
        raise BadConfiguration(f"{place}: {wrong}", field=place)

    def attempt(self, read: Callable[[], T], otherwise: T) -> T:
        """Return what `read` returns.

        Where problems are noted, what it refuses is one of them, and `otherwise` stands in for it, so
        that the next clause can be read: whoever notes problems makes no use of what was read.
        """
        if self._problems is None:
            return read()
        try:
            return read()
        except BadConfiguration as error:
            place = error.field or self._file
            clause = place.removeprefix(self._file).removeprefix(": ")
            self._problems.append(Problem(clause, str(error).removeprefix(f"{place}: ")))
        return otherwise

    def place(self, key: str) -> str:
        """Return the file and the clause, as messages name them."""
        return f"{self._file}: {self._where(key)}"

    def has(self, key: str) -> bool:
        """Say whether the key is there."""
        self._known.append(key)
        return key in self._values

    def text(self, key: str, form: Form | None = None) -> str:
        """Return a string of one line, not empty, and of the form if one is asked for."""
        return self._text(key, self._take(key, str, "a text in quotes"), form)

    def texts(self, key: str, form: Form) -> tuple[str, ...]:
        """Return a list of strings: at least one, none twice, each of the form."""
        return self._each(key, lambda each: self._text(key, each, form))

    def choice(self, key: str, choices: Mapping[str, T]) -> T:
        """Return what the string stands for."""
        return self._choice(key, self._take(key, str, "a text in quotes"), choices)

    def choices(self, key: str, choices: Mapping[str, T]) -> tuple[T, ...]:
        """Return what each of a list of strings stands for: at least one, none twice."""
        return self._each(key, lambda each: self._choice(key, each, choices))

    def integer(self, key: str, least: int, most: int) -> int:
        """Return a whole number in the range."""
        value = self._take(key, int, "a whole number")
        if not least <= value <= most:
            self.fail(key, f"must be from {least} to {most}")
        return value

    def boolean(self, key: str) -> bool:
        """Return true or false."""
        return self._take(key, bool, "true or false")

    def hexadecimal(self, key: str, size: int) -> bytes:
        """Return bytes written as lower-case hexadecimal digits."""
        value = self._take(key, str, "a text in quotes")
        if not re.fullmatch(f"[0-9a-f]{{{2 * size}}}", value):
            self.fail(key, f"must be {2 * size} hexadecimal digits, lower case ({size} bytes)")
        return bytes.fromhex(value)

    def day(self, key: str) -> int:
        """Return the start of a UTC day, in milliseconds."""
        value = self._take(key, datetime.date, "a date such as 2026-01-31, without quotes")
        if isinstance(value, datetime.datetime):
            self.fail(key, "must be a date without a time: days begin at 00:00 UTC")
        if not 1970 <= value.year < 9999:
            self.fail(key, "must lie in the years 1970 to 9998")
        return (value.toordinal() - _EPOCH) * DAY

    def moment(self, key: str) -> int:
        """Return a time with its offset, in UTC milliseconds."""
        value = self._take(key, datetime.datetime, "a time such as 2026-01-31T08:30:00Z, without quotes")
        if value.tzinfo is None:
            self.fail(key, "must say its offset: Z for UTC")
        since = value - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        if value.year >= 9999 or since < datetime.timedelta(0):
            self.fail(key, "must lie in the years 1970 to 9998")
        if since.microseconds % 1000:
            self.fail(key, "must not be finer than a millisecond")
        return since // datetime.timedelta(milliseconds=1)

    def table(self, key: str) -> Table:
        """Return the table under this key."""
        values = self._take(key, dict, f"a table: [{key}]")
        return Table(values, self._file, self._where(key), self._problems)

    def tables(self, key: str) -> tuple[Table, ...]:
        """Return the tables of this name, in order; at least one."""
        values = self._take(key, list, f"tables: [[{key}]]")
        if not values or not all(isinstance(each, dict) for each in values):
            self.fail(key, f"must be one or more tables: [[{key}]]")
        return tuple(
            Table(each, self._file, self._where(f"{key} {number}"), self._problems)
            for number, each in enumerate(values, 1)
        )

    def names(self) -> Iterable[str]:
        """Return the table's keys, all of them taken: for tables whose keys are data."""
        self._known.extend(self._values)
        return list(self._values)

    def finish(self) -> None:
        """Refuse keys that nothing asked for."""
        known = sorted(set(self._known))
        for key in self._values:
            if key not in known:
                wrong = f"there is no such clause here; possible are {', '.join(known)}{_meant(key, known)}"
                self.attempt(partial(self.fail, key, wrong), None)

    def _where(self, key: str) -> str:
        shown = key if key.isprintable() else ascii(key)
        return f"{self._clause}, {shown}" if self._clause else shown

    def _take(self, key: str, kind: type[T], form: str) -> T:
        self._known.append(key)
        if key not in self._values:
            self.fail(key, f"is missing; it must be {form}")
        value = self._values[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fail(key, f"must be {form}")
        return value

    def _list(self, key: str) -> Sequence[object]:
        values = self._take(key, list, "a list in square brackets")
        if not values:
            self.fail(key, "must not be an empty list")
        if any(each in values[:place] for place, each in enumerate(values)):
            self.fail(key, "lists something twice")
        return values

    def _each(self, key: str, read: Callable[[object], T]) -> tuple[T, ...]:
        read_all = [partial(read, each) for each in self._list(key)]
        found = [self.attempt(one, None) for one in read_all]
        return tuple(each for each in found if each is not None)

    def _text(self, key: str, value: object, form: Form | None) -> str:
        if not isinstance(value, str):
            self.fail(key, "must be a text in quotes")
        if form is not None and not form.holds(value):
            self.fail(key, f"{_shown(value)} is not {form.words}")
        if not value.strip() or len(value) > MOST_TEXT or any(map(_control, value)):
            self.fail(key, f"must be one line of 1 to {MOST_TEXT} characters, without control characters")
        return value

    def _choice(self, key: str, value: object, choices: Mapping[str, T]) -> T:
        if not isinstance(value, str) or value not in choices:
            possible = f"{', '.join(choices)}{_meant(value, choices)}"
            self.fail(key, f"{_shown(value)} is not possible; possible are {possible}")
        return choices[value]


def _meant(value: object, possible: Iterable[str]) -> str:
    """Return which of the possible words was perhaps meant, as the end of a message."""
    if not isinstance(value, str) or len(value) > LONGEST_WORD:
        return ""
    by_letters = {each.casefold().replace("_", "-"): each for each in possible}
    near = difflib.get_close_matches(value.casefold().replace("_", "-"), by_letters, n=1, cutoff=0.7)
    return f"; did you mean {by_letters[near[0]]}?" if near else ""


def _control(character: str) -> bool:
    # Cc and Cf: what a terminal or a reader's eye could be tricked with (bidirectional marks).
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
