"""One connection of a peer: whose key it is, and how long each part of a request may take.

Decides when a connection is cut: too slow with a header, too slow to read an answer, one too many, or
of a key that counts no more.  What a peer may ask is decided in `api`.

aiohttp bounds idle time and sizes; what it leaves unbounded is bounded here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from cryptography.x509 import load_der_x509_certificate

from broker.configuration import Limits
from broker.core.keys import spki_digest
from broker.core.wire import Problem
from broker.telemetry import logger_of

WRITE_SECONDS = 60.0
LINGER_SECONDS = 2.0
MOST_LINE_BYTES = 4096
MOST_FIELD_BYTES = 4096
MOST_FIELDS = 64

log_line = logger_of("web")


@dataclass(slots=True)
class Connections:
    """The open connections, by the peer's key."""

    limits: Limits
    by_key: dict[bytes, set[Connection]] = field(default_factory=dict)
    count: int = 0

    def add(self, connection: Connection) -> bool:
        """Take in a connection, unless there are too many, of all or of this key."""
        if self.count >= self.limits.connections:
            return False
        same = self.by_key.setdefault(connection.key, set())
        if len(same) >= self.limits.connections_per_key:
            return False
        same.add(connection)
        self.count += 1
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        same = self.by_key.get(connection.key, set())
        if connection in same:
            same.remove(connection)
            self.count -= 1
        if not same:
            self.by_key.pop(connection.key, None)

    def abort_unless(self, counts: Callable[[bytes], bool]) -> int:
        """Cut every connection whose key does not count, and return how many those were."""
        gone = [each for key, same in self.by_key.items() if not counts(key) for each in same]
        for connection in gone:
            connection.abort()
        return len(gone)


class Connection(RequestHandler):
    """A peer's connection; `key` is the SHA-256 of its certificate's SubjectPublicKeyInfo.

    Args:
        connections: Where it is counted.
        server: aiohttp's server.
    """

    __slots__ = ("_connections", "_deadline", "key")

    def __init__(self, connections: Connections, server: web.Server) -> None:
        limits = connections.limits
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle_seconds,
            lingering_time=LINGER_SECONDS,
            max_line_size=MOST_LINE_BYTES,
            max_field_size=MOST_FIELD_BYTES,
            max_headers=MOST_FIELDS,
            # Compressed bodies are refused, so there is nothing that could unfold into memory.
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp turns it off
        )
        self._connections = connections
        self._deadline: asyncio.TimerHandle | None = None
        self.key = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn whose connection it is; the TLS handshake is over and proved possession of the key."""
        self.key = key_of(transport)
        super().connection_made(transport)
        if self._connections.add(self):
            self._set_deadline()
        else:
            log_line.warning("connection.refused", key=self.key.hex(), code="too-many")
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._clear_deadline()
        self._connections.remove(self)
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
            answer = problem(status, "unavailable", "the hub failed")
        else:
            answer = problem(status, "not-canonical", "not a request that can be read")
        if request.writer.output_size > 0:
            # Half an answer cannot be mended.
            raise ConnectionError("an answer was under way")
        answer.force_close()
        return answer

    def _set_deadline(self) -> None:
        seconds = self._connections.limits.header_seconds
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def key_of(transport: asyncio.BaseTransport) -> bytes:
    """Return SHA-256 of the SubjectPublicKeyInfo that the peer holds; empty without a certificate."""
    tls = transport.get_extra_info("ssl_object")
    shown = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject) else None
    if shown is None:
        return b""
    try:
        return spki_digest(load_der_x509_certificate(shown))
    except ValueError:
        return b""


def problem(
    status: int,
    code: str,
    message: str,
    *,
    field_name: str | None = None,
    retry_after: int | None = None,
) -> web.Response:
    """Return an answer that is not a success."""
    headers: dict[str, Any] = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = msgspec.json.encode(Problem(code, message, field_name))
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
