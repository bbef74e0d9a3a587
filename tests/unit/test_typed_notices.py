"""Typed notices: the classes are those of the schemas, and say what the JSON form says."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.notices import CLASSES, DrugParcel, Money, Person, Route
from adapters.notices.shared import Place
from adapters.typed import WITHHELD
from broker.core.catalogue import NoticeType
from broker.core.model import Slot
from broker.core.notice_json import values_from_json
from schemas import load_catalogue
from schemas.flags import complete_checks
from schemas.json_schema import json_schema
from schemas.typed import FOLDER, files
from schemas.walk import named_types
from tests.notices import NOTICES

ROOT = Path(__file__).parents[2]
TYPES = {one.name: one for one in load_catalogue()}
ALWAYS = {
    one["name"]
    for notice_type in TYPES.values()
    for node in named_types(notice_type.schema).values()
    for one in node.get("fields", ())
    if not isinstance(one["type"], list)
}
"""Fields that are needed somewhere; leaving in too much is no harm."""
ALL_SHOWN = {slot.label: "shown" for slot in Slot}

each_type = pytest.mark.parametrize("name", sorted(TYPES))


def encoded(notice_type: NoticeType, content: object) -> dict[Slot, bytes]:
    assert isinstance(content, dict)
    return notice_type.encode_slots(values_from_json(notice_type, complete_checks(notice_type, content)))


def test_the_classes_are_those_that_the_schemas_make() -> None:
    written = {path.name: path.read_text() for path in (ROOT / FOLDER).glob("*.py")}

    assert written == files()
    assert set(CLASSES) == set(TYPES)


@each_type
def test_a_complete_notice_goes_through_its_class_and_back(name: str) -> None:
    content = NOTICES[name]()

    typed = CLASSES[name].from_json(content, ALL_SHOWN)

    assert encoded(TYPES[name], typed.to_json()) == encoded(TYPES[name], content)
    assert CLASSES[name].from_json(typed.to_json(), ALL_SHOWN) == typed


def thinned(value: Any, draw: st.DataObject, needed: set[str]) -> Any:
    """The content with some of what may be missing gone."""
    match value:
        case dict():
            kept = {key: one for key, one in value.items() if key in needed or draw.draw(st.booleans())}
            return {key: thinned(one, draw, ALWAYS) for key, one in kept.items()}
        case list():
            return [thinned(one, draw, ALWAYS) for one in value[: draw.draw(st.integers(0, len(value)))]]
        case _:
            return value


@each_type
@settings(max_examples=25, deadline=None)
@given(draw=st.data())
def test_whatever_a_type_can_say_its_class_can_say(name: str, draw: st.DataObject) -> None:
    content = thinned(NOTICES[name](), draw, ALWAYS)

    typed = CLASSES[name].from_json(content, ALL_SHOWN)

    assert encoded(TYPES[name], typed.to_json()) == encoded(TYPES[name], content)


@each_type
def test_the_json_schema_takes_a_complete_notice_and_names_what_no_type_has(name: str) -> None:
    schema = json_schema(TYPES[name])
    check = jsonschema_rs.validator_for(schema)
    content = NOTICES[name]()

    assert check.is_valid(content)
    assert not check.is_valid({**content, "colour": "red"})
    needed = schema["required"][0]
    assert not check.is_valid({key: value for key, value in content.items() if key != needed})


def test_what_is_withheld_is_told_from_what_there_is_not() -> None:
    slots = {**ALL_SHOWN, "persons": "withheld", "intelligence": "sealed", "attachments": "none"}
    parcel = DrugParcel.from_json({"channel": "POST", "sender": {"name": "Ada"}}, slots)

    assert parcel.recipient is WITHHELD
    assert parcel.sender is WITHHELD
    assert parcel.narrative is WITHHELD
    assert parcel.attachments is None
    assert parcel.route is None
    assert not parcel.recipient
    with pytest.raises(ValueError, match="withheld"):
        parcel.to_json()


def test_a_needed_field_of_a_slot_that_is_withheld_is_withheld() -> None:
    assert DrugParcel.from_json({}, {**ALL_SHOWN, "facts": "withheld"}).channel is WITHHELD


def test_values_are_pythons_own() -> None:
    parcel = DrugParcel(
        channel="POST",
        posted_at=datetime(2026, 11, 20, 15, 15, tzinfo=timezone(timedelta(hours=7))),
        route=Route(origin=Place(country="NL")),
        postal_item="CP987654326NL",
        recipient=Person(name="Ada"),
    )

    content = parcel.to_json()

    assert content["posted_at"] == "2026-11-20T08:15:00.000Z"
    assert content["postal_item"] == "CP987654326NL"
    read = DrugParcel.from_json(content, ALL_SHOWN)
    assert read.posted_at == datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
    assert Money(amount=Decimal("1e3"), currency="EUR").amount == 1000


def test_a_time_without_its_offset_is_no_time() -> None:
    with pytest.raises(ValueError, match="offset"):
        DrugParcel(channel="POST", posted_at=datetime(2026, 11, 20)).to_json()  # noqa: DTZ001


def test_another_version_of_a_type_is_no_notice_of_this_class() -> None:
    with pytest.raises(msgspec.ValidationError):
        DrugParcel.from_json({"channel": "BY_FOOT"}, ALL_SHOWN)


USE = """
from decimal import Decimal
from adapters.notices import DrugParcel, Person, Quantity

parcel = DrugParcel(channel="POST", gross_mass=Quantity(value=Decimal("3.2"), unit="KGM"))
if parcel.recipient:
    name: str | None = parcel.recipient.name
if parcel.gross_mass:
    mass: Decimal = parcel.gross_mass.value
"""
MISUSE = {
    'DrugParcel(channel="BY_FOOT")': "arg-type",
    "DrugParcel()": "call-arg",
    "parcel.recipient.name": "union-attr",
    'DrugParcel(channel="POST", posted_at="2026")': "arg-type",
}


def test_a_type_checker_knows_the_classes(tmp_path: Path) -> None:
    wrong = "\n".join(MISUSE)
    (tmp_path / "use.py").write_text(USE)
    (tmp_path / "misuse.py").write_text(f"{USE}{wrong}\n")

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "use.py", "misuse.py"],
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    found = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert not [line for line in found if line.startswith("use.py")]
    assert [line.rpartition("[")[2].rstrip("]") for line in found] == list(MISUSE.values()), done.stdout
