"""What the member said, as a value, and what the codes of refusals mean for it.

Leaves to `outgoing` how it is kept, and to `outbox` what is done about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adapters.sending.draft import Draft
from adapters.stored import stored
from broker.core.error_codes import error_of
from broker.core.model import Region

RENUMBER = frozenset({"equivocation", "stale", "out-of-order", "not-attempted"})
"""The statement cannot be admitted; what it says can, under another number."""

SIGN_AGAIN = frozenset({"unknown-key", "bad-signature", "not-yours"})
"""The hub does not know our key, or knows another: ours to mend, not the notice's fault."""

SEND_AGAIN = frozenset({"not-yet-valid", "not-member", "too-many", "unavailable"})
"""The same bytes may pass later."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A draft in the queue, and how far it has come."""

    id: int
    draft: Draft
    queued_at: int
    state: str
    code: str | None
    field: str | None
    statement: bytes | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Stream:
    """The stream that the node writes in a region; `reserved` is the highest number ever given out."""

    region: Region
    name: str
    reserved: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A signed statement; `key` is the id of the key that signed it."""

    id: bytes
    draft: int
    region: Region
    stream: str
    sequence: int
    previous: bytes | None
    envelope: bytes
    key: bytes
    state: str
    changed_at: int


def read_statement(
    id_: bytes, draft: int, region: int, stream: str, sequence: int, previous: bytes | None, envelope: bytes,
    key: bytes, state: str, changed_at: int,
) -> Statement:  # fmt: skip
    """Return the statement of a row of `said`.

    Raises:
        StoreDamaged: Its region is none.
    """
    where = read_region(region, "statements.region")
    return Statement(id_, draft, where, stream, sequence, previous, envelope, key, state, changed_at)


def read_queued(
    id_: int, draft: bytes, queued_at: int, state: str, code: str | None, field: str | None,
    statement: bytes | None, region: int | None, stream: str | None, sequence: int | None,
) -> Queued:  # fmt: skip
    """Return a draft, and the statement that it was signed as, if it was.

    Raises:
        StoreDamaged: It is none, or its region is none.
    """
    reference = None
    if region is not None:
        reference = f"{read_region(region, 'statements.region').slug}/{stream}/{sequence}"
    return Queued(id_, Draft.from_stored(draft), queued_at, state, code, field, statement, reference)


def read_region(region: int, column: str) -> Region:
    """Return the region of a column.

    Raises:
        StoreDamaged: It is none.
    """
    with stored(column):
        return Region(region)


def fitting(statements: Iterable[Statement], most_bytes: int) -> list[Statement]:
    """Return the first whose envelopes fit together, at least one; the others go the next time."""
    size = 0
    found: list[Statement] = []
    for each in statements:
        size += len(each.envelope)
        if found and size > most_bytes:
            break
        found.append(each)
    return found


def code_to_keep(code: str) -> str:
    """Return a code as it may be kept and shown: a hub could answer anything."""
    return code if error_of(code) is not None else "refused"
