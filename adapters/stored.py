"""Values as they come back from the node's store, where anybody who can write the file could have put them.

SQLite sees to it that a number is a number and bytes are bytes; what stands in them is this node's business.
Decides that what this node did not write ends in one error that names table and column, and that nothing goes
on from a guess: which of the other values are still right, nobody can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from broker.core.agreements import Reference
from broker.core.errors import Refused, StoreDamaged
from broker.core.records import decode
from broker.core.wire import json_shape, read

T = TypeVar("T")

_REFERENCE = json_shape(Reference)


@contextmanager
def stored(column: str) -> Iterator[None]:
    """Read a value of `column` (`table.column`), or say that it is none that this node writes.

    Raises:
        StoreDamaged: It is not.
    """
    try:
        yield
    except StoreDamaged:
        raise
    except (
        Refused, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
        msgspec.MsgspecError,
    ):  # fmt: skip
        raise damaged(column) from None


def damaged(column: str) -> StoreDamaged:
    """Return the error that names a column."""
    return StoreDamaged(
        "the store holds what this node did not write: restore it from a backup", field=column
    )


def stored_record(kind: type[T], value: bytes, column: str) -> T:
    """Return the record of a column.

    Raises:
        StoreDamaged: It is none.
    """
    with stored(column):
        return decode(kind, value)


def stored_reference(value: bytes) -> Reference:
    """Return what `refs.value` says of a statement.

    Raises:
        StoreDamaged: It says nothing.
    """
    with stored("refs.value"):
        return read(value, _REFERENCE)
