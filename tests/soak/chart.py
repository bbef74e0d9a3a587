"""Draw sustained loads: what is left over, how long it takes, what memory the processes hold.

    python -m tests.soak.chart docs/sustained.svg RUN.json [RUN.json …]

Each file is what `python -m tests.soak.sustained --json` wrote; each becomes a column of the chart.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.soak.watching import quantile

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "halong"
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["font.sans-serif"] = ["DejaVu Sans"]
Second = Mapping[str, Any]
MEGABYTE = 1 << 20
POINTS = 60
"""Of each line; a point shows the worst of the seconds that it stands for."""


def draw(runs: Sequence[Mapping[str, Any]]) -> Figure:
    """Return the chart."""
    figure = Figure(figsize=(6.2 * len(runs), 8.4), layout="constrained")
    columns = figure.subplots(3, len(runs), sharex="col", squeeze=False)
    for number, run in enumerate(runs):
        _column([row[number] for row in columns], run)
    return figure


def _column(axes: Sequence[Axes], run: Mapping[str, Any]) -> None:
    backlog, latency, memory = axes
    stretches = _stretches(run["seconds"])
    times = [stretch[-1]["at"] for stretch in stretches]
    nodes = run["nodes"]

    def line(axis: Axes, name: str, value: Callable[[Second], float]) -> None:
        axis.plot(times, [max(map(value, stretch)) for stretch in stretches], label=name, linewidth=1)

    backlog.set_title(
        f"{run['rate']:g} notices a second, {run['receivers']} receivers, {nodes} of them verifying",
        fontsize=10,
    )
    line(backlog, "not delivered", lambda second: second["published"] * nodes - second["delivered"])
    line(backlog, "not acknowledged", lambda second: second["delivered"] - second["acknowledged"])
    line(backlog, "not proven to the publisher", lambda second: second["published"] - second["proven"])
    line(latency, "p50", lambda second: quantile(second["latencies"], 0.5))
    line(latency, "p95", lambda second: quantile(second["latencies"], 0.95))
    for name in run["growth"]:
        line(memory, name, partial(_megabytes, name))
    for each, label in ((backlog, "left over"), (latency, "publish to record, ms"), (memory, "memory, MB")):
        each.set_ylabel(label)
        each.set_ylim(bottom=0)
        each.locator_params(nbins=5)
        each.grid(visible=True, alpha=0.3)
        each.legend(fontsize=7, loc="upper left", ncols=2)
    memory.set_xlabel("seconds")


def _megabytes(name: str, second: Second) -> float:
    held: int = second["memory"][name]
    return held / MEGABYTE


def _stretches(seconds: Sequence[Second]) -> list[Sequence[Second]]:
    """Return what each point stands for."""
    length = -(-len(seconds) // POINTS)
    return [seconds[start : start + length] for start in range(0, len(seconds), length)]


def main(target: Path, sources: Sequence[Path]) -> None:
    """Write the chart of some runs."""
    figure = draw([json.loads(source.read_text()) for source in sources])
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    # A tenth of a point is finer than anybody sees; the rest would be half the file.
    lines = [line.strip() for line in text.getvalue().splitlines()]
    target.write_text(re.sub(r"(\d\.\d)\d+", r"\1", "\n".join(lines)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]])
