"""How long an auditor waits for an answer over very many records.

    python -m tests.soak.questions COUNT [--folder FOLDER]

Writes a log of COUNT records that have leaves, makes the index, and asks every question; prints a table for
docs/audit.md.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.audit.building import AuditIndex
from broker.audit.effect import effects
from broker.audit.gaps import gaps
from broker.audit.life import life
from broker.audit.members import standings
from broker.audit.reads import readings, refusals
from broker.audit.sharing import search, sharing
from broker.log import open_log
from tests.soak.many_records import START, ManyRecords

TRIES = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured: how long each took in seconds, the best of three for questions."""

    records: int
    written: float
    built: float
    went_on: float
    index_bytes: int
    answers: dict[str, float]

    def table(self) -> str:
        """Return the numbers as lines."""
        speed, size = f"{self.records / self.built:,.0f} records/s", f"{self.index_bytes / 1e6:,.0f} MB"
        rows = [
            f"{self.records:,} records, written in {self.written:.0f} s",
            f"index: {self.built:.0f} s ({speed}), {size}; nothing new: {self.went_on * 1000:.0f} ms",
        ]
        rows += [f"  {name:<12} {seconds * 1000:8.1f} ms" for name, seconds in self.answers.items()]
        return "\n".join(rows)


async def measure(folder: Path, count: int) -> Measured:
    """Write, index and ask."""
    many = ManyRecords()
    started = time.perf_counter()
    async with open_log(f"sqlite://{folder}/log.db") as log:
        await many.write(log, count)
        written = time.perf_counter() - started
        started = time.perf_counter()
        index = AuditIndex(folder / "audit.index", many.signer.key, many.catalogue)
        await index.refresh(log)
        built = time.perf_counter() - started
        started = time.perf_counter()
        await index.refresh(log)
        went_on = time.perf_counter() - started
    now, middle = many.now, (START + many.now) // 2
    day = 86_400_000
    (answered,) = index.base.rows("SELECT about FROM answer ORDER BY decided_at LIMIT 1 OFFSET 100")[0]
    questions: dict[str, Callable[[], Any]] = {
        "life": lambda: life(index, answered.hex()),
        "received": lambda: sharing(index, "vn", agreement="jp-vn", since=middle, until=middle + day),
        "received, all": lambda: sharing(index, "vn"),
        "read": lambda: readings(index, answered.hex()),
        "read, all": lambda: readings(index),
        "refused": lambda: refusals(index),
        "gaps": lambda: gaps(index, now),
        "members": lambda: standings(index, now),
        "effect": lambda: effects(index, now),
        "effect, late": lambda: effects(index, now + 10 * day),
        "search": lambda: search(index, "mdma"),
        "search, rare": lambda: search(index, "nowhere such"),
    }
    answers = {name: min(_timed(ask) for _ in range(TRIES)) for name, ask in questions.items()}
    assert len(life(index, answered.hex()).stages) > FEWEST_STAGES
    index.close()
    size = (folder / "audit.index").stat().st_size
    return Measured(count, written, built, went_on, size, answers)


FEWEST_STAGES = 8


def _timed(ask: Callable[[], Any]) -> float:
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print(asyncio.run(measure(Path(folder).absolute(), arguments.count)).table())


if __name__ == "__main__":
    main()
