"""Waiting for tiles that something else writes."""

from __future__ import annotations

import asyncio

from broker.services.tiles import Tiles

SECONDS = 30.0


async def reach(tiles: Tiles, size: int) -> None:
    """Return when a checkpoint of so many leaves is handed out; fail if it is not in time."""
    async with asyncio.timeout(SECONDS):
        while tiles.published is None or tiles.published.size < size:  # noqa: ASYNC110  it wakes nobody
            await asyncio.sleep(0.002)
