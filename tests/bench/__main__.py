"""Measure everything that has a goal, and the ladder of trust, as ratios against baselines of the same run.

    python -m tests.bench [--quick] [--only ROW] [--json] [--write] [--large] [--without-kafka]

Machines are noisy: compare the ratios of one run, not the figures of two.  Nothing here fails on time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from broker import telemetry
from tests.bench import (
    chart,
    committing,
    deciding,
    fanout,
    feed,
    gate,
    growth,
    ladder,
    latency,
    outbox,
    refreshing,
    replaying,
    report,
    rows,
    sequencing,
    starting,
    tiling,
)
from tests.bench.ladder import Rung
from tests.bench.rows import Row
from tests.bench.setting import Setting, cluster

PARTS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "gateway batch-signature": gate.rows,
    "decide": deciding.rows,
    "dry-run": replaying.rows,
    "outbox": outbox.rows,
    "commit": committing.rows,
    "dispatch": fanout.rows,
    "sequence": sequencing.rows,
    "tiles": tiling.rows,
    "latency": latency.rows,
    "feed": feed.rows,
    "growth": growth.rows,
    "directory": refreshing.rows,
    "start": starting.rows,
}
LADDER = "ladder"
NAMES = [name for names in PARTS for name in names.split()] + [LADDER]


def main() -> int:
    """Measure what the command line asks for."""
    options = _options()
    console = Console(stderr=True)
    found: list[Row] = []
    rungs: list[Rung] = []
    only = set(options.only or NAMES)
    with (
        Path(os.devnull).open("w") as nowhere,
        tempfile.TemporaryDirectory(prefix="halong-bench-") as scratch,
        cluster(Path(scratch), wanted=not options.without_kafka) as (kafka, why_not),
    ):
        telemetry.configure(stream=nowhere)
        setting = Setting(
            folder=Path(scratch),
            kafka=kafka,
            quick=options.quick,
            latency_notices=300 if options.quick else options.latency_notices,
            growth=_growth(options),
        )
        for names, part in PARTS.items():
            if only.isdisjoint(names.split()):
                continue
            with console.status(f"measuring {names} …"):
                found += part(setting)
        if LADDER in only:
            with console.status("climbing the ladder …"):
                rungs += ladder.climb(setting)
    note = why_not if kafka is None else f"{kafka.version}, one node, from {kafka.origin}"
    if options.json:
        print(
            json.dumps(
                {
                    "machine": report.machine(),
                    "kafka": note,
                    "rows": rows.as_json(found),
                    "ladder": [asdict(rung) for rung in rungs],
                }
            )
        )
    else:
        shown = Console()
        shown.print(rows.table(found, report.machine()), report.ladder_table(rungs), sep="\n")
        shown.print(f"Kafka: {note}")
    if options.write:
        report.write_document(found, rungs, note)
        chart.draw(report.CHART, rungs, f"What each rung costs.  {report.machine()}")
    return 0


def _growth(options: argparse.Namespace) -> tuple[int, int]:
    if options.large:
        return 100_000, 10_000_000
    return (10_000, 100_000) if options.quick else (100_000, 1_000_000)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", action="append", choices=NAMES, help="one part; may be given often")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--write", action="store_true", help="put the results into docs/speed.md, with a chart"
    )
    parser.add_argument("--large", action="store_true", help="let the log grow to 10,000,000 leaves")
    parser.add_argument("--latency-notices", type=int, default=3_000, help="how many travel one by one")
    parser.add_argument("--without-kafka", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
