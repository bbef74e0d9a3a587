"""Whatever stands in a node's store, the node says what is wrong with it and goes on with nothing of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.channels.control import Control
from adapters.feedback.counts import count
from adapters.feedback.view import FeedbackView
from adapters.past import past_at_node
from adapters.status import snapshot
from broker.core.errors import HalongError, StoreDamaged
from tests.nodes import TestNode
from tests.world import World, sighting

GARBAGE: dict[str, tuple[object, ...]] = {
    "INTEGER": (-7, 1 << 62),
    "TEXT": ("\x00garbage", '{"a": [1]}', b"\xff\xfe"),
    "BLOB": (b"", b"\xff" * 40, b"[1]"),
    "": ("garbage", b"\xff", 1 << 62, 1.5),
    "ANY": ("garbage", b"\xff", -1),
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """`vn` has said, is saying and will say something; `jp` has some of it, and owes for it."""
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp", grant="feedback_hours = 72")
    world.agree("jp", "vn", types=["sighting", "feedback"])
    async with world:
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        first = vn.enqueue(source="first")
        await vn.sends()
        await jp.receives()
        proven = vn.outgoing.queued(first)
        assert proven is not None
        assert proven.statement is not None
        vn.enqueue({"act": "UPDATE", "references": [proven.statement.hex()]}, source="second")
        await vn.node.outbox.step()
        vn.enqueue(source="third")
        await world.publish("vn", sighting(), stream="other")
        await world.settle()
        Control(jp.store, "folder").again()
        FeedbackView(jp.store, "jp", world.catalogue).read()
        for node in (vn, jp):
            node.close()
        yield world


def columns(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield table, column and type of all that the store keeps."""
    with closing(sqlite3.connect(path)) as found:
        tables = found.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, kind, *_ in found.execute(f"PRAGMA table_info({table})").fetchall():
                yield table, column, kind


def damage(path: Path, table: str, column: str, value: object, where: str = "1") -> bool:
    """Put a value where nobody checks what is put; say whether SQLite let it stand somewhere."""
    with closing(sqlite3.connect(path, isolation_level=None)) as found:
        found.execute("PRAGMA ignore_check_constraints = ON")
        given = f"CAST(x'{value.hex()}' AS TEXT)" if isinstance(value, bytes) and column != "" else "?"
        kinds = {kind for t, c, kind in columns(path) if (t, c) == (table, column)}
        text = isinstance(value, bytes) and kinds == {"TEXT"}
        sql = f"UPDATE OR IGNORE {table} SET {column} = {given if text else '?'} WHERE {where}"
        return found.execute(sql, () if text else (value,)).rowcount > 0


def work(node: TestNode, world: World) -> list[Callable[[], Awaitable[object]]]:
    """Return all that a node does with its store, and what commands read of it."""

    async def looks() -> object:
        view = FeedbackView(node.store, node.member, world.catalogue)
        view.read_all()
        view.owed(limit=10)
        view.given(to_us=True, limit=10)
        view.remind(1, before=1 << 60)
        count(node.store, node.member, world.clock.now())
        return node.outgoing.listed()

    async def past() -> object:
        for (statement,) in node.store.rows(
            "SELECT statement FROM deliveries UNION SELECT id FROM statements"
        ):
            past_at_node(node.store, node.incoming, statement)
        return node.incoming.received()

    async def shown() -> object:
        return snapshot(node.store), Control(node.store, "folder").letters()

    async def hands_on() -> object:
        return [await worker.step() for worker in node.node.workers]

    return [
        node.node.outbox.step, lambda: node.node.runner.step(0), node.node.receipts.step, hands_on, looks,
        past, shown,
    ]  # fmt: skip


async def tried(world: World, member: str, folder: Path) -> list[HalongError]:
    """Let a node work on the store in a folder; return what it said, and raise what is no error of ours."""
    said: list[HalongError] = []
    try:
        node = TestNode(world, member, folder)
    except HalongError as error:
        return [error]
    try:
        for step in work(node, world):
            for _ in range(2):
                try:
                    await step()
                except HalongError as error:
                    said.append(error)
    finally:
        node.close()
    return said


def copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for each in source.parent.glob("node.db*"):
        shutil.copy(each, target / each.name)
    return target / "node.db"


ROWS: tuple[tuple[str, str, str, object, str], ...] = (
    ("jp", "refs", "value", b"\xff", "1"),
    ("vn", "refs", "value", b'{"a": 1}', "1"),
    ("jp", "facts", "value", "garbage", "name = 'place'"),
    ("vn", "facts", "value", b"short", "name = 'salt_key'"),
    ("jp", "receipts", "event", 99, "1"),
    ("jp", "receipts", "delivery", b"short", "1"),
    ("vn", "drafts", "draft", b"[]", "1"),
    ("vn", "drafts", "region", 99, "1"),
    ("vn", "statements", "region", 99, "1"),
    ("vn", "statements", "envelope", b"\xff", "1"),
)


async def test_what_a_node_did_not_write_is_named_by_table_and_column(world: World, tmp_path: Path) -> None:
    for number, (member, table, column, value, where) in enumerate(ROWS):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert damage(copy(tmp_path / member / "node.db", folder / member), table, column, value, where)
        said = await tried(world, member, folder)
        named = {error.field for error in said if isinstance(error, StoreDamaged)}
        assert f"{table}.{column}" in named, (table, column)
        # What stands still goes on once the store is whole: nothing was given up.
        with closing(sqlite3.connect(folder / member / "node.db")) as found:
            assert found.execute("SELECT 1 FROM drafts WHERE state = 'refused'").fetchone() is None
            assert found.execute("SELECT 1 FROM deliveries WHERE state = 'quarantined'").fetchone() is None
            assert found.execute("SELECT 1 FROM letters").fetchone() is None


@pytest.mark.soak
async def test_no_value_in_any_column_is_more_than_a_node_can_say(world: World, tmp_path: Path) -> None:
    tried_out = 0
    unsaid = []
    for member in ("vn", "jp"):
        source = tmp_path / member / "node.db"
        for table, column, kind in columns(source):
            for value in GARBAGE[kind]:
                folder = tmp_path / f"{member}-{tried_out}"
                folder.mkdir()
                if damage(copy(source, folder / member), table, column, value):
                    try:
                        await tried(world, member, folder)
                    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                        unsaid.append((member, table, column, value, error))
                    tried_out += 1
                shutil.rmtree(folder)
    assert not unsaid
    assert tried_out > 100
