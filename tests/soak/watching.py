"""What a sustained load looks like from outside: counts out of stores, memory and time of processes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
NEWEST = 64
"""How many of the newest deliveries tell how long they took."""


@dataclass(frozen=True, slots=True)
class Second:
    """Everything at one moment, in seconds since the start of the load.

    `delivered` and `acknowledged` are of all receivers that run a node together; `latencies` are those of the
    newest deliveries, in milliseconds from the queue of the publisher to the record of the receiver.
    """

    at: float
    published: int
    proven: int
    delivered: int
    acknowledged: int
    latencies: Sequence[int]
    memory: Mapping[str, int]
    cpu: Mapping[str, float]


class NodeStore:
    """A node's store, looked at while the node runs."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def close(self) -> None:
        """Give back the file."""
        self._connection.close()

    def number(self, sql: str, *values: object) -> int:
        """Return the one number that a query asks for, 0 for none."""
        ((found,),) = self._connection.execute(sql, values).fetchall()
        return int(found or 0)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def delivered(self) -> int:
        """How many deliveries are recorded: rows are only added, so the newest row counts them."""
        return self.number("SELECT max(rowid) FROM deliveries")

    def acknowledged(self) -> int:
        """How many deliveries the hub holds a receipt for."""
        owed = self.number("SELECT count(*) FROM receipts WHERE batch IS NULL")
        # What is signed and not sent is among the newest batches.
        unsent = self.number(
            "SELECT count(*) FROM receipts WHERE batch IN (SELECT id FROM batches WHERE state = 'waiting')"
            " AND id > (SELECT max(id) FROM receipts) - 100000"
        )
        return self.number("SELECT max(id) FROM receipts") - owed - unsent

    def receipts(self) -> int:
        """How many signed receipts there are."""
        return self.number("SELECT max(id) FROM batches")

    def newest(self) -> list[tuple[bytes, int]]:
        """Return the statements of the newest deliveries, and when each was recorded."""
        sql = "SELECT statement, taken_at FROM deliveries ORDER BY rowid DESC LIMIT ?"
        return [(statement, at) for statement, at in self.rows(sql, NEWEST)]

    def queued_at(self, statement: bytes) -> int:
        """Return when the draft of a statement was queued."""
        sql = "SELECT d.queued_at FROM statements s JOIN drafts d ON d.id = s.draft WHERE s.id = ?"
        return self.number(sql, statement)

    def unproven(self) -> int:
        """How many drafts are not done with."""
        return self.number("SELECT count(*) FROM drafts WHERE state NOT IN ('proven', 'refused')")

    def refused(self) -> int:
        """How many drafts were refused."""
        return self.number("SELECT count(*) FROM drafts WHERE state = 'refused'")


def memory_of(pid: int) -> int:
    """Return the bytes that a process holds in memory (proc_pid_statm(5))."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def cpu_of(pid: int) -> float:
    """Return the seconds of processor that a process has used (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def quantile(values: Sequence[int], share: float) -> int:
    """Return the value below which that share lies, 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Return by how much values rise in a second, by least squares; 0 of less than two."""
    if len(times) < 2:
        return 0.0
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in times)
    return sum((at - middle) * (value - mean) for at, value in zip(times, values, strict=True)) / spread
