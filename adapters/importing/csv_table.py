"""A table in a file, row by row, as text.

Decides what is a row and what is a broken one; what a row means is `mapping`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from broker.core.errors import BadConfiguration, TooLarge

MOST_ROW_CHARACTERS = 1 << 20
"""Far more than a notice may say; without a bound one endless line would fill the memory."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its number (the header is row 1) and its cells by column.

    A row with too few or too many cells is `broken`; its missing cells are empty.
    """

    number: int
    cells: dict[str, str]
    broken: bool


class _Lines:
    """The lines of a file, and of one row not more than a row may have."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._left = MOST_ROW_CHARACTERS

    def next_row(self) -> None:
        """Let another row begin."""
        self._left = MOST_ROW_CHARACTERS

    def __iter__(self) -> Iterator[str]:
        """Yield lines.

        Raises:
            TooLarge: A row is longer than any may be.
        """
        while line := self._file.readline(self._left + 1):
            self._left -= len(line)
            if self._left < 0:
                raise TooLarge(f"a row of more than {MOST_ROW_CHARACTERS} characters")
            yield line


class CsvTable:
    """A CSV file with a header line; every iteration reads it from the start."""

    def __init__(self, path: Path, *, delimiter: str = ",", encoding: str = "utf-8-sig") -> None:
        self.path = path
        self._delimiter = delimiter
        self._encoding = encoding

    def columns(self) -> list[str]:
        """Return the names in the header line.

        Raises:
            BadConfiguration: There is none, or a name is there twice.
            TooLarge: It is longer than any row may be.
        """
        with self.path.open(encoding=self._encoding, newline="") as file:
            try:
                names = next(csv.reader(_Lines(file), delimiter=self._delimiter), [])
            except TooLarge as error:
                raise self._too_long(1, error) from None
            except (csv.Error, UnicodeDecodeError):
                raise self._unreadable(1) from None
        if not names:
            raise BadConfiguration(
                "the table is empty: it needs a line with the names of its columns", field=str(self.path)
            )
        if len(set(names)) != len(names):
            raise BadConfiguration("a column's name is there twice", field=str(self.path))
        return names

    def lines(self) -> int:
        """Return about how many rows there are: line feeds less the header."""
        with self.path.open("rb") as file:
            count = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
        return max(count - 1, 0)

    def __iter__(self) -> Iterator[TableRow]:
        """Yield the rows in order.

        Raises:
            BadConfiguration: The file is not in the encoding, or no CSV, from some line on.
            TooLarge: A row is longer than any may be.
        """
        names = self.columns()
        number = 1
        with self.path.open(encoding=self._encoding, newline="") as file:
            lines = _Lines(file)
            reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
            try:
                for cells in reader:
                    lines.next_row()
                    if number > 1 and cells:
                        padded = cells + [""] * (len(names) - len(cells))
                        broken = len(cells) != len(names)
                        yield TableRow(number, dict(zip(names, padded, strict=False)), broken)
                    number += 1
            except TooLarge as error:
                raise self._too_long(number, error) from None
            except (csv.Error, UnicodeDecodeError):
                raise self._unreadable(number) from None

    def _too_long(self, number: int, error: TooLarge) -> TooLarge:
        return TooLarge(f"{error} at row {number}", field=str(self.path))

    def _unreadable(self, number: int) -> BadConfiguration:
        return BadConfiguration(f"not readable as {self._encoding} CSV at row {number}", field=str(self.path))
