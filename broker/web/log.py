"""The paths of the log as files: docs/protocol.md, docs/log.md.

Nothing but HTTP: names, statuses, and how long an answer may be kept.  What is handed out is decided in
`services.tiles`: nothing that the published checkpoint does not cover.

Source: c2sp.org/tlog-tiles.  Bundles are not compressed: an entry is a type and a hash.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from broker.bounded_http import sent
from broker.core.errors import NotCanonical, Unavailable
from broker.core.tiles import parse_path
from broker.services.tiles import Tiles
from broker.services.turns import Turns
from broker.web.connection import MEMBER

TILES = 64
TILES_AT_ONCE = 16
"""Tiles of one member that may be under way: whoever asks and does not read must not fill the memory."""

KEPT_FOR_SECONDS = {"Cache-Control": "max-age=2"}
KEPT_FOR_AN_HOUR = {"Cache-Control": "max-age=3600"}
KEPT_FOR_EVER = {"Cache-Control": "max-age=31536000, immutable"}
"""A tile never changes; every member gets the same."""


class LogPaths:
    """Answers for the log.

    Args:
        tiles: What is handed out.
        vkey: Returns the log's key as text.
        shown: Returns a checkpoint's note with whatever else is known of it.
    """

    def __init__(self, tiles: Tiles, vkey: Callable[[], str], shown: Callable[[bytes], bytes]) -> None:
        self._tiles = tiles
        self._vkey = vkey
        self._shown = shown
        self._turns = Turns("tiles", TILES, TILES_AT_ONCE)

    def add_to(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_get("/log/checkpoint", self._checkpoint)
        app.router.add_get("/log/vkey", self._key)
        app.router.add_get("/log/{path:tile/.+}", self._tile)

    async def _checkpoint(self, _request: web.Request) -> web.Response:
        published = self._tiles.published
        if published is None:
            if not self._tiles.caught_up.is_set():
                raise Unavailable("this process does not know yet how far the log is")
            raise web.HTTPNotFound
        return _text(self._shown(published.note), KEPT_FOR_SECONDS)

    async def _key(self, _request: web.Request) -> web.Response:
        return _text(f"{self._vkey()}\n".encode(), KEPT_FOR_AN_HOUR)

    async def _tile(self, request: web.Request) -> web.Response:
        async with self._turns.of(request[MEMBER]):
            if not self._tiles.caught_up.is_set():
                raise Unavailable("this process does not know yet how far the log is")
            try:
                tile = parse_path(request.match_info["path"])
            except NotCanonical:
                raise web.HTTPNotFound from None
            data = self._tiles.read(tile)
            if data is None:
                raise web.HTTPNotFound
            answer = web.Response(body=data, content_type="application/octet-stream", headers=KEPT_FOR_EVER)
            return await sent(request, answer)


def _text(body: bytes, headers: dict[str, str]) -> web.Response:
    return web.Response(body=body, content_type="text/plain", charset="utf-8", headers=headers)
