"""What a leaf with its tile costs when the log has grown: sequencer and tile builder, at two sizes.

    python -m tests.bench.leaves COUNT [--from 100000] [--folder FOLDER] [--log URL]

Grows one log to COUNT leaves.  Behind the first size, and before COUNT, some portions are measured, each from
the moment at which its records lie in the topic to that at which the checkpoint over them is handed out with
every tile on the disk.  Prints both, their ratio, memory and disk.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from broker.clock import SystemClock
from broker.log import Batch, Log, open_log
from broker.log.topics import hub_topics
from broker.services.metrics import Metrics
from broker.services.sequencer import Sequencer
from broker.services.tile_folder import TileFolder
from broker.services.tiles import Tiles
from tests.leaves import AT_ONCE, LOG, refusals

PORTION: Final = 8 * AT_ONCE
ROUNDS: Final = 5
MEASURED: Final = ROUNDS * PORTION
MOST: Final = 1.5
"""So many times as much a leaf may cost in the larger log."""
STATUS = Path("/proc/self/status")


class GatedLog:
    """See `broker.log.Log`; whoever follows it gets batches only while the gate is open."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.gate = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def follow(
        self, reader: str, topics: Sequence[str], *, sole: bool = False, limit: int = 1024
    ) -> AsyncGenerator[Batch, None]:
        async with aclosing(self._log.follow(reader, topics, sole=sole, limit=limit)) as following:
            async for batch in following:
                await self.gate.wait()
                yield batch


@dataclass(frozen=True, slots=True)
class Cost:
    """What a leaf costs behind so many: seconds on the clock, seconds of a core; and memory in bytes then."""

    leaves: int
    wall: float
    core: float
    memory: int


class Growing:
    """A log that grows portion by portion; sequencer and tile builder run beside it.

    Args:
        log: An empty log.
        folder: Where tiles go.
    """

    def __init__(self, log: Log, folder: Path) -> None:
        self._log = log
        self._gated = GatedLog(log)
        gated: Any = self._gated
        self._sequencer = Sequencer(gated, LOG, SystemClock(), Metrics())
        self._tiles = Tiles(log, TileFolder(folder / "tiles"), Metrics())
        self.size = 0

    async def measure(self, sizes: Sequence[int]) -> list[Cost]:
        """Grow to the largest of the sizes, and return what a leaf costs behind each."""
        await self._log.create(hub_topics(()))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._sequencer.run()), group.create_task(self._tiles.run())]
            found = []
            for size in sizes:
                while self.size < size:
                    await self._portion(min(PORTION, size - self.size))
                    _say(f"\r{self.size:,} leaves")
                rounds = [await self._portion(PORTION) for _ in range(ROUNDS)]
                wall, core = (statistics.median(each) for each in zip(*rounds, strict=True))
                found.append(Cost(size, wall, core, _memory()))
            for task in tasks:
                task.cancel()
        _say("\r")
        return found

    async def _portion(self, count: int) -> tuple[float, float]:
        """Append so many records, then let them become leaves; return seconds of clock and core for each."""
        self._gated.gate.clear()
        for start in range(0, count, AT_ONCE):
            await self._log.append(refusals(min(AT_ONCE, count - start)))
        self.size += count
        wall, core = time.perf_counter(), time.process_time()
        self._gated.gate.set()
        while self._tiles.published is None or self._tiles.published.size < self.size:  # noqa: ASYNC110  it wakes nobody
            await asyncio.sleep(0.005)
        return (time.perf_counter() - wall) / count, (time.process_time() - core) / count


def table(costs: Sequence[Cost], disk: int, leaves: int) -> str:
    """Return the costs as lines, and by how much the last is the first."""
    first, last = costs[0], costs[-1]
    rows = ["| behind so many leaves | µs on the clock | µs of a core | leaves/s | memory |"]
    rows += ["| ---: | ---: | ---: | ---: | ---: |"]
    rows += [
        f"| {each.leaves:,} | {each.wall * 1e6:.1f} | {each.core * 1e6:.1f} | {1 / each.wall:,.0f}"
        f" | {each.memory / 1e6:,.0f} MB |"
        for each in costs
    ]
    wall, core = last.wall / first.wall, last.core / first.core
    rows.append(f"ratio: {wall:.2f} x on the clock, {core:.2f} x of a core; wanted: <= {MOST} x")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rows.append(
        f"most memory {peak / 1e6:,.0f} MB; disk {disk / 1e6:,.0f} MB, {disk / leaves:,.0f} bytes a leaf"
    )
    return "\n".join(rows)


async def measure(folder: Path, url: str, sizes: Sequence[int]) -> tuple[list[Cost], int]:
    """Grow a log, and return what leaves cost behind each size, and how many leaves there are in the end."""
    async with open_log(url) as log:
        growing = Growing(log, folder)
        return await growing.measure(sizes), growing.size


def _memory() -> int:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def _say(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(text)
        sys.stderr.flush()


def main() -> None:
    """Read the command line, measure, print the table."""
    parser = argparse.ArgumentParser(
        prog="tests.bench.leaves", description="What a leaf costs as the log grows"
    )
    parser.add_argument("count", type=int, help="how many leaves the larger log has")
    parser.add_argument(
        "--from", dest="small", type=int, default=100_000, help="how many the smaller one has"
    )
    parser.add_argument("--folder", type=Path, help="where it is written: on the disk that is meant")
    parser.add_argument(
        "--log", help="another log than an embedded one in the folder: kafka://host:port/name"
    )
    given = parser.parse_args()
    if given.count - MEASURED < given.small + MEASURED:
        parser.error(f"count: at least {given.small + 2 * MEASURED:,}")
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        started = time.perf_counter()
        url = given.log or f"sqlite://{folder}/log.db"
        sizes = [given.small, given.count - MEASURED]
        costs, leaves = asyncio.run(measure(folder, url, sizes))
        disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        sys.stdout.write(table(costs, disk, leaves) + "\n")
        sys.stdout.write(f"{leaves:,} leaves in {time.perf_counter() - started:,.0f} s\n")


if __name__ == "__main__":
    main()
