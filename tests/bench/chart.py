"""The ladder as a picture: what each rung costs a notice, by engine.  Readable on light and on dark pages."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.bench.ladder import Rung

INK = "#7d8590"
"""A grey that can be read on white and on black."""
COLOURS = {"SQLite": "#2f81f7", "Kafka": "#d29922"}
WIDTH, HEIGHT_OF_RUNG = 8.6, 0.42


def draw(path: Path, rungs: Sequence[Rung], caption: str) -> None:
    """Write the chart as SVG."""
    names = list(dict.fromkeys(rung.name for rung in rungs))
    engines = [engine for engine in COLOURS if any(rung.engine == engine for rung in rungs)]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "halong", "font.family": "sans-serif"}):
        figure = Figure(figsize=(WIDTH, 1.2 + HEIGHT_OF_RUNG * len(names)), layout="constrained")
        axes = figure.subplots()
        thick = 0.8 / len(engines)
        for place, engine in enumerate(engines):
            own = {rung.name: rung for rung in rungs if rung.engine == engine}
            at = [number + (place - (len(engines) - 1) / 2) * thick for number in range(len(names))]
            bars = axes.barh(
                at, [1e6 / own[name].rate for name in names], thick, color=COLOURS[engine], label=engine
            )
            axes.bar_label(
                bars, [f"{own[name].rate:,.0f}/s" for name in names], padding=3, color=INK, fontsize=8
            )
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlabel("microseconds a notice (logarithmic)", color=INK)
        figure.suptitle(caption, color=INK, fontsize=9, x=0.01, ha="left")
        axes.tick_params(colors=INK)
        axes.margins(x=0.16)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(INK)
        axes.legend(frameon=False, labelcolor=INK, loc="upper right")
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    path.write_text(re.sub(r"[ \t]+\n", "\n", out.getvalue()), encoding="utf-8")
