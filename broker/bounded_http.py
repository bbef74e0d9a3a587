"""HTTP in which everything that a peer can draw out or make large has a bound; for hub and node alike.

Decides when a connection is cut (too slow with a header, too slow to read an answer) and how a body is
read.  Who the peer is and what it may ask is decided by whoever serves.

aiohttp bounds idle time and sizes; what it leaves unbounded is bounded here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web
from aiohttp.web import RequestPayloadError
from aiohttp.web_protocol import RequestHandler

from broker.core.errors import NotCanonical, TooLarge, Unavailable
from broker.core.wire import read
from broker.telemetry import logger_of

T = TypeVar("T")
Problem = Callable[[int, str, str], web.Response]

WRITE_SECONDS = 60.0
LINGER_SECONDS = 2.0
MOST_LINE_BYTES = 4096
MOST_FIELD_BYTES = 4096
MOST_FIELDS = 64

log_line = logger_of("web")


class BoundedConnection(RequestHandler):
    """A peer's connection.

    Args:
        server: aiohttp's server.
        header_seconds: How long a header may take.
        idle_seconds: How long nothing may be asked.
        problem: Makes the answer from a status, a code and a sentence.
    """

    __slots__ = ("_deadline", "_header_seconds", "_problem")

    def __init__(
        self, server: web.Server, *, header_seconds: float, idle_seconds: float, problem: Problem
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=idle_seconds,
            lingering_time=LINGER_SECONDS,
            max_line_size=MOST_LINE_BYTES,
            max_field_size=MOST_FIELD_BYTES,
            max_headers=MOST_FIELDS,
            # Compressed bodies are refused, so there is nothing that could unfold into memory.
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp turns it off
        )
        self._header_seconds = header_seconds
        self._problem = problem
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, if it is `admitted`; its first header gets a deadline."""
        super().connection_made(transport)
        if self.admitted(transport):
            self._set_deadline()
        else:
            self.abort()

    def admitted(self, _transport: asyncio.BaseTransport) -> bool:
        """Say whether the connection may stay."""
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; those of a header that does not end get a deadline."""
        super().data_received(data)
        if self._waiter is None or self._waiter.done() or self._messages:
            self._clear_deadline()
        elif self._deadline is None:
            self._set_deadline()

    def abort(self) -> None:
        """Cut the connection at once."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, unless the peer does not take it in time.

        The next request waits until most of the answer is gone: else whoever asks without reading
        would fill the memory with answers.
        """
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                finished = await super().finish_response(request, resp, start_time)
                await self._drain_helper()
                return finished
        except TimeoutError:
            self.abort()
            return resp, True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's text quotes what came
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or what failed here, in the shape of all problems."""
        if isinstance(exc, ConnectionError):
            raise exc  # the peer is gone: nobody reads an answer
        if status >= 500:
            log_line.error("request.failed", status=status, exc_info=exc)
            answer = self._problem(status, Unavailable.code, "it failed here")
        else:
            answer = self._problem(status, NotCanonical.code, "not a request that can be read")
        if request.writer.output_size > 0:
            # Half an answer cannot be mended.
            raise ConnectionError("an answer was under way")
        answer.force_close()
        return answer

    def _set_deadline(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(self._header_seconds, self.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def sent(request: web.Request, answer: web.Response) -> web.Response:
    """Return an answer once the peer has taken most of it; cut the connection of one that does not."""
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await answer.prepare(request)
            await answer.write_eof()
            await request.writer.drain()
    except TimeoutError:
        if isinstance(request.protocol, BoundedConnection):
            request.protocol.abort()
    return answer


async def read_body(request: web.Request, seconds: float, most: int) -> bytes:
    """Return the body.

    Raises:
        NotCanonical: It is compressed, or not framed as HTTP has it.
        TooLarge: It says that it is too large.
        Unavailable: It did not come in time.
    """
    if "Content-Encoding" in request.headers:
        raise NotCanonical("a body is not compressed", field="Content-Encoding")
    if (request.content_length or 0) > most:
        raise TooLarge(f"a request has at most {most} bytes", field="Content-Length")
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except RequestPayloadError:
        raise NotCanonical("the body is not framed as HTTP has it", field="body") from None
    except TimeoutError:
        raise Unavailable("the body did not come in time", field="body") from None


def read_json(body: bytes, shape: type[T]) -> T:
    """Return the JSON of a body in its shape.

    Raises:
        NotCanonical: It is not of that shape; names the place.
    """
    try:
        return read(body, shape)
    except NotCanonical as error:
        raise NotCanonical("the body is not of its shape", field=error.field or "body") from None
