"""Where results go: the terminal, JSON, and between the markers of docs/speed.md."""

from __future__ import annotations

import datetime
import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from tests.bench.ladder import Rung
from tests.bench.rows import Row, as_markdown
from tests.pages import rewrite

DOCUMENT = Path(__file__).parents[2] / "docs" / "speed.md"
CHART = DOCUMENT.with_suffix(".svg")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
RUNG_COLUMNS = ("rung", "a second", "of raw", "µs of a processor", "µs that it adds")


def machine() -> str:
    """Return what was measured on, and when."""
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"{today:%-d %B %Y}, {os.cpu_count()} cores of {_processor()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def ladder_rows(rungs: Sequence[Rung]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield a row for each rung: what it adds is what it costs more than the rung before."""
    raw: Rung | None = None
    before = 0.0
    for rung in rungs:
        if raw is None or rung.engine != raw.engine:
            raw, before = rung, 0.0
        if rung.on:
            below = next(each for each in rungs if (each.engine, each.name) == (rung.engine, rung.on))
            before = below.microseconds
        yield (
            f"{rung.engine}: {rung.name}",
            f"{rung.rate:,.0f}",
            f"{rung.rate / raw.rate:.1%}",
            f"{rung.microseconds:,.1f}",
            f"{rung.microseconds - before:+,.1f}",
        )
        before = rung.microseconds


def ladder_table(rungs: Sequence[Rung]) -> Table:
    """Return the ladder as a table for a terminal."""
    shown = Table(title="The ladder of trust", title_justify="left")
    for number, column in enumerate(RUNG_COLUMNS):
        shown.add_column(column, justify="right" if number else "left")
    for row in ladder_rows(rungs):
        shown.add_row(*row)
    return shown


def write_document(rows: Sequence[Row], rungs: Sequence[Rung], note: str) -> None:
    """Put both tables between the markers of the document."""
    ladder = [" | ".join(RUNG_COLUMNS), "--- | ---: | ---: | ---: | ---:"]
    ladder += [" | ".join(row) for row in ladder_rows(rungs)]
    measured = [
        f"{machine()}.{f' Kafka: {note}.' if note else ''}",
        "",
        as_markdown(rows),
        "",
        "![The ladder of trust: microseconds a notice at each rung](speed.svg)",
        "",
        "\n".join(f"| {line} |" for line in ladder),
    ]
    rewrite(DOCUMENT, BEGIN, END, "\n".join(measured))
