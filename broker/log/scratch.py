"""Room on disk for what a process derives from the log, and can read from it again.

Decides how views that grow with the log stay out of memory: columns of bytes that only grow, and maps.  What
is in them is the services' business.  Nothing here is durable, or meant to be: the files have no names once
they are open, so they go with the process, however it ends.  A disk that takes no more costs memory, never
an answer: what cannot be written stays in memory until it can.

Calls block for microseconds: nothing waits for a disk to confirm.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final, Self, overload

TAIL_BYTES: Final = 64 << 10
KEPT: Final = 4_096
MOVED_AT_ONCE: Final = 512
CACHE_KIB: Final = 4 << 10
NUMBER_BYTES: Final = 8


class Scratch:
    """One file and one database, made when they are first needed.

    Args:
        folder: Where they are; the system's folder for such things without it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: int | None = None
        self._end = 0
        self._base: sqlite3.Connection | None = None
        self._tables = 0

    def column(self, tail_bytes: int = TAIL_BYTES) -> Column:
        """Return an empty column; `tail_bytes` of its end, or twice as much, are in memory."""
        return Column(self, tail_bytes)

    def numbers(self, kept: int = 1024) -> Numbers:
        """Return an empty list that only grows; the last `kept` numbers, or twice as many, are in memory."""
        return Numbers(self, kept)

    def map(self, kept: int = KEPT) -> Map:
        """Return an empty map; the last `kept` entries that were put are in memory."""
        self._tables += 1
        return Map(self, f"map{self._tables}", kept)

    def write(self, data: bytes) -> int:
        """Write to the file, and return where.

        Raises:
            OSError: The disk takes no more.
        """
        if self._file is None:
            self._file = _nameless(self._folder)
            weakref.finalize(self, os.close, self._file)
        written = os.pwrite(self._file, data, self._end)
        if written < len(data):
            raise OSError("the disk took a part only")
        place = self._end
        self._end += written
        return place

    def read(self, place: int, count: int) -> bytes:
        """Read what was written."""
        assert self._file is not None
        return os.pread(self._file, count, place)

    def base(self) -> sqlite3.Connection:
        """Return the database.

        Raises:
            OSError: It cannot be made now.
        """
        if self._base is None:
            descriptor, name = tempfile.mkstemp(prefix=".halong-", dir=self._folder)
            os.close(descriptor)
            try:
                base = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
                # The file is opened by the first statement, and needs its name no more after that.
                base.execute("PRAGMA locking_mode = EXCLUSIVE")
                base.execute("PRAGMA journal_mode = MEMORY")
                base.execute("PRAGMA synchronous = OFF")
                base.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                base.execute("BEGIN EXCLUSIVE")
                base.execute("COMMIT")
            finally:
                Path(name).unlink()
            weakref.finalize(self, base.close)
            self._base = base
        return self._base


class Column:
    """Bytes that only grow; reads as a `bytearray` does by slices from one place on to another."""

    __slots__ = ("_chunks", "_first", "_scratch", "_size", "_tail")

    def __init__(self, scratch: Scratch, tail_bytes: int) -> None:
        self._scratch = scratch
        self._size = tail_bytes
        self._chunks = array("q")
        self._first = 0  # where the part begins that is in memory
        self._tail = bytearray()

    def __len__(self) -> int:
        """How many bytes there are."""
        return self._first + len(self._tail)

    def __iadd__(self, data: bytes) -> Self:
        """Add bytes at the end."""
        self._tail += data
        while len(self._tail) >= 2 * self._size:
            try:
                self._chunks.append(self._scratch.write(bytes(self._tail[: self._size])))
            except OSError:
                break
            del self._tail[: self._size]
            self._first += self._size
        return self

    def __getitem__(self, where: slice) -> bytes | bytearray:
        """Return the bytes in a slice."""
        first, start, stop = self._first, where.start, where.stop
        if start >= first:
            return self._tail[start - first : max(stop, start) - first]
        parts: list[bytes | bytearray] = []
        while start < min(stop, first):
            chunk, at = divmod(start, self._size)
            count = min(self._size - at, stop - start)
            parts.append(self._scratch.read(self._chunks[chunk] + at, count))
            start += count
        if stop > first:
            parts.append(self._tail[: stop - first])
        return b"".join(parts)


class Numbers(Sequence[int]):
    """Numbers of 64 bits that only grow in number."""

    __slots__ = ("_chunks", "_kept", "_scratch", "_tail")

    def __init__(self, scratch: Scratch, kept: int) -> None:
        self._scratch = scratch
        self._kept = kept
        self._chunks = array("q")
        self._tail = array("q")

    def __len__(self) -> int:
        """How many there are."""
        return len(self._chunks) * self._kept + len(self._tail)

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[int]: ...

    def __getitem__(self, at: int | slice) -> int | Sequence[int]:
        """Return one of them, or some."""
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        chunk, place = divmod(at, self._kept)
        if 0 <= chunk < len(self._chunks):
            data = self._scratch.read(self._chunks[chunk] + place * NUMBER_BYTES, NUMBER_BYTES)
            return array("q", data)[0]
        if at < 0:
            raise IndexError(at)
        return self._tail[at - len(self._chunks) * self._kept]

    def append(self, number: int) -> None:
        """Add one."""
        self._tail.append(number)
        while len(self._tail) >= 2 * self._kept:
            try:
                self._chunks.append(self._scratch.write(self._tail[: self._kept].tobytes()))
            except OSError:
                break
            del self._tail[: self._kept]

    def place_of(self, number: int) -> int:
        """Return where a number is, or would be, of numbers that ascend."""
        first = len(self._chunks) * self._kept
        # Nearly always it is among the last: those need no disk.
        if not first or self._tail[0] <= number:
            return first + bisect_left(self._tail, number)
        return bisect_left(self, number, 0, first)


class Map:
    """Keys and values, both bytes."""

    __slots__ = ("_get", "_kept", "_moved", "_recent", "_scratch", "_set", "_table")

    def __init__(self, scratch: Scratch, table: str, kept: int) -> None:
        self._scratch = scratch
        self._table = table
        self._kept = kept
        self._recent: dict[bytes, bytes] = {}
        self._moved = False
        self._get = f"SELECT value FROM {table} WHERE key = ?"  # noqa: S608 - a name made above
        self._set = f"INSERT OR REPLACE INTO {table} VALUES (?, ?)"  # noqa: S608

    def get(self, key: bytes) -> bytes | None:
        """Return a value, or None."""
        value = self._recent.get(key)
        if value is None and self._moved:
            row = self._scratch.base().execute(self._get, (key,)).fetchone()
            return None if row is None else row[0]
        return value

    def __contains__(self, key: bytes) -> bool:
        """Say whether there is a value."""
        return self.get(key) is not None

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value, in place of another if there is one."""
        self._recent[key] = value
        if not len(self._recent) % MOVED_AT_ONCE:
            while len(self._recent) >= self._kept + MOVED_AT_ONCE and self._move():
                pass

    def _move(self) -> bool:
        """Write the oldest entries of those in memory; say whether the disk took them, else they stay."""
        oldest = list(islice(self._recent.items(), MOVED_AT_ONCE))
        try:
            base = self._scratch.base()
            with contextlib.closing(base.cursor()) as cursor:
                cursor.execute("BEGIN")
                try:
                    cursor.execute(
                        f"CREATE TABLE IF NOT EXISTS {self._table}"
                        " (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
                    )
                    cursor.executemany(self._set, oldest)
                    cursor.execute("COMMIT")
                finally:
                    if base.in_transaction:
                        cursor.execute("ROLLBACK")
        except (OSError, sqlite3.OperationalError):
            return False
        self._moved = True
        for key, _ in oldest:
            del self._recent[key]
        return True


def _nameless(folder: Path | None) -> int:
    """Return a descriptor of a file that nobody else can open, and that goes with it."""
    descriptor, name = tempfile.mkstemp(prefix=".halong-", dir=folder)
    Path(name).unlink()
    return descriptor
