"""The index's file: made, opened, written in whole steps, and thrown away at any doubt.

Decides what is a doubt about the file itself: that it is no index, one of another format or of another log,
or damaged.  Whether it fits the log as it is now is decided in `building`.  Nothing is lost with it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from broker.audit.schema import APPLICATION_ID, FORMAT, TABLES
from broker.core.errors import BadConfiguration, Unavailable

BUSY_SECONDS: Final = 30.0
CACHE_KIB: Final = 256 << 10
SUFFIX: Final = ".index"
REST = ("", "-wal", "-shm", "-journal")


class IndexUnavailable(Unavailable):
    """The index's file cannot be written or read now."""


class Doubted(Exception):
    """The index is not what was made from this log: it has to be made again."""


class Base:
    """One connection to an index, which alone writes it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path, about: dict[str, str]) -> Base:
        """Open the index of the log that `about` describes, and make it if there is none or it is in doubt.

        Raises:
            BadConfiguration: There is another file of this name.
            IndexUnavailable: The disk refuses.
        """
        # Doubts throw the file away, so it must be one that nobody keeps anything else in.
        if path.suffix != SUFFIX:
            raise BadConfiguration(f"the name of an index ends in {SUFFIX}", field=str(path))
        try:
            return cls._open(path, about)
        except Doubted:
            discard(path)
            return cls._open(path, about)

    @classmethod
    def there(cls, path: Path) -> Base | None:
        """Open the index that is there, of whatever log; None if there is none.  One in doubt is thrown away.

        Raises:
            BadConfiguration: There is another file of this name.
            IndexUnavailable: The disk refuses, or somebody asks it.
        """
        if not path.exists():
            return None
        try:
            return cls._open(path, None)
        except Doubted:
            discard(path)
            return None

    @classmethod
    def _open(cls, path: Path, about: dict[str, str] | None) -> Base:
        _make_private(path)
        with _refusals(path):
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None
            )
        base = cls(path, connection)
        try:
            with _refusals(path):
                base._prepare(about)
        except BaseException:
            base.close()
            raise
        return base

    def _prepare(self, about: dict[str, str] | None) -> None:
        db = self._connection
        # One asks at a time: another's answer would be of an index that is half way on.
        pragmas = ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL")
        for pragma in (*pragmas, "secure_delete = ON", f"cache_size = -{CACHE_KIB}"):
            db.execute(f"PRAGMA {pragma}").fetchall()
        db.execute("BEGIN IMMEDIATE")
        try:
            if about and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {FORMAT}")
                for table in TABLES:
                    db.execute(table)
                db.executemany("INSERT INTO about VALUES (?, ?)", sorted(about.items()))
            self._check_is(about)
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise

    def _check_is(self, about: dict[str, str] | None) -> None:
        db = self._connection
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise BadConfiguration("a database, but no index of a log", field=str(self.path))
        if db.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
            raise Doubted
        if about is not None and dict(db.execute("SELECT name, value FROM about")) != about:
            raise Doubted

    # --- writing and reading --------------------------------------------------------------------------

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Write what is written inside as a whole, or nothing of it.

        Raises:
            Doubted: The file is damaged.
            IndexUnavailable: The disk refuses.
        """
        with _refusals(self.path):
            try:
                self.run("BEGIN IMMEDIATE")
                yield
                self.run("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def run(self, statement: str, *values: Any) -> int:
        """Run a statement of SQL, and return how many rows it changed."""
        return self._connection.execute(statement, values).rowcount

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each of the rows."""
        self._connection.executemany(statement, rows)

    def add(self, statement: str, *values: Any) -> int | None:
        """Insert a row unless it is there, and return its number, or None."""
        cursor = self._connection.execute(statement, values)
        return cursor.lastrowid if cursor.rowcount else None

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            Doubted: The file is damaged.
            IndexUnavailable: The disk refuses.
        """
        with _refusals(self.path):
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None.

        Raises:
            Doubted: The file is damaged.
            IndexUnavailable: The disk refuses.
        """
        with _refusals(self.path):
            found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return found

    def forget(self, statement: bytes) -> bool:
        """Delete what there is of a statement's contents, and say whether there were words."""
        row = self.row("UPDATE statement SET outcome = NULL WHERE id = ? RETURNING n", statement)
        return row is not None and self.run("DELETE FROM facts WHERE rowid = ?", row[0]) > 0

    def tidy(self) -> None:
        """Leave nothing of deleted text in the files: neither in segments of words nor behind the pages."""
        with self.step():
            self.run("INSERT INTO facts (facts) VALUES ('optimize')")
        with _refusals(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def discard(path: Path) -> None:
    """Throw an index away."""
    for rest in REST:
        path.with_name(path.name + rest).unlink(missing_ok=True)


def _make_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise IndexUnavailable(f"the index cannot be written: {error.strerror}", field=str(path)) from None


_DOUBTS: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""Damaged, no database, or one without a table or column that an index has."""


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Say in our words what SQLite refuses; its own messages may quote data."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DOUBTS:
            raise Doubted from None
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise IndexUnavailable(
                "somebody else asks the same index; wait for it", field=str(path)
            ) from None
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise IndexUnavailable(f"the index cannot be used ({name})", field=str(path)) from None
