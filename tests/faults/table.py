"""The table of all faults: rows that soak tests write, and the page that shows them.

A test that counted what a fault left behind hands its row to `record`; with `$HALONG_FAULT_TABLE` set it
becomes one line of JSON in that file.

    HALONG_FAULT_TABLE=faults.jsonl make soak
    python -m tests.faults.table faults.jsonl

The second command writes the table between the two marks of `docs/faults.md`, the last row of a name and
engine only, and ends with 1 if a row is not as it must be: nothing lost, doubled, over-delivered or out of
order; for a control, something of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec

from tests.pages import rewrite

VARIABLE: Final = "HALONG_FAULT_TABLE"
PAGE: Final = Path(__file__).parents[2] / "docs" / "faults.md"
BEGIN: Final = "<!-- table: python -m tests.faults.table -->"
END: Final = "<!-- end of table -->"


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one fault left behind.

    `kills` counts how often the fault was done, `notices` what the hub had accepted, `deliveries` what the
    members held in the end.  With `control` something was broken on purpose, and the count must show it.
    """

    name: str
    engine: Literal["sqlite", "kafka"]
    kills: int
    notices: int
    deliveries: int
    lost: int
    doubled: int
    over_delivered: int
    out_of_order: int
    seed: int
    seconds: float
    control: bool = False

    @property
    def faultless(self) -> bool:
        """Tell whether all arrived once, at whom it was owed, in order."""
        return not (self.lost or self.doubled or self.over_delivered or self.out_of_order)

    @property
    def as_it_must_be(self) -> bool:
        """Tell whether a count found nothing, or a control something."""
        return self.faultless is not self.control


def record(row: Row) -> None:
    """Add the row to the file that `$HALONG_FAULT_TABLE` names, if it names one."""
    name = os.environ.get(VARIABLE)
    if name:
        # One write that appends: tests of several processes may share the file.
        with Path(name).open("ab", buffering=0) as file:
            file.write(msgspec.json.encode(row) + b"\n")


def read(lines: Iterable[bytes]) -> list[Row]:
    """Return the rows, of each name and engine the last, in the order in which they first came."""
    rows: dict[tuple[str, str], Row] = {}
    for line in lines:
        if line.strip():
            row = msgspec.json.decode(line, type=Row)
            rows[row.name, row.engine] = row
    return list(rows.values())


def rendered(rows: Iterable[Row]) -> str:
    """Return the two tables: faults, and controls."""
    rows = list(rows)
    parts = [_table("fault", [row for row in rows if not row.control])]
    if controls := [row for row in rows if row.control]:
        parts += ["Controls, broken on purpose; each must show something:", _table("control", controls)]
    return "\n\n".join(parts)


def _table(head: str, rows: Iterable[Row]) -> str:
    lines = [
        f"| {head} | engine | times | notices | deliveries | lost | doubled | over-delivered | out of order | seed | seconds |",  # noqa: E501 - one line of a table
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        engine = {"sqlite": "SQLite", "kafka": "Kafka"}[row.engine]
        counts = (row.kills, row.notices, row.deliveries)
        found = (row.lost, row.doubled, row.over_delivered, row.out_of_order)
        numbers = " | ".join(f"{number:,}" for number in (*counts, *found))
        lines.append(f"| {row.name} | {engine} | {numbers} | {row.seed} | {row.seconds:.0f} |")
    return "\n".join(lines)


def main(path: Path) -> int:
    """Write the rows of a file into the page; return 1 if one is not as it must be."""
    with path.open("rb") as lines:
        rows = read(lines)
    rewrite(PAGE, BEGIN, END, rendered(rows))
    wrong = [f"{row.name} on {row.engine}" for row in rows if not row.as_it_must_be]
    for name in wrong:
        sys.stderr.write(f"not as it must be: {name}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
