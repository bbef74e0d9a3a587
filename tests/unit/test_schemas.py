"""The notice types, their words, their code lists and their flags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unicodedata import is_normalized

import pytest

from adapters.sending.draft import Draft
from broker.core import model
from broker.core.catalogue import NoticeType
from broker.core.errors import BadConfiguration
from broker.core.model import Slot
from broker.core.notice_json import values_from_json, values_to_json
from schemas import (
    LANGUAGES,
    code_list,
    code_lists,
    labels,
    load_catalogue,
    notice_schemas,
    type_name,
)
from schemas.catalogue_page import PAGE, catalogue_page
from schemas.check_digits import KINDS
from schemas.flags import Flag, FlagKind, complete_checks, flags
from schemas.walk import Node, named_types, type_of
from tests.notices import NOTICES, drug_parcel, feedback, hazardous_waste

ROOT = Path(__file__).parents[2]
AT = 1_795_594_800_000
TYPES = {one.name: one for one in load_catalogue()}
MARKS = {
    "name", "type", "doc", "sensitivity", "codes", "initials", "check_digit", "form", "units", "unit",
    "range",
}  # fmt: skip

each_type = pytest.mark.parametrize("notice_type", TYPES.values(), ids=TYPES)


def nodes(schema: Node) -> Iterator[tuple[str, Node]]:
    """Yield every named type of a schema with its name."""
    yield from named_types(schema).items()


def fields(schema: Node) -> Iterator[tuple[str, Node]]:
    """Yield every field of a schema's records with its record's name."""
    for name, node in nodes(schema):
        for field in node.get("fields", ()):
            yield name, field


# --- the schemas -------------------------------------------------------------------------------------


def test_the_four_types_of_this_version_are_there() -> None:
    assert {one.schema["code"]: name for name, one in TYPES.items()} == {
        "N01": "drug-parcel",
        "N02": "hazardous-waste",
        "N08": "revenue-fraud",
        "N19": "feedback",
    }


@each_type
def test_file_and_record_carry_the_name_of_the_type(notice_type: NoticeType) -> None:
    assert type_name(notice_type.schema) == notice_type.name
    assert notice_type.schema["namespace"] == "halong.notice.v1"


@each_type
def test_a_type_says_its_usual_mark_and_what_is_always_sealed(notice_type: NoticeType) -> None:
    assert notice_type.schema["tlp"] in model.Tlp.__members__
    assert set(notice_type.schema["sealed"]) <= {slot.label for slot in Slot}


@each_type
def test_every_field_and_named_type_has_a_doc_and_every_top_field_a_slot(notice_type: NoticeType) -> None:
    schema = notice_type.schema
    assert not [name for name, node in nodes(schema) if node["type"] != "fixed" and not node.get("doc")]
    assert not [(record, field["name"]) for record, field in fields(schema) if not field.get("doc")]
    for record, field in fields(schema):
        assert ("sensitivity" in field) == (record == schema["name"]), (record, field["name"])


@each_type
def test_every_mark_is_one_that_something_reads(notice_type: NoticeType) -> None:
    for record, field in fields(notice_type.schema):
        assert set(field) <= MARKS, (record, field["name"])
        if "codes" in field:
            assert field["codes"] in code_lists()
        if "check_digit" in field:
            assert field["check_digit"] in KINDS
        if "form" in field:
            re.compile(field["form"])
        if "units" in field:
            assert set(field["units"]) <= set(code_list("units"))


@each_type
def test_facts_hold_codes_and_never_free_text(notice_type: NoticeType) -> None:
    """Free text is where systems that may hold nothing nominal leak."""

    def walk(field: Node, allowed: frozenset[str]) -> None:
        node, _, _ = type_of(field["type"], {})
        if node["type"] == "record":
            inside = frozenset({"value"}) if "check_digit" in field else frozenset[str]()
            for one in node["fields"]:
                walk(one, inside)
        elif node["type"] == "string":
            assert "codes" in field or "form" in field or field["name"] in allowed, field["name"]

    for field in notice_type.fields(Slot.FACTS):
        walk(field, frozenset())


@each_type
def test_numbers_that_name_a_thing_have_a_place_for_their_check(notice_type: NoticeType) -> None:
    names = named_types(notice_type.schema)
    for record, field in fields(notice_type.schema):
        node, _, _ = type_of(field["type"], names)
        assert (node.get("name") == "Identifier") == ("check_digit" in field), (record, field["name"])


@each_type
def test_what_is_about_persons_is_in_their_slot_alone(notice_type: NoticeType) -> None:
    personal = {"Person", "RelatedPerson", "Payment", "IdentityDocument"}
    for slot in set(Slot) - {Slot.PERSONS}:
        used = {type_of(field["type"], {})[0].get("name") for field in notice_type.fields(slot)}
        assert not used & personal


def test_the_same_name_means_the_same_in_every_type() -> None:
    known: dict[str, Any] = {}
    for schema in notice_schemas().values():
        for name, node in nodes(schema):
            if name != schema["name"]:
                assert known.setdefault(name, _by_name(node)) == _by_name(node), name


def test_every_type_has_the_common_fields() -> None:
    shared = [
        {
            (field["name"], field["sensitivity"], json.dumps(field["type"], sort_keys=True), field["doc"])
            for slot in Slot
            for field in notice_type.fields(slot)
        }
        for notice_type in TYPES.values()
    ]
    assert {name for name, *_ in set.intersection(*shared)} == {
        "grading", "urgency", "severity", "certainty", "suggested_action", "officer_safety", "external_ids",
        "contact", "narrative", "attachments",
    }  # fmt: skip


def _by_name(node: Any) -> Any:
    """Return a definition with the types inside it by their names alone."""
    match node:
        case {"type": "record", "fields": inner}:
            return {
                **node,
                "fields": [{**field, "type": _use(field["type"])} for field in inner],
            }
        case _:
            return node


def _use(node: Any) -> Any:
    match node:
        case ["null", other]:
            return ["null", _use(other)]
        case {"type": "array", "items": items}:
            return {"type": "array", "items": _use(items)}
        case {"name": name}:
            return name
        case _:
            return node


# --- words --------------------------------------------------------------------------------------------


def _keys(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_has_a_word_in_every_language(language: str) -> None:
    words = labels(language)
    missing = [
        f"{record}.{field['name']}"
        for notice_type in TYPES.values()
        for record, field in fields(notice_type.schema)
        if not words.find_field(record, field["name"])
    ]
    missing += [
        f"{name}.{symbol}"
        for notice_type in TYPES.values()
        for name, node in nodes(notice_type.schema)
        for symbol in node.get("symbols", ())
        if not words.find_symbol(name, symbol)
    ]
    tables = words.tables
    expected: list[tuple[str, set[str]]] = [
        ("types", set(TYPES)),
        ("slots", set(Slot.__members__)),
        ("statuses", set(model.Status.__members__)),
        ("banners", set(model.Status.__members__) - {"ACTUAL"}),
        ("banner_notes", set(model.Status.__members__) - {"ACTUAL"}),
        ("acts", set(model.Act.__members__)),
        ("tlp", set(model.Tlp.__members__)),
        ("handling", set(model.Handling.__members__)),
        ("regions", set(model.Region.__members__)),
        ("onward", set(model.Onward.__members__)),
        ("states", {"SHOWN", "NONE", "WITHHELD", "SEALED"}),
        ("state_notes", {"NONE", "WITHHELD", "SEALED"}),
        ("flags", set(FlagKind.__members__)),
    ]
    missing += [
        f"{table}: {keys ^ set(tables[table])}" for table, keys in expected if set(tables[table]) != keys
    ]
    assert not missing


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_left_over_empty_or_oddly_encoded(language: str) -> None:
    tables = labels(language).tables
    used = {field["name"] for one in TYPES.values() for _, field in fields(one.schema)}
    used_in = {(record, field["name"]) for one in TYPES.values() for record, field in fields(one.schema)}
    enums = {
        (name, symbol)
        for one in TYPES.values()
        for name, node in nodes(one.schema)
        for symbol in node.get("symbols", ())
    }
    plain = {name for name, word in tables["fields"].items() if isinstance(word, str)}
    special = {
        (record, name)
        for record, words in tables["fields"].items()
        if isinstance(words, Mapping)
        for name in words
    }
    assert not plain - used
    assert not special - used_in
    assert {(name, symbol) for name, words in tables["enums"].items() for symbol in words} == enums
    for key, word in _keys(tables):
        assert word.strip() == word != "", key
        assert is_normalized("NFC", word), key


def test_the_languages_have_the_same_words_with_the_same_places_to_fill_in() -> None:
    english, vietnamese = (dict(_keys(labels(language).tables)) for language in LANGUAGES)
    assert english.keys() == vietnamese.keys()
    for key, word in english.items():
        assert sorted(re.findall(r"{\w+}", word)) == sorted(re.findall(r"{\w+}", vietnamese[key])), key


def test_a_language_without_words_is_named() -> None:
    with pytest.raises(BadConfiguration, match="en, vi"):
        labels("xx")


# --- code lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", code_lists())
def test_a_code_list_has_each_code_once_with_an_english_name(name: str) -> None:
    listed = code_list(name)
    lines = (ROOT / f"schemas/codes/{name}/{listed.edition}.csv").read_text("utf-8").splitlines()
    assert len(lines) - 1 == len(listed) > 0
    for code, names in listed.codes.items():
        assert code
        assert names["en"]
        assert all(is_normalized("NFC", text) and text == text.strip() for text in names.values())


@pytest.mark.parametrize("name", code_lists())
def test_the_origin_of_every_code_list_is_written_down(name: str) -> None:
    readme = (ROOT / "schemas/codes/README.md").read_text("utf-8")
    assert re.search(
        rf"^\| `{name}` {re.escape(code_list(name).edition)} \| {len(code_list(name)):,} \|",
        readme,
        re.MULTILINE,
    )


def test_the_harmonized_system_is_complete() -> None:
    codes = set(code_list("hs", "2022"))
    assert [sum(len(code) == digits for code in codes) for digits in (2, 4, 6)] == [97, 1229, 5613]
    assert {code[:-2] for code in codes if len(code) > 2} <= codes


def test_every_country_has_a_vietnamese_name() -> None:
    assert len(code_list("countries")) == 249
    assert all(names["vi"] for names in code_list("countries").codes.values())
    assert code_list("countries").find_name("NL", "vi") is not None
    assert "ZZ" not in code_list("countries")


def test_an_edition_holds_what_counted_then() -> None:
    basel = code_list("basel", "2025-01-01")
    assert {"Y49", "A1181", "B3011", "D10", "R3", "H4.1"} <= set(basel)
    assert not {"A1180", "B1110", "B3010", "B4030"} & set(basel)


def test_members_of_the_wco_have_a_region_of_the_model() -> None:
    regions = {names["region"] for names in code_list("wco-members").codes.values()}
    assert regions == set(model.Region.__members__)


def test_the_substances_carry_numbers_whose_check_digits_fit() -> None:
    for name, one in code_list("substances").codes.items():
        assert not one["cas"] or KINDS["cas"](one["cas"].replace("-", "")), name  # type: ignore[misc]  # not None


@pytest.mark.parametrize(("name", "edition"), [("hs", "1988"), ("nonsense", None), ("../labels", None)])
def test_a_list_or_edition_that_is_not_there_is_named(name: str, edition: str | None) -> None:
    with pytest.raises(BadConfiguration, match="there are"):
        code_list(name, edition)


# --- examples -----------------------------------------------------------------------------------------


@each_type
def test_the_example_of_each_type_fills_every_field_and_survives_encoding(notice_type: NoticeType) -> None:
    values = values_from_json(notice_type, NOTICES[notice_type.name]())
    assert not [name for name, value in values.items() if value is None]
    encoded = notice_type.encode_slots(values)
    decoded = {
        name: value for slot in Slot for name, value in notice_type.decode_slot(slot, encoded[slot]).items()
    }
    assert decoded == values
    assert values_from_json(notice_type, values_to_json(notice_type, decoded)) == values


@each_type
def test_a_slot_other_than_facts_can_be_empty(notice_type: NoticeType) -> None:
    example = NOTICES[notice_type.name]()
    needed = {
        field["name"]: example[field["name"]]
        for field in notice_type.fields(Slot.FACTS)
        if not isinstance(field["type"], list)
    }
    encoded = notice_type.encode_slots(needed)
    assert len(needed) == 1
    assert encoded[Slot.FACTS]
    assert not any(encoded[slot] for slot in set(Slot) - {Slot.FACTS})


def test_the_examples_to_publish_are_right_and_odd_in_nothing() -> None:
    files = sorted((ROOT / "deploy/examples/notices").glob("*.json"))
    assert [file.stem for file in files] == sorted(TYPES)
    for file in files:
        obj = json.loads(file.read_text("utf-8"))
        draft = Draft.from_json(obj, load_catalogue(), member="jp", region=model.Region.ASIA_PACIFIC, at=AT)
        notice_type = TYPES[draft.notice_type]
        values = draft.values(notice_type)
        assert not flags(notice_type, values)
        sealed = {slot for slot in Slot if slot.label in notice_type.schema["sealed"]}
        assert not any(values[field["name"]] for slot in sealed for field in notice_type.fields(slot))


def test_the_page_of_the_catalogue_is_the_one_that_the_schemas_make() -> None:
    made = catalogue_page()
    assert (ROOT / PAGE).read_text("utf-8") == made, "run: python -m schemas.catalogue_page"
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", made, re.MULTILINE)}
    assert set(re.findall(r"\(#([^)]+)\)", made)) <= anchors


# --- flags --------------------------------------------------------------------------------------------


def _flags(notice_type: str, notice: Mapping[str, Any]) -> list[Flag]:
    return flags(TYPES[notice_type], values_from_json(TYPES[notice_type], notice))


def test_the_examples_have_just_the_flag_that_is_meant() -> None:
    assert _flags("drug-parcel", drug_parcel()) == [Flag("postal_item", FlagKind.CHECK_DIGIT)]
    assert not [flag for name in set(TYPES) - {"drug-parcel"} for flag in _flags(name, NOTICES[name]())]


FLAGGED: dict[str, tuple[str, Mapping[str, Any], Flag]] = {
    "a code of an older edition": (
        "revenue-fraud",
        {"scope": "TREND", "declared_hs": "940540"},
        Flag("declared_hs", FlagKind.UNKNOWN_CODE, "hs", "2022"),
    ),
    "a country that is none": (
        "drug-parcel",
        {"channel": "POST", "route": {"origin": {"country": "ZZ"}}},
        Flag("route.origin.country", FlagKind.UNKNOWN_CODE, "countries", "2026-05"),
    ),
    "a code that is deleted": (
        "hazardous-waste",
        {"consent_status": "NONE", "annex_codes": ["A3210", "A1180"]},
        Flag("annex_codes.1", FlagKind.UNKNOWN_CODE, "basel", "2025-01-01"),
    ),
    "a code of the right list in the wrong field": (
        "hazardous-waste",
        {"consent_status": "NONE", "operation": "Y48"},
        Flag("operation", FlagKind.UNKNOWN_CODE, "basel", "2025-01-01"),
    ),
    "a container whose digit does not fit": (
        "hazardous-waste",
        {"consent_status": "NONE", "containers": [{"value": "CSQU3054384", "check": "INVALID"}]},
        Flag("containers.0", FlagKind.CHECK_DIGIT),
    ),
    "an unusual form": (
        "hazardous-waste",
        {"consent_status": "NONE", "un_numbers": ["UN3077"]},
        Flag("un_numbers.0", FlagKind.FORM),
    ),
    "mass in pounds": (
        "drug-parcel",
        {"channel": "POST", "gross_mass": {"value": "3", "unit": "LBR"}},
        Flag("gross_mass", FlagKind.UNIT),
    ),
    "more than all": (
        "revenue-fraud",
        {"scope": "TREND", "undervaluation": None, "quantity": {"value": "-1", "unit": "H87"}},
        Flag("quantity.value", FlagKind.RANGE),
    ),
    "usefulness above the scale": ("feedback", feedback(usefulness=6), Flag("usefulness", FlagKind.RANGE)),
}


@pytest.mark.parametrize("case", FLAGGED)
def test_what_is_odd_is_flagged_and_can_be_sent_all_the_same(case: str) -> None:
    name, notice, flag = FLAGGED[case]
    assert _flags(name, notice) == [flag]
    TYPES[name].encode_slots(values_from_json(TYPES[name], notice))


def test_a_verdict_that_is_not_the_computed_one_is_flagged() -> None:
    claimed = {"value": "CP001020301NL", "check": "VALID"}
    assert [flag.kind for flag in _flags("drug-parcel", {"channel": "POST", "postal_item": claimed})] == [
        FlagKind.CHECK_DIGIT,
        FlagKind.CHECK_MISSTATED,
    ]


def test_a_place_outside_of_the_chosen_ones_is_no_flag() -> None:
    place = {"country": "NL", "location": "NLXXX"}
    assert not _flags("drug-parcel", {"channel": "POST", "route": {"origin": place}})


def test_the_publisher_gets_its_verdicts_filled_in_at_every_depth() -> None:
    notice = hazardous_waste(
        containers=["CSQU3054383", {"value": "CSQU3054384"}, {"value": "X", "check": "VALID"}],
        ship={"imo": "8814274"},
        constituents=[{"cas": {"value": "87-86-5"}}],
    )
    before = json.dumps(notice)
    complete = complete_checks(TYPES["hazardous-waste"], notice)
    assert [one["check"] for one in complete["containers"]] == ["VALID", "INVALID", "VALID"]
    assert complete["ship"] == {"imo": {"value": "8814274", "check": "INVALID"}}
    assert complete["constituents"] == [{"cas": {"value": "87-86-5", "check": "VALID"}}]
    assert json.dumps(notice) == before
    assert complete_checks(TYPES["drug-parcel"], {"house_waybill": "1Z"}) == {
        "house_waybill": {"value": "1Z", "check": "NOT_CHECKABLE"}
    }


@pytest.mark.parametrize(
    "notice",
    [{}, {"postal_item": 7}, {"route": "x"}, {"substances": [1, None, {"cas": []}]}, {"nonsense": {}}],
)
def test_what_fits_no_schema_passes_through_to_be_refused_later(notice: dict[str, Any]) -> None:
    assert complete_checks(TYPES["drug-parcel"], notice) == notice
