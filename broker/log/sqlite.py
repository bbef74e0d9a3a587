"""The file of the embedded log: its tables, its transactions, and what may be opened.

Everything here blocks and belongs to one thread at a time; `embedded` decides which thread, what
shares a transaction, and who is told.  Promises that rest on SQLite:

* WAL with `synchronous=FULL`: a transaction that was reported is on the disk (sqlite.org/wal.html).
* Integer primary keys `partition << 40 | offset`: a partition is one ascending stretch of the table.
* `secure_delete=ON`: what was deleted is overwritten, not only forgotten.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from broker.core.errors import BadConfiguration
from broker.log import LogUnavailable, Partition, Stored, Topic
from broker.log.lone_file import make_private, take_lock
from broker.log.stored_values import Layout, Write

FORMAT: Final = 1
WRITTEN_BY: Final = "0.1.0"
"""The first version of Halong that reads `FORMAT`; an older one names it when it refuses the file."""

APPLICATION_ID: Final = 0x48616C6F  # "Halo", so that `file` and we can tell the log from other databases

OFFSET_BITS: Final = 40
BUSY_SECONDS: Final = 5.0
CHECKPOINT_PAGES: Final = 4_000
"""Pages in the -wal file before they are moved to the database: 16 MB."""
READ_BYTES: Final = 8 << 20
"""One read stops here, so that large records cannot fill the memory."""

_TABLES: Final = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE topics (name TEXT PRIMARY KEY, keep TEXT NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE partitions (id INTEGER PRIMARY KEY, topic TEXT NOT NULL REFERENCES topics (name), "
        "number INTEGER NOT NULL, UNIQUE (topic, number))"
    ),
    "CREATE TABLE records (id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB NOT NULL)",
    # Of `state` topics: which record of a key is the last.
    (
        "CREATE TABLE latest (partition INTEGER NOT NULL, key BLOB NOT NULL, record INTEGER NOT NULL, "
        "PRIMARY KEY (partition, key)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE places (reader TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, "
        "PRIMARY KEY (reader, partition)) WITHOUT ROWID"
    ),
)


class Store:
    """One connection to the file.  The one that writes holds the lock; others only read."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: IO[str] | None) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock
        self.layout = Layout()

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the file to write, making it if it is not there.

        Raises:
            BadConfiguration: The file is not a log, is damaged, or needs a later version.
            LogUnavailable: Another process has it open, or the disk refuses.
        """
        lock = take_lock(path)
        try:
            make_private(path)
            store = cls(path, _connect(path, "mode=rwc"), lock)
        except BaseException:
            lock.close()
            raise
        try:
            with reading(path):
                store._prepare()
                store._load()
            # A process that died may not have come to it; whoever reads meanwhile does no harm.
            with contextlib.suppress(LogUnavailable):
                store.scrub()
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open_to_read(cls, path: Path) -> Store:
        """Open the file to read only; a process that writes may have it open too.

        Raises:
            BadConfiguration: There is no such file, or it is not a log that this version reads.
            LogUnavailable: The disk refuses.
        """
        if not path.is_file():
            raise BadConfiguration(f"there is no log at {path}", field=str(path))
        try:
            return cls._open_to_read(path, "mode=ro")
        except LogUnavailable:
            # In a place where nothing can be written SQLite cannot coordinate with a writer; without a
            # -wal file there is none, and nothing to coordinate.
            if path.with_name(path.name + "-wal").exists():
                raise
            return cls._open_to_read(path, "mode=ro&immutable=1")

    @classmethod
    def _open_to_read(cls, path: Path, how: str) -> Store:
        store = cls(path, _connect(path, how), None)
        try:
            with reading(path):
                store._check_format()
                store._load()
        except BaseException:
            store.close()
            raise
        return store

    # --- writing ------------------------------------------------------------------------------

    def create(self, topics: Sequence[Topic]) -> None:
        """Add the topics that are missing.

        Raises:
            BadConfiguration: A topic is there with another number of partitions.
        """
        for topic in topics:
            there = sum(partition.topic == topic.name for partition in self.layout.ids)
            if there not in (0, topic.partitions):
                raise BadConfiguration(
                    f"topic {topic.name} has {there} partitions, not {topic.partitions}; "
                    "the number is fixed for a log's life",
                    field=topic.name,
                )
        missing = [topic for topic in topics if topic.name not in self.layout.keeps]
        if not missing:
            return
        with self._transaction() as db:
            for topic in missing:
                db.execute("INSERT INTO topics VALUES (?, ?)", (topic.name, topic.keep))
                db.executemany(
                    "INSERT INTO partitions (topic, number) VALUES (?, ?)",
                    [(topic.name, number) for number in range(topic.partitions)],
                )
        with reading(self._path):
            self._load()

    def write(self, writes: Sequence[Write]) -> list[list[int]]:
        """Store everything in one transaction and return the offsets, one list for each of `writes`.

        Raises:
            LogUnavailable: Perhaps all of it was stored, perhaps none of it.
        """
        layout = self.layout
        ends = dict(layout.ends)
        rows: list[tuple[int, bytes, bytes]] = []
        latest: dict[tuple[int, bytes], int] = {}
        offsets: list[list[int]] = []
        for write in writes:
            ends |= {partition: offset for partition, offset in write.begins.items() if not ends[partition]}
            given: list[int] = []
            for record in write.records:
                partition = record.partition
                offset = ends[partition]
                ends[partition] = offset + 1
                given.append(offset)
                number = layout.ids[partition] << OFFSET_BITS | offset
                rows.append((number, record.key, record.value))
                if layout.keeps[partition.topic] == "state":
                    latest[layout.ids[partition], record.key] = number
            offsets.append(given)
        places = [
            (write.reader, layout.ids[partition], place)
            for write in writes
            for partition, place in write.places.items()
        ]
        erased = [
            (layout.ids[partition] << OFFSET_BITS | offset,)
            for write in writes
            for partition, offsets_of in write.erased.items()
            for offset in offsets_of
        ]
        with self._transaction() as db:
            db.executemany("INSERT INTO records VALUES (?, ?, ?)", rows)
            if erased:
                db.executemany("DELETE FROM records WHERE id = ?", erased)
            if latest:
                self._keep_latest(db, rows, latest)
            db.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", places)
        layout.ends = ends
        return offsets

    def _keep_latest(
        self,
        db: sqlite3.Connection,
        rows: Sequence[tuple[int, bytes, bytes]],
        latest: Mapping[tuple[int, bytes], int],
    ) -> None:
        """Delete what these records of `state` topics replace, also among themselves."""
        states = {partition for partition, _ in latest}
        replaced = [
            (number,)
            for number, key, _ in rows
            if number >> OFFSET_BITS in states and latest[number >> OFFSET_BITS, key] != number
        ]
        for pair in latest:
            query = "SELECT record FROM latest WHERE partition = ? AND key = ?"
            replaced += db.execute(query, pair).fetchall()
        db.executemany("DELETE FROM records WHERE id = ?", replaced)
        db.executemany(
            "INSERT OR REPLACE INTO latest VALUES (?, ?, ?)",
            [(partition, key, number) for (partition, key), number in latest.items()],
        )

    def scrub(self) -> None:
        """Empty the -wal file: pages in it are as they were before what was deleted in them was overwritten.

        Raises:
            LogUnavailable: Somebody reads what was there before; call again.
        """
        with refusals(self._path):
            (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise LogUnavailable("what was erased is still being read", field=str(self._path))

    # --- reading ------------------------------------------------------------------------------

    def read(self, partition: Partition, number: int, start: int, limit: int) -> list[Stored]:
        """Return records of the partition with this number in the file, from offset `start`."""
        found: list[Stored] = []
        size = 0
        base = number << OFFSET_BITS
        with reading(self._path):
            cursor = self._connection.execute(
                "SELECT id, key, value FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
                (base + max(start, 0), base + (1 << OFFSET_BITS), limit),
            )
            with contextlib.closing(cursor):
                for row, key, value in cursor:
                    if type(key) is not bytes or type(value) is not bytes:
                        raise TypeError
                    found.append(Stored(partition, row - base, key, value))
                    size += len(value)
                    if size >= READ_BYTES:
                        break
        return found

    def places(self, reader: str) -> dict[Partition, int]:
        """Return the place that the reader has reached in each partition where it has one."""
        partitions = {number: partition for partition, number in self.layout.ids.items()}
        with reading(self._path):
            rows = self._connection.execute("SELECT partition, next FROM places WHERE reader = ?", (reader,))
            return {partitions[number]: place for number, place in rows}

    def load(self) -> Layout:
        """Look again at what the file has, and return it."""
        with reading(self._path):
            self._load()
        return self.layout

    # --- the connection -----------------------------------------------------------------------

    def reopen(self) -> None:
        """Take a fresh connection after a failure: what the old one believed may not be on the disk.

        Raises:
            LogUnavailable: The disk still refuses; call again later.
        """
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._connection = _connect(self._path, "mode=rwc")
        with reading(self._path):
            self._tune()
            self._load()

    def close(self) -> None:
        """Move the -wal into the file if nobody is in the way, close, and give the lock back."""
        with contextlib.suppress(sqlite3.Error):
            if self._lock is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        if self._lock is not None:
            self._lock.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with refusals(self._path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        db = self._connection
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute("PRAGMA journal_mode = WAL")
            with self._transaction():
                for table in _TABLES:
                    db.execute(table)
                about = (("format", str(FORMAT)), ("needs", WRITTEN_BY))
                db.executemany("INSERT INTO about VALUES (?, ?)", about)
        self._check_format()
        self._tune()

    def _tune(self) -> None:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "secure_delete = ON",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            "cache_size = -65536",
        ):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()

    def _check_format(self) -> None:
        db = self._connection
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise BadConfiguration(f"{self._path} is a database, but not a Halong log", field=str(self._path))
        about = dict(db.execute("SELECT name, value FROM about"))
        if int(about["format"]) > FORMAT:
            raise BadConfiguration(
                f"{self._path} is a log of format {about['format']}, which Halong {about['needs']} or later "
                f"reads; this one reads format {FORMAT}",
                field=str(self._path),
            )

    def _load(self) -> None:
        db = self._connection
        layout = Layout(keeps=dict(db.execute("SELECT name, keep FROM topics")))
        for number, topic, part in db.execute("SELECT id, topic, number FROM partitions").fetchall():
            base = number << OFFSET_BITS
            (last,) = db.execute(
                "SELECT max(id) FROM records WHERE id >= ? AND id < ?", (base, base + (1 << OFFSET_BITS))
            ).fetchone()
            layout.ids[Partition(topic, part)] = number
            layout.ends[Partition(topic, part)] = 0 if last is None else last - base + 1
        self.layout = layout


def _connect(path: Path, how: str) -> sqlite3.Connection:
    with refusals(path):
        # Closing may be left to another thread when a read did not come back in time.
        return sqlite3.connect(
            f"file:{quote(str(path))}?{how}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )


_DAMAGED: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_NOTADB: "is not a Halong log",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore it from a copy",
}
_REFUSED: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full",
    sqlite3.SQLITE_READONLY: "cannot be written: it is read-only",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; is its folder there, and writable?",
    sqlite3.SQLITE_BUSY: "is busy: another program holds it",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk refuses (full, over a quota, or failing)",
}


@contextlib.contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Say in our words what SQLite refuses; its own messages may quote data."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            raise BadConfiguration(f"{path} {_DAMAGED[code]}", field=str(path)) from None
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        reason = _REFUSED.get(code, f"cannot be used ({name})")
        raise LogUnavailable(f"{path} {reason}", field=str(path)) from None


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say the same of what is not as it was written: a page that was garbled may still be one to SQLite."""
    with refusals(path):
        try:
            yield
        except (LookupError, TypeError, ValueError):
            raise BadConfiguration(f"{path} {_DAMAGED[sqlite3.SQLITE_CORRUPT]}", field=str(path)) from None
