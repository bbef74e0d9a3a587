"""Holds an export of the log against itself, without the hub: what a stranger can do with these files alone.

From the entries every tile is made again and compared, byte for byte, and the root over all with
the one that was signed.  That nothing was left out before it was signed no file can prove: checkpoints that
others kept can (`--from`), and witnesses.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from broker.commands.log_check import Checked
from broker.commands.log_files import CHECKPOINT, Export, partial_tiles, read_export, tiles_in
from broker.core.errors import BadConfiguration, BadProof
from broker.core.note import LogKey
from broker.core.tiles import (
    ENTRIES,
    LENGTH_BYTES,
    MOST_ENTRY_BYTES,
    WIDTH,
    Edge,
    Tile,
    entries_of,
    tile_at,
    tiles_of,
)
from broker.files import read_sent

MOST_BUNDLE_BYTES = WIDTH * (LENGTH_BYTES + MOST_ENTRY_BYTES)

Progress = Callable[[int, int], None]
"""Called with how many leaves were read, of how many."""


def check_export(folder: Path, pinned: LogKey | None, kept: Export | None, tell: Progress) -> Checked:
    """Check the export in a folder, under the key that the asker has pinned, or the one that it has itself.

    Raises:
        BadConfiguration: It is none.
        BadProof: It is under another key, or its key did not sign its checkpoint.
    """
    export = read_export(folder)
    # 1. A key that came with the files proves nothing to who has it from elsewhere.
    if pinned is not None and export.key != pinned:
        raise BadProof("the export is under another key than the one given", field="--key")
    if kept is not None and export.key != kept.key:
        raise BadProof("the kept export is of another log", field="--from")
    known = pinned is not None or kept is not None
    result = Checked(export.head.size, export.head.root, checkpoints=1, pinned=known)
    if kept is not None and kept.head.size > export.head.size:
        result.add(CHECKPOINT, "fewer leaves than the kept export has")
    edge = _read_entries(folder, export, kept, result, tell)
    if edge is None:
        return result
    for tile, data in partial_tiles(edge):
        _compare(folder, tile, data, result)
    # 2. What was signed is what is there.
    if edge.root() != export.head.root:
        result.add(CHECKPOINT, "the entries have another root than was signed")
    there = set(tiles_of(export.head.size))
    for tile in sorted(set(tiles_in(folder)) - there, key=lambda each: each.path):
        result.add(tile.path, "a tile that the checkpoint's tree does not have")
    return result


def _read_entries(
    folder: Path, export: Export, kept: Export | None, result: Checked, tell: Progress
) -> Edge | None:
    """Return the edge over the entries, None where some cannot be read; tiles on the way are compared."""
    edge, size = Edge(), export.head.size
    for index in range(-(-size // WIDTH)):
        bundle = tile_at(size, ENTRIES, index)
        assert bundle is not None
        try:
            entries = entries_of(read_sent(folder / bundle.path, MOST_BUNDLE_BYTES), bundle.width)
        except FileNotFoundError:
            result.add(bundle.path, "is missing")
            return None
        except (BadProof, BadConfiguration) as error:
            result.add(bundle.path, str(error), error.code)
            return None
        old = kept.head.size - edge.size if kept is not None else -1
        for part in (entries[: max(old, 0)], entries[max(old, 0) :]):
            for tile, data in edge.extend(part):
                _compare(folder, tile, data, result)
            if kept is not None and part and edge.size == kept.head.size and edge.root() != kept.head.root:
                result.add(CHECKPOINT, "does not continue the kept export")
        tell(edge.size, size)
    return edge


def _compare(folder: Path, tile: Tile, data: bytes, result: Checked) -> None:
    result.tiles += 1
    path = folder / tile.path
    if not path.is_file():
        result.add(tile.path, "is missing")
    elif path.stat().st_size != len(data) or path.read_bytes() != data:
        result.add(tile.path, "the tile has other bytes than the entries")
