"""Who may ask the local API: the checks before anything of a request is looked at.

Decides by the name under which the caller came and the token that it shows.  A web page that a person on this
machine opens can reach the loopback address, also under a name of its own that it lets point there (DNS
rebinding); it has no token, its name is refused, and no header lets it read an answer (no CORS).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from adapters.api.problem import problem, problem_of
from broker.core.errors import (
    BadConfiguration,
    HalongError,
    NotAuthorised,
    NotCanonical,
    NotFound,
    TooLarge,
    Unavailable,
)
from broker.local_token import Token
from broker.telemetry import logger_of

Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]

NAMES = ("127.0.0.1", "localhost", "[::1]")
"""The names of this machine to itself."""

log_line = logger_of("api")


async def answer_expectation(request: web.Request) -> web.Response | None:
    """Let a caller go on that waits to be told so; answer every other expectation in the one shape.

    Source: RFC 9110, section 10.1.1.
    """
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None
    return problem(417, NotCanonical.code, "no expectation but 100-continue can be met", field="Expect")


class Guard:
    """Stands before every request.

    Args:
        token: What callers must show.
        open_paths: What is told without a token.
        most_bytes: The largest body.
    """

    def __init__(self, token: Token, open_paths: frozenset[str], most_bytes: int) -> None:
        self._token = token
        self._open = open_paths
        self._most = most_bytes

    @web.middleware
    async def with_problems(self, request: web.Request, handler: Answerer) -> web.StreamResponse:
        """Answer every failure in the one shape."""
        try:
            return await handler(request)
        except BadConfiguration as error:
            # Ours; what it says of files here is for whoever runs the node.
            log_line.exception("request.failed", code=error.code)
            return problem(503, Unavailable.code, "the node cannot do this now")
        except HalongError as error:
            return problem_of(error)
        except web.HTTPRequestEntityTooLarge:
            return problem(413, TooLarge.code, f"a request has at most {self._most} bytes")
        except web.HTTPMethodNotAllowed as error:
            answer = problem(405, NotCanonical.code, "not a method of this path")
            answer.headers["Allow"] = error.headers["Allow"]
            return answer
        except web.HTTPException as error:
            return problem(error.status, NotFound.code, "there is no such path")

    @web.middleware
    async def with_caller(self, request: web.Request, handler: Answerer) -> web.StreamResponse:
        """Let callers in that may ask.

        Raises:
            NotAuthorised: The caller may not.
        """
        # 1. It came by a name of this machine, so no page has led a browser here under its own.
        name, colon, port = request.headers.get("Host", "").rpartition(":")
        if not colon or "]" in port:
            name = request.headers.get("Host", "")
        if name.lower() not in NAMES:
            raise NotAuthorised("this is not a name of this machine", field="Host")
        # 2. It shows the token, unless it asks for what everybody may know.
        if request.path not in self._open and not self._token.is_shown(request.headers.get("Authorization")):
            raise NotAuthorised("show the node's token as `Authorization: Bearer …`", field="Authorization")
        return await handler(request)
