"""Holds every part of a stored log against every other: topics, leaves, checkpoints and tiles.

Leaves: numbered without a gap, each with its record, each record with its one leaf.  Checkpoints: each
signed, over the root that the leaves have.  Tiles: byte for byte what the leaves say.  Contents that were
erased: gone (`erasure_check`).  What is found wrong becomes a `Finding` and the reading goes on.  `recount`
is the other half: what records say of one another.

Needs little memory however long the log is: what it has to remember is on disk while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from broker.commands.erasure_check import Remaining
from broker.commands.recount import Finding, Signed, read_checkpoints
from broker.core.errors import NotCanonical
from broker.core.merkle import EMPTY_ROOT, HASH_BYTES, Tree, leaf_hash
from broker.core.model import Leaf
from broker.core.note import LogKey
from broker.core.records import unframe
from broker.core.tiles import ENTRIES, WIDTH, Tile, bundle, hash_tile, levels, rows, tiles_of
from broker.log import Log, Partition, Stored
from broker.log.scratch import Numbers, Scratch
from broker.log.topics import AUDIT_LEAVES, FOLLOWED
from broker.services.following import Tail
from broker.services.sequencer import entry_of
from broker.services.tile_folder import TileFolder

FINDINGS_KEPT = 100
ENTRY_BYTES = 1 + HASH_BYTES
TELL_EVERY = 64

Progress = Callable[[int, int], None]
"""Called with how many leaves, records and tiles were read, of how many."""


@dataclass(slots=True)
class Checked:
    """What was checked, and what does not fit.

    `waiting` are records that no leaf names yet, `behind` leaves under the last checkpoint whose bundle is
    full and not written yet; neither is wrong while a hub runs.  `pinned` says that the key was known before.
    """

    leaves: int = 0
    root: bytes = EMPTY_ROOT
    checkpoints: int = 0
    records: int = 0
    waiting: int = 0
    tiles: int = 0
    behind: int = 0
    found: int = 0
    findings: list[Finding] = field(default_factory=list)
    pinned: bool = True

    @property
    def verified(self) -> bool:
        """Tell whether there was a checkpoint under a known key, and nothing contradicts it."""
        return self.checkpoints > 0 and not self.found and self.pinned

    def add(self, where: str, what: str, code: str | None = None) -> None:
        """Take note of something that does not fit."""
        self.found += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(Finding(where, what, code))


async def check_log(log: Log, key: LogKey, tiles: Path, tell: Progress = lambda _read, _of: None) -> Checked:
    """Check the whole log, and the tiles in a folder.

    Raises:
        LogUnavailable: The log does not answer.
    """
    folder = TileFolder(tiles)
    # In this order, so that whatever each covers is then there to be read, also while the hub runs on.
    folder.look()
    check = _Check(log, key, folder, tell)
    await check.read()
    return check.result


@dataclass(slots=True)
class _Named:
    """The records of one partition that leaves name: offsets that ascend, and the index of each leaf."""

    offsets: Numbers
    indexes: Numbers


class _Check:
    def __init__(self, log: Log, key: LogKey, folder: TileFolder, tell: Progress) -> None:
        self.result = Checked()
        self._log = log
        self._key = key
        self._folder = folder
        self._tell = tell
        self._done = self._total = 0
        self._scratch = Scratch()
        self._tree = Tree(level=self._scratch.column)
        self._entries = self._scratch.column()
        self._named: dict[Partition, _Named] = {}

    async def read(self) -> None:
        """Read everything, once."""
        signed = await read_checkpoints(self._log, self._key, self._add)
        ends = await self._log.ends([AUDIT_LEAVES])
        # Records last: whatever a leaf names was there before the leaf.
        records = await self._log.ends(FOLLOWED)
        size = signed[-1].size if signed else 0
        self._total = sum(ends.values()) + sum(records.values()) + sum(1 for _ in tiles_of(size))
        await self._read_leaves(ends.get(Partition(AUDIT_LEAVES), 0))
        self._check_roots(signed)
        remaining = Remaining(signed)
        for partition in sorted(records.keys() | self._named.keys()):
            await self._check_records(partition, records.get(partition, 0), remaining)
            for finding in remaining.found():
                self._add(finding)
        self._check_tiles(min(size, self._tree.size))

    def _add(self, finding: Finding) -> None:
        self.result.add(finding.where, finding.what, finding.code)

    def _go_on(self, count: int) -> None:
        self._done += count
        self._tell(min(self._done, self._total), self._total)

    # --- leaves and checkpoints -------------------------------------------------------------------

    async def _read_leaves(self, end: int) -> None:
        async for found in Tail(self._log, Partition(AUDIT_LEAVES)).more(end):
            entries: list[bytes] = []
            for stored in found:
                try:
                    leaf = unframe(Leaf, stored.value)
                except NotCanonical as error:
                    self.result.add(_place(stored), str(error), error.code)
                    continue
                index = self._tree.size + len(entries)
                if leaf.index != index:
                    self.result.add(f"leaf {leaf.index}", f"stands where leaf {index} should")
                self._name(leaf, index)
                entries.append(leaf.entry)
            self._entries += b"".join(entries)
            self._tree.extend(list(map(leaf_hash, entries)))
            self._go_on(len(found))

    def _name(self, leaf: Leaf, index: int) -> None:
        partition = Partition(leaf.topic, leaf.partition)
        named = self._named.get(partition)
        if named is None:
            named = self._named[partition] = _Named(self._scratch.numbers(), self._scratch.numbers())
        if len(named.offsets) and leaf.offset <= named.offsets[len(named.offsets) - 1]:
            self.result.add(f"leaf {index}", "names a record at or before the last one of its partition")
            return
        named.offsets.append(leaf.offset)
        named.indexes.append(index)

    def _check_roots(self, signed: Sequence[Signed]) -> None:
        self.result.checkpoints = len(signed)
        for size, root, _ in signed:
            if size > self._tree.size:
                self.result.add(f"checkpoint of {size}", f"only {self._tree.size} leaves are stored")
            elif self._tree.root(size) != root:
                self.result.add(f"checkpoint of {size}", "the stored leaves have another root")
        if signed:
            self.result.leaves, self.result.root, _ = signed[-1]

    # --- records ----------------------------------------------------------------------------------

    async def _check_records(self, partition: Partition, end: int, remaining: Remaining) -> None:
        """Go through the records and the leaves that name them, both in the order of offsets."""
        named = iter(self._leaves_of(partition))
        leaf = next(named, None)
        # What is erased stands under a later offset, with its heads alone and the same entry.
        gone: dict[bytes, int] = {}
        async for found in Tail(self._log, partition).more(end):
            for stored in found:
                while leaf is not None and leaf[0] < stored.offset:
                    gone[leaf[1]] = leaf[0]
                    leaf = next(named, None)
                entry = self._entry(stored)
                if leaf is not None and leaf[0] == stored.offset:
                    if entry is not None and entry != leaf[1]:
                        self.result.add(_place(stored), "the record is not the one that its leaf names")
                    self._see(stored, leaf[2], remaining)
                    leaf = next(named, None)
                elif leaf is not None:
                    self.result.add(_place(stored), "the record has no leaf")
                else:
                    self.result.waiting += 1
                if entry is not None:
                    gone.pop(entry, None)
            self.result.records += len(found)
            self._go_on(len(found))
        while leaf is not None:
            gone[leaf[1]] = leaf[0]
            leaf = next(named, None)
        for offset in sorted(gone.values()):
            self.result.add(
                f"{partition.topic}/{partition.number} at {offset}", "the record of a leaf is gone"
            )

    def _see(self, stored: Stored, index: int, remaining: Remaining) -> None:
        try:
            remaining.see(stored, index)
        except NotCanonical as error:
            self.result.add(_place(stored), str(error), error.code)

    def _leaves_of(self, partition: Partition) -> Iterator[tuple[int, bytes, int]]:
        """Yield the records of a partition that leaves name: offset, entry, and the leaf's index."""
        named = self._named.get(partition)
        if named is not None:
            for at in range(len(named.offsets)):
                yield named.offsets[at], self._entry_at(named.indexes[at], 1), named.indexes[at]

    def _entry(self, stored: Stored) -> bytes | None:
        try:
            return entry_of(stored)
        except NotCanonical as error:
            self.result.add(_place(stored), str(error), error.code)
            return None

    # --- tiles ------------------------------------------------------------------------------------

    def _check_tiles(self, size: int) -> None:
        known = self._folder.behind_gaps
        for level in self._folder.levels:
            for index in range(self._folder.count(level)):
                self._check_tile(Tile(level, index), size)
        for tile in sorted(known, key=lambda each: each.path):
            self.result.add(tile.path, "one before it is missing")
            self._check_tile(tile, size)
        written = min(self._folder.count(ENTRIES), self._folder.count(0)) * WIDTH
        for level in levels(written)[2:]:
            if self._folder.count(level) < rows(written, level) // WIDTH:
                self.result.add(Tile(level, self._folder.count(level)).path, "the tile is missing")
        self.result.behind = max(0, size - size % WIDTH - written)

    def _check_tile(self, tile: Tile, size: int) -> None:
        self.result.tiles += 1
        if not self.result.tiles % TELL_EVERY:
            self._go_on(TELL_EVERY)
        if not tile.is_in(size):
            self.result.add(tile.path, "a tile of leaves that are not signed")
        elif self._folder.read(tile) != self._data(tile):
            self.result.add(tile.path, "the tile has other bytes than the leaves")

    def _data(self, tile: Tile) -> bytes:
        if tile.level != ENTRIES:
            return hash_tile(self._tree, tile)
        entries = self._entry_at(tile.index * WIDTH, WIDTH)
        return bundle(list(_parts(entries)))

    def _entry_at(self, index: int, count: int) -> bytes:
        return bytes(self._entries[index * ENTRY_BYTES : (index + count) * ENTRY_BYTES])


def _parts(entries: bytes) -> Iterable[bytes]:
    return (entries[at : at + ENTRY_BYTES] for at in range(0, len(entries), ENTRY_BYTES))


def _place(stored: Stored) -> str:
    return f"{stored.partition.topic}/{stored.partition.number} at {stored.offset}"
