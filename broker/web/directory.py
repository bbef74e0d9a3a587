"""The paths of the signed directory: docs/protocol.md.

Nothing but HTTP; who gets what of it, and which change is taken, is decided in `services.registry`.
"""

from __future__ import annotations

from hashlib import sha256

from aiohttp import web

from broker.bounded_http import read_body, sent
from broker.configuration import Limits
from broker.core.errors import BadConfiguration, NotCanonical
from broker.core.wire import NOT_HERE, DirectoryTaken
from broker.directory.change import MOST_CHANGE_BYTES
from broker.services.registry import Registry
from broker.services.turns import Turns
from broker.web.connection import MEMBER, json_answer, problem

VERSION_BYTES = 32
QUESTIONS = 8
QUESTIONS_AT_ONCE = 1

NEVER_KEPT = {"Cache-Control": "no-store"}
ASKED_AGAIN = "private, no-cache"
KEPT_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
"""A past version does not change, and is one member's."""


class DirectoryPaths:
    """Answers for the directory.

    Args:
        registry: Hands it out and takes changes.
        limits: How long a body may take.
        requests: Counts the requests with a body that one member has under way.
    """

    def __init__(self, registry: Registry, limits: Limits, requests: Turns) -> None:
        self._registry = registry
        self._limits = limits
        self._requests = requests
        self._questions = Turns("questions about the directory", QUESTIONS, QUESTIONS_AT_ONCE)

    def add_to(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_get("/v1/directory/timestamp", self._timestamp)
        app.router.add_get("/v1/directory", self._newest)
        app.router.add_get("/v1/directory/versions/{version}", self._past)
        app.router.add_post("/v1/directory", self._change)

    async def _timestamp(self, request: web.Request) -> web.StreamResponse:
        stamp = await self._registry.timestamp()
        headers = {"Cache-Control": ASKED_AGAIN, "ETag": f'"{sha256(stamp).hexdigest()}"'}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=stamp, content_type="application/json", headers=headers)

    async def _newest(self, request: web.Request) -> web.StreamResponse:
        known = _version(request.query.get("known", ""), "known")
        # Until the member has taken the answer: one that asks and does not read must not fill the memory.
        async with self._questions.of(request[MEMBER]):
            answer = await self._registry.newest(request[MEMBER], known)
            return await sent(request, json_answer(answer, NEVER_KEPT))

    async def _past(self, request: web.Request) -> web.StreamResponse:
        version = _version(request.match_info["version"], "version")
        known = _version(request.query.get("known", ""), "known")
        async with self._questions.of(request[MEMBER]):
            answer = await self._registry.past(request[MEMBER], version, known)
            if answer is None:
                raise web.HTTPNotFound
            return await sent(request, json_answer(answer, KEPT_FOR_EVER))

    async def _change(self, request: web.Request) -> web.StreamResponse:
        if not self._registry.takes_changes:
            return problem(503, NOT_HERE, "another process of the hub takes changes")
        async with self._requests.of(request[MEMBER]):
            body = await read_body(request, self._limits.body_seconds, MOST_CHANGE_BYTES)
            try:
                version = await self._registry.take(request[MEMBER], body)
            except BadConfiguration as error:
                # Of what came, not of ours: the member is told.
                return problem(400, error.code, str(error), field_name=error.field)
            return json_answer(DirectoryTaken(version.hex()), NEVER_KEPT)


def _version(text: str, name: str) -> bytes:
    """Return a version that was written in hexadecimal, nothing for nothing.

    Raises:
        NotCanonical: It is none.
    """
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b"-"
    if len(found) not in (0, VERSION_BYTES) or found.hex() != text:
        raise NotCanonical("a version is 64 hexadecimal digits in lower case", field=name)
    return found
