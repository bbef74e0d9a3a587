"""Notices as JSON: what goes out comes back, and what does not fit is refused by its path."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.avro_types import Mismatch
from broker.core.catalogue import NoticeType
from broker.core.codec import LATEST
from broker.core.errors import BadSlot
from broker.core.model import Slot
from broker.core.notice_json import time_from_json, time_to_json, values_from_json, values_to_json

ROOT = Path(__file__).parents[2]
TYPES = [
    NoticeType(path.stem, json.loads(path.read_bytes()))
    for path in sorted(ROOT.glob("schemas/notice/*.avsc"))
]
EVERY = NoticeType(
    "every",
    {
        "type": "record",
        "name": "Every",
        "fields": [
            {"name": "mass", "sensitivity": "facts", "type": ["null", {
                "type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6,
            }]},
            {"name": "at", "sensitivity": "facts", "type": {
                "type": "long", "logicalType": "timestamp-millis",
            }},
            {"name": "digest", "sensitivity": "attachments", "type": ["null", {
                "type": "fixed", "name": "Digest", "size": 4,
            }]},
            {"name": "data", "sensitivity": "attachments", "type": ["null", "bytes"]},
            {"name": "lines", "sensitivity": "intelligence", "type": ["null", {"type": "array", "items": {
                "type": "record", "name": "Line", "fields": [
                    {"name": "text", "type": "string"},
                    {"name": "digests", "type": {"type": "array", "items": "Digest"}},
                ],
            }}]},
            {"name": "checked", "sensitivity": "facts", "type": ["null", "boolean"]},
            {"name": "count", "sensitivity": "facts", "type": ["null", "long"]},
        ],
    },
)  # fmt: skip
OBJECT = {
    "mass": "1.500000",
    "at": "2026-01-01T00:00:00.250Z",
    "digest": "00010203",
    "data": "ff",
    "lines": [{"text": "a", "digests": ["00010203"]}],
    "checked": True,
    "count": 7,
}


def strategy(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type of an expanded schema."""
    match kind:
        case ["null", other]:
            return st.none() | strategy(other)
        case {"type": "record", "fields": fields}:
            return st.fixed_dictionaries({field["name"]: strategy(field["type"]) for field in fields})
        case {"type": "array", "items": items}:
            return st.lists(strategy(items), max_size=2)
        case {"type": "enum", "symbols": symbols}:
            return st.sampled_from(symbols)
        case {"logicalType": "timestamp-millis"}:
            return st.integers(0, LATEST)
        case {"logicalType": "decimal", "precision": precision, "scale": scale}:
            most = 10**precision - 1
            return st.integers(-most, most).map(lambda number: Decimal(number).scaleb(-scale))
        case {"type": "fixed", "size": size}:
            return st.binary(min_size=size, max_size=size)
        case "string":
            return st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=5)
        case "int" | "long":
            return st.integers(-1_000, 1_000)
        case "boolean":
            return st.booleans()
        case "bytes":
            return st.binary(max_size=5)
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize("notice_type", [EVERY, *TYPES], ids=lambda one: one.name)
@settings(max_examples=15)  # some types have fifty fields
@given(data=st.data())
def test_values_come_back_from_json_and_from_slots(notice_type: NoticeType, data: st.DataObject) -> None:
    fields = [field for slot in Slot for field in notice_type.fields(slot)]
    values = {field["name"]: data.draw(strategy(field["type"])) for field in fields}

    text = json.dumps(values_to_json(notice_type, values))
    assert values_from_json(notice_type, json.loads(text)) == values

    slots = notice_type.encode_slots(values)
    assert {
        name: one for slot in Slot for name, one in notice_type.decode_slot(slot, slots[slot]).items()
    } == values


def test_json_has_decimals_and_times_in_quotes_and_bytes_in_hex() -> None:
    values = values_from_json(EVERY, OBJECT)

    assert values["mass"] == Decimal("1.5")
    assert values["at"] == 1_767_225_600_250
    assert values["lines"] == [{"text": "a", "digests": [bytes((0, 1, 2, 3))]}]
    assert values_to_json(EVERY, EVERY.decode_slot(Slot.FACTS, EVERY.encode_slots(values)[Slot.FACTS])) == {
        "mass": "1.500000",
        "at": "2026-01-01T00:00:00.250Z",
        "checked": True,
        "count": 7,
    }


def test_a_field_that_is_left_out_is_null() -> None:
    assert values_from_json(EVERY, {"at": OBJECT["at"]})["lines"] is None


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a number in no quotes": ({"mass": 1.5}, "mass"),
    "a number that is none": ({"mass": "1,5"}, "mass"),
    "a number of a million digits": ({"mass": "1" * 1_000_000}, "mass"),
    "a time without its offset": ({"at": "2026-01-01T00:00:00"}, "at"),
    "a time as a number": ({"at": 1_767_225_600_250}, "at"),
    "a missing time": ({"at": None}, "at"),
    "a day that there is not": ({"at": "2026-02-30T00:00:00Z"}, "at"),
    "a time before 1970": ({"at": "1969-12-31T23:59:59Z"}, "at"),
    "a time of a week": ({"at": "2026-W01-1T00:00:00Z"}, "at"),
    "a time finer than a millisecond": ({"at": "2026-01-01T00:00:00.1234Z"}, "at"),
    "no hex": ({"data": "fg"}, "data"),
    "bytes as numbers": ({"digest": [0]}, "digest"),
    "a list that is none": ({"lines": {}}, "lines"),
    "an object that is none": ({"lines": ["a"]}, "lines.0"),
    "a fault inside": ({"lines": [{"text": "a", "digests": ["00", "zz"]}]}, "lines.0.digests.1"),
    "a field that there is not": ({"lines": [{"text": "a", "digests": [], "more": 1}]}, "lines.0.more"),
}


@pytest.mark.parametrize(("change", "field"), REFUSED.values(), ids=REFUSED)
def test_json_that_does_not_fit_is_refused_by_its_path(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadSlot) as caught:
        values_from_json(EVERY, {**OBJECT, **change})
    assert caught.value.field == field
    assert "zz" not in str(caught.value)


@pytest.mark.parametrize("obj", [None, [], "text", 7])
def test_a_notice_is_an_object(obj: object) -> None:
    with pytest.raises(BadSlot):
        values_from_json(EVERY, obj)


@given(st.integers(0, LATEST))
def test_a_time_comes_back(time: int) -> None:
    assert time_from_json(time_to_json(time)) == time


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T07:00:00.5+07:00", 500),
        ("1970-01-01T00:01Z", 60_000),
        ("9999-12-31T23:59:59.999Z", LATEST),
    ],
)
def test_times_have_offsets(text: str, time: int) -> None:
    assert time_from_json(text) == time


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59.999-01:00", "1970-01-01T00:00:00Z\n", "١٩٧٠-01-01T00:00:00Z"]
)
def test_what_only_looks_like_a_time_is_refused(text: str) -> None:
    with pytest.raises(Mismatch):
        time_from_json(text)
