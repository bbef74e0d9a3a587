"""The table of checks: what was taken away, and which test noticed.  Written into docs/checks.md."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby

from tests.mutants.checks import ROOT, Check
from tests.pages import rewrite

PAGE = ROOT / "docs" / "checks.md"
BEGIN = "<!-- table: python -m tests.mutants --page -->"
END = "<!-- end of table -->"
HEAD = "| in | taken away | refuses by | noticed by |", "| --- | --- | --- | --- |"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a check that was taken away: the test that turned red, or why none does."""

    check: Check
    caught: str | None
    reason: str | None

    @property
    def line(self) -> str:
        """One line for a terminal."""
        said = "caught" if self.caught else "excused" if self.reason else "SURVIVES"
        place = f"{self.check.path}:{self.check.line}"
        return f"{said:9} {place:42} {self.check.refusal:18} {self.caught or self.check.text}"


def write_page(results: Sequence[Result], checked: Collection[str]) -> None:
    """Write the tables of the files that were tried between the two marks.

    Tables of other files stay as they are, as long as `checked` (all files that have checks) names them.
    """
    written = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    sections = {section.partition("`")[0]: section for section in written.split("### `")[1:]}
    for path, of_file in groupby(results, key=lambda result: result.check.path):
        sections[path] = "\n".join([f"{path}`", "", *HEAD, *map(_row, of_file)])
    kept = [f"### `{sections[path].strip()}\n" for path in sorted(sections) if path in checked]
    rewrite(PAGE, BEGIN, END, "\n".join(kept).rstrip())


def _row(result: Result) -> str:
    check = result.check
    # Without the parameters of the test, which may be any text.
    test = (result.caught or "").partition("[")[0].rpartition("/")[2]
    noticed = f"`{test}`" if test else f"nobody: {result.reason}"
    return f"| `{check.within}` | `{_cell(check.text)}` | `{check.refusal}` | {_cell(noticed)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
