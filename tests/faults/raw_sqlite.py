"""The embedded log's file, read by the standard library alone; see `counting`.

Source: the tables of `broker/log/sqlite.py`: a record's id is `partition << 40 | offset`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.faults.counting import Delivered, Said, delivery_in, statement_in
from tests.faults.tree import Lying

OFFSET_BITS = 40


def inboxes(path: Path) -> Iterator[Delivered]:
    """Yield every delivery in the log, each member's in the order of its inbox."""
    for topic, value in _values(path, "inbox."):
        found = delivery_in(value)
        if topic != f"inbox.{found.member}":
            raise ValueError(f"a delivery to {found.member} in {topic}")
        yield found


def statements(path: Path) -> dict[Said, set[bytes]]:
    """Return which statements stand under each number of each stream that members sent to the hub."""
    found: dict[Said, set[bytes]] = {}
    for _, value in _values(path, "notices."):
        said, statement = statement_in(value)
        found.setdefault(said, set()).add(statement)
    return found


def _values(path: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    return ((each.place[0], each.value) for each in lying(path, prefix))


def lying(path: Path, begins: str) -> Iterator[Lying]:
    """Yield every record in the topics that begin so, each partition from start to end."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        partitions = file.execute(
            "SELECT id, topic, number FROM partitions ORDER BY topic, number"
        ).fetchall()
        for id_, topic, number in partitions:
            if topic.startswith(begins):
                first, behind = id_ << OFFSET_BITS, (id_ + 1) << OFFSET_BITS
                query = "SELECT id, value FROM records WHERE id >= ? AND id < ? ORDER BY id"
                for record, value in file.execute(query, (first, behind)):
                    yield Lying((topic, number, record - first), value)
