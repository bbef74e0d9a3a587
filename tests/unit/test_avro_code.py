"""The code that is made for a schema, held against the careful functions that it leaves the rest to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core import avro_code, records
from broker.core.avro_types import Mismatch
from broker.core.codec import Codec
from broker.core.errors import NotCanonical
from broker.core.model import Delivery
from tests.unit.test_codec import CODEC, EXAMPLE, RECORDS, one, values
from tests.unit.test_codec import mutants as mutants_of
from tests.world import CATALOGUE, notice

GAVE_UP = object()


def is_delivery(data: bytes) -> bool:
    try:
        return isinstance(records.decode(Delivery, data), Delivery)
    except NotCanonical:
        return False


RECORD_CODECS = [(records._CODECS[Delivery], data) for data in filter(is_delivery, RECORDS[Delivery])]
SLOT_CODECS = [
    (notice_type._codecs[slot], encoded)
    for notice_type in CATALOGUE
    if notice_type.name != "sighting"
    for slot, encoded in notice_type.encode_slots(notice(notice_type.name).values).items()
    if encoded
]


def quickly(codec: Codec, data: bytes) -> Any:
    if codec._quick_read is None:
        codec._quick_read = avro_code.reader(codec._type)
    try:
        return codec._quick_read(data)
    except avro_code.GIVES_UP:
        return GAVE_UP


def carefully(codec: Codec, data: bytes) -> Any:
    try:
        return codec.decode_carefully(data)
    except NotCanonical:
        return GAVE_UP


@given(mutants_of(values.map(CODEC.encode)) | st.binary(max_size=40))
def test_bytes_that_the_code_takes_are_taken_by_the_functions_as_the_same(data: bytes) -> None:
    found = quickly(CODEC, data)
    if found is not GAVE_UP:
        assert found == carefully(CODEC, data)
        assert CODEC.encode(found) == data


@given(st.data())
def test_so_are_changed_records_and_slots(data: st.DataObject) -> None:
    codec, encoded = data.draw(st.sampled_from(RECORD_CODECS + SLOT_CODECS))
    changed = data.draw(mutants_of(st.just(encoded)))
    found = quickly(codec, changed)
    if found is not GAVE_UP:
        assert found == carefully(codec, changed)
        assert codec.encode(found) == changed


@given(values)
def test_what_is_in_order_needs_no_functions(value: dict[str, Any]) -> None:
    """Else the code would be of no use, and nobody would notice."""
    data = CODEC.encode_carefully(value)
    assert avro_code.writer(CODEC._type)(value) == data
    assert avro_code.reader(CODEC._type)(data) == value


def test_real_records_and_slots_need_no_functions_either() -> None:
    for codec, data in RECORD_CODECS + SLOT_CODECS:
        value = avro_code.reader(codec._type)(data)
        assert value == codec.decode_carefully(data)
        assert avro_code.writer(codec._type)(value) == data == codec.encode_carefully(value)


WRONG = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=5) | st.just([0])


@given(st.data(), values)
def test_a_value_that_the_code_writes_is_written_by_the_functions_as_the_same(
    data: st.DataObject, value: dict[str, Any]
) -> None:
    field = data.draw(st.sampled_from(sorted(value)))
    changed = {**value, field: data.draw(WRONG)}
    if data.draw(st.booleans()):
        del changed[data.draw(st.sampled_from(sorted(changed)))]
    try:
        written = avro_code.writer(CODEC._type)(changed)
    except avro_code.GIVES_UP:
        return
    assert written == CODEC.encode_carefully(changed)


class Text(str):
    """Text by inheritance."""

    __slots__ = ()


def test_what_the_code_does_not_know_the_functions_still_write() -> None:
    assert CODEC.encode({**EXAMPLE, "text": Text("a")}) == CODEC.encode({**EXAMPLE, "text": "a"})
    left_out = {key: value for key, value in EXAMPLE.items() if key != "maybe"}
    assert CODEC.encode(left_out) == CODEC.encode(EXAMPLE)


def test_an_enum_of_more_than_a_byte_holds_is_read_and_written() -> None:
    codec = one({"type": "enum", "name": "E", "symbols": [f"S{number}" for number in range(200)]})
    for symbol in ("S0", "S63", "S64", "S199"):
        assert codec.decode(codec.encode({"it": symbol})) == {"it": symbol}
    with pytest.raises(NotCanonical):
        codec.decode(bytes.fromhex("9003"))


def test_the_deepest_schema_that_is_allowed_can_be_made_into_code() -> None:
    kind: object = "long"
    for _ in range(15):
        kind = {"type": "array", "items": kind}
    codec, value = one(kind), {"it": []}
    assert codec.decode(codec.encode(value)) == value


def test_a_schema_that_names_a_type_often_makes_its_code_once() -> None:
    """Each record holds two of the one before: written out, that would be 2¹⁴ pieces of code."""
    fields: list[Any] = [
        {"name": "r0", "type": {"type": "record", "name": "R0", "fields": [{"name": "it", "type": "long"}]}}
    ]
    for number in range(1, 15):
        inner = [{"name": name, "type": f"R{number - 1}"} for name in ("a", "b")]
        fields.append(
            {
                "name": f"r{number}",
                "type": ["null", {"type": "record", "name": f"R{number}", "fields": inner}],
            }
        )
    codec = Codec({"type": "record", "name": "Many", "fields": fields})
    value = {"r0": {"it": 7}} | {f"r{number}": None for number in range(1, 15)}
    assert codec.decode(codec.encode(value)) == value
    maker = avro_code._Reader()
    maker.record(codec._type)
    assert len(maker._lines) < 500


def test_nothing_of_a_schema_but_names_and_numbers_gets_into_the_code() -> None:
    hostile = "x'); import os #"
    symbols = {"type": "enum", "name": "E", "symbols": ["A"], "doc": hostile}
    codec = Codec(
        {
            "type": "record",
            "name": "R",
            "doc": hostile,
            "fields": [{"name": "class", "type": symbols, "doc": hostile, "sensitivity": hostile}],
        }
    )
    assert codec.decode(codec.encode({"class": "A"})) == {"class": "A"}
    for maker in (avro_code._Reader(), avro_code._Writer()):
        maker.record(codec._type)
        assert "import" not in "\n".join(maker._lines)


def test_a_count_that_the_bytes_cannot_hold_costs_nothing() -> None:
    digests = {"type": "array", "items": {"type": "fixed", "name": "D", "size": 32}}
    with pytest.raises(NotCanonical, match="too early"):
        one(digests).decode(bytes.fromhex("feffffffffffffff7f"))


def test_a_fault_is_named_as_the_functions_name_it() -> None:
    with pytest.raises(Mismatch) as caught:
        CODEC.encode({**EXAMPLE, "parts": [{"name": 1, "digest": None, "nested": []}]})
    assert caught.value.field == "parts.0.name"
