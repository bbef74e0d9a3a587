"""What looks odd in a notice: codes that a list lacks, check digits that do not fit, unusual forms.

Decides what is worth a reader's look.  A flag never refuses anything: lists change, real ships carry
numbers that fail, and refusing is for what cannot be routed.  Flags are computed where a notice is read; only
the verdict on a check digit travels, and `complete_checks` is how a publisher fills it in.

The rules are marks on the schemas' fields: `codes` (a code list) with `initials`, `check_digit`, `form` (a
regular expression), `units`, `range`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from broker.core.catalogue import NoticeType
from schemas.check_digits import check_digit
from schemas.code_lists import code_list
from schemas.walk import Node, Spot, named_types, once_a_node, spots, type_of


class FlagKind(Enum):
    """Why something is flagged."""

    UNKNOWN_CODE = "UNKNOWN_CODE"
    CHECK_DIGIT = "CHECK_DIGIT"
    CHECK_MISSTATED = "CHECK_MISSTATED"
    FORM = "FORM"
    UNIT = "UNIT"
    RANGE = "RANGE"


@dataclass(frozen=True, slots=True)
class Flag:
    """One odd thing: `path` is its field, `list` and `edition` the code list that was asked."""

    path: str
    kind: FlagKind
    list: str | None = None
    edition: str | None = None


def flags(notice_type: NoticeType, values: Mapping[str, Any]) -> list[Flag]:
    """Return what looks odd in the values of a notice's fields, in the order of its schema."""
    return [flag for spot in spots(notice_type.schema, values) for flag in _flags_of(spot)]


def complete_checks(notice_type: NoticeType, notice: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON form of a notice in which every identifier has its verdict.

    An identifier that is only text becomes one with its verdict; a verdict that is there is left as it is.
    """
    return _completed(notice_type.schema, notice, named_types(notice_type.schema))


def _flags_of(spot: Spot) -> Iterator[Flag]:
    marks, value = spot.marks, spot.value
    if "codes" in marks and isinstance(value, str):
        codes = code_list(marks["codes"])
        fits = value.startswith(tuple(marks.get("initials", ""))) if "initials" in marks else True
        if (value not in codes and not codes.is_selection) or not fits:
            yield Flag(spot.path, FlagKind.UNKNOWN_CODE, codes.name, codes.edition)
    if "check_digit" in marks and isinstance(value, Mapping):
        verdict = check_digit(marks["check_digit"], str(value.get("value", "")))
        if verdict == "INVALID":
            yield Flag(spot.path, FlagKind.CHECK_DIGIT)
        if value.get("check", verdict) != verdict:
            yield Flag(spot.path, FlagKind.CHECK_MISSTATED)
    if "form" in marks and isinstance(value, str) and not re.fullmatch(marks["form"], value):
        yield Flag(spot.path, FlagKind.FORM)
    if "units" in marks and isinstance(value, Mapping) and value.get("unit") not in marks["units"]:
        yield Flag(spot.path, FlagKind.UNIT)
    if "range" in marks and isinstance(value, int | Decimal):
        least, most = marks["range"]
        if (least is not None and value < least) or (most is not None and value > most):
            yield Flag(spot.path, FlagKind.RANGE)


@once_a_node
def _with_check_digits(record: Node, names: Mapping[str, Node]) -> Sequence[tuple[Node, Node]]:
    """Return the fields of a record in which there is a check digit, at whatever depth, and their types."""
    found = []
    for field in record["fields"]:
        node, _, _ = type_of(field["type"], names)
        if node["type"] == "record" and ("check_digit" in field or _with_check_digits(node, names)):
            found.append((field, node))
    return found


def _completed(record: Node, values: Mapping[str, Any], names: Mapping[str, Node]) -> dict[str, Any]:
    complete = dict(values)
    for field, node in _with_check_digits(record, names):
        name, value = field["name"], values.get(field["name"])
        if isinstance(value, list):
            complete[name] = [_completed_one(field, node, item, names) for item in value]
        elif value is not None:
            complete[name] = _completed_one(field, node, value, names)
    return complete


def _completed_one(field: Node, node: Node, value: Any, names: Mapping[str, Node]) -> Any:
    kind = field.get("check_digit")
    if kind is not None and isinstance(value, str):
        return {"value": value, "check": check_digit(kind, value)}
    if not isinstance(value, Mapping):
        return value
    if kind is not None and isinstance(value.get("value"), str) and value.get("check") is None:
        return {**value, "check": check_digit(kind, value["value"])}
    return _completed(node, value, names)
