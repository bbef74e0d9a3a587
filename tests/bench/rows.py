"""What was measured, and how it compares: with a baseline of the same run, and with the goal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its unit: `/s`, `µs`, `ms`, `s`, or `` for a bare ratio."""

    value: float
    unit: str

    def __str__(self) -> str:
        small = 1 if self.value >= 10 else 2
        digits = 0 if self.unit == "/s" or self.value >= 1000 else small
        return f"{self.value:,.{digits}f}{'' if self.unit == '/s' else ' '}{self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Goal:
    """What the first goal asks of the measured figure, or of its ratio to the baseline."""

    of: str
    """`value` or `ratio`."""

    least: float | None = None
    most: float | None = None
    said: str = ""

    def held(self, value: float, ratio: float | None) -> bool:
        """Is it reached?"""
        found = value if self.of == "value" or ratio is None else ratio
        return (self.least is None or found >= self.least) and (self.most is None or found <= self.most)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `key` is what `--only` asks for; `ratio` is the measured figure by the baseline's, as `as_ratio` says it.
    """

    key: str
    what: str
    measured: Figure
    baseline: str = ""
    ratio: float | None = None
    ratio_is: str = "%"
    goal: Goal | None = None

    @property
    def held(self) -> bool | None:
        """Is the goal reached?  None if there is none."""
        return None if self.goal is None else self.goal.held(self.measured.value, self.ratio)

    @property
    def ratio_text(self) -> str:
        """The ratio as a share, or as so many times."""
        if self.ratio is None:
            return ""
        return f"{self.ratio:.1%}" if self.ratio_is == "%" else f"{self.ratio:,.1f} ×"

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Return what stands in the columns."""
        held = {True: "yes", False: "no", None: ""}[self.held]
        goal = self.goal.said if self.goal is not None else ""
        return self.what, str(self.measured), self.baseline, self.ratio_text, goal, held


COLUMNS = ("what", "measured", "baseline of the same run", "ratio", "first goal", "held")


def table(rows: Iterable[Row], title: str) -> Table:
    """Return the rows as a table for a terminal."""
    shown = Table(title=title, title_justify="left", caption_justify="left")
    for number, column in enumerate(COLUMNS):
        shown.add_column(column, justify="right" if number in (1, 3) else "left")
    for row in rows:
        style = {True: "green", False: "red", None: ""}[row.held]
        shown.add_row(*row.cells(), style=style)
    return shown


def as_json(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Return the rows as what JSON can say."""
    return [
        {
            "key": row.key,
            "what": row.what,
            "value": round(row.measured.value, 4),
            "unit": row.measured.unit,
            "baseline": row.baseline,
            "ratio": None if row.ratio is None else round(row.ratio, 4),
            "goal": None if row.goal is None else row.goal.said,
            "held": row.held,
        }
        for row in rows
    ]


def as_markdown(rows: Iterable[Row]) -> str:
    """Return the rows as a table of a document."""
    lines = [" | ".join(COLUMNS), "--- | ---: | --- | ---: | --- | ---"]
    lines += [" | ".join(row.cells()) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
