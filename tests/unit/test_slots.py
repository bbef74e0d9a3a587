"""How a notice type falls into slots, what stands in them, and what their digests hide."""

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.catalogue import Catalogue, NoticeType
from broker.core.codec import Codec
from broker.core.errors import BadConfiguration, BadSlot, UnknownSchema, UnknownType
from broker.core.model import Slot
from broker.core.notice import draft
from broker.core.slots import check_text, disclose, expanded, slot_digest, slot_schemas
from tests.vectors.material import CATALOGUE, SAMPLE

ROOT = Path(__file__).parents[2]
TYPES = [
    NoticeType(path.stem, json.loads(path.read_bytes()))
    for path in sorted(ROOT.glob("schemas/notice/*.avsc"))
]

MASS = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6}
TWO_SPACES: dict[str, Any] = {
    "type": "record",
    "name": "Sample",
    "namespace": "halong.test.v1",
    "fields": [
        {
            "name": "place",
            "sensitivity": "facts",
            "type": {
                "type": "record",
                "name": "Place",
                "doc": "Where.",
                "fields": [
                    {"name": "country", "codes": "countries", "type": "string"},
                    {"name": "mass", "type": ["null", MASS]},
                ],
            },
        },
        {"name": "from", "sensitivity": "persons", "type": ["null", "Place"]},
        {"name": "to", "sensitivity": "persons", "type": ["null", "halong.test.v1.Place"]},
        {
            "name": "kinds",
            "sensitivity": "intelligence",
            "type": [
                "null",
                {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Kind",
                        "namespace": "halong.other.v1",
                        "fields": [
                            {
                                "name": "grade",
                                "type": {"type": "enum", "name": "Grade", "symbols": ["A", "B"]},
                            },
                            {"name": "seen", "type": "halong.test.v1.Place"},
                        ],
                    },
                },
            ],
        },
        {"name": "grade", "sensitivity": "attachments", "type": ["null", "halong.other.v1.Grade"]},
    ],
}


def test_a_type_is_defined_where_a_slot_first_uses_it() -> None:
    place = {
        "type": "record",
        "name": "Place",
        "fields": [{"name": "country", "type": "string"}, {"name": "mass", "type": ["null", MASS]}],
    }
    schemas = slot_schemas(TWO_SPACES)

    assert schemas[Slot.FACTS]["fields"] == [{"name": "place", "type": place}]
    assert schemas[Slot.PERSONS] == {
        "type": "record",
        "name": "Sample_persons",
        "namespace": "halong.test.v1",
        "fields": [{"name": "from", "type": ["null", place]}, {"name": "to", "type": ["null", "Place"]}],
    }
    assert schemas[Slot.ATTACHMENTS]["fields"][0]["type"][1] == {
        "type": "enum",
        "name": "Grade",
        "namespace": "halong.other.v1",
        "symbols": ["A", "B"],
    }


@pytest.mark.parametrize("schema", [TWO_SPACES, *(one.schema for one in TYPES)], ids=lambda one: one["name"])
def test_each_slot_has_a_schema_that_ordinary_tools_read(schema: dict[str, Any]) -> None:
    schemas = slot_schemas(schema)
    for one in schemas.values():
        fastavro.parse_schema(json.loads(json.dumps(one)))
        Codec(one)
    names = [field["name"] for slot in Slot for field in schemas[slot]["fields"]]
    assert sorted(names) == sorted(field["name"] for field in schema["fields"])


def test_marks_of_fields_stay_where_people_ask_for_them() -> None:
    (place,) = NoticeType("sample", TWO_SPACES).fields(Slot.FACTS)
    assert place["type"]["fields"][0]["codes"] == "countries"
    assert expanded(TWO_SPACES)["fields"][1]["type"][1]["fields"][0]["codes"] == "countries"


@pytest.mark.parametrize("mark", [None, "secrets", "FACTS"])
def test_a_field_without_a_slot_is_refused(mark: str | None) -> None:
    schema = {**TWO_SPACES, "fields": [{"name": "a", "type": "long", "sensitivity": mark}]}
    with pytest.raises(BadConfiguration):
        NoticeType("sample", schema)


@pytest.mark.parametrize("name", ["", "A", "a", "a b", "-a"])
def test_a_notice_type_has_a_proper_name(name: str) -> None:
    with pytest.raises(BadConfiguration):
        NoticeType(name, TWO_SPACES)


# --- text ---------------------------------------------------------------------------------------------

WANTED = [
    "",
    "plain",
    "tab\tand line\nfeed",
    "Đường Nguyễn Huệ",
    "海関",
    "a\u00a0b",
    "\U0001f6a2",
    "x" * 16_384,
]
UNWANTED = [
    *("a" + chr(code) for code in (0, 8, 11, 12, 13, 31, 127, 128, 159, 0x61C, 0x200E, 0x200F)),
    *("a" + chr(code) for code in (0x2028, 0x2029, 0x202A, 0x202E, 0x2066, 0x2069)),
    "e\u0301",
    "\u212b",
    "x" * 16_385,
    "é" * 8_193,
]


@pytest.mark.parametrize("text", WANTED)
def test_text_that_reads_the_same_to_everybody_passes(text: str) -> None:
    check_text(text)


@pytest.mark.parametrize("text", UNWANTED, ids=lambda text: repr(text)[:20])
def test_text_that_does_not_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="text"):
        check_text(text)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), max_size=50))
def test_ordinary_text_in_nfc_passes(text: str) -> None:
    check_text(unicodedata.normalize("NFC", text))


# --- values -------------------------------------------------------------------------------------------

VALUES = {"hs_code": "293311", "net_mass_g": 1, "item_id": None, "consignee": None}


def test_a_slot_whose_fields_are_all_null_is_empty() -> None:
    slots = SAMPLE.encode_slots(VALUES)

    assert slots[Slot.FACTS]
    assert all(slots[slot] == b"" for slot in Slot if slot is not Slot.FACTS)
    assert SAMPLE.decode_slot(Slot.IDENTIFIERS, b"") == {"item_id": None}
    assert SAMPLE.decode_slot(Slot.ENTITIES, b"") == {}


def test_a_field_that_is_left_out_is_null() -> None:
    assert SAMPLE.encode_slots({"hs_code": "293311", "net_mass_g": 1}) == SAMPLE.encode_slots(VALUES)


REFUSED_VALUES = {
    "a missing field": ({"hs_code": None}, "hs_code"),
    "a field that there is not": ({"hs": "29"}, "hs"),
    "a number for text": ({"item_id": 7}, "item_id"),
    "text that is unwanted": ({"consignee": "a\u202eb"}, "consignee"),
}


@pytest.mark.parametrize(("change", "field"), REFUSED_VALUES.values(), ids=REFUSED_VALUES)
def test_a_value_that_does_not_fit_is_refused_by_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadSlot) as caught:
        SAMPLE.encode_slots({**VALUES, **change})
    assert caught.value.field == field


REFUSED_SLOTS = {
    "empty although a field cannot be null": (Slot.FACTS, "", "hs_code"),
    "not empty although every field is null": (Slot.PERSONS, "00", "persons"),
    "content where no field is": (Slot.ENTITIES, "00", "entities"),
    "a byte left": (Slot.PERSONS, "02026100", "persons"),
    "unwanted text": (Slot.PERSONS, "020207", "consignee"),
    "an index past the union": (Slot.IDENTIFIERS, "040261", "item_id"),
    "ends too early": (Slot.IDENTIFIERS, "02", "identifiers"),
}


@pytest.mark.parametrize(("slot", "data", "field"), REFUSED_SLOTS.values(), ids=REFUSED_SLOTS)
def test_a_slot_that_is_not_in_its_one_encoding_is_refused(slot: Slot, data: str, field: str) -> None:
    with pytest.raises(BadSlot) as caught:
        SAMPLE.decode_slot(slot, bytes.fromhex(data))
    assert caught.value.field == field


def test_no_slot_has_more_than_64_kib() -> None:
    schema = {
        **TWO_SPACES,
        "fields": [{"name": "all", "sensitivity": "facts", "type": {"type": "array", "items": "string"}}],
    }
    notice_type = NoticeType("sample", schema)
    line = "x" * 1_020

    assert len(notice_type.encode_slots({"all": [line] * 64})[Slot.FACTS]) <= 65_536
    with pytest.raises(BadSlot):
        notice_type.encode_slots({"all": [line] * 65})


def test_numbers_of_other_spelling_have_one_encoding() -> None:
    notice_type = NoticeType("sample", TWO_SPACES)
    one, other = (
        notice_type.encode_slots({"place": {"country": "VN", "mass": Decimal(mass)}})
        for mass in ("1.5", "1.500")
    )
    assert one == other


def test_salts_make_equal_slots_look_different() -> None:
    one, other = (draft(SAMPLE, VALUES)[0] for _ in range(2))
    assert not set(one) & set(other)


def test_a_digest_is_of_the_slot_the_salt_and_the_value() -> None:
    digests = {
        slot_digest(disclose(slot, value, salt))
        for slot in (Slot.FACTS, Slot.PERSONS)
        for value in (b"", b"a")
        for salt in (bytes(16), b"\1" * 16)
    }
    assert len(digests) == 8


# --- the catalogue ------------------------------------------------------------------------------------


def other_sample() -> NoticeType:
    return NoticeType("sample", TWO_SPACES)


def test_a_type_is_found_under_every_schema_that_is_known_of_it() -> None:
    other = other_sample()
    catalogue = Catalogue([SAMPLE, other])

    assert catalogue.find("sample", SAMPLE.digest) is SAMPLE
    assert catalogue.find("sample", other.digest) is other
    assert catalogue.current("sample") is other
    assert list(catalogue) == [SAMPLE, other]
    assert Catalogue([SAMPLE, other, SAMPLE]).current("sample") is SAMPLE


@pytest.mark.parametrize(
    ("error", "name", "digest"),
    [(UnknownType, "samples", SAMPLE.digest), (UnknownSchema, "sample", other_sample().digest)],
)
def test_what_is_not_known_is_refused(error: type[Exception], name: str, digest: bytes) -> None:
    with pytest.raises(error):
        CATALOGUE.find(name, digest)
    with pytest.raises(UnknownType):
        CATALOGUE.current("samples")
