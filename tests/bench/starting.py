"""How long it takes to start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

from broker.commands.hub_folder import HubPlan
from broker.demo.network import Network
from broker.demo.processes import Farm, Service, free_port, halong
from tests.bench.measure import seconds_of
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import Setting

TIMES = 5


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the time until a hub is ready, and until the help is shown."""
    python = median(seconds_of(lambda: _run(sys.executable, "-c", "pass")) for _ in range(TIMES))
    bare = f"python itself: {python:.2f} s"
    yield Row(
        "start-help",
        "`halong --help`",
        Figure(median(seconds_of(lambda: _run(*halong("--help"))) for _ in range(TIMES)), "s"),
        bare,
        goal=Goal("value", most=0.3, said="< 0.3 s"),
    )
    yield Row(
        "start-hub",
        "`halong hub` until it is ready, embedded log",
        Figure(median(_start_hub(setting) for _ in range(TIMES)), "s"),
        bare,
        goal=Goal("value", most=1.5, said="< 1.5 s"),
    )


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=60)


def _start_hub(setting: Setting) -> float:
    network = Network(setting.fresh("hub"))
    folder = network.hub
    plan = HubPlan("halong-bench", "127.0.0.1", free_port(), "127.0.0.1", free_port())
    network.make(plan, time.time_ns() // 1_000_000)
    with Farm() as farm:
        hub = farm.add(Service("hub", halong("hub", "--dir", str(folder)), folder))
        started = time.perf_counter()
        hub.start()
        hub.await_ready()
        return time.perf_counter() - started
