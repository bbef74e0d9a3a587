"""Is a node there, and which nodes does it see?  One request of the Kafka protocol, done by hand.

A node listens before it takes part, so that an open port says nothing.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

DESCRIBE_CLUSTER = 60  # the protocol's number of the request
SECONDS = 2.0


def members(host: str, port: int, tls: Mapping[str, Path]) -> set[int]:
    """Return the nodes that take part, as the node at this port sees it; none when it does not answer."""
    try:
        with _connection(host, port, tls) as connection:
            return _describe_cluster(connection)
    except (OSError, struct.error, IndexError):
        return set()


@contextlib.contextmanager
def _connection(host: str, port: int, tls: Mapping[str, Path]) -> Iterator[socket.socket]:
    with socket.create_connection((host, port), timeout=SECONDS) as plain:
        if not tls:
            yield plain
            return
        context = ssl.create_default_context(cafile=str(tls["ca"]))
        context.load_cert_chain(str(tls["certificate"]), str(tls["key"]))
        with context.wrap_socket(plain, server_hostname=host) as connection:
            yield connection


def _describe_cluster(connection: socket.socket) -> set[int]:
    """Ask which nodes take part: DescribeCluster version 0 of the Kafka protocol, done by hand."""
    request = struct.pack(">hhih", DESCRIBE_CLUSTER, 0, 1, -1) + b"\0" + b"\0" + b"\0"
    connection.sendall(struct.pack(">i", len(request)) + request)
    size = struct.unpack(">i", _receive(connection, 4))[0]
    answer = memoryview(_receive(connection, size))
    at = 4 + 1 + 4  # correlation, tags, throttle time
    if struct.unpack_from(">h", answer, at)[0]:
        return set()
    at += 2
    for _ in ("error message", "cluster id"):
        length, at = _length(answer, at)
        at += length
    controller = struct.unpack_from(">i", answer, at)[0]
    count, at = _length(answer, at + 4)
    nodes = set()
    for _ in range(count):
        nodes.add(struct.unpack_from(">i", answer, at)[0])
        length, at = _length(answer, at + 4)
        length, at = _length(answer, at + length + 4)
        at += length + 1
    return nodes if controller >= 0 else set()


def _length(data: memoryview, at: int) -> tuple[int, int]:
    """Return a compact length (unsigned varint, one more than the length) and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return max(value - 1, 0), at


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("the node closed the connection")
        data += more
    return data
