"""The node's own store: one SQLite file, durable at every commit, shared with the commands of the machine.

Decides how the file is opened, guarded and written; what the tables mean is in `outgoing` (what the
member says) and `incoming` (what it got).  A commit is on disk when `write` ends: WAL with
`synchronous=FULL` (sqlite.org/pragma.html#pragma_synchronous).  Several processes may write, each
transaction waits for the others; only one node at a time may hold the store (`sole`).

Calls block for the length of one fsync.  That is meant: the node has nothing better to do before
a number is reserved or a place is recorded, and a cut thread would leave both in doubt.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from adapters.beginning import note_beginning
from adapters.tables import FORMAT, STEPS, kind_of_fact
from broker.core.errors import BadConfiguration, StoreDamaged, Unavailable

APPLICATION = 0x48414C4E
"""SQLite's application id of our files: `HALN`."""

BUSY_SECONDS = 15.0
BUSY_PAUSE_SECONDS = 0.01
CHECKPOINT_PAGES = 8_000
"""Pages in the -wal file before they are moved to the database: 32 MB.  Ids are digests, so each row touches
pages all over the indexes; the more rows share a move, the fewer pages are written again."""
CACHE_KIB = 8 << 10
"""What does not fit is written before its transaction ends, perhaps several times."""
MOST_ALARMS = 1000


_NO_TEXT = re.compile(r"Could not decode to UTF-8 column '(\w+)'")
_RULE = re.compile(r"((?!INTEGER|REAL|TEXT|BLOB|ANY)\w+\.\w+)")
"""What SQLite and Python say of a value; the rest of what they say may quote data."""


class StoreUnavailable(Unavailable):
    """The file cannot be written or read now: disk full, read-only, or another process holds it."""


Row = tuple[Any, ...]


class Store:
    """The node's file.  Made by `open`.

    Args:
        connection: An open connection in autocommit mode.
        lock: The descriptor that keeps a second node away, or None.
    """

    def __init__(self, connection: sqlite3.Connection, lock: int | None) -> None:
        self._connection = connection
        self._lock = lock
        self._version = -1
        self._writing = False

    @classmethod
    def open(cls, path: Path, *, sole: bool = False) -> Self:
        """Open the file, or make it.  With `sole`, as the one node that may hold it.

        Raises:
            BadConfiguration: It is not a store, was written by a later version, or another node runs on it.
            StoreUnavailable: It cannot be opened now.
        """
        lock = _lock(path) if sole else None
        try:
            # The file holds what the member wrote in clear; SQLite gives its journals the same mode.
            _make(path)
            # The node's calls all come from one thread at a time; tests may open on another.
            connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.OperationalError) as error:
            _unlock(lock)
            raise StoreUnavailable(f"cannot be opened: {type(error).__name__}", field=path.name) from None
        store = cls(connection, lock)
        try:
            store._prepare(path.name)
            if sole:
                note_beginning(store, path)
        except OSError as error:
            store.close()
            raise StoreUnavailable(f"cannot be begun: {type(error).__name__}", field=path.name) from None
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open the file to look into it: also where nothing can be written, and beside a node that runs.

        One that is missing is made, and one of an earlier version brought up to date, as by `open`.

        Raises:
            BadConfiguration: It is not a store, is damaged, or was written by a later version.
            StoreUnavailable: It cannot be read now.
        """
        if not path.exists():
            return cls.open(path)
        try:
            store = cls._open_to_read(path, "mode=ro")
        except StoreUnavailable:
            # In a place where nothing can be written SQLite cannot coordinate with a writer; without a
            # -wal file there is none, and nothing to coordinate.
            if path.with_name(path.name + "-wal").exists():
                raise
            store = cls._open_to_read(path, "mode=ro&immutable=1")
        ((version,),) = store.rows("PRAGMA user_version")
        if version >= FORMAT:
            return store
        store.close()
        return cls.open(path)

    @classmethod
    def _open_to_read(cls, path: Path, how: str) -> Self:
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?{how}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
            )
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(f"cannot be opened: {error.sqlite_errorname}", field=path.name) from None
        store = cls(connection, None)
        try:
            with refusals("cannot be used", path.name):
                ((version,),) = connection.execute("PRAGMA user_version").fetchall()
                ((application,),) = connection.execute("PRAGMA application_id").fetchall()
            _check(version, application, path.name)
        except BaseException:
            store.close()
            raise
        return store

    def _prepare(self, name: str) -> None:
        with refusals("cannot be used", name):
            self._use_wal()
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}").fetchall()
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self._connection.execute("PRAGMA foreign_keys = ON")
            with self.write():
                ((version,),) = self.rows("PRAGMA user_version")
                ((application,),) = self.rows("PRAGMA application_id")
                fresh = not self.rows("SELECT 1 FROM sqlite_schema LIMIT 1")
                if version == 0 and application == 0 and fresh:
                    application = APPLICATION
                    self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
                if application == APPLICATION and version < FORMAT:
                    for step in STEPS[version:]:
                        for statement in step.split(";\n"):
                            self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {FORMAT}")
        _check(version, application, name)

    def _use_wal(self) -> None:
        """Wait for the others as everywhere: SQLite does not when several change a fresh file at once."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(BUSY_PAUSE_SECONDS)
            else:
                return

    def close(self) -> None:
        """Give back the file and the lock; a second call does nothing."""
        self._connection.close()
        _unlock(self._lock)
        self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def write(self) -> Iterator[None]:
        """Make everything inside one durable transaction: all of it is on disk at the end, or none.

        Inside another `write` it joins that one.

        Raises:
            StoreUnavailable: Nothing of it was stored.
        """
        if self._writing:
            yield
            return
        with refusals("not stored"):
            self._connection.execute("BEGIN IMMEDIATE")
            self._writing = True
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                self._writing = False
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def rows(self, sql: str, *values: object) -> list[Row]:
        """Return the rows of a query."""
        try:
            with refusals("not read"):
                return self._connection.execute(sql, values).fetchall()
        except UnicodeDecodeError:
            raise StoreDamaged("text that is none", field="a text of the store") from None

    def row(self, sql: str, *values: object) -> Row | None:
        """Return the first row of a query, or None."""
        rows = self.rows(sql, *values)
        return rows[0] if rows else None

    def run(self, sql: str, *values: object) -> int:
        """Run one statement inside `write` and return how many rows it touched."""
        return self._connection.execute(sql, values).rowcount

    def insert(self, sql: str, *values: object) -> int | None:
        """Insert one row inside `write` and return its id; None if it was there already."""
        cursor = self._connection.execute(sql, values)
        return cursor.lastrowid if cursor.rowcount else None

    def run_many(self, sql: str, values: Sequence[Sequence[object]]) -> None:
        """Run one statement for each of `values`, inside `write`."""
        self._connection.executemany(sql, values)

    def changed_by_others(self) -> bool:
        """Tell whether another process has written since the last call."""
        ((version,),) = self.rows("PRAGMA data_version")
        before, self._version = self._version, version
        return bool(version != before)

    # --- facts and alarms: what both halves, the health page and `doctor` share ----------------

    def fact(self, name: str) -> Any:
        """Return a remembered value, or None.

        Raises:
            StoreDamaged: It is of another kind than the node remembers under this name.
        """
        row = self.row("SELECT value FROM facts WHERE name = ?", name)
        value = row[0] if row else None
        if value is not None and not isinstance(value, kind_of_fact(name)):
            raise StoreDamaged(f"another kind of value than {name} has", field="facts.value")
        return value

    def remember(self, **facts: object) -> None:
        """Remember values under their names."""
        with self.write():
            self.run_many(
                "INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                list(facts.items()),
            )

    def alarm(self, event: str, code: str, subject: str, at: int) -> bool:
        """Keep an alarm; the same one again only counts.  Return whether it is the first of its kind."""
        with self.write():
            again = self.run(
                "UPDATE alarms SET count = count + 1, last_at = ?"
                " WHERE event = ? AND code = ? AND subject = ?",
                at, event, code, subject,
            )  # fmt: skip
            if not again:
                self.run(
                    "INSERT INTO alarms (at, last_at, event, code, subject) VALUES (?, ?, ?, ?, ?)",
                    at, at, event, code, subject,
                )  # fmt: skip
                self.run("DELETE FROM alarms WHERE id <= (SELECT max(id) - ? FROM alarms)", MOST_ALARMS)
        return not again


def copy_store(source: Path, target: Path) -> None:
    """Copy a store as it is at one moment into a fresh file; others may write meanwhile.

    Source: sqlite.org/backup.html.

    Raises:
        BadConfiguration: It is not a store.
        StoreUnavailable: It cannot be read, or the copy cannot be written now.
    """
    try:
        _make(target)
        here, there = sqlite3.connect(source, timeout=BUSY_SECONDS), sqlite3.connect(target)
        with closing(here), closing(there):
            # In one step: in several, each write of another process would begin it anew.
            here.backup(there)
            ((application,),) = there.execute("PRAGMA application_id").fetchall()
            ((sound,),) = there.execute("PRAGMA quick_check(1)").fetchall()
    except (OSError, sqlite3.OperationalError) as error:
        raise StoreUnavailable(f"cannot be copied: {type(error).__name__}", field=source.name) from None
    except sqlite3.DatabaseError:
        application, sound = 0, ""
    if application != APPLICATION or sound != "ok":
        raise BadConfiguration("is not a node's store, or is damaged", field=source.name)


@contextmanager
def refusals(what: str, name: str | None = None) -> Iterator[None]:
    """Say in our words what SQLite refuses; its own messages may quote data."""
    try:
        yield
    except sqlite3.OperationalError as error:
        column = _NO_TEXT.match(str(error))
        if column is not None:
            raise StoreDamaged("text that is none", field=f"column {column[1]}") from None
        raise StoreUnavailable(f"{what}: {error.sqlite_errorname}", field=name) from None
    except sqlite3.IntegrityError as error:
        # What is written keeps the rules, so what stands there already does not.
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CONSTRAINT:
            raise
        column = _RULE.search(str(error))
        raise StoreDamaged(
            "a value breaks a rule of its table", field=None if column is None else column[1]
        ) from None
    except sqlite3.DatabaseError as error:
        match error.sqlite_errorcode & 0xFF:
            case sqlite3.SQLITE_NOTADB:
                raise BadConfiguration("is not a node's store", field=name) from None
            case sqlite3.SQLITE_CORRUPT:
                raise BadConfiguration(
                    "the node's store is damaged: restore it from a backup", field=name
                ) from None
            case _:
                raise


def _check(version: int, application: int, name: str) -> None:
    if application != APPLICATION:
        raise BadConfiguration("is not a node's store", field=name)
    if version > FORMAT:
        raise BadConfiguration(
            f"was written in format {version}, this version knows up to {FORMAT}: use a later one", field=name
        )


def _make(path: Path) -> None:
    """Make the file if it is not there, for its owner alone.

    One that is there is not opened: closing it would drop the locks that SQLite holds on it in this process
    (sqlite.org/howtocorrupt.html, section 2.2).
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


def _lock(path: Path) -> int:
    """Take the lock beside the file; the system gives it back however the process ends."""
    try:
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"cannot be locked: {type(error).__name__}", field=path.name) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise BadConfiguration("another node runs on this store", field=path.name) from None
    return lock


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
