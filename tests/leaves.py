"""A log that holds leaves and signed checkpoints and nothing else, made at once."""

from __future__ import annotations

import os
from pathlib import Path

from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import Checkpoint, Leaf, Refusal, Station
from broker.core.note import LogSigner
from broker.core.records import frame, record_id
from broker.core.tiles import ENTRIES, Tile, bundle, hash_tile, tiles_of
from broker.log import Log, Partition, Record
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES, REFUSALS, hub_topics

LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))
START = 1_790_000_000_000
AT_ONCE = 4096


def entry(index: int, salt: bytes = b"") -> bytes:
    """Return the entry of a leaf; another salt is another log's."""
    return b"\x05" + leaf_hash(salt + b"%d" % index)


class Leaves:
    """Grows a log as a sequencer does, and knows what comes of it."""

    def __init__(self, log: Log, salt: bytes = b"", signer: LogSigner = LOG) -> None:
        self._log = log
        self.signer = signer
        self._salt = salt
        self.tree = Tree()
        self.entries: list[bytes] = []

    async def grow(self, count: int, *, sign: bool = True, skipped: int = 0) -> None:
        """Add leaves, and a checkpoint over all; `skipped` is by how much their numbers are too high."""
        await self._log.create(hub_topics(()))
        first = len(self.entries)
        added = [entry(index, self._salt) for index in range(first, first + count)]
        self.entries += added
        self.tree.extend([leaf_hash(each) for each in added])
        records = [
            Record(
                Partition(AUDIT_LEAVES),
                b"%d" % index,
                frame(Leaf(index + skipped, self.entries[index], REFUSALS, 0, index)),
            )
            for index in range(first, first + count)
        ]
        for start in range(0, count, AT_ONCE):
            await self._log.append(records[start : start + AT_ONCE])
        if sign:
            await self.sign()

    async def sign(self, size: int | None = None, root: bytes | None = None) -> None:
        """Sign a checkpoint over so many leaves."""
        size = self.tree.size if size is None else size
        root = root or self.tree.root(size)
        at = START + size
        note = self.signer.sign_checkpoint(size, root, at)
        await self._log.append(
            [Record(Partition(AUDIT_CHECKPOINTS), b"%d" % size, frame(Checkpoint(size, root, note, at, ())))]
        )

    def data(self, tile: Tile) -> bytes:
        """Return what has to be in a tile."""
        if tile.level == ENTRIES:
            return bundle(self.entries[tile.index * 256 :][: tile.width])
        return hash_tile(self.tree, tile)

    def files(self, size: int | None = None) -> dict[str, bytes]:
        """Return every full tile of the tree of a size, by its path."""
        size = self.tree.size if size is None else size
        return {tile.path: self.data(tile) for tile in tiles_of(size) if tile.is_full}


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the tiles in a folder, by their paths; what is half written is left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in (folder / "tile").rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def refusals(count: int) -> list[Record]:
    """Return so many records that get leaves."""
    made = [
        Refusal(os.urandom(16), Station.GATEWAY, "vn", None, os.urandom(32), "bad-slot", 1, START)
        for _ in range(count)
    ]
    return [Record(Partition(REFUSALS), record_id(each), frame(each)) for each in made]
