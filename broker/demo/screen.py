"""What the demo shows: headlines, aligned lines, and on a terminal a picture that moves while the day runs.

Knows how things look and nothing of what they mean.  Without a terminal the same is printed as plain lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from broker.terminal import clean

WIDTH = 118
BAR = 10
LAST = 6


@dataclass(slots=True)
class MemberLine:
    """One member in the picture: what it said and what it got."""

    name: str
    queued: int = 0
    proven: int = 0
    received: int = 0
    slots: Mapping[str, int] = field(default_factory=dict)
    feedback: int = 0


@dataclass(slots=True)
class Picture:
    """The state of the day: the hub, the members, and the last decisions."""

    hub: str
    members: Sequence[MemberLine]
    decisions: Sequence[str] = ()


class Screen:
    """Prints; `live` shows a picture that is drawn again and again.

    Args:
        console: Where to.
        moving: Whether a person watches a terminal.
        silent: Show nothing at all: the answer is JSON.
    """

    def __init__(self, console: Console, *, moving: bool, silent: bool = False) -> None:
        self.console = console
        self.moving = moving and not silent
        self.silent = silent
        self._act = 0
        if not moving:
            console.width = WIDTH

    def title(self, text: str, remark: str) -> None:
        """Begin the demo."""
        self._print(Text.assemble((text, "bold"), "  ", (remark, "dim")))

    def act(self, headline: str) -> None:
        """Begin an act."""
        self._act += 1
        self._print("")
        self._print(Text.assemble((f"{self._act}  ", "cyan bold"), (headline, "bold")))

    def line(self, text: str = "", style: str = "") -> None:
        """Print one line."""
        self._print(Text(f"   {clean(text)}" if text else "", style=style))

    def good(self, text: str) -> None:
        """Print something that held."""
        self._print(Text.assemble("   ", ("✓ ", "green bold"), clean(text)))

    def bad(self, text: str) -> None:
        """Print something that did not hold."""
        self._print(Text.assemble("   ", ("✗ ", "red bold"), clean(text)))

    def columns(
        self, heads: Sequence[str], rows: Sequence[Sequence[str]], *, dim: Sequence[str] = ()
    ) -> None:
        """Print aligned columns; cells that are one of `dim` are shown as not being there."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(heads))
        for head in heads or [""] * max((len(row) for row in rows), default=0):
            table.add_column(Text(clean(head)), overflow="ellipsis", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(clean(cell), style=_style(cell, dim)) for cell in row))
        self._print(_indented(table))

    def live(self) -> Shower:
        """Return a context in which pictures can be shown."""
        return Shower(self)

    def _print(self, what: object) -> None:
        if not self.silent:
            # What is read by a program, or in a file, keeps its lines.
            self.console.print(what, soft_wrap=not self.moving and isinstance(what, Text))


class Shower:
    """Shows pictures while it is entered: moving on a terminal, else only when much has changed."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._live: Live | None = None
        self._told: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        if self._screen.moving:
            self._live = Live(console=self._screen.console, refresh_per_second=12, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, picture: Picture) -> None:
        """Show the picture."""
        if self._live is not None:
            self._live.update(_picture(picture))

    def last(self, picture: Picture) -> None:
        """Leave the picture standing."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if not self._screen.silent:
            self._screen.console.print(_picture(picture))


def _picture(picture: Picture) -> Group:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head, justify, width in (
        ("member", "left", 7),
        ("published", "left", BAR),
        ("", "right", 9),
        ("received", "right", 8),
        ("slots seen", "left", None),
        ("feedback", "right", 8),
    ):
        # A narrow terminal cuts what was seen, never how much.
        table.add_column(
            Text(head, style="dim"),
            justify=justify,  # type: ignore[arg-type]  # rich's literal
            no_wrap=True,
            min_width=width,
            overflow="ellipsis",
        )
    for member in picture.members:
        slots = " ".join(f"{name} {count}" for name, count in member.slots.items() if count)
        table.add_row(
            Text(member.name, style="bold"),
            _bar(member.proven, member.queued),
            f"{member.proven}/{member.queued}" if member.queued else "",
            str(member.received),
            Text(slots, style="green"),
            str(member.feedback) if member.feedback else "",
        )
    lines = [Text(f"   {clean(text)}"[:WIDTH], style="dim") for text in picture.decisions[-LAST:]]
    return Group(Text(f"   hub  {picture.hub}", style="cyan"), _indented(table), *lines)


def _bar(done: int, of: int) -> Text:
    if not of:
        return Text("·" * 3, style="dim")
    full = round(BAR * done / of)
    return Text.assemble(("━" * full, "green"), ("─" * (BAR - full), "dim"))


def _indented(table: Table) -> Table:
    outer = Table.grid(padding=0)
    outer.add_column(width=3)
    outer.add_column()
    outer.add_row("", table)
    return outer


def _style(cell: str, dim: Sequence[str]) -> str:
    if cell in dim:
        return "dim"
    return "green" if cell.endswith("verified") else ""
