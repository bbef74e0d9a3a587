"""The log as files: follows the leaves, writes full tiles and bundles, and knows what may be handed out.

Nothing here is the log: every file is made of `audit.leaves` alone, and whoever has that topic makes the same
files, byte for byte.  What is full is on disk; what is partial is in memory and is made again at a start,
from the last full tile on.

A checkpoint counts here once the root over the leaves before it is the one that was signed and every tile
under it is on the disk, so what is handed out is never of more leaves than members can verify.  Tiles that
are not this log's, or that hold more of it than is signed, stop the hub: then the log was set back, and going
on would tell two histories.

Source: c2sp.org/tlog-tiles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from broker.aside import Aside
from broker.core.errors import BadConfiguration, NotCanonical
from broker.core.model import Checkpoint, Leaf
from broker.core.records import unframe
from broker.core.tiles import ENTRIES, WIDTH, Edge, Tile, beginning, bundle
from broker.log import Log, LogUnavailable, Partition
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES
from broker.services.following import READ_AT_ONCE, last_of
from broker.services.metrics import Metrics
from broker.services.tile_folder import TileFolder
from broker.telemetry import logger_of

T = TypeVar("T")

LEAVES = Partition(AUDIT_LEAVES)
CHECKPOINTS = Partition(AUDIT_CHECKPOINTS)

LOOK_AGAIN_SECONDS = 5.0
WRITE_SECONDS = 60.0
MOST_AT_ONCE = 16 * 1024
"""Leaves that are taken in before their tiles are written."""

log_line = logger_of("tiles")


class Tiles:
    """Makes the tiles of the log, and reads them.

    Args:
        log: What is followed.
        folder: Where full tiles are.
        metrics: Where it is shown how far this is, and how far behind.
    """

    def __init__(self, log: Log, folder: TileFolder, metrics: Metrics) -> None:
        self._log = log
        self._folder = folder
        self._metrics = metrics
        self._aside = Aside("the disk of the tiles", WRITE_SECONDS)
        self._edge = Edge()
        self._next = 0
        # Full tiles on their way to the disk.
        self._fresh: dict[Tile, bytes] = {}
        self._published: Checkpoint | None = None
        self.caught_up = asyncio.Event()

    @property
    def published(self) -> Checkpoint | None:
        """The latest checkpoint under which every tile can be read."""
        return self._published

    def read(self, tile: Tile) -> bytes | None:
        """Return what is in a tile or bundle, None where the published checkpoint does not cover all of it.

        Raises:
            LogUnavailable: The disk did not give it.
        """
        if self._published is None or not tile.is_in(self._published.size):
            return None
        whole = tile.whole
        data = self._edge.partial(tile.level, tile.index)
        if data is None:
            data = self._fresh.get(whole)
        if data is None:
            try:
                data = self._folder.read(whole)
            except OSError as error:
                raise LogUnavailable(f"a tile cannot be read: {error.strerror}", field=whole.path) from None
        return beginning(data, tile)

    async def run(self) -> None:
        """Make tiles of what comes, until cancelled.

        Raises:
            LogUnavailable: The log did not answer, the disk takes no tiles, or they are being made again.
            Stalled: The disk did not answer; run again.
            NotCanonical: The leaves, a checkpoint over them, or the tiles on disk are not of one log.
        """
        self._tidy()
        with self._folder.shared():
            await self._find_edge()
            while True:
                ends = await self._log.ends([AUDIT_CHECKPOINTS])
                await self._follow(ends.get(CHECKPOINTS, 0))
                self.caught_up.set()
                await self._log.wait(ends, LOOK_AGAIN_SECONDS)

    def _tidy(self) -> None:
        # What is half written may be of another process that is at it; only where there is none it goes.
        with suppress(BadConfiguration), self._folder.alone():
            pass

    # --- at the start -----------------------------------------------------------------------------

    async def _find_edge(self) -> None:
        """Go on where the tiles on disk end, if they are this log's."""
        # Until all is read again that was handed out, nothing is: the log must not seem to shrink.
        self.caught_up.clear()
        self._published = None
        self._fresh.clear()
        self._edge = await self._on_disk(self._folder.begin)
        self._next = await self._place_of(self._edge.size)
        await self._check_last_bundle()

    async def _check_last_bundle(self) -> None:
        """Let no tile be added behind those of another log, or of another past."""
        size = self._edge.size
        if not size:
            return
        start = size - WIDTH
        entries: list[bytes] = []
        place = await self._place_of(start)
        while len(entries) < WIDTH and (found := await self._leaves(place, WIDTH - len(entries))):
            place = found[-1][0] + 1
            entries += [leaf.entry for _, leaf in found]
        if bundle(entries) != self._folder.read(Tile(ENTRIES, start // WIDTH)):
            log_line.critical("tiles.false", size=size)
            raise NotCanonical("the tiles on disk are not those of this log", field=str(self._folder.root))

    async def _place_of(self, index: int) -> int:
        """Return where to read on for the leaf of this index: offsets may have gaps, so it is looked for."""
        low, high = 0, (await self._log.ends([AUDIT_LEAVES])).get(LEAVES, 0)
        while low < high:
            middle = (low + high) // 2
            found = await self._log.read(LEAVES, middle, 1)
            if found and unframe(Leaf, found[0].value).index < index:
                low = found[0].offset + 1
            else:
                high = middle
        return low

    # --- on and on --------------------------------------------------------------------------------

    async def _follow(self, end: int) -> None:
        """Take in the leaves under the newest checkpoint, write what became full, and publish it."""
        newest = await last_of(self._log, CHECKPOINTS, end)
        if newest is None:
            return
        checkpoint = unframe(Checkpoint, newest.value)
        if checkpoint.size < self._edge.size:
            log_line.critical("tiles.ahead", size=self._edge.size)
            raise NotCanonical("the tiles on disk hold more leaves than are signed", field=AUDIT_CHECKPOINTS)
        self._metrics.tiles_behind.set(checkpoint.size - self._edge.size)
        if self._published is not None and checkpoint.size == self._published.size:
            return
        while self._edge.size < checkpoint.size:
            await self._take(min(checkpoint.size - self._edge.size, MOST_AT_ONCE))
            if self._edge.size < checkpoint.size:
                await self._write()
                self._metrics.tiles_behind.set(checkpoint.size - self._edge.size)
        if self._edge.root() != checkpoint.root:
            log_line.critical("checkpoint.false", size=checkpoint.size)
            raise NotCanonical("a checkpoint has another root than the leaves", field=AUDIT_CHECKPOINTS)
        await self._write()
        self._metrics.tiles_behind.set(0)
        self._published = checkpoint
        self._metrics.tiles_size.set(checkpoint.size)

    async def _take(self, count: int) -> None:
        while count > 0:
            found = await self._leaves(self._next, min(count, READ_AT_ONCE))
            size = self._edge.size
            if [leaf.index for _, leaf in found] != list(range(size, size + len(found))) or not found:
                raise NotCanonical("the leaves are not numbered one by one", field=AUDIT_LEAVES)
            self._fresh.update(self._edge.extend([leaf.entry for _, leaf in found]))
            self._next = found[-1][0] + 1
            count -= len(found)

    async def _leaves(self, start: int, count: int) -> Sequence[tuple[int, Leaf]]:
        found = await self._log.read(LEAVES, start, count)
        return [(stored.offset, unframe(Leaf, stored.value)) for stored in found]

    async def _write(self) -> None:
        if self._fresh:
            await self._on_disk(self._folder.add, list(self._fresh.items()))
            self._fresh.clear()

    async def _on_disk(self, function: Callable[..., T], *arguments: object) -> T:
        try:
            return await self._aside.call(function, *arguments)
        except OSError as error:
            raise LogUnavailable(f"the disk takes no tiles: {error.strerror}", field="tiles") from None
