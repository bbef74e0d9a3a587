"""The values of a notice as JSON: what people write by hand and programs exchange.

Decides only the form: decimals and times are strings (`"12.500"`, `"2026-01-01T00:00:00.000Z"`), bytes
are hex, enums their symbols, a field that is null may be left out.  What fits a schema is decided by
`catalogue` when the values are encoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from broker.core.avro_types import Mismatch
from broker.core.catalogue import NoticeType
from broker.core.codec import LATEST
from broker.core.errors import BadSlot
from broker.core.model import Slot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
# What no limit of the profile would let pass anyway: such a string is not worth a big number's work.
_MOST_NUMBER_LETTERS = 64


def values_from_json(notice_type: NoticeType, obj: object) -> dict[str, Any]:
    """Return the values of a notice, every field of its type, from their JSON form.

    Raises:
        BadSlot: `field` is the path to what does not fit.
    """
    whole = {"type": "record", "fields": [field for slot in Slot for field in notice_type.fields(slot)]}
    try:
        values: dict[str, Any] = _from_json(whole, obj)
    except Mismatch as mismatch:
        raise BadSlot(str(mismatch), field=mismatch.field) from None
    return values


def values_to_json(notice_type: NoticeType, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON form of the fields that `values` holds, of one slot or of many."""
    kinds = {field["name"]: field["type"] for slot in Slot for field in notice_type.fields(slot)}
    return {name: _to_json(kinds[name], value) for name, value in values.items()}


def time_from_json(text: object) -> int:
    """Return the UTC milliseconds of an ISO 8601 time with its offset, `Z` or `+07:00`.

    Raises:
        Mismatch: It is none, or finer than a millisecond.
    """
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise Mismatch("not a time such as 2026-01-01T00:00:00Z")
    try:
        time = (datetime.fromisoformat(text) - _EPOCH) // _MS
    except ValueError:
        raise Mismatch("not a time of the calendar") from None
    if not 0 <= time <= LATEST:
        raise Mismatch("a time before 1970")
    return time


def time_to_json(time: int) -> str:
    """Return UTC milliseconds as `2026-01-01T00:00:00.000Z`."""
    return (_EPOCH + time * _MS).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def time_or_none(time: int | None) -> str | None:
    """Return the same, or None where there is no time."""
    return None if time is None else time_to_json(time)


def _from_json(kind: Any, value: object) -> Any:
    match kind:
        case ["null", other]:
            return None if value is None else _from_json(other, value)
        case {"type": "record", "fields": fields}:
            return _record_from_json(fields, value)
        case {"type": "array", "items": items}:
            if not isinstance(value, list):
                raise Mismatch("not a list")
            return [_at(str(place), _from_json, items, item) for place, item in enumerate(value)]
        case {"logicalType": "timestamp-millis"}:
            return time_from_json(value)
        case {"logicalType": "decimal"}:
            return _decimal_from_json(value)
        case "bytes" | {"type": "bytes" | "fixed"}:
            return _bytes_from_json(value)
        case _:
            # Numbers, text, booleans and symbols are themselves; the codec judges them.
            return value


def _record_from_json(fields: list[Mapping[str, Any]], value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Mismatch("not an object")
    for name in value.keys() - {field["name"] for field in fields}:
        mismatch = Mismatch("no such field")
        mismatch.steps.append(str(name)[:64])
        raise mismatch
    return {
        field["name"]: _at(field["name"], _from_json, field["type"], value.get(field["name"]))
        for field in fields
    }


def _at(step: str, do: Callable[[Any, object], Any], kind: Any, value: object) -> Any:
    try:
        return do(kind, value)
    except Mismatch as mismatch:
        mismatch.steps.append(step)
        raise


def _decimal_from_json(value: object) -> Decimal:
    # A JSON number would have gone through a float before it came here.
    if not isinstance(value, str) or len(value) > _MOST_NUMBER_LETTERS:
        raise Mismatch("not a decimal number in quotes")
    try:
        return Decimal(value)
    except InvalidOperation:
        raise Mismatch("not a decimal number in quotes") from None


def _bytes_from_json(value: object) -> bytes:
    if not isinstance(value, str):
        raise Mismatch("not hex digits")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise Mismatch("not hex digits") from None


def _to_json(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    match kind:
        case ["null", other]:
            return _to_json(other, value)
        case {"type": "record", "fields": fields}:
            return {field["name"]: _to_json(field["type"], value[field["name"]]) for field in fields}
        case {"type": "array", "items": items}:
            return [_to_json(items, item) for item in value]
        case {"logicalType": "timestamp-millis"}:
            return time_to_json(value)
        case {"logicalType": "decimal"}:
            return f"{value:f}"
        case "bytes" | {"type": "bytes" | "fixed"}:
            return value.hex()
        case _:
            return value
