"""Which statement people mean, and how a statement is told in an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from broker.audit.base import Base
from broker.core.errors import NotFound
from broker.core.model import Act, Region, Status, Tlp

REFERENCE = re.compile(r"(?:halong:)?([a-z0-9-]+)/([a-z-]+)/([a-z0-9-]+)/([1-9][0-9]{0,17})")
LEAST_DIGITS = 8
COLUMNS = (
    "s.id, s.originator, s.region, s.stream, s.sequence, s.type, s.status, s.act, s.tlp, s.issued_at,"
    " s.decided_at"
)
_REGIONS = {region.slug: region for region in Region}


@dataclass(frozen=True, slots=True)
class Told:
    """A statement, as far as everybody is told who gets anything of it."""

    statement: bytes
    reference: str
    originator: str
    notice_type: str
    status: Status
    act: Act
    tlp: Tlp
    issued_at: int
    decided_at: int | None


def told(row: tuple[Any, ...]) -> Told:
    """Return the statement in a row of `COLUMNS`."""
    id_, originator, region, stream, sequence, notice_type, status, act, tlp, issued_at, decided_at = row
    reference = f"halong:{originator}/{Region(region).slug}/{stream}/{sequence}"
    return Told(
        id_, reference, originator, notice_type, Status(status), Act(act), Tlp(tlp), issued_at, decided_at
    )


def find(base: Base, name: str) -> Told:
    """Return the statement that `name` means: a reference, or the beginning of its id.

    Raises:
        NotFound: There is none, or more than one.
    """
    rows = _rows(base, name)
    # Of two under one number one was admitted at most, and that is the one that is quoted.
    decided = [row for row in rows if row[-1] is not None]
    chosen = decided or rows
    if not chosen:
        raise NotFound("the log has no such statement", field="reference")
    if len(chosen) > 1:
        raise NotFound("more than one statement is called so: give more of its id", field="reference")
    return told(chosen[0])


def _rows(base: Base, name: str) -> list[tuple[Any, ...]]:
    select = f"SELECT {COLUMNS} FROM statement s WHERE"  # noqa: S608 - columns from above
    parts = REFERENCE.fullmatch(name)
    if parts is not None and parts[2] in _REGIONS:
        query = f"{select} s.originator = ? AND s.region = ? AND s.stream = ? AND s.sequence = ?"
        return base.rows(query, parts[1], int(_REGIONS[parts[2]]), parts[3], int(parts[4]))
    if len(name) < LEAST_DIGITS or len(name) > 64 or re.fullmatch(r"[0-9a-f]+", name) is None:
        return []
    low, high = bytes.fromhex(name.ljust(64, "0")), bytes.fromhex(name.ljust(64, "f"))
    return base.rows(f"{select} s.id >= ? AND s.id <= ? LIMIT 2", low, high)
