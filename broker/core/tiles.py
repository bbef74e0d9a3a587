"""The log as tiles: files that anybody can fetch, keep and compute every root and proof from.

Decides what a tile is called, what is in it, which ones a tree of a given size has, and how a tree is read
from them.  Where they are kept, and whether they are the log's, is decided by others: roots and paths are
those of `merkle`, and whoever gets one holds it against a signed checkpoint.

A tile is 256 hashes, a bundle 256 entries; the last of each level is partial until more comes.

Source: c2sp.org/tlog-tiles v1.0.0.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from broker.core.errors import BadProof, NotCanonical
from broker.core.merkle import EMPTY_ROOT, HASH_BYTES, AnyTree, Tree, leaf_hash, node_hash

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
ENTRIES: Final = -1
"""The level of bundles, which hold the entries themselves."""

MOST_ENTRY_BYTES: Final = (1 << 16) - 1
LENGTH_BYTES: Final = 2
KEPT_TILES: Final = 64

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """The name of a tile, or of a bundle where `level` is `ENTRIES`; full unless `width` says less."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Where it is below the log's address: `tile/0/x001/x234/067`, and `.p/<width>` if it is partial."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03}")
            rest //= 1000
        partial = "" if self.is_full else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"

    @property
    def is_full(self) -> bool:
        """Does it have all of its hashes, or entries?"""
        return self.width == WIDTH

    @property
    def whole(self) -> Tile:
        """The full tile of which this is the beginning."""
        return Tile(self.level, self.index)

    def is_in(self, size: int) -> bool:
        """Does a tree of `size` leaves have all that is in it?"""
        return self.index * WIDTH + self.width <= rows(size, self.level)


def parse_path(path: str) -> Tile:
    """Return the tile that is called so.

    Raises:
        NotCanonical: None is, or not in this form.
    """
    found = _PATH.fullmatch(path)
    if found is not None:
        level = ENTRIES if found["level"] == "entries" else int(found["level"])
        tile = Tile(
            level, int(found["index"].replace("/", "").replace("x", "")), int(found["width"] or WIDTH)
        )
        # What is written another way than we write it would be one thing under two names.
        if level < 64 and 0 < tile.width <= WIDTH and tile.path == path:
            return tile
    raise NotCanonical("not the path of a tile", field="tile")


def rows(size: int, level: int) -> int:
    """Return how many hashes, or entries, a tree of `size` leaves has on a level."""
    return size if level == ENTRIES else size >> (HEIGHT * level)


def levels(size: int) -> range:
    """Return the levels that a tree of `size` leaves has, the bundles first."""
    return range(ENTRIES, (size.bit_length() - 1) // HEIGHT + 1) if size else range(0)


def tile_at(size: int, level: int, index: int) -> Tile | None:
    """Return the tile that a tree of `size` leaves has there, or None."""
    width = min(WIDTH, rows(size, level) - index * WIDTH)
    return Tile(level, index, width) if width > 0 else None


def tiles_of(size: int) -> Iterator[Tile]:
    """Yield every tile of a tree of `size` leaves, level by level: what has to be there for a checkpoint."""
    for level in levels(size):
        full, rest = divmod(rows(size, level), WIDTH)
        yield from (Tile(level, index) for index in range(full))
        if rest:
            yield Tile(level, full, rest)


def hash_tile(tree: Tree, tile: Tile) -> bytes:
    """Return what is in a tile of hashes of a tree that has it."""
    return tree.hashes(HEIGHT * tile.level, tile.index * WIDTH, tile.width)


def bundle(entries: Sequence[bytes]) -> bytes:
    """Return what is in a bundle of these entries: each behind its length in two bytes."""
    if any(len(entry) > MOST_ENTRY_BYTES for entry in entries):
        raise ValueError("an entry has at most 65,535 bytes")
    return b"".join(len(entry).to_bytes(LENGTH_BYTES, "big") + entry for entry in entries)


def entries_of(data: bytes, width: int) -> list[bytes]:
    """Return the entries of a bundle.

    Raises:
        BadProof: It has not so many, or more.
    """
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < width:
        start = at + LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        found.append(data[start:at])
    if len(found) != width or at != len(data):
        raise BadProof("a bundle of the log has another length", field="tile")
    return found


def beginning(data: bytes, tile: Tile) -> bytes:
    """Return what is in `tile`, given what is in a longer one that begins as it does.

    Raises:
        BadProof: There is not so much.
    """
    if tile.level != ENTRIES:
        end = tile.width * HASH_BYTES
    else:
        end = 0
        for _ in range(tile.width):
            end += LENGTH_BYTES + int.from_bytes(data[end : end + LENGTH_BYTES], "big")
    if end > len(data):
        raise BadProof("a tile of the log is too short", field="tile")
    return data[:end]


class Edge:
    """The tiles of a growing tree that are not full yet: enough to go on from, and to know its root.

    Args:
        full: How many tiles of hashes are full on each level; there are as many bundles as on the first.
        hashes: What is in the partial tile of each of these levels and of the one above them.
    """

    __slots__ = ("_entries", "_full", "_hashes")

    def __init__(self, full: Sequence[int] = (), hashes: Sequence[bytes] = (b"",)) -> None:
        self._entries: list[bytes] = []
        self._full = [*full, *[0] * (len(hashes) - len(full))]
        self._hashes = [bytearray(each) for each in hashes]

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._full[0] * WIDTH + len(self._entries)

    def extend(self, entries: Sequence[bytes]) -> list[tuple[Tile, bytes]]:
        """Add leaves; return the bundles and tiles that became full, each after those that it is made of."""
        full: list[tuple[Tile, bytes]] = []
        for start in range(0, len(entries), WIDTH):
            # At most as many as one bundle holds, so that at most one becomes full.
            self._add(entries[start : start + WIDTH], full)
        return full

    def _add(self, entries: Sequence[bytes], full: list[tuple[Tile, bytes]]) -> None:
        room = WIDTH - len(self._entries)
        self._entries += entries[:room]
        self._hashes[0] += b"".join(map(leaf_hash, entries[:room]))
        if len(self._entries) == WIDTH:
            full.append((Tile(ENTRIES, self._full[0]), bundle(self._entries)))
            self._entries = []
            self._rise(full)
            self._entries += entries[room:]
            self._hashes[0] += b"".join(map(leaf_hash, entries[room:]))

    def _rise(self, full: list[tuple[Tile, bytes]]) -> None:
        level = 0
        while len(self._hashes[level]) == WIDTH * HASH_BYTES:
            data = bytes(self._hashes[level])
            full.append((Tile(level, self._full[level]), data))
            self._full[level] += 1
            self._hashes[level].clear()
            level += 1
            if level == len(self._hashes):
                self._hashes.append(bytearray())
                self._full.append(0)
            self._hashes[level] += root_of_hashes(data)

    def partial(self, level: int, index: int) -> bytes | None:
        """Return what is in the tile there that is not full yet, or None if that is another one."""
        at = max(level, 0)
        if at >= len(self._full) or self._full[at] != index:
            return None
        return bundle(self._entries) if level == ENTRIES else bytes(self._hashes[level])

    def root(self) -> bytes:
        """Return the root over all leaves."""
        result = b""
        for hashes in self._hashes:
            # From the right to the left, the smallest complete subtree first.
            end = len(hashes) // HASH_BYTES
            while end:
                start = end & (end - 1)
                node = root_of_hashes(hashes[start * HASH_BYTES : end * HASH_BYTES])
                result = node_hash(node, result) if result else node
                end = start
        return result or EMPTY_ROOT


def root_of_hashes(data: bytes | bytearray) -> bytes:
    """Return the root over hashes that stand one after the other."""
    return Tree(bytes(data[at : at + HASH_BYTES]) for at in range(0, len(data), HASH_BYTES)).root()


class TiledTree(AnyTree):
    """A tree of which only tiles are at hand; reads those that an answer needs, and keeps the last.

    Args:
        size: How many leaves it has.
        read_tile: Returns what is in a tile of hashes; it is asked for tiles of a tree of this size.
    """

    __slots__ = ("_kept", "_leaves", "_read_tile")

    def __init__(self, size: int, read_tile: Callable[[Tile], bytes]) -> None:
        super().__init__()
        self._leaves = size
        self._read_tile = read_tile
        self._kept: OrderedDict[Tile, bytes] = OrderedDict()

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._leaves

    def _node(self, height: int, index: int) -> bytes:
        level, rest = divmod(height, HEIGHT)
        place, at = divmod(index << rest, WIDTH)
        tile = tile_at(self._leaves, level, place)
        assert tile is not None  # `AnyTree` asks for complete subtrees of the tree alone
        return root_of_hashes(self._data(tile)[at * HASH_BYTES : (at + (1 << rest)) * HASH_BYTES])

    def _data(self, tile: Tile) -> bytes:
        data = self._kept.get(tile)
        if data is None:
            data = self._read_tile(tile)
            if len(data) != tile.width * HASH_BYTES:
                raise BadProof("a tile of the log has another length", field="tile")
            self._kept[tile] = data
            if len(self._kept) > KEPT_TILES:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(tile)
        return data
