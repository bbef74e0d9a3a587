"""Draw sustained loads: what is left over, how long it takes, what memory the processes hold.

    python -m tests.soak.chart docs/sustained.svg RUN.json [RUN.json …]

Each file is what `python -m tests.soak.sustained --json` wrote; each becomes a column of the chart.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.soak.watching import quantile

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "halong"
mpl.rcParams["svg.fonttype"] = "none"
MEGABYTE = 1 << 20


def draw(runs: Sequence[Mapping[str, Any]]) -> Figure:
    """Return the chart."""
    figure = Figure(figsize=(6.2 * len(runs), 8.4), layout="constrained")
    columns = figure.subplots(3, len(runs), sharex="col", squeeze=False)
    for number, run in enumerate(runs):
        _column([row[number] for row in columns], run)
    return figure


def _column(axes: Sequence[Axes], run: Mapping[str, Any]) -> None:
    backlog, latency, memory = axes
    seconds = run["seconds"]
    times = [second["at"] for second in seconds]
    nodes = run["nodes"]
    backlog.set_title(
        f"{run['rate']:g} notices a second, {run['receivers']} receivers, {nodes} of them verifying",
        fontsize=10,
    )
    waiting = {
        "not delivered": [second["published"] * nodes - second["delivered"] for second in seconds],
        "not acknowledged": [second["delivered"] - second["acknowledged"] for second in seconds],
        "not proven to the publisher": [second["published"] - second["proven"] for second in seconds],
    }
    for name, values in waiting.items():
        backlog.plot(times, values, label=name, linewidth=1)
    for share in (0.5, 0.95):
        taken = [quantile(second["latencies"], share) for second in seconds]
        latency.plot(times, taken, label=f"p{share * 100:.0f}", linewidth=1)
    for name in run["growth"]:
        held = [second["memory"][name] / MEGABYTE for second in seconds]
        memory.plot(times, held, label=name, linewidth=1)
    for each, label in ((backlog, "left over"), (latency, "publish to record, ms"), (memory, "memory, MB")):
        each.set_ylabel(label)
        each.set_ylim(bottom=0)
        each.grid(visible=True, alpha=0.3)
        each.legend(fontsize=7, loc="upper left", ncols=2)
    memory.set_xlabel("seconds")


def main(target: Path, sources: Sequence[Path]) -> None:
    """Write the chart of some runs."""
    figure = draw([json.loads(source.read_text()) for source in sources])
    figure.savefig(target, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]])
