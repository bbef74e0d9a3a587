"""A draft: every mistake is found before it is queued, and named by its field."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.sending.draft import Draft
from broker.core.catalogue import Catalogue, NoticeType
from broker.core.errors import BadHeader, BadSlot, NotSupported, Refused, UnknownType
from broker.core.model import Act, Handling, Region, Status, Tlp
from tests.world import NOW, SIGHTING

GREEN = NoticeType("greenish", {**SIGHTING.schema, "name": "Greenish", "tlp": "GREEN"})
CATALOGUE = Catalogue([SIGHTING, GREEN])


def read(**fields: Any) -> Draft:
    obj = {"type": "sighting", "notice": {"place": "Hue"}, **fields}
    return Draft.from_json(
        {key: value for key, value in obj.items() if value is not ...},
        CATALOGUE,
        member="vn",
        region=Region.ASIA_PACIFIC,
        at=NOW,
        source="row 1",
    )


def test_what_is_not_said_has_the_defaults_of_member_and_type() -> None:
    draft = read()
    assert (draft.region, draft.status, draft.act) == (Region.ASIA_PACIFIC, Status.ACTUAL, Act.ORIGINAL)
    assert (draft.tlp, draft.handling, draft.purpose) == (Tlp.AMBER, Handling.H1, "customs-enforcement")
    assert read(type="greenish").tlp is Tlp.GREEN
    assert read(tlp="CLEAR").tlp is Tlp.CLEAR


def test_everything_that_can_be_said_is_kept_through_the_queue() -> None:
    draft = read(
        region="europe",
        regions_concerned=["asia-pacific", "americas-caribbean"],
        countries=["VN", "JP", "JP"],
        status="EXERCISE",
        act="UPDATE",
        references=["ab" * 32],
        tlp="RED",
        handling="H3",
        purpose="public-health",
        subjects=["hs:2939", "basel:Y48"],
        campaign="demeter-12",
        addressees=["nl", "jp"],
        effective_until="2027-01-31T12:00:00Z",
        retain_until="2027-01-31T12:00:00.250Z",
        feedback_due="2027-01-31T12:00:00+07:00",
        partial=True,
    )
    assert Draft.from_stored(draft.to_json()) == draft
    assert draft.source == "row 1"
    assert draft.countries == ("JP", "VN"), "lists are put into the order in which they are signed"
    assert draft.regions_concerned == (Region.AMERICAS_CARIBBEAN, Region.ASIA_PACIFIC)
    assert draft.retain_until is not None
    assert draft.effective_until is not None
    assert draft.retain_until - draft.effective_until == 250


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"type": ...}, BadHeader, "type"),
        ({"type": 5}, BadHeader, "type"),
        ({"type": "unheard-of"}, UnknownType, "notice_type"),
        ({"notice": ...}, BadSlot, "notice"),
        ({"notice": ["place"]}, BadSlot, "notice"),
        ({"notice": {"place": 5}}, BadSlot, "place"),
        ({"notice": {"colour": "red"}}, BadSlot, "colour"),
        ({"notice": {"place": "a\u202eb"}}, BadSlot, "place"),
        ({"colour": "red"}, BadHeader, "colour"),
        ({"no\nfield": 1}, BadHeader, "?"),
        ({"region": "atlantis"}, BadHeader, "region"),
        ({"region": 3}, BadHeader, "region"),
        ({"regions_concerned": ["atlantis"]}, BadHeader, "regions_concerned[0]"),
        ({"status": "LIVE"}, BadHeader, "status"),
        ({"act": "SHOUT"}, BadHeader, "act"),
        ({"tlp": "PINK"}, BadHeader, "tlp"),
        ({"handling": "H9"}, BadHeader, "handling"),
        ({"countries": "JP"}, BadHeader, "countries"),
        ({"countries": {"JP": 1}}, BadHeader, "countries"),
        ({"countries": ["JP", 7]}, BadHeader, "countries[1]"),
        ({"countries": ["japan"]}, BadHeader, "countries"),
        ({"references": ["12"]}, BadHeader, "references[0]"),
        ({"references": ["ab" * 32]}, BadHeader, "references"),
        ({"subjects": ["no colon"]}, BadHeader, "subjects"),
        ({"purpose": ["x"]}, BadHeader, "purpose"),
        ({"campaign": 1}, BadHeader, "campaign"),
        ({"addressees": ["vn"]}, BadHeader, "addressees"),
        ({"tlp": "RED"}, BadHeader, "addressees"),
        ({"partial": "yes"}, BadHeader, "partial"),
        ({"effective_until": "tomorrow"}, BadHeader, "effective_until"),
        ({"effective_until": 1_800_000_000_000}, BadHeader, "effective_until"),
        ({"effective_until": "2020-01-31T12:00:00Z"}, BadHeader, "effective_until"),
        ({"act": "ERASURE", "references": ["ab" * 32]}, NotSupported, "act"),
        ({"subjects": [f"abcdefgh:{number:031}" for number in range(65)]}, BadHeader, "subjects"),
    ],
)
def test_a_mistake_is_named_by_its_field(fields: dict[str, Any], error: type[Refused], field: str) -> None:
    with pytest.raises(error) as caught:
        read(**fields)
    assert (type(caught.value), caught.value.field) == (error, field)


def test_what_is_no_object_is_no_notice() -> None:
    with pytest.raises(BadHeader):
        Draft.from_json([], CATALOGUE, member="vn", region=Region.EUROPE, at=NOW)
