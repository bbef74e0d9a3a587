"""One connection of a peer: whose key it is, and whether it may stay.

Decides when a connection is cut because it is one too many, or of a key that counts no more; what is too
slow is cut by `broker.bounded_http`.  What a peer may ask is decided in `api`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from cryptography.x509 import load_der_x509_certificate

from broker.bounded_http import BoundedConnection
from broker.configuration import Limits
from broker.core.keys import spki_digest
from broker.core.wire import Problem
from broker.telemetry import logger_of

MEMBER = web.RequestKey("member", str)
"""Who asks, once it is known."""

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


class Connection(BoundedConnection):
    """A peer's connection; `key` is the SHA-256 of its certificate's SubjectPublicKeyInfo.

    Args:
        connections: Where it is counted.
        server: aiohttp's server.
    """

    __slots__ = ("_connections", "key")

    def __init__(self, connections: Connections, server: web.Server) -> None:
        limits = connections.limits
        super().__init__(
            server, header_seconds=limits.header_seconds, idle_seconds=limits.idle_seconds, problem=problem
        )
        self._connections = connections
        self.key = b""

    def admitted(self, transport: asyncio.BaseTransport) -> bool:
        """Learn whose connection it is; the TLS handshake is over and proved possession of the key."""
        self.key = key_of(transport)
        if self._connections.add(self):
            return True
        log_line.warning("connection.refused", key=self.key.hex(), code="too-many")
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._connections.remove(self)
        super().connection_lost(exc)


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


def json_answer(value: msgspec.Struct, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer of one of the shapes of the wire."""
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=headers)
