"""From a table to the queue: every selected row ends in a notice or in the report, and never twice.

Decides when rows are stored (many in one durable step) and what is counted.  What a row says is `mapping`,
whether it is a notice `draft`, and that one source is queued once, ever, the store.  It may be cut anywhere
and run again: what was queued is then found to be there.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.importing.csv_table import CsvTable, TableRow
from adapters.importing.mapping import CodeList, Mapped, Resolve, TableMap, Unusable
from adapters.sending.draft import Draft
from broker.core.errors import BadHeader, BadSlot

AT_ONCE = 500
REPORT_COLUMNS = ("row", "key", "column", "reason")

MakeDraft = Callable[[Mapped], tuple[Draft, Sequence[str]]]
"""Returns the draft, and what looks odd in it: codes of a past edition, check digits that do not fit."""

Store = Callable[[Sequence[Draft]], Sequence[int | None]]
"""Queues drafts in one durable step; returns None for each that was there already."""

Report = Callable[[int, str, str, str], None]
Progress = Callable[[int], None]


@dataclass(slots=True)
class Tally:
    """What became of a table.

    `marks` counts, by field, what looks odd and is sent all the same.
    """

    rows: int = 0
    flagged: int = 0
    queued: int = 0
    already: int = 0
    reported: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)

    @property
    def notices(self) -> int:
        """How many rows are notices now."""
        return self.queued + self.already

    @property
    def balanced(self) -> bool:
        """Tell whether every flagged row is in exactly one of the two places."""
        return self.flagged == self.notices + self.reported


@dataclass(frozen=True, slots=True)
class Importer:
    """Reads a table by a map.

    Args:
        mapping: The map.
        codes: Finds code lists.
        resolve: Finds the statement of a reference.
        make_draft: Checks a mapped row and makes a draft of it.
        store: Queues drafts.
        now: The time that spans of the map count from.
    """

    mapping: TableMap
    codes: CodeList
    resolve: Resolve
    make_draft: MakeDraft
    store: Store
    now: int

    def run(self, table: CsvTable, report: Report, progress: Progress = lambda _rows: None) -> Tally:
        """Import the table, and return what became of it.

        Raises:
            BadConfiguration: The table lacks a column of the map, or cannot be read on.
            StoreUnavailable: Rows up to here are queued, the rest is not; run it again.
        """
        self.mapping.check_columns(table.columns(), str(table.path))
        tally = Tally()
        drafts: list[Draft] = []
        keys: set[str] = set()
        for row in table:
            tally.rows += 1
            if self.mapping.selects(row.cells):
                tally.flagged += 1
                try:
                    drafts.append(self._draft(row, keys, tally))
                except Unusable as unusable:
                    tally.reported += 1
                    tally.reasons[f"{unusable.column}: {unusable.reason}"] += 1
                    key = row.cells[self.mapping.key]
                    report(row.number, key, unusable.column, unusable.reason)
            if len(drafts) >= AT_ONCE:
                self._queue(drafts, tally)
            progress(tally.rows)
        self._queue(drafts, tally)
        return tally

    def _draft(self, row: TableRow, keys: set[str], tally: Tally) -> Draft:
        if row.broken:
            raise Unusable(self.mapping.key, "the row has more or fewer cells than the header")
        mapped = self.mapping.convert(row.cells, now=self.now, codes=self.codes, resolve=self.resolve)
        if mapped.source in keys:
            raise Unusable(self.mapping.key, "the key was there before in this table")
        try:
            draft, marks = self.make_draft(mapped)
        except (BadSlot, BadHeader) as error:
            raise Unusable(error.field or "-", str(error)) from None
        keys.add(mapped.source)
        tally.marks.update(marks)
        return draft

    def _queue(self, drafts: list[Draft], tally: Tally) -> None:
        if drafts:
            known = sum(id_ is None for id_ in self.store(drafts))
            tally.already += known
            tally.queued += len(drafts) - known
            drafts.clear()


@contextmanager
def report_file(path: Path) -> Iterator[Report]:
    """Write the report as CSV; a run without rows for it leaves no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(REPORT_COLUMNS)
        lines = 0

        def report(number: int, key: str, column: str, reason: str) -> None:
            nonlocal lines
            lines += 1
            writer.writerow([number, _cell(key), _cell(column), reason])

        yield report
    if not lines:
        path.unlink()


def _cell(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
