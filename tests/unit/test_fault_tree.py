"""The root that a stranger computes from raw topics agrees with the log's; what denies the log is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.faults.raw_sqlite import OFFSET_BITS, lying
from tests.faults.tree import wrong_in
from tests.world import World, sighting

Change = Callable[[sqlite3.Connection, int, int], object]


async def filled(folder: Path) -> tuple[int, bytes]:
    """Make a log in which something of most kinds is, and return its size and root."""
    async with World(folder, "vn", "jp") as world:
        world.agree("vn", "jp")
        for number in range(6):
            await world.publish("vn", sighting(place=f"Hue {number}"))
        await world.settle()
        await world.inbox.feed("jp", 0, 10, 0)
        await world.settle()
        published = world.ledger.published
        assert published is not None
        return published.size, published.root


def log_in(folder: Path) -> Path:
    (file,) = folder.rglob("log.db")
    return file


def _twice(file: sqlite3.Connection, at: int, last: int) -> None:
    file.execute("INSERT INTO records SELECT ?, key, value FROM records WHERE id = ?", (last + 1, at))


def _gone(file: sqlite3.Connection, at: int, _last: int) -> None:
    file.execute("DELETE FROM records WHERE id = ?", (at,))


def _changed(file: sqlite3.Connection, at: int, _last: int) -> None:
    (value,) = file.execute("SELECT value FROM records WHERE id = ?", (at,)).fetchone()
    other = value[:20] + bytes((value[20] ^ 1,)) + value[21:]
    file.execute("UPDATE records SET value = ? WHERE id = ?", (other, at))


CHANGES: dict[str, tuple[str, Change]] = {
    "a record is gone": ("decisions", _gone),
    "a record was changed": ("decisions", _changed),
    "a leaf is gone": ("audit.leaves", _gone),
    "a leaf was changed": ("audit.leaves", _changed),
    "a leaf is there twice": ("audit.leaves", _twice),
}


async def test_a_stranger_computes_the_same_root(tmp_path: Path) -> None:
    size, root = await filled(tmp_path)
    file = log_in(tmp_path)

    assert wrong_in(partial(lying, file), size, root) == []
    assert wrong_in(partial(lying, file), size, bytes(32)) != []


@pytest.mark.parametrize("name", CHANGES)
async def test_a_stranger_finds_what_denies_the_log(name: str, tmp_path: Path) -> None:
    size, root = await filled(tmp_path)
    file = log_in(tmp_path)
    topic, change = CHANGES[name]
    with closing(sqlite3.connect(file)) as log:
        (partition,) = log.execute("SELECT id FROM partitions WHERE topic = ?", (topic,)).fetchone()
        first, behind = partition << OFFSET_BITS, (partition + 1) << OFFSET_BITS
        query = "SELECT min(id), max(id) FROM records WHERE id >= ? AND id < ?"
        change(log, *log.execute(query, (first, behind)).fetchone())
        log.commit()

    assert wrong_in(partial(lying, file), size, root) != []
