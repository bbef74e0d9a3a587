"""The sql channel: each notice is a row in a table of the member's own, in PostgreSQL or SQLite.

Decides which columns there are; how a row gets there is in `sql_postgres` and `sql_sqlite`.  Row and place
are written in one transaction, so each notice arrives exactly once: after a crash the node asks for the place
and goes on behind it.  A row that is there already, by the delivery's id, is left as it is: a replay brings
back only what was deleted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.channels import Item
from adapters.receiving.shown import shown
from broker.core.records import encode

COLUMNS = (
    ("delivery", "text PRIMARY KEY"),
    ("number", "bigint NOT NULL"),
    ("reference", "text NOT NULL"),
    ("statement", "text NOT NULL"),
    ("type", "text NOT NULL"),
    ("status", "text NOT NULL"),
    ("act", "text NOT NULL"),
    ("originator", "text NOT NULL"),
    ("region", "text NOT NULL"),
    ("lane", "text NOT NULL"),
    ("sequence", "bigint NOT NULL"),
    ("tlp", "text NOT NULL"),
    ("handling", "text NOT NULL"),
    ("issued_at", "{time} NOT NULL"),
    ("decided_at", "{time} NOT NULL"),
    ("retain_until", "{time}"),
    ("feedback_due", "{time}"),
    ("notice", "{json} NOT NULL"),
    ("shown", "{json} NOT NULL"),
    ("envelope", "{bytes} NOT NULL"),
)
"""Names and types.  `number` grows from row to row, in the order of their commits; `notice` has the fields
alone, `shown` all that the folder's JSON has."""

PLACE_COLUMNS = (
    ("channel", "text PRIMARY KEY"),
    ("number", "bigint NOT NULL"),
    ("delivery", "text NOT NULL"),
)


def statements(table: str, *, time: str, json: str, bytes_: str) -> list[str]:
    """Return the statements that make both tables, in an engine's types."""
    return [
        _create(table, [(name, kind.format(time=time, json=json, bytes=bytes_)) for name, kind in COLUMNS]),
        _create(place_table(table), PLACE_COLUMNS),
    ]


def _create(table: str, columns: Any) -> str:
    lines = ",\n".join(f"    {name} {kind}" for name, kind in columns)
    return f"CREATE TABLE IF NOT EXISTS {table} (\n{lines}\n)"


def place_table(table: str) -> str:
    """Return the name of the table in which the place is."""
    return f"{table}_place"


def row_of(item: Item) -> tuple[Any, ...]:
    """Return the values for a delivery, in the order of the columns; times are aware."""
    head, header = item.head, item.notice.header
    object_ = shown(item)
    return (
        item.id.hex(),
        item.number,
        item.notice.reference,
        item.notice.statement.hex(),
        header.notice_type,
        header.status.name,
        header.act.name,
        header.originator,
        header.region.slug,
        head.lane,
        head.sequence,
        header.tlp.name,
        header.handling.name,
        _moment(header.issued_at),
        _moment(head.decided_at),
        _moment(head.obligations.retain_until),
        _moment(head.obligations.feedback_due),
        msgspec.json.encode(object_["notice"]).decode(),
        msgspec.json.encode(object_).decode(),
        encode(item.notice.envelope),
    )


def _moment(at: int | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC)
