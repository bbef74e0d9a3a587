"""The paths by which members' witnesses work: docs/protocol.md.

Nothing but HTTP; what is asked and taken is decided in `services.cosignatures`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from broker.bounded_http import read_body
from broker.configuration import Limits
from broker.core.errors import NotCanonical
from broker.services.cosignatures import MOST_BODY_BYTES, Cosignatures
from broker.services.turns import Turns
from broker.web.connection import MEMBER

ASKED_AGAIN = {"Cache-Control": "private, no-cache"}


class WitnessPaths:
    """Answers witnesses.

    Args:
        cosignatures: What is asked and taken.
        limits: How long a body may take.
        requests: Counts the requests with a body that one member has under way.
        reach: Waits until this process is as far as the asker has seen the log.
    """

    def __init__(
        self,
        cosignatures: Cosignatures,
        limits: Limits,
        requests: Turns,
        reach: Callable[[web.Request], Awaitable[object]],
    ) -> None:
        self._cosignatures = cosignatures
        self._limits = limits
        self._requests = requests
        self._reach = reach

    def add_to(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_get("/log/asked", self._asked)
        app.router.add_get("/log/cosigned", self._cosigned)
        app.router.add_post("/log/cosignatures", self._take)

    async def _asked(self, request: web.Request) -> web.Response:
        await self._reach(request)
        return _note(self._cosignatures.asked())

    async def _cosigned(self, request: web.Request) -> web.Response:
        await self._reach(request)
        least = request.query.get("least", "1")
        if not least.isascii() or not least.isdecimal() or len(least) > 4:
            raise NotCanonical("not a number", field="least")
        return _note(self._cosignatures.cosigned(int(least)))

    async def _take(self, request: web.Request) -> web.Response:
        async with self._requests.of(request[MEMBER]):
            body = await read_body(request, self._limits.body_seconds, MOST_BODY_BYTES)
            await self._cosignatures.take(request[MEMBER], body)
            return web.Response(status=204)


def _note(note: bytes | None) -> web.Response:
    if note is None:
        raise web.HTTPNotFound
    return web.Response(body=note, content_type="text/plain", charset="utf-8", headers=ASKED_AGAIN)
