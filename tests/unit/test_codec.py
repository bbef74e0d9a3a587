"""One value, one encoding: held against fastavro, which shares no code with ours."""

from __future__ import annotations

import json
import struct
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core import records
from broker.core.avro_types import Mismatch
from broker.core.codec import LATEST, Codec, check_schema, schema_digest
from broker.core.errors import BadConfiguration, NotCanonical
from broker.core.model import Delivery, Envelope, Header

ROOT = Path(__file__).parents[2]

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Everything",
    "namespace": "halong.test.v1",
    "fields": [
        {"name": "flag", "type": "boolean"},
        {"name": "count", "type": "long"},
        {"name": "small", "type": "int"},
        {"name": "data", "type": "bytes"},
        {"name": "text", "type": "string"},
        {"name": "maybe", "type": ["null", "string"]},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B", "C"]}},
        {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 4}},
        {"name": "kinds", "type": {"type": "array", "items": "Kind"}},
        {
            "name": "parts",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Part",
                    "fields": [
                        {"name": "name", "type": "string"},
                        {"name": "digest", "type": ["null", "halong.test.v1.Digest"]},
                        {
                            "name": "nested",
                            "type": {"type": "array", "items": {"type": "array", "items": "long"}},
                        },
                    ],
                },
            },
        },
        {"name": "other", "type": ["null", "Part"]},
    ],
}
CODEC = Codec(SCHEMA)
THEIRS = fastavro.parse_schema(SCHEMA)

longs = st.integers(-(1 << 63), (1 << 63) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
parts = st.fixed_dictionaries(
    {
        "name": texts,
        "digest": st.none() | st.binary(min_size=4, max_size=4),
        "nested": st.lists(st.lists(longs, max_size=3), max_size=3),
    }
)
values = st.fixed_dictionaries(
    {
        "flag": st.booleans(),
        "count": longs,
        "small": st.integers(-(1 << 31), (1 << 31) - 1),
        "data": st.binary(max_size=100),
        "text": texts,
        "maybe": st.none() | texts,
        "kind": st.sampled_from("ABC"),
        "digest": st.binary(min_size=4, max_size=4),
        "kinds": st.lists(st.sampled_from("ABC"), max_size=3),
        "parts": st.lists(parts, max_size=3),
        "other": st.none() | parts,
    }
)


def their_encoding(value: object) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, THEIRS, value)
    return out.getvalue()


def is_theirs(data: bytes) -> bool:
    """Decode, nothing left, encode again, compare."""
    stream = BytesIO(data)
    try:
        value = fastavro.schemaless_reader(stream, THEIRS, None)
        return not stream.read() and their_encoding(value) == data
    # Their reader fails in many ways on bytes that it was not made for; each of them is a refusal.
    except (ValueError, IndexError, EOFError, OverflowError, TypeError, struct.error):
        return False


def accepted(codec: Codec, data: bytes) -> Any:
    try:
        return codec.decode(data)
    except NotCanonical:
        return None


@st.composite
def mutants(draw: st.DrawFn, encodings: st.SearchStrategy[bytes]) -> bytes:
    """Bytes that were right, with some of them changed, added or taken away."""
    data = bytearray(draw(encodings))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["set", "flip", "insert", "delete", "cut"])):
            case "set" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=3))
            case "delete":
                del data[at : at + 1]
            case "cut":
                del data[at:]
            case _:
                pass
    return bytes(data)


@given(values)
def test_what_was_encoded_decodes_to_the_same(value: dict[str, Any]) -> None:
    data = CODEC.encode(value)
    assert data == their_encoding(value)
    assert CODEC.decode(data) == value


@given(mutants(values.map(CODEC.encode)))
def test_changed_bytes_are_refused_or_are_the_encoding_of_what_they_decode_to(data: bytes) -> None:
    value = accepted(CODEC, data)
    if value is not None:
        assert CODEC.encode(value) == data


@given(mutants(values.map(CODEC.encode)) | st.binary(max_size=40))
def test_the_verdict_is_that_of_decoding_and_encoding_again_with_fastavro(data: bytes) -> None:
    """But for numbers of 32 bits: fastavro does not look at their range."""
    value = accepted(CODEC, data)
    if value is not None:
        assert is_theirs(data)
    elif is_theirs(data):
        theirs: Any = fastavro.schemaless_reader(BytesIO(data), THEIRS, None)
        small = theirs["small"]
        assert not -(1 << 31) <= small < 1 << 31


RECORDS = {
    cls: [
        bytes.fromhex(one)
        for one in json.loads((ROOT / "tests/vectors/formats.json").read_bytes())["delivery"].values()
        if isinstance(one, str) and len(one) > 400
    ]
    for cls in (Delivery,)
}


@given(mutants(st.sampled_from(RECORDS[Delivery])))
def test_changed_records_are_refused_or_are_the_encoding_of_what_they_decode_to(data: bytes) -> None:
    try:
        delivery = records.decode(Delivery, data)
    except NotCanonical:
        return
    assert records.encode(delivery) == data
    for cls, part in ((Header, delivery.envelope and delivery.envelope.header), (Envelope, data)):
        try:
            record: Any = records.decode(cls, part or b"")
        except NotCanonical:
            continue
        assert records.encode(record) == part


@pytest.mark.parametrize("path", sorted(ROOT.glob("schemas/**/*.avsc")), ids=lambda path: path.stem)
def test_every_schema_of_ours_is_one_that_is_allowed(path: Path) -> None:
    check_schema(json.loads(path.read_bytes()))


# --- refused bytes ------------------------------------------------------------------------------------


def one(kind: object, **options: Any) -> Codec:
    return Codec({"type": "record", "name": "One", "fields": [{"name": "it", "type": kind}]}, **options)


LONGS = {"type": "array", "items": "long"}
CENTS = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
TIME = {"type": "long", "logicalType": "timestamp-millis"}
REFUSED_BYTES = {
    "a number in two bytes that needs one": ("long", "8000", "more bytes than it needs"),
    "a number that goes on for ever": ("long", "ff" * 11, "more than 64 bits"),
    "a number of 65 bits": ("long", "ffffffffffffffffff03", "more than 64 bits"),
    "a number that ends too early": ("long", "80", "too early"),
    "a number of 33 bits where 32 are": ("int", "8080808010", "not between"),
    "a length below zero": ("bytes", "01", "below zero"),
    "a length below zero, in two bytes": ("bytes", "8101", "below zero"),
    "a length past the end": ("bytes", "0400", "too early"),
    "nothing where a length is": ("bytes", "", "too early"),
    "text that is not UTF-8": ("string", "02ff", "UTF-8"),
    "text with half a surrogate pair": ("string", "06eda080", "UTF-8"),
    "a fixed that ends too early": ({"type": "fixed", "name": "F", "size": 2}, "00", "too early"),
    "a third truth": ("boolean", "02", "neither"),
    "a truth that is missing": ("boolean", "", "too early"),
    "an enum past its end": ({"type": "enum", "name": "E", "symbols": ["A"]}, "02", "enum"),
    "an enum below zero": ({"type": "enum", "name": "E", "symbols": ["A"]}, "01", "enum"),
    "a union past its end": (["null", "long"], "0400", "union"),
    "a union's index in two bytes": (["null", "long"], "820000", "union"),
    "an array in two blocks": (LONGS, "0200020000", "several blocks"),
    "an array with its size": (LONGS, "01020000", "block with a size"),
    "an array that is not closed": (LONGS, "0200", "too early"),
    "an array of more items than there are bytes": (LONGS, "feffffffffffffff7f", "too early"),
    "a decimal of no bytes": (CENTS, "00", "fewer bytes"),
    "a decimal with a needless zero": (CENTS, "040001", "fewer bytes"),
    "a decimal with a needless sign": (CENTS, "04ffff", "fewer bytes"),
    "a decimal of five digits": (CENTS, "042710", "more than 4 digits"),
    "a time before 1970": (TIME, "01", "not between"),
    "a time after 9999": (TIME, "80f0bbeeff9f7300", "not between"),
}


@pytest.mark.parametrize(("kind", "data", "why"), REFUSED_BYTES.values(), ids=REFUSED_BYTES)
def test_bytes_that_are_not_the_one_encoding_are_refused(kind: object, data: str, why: str) -> None:
    with pytest.raises(NotCanonical, match=why):
        one(kind).decode(bytes.fromhex(data))


def test_bytes_that_are_left_are_refused() -> None:
    with pytest.raises(NotCanonical, match="1 bytes are left"):
        one("boolean").decode(b"\x00\x00")


def test_the_place_of_a_fault_is_named() -> None:
    with pytest.raises(NotCanonical) as caught:
        CODEC.decode(CODEC.encode(EXAMPLE)[:-1] + b"\x80\x00")
    assert caught.value.field == "other.nested"


EXAMPLE: dict[str, Any] = {
    "flag": True,
    "count": 1,
    "small": 1,
    "data": b"",
    "text": "",
    "maybe": None,
    "kind": "A",
    "digest": bytes(4),
    "kinds": [],
    "parts": [{"name": "a", "digest": None, "nested": []}],
    "other": {"name": "", "digest": None, "nested": []},
}


# --- refused values -----------------------------------------------------------------------------------

REFUSED_VALUES: dict[str, tuple[dict[str, Any], str | None]] = {
    "a missing field": ({"text": None}, "text"),
    "a field that there is not": ({"more": 1}, "more"),
    "a truth for a number": ({"count": True}, "count"),
    "a number of 65 bits": ({"count": 1 << 63}, "count"),
    "a number of 33 bits": ({"small": -(1 << 31) - 1}, "small"),
    "text for bytes": ({"data": "x"}, "data"),
    "bytes for text": ({"text": b"x"}, "text"),
    "half a surrogate pair": ({"text": "\ud800"}, "text"),
    "a number for a truth": ({"flag": 1}, "flag"),
    "an unknown symbol": ({"kind": "D"}, "kind"),
    "a symbol that cannot be one": ({"kind": ["A"]}, "kind"),
    "five bytes for four": ({"digest": bytes(5)}, "digest"),
    "text for a list": ({"kinds": "A"}, "kinds"),
    "a list for an object": ({"other": []}, "other"),
    "a fault inside": (
        {"parts": [EXAMPLE["other"], {"name": 1, "digest": None, "nested": []}]},
        "parts.1.name",
    ),
}


@pytest.mark.parametrize(("change", "field"), REFUSED_VALUES.values(), ids=REFUSED_VALUES)
def test_a_value_that_is_not_of_the_schema_is_refused(change: dict[str, Any], field: str | None) -> None:
    with pytest.raises(Mismatch) as caught:
        CODEC.encode({**EXAMPLE, **change})
    assert caught.value.field == field


def test_a_record_is_of_its_class() -> None:
    with pytest.raises(Mismatch):
        Codec(records.SCHEMAS[Envelope], classes={"Envelope": Envelope}).encode({})
    with pytest.raises(Mismatch):
        one("null").encode({"it": 0})


# --- logical types ------------------------------------------------------------------------------------


@given(st.integers(-9_999, 9_999))
def test_decimals_are_twos_complement_in_the_fewest_bytes(unscaled: int) -> None:
    codec, value = one(CENTS), Decimal(unscaled).scaleb(-2)
    data = codec.encode({"it": value})
    number = data[1:]

    assert codec.decode(data) == {"it": value}
    assert int.from_bytes(number, "big", signed=True) == unscaled
    assert len(number) == 1 or int.from_bytes(number[1:], "big", signed=True) != unscaled


@pytest.mark.parametrize("text", ["NaN", "Infinity", "100.00", "-100", "0.001", "1e999999999", "1e-99999"])
def test_a_number_that_the_decimal_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(Mismatch):
        one(CENTS).encode({"it": Decimal(text)})


@pytest.mark.parametrize(
    "text", ["1", "1.50", "1.5000000000000000000000000000000", "99.99", "-99.99", "0E+9"]
)
def test_a_decimal_is_its_number_not_its_spelling(text: str) -> None:
    codec = one(CENTS)
    assert codec.decode(codec.encode({"it": Decimal(text)}))["it"] == Decimal(text)


def test_a_float_is_no_decimal() -> None:
    with pytest.raises(Mismatch):
        one(CENTS).encode({"it": 1.5})


@pytest.mark.parametrize("time", [0, LATEST])
def test_the_first_and_the_last_time_pass(time: int) -> None:
    codec = one(TIME)
    assert codec.decode(codec.encode({"it": time})) == {"it": time}


@pytest.mark.parametrize("time", [-1, LATEST + 1])
def test_a_time_out_of_range_is_refused_but_where_it_is_judged_elsewhere(time: int) -> None:
    with pytest.raises(Mismatch):
        one(TIME).encode({"it": time})
    lax = one(TIME, any_time=True)
    assert lax.decode(lax.encode({"it": time})) == {"it": time}


def test_unwanted_text_is_refused_in_both_directions() -> None:
    def small(text: str) -> None:
        if text.isupper():
            raise ValueError("capitals")

    with pytest.raises(Mismatch, match="capitals"):
        one("string", text=small).encode({"it": "A"})
    with pytest.raises(NotCanonical, match="capitals"):
        one("string", text=small).decode(b"\x02A")


# --- refused schemas ----------------------------------------------------------------------------------

EMPTY = {"type": "record", "name": "Empty", "fields": []}
REFUSED_TYPES: dict[str, Any] = {
    "a float": "float",
    "a double": {"type": "double"},
    "a map": {"type": "map", "values": "long"},
    "itself": ["null", "One"],
    "a type that there is not": "Nothing",
    "a union of three": ["null", "long", "string"],
    "a union of one": ["null"],
    "a union whose null is second": ["long", "null"],
    "a union without null": ["long", "string"],
    "a union in a union": ["null", ["null", "long"]],
    "a union of null and null": ["null", "null"],
    "a union of null and nothing": ["null", EMPTY],
    "an array of null": {"type": "array", "items": "null"},
    "an array of empty records": {"type": "array", "items": EMPTY},
    "an array without items": {"type": "array"},
    "a fixed of no bytes": {"type": "fixed", "name": "F", "size": 0},
    "a fixed of a million bytes": {"type": "fixed", "name": "F", "size": 1_000_000},
    "a duration": {"type": "fixed", "name": "F", "size": 12, "logicalType": "duration"},
    "a decimal in a fixed": {
        "type": "fixed",
        "name": "F",
        "size": 2,
        "logicalType": "decimal",
        "precision": 2,
    },
    "a date": {"type": "int", "logicalType": "date"},
    "a uuid": {"type": "string", "logicalType": "uuid"},
    "times in text": {"type": "string", "logicalType": "timestamp-millis"},
    "a decimal without precision": {"type": "bytes", "logicalType": "decimal"},
    "a decimal of no digits": {"type": "bytes", "logicalType": "decimal", "precision": 0},
    "a decimal of a thousand digits": {"type": "bytes", "logicalType": "decimal", "precision": 1_000},
    "more scale than precision": {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3},
    "a scale below zero": {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": -1},
    "a scale that is no number": {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": "1"},
    "an enum without symbols": {"type": "enum", "name": "E", "symbols": []},
    "an enum with a symbol twice": {"type": "enum", "name": "E", "symbols": ["A", "A"]},
    "an enum with a symbol that is no name": {"type": "enum", "name": "E", "symbols": ["a-b"]},
    "a type without a name": {"type": "enum", "symbols": ["A"]},
    "a name that is none": {"type": "enum", "name": "a b", "symbols": ["A"]},
    "a name with a line feed at its end": {"type": "enum", "name": "E\n", "symbols": ["A"]},
    "a namespace that is none": {"type": "enum", "name": "E", "namespace": "a..b", "symbols": ["A"]},
    "a type's name twice": {"type": "record", "name": "One", "fields": []},
    "a field twice": {
        "type": "record",
        "name": "Two",
        "fields": [{"name": "a", "type": "long"}, {"name": "a", "type": "long"}],
    },
    "a field without a type": {"type": "record", "name": "Two", "fields": [{"name": "a"}]},
    "a field whose name is none": {
        "type": "record",
        "name": "Two",
        "fields": [{"name": "1", "type": "long"}],
    },
    "a field that is none": {"type": "record", "name": "Two", "fields": ["a"]},
    "a number": 7,
    "null as a type": None,
}


@pytest.mark.parametrize("kind", REFUSED_TYPES.values(), ids=REFUSED_TYPES)
def test_a_type_that_is_not_allowed_is_refused(kind: object) -> None:
    with pytest.raises(BadConfiguration):
        one(kind)


@pytest.mark.parametrize("schema", ["string", [], {"type": "enum", "name": "E", "symbols": ["A"]}, {}])
def test_a_schema_is_a_record(schema: Any) -> None:
    with pytest.raises(BadConfiguration):
        check_schema(schema)


def test_a_schema_that_is_nested_for_ever_is_refused() -> None:
    kind: object = "long"
    for _ in range(100):
        kind = {"type": "array", "items": kind}
    with pytest.raises(BadConfiguration, match="too deeply"):
        one(kind)


def test_docs_do_not_change_a_digest_but_marks_do() -> None:
    documented = json.loads(json.dumps(SCHEMA))
    documented["fields"][9]["type"]["items"]["doc"] = "A part."
    marked = json.loads(json.dumps(SCHEMA))
    marked["fields"][0]["sensitivity"] = "facts"

    assert schema_digest(documented) == schema_digest(SCHEMA)
    assert schema_digest(marked) != schema_digest(SCHEMA)
