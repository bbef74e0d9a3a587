"""A folder of full tiles and bundles: each whole and on the disk, or not there.

Decides in which order files come to be, and what of a folder counts after the process, or the machine, died
in the middle.  What is in the tiles is the business of whoever adds them.

A tile gets its name only once its bytes are on the disk, so a name that is there has the right bytes behind
it.  Names may reach the disk in another order than they were given, so what counts is what has no gap
before it; the rest is written again, with the same bytes.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO

from broker.core.errors import BadConfiguration, NotCanonical
from broker.core.tiles import ENTRIES, WIDTH, Edge, Tile, parse_path, root_of_hashes
from broker.files import sync_folder
from broker.log import LogUnavailable

LOCK = ".lock"


class Disk:
    """The three things that are done to the disk, each of which may be the last."""

    def write(self, path: Path, data: bytes) -> None:
        """Write a file, and return once its bytes are on the disk."""
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        with os.fdopen(file, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Give a file its name."""
        old.replace(new)

    def sync(self, folder: Path) -> None:
        """Return once the names in a folder are on the disk."""
        sync_folder(folder)


class TileFolder:
    """Full tiles and bundles, by their paths.

    Args:
        root: What the paths are below.
        disk: Does what is done to the disk.
    """

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root
        self._disk = disk or Disk()
        self._counts: dict[int, int] = {}
        self._behind_gaps: set[Tile] = set()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Add tiles while the context lasts; others may, too: they add the same.

        Raises:
            LogUnavailable: Somebody has the folder alone.
        """
        with self._lock() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                raise LogUnavailable("the tiles are being made again", field=str(self.root)) from None
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the folder alone while the context lasts; what was left half written goes.

        Raises:
            BadConfiguration: A hub writes there.
        """
        with self._lock() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BadConfiguration(
                    "another process writes tiles here: stop it first", field=str(self.root)
                ) from None
            for path in self._files():
                if path.name.startswith("."):
                    path.unlink()
            yield

    def _lock(self) -> IO[str]:
        self.root.mkdir(parents=True, exist_ok=True)
        return (self.root / LOCK).open("a")

    def begin(self) -> Edge:
        """Return the edge from which to go on."""
        self.look()
        return self._edge()

    def look(self) -> None:
        """Learn which tiles are there."""
        found: dict[int, set[int]] = {}
        for path in self._files():
            tile = _tile_or_none(path.relative_to(self.root).as_posix())
            if tile is not None and tile.is_full:
                found.setdefault(tile.level, set()).add(tile.index)
        self._counts = {
            level: next((index for index in range(len(there)) if index not in there), len(there))
            for level, there in found.items()
        }
        self._behind_gaps = {
            Tile(level, index)
            for level, there in found.items()
            for index in there
            if index >= self._counts[level]
        }

    def _files(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self.root / "tile"):
            yield from (Path(folder) / name for name in names)

    @property
    def levels(self) -> list[int]:
        """The levels of which tiles are there."""
        return sorted(self._counts)

    def count(self, level: int) -> int:
        """Return how many tiles of a level are there from the first on, without a gap."""
        return self._counts.get(level, 0)

    def has(self, tile: Tile) -> bool:
        """Is this full tile there?"""
        return tile.index < self.count(tile.level) or tile in self._behind_gaps

    @property
    def behind_gaps(self) -> frozenset[Tile]:
        """The tiles before which one is missing."""
        return frozenset(self._behind_gaps)

    def read(self, tile: Tile) -> bytes:
        """Return what is in a full tile that is there."""
        return (self.root / tile.path).read_bytes()

    def add(self, tiles: Sequence[tuple[Tile, bytes]]) -> None:
        """Add full tiles in this order, and return once they are on the disk.

        Raises:
            NotCanonical: One is there with other bytes.
        """
        missing = [(self.root / tile.path, data) for tile, data in tiles if not self._is_there(tile, data)]
        # The bytes of all are on the disk …
        halves = []
        for path, data in missing:
            self._make(path.parent)
            half = path.with_name(f".{path.name}.{token_hex(4)}")
            self._disk.write(half, data)
            halves.append((half, path))
        # … before any of them gets its name …
        for half, path in halves:
            self._disk.rename(half, path)
        # … and all names are, before anybody relies on them, also those that another process gave.
        for folder in dict.fromkeys((self.root / tile.path).parent for tile, _ in tiles):
            self._disk.sync(folder)
        for tile, _ in tiles:
            self._note(tile)

    def _edge(self) -> Edge:
        """Return the edge of the tree whose bundles are here, up to the last one.

        Tiles of upper levels that are missing are made of those below them, and added.
        """
        full, hashes = [min(self.count(ENTRIES), self.count(0))], [b""]
        made: list[tuple[Tile, bytes]] = []
        while full[-1]:
            level = len(full)
            there = min(self.count(level), full[-1] // WIDTH)
            roots = [
                root_of_hashes(self.read(Tile(level - 1, below))) for below in range(there * WIDTH, full[-1])
            ]
            while len(roots) >= WIDTH:
                made.append((Tile(level, there), b"".join(roots[:WIDTH])))
                del roots[:WIDTH]
                there += 1
            self.add(made)
            made.clear()
            full.append(there)
            hashes.append(b"".join(roots))
        return Edge(full, hashes)

    def _note(self, tile: Tile) -> None:
        if not self.has(tile):
            self._behind_gaps.add(tile)
        while (following := Tile(tile.level, self.count(tile.level))) in self._behind_gaps:
            self._behind_gaps.remove(following)
            self._counts[tile.level] = following.index + 1

    def _is_there(self, tile: Tile, data: bytes) -> bool:
        try:
            found = self.read(tile)
        except FileNotFoundError:
            return False
        if found != data:
            raise NotCanonical("a tile that is there has other bytes than the log", field=tile.path)
        return True

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            self._disk.sync(folder.parent)


def _tile_or_none(path: str) -> Tile | None:
    try:
        return parse_path(path)
    except NotCanonical:
        return None
