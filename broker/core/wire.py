"""What member and hub say to each other over HTTP: JSON objects, bytes in base64.

Only shapes; paths and status codes are in `docs/protocol.md`.  Both sides decode strictly by these
types, so that a field of the wrong kind is an error that names the field.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar, cast

import msgspec
from msgspec import Struct

from broker.core.errors import NotCanonical

T = TypeVar("T")

_READERS: dict[Any, msgspec.json.Decoder[Any]] = {object: msgspec.json.Decoder(object)}

NOT_HERE = "not-here"
"""The code, with status 503, of a process of the hub whose part another is: ask another address."""


class Wire(Struct, frozen=True, omit_defaults=True):
    """A JSON object on the wire."""


class Publication(Wire, frozen=True):
    """POST /v1/notices: encoded envelopes, in the order in which they were numbered."""

    envelopes: list[bytes]


class Asked(Wire, frozen=True):
    """POST /v1/audit/reads, on the hub's machine: who asks what, and of which statements the answer tells."""

    reader: str
    reason: str
    ids: list[bytes]


class Outcome(Wire, frozen=True):
    """What the gateway did with one envelope.  `accepted` means durable, not yet admitted."""

    statement: str | None
    reference: str | None
    status: Literal["accepted", "refused", "not-attempted"]
    code: str | None = None
    field: str | None = None


class Outcomes(Wire, frozen=True):
    """The answer to a publication, one outcome for each envelope in order."""

    results: list[Outcome]


class Inclusion(Wire, frozen=True):
    """An inclusion path (RFC 9162) to the tree of the answer's checkpoint."""

    index: int
    path: list[bytes]


class Covering(Wire, frozen=True):
    """An earlier checkpoint (a signed note), and how the answer's checkpoint continues it (RFC 9162).

    It bears the time at which the log took something in, where the answer's own checkpoint came much later.
    """

    note: bytes
    path: list[bytes]


class StreamPosition(Wire, frozen=True):
    """GET /v1/streams/<region>/<stream>: the last admitted statement of one's own stream."""

    sequence: int
    statement: str | None


class StatementStatus(Wire, frozen=True):
    """GET /v1/statements/<id>: how far one's own statement has come.

    `decision` is the encoded record; `refused` the dispatcher's code.  The inclusions are there once
    a published checkpoint (`checkpoint`, a signed note) covers them; `covered` is the first that covered the
    decision, if that is long ago.
    """

    statement: str
    reference: str
    durable: bool
    decided: bool
    refused: str | None = None
    deliveries: int = 0
    receipts: dict[str, int] = {}
    decision: bytes | None = None
    statement_inclusion: Inclusion | None = None
    decision_inclusion: Inclusion | None = None
    checkpoint: bytes | None = None
    covered: Covering | None = None
    last: StreamPosition | None = None


class Statements(Wire, frozen=True):
    """POST /v1/statements: ids of one's own statements, in hexadecimal."""

    statements: list[str]


class Statuses(Wire, frozen=True):
    """The answer: how far statements have come, in the order of the question, perhaps not all of them."""

    statuses: list[StatementStatus]


class FeedItem(Wire, frozen=True):
    """One delivery (encoded record) with its inclusion path under the feed's checkpoint."""

    place: int
    delivery: bytes
    index: int
    path: list[bytes]


class Feed(Wire, frozen=True):
    """GET /v1/feed?after=<place>&limit=<n>&wait=<seconds>: what comes after `after`.

    `checkpoint` is a signed note, absent only before the first one; `next` is the place to ask from;
    `behind` how many more deliveries are ready.  `covered` has, for items that the log took in long before
    this checkpoint, the checkpoints that covered them then.
    """

    items: list[FeedItem]
    next: int
    behind: int = 0
    checkpoint: bytes | None = None
    covered: list[Covering] = []


class HeadAnswer(Wire, frozen=True):
    """GET /v1/head: the newest head of one's own inbox that is in the log, as an encoded record.

    `inclusion` is its path under `checkpoint`; all of them absent before the first head.
    """

    head: bytes | None = None
    inclusion: Inclusion | None = None
    checkpoint: bytes | None = None


class Consistency(Wire, frozen=True):
    """GET /v1/consistency?from=<size>&to=<size>: that the second tree continues the first (RFC 9162)."""

    path: list[bytes]


class Receipts(Wire, frozen=True):
    """POST /v1/receipts: encoded signed receipts."""

    receipts: list[bytes]


class DirectoryFiles(Wire, frozen=True):
    """GET /v1/directory?known=<version>: what of a version of the signed directory another one has not.

    `files` are texts by the names that they have in a directory (docs/formats.md): metadata, the timestamp
    and every root among them, and entries and agreements by SHA-256.  Of agreements the member's own alone.
    """

    version: str
    files: dict[str, str]


class DirectoryTaken(Wire, frozen=True):
    """POST /v1/directory: the change was taken; `version` is the first that has it."""

    version: str


class Problem(Wire, frozen=True):
    """Every answer that is not a success."""

    code: str
    message: str
    field: str | None = None


def json_shape(shape: type[T]) -> type[T]:
    """Take a type as one that `read` reads, where it is defined: while its module is imported.

    msgspec looks into a type when it first reads it.  Two threads that do so at once end the process.
    """
    _READERS[shape] = msgspec.json.Decoder(shape)
    return shape


def read(data: bytes, shape: type[T]) -> T:
    """Return the value of a JSON text in its shape, which is `object` or a `json_shape`.

    Raises:
        NotCanonical: It is no JSON, or not of that shape; `field` names the place.
    """
    try:
        return cast("T", _READERS[shape].decode(data))
    except msgspec.ValidationError as error:
        _, found, path = str(error).rpartition("`$")
        raise NotCanonical("not of its shape", field=path.strip("`.") if found else None) from None
    except msgspec.DecodeError as error:
        raise NotCanonical(f"no JSON: {error}") from None  # tells the place alone, never the text
    except UnicodeDecodeError:
        raise NotCanonical("no JSON: not in UTF-8") from None
    except RecursionError:
        raise NotCanonical("no JSON: nested too deeply") from None


for _shape in Wire.__subclasses__():
    json_shape(_shape)
