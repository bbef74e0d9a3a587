"""Makes the log's files from the topics, for whoever wants them again, or wants to take them elsewhere.

Everything is made of `audit.leaves` and held against the newest signed checkpoint before a file is written:
of a log that does not have the root that was signed nothing is made.

An export is what a stranger needs, and what a plain file server can serve: `checkpoint`, `log.vkey`, and
every tile and bundle of that checkpoint's tree, as c2sp.org/tlog-tiles has them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.core.errors import BadConfiguration, BadProof, NotCanonical
from broker.core.model import Checkpoint, Leaf
from broker.core.note import LogKey, TreeHead
from broker.core.records import unframe
from broker.core.signed_note import MOST_NOTE_BYTES
from broker.core.tiles import Edge, Tile, parse_path, tiles_of
from broker.files import read_sent, sync_folder, write_whole
from broker.log import Log, Partition
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES
from broker.services.following import Tail, last_of

CHECKPOINT: Final = "checkpoint"
VKEY: Final = "log.vkey"
MOST_VKEY_BYTES: Final = 1024

Progress = Callable[[int, int], None]
"""Called with how many leaves were read, of how many."""


@dataclass(frozen=True, slots=True)
class Export:
    """The checkpoint of an export, and the key that signed it."""

    key: LogKey
    note: bytes
    head: TreeHead


def read_export(folder: Path) -> Export:
    """Return what an export in a folder says.

    Raises:
        BadConfiguration: It is none.
        BadProof: Its key did not sign its checkpoint.
    """
    try:
        vkey = read_sent(folder / VKEY, MOST_VKEY_BYTES).decode().strip()
        note = read_sent(folder / CHECKPOINT, MOST_NOTE_BYTES)
    except (FileNotFoundError, UnicodeDecodeError):
        raise BadConfiguration(f"is no export: it has {CHECKPOINT} and {VKEY}", field=str(folder)) from None
    key = LogKey.parse(vkey)
    return Export(key, note, key.open_checkpoint(note))


async def newest(log: Log, key: LogKey) -> tuple[bytes, TreeHead] | None:
    """Return the log's last checkpoint, as its key signed it; None before the first.

    Raises:
        LogUnavailable: The log does not answer.
        BadProof: The key did not sign it.
    """
    partition = Partition(AUDIT_CHECKPOINTS)
    end = (await log.ends([AUDIT_CHECKPOINTS])).get(partition, 0)
    last = await last_of(log, partition, end)
    if last is None:
        return None
    note = unframe(Checkpoint, last.value).note
    return note, key.open_checkpoint(note)


async def full_tiles(
    log: Log, edge: Edge, heads: Sequence[TreeHead], tell: Progress = lambda _read, _of: None
) -> AsyncIterator[tuple[Tile, bytes]]:
    """Yield every full tile of the trees of `heads`, which ascend; `edge` is empty, and the last one's then.

    Raises:
        LogUnavailable: The log does not answer.
        NotCanonical: Its leaves are not numbered one by one.
        BadProof: One of the heads has another root than the leaves.
    """
    partition = Partition(AUDIT_LEAVES)
    end = (await log.ends([AUDIT_LEAVES])).get(partition, 0)
    left, total = list(heads), heads[-1].size
    while left and not left[0].size:
        del left[0]
    async for found in Tail(log, partition).more(end):
        leaves = [unframe(Leaf, stored.value) for stored in found]
        if [leaf.index for leaf in leaves] != list(range(edge.size, edge.size + len(leaves))):
            raise NotCanonical("the leaves are not numbered one by one", field=AUDIT_LEAVES)
        entries = [leaf.entry for leaf in leaves]
        while left and entries:
            part, entries = entries[: left[0].size - edge.size], entries[left[0].size - edge.size :]
            for full in edge.extend(part):
                yield full
            while left and left[0].size == edge.size:
                if edge.root() != left.pop(0).root:
                    raise BadProof("the stored leaves have another root than was signed", field=CHECKPOINT)
        tell(edge.size, total)
        if not left:
            return
    if left:
        raise BadProof("fewer leaves are stored than were signed", field=CHECKPOINT)


def partial_tiles(edge: Edge) -> Iterator[tuple[Tile, bytes]]:
    """Yield the partial tiles of an edge's tree."""
    for tile in tiles_of(edge.size):
        if not tile.is_full:
            data = edge.partial(tile.level, tile.index)
            assert data is not None
            yield tile, data


@dataclass(frozen=True, slots=True)
class Difference:
    """What of a folder of tiles is not as the log has it: tiles by their paths."""

    missing: Sequence[Tile]
    other: Sequence[Tile]
    surplus: Sequence[Tile]

    @property
    def none(self) -> bool:
        """Is all as the log has it?"""
        return not (self.missing or self.other or self.surplus)


async def compare(log: Log, head: TreeHead, folder: Path, tell: Progress) -> Difference:
    """Return how the full tiles in a folder differ from the log's.

    Raises:
        LogUnavailable: The log does not answer.
        NotCanonical: Its leaves are not numbered one by one.
        BadProof: The leaves have another root than was signed.
    """
    missing, other = list[Tile](), list[Tile]()
    async for tile, data in full_tiles(log, Edge(), [head], tell):
        path = folder / tile.path
        if not path.is_file():
            missing.append(tile)
        elif path.read_bytes() != data:
            other.append(tile)
    surplus = [tile for tile in tiles_in(folder) if not tile.is_full or not tile.is_in(head.size)]
    return Difference(missing, other, surplus)


async def rebuild(
    log: Log, head: TreeHead, folder: Path, tell: Progress, only: Collection[Tile] | None = None
) -> None:
    """Write the full tiles of the log into a folder, or those in `only`; any that are there are replaced.

    Raises:
        LogUnavailable: The log does not answer.
        NotCanonical: Its leaves are not numbered one by one.
        BadProof: The leaves have another root than was signed.
    """
    written: set[Path] = set()
    async for tile, data in full_tiles(log, Edge(), [head], tell):
        if only is None or tile in only:
            written.add(_write(folder, tile, data))
    _settle(folder, written)


async def export(
    log: Log, key: LogKey, note: bytes, folder: Path, kept: Sequence[Export], tell: Progress
) -> TreeHead:
    """Write an export of the log under its checkpoint `note`, which continues all that were kept.

    Raises:
        LogUnavailable: The log does not answer.
        NotCanonical: Its leaves are not numbered one by one.
        BadProof: What was kept is of another log, or not continued; or the leaves do not have the root.
    """
    head = key.open_checkpoint(note)
    for each in kept:
        if each.key != key:
            raise BadProof("the kept export is of another log", field=VKEY)
        if each.head.size > head.size:
            raise BadProof("the kept export has more leaves than the log", field=CHECKPOINT)
    heads = sorted([*(each.head for each in kept), head])
    # Nothing is written before it is known that the log continues what was kept.
    async for _ in full_tiles(log, Edge(), heads, tell):
        pass
    edge, written = Edge(), set[Path]()
    async for tile, data in full_tiles(log, edge, [head], tell):
        if _has(folder, tile, data):
            continue
        written.add(_write(folder, tile, data))
    for tile, data in partial_tiles(edge):
        written.add(_write(folder, tile, data))
    _settle(folder, written)
    write_whole(folder / VKEY, f"{key.vkey}\n")
    write_whole(folder / CHECKPOINT, note)
    sync_folder(folder)
    there = set(tiles_of(head.size))
    for tile in list(tiles_in(folder)):
        if not tile.is_full and tile not in there:
            (folder / tile.path).unlink()
    return head


def tiles_in(folder: Path) -> Iterator[Tile]:
    """Yield the tiles whose files are in a folder."""
    for path in (folder / "tile").rglob("*"):
        if path.is_file():
            try:
                yield parse_path(path.relative_to(folder).as_posix())
            except NotCanonical:
                continue


def _has(folder: Path, tile: Tile, data: bytes) -> bool:
    path = folder / tile.path
    return path.is_file() and path.read_bytes() == data


def _write(folder: Path, tile: Tile, data: bytes) -> Path:
    path = folder / tile.path
    write_whole(path, data)
    return path.parent


def _settle(folder: Path, written: Collection[Path]) -> None:
    """Return once the names of what was written are on the disk, up to the folder itself."""
    for each in {
        above for path in written for above in (path, *path.parents) if folder in (above, *above.parents)
    }:
        sync_folder(each)
