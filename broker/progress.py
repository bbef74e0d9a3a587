"""Progress of anything that takes more than a second: count, rate and time left, on a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from broker.terminal import console, on_terminal

Tell = Callable[[int, int | None], None]
"""Called with how much is done, and of how much."""


@contextmanager
def progress(unit: str) -> Iterator[Tell]:
    """Show a bar while the context lasts; it leaves nothing behind."""
    if not on_terminal():
        yield _say_nothing
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft
    from rich.text import Text

    class Rate(ProgressColumn):
        """How many a second."""

        def render(self, task: Task) -> Text:
            speed = task.speed
            return Text("" if speed is None else f"{speed:,.0f}/s", style="dim")

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), Rate(), TimeLeft())
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(done: int, of: int | None) -> None:
            bar.update(task, completed=done, total=of)

        yield tell


def _say_nothing(_done: int, _of: int | None) -> None:
    """Nobody watches."""
