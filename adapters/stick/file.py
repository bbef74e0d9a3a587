"""A stick: a file in which a node without network and its hub say to each other what they would say online.

::

    {"is":"stick","kind":"outbox","network":"halong-live","member":"vn", …}
    {"is":"notices","stream":"asia-pacific/main","envelopes":["…"]}
    {"is":"receipts","receipts":["…"]}
    {"is":"asked","statements":["…"],"streams":["asia-pacific/main"],"after":120}
    {"is":"end","lines":4,"sha256":"…"}

UTF-8, one JSON object a line, bytes in base64: `head -1` and `jq` read it.  Nothing in it is compressed and
nothing is a path, so it can neither swell nor reach anywhere; lines, their number and the whole are bounded.
The last line counts the others and has the SHA-256 of all bytes before it: a file that was cut or damaged is
no stick.  That digest keeps accidents away, not people: whoever reads a stick checks what it says by the
signatures and proofs in it, as if it had come over the network.

Decides what is a whole stick.  What its lines mean is in `node` and `carrier`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Literal, TypeAlias

import msgspec
from msgspec import Struct

from broker.core.errors import BadStick
from broker.core.wire import DirectoryFiles, Feed, HeadAnswer, Outcome, StatementStatus, StreamPosition
from broker.files import written

MOST_LINE_BYTES = 32 << 20
MOST_LINES = 100_000
MOST_BYTES = 2 << 30
MOST_FEED_BYTES = 256 << 20
"""Of deliveries: a stick on which there are as many may end before the feed does, and no other."""


class Line(Struct, frozen=True, tag_field="is", forbid_unknown_fields=True, omit_defaults=True):
    """One line of a stick."""


class Head(Line, frozen=True, tag="stick", kw_only=True):
    """The first line: whose stick this is, and its place in the conversation of node and hub.

    `kind` is `outbox` on the way to the hub, `feed` on the way back.  `number` counts the sticks of the node;
    one that comes back has the number of the one that it answers, and `part` counts those that answer the
    same.  `after` is the place in the feed that it goes on from.
    """

    halong: Literal["stick/1"] = "stick/1"
    kind: Literal["outbox", "feed"]
    network: str
    member: str
    conversation: str
    number: int
    after: int
    part: int = 1


class Notices(Line, frozen=True, tag="notices"):
    """Encoded envelopes of one stream, in the order of their numbers."""

    stream: str
    envelopes: list[bytes]


class Receipts(Line, frozen=True, tag="receipts"):
    """Encoded signed receipts."""

    receipts: list[bytes]


class Asked(Line, frozen=True, tag="asked"):
    """Of which statements and streams the node wants to hear."""

    statements: list[str]
    streams: list[str]


class Knows(Line, frozen=True, tag="knows", kw_only=True):
    """Which version of the signed directory the node has, and the change of its own role that it signed."""

    version: str
    change: str | None = None


class Listed(Line, frozen=True, tag="directory", kw_only=True):
    """A version of the signed directory, without what the node knows: the newest, or one that is named.

    `refused` is the code with which the hub refused the node's change.
    """

    files: DirectoryFiles
    newest: bool
    refused: str | None = None


class Taken(Line, frozen=True, tag="outcomes"):
    """What the gateway did with notices of the stick."""

    results: list[Outcome]


class Settled(Line, frozen=True, tag="settled"):
    """Receipts that the hub has now, by SHA-256, and those that it refused, by code."""

    taken: list[str]
    refused: dict[str, str]


class Told(Line, frozen=True, tag="statements"):
    """How far statements have come, each with its proofs and the checkpoint that they lead to."""

    statements: list[StatementStatus]


class Stood(Line, frozen=True, tag="stream"):
    """The last admitted statement of a stream."""

    stream: str
    position: StreamPosition


class Counted(Line, frozen=True, tag="head"):
    """The newest head of the member's inbox, as the hub gave it before it was asked for the feed."""

    answer: HeadAnswer


class Fed(Line, frozen=True, tag="feed"):
    """An answer of the feed as the hub gave it, to what comes after `after`."""

    after: int
    feed: Feed


class End(Line, frozen=True, tag="end"):
    """The last line: how many lines are before it, and the SHA-256 of their bytes."""

    lines: int
    sha256: str


Content: TypeAlias = (
    Notices | Receipts | Asked | Knows | Taken | Settled | Told | Stood | Listed | Counted | Fed
)
_DECODER = msgspec.json.Decoder(Head | Content | End)
_LINES = {
    "outbox": (Notices, Receipts, Asked, Knows),
    "feed": (Taken, Settled, Told, Stood, Listed, Counted, Fed),
}

Write: TypeAlias = Callable[[Head | Content], None]


@contextmanager
def write_stick(path: Path) -> Iterator[Write]:
    """Write a stick: call what is yielded with its head and its lines; the file appears when it is whole.

    Nobody but its owner may read it: it holds what notices say.

    Raises:
        BadStick: It would be larger than a stick may be; nothing is there then.
    """
    with written(path) as file:
        writer = _Writer(file)
        yield writer.write
        writer.end()


class _Writer:
    """Counts and hashes what it writes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = sha256()
        self._lines = 0
        self._bytes = 0

    def write(self, line: Head | Content) -> None:
        data = msgspec.json.encode(line) + b"\n"
        self._lines += 1
        self._bytes += len(data)
        if len(data) > MOST_LINE_BYTES or self._lines >= MOST_LINES or self._bytes > MOST_BYTES:
            raise BadStick("more than one stick may hold", field="stick")
        self._hash.update(data)
        self._file.write(data)

    def end(self) -> None:
        self._file.write(msgspec.json.encode(End(self._lines, self._hash.hexdigest())) + b"\n")


def _any(_line: Content) -> None:
    """Let every line pass."""


@contextmanager
def open_stick(
    path: Path, kind: Literal["outbox", "feed"], check: Callable[[Content], None] = _any
) -> Iterator[tuple[Head, Iterator[Content]]]:
    """Read a whole stick: its head, and its lines one after the other.

    The file is gone through to its end before anything of it is given out: a part of a stick is never used.
    `check` sees each line then, and raises `BadStick` for one that nobody could use.

    Raises:
        BadStick: It is none, is of the other kind, is cut or damaged, or has a line that is none of its kind.
    """
    with path.open("rb") as file:
        lines = _whole(file)
        file.seek(0)
        head = read_line(file.readline(MOST_LINE_BYTES))
        if not isinstance(head, Head):
            raise BadStick("it does not begin as a stick does", field="line 1")
        if head.kind != kind:
            other = "halong outbox import" if head.kind == "outbox" else "halong feed import"
            raise BadStick(f"it is of the kind {head.kind}, which `{other}` takes", field="kind")
        if head.number < 1 or head.part < 1 or head.after < 0:
            raise BadStick("its numbers are none that a stick has", field="line 1")
        start = file.tell()
        for line in _contents(file, lines, kind):
            check(line)
        file.seek(start)
        yield head, _contents(file, lines, kind)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a stick's bytes: two sticks of one number must be one."""
    with path.open("rb") as file:
        return sha256_of(iter(lambda: file.read(1 << 20), b""))


def sha256_of(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of bytes that come in parts."""
    found = sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def _whole(file: IO[bytes]) -> int:
    """Return how many lines there are, once it is certain that none is missing, changed or too long."""
    found, lines, size, last = sha256(), 0, 0, b""
    while line := file.readline(MOST_LINE_BYTES + 1):
        size += len(line)
        if len(line) > MOST_LINE_BYTES or lines > MOST_LINES or size > MOST_BYTES:
            raise BadStick("longer than a stick may be", field="stick")
        if lines:
            found.update(last)
        lines, last = lines + 1, line
    end = read_line(last) if last.endswith(b"\n") else None
    if not isinstance(end, End):
        raise BadStick("it is cut: its last line is missing", field="end")
    if (end.lines, end.sha256) != (lines - 1, found.hexdigest()):
        raise BadStick("it is damaged: its bytes are not those that were written", field="end")
    return lines


def _contents(file: IO[bytes], lines: int, kind: Literal["outbox", "feed"]) -> Iterator[Content]:
    for number in range(2, lines):
        line = read_line(file.readline(MOST_LINE_BYTES))
        if isinstance(line, Head | End):
            raise BadStick("a line that stands only at an end", field=f"line {number}")
        if not isinstance(line, _LINES[kind]):
            raise BadStick("a line that goes the other way", field=f"line {number}")
        yield line


def read_line(line: bytes) -> Head | Content | End:
    """Return what a line says, whether or not it may stand there.

    Raises:
        BadStick: It is none.
    """
    try:
        decoded: Head | Content | End = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # What the library says may quote the line.
        raise BadStick("a line that no stick of this version has", field="line") from None
    return decoded
