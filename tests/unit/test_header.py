"""What a header may say, beyond the cases in the vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.core import records
from broker.core.codec import LATEST
from broker.core.errors import BadHeader, Expired, NotSupported, NotYetValid
from broker.core.header import (
    check_clock,
    check_header,
    check_supported,
    is_country,
    is_member_id,
    is_name,
    is_stream,
    is_subject,
)
from broker.core.model import Act, Header, Region, Tlp
from tests.vectors.material import VECTORS

HEADER = records.decode(Header, bytes.fromhex(VECTORS["clear"]["header_bytes"]))
AT = HEADER.issued_at
ID = bytes(32)

PROPER: dict[str, dict[str, Any]] = {
    "the longest names": {
        "originator": "a" * 31,
        "stream": "0" * 31,
        "notice_type": "a" * 64,
        "purpose": "a" * 64,
        "campaign": "a" * 64,
    },
    "the shortest names": {
        "originator": "aa",
        "stream": "0",
        "notice_type": "aa",
        "purpose": "a-",
        "campaign": "a1",
    },
    "64 entries": {"addressees": tuple(f"m{number:02}" for number in range(64))},
    "a later number without a previous": {"sequence": 7},
    "the last time": {"retain_until": LATEST},
    "a request by itself": {"act": Act.REQUEST},
    "a request that refers": {"act": Act.REQUEST, "references": (ID,)},
    "RED for somebody": {"tlp": Tlp.RED, "addressees": ("jp",)},
    "all other regions": {"regions_concerned": tuple(region for region in Region if region != HEADER.region)},
    **{act.name: {"act": act, "references": (ID,)} for act in Act if act is not Act.ORIGINAL},
}
IMPROPER: dict[str, tuple[dict[str, Any], str]] = {
    "a profile of before": ({"profile": 0}, "profile"),
    "an originator in capitals": ({"originator": "VN"}, "originator"),
    "an originator that begins with a digit": ({"originator": "1a"}, "originator"),
    "a stream of 32 letters": ({"stream": "0" * 32}, "stream"),
    "a stream without a name": ({"stream": ""}, "stream"),
    "a type of 65 letters": ({"notice_type": "a" * 65}, "notice_type"),
    "a purpose with a letter of another script": ({"purpose": "customs-enforcemеnt"}, "purpose"),
    "a campaign without a name": ({"campaign": ""}, "campaign"),
    "a country with a digit of another script": ({"countries": ("A٣",)}, "countries"),
    "a country of three letters": ({"countries": ("VNM",)}, "countries"),
    "a subject with a space": ({"subjects": ("hs:29 33",)}, "subjects"),
    "a subject without a code": ({"subjects": ("hs:",)}, "subjects"),
    "65 addressees": ({"addressees": tuple(f"m{number:02}" for number in range(65))}, "addressees"),
    "references out of order": ({"act": Act.UPDATE, "references": (b"\1" * 32, ID)}, "references"),
    "a region twice": ({"regions_concerned": (Region.EUROPE, Region.EUROPE)}, "regions_concerned"),
    "a number below zero": ({"sequence": -1}, "sequence"),
    "issued after the last time": (
        {"issued_at": LATEST + 1, "retain_until": None, "feedback_due": None},
        "issued_at",
    ),
    "issued before 1970": ({"issued_at": -1}, "issued_at"),
    "kept until after the last time": ({"retain_until": LATEST + 1}, "retain_until"),
    "over before it began": ({"effective_until": AT - 1}, "effective_until"),
    "over when it began": ({"effective_until": AT}, "effective_until"),
    "seven slots": ({"slots": (ID,) * 7}, "slots"),
    **{
        f"{act.name} of nothing": ({"act": act}, "references")
        for act in Act
        if act not in {Act.ORIGINAL, Act.REQUEST}
    },
}


@pytest.mark.parametrize("change", PROPER.values(), ids=PROPER)
def test_a_proper_header_passes(change: dict[str, Any]) -> None:
    check_header(replace(HEADER, **change))


@pytest.mark.parametrize(("change", "field"), IMPROPER.values(), ids=IMPROPER)
def test_a_header_that_breaks_a_rule_is_refused_by_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadHeader) as caught:
        check_header(replace(HEADER, **change))
    assert caught.value.field == field


def test_a_grammar_looks_at_the_whole_string() -> None:
    for check, text in [
        (is_member_id, "vn"),
        (is_stream, "main"),
        (is_name, "sample"),
        (is_country, "VN"),
        (is_subject, "hs:29"),
    ]:
        assert check(text)
        assert not check(text + "\n")
        assert not check(" " + text)


def test_the_clock_may_be_five_minutes_off_and_no_more() -> None:
    check_clock(HEADER, AT - 5 * 60_000)
    with pytest.raises(NotYetValid):
        check_clock(HEADER, AT - 5 * 60_000 - 1)
    check_clock(HEADER, AT + 10**12)


def test_a_notice_is_effective_until_its_end_and_not_at_it() -> None:
    header = replace(HEADER, effective_until=AT + 10)
    check_clock(header, AT + 9)
    with pytest.raises(Expired):
        check_clock(header, AT + 10)


def test_what_cannot_be_carried_to_its_end_is_refused() -> None:
    for act in Act:
        header = replace(HEADER, act=act)
        if act is Act.ERASURE:
            with pytest.raises(NotSupported) as caught:
                check_supported(header)
            assert caught.value.field == "act"
        else:
            check_supported(header)
    with pytest.raises(NotSupported) as caught:
        check_supported(replace(HEADER, seals=ID))
    assert caught.value.field == "seals"
