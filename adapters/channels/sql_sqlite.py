"""Rows in a SQLite file of the member's own: one transaction for a batch and the place behind it.

The file is the member's, not the node's store: other programs may read and change it.  What they hold locked
is waited for.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from adapters.channels import LIVE_ALONE, ChannelRefused, ChannelUnavailable, Item, Reached
from adapters.channels.sql import COLUMNS, place_table, row_of, statements
from adapters.channels.thread import OneAtATime
from broker.core.model import Status

BUSY_SECONDS = 10.0
T = TypeVar("T")


def schema(table: str) -> list[str]:
    """Return the statements that make the tables."""
    return statements(table, time="text", json="text", bytes_="blob")


class SqliteChannel:
    """Writes deliveries into a table of a SQLite file.

    Args:
        path: The file; it must be there, with its tables.
        place: The name of this node's place.
        table: Where the rows go: a plain name, for it becomes part of statements.
        statuses: What is taken.
        name: The name in receipts.
    """

    def __init__(
        self,
        path: Path,
        *,
        place: str,
        table: str = "halong_notice",
        statuses: frozenset[Status] = LIVE_ALONE,
        name: str = "sql",
    ) -> None:
        self.name = name
        self.statuses = statuses
        self._path = path
        self._place = place
        self._table = table
        self._thread = OneAtATime(name)
        names = ", ".join(name for name, _ in COLUMNS)
        marks = ", ".join("?" * len(COLUMNS))
        self._insert = f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT (delivery) DO NOTHING"  # noqa: S608 - settings let only plain names pass
        self._move = (
            f"INSERT INTO {place_table(table)} (channel, number, delivery) VALUES (?, ?, ?)"  # noqa: S608
            " ON CONFLICT (channel) DO UPDATE SET number = excluded.number, delivery = excluded.delivery"
        )
        self._where = f"SELECT number, delivery FROM {place_table(table)} WHERE channel = ?"  # noqa: S608
        self._look = f"SELECT {names} FROM {table} LIMIT 0"  # noqa: S608
        self._count = f"SELECT count(*) FROM {table}"  # noqa: S608

    async def deliver(self, item: Item) -> None:
        """Return when the row is committed.

        Raises:
            ChannelUnavailable: The file cannot be written now, or its tables are not as they should be.
            ChannelRefused: The table does not take this row.
        """
        await self.deliver_all([item])

    async def deliver_all(self, items: Sequence[Item]) -> None:
        """Return when all rows are committed, together with the place; or none is."""
        rows = [tuple(map(_plain, row_of(item))) for item in items]

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(self._insert, rows)
            connection.execute(self._move, (self._place, items[-1].number, items[-1].id.hex()))
            connection.execute("COMMIT")

        await self._with(write)

    async def reached(self) -> Reached | None:
        """Return the last delivery that is committed; see `channels.KeepsPlace`."""
        row = await self._with(lambda connection: connection.execute(self._where, (self._place,)).fetchone())
        return None if row is None else Reached.told(row[0], row[1], self.name)

    async def check(self) -> str:
        """Say how many rows there are; nothing is written.

        Raises:
            ChannelUnavailable: The file or its tables are not as they should be.
        """

        def look(connection: sqlite3.Connection) -> int:
            connection.execute(self._look)
            ((count,),) = connection.execute(self._count).fetchall()
            return int(count)

        return f"the table {self._table} has its columns, and {await self._with(look):,} rows"

    async def create(self) -> None:
        """Make the file and the tables that are not there.

        Raises:
            ChannelUnavailable: They cannot be made.
        """

        def make(connection: sqlite3.Connection) -> None:
            for statement in schema(self._table):
                connection.execute(statement)

        await self._with(make, mode="rwc")

    async def _with(self, call: Callable[[sqlite3.Connection], T], mode: str = "rw") -> T:
        """Call with a connection of its own: one that was cut off in the middle leaves nothing behind."""

        def work() -> T:
            uri = f"{self._path.absolute().as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            with contextlib.closing(connection):
                connection.execute("PRAGMA synchronous = FULL")
                return call(connection)

        try:
            return await self._thread.run(work)
        except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError) as error:
            raise ChannelRefused(
                "the table does not take it", field=self.name, answer=_answer(error)
            ) from None
        except sqlite3.Error as error:
            raise ChannelUnavailable(
                "the file does not take it now", field=self.name, answer=_answer(error)
            ) from None


def _answer(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__).lower().replace("_", "-")


def _plain(value: Any) -> Any:
    """Return a value as SQLite has it: times as text in ISO 8601."""
    return value.isoformat(timespec="milliseconds") if hasattr(value, "isoformat") else value
