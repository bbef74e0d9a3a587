"""Rows in PostgreSQL, by psycopg 3: one transaction for a batch and the place behind it.

One session at a time holds a place: it takes an advisory lock first, so that what an earlier process of ours
had begun is decided before the place is read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import conninfo, sql

from adapters.channels import LIVE_ALONE, ChannelRefused, ChannelUnavailable, Item, Reached
from adapters.channels.sql import COLUMNS, place_table, row_of, statements
from broker.core.errors import BadConfiguration
from broker.core.model import Status

CONNECT_SECONDS = 10
LOCK_MILLISECONDS = 10_000
IDLE_TRANSACTION_MILLISECONDS = 30_000


def schema(table: str) -> list[str]:
    """Return the statements that make the tables."""
    return statements(table, time="timestamptz", json="jsonb", bytes_="bytea")


def hosts_of(url: str) -> list[str]:
    """Return the hosts that a URL names, as libpq reads it; an empty one is the local socket.

    Raises:
        BadConfiguration: It is none.
    """
    try:
        found = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise BadConfiguration("is no URL of PostgreSQL", field="url") from None
    return str(found.get("hostaddr") or found.get("host") or "").split(",")


class PostgresChannel:
    """Writes deliveries into a table of PostgreSQL.

    Args:
        url: The database, in libpq's form, without a password.
        options: What libpq is told besides: password, TLS.
        place: The name of this node's place, the same for as long as the channel lives.
        table: Where the rows go.
        statuses: What is taken.
        name: The name in receipts.
    """

    def __init__(
        self,
        url: str,
        options: Mapping[str, str],
        *,
        place: str,
        table: str = "halong_notice",
        statuses: frozenset[Status] = LIVE_ALONE,
        name: str = "sql",
    ) -> None:
        self.name = name
        self.statuses = statuses
        self._url = url
        self._options = options
        self._place = place
        self._table = table
        self._connection: psycopg.AsyncConnection[Any] | None = None
        rows = sql.Identifier(*table.split("."))
        self._places = sql.Identifier(*place_table(table).split("."))
        names = [name for name, _ in COLUMNS]
        self._insert = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT (delivery) DO NOTHING").format(
            rows,
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join([sql.Placeholder()] * len(names)),
        )
        self._move = sql.SQL(
            "INSERT INTO {} (channel, number, delivery) VALUES (%s, %s, %s) ON CONFLICT (channel)"
            " DO UPDATE SET number = excluded.number, delivery = excluded.delivery"
        ).format(self._places)

    async def deliver(self, item: Item) -> None:
        """Return when the row is committed.

        Raises:
            ChannelUnavailable: The database is out of reach, or its tables are not as they should be.
            ChannelRefused: The table does not take this row.
        """
        await self.deliver_all([item])

    async def deliver_all(self, items: Sequence[Item]) -> None:
        """Return when all rows are committed, together with the place; or none is."""
        rows = [row_of(item) for item in items]
        try:
            connection = await self._opened()
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.executemany(self._insert, rows)
                await cursor.execute(self._move, (self._place, items[-1].number, items[-1].id.hex()))
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise ChannelRefused(
                "the table does not take it", field=self.name, answer=f"sql-{error.sqlstate}"
            ) from None
        except psycopg.Error as error:
            await self.close()
            raise self._unavailable(error) from None

    async def reached(self) -> Reached | None:
        """Return the last delivery that is committed; see `channels.KeepsPlace`."""
        try:
            connection = await self._opened()
            found = await connection.execute(
                sql.SQL("SELECT number, delivery FROM {} WHERE channel = %s").format(self._places),
                (self._place,),
            )
            row = await found.fetchone()
        except psycopg.Error as error:
            await self.close()
            raise self._unavailable(error) from None
        return None if row is None else Reached.told(row[0], row[1], self.name)

    async def close(self) -> None:
        """Close the connection; the next delivery opens another."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    async def check(self) -> str:
        """Say how many rows there are; nothing is written.

        Raises:
            ChannelUnavailable: The database is out of reach, or its tables are not as they should be.
        """
        columns = sql.SQL(", ").join(sql.Identifier(name) for name, _ in COLUMNS)
        rows = sql.Identifier(*self._table.split("."))
        try:
            connection = await self._opened()
            await connection.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(columns, rows))
            found = await connection.execute(sql.SQL("SELECT count(*) FROM {}").format(rows))
            ((count,),) = await found.fetchall()
        except psycopg.Error as error:
            raise self._unavailable(error) from None
        finally:
            await self.close()
        return f"the table {self._table} has its columns, and {count:,} rows"

    async def create(self) -> None:
        """Make the tables that are not there.

        Raises:
            ChannelUnavailable: They cannot be made.
        """
        try:
            connection = await self._opened()
            async with connection.transaction():
                for statement in schema(self._table):
                    await connection.execute(statement.encode())
        except psycopg.Error as error:
            raise self._unavailable(error) from None
        finally:
            await self.close()

    async def _opened(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None:
            connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name="halong",
                **self._options,  # type: ignore[arg-type]  # libpq's own settings, which are texts
            )
            try:
                await connection.execute(f"SET lock_timeout = {LOCK_MILLISECONDS}")
                await connection.execute(
                    f"SET idle_in_transaction_session_timeout = {IDLE_TRANSACTION_MILLISECONDS}"
                )
                # A commit is on disk when it is answered, whatever the server does for others.
                await connection.execute("SET synchronous_commit = on")
                await connection.execute(
                    "SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"halong {self._place}",)
                )
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
        return self._connection

    def _unavailable(self, error: psycopg.Error) -> ChannelUnavailable:
        answer = f"sql-{error.sqlstate}" if error.sqlstate else "unreachable"
        return ChannelUnavailable(
            f"the database does not take it: {type(error).__name__}", field=self.name, answer=answer
        )
