"""A notice drawn: what stands where, in both languages, and that no value can do anything to its reader."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.codec import LATEST
from broker.core.model import (
    Act,
    Disclosure,
    Envelope,
    Ground,
    Handling,
    Header,
    Obligations,
    Onward,
    Region,
    SealedSlot,
    Slot,
    Status,
    Tlp,
)
from broker.core.notice_json import values_from_json
from schemas import LANGUAGES, labels, load_catalogue
from schemas.readable import coded, money, number, quantity, time, visible
from schemas.rendering import ProofLine, Shown, SlotState, render_page, slot_states, text, view
from tests.notices import NOTICES, drug_parcel

TYPES = {one.name: one for one in load_catalogue()}
ISSUED = 1_795_594_800_000  # 2026-11-25T08:20Z
DUE = ISSUED + 72 * 3_600_000
OWED = Obligations(None, DUE, Handling.H1, Onward.CONSENT, Onward.NOTIFY, Onward.DENY)
ENGLISH, VIETNAMESE = labels("en"), labels("vi")


def shown(
    name: str = "drug-parcel",
    notice: Mapping[str, Any] | None = None,
    *,
    states: Mapping[Slot, SlotState] | None = None,
    header: Mapping[str, Any] | None = None,
    **more: Any,
) -> Shown:
    notice_type = TYPES[name]
    values = values_from_json(notice_type, NOTICES[name]() if notice is None else notice)
    slots = {
        slot: SlotState.SHOWN
        if any(values[field["name"]] is not None for field in notice_type.fields(slot))
        else SlotState.NONE
        for slot in Slot
    } | dict(states or {})
    plain = Header(
        profile=1,
        originator="nl",
        region=Region.ASIA_PACIFIC,
        stream="main",
        sequence=123,
        previous=None,
        regions_concerned=(Region.EUROPE,),
        countries=("NL", "VN"),
        notice_type=name,
        schema=notice_type.digest,
        status=Status.ACTUAL,
        act=Act.ORIGINAL,
        references=(),
        tlp=Tlp.AMBER,
        handling=Handling.H1,
        purpose="customs-enforcement",
        subjects=("hs:8516",),
        campaign=None,
        addressees=(),
        issued_at=ISSUED,
        effective_until=None,
        retain_until=None,
        feedback_due=None,
        slots=(bytes(32),) * 6,
        seals=None,
    )
    full: dict[str, Any] = {
        "header": replace(plain, **(header or {})),
        "statement": bytes(range(32)),
        "notice_type": notice_type,
        "values": {
            slot: {field["name"]: values[field["name"]] for field in notice_type.fields(slot)}
            for slot in Slot
            if slots[slot] is SlotState.SHOWN
        },
        "slots": slots,
        "verified": True,
        "member": "vn",
        "key": bytes(range(32, 64)),
        "names": {"nl": "Customs of the Netherlands", "vn": "Viet Nam Customs"},
        "obligations": OWED,
        "grounds": (Ground("nl-vn-2026", 3, bytes(32)),),
        "decided_at": ISSUED + 900,
        "proof": ProofLine("halong-demo/log", 1234, 5678, bytes(32)),
    }
    return Shown(**{**full, **more})


class Page(HTMLParser):
    """Collects what a page is made of, as a browser would read it."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.outside_bdi: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "input"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"{tag} does not close what is open"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            return
        self.said.append(data)
        if "bdi" not in self._open:
            self.outside_bdi.append(data)


# --- what stands where ----------------------------------------------------------------------------------


def test_the_page_has_the_order_of_importance() -> None:
    said = " ".join(Page(render_page(shown(header={"status": Status.EXERCISE}))).said)
    wanted = [
        "TLP:AMBER", "H1", "EXERCISE", "Drugs in a parcel", "nl/asia-pacific/main/123", "Amsterdam",
        "Singapore", "Ho Chi Minh City", "Check specifically", "28\xa0Nov\xa02026", "Danger to officers",
        "B2", "Facts", "Identifiers", "Firms and offices", "Persons", "Intelligence", "Attachments",
        "Your obligations", "nl-vn-2026", "Signed by", "verified", "1234", "halong feedback give",
        "Ma túy trong bưu gửi",
    ]  # fmt: skip
    places, at = [], 0
    for word in wanted:
        at = said.index(word, at)
        places.append(at)
    assert places == sorted(places)


def test_withheld_sealed_and_none_are_told_apart() -> None:
    states = {
        Slot.PERSONS: SlotState.SEALED,
        Slot.INTELLIGENCE: SlotState.WITHHELD,
        Slot.ATTACHMENTS: SlotState.NONE,
    }
    for words in (ENGLISH, VIETNAMESE):
        seen = view(shown(states=states), words.language)
        assert [section.state.value for section in seen.sections] == [
            "shown", "shown", "shown", "sealed", "withheld", "none",
        ]  # fmt: skip
        labels_seen = [section.state_label for section in seen.sections[3:]]
        notes_seen = [section.note for section in seen.sections[3:]]
        assert len(set(labels_seen)) == len(set(notes_seen)) == 3
        page, lines = render_page(shown(states=states), words.language), text(seen)
        for word in (*labels_seen, *notes_seen):
            assert word in page
            assert word in lines
    assert 'class="slot withheld"' in page
    assert 'class="slot sealed"' in page
    assert 'class="slot none"' in page


def test_what_was_not_given_is_not_on_the_page_even_if_it_is_handed_in() -> None:
    whole = shown(notice=drug_parcel(recipient={"name": "Ada Canary"}))
    narrow = replace(whole, slots={**whole.slots, Slot.PERSONS: SlotState.WITHHELD})
    assert "Ada Canary" in render_page(whole)
    assert "Ada Canary" not in render_page(narrow)
    assert "Ada Canary" not in text(view(narrow, "en"))


def test_nobody_can_take_an_exercise_for_the_real_thing() -> None:
    for status in (Status.EXERCISE, Status.TEST):
        seen = shown(header={"status": status})
        page = render_page(seen)
        for words in (ENGLISH, VIETNAMESE):
            banner = words.word("banners", status.name)
            assert page.count(banner) == 2, "once on top, once at the end"
            assert banner in text(view(seen, words.language))
        assert 'role="alert"' in page
        printed = re.search(r"@top-center { content: \"([^\"]*)\"", page)
        assert printed is not None
        assert printed[1].startswith("EXERCISE" if status is Status.EXERCISE else "TEST")
    assert 'role="alert"' not in render_page(shown())


def test_an_unverified_notice_says_so_and_a_verified_one_too() -> None:
    assert "NOT VERIFIED" in render_page(shown(verified=False))
    assert "CHƯA XÁC MINH" in render_page(shown(verified=False))
    assert "NOT VERIFIED" not in render_page(shown())
    assert "no log proof" in render_page(shown(proof=None))


def test_the_deadline_is_the_earliest_that_is_known() -> None:
    later = {"feedback_due": DUE + 86_400_000}
    for header, owed in (({}, OWED), (later, OWED), ({"feedback_due": DUE}, None)):
        deadline = view(shown(header=header, obligations=owed), "en").deadline
        assert deadline is not None
        assert deadline.machine == "2026-11-28T08:20:00+00:00"
    assert view(shown(obligations=None), "en").deadline is None


def test_a_reader_without_the_facts_is_not_told_that_nothing_is_asked() -> None:
    seen = view(shown(states={Slot.FACTS: SlotState.WITHHELD}), "en")
    assert seen.action == ENGLISH.page("asked_withheld")
    assert seen.route_note == ENGLISH.page("route_withheld")
    assert not seen.route
    assert not seen.graded
    assert not seen.danger
    countries = next(row for row in seen.head if row.label == ENGLISH.page("countries"))
    assert [value.text for value in countries.values] == ["Netherlands", "Viet Nam"]


def test_feedback_is_one_command_that_names_the_notice() -> None:
    feedback = view(shown(header={"status": Status.EXERCISE}), "vi").feedback
    assert feedback is not None
    reference = shown().header.reference.removeprefix("halong:")
    assert feedback.command == f"halong feedback give {reference} --outcome CHECKED_NO_FINDING"
    assert ("HIT_SEIZED", VIETNAMESE.symbol("Outcome", "HIT_SEIZED")) in feedback.outcomes
    assert view(shown("feedback", header={"act": Act.FEEDBACK}), "en").feedback is None
    assert view(shown(member="nl"), "en").feedback is None
    assert view(shown(feedback_command=""), "en").feedback is None


@pytest.mark.parametrize("name", sorted(TYPES))
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_type_reads_in_every_language_without_a_bare_name_of_the_schema(
    name: str, language: str
) -> None:
    seen = view(shown(name), language)
    lines = text(seen)
    notice_type = TYPES[name]
    symbols = set(re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b", lines))
    assert not symbols
    assert not [field for slot in Slot for field in notice_type.fields(slot) if f"{field['name']} " in lines
                and "_" in field["name"]]  # fmt: skip
    page = Page(render_page(shown(name), language))
    assert {attrs["lang"] for tag, attrs in page.tags if tag == "main"} == set(LANGUAGES)


def test_flags_stand_beside_what_they_are_about() -> None:
    notice = {
        "channel": "POST",
        "declared_goods": [{"hs": "940540"}],
        "gross_mass": {"value": "2", "unit": "LBR"},
        "postal_item": {"value": "CP001020301NL", "check": "VALID"},
    }
    lines = text(view(shown(notice=notice), "en"))
    assert re.search(r"HS code +940540 +\[! not in the list hs, edition 2022\]", lines)
    assert re.search(r"Gross mass +2.lb +\[! in an unusual unit\]", lines)
    assert re.search(r"CP001020301NL +\[check digit does not fit; ! the verdict", lines)


def test_the_key_of_a_file_is_never_on_a_page() -> None:
    assert "c7" * 32 not in render_page(shown())
    assert "c7" * 32 not in text(view(shown(), "en"))
    assert "5e" * 32 in render_page(shown())


# --- values ---------------------------------------------------------------------------------------------


def test_numbers_cannot_be_misread_in_the_other_language() -> None:
    amount = Decimal("1250.5000")
    assert number(amount, "en") == "1\xa0250.5"
    assert number(amount, "vi") == "1\xa0250,5"
    assert number(Decimal("-0.00"), "en") == "0"
    assert number(-1_234_567, "vi") == "−1\xa0234\xa0567"
    assert money(Decimal(45), "EUR", "vi").text == "45,00\xa0EUR"
    assert quantity(Decimal("3.20"), "KGM", "en").text == "3.2\xa0kg"
    assert quantity(Decimal(2), "XYZ", "en").text == "2\xa0XYZ"
    assert number(Decimal("999999999999.999999"), "en") == "999\xa0999\xa0999\xa0999.999999"


def test_times_are_shown_with_their_offset() -> None:
    assert time(ISSUED, "en", 0).text == "25\xa0Nov\xa02026,\xa008:20\xa0(+00:00)"
    assert time(ISSUED, "vi", 420).text == "15:20\xa025/11/2026\xa0(+07:00)"
    assert time(ISSUED, "en", -210).machine == "2026-11-25T04:50:00-03:30"
    assert time(LATEST, "en", 840).text.endswith("9999,\xa023:59:59\xa0(+00:00)")
    assert time(0, "vi", -720).text == "12:00\xa031/12/1969\xa0(-12:00)"


def test_a_code_is_shown_with_its_name_in_the_readers_language_or_marked_as_english() -> None:
    assert (coded("countries", "NL", "vi").text, coded("countries", "NL", "vi").code) == ("Hà Lan", "NL")
    heading = coded("hs", "851671", "vi")
    assert heading.language == "en"
    assert heading.notes[0].startswith("Chương 85: Máy điện")
    assert coded("countries", "ZZ", "en").text == "ZZ"


def test_slot_states_are_read_off_an_envelope() -> None:
    envelope = Envelope(
        b"",
        b"",
        (Disclosure(Slot.FACTS, bytes(16), b"x"), Disclosure(Slot.ENTITIES, bytes(16), b"")),
        (SealedSlot(Slot.PERSONS, b"", b""), SealedSlot(Slot.INTELLIGENCE, b"", b"")),
        (),
    )
    states = slot_states(envelope, opened=frozenset({Slot.INTELLIGENCE}))
    assert [states[slot].value for slot in Slot] == [
        "shown",
        "withheld",
        "none",
        "sealed",
        "shown",
        "withheld",
    ]


# --- nothing in a value can do anything ------------------------------------------------------------------


ATTACKS = {
    "a script": "<script>alert(1)</script>",
    "a handler in an attribute": '" onmouseover="alert(1)" x="',
    "an end of the value's isolation": "</bdi></dd></main><img src=x onerror=alert(1)>",
    "an end of the style": "</style><style>body{display:none}",
    "a comment": "<!-- ",
    "a template": "{{ 7*7 }}{% raw %}",
    "an entity": "&lt;script&gt;&#60;b&#62;",
    "a link that runs": "javascript:alert(1)",
    "a reversal": "photo\u202egpj.exe",
    "isolates that do not end": "\u2066\u2067\u2068",
    "terminal control": "\x1b[2J\x1b]0;owned\x07",
    "a return over the line": "innocent\rguilty",
    "a null": "a\x00b",
    "C1 control": "\x9b31m",
    "tags that nobody sees": "ok\U000e0041\U000e0042",
    "soft hyphen and zero width": "a\u00adb\u200bc\ufeffd",
    "a line separator": "a\u2028b\u2029c",
    "half a character": "\ud800",
}


def _everywhere(attack: str) -> Shown:
    """Return a notice that has the attack in every text there is; nothing that was decoded can be so bad."""

    def bad(node: Any) -> Any:
        match node:
            case dict():
                return {key: bad(value) for key, value in node.items()}
            case list():
                return [bad(value) for value in node]
            case str():
                return attack
            case _:
                return node

    clean = shown()
    return replace(
        clean,
        values={slot: _keep_enums(clean, slot, bad) for slot in clean.values},
        names={"nl": attack, "vn": attack},
        header=replace(
            clean.header, campaign=attack, purpose=attack, addressees=(attack,), countries=(attack,)
        ),
        proof=ProofLine(attack, 1, 2, bytes(32)),
        grounds=(Ground(attack, 1, bytes(32)),),
    )


def _keep_enums(clean: Shown, slot: Slot, bad: Any) -> dict[str, Any]:
    symbols = {"channel", "concealment", "detection", "grading", "urgency", "severity", "certainty"}
    return {
        name: value if name in symbols | {"suggested_action"} else bad(value)
        for name, value in clean.values[slot].items()
    }


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_value_is_more_than_text_on_the_page(attack: str, language: str) -> None:
    clean, hostile = (
        Page(render_page(shown(), language)),
        Page(render_page(_everywhere(ATTACKS[attack]), language)),
    )
    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in clean.tags}
    names = {name for _, attrs in clean.tags for name in attrs}
    assert {name for _, attrs in hostile.tags for name in attrs} <= names
    said = "".join(hostile.said)
    assert not [one for one in said if one != "\n" and visible(one) != one]
    assert visible(ATTACKS[attack]) not in "".join(hostile.outside_bdi)


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_value_can_move_the_cursor_or_turn_the_text_of_a_terminal(attack: str) -> None:
    lines = text(view(_everywhere(ATTACKS[attack]), "en"))
    assert not [one for one in lines if one != "\n" and visible(one) != one]
    assert "\t" not in lines


def test_the_page_loads_nothing_runs_nothing_and_sends_nothing() -> None:
    page = render_page(shown())
    read = Page(page)
    assert not {tag for tag, _ in read.tags} & {
        "script", "img", "link", "iframe", "object", "embed", "form", "a", "base", "svg", "video", "audio",
    }  # fmt: skip
    assert not [attrs for _, attrs in read.tags if {"src", "href", "style", "action"} & attrs.keys()]
    assert not [name for _, attrs in read.tags for name in attrs if name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page


def test_the_policy_allows_the_pages_own_style_and_nothing_else() -> None:
    for seen in (shown(), shown(header={"status": Status.TEST, "stream": "other-9"})):
        page = render_page(seen)
        style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
        assert style is not None
        assert policy is not None
        digest = b64encode(sha256(style[1].encode()).digest()).decode()
        assert policy[1].replace("&#39;", "'") == (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        )


def test_the_template_lets_nothing_past_the_escaping() -> None:
    from importlib.resources import files

    template = (files("schemas") / "page.html.j2").read_text("utf-8")
    assert "safe" not in template.replace("unsafe", "")
    assert "autoescape" not in template


def test_language_is_chosen_without_a_script() -> None:
    for language in LANGUAGES:
        page = Page(render_page(shown(), language))
        radios = {attrs["id"]: "checked" in attrs for tag, attrs in page.tags if tag == "input"}
        assert radios == {f"in-{one}": one == language for one in LANGUAGES}
        assert {attrs["for"] for tag, attrs in page.tags if tag == "label"} == set(radios)


# --- whatever is in it -----------------------------------------------------------------------------------


def _values(node: Any) -> st.SearchStrategy[Any]:
    match node:
        case ["null", other]:
            return st.none() | _values(other)
        case {"type": "record", "fields": fields}:
            return st.fixed_dictionaries({field["name"]: _values(field["type"]) for field in fields})
        case {"type": "array", "items": items}:
            return st.lists(_values(items), max_size=2)
        case {"type": "enum", "symbols": symbols}:
            return st.sampled_from(symbols)
        case {"type": "fixed", "size": size}:
            return st.binary(min_size=size, max_size=size)
        case {"logicalType": "timestamp-millis"}:
            return st.integers(0, LATEST)
        case {"logicalType": "decimal", "scale": scale}:
            return st.integers(-(10**18) + 1, 10**18 - 1).map(lambda one: Decimal(one).scaleb(-scale))
        case {"type": "boolean"} | "boolean":
            return st.booleans()
        case "int":
            return st.integers(-(2**31), 2**31 - 1)
        case "long":
            return st.integers(-(2**63), 2**63 - 1)
        case _:
            return st.text(max_size=12) | st.sampled_from(["VN", "KGM", "USD", "851671", "Y48", "mdma", "vi"])


@st.composite
def _shown(draw: st.DrawFn) -> Shown:
    name = draw(st.sampled_from(sorted(TYPES)))
    clean = shown(name)
    states = {slot: draw(st.sampled_from(SlotState)) for slot in Slot}
    values = {
        slot: {field["name"]: draw(_values(field["type"])) for field in TYPES[name].fields(slot)}
        for slot in Slot
        if states[slot] is SlotState.SHOWN
    }
    return replace(
        clean,
        slots=states,
        values=values,
        offset_minutes=draw(st.integers(-840, 840)),
        obligations=draw(st.none() | st.just(OWED)),
        key=draw(st.none() | st.just(bytes(32))),
        member=draw(st.none() | st.just("jp")),
    )


@settings(max_examples=60, deadline=None)
@given(_shown())
def test_any_notice_that_can_be_sent_can_be_read(seen: Shown) -> None:
    page = render_page(seen)
    assert Page(page).said
    for language in LANGUAGES:
        assert not [one for one in text(view(seen, language)) if one != "\n" and visible(one) != one]


def _characters() -> Iterator[int]:
    return iter(
        (
            *range(0x20),
            *range(0x7F, 0xA0),
            0x61C,
            0x200E,
            0x200F,
            *range(0x2028, 0x202F),
            *range(0x2066, 0x206A),
        )
    )


def test_everything_that_the_format_refuses_in_text_is_written_out() -> None:
    for code in _characters():
        if chr(code) not in "\n\t":
            assert visible(f"a{chr(code)}b") == f"a⟨U+{code:04X}⟩b"
    assert visible("Nguyễn Văn Ví Dụ\n\tنص\u200cنص 漢字 👩") == "Nguyễn Văn Ví Dụ\n\tنص\u200cنص 漢字 👩"
