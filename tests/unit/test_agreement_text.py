"""An agreement file is read exactly, or refused by a sentence that an officer can act on."""

from __future__ import annotations

import hashlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.agreement_doubts import doubts_of
from broker.core.agreement_text import problems_of
from broker.core.agreements import Agreement, Grant, Terms, parse_agreement, warnings_of
from broker.core.clauses import Mode, OnTermination, PersonalData
from broker.core.errors import BadConfiguration
from broker.core.model import Onward, Slot, Status, Tlp
from tests.strategies import DAY, any_agreement

TEXT = """\
id = "jp-vn-2026"
version = 3
nonce = "00112233445566778899aabbccddeeff"
title = "Agreement on mutual assistance in customs matters, annex on parcels"
parties = ["jp", "vn"]
instrument = "Treaty Series 2025, 17"
instrument_digest = "0000000000000000000000000000000000000000000000000000000000000001"
in_force_from = 2026-01-01
terminated_on = 2027-06-30
wind_down_days = 90
review_due = 2028-01-01
on_termination = "keep-until-retention"

[personal_data]
enabled = true
from = 2026-03-01
legal_basis = "article 9"

[[grant]]
from = "vn"
to = "jp"
types = ["drug-parcel", "precursor"]
slots = ["facts", "identifiers", "persons"]
countries = ["JP"]
subjects = ["hs:29", "hs:30"]
statuses = ["ACTUAL", "EXERCISE"]
purposes = ["customs-enforcement"]
campaigns = ["demeter"]
tlp_max = "AMBER_STRICT"
mode = "on-request"
retention_days = 365
onward = { domestic = "consent", community = "notify", third_country = "deny" }
evidentiary_use = "consent"
feedback_hours = 72
seal = ["persons"]

[[grant]]
from = "*"
to = "*"
types = ["feedback"]
slots = ["facts"]
"""

CAREFUL = TEXT.replace("review_due = 2028-01-01", "review_due = 2027-01-01").replace(
    'slots = ["facts"]\n', 'slots = ["facts"]\nretention_days = 365\n'
)
"""The same without anything to be doubted."""

JAN_2026 = 1_767_225_600_000


def test_every_clause_is_read() -> None:
    assert parse_agreement(TEXT.encode()) == Agreement(
        id="jp-vn-2026",
        version=3,
        digest=hashlib.sha256(TEXT.encode()).digest(),
        title="Agreement on mutual assistance in customs matters, annex on parcels",
        parties=frozenset({"jp", "vn"}),
        in_force_at=JAN_2026,
        terminated_at=JAN_2026 + 545 * DAY,
        wound_down_at=JAN_2026 + 635 * DAY,
        on_termination=OnTermination.KEEP_UNTIL_RETENTION,
        personal_data=PersonalData(JAN_2026 + 59 * DAY, "article 9"),
        instrument="Treaty Series 2025, 17",
        instrument_digest=bytes(31) + b"\1",
        review_due_at=JAN_2026 + 730 * DAY,
        wind_down_days=90,
        grants=(
            Grant(
                giver="vn",
                receiver="jp",
                types=frozenset({"drug-parcel", "precursor"}),
                slots=frozenset({Slot.FACTS, Slot.IDENTIFIERS, Slot.PERSONS}),
                countries=frozenset({"JP"}),
                subjects=frozenset({"hs:29", "hs:30"}),
                statuses=frozenset({Status.ACTUAL, Status.EXERCISE}),
                purposes=frozenset({"customs-enforcement"}),
                campaigns=frozenset({"demeter"}),
                tlp_max=Tlp.AMBER_STRICT,
                mode=Mode.ON_REQUEST,
                seal=frozenset({Slot.PERSONS}),
                terms=Terms(365, 72, Onward.CONSENT, Onward.NOTIFY, Onward.DENY, Onward.CONSENT),
            ),
            Grant("*", "*", types=frozenset({"feedback"}), slots=frozenset({Slot.FACTS})),
        ),
    )


def test_what_is_not_said_is_the_stricter_choice() -> None:
    agreement = parse_agreement(without("personal_data", "on_termination"))
    grant = agreement.grants[1]
    assert agreement.personal_data is None
    assert agreement.on_termination is OnTermination.ERASE
    assert grant.statuses == {Status.ACTUAL}
    assert grant.tlp_max is Tlp.AMBER
    assert grant.terms.onward_domestic is Onward.DENY
    assert grant.terms.evidentiary_use is Onward.DENY


def without(*starts: str, of: str = TEXT) -> bytes:
    """The text without the lines, and the tables, that begin so."""
    blocks = [block for block in of.split("\n\n") if not block.startswith(tuple(f"[{s}" for s in starts))]
    lines = "\n\n".join(blocks).split("\n")
    return "\n".join(line for line in lines if not line.startswith(starts)).encode()


def test_the_digest_is_that_of_the_very_bytes() -> None:
    spaced = TEXT.encode() + b"\n"
    assert parse_agreement(spaced).digest == hashlib.sha256(spaced).digest()
    assert parse_agreement(spaced).digest != parse_agreement(TEXT.encode()).digest


def test_personal_data_that_is_not_enabled_is_off() -> None:
    assert parse_agreement(TEXT.replace("enabled = true", "enabled = false").encode()).personal_data is None


REFUSED = [
    # what the file says, what it says instead, the clause, and words of the message
    ("version = 3", "version = 0", "version", "from 1 to"),
    ("version = 3", "version = true", "version", "whole number"),
    ("version = 3", 'version = "3"', "version", "whole number"),
    ("version = 3", f"version = {'9' * 5000}", None, "not TOML"),
    ("version = 3\n", "", "version", "missing"),
    ('id = "jp-vn-2026"', 'id = "JP VN"', "id", "letter first"),
    ('id = "jp-vn-2026"', 'id = "jp-vn-2026\\n"', "id", "letter first"),
    ('nonce = "00112233445566778899aabbccddeeff"\n', "", "nonce", "missing"),
    ('nonce = "00112233445566778899aabbccddeeff"', 'nonce = "00"', "nonce", "32 hexadecimal digits"),
    ("title = ", "titel = ", "title", "missing"),
    ("annex on parcels", "\\u202Eannex", "title", "control characters"),
    ("annex on parcels", "a" * 10_000, "title", "one line"),
    ("instrument = ", "instrumnet = ", "instrumnet", "no such clause here; possible are"),
    ('parties = ["jp", "vn"]', 'parties = ["jp"]', "parties", "at least two"),
    ('parties = ["jp", "vn"]', 'parties = ["jp", "jp"]', "parties", "twice"),
    ('parties = ["jp", "vn"]', 'parties = ["jp", "v"]', "parties", "member's id"),
    ('parties = ["jp", "vn"]', 'parties = ["jp", "vn--a"]', "parties", "member's id"),
    ('parties = ["jp", "vn"]', 'parties = "jp"', "parties", "square brackets"),
    ('parties = ["jp", "vn"]', "parties = []", "parties", "empty"),
    ("in_force_from = 2026-01-01", 'in_force_from = "2026-01-01"', "in_force_from", "without quotes"),
    ("in_force_from = 2026-01-01", "in_force_from = 2026-01-01T10:00:00Z", "in_force_from", "without a time"),
    ("in_force_from = 2026-01-01", "in_force_from = 2026-02-30", None, "not TOML"),
    ("in_force_from = 2026-01-01", "in_force_from = 1914-01-01", "in_force_from", "1970"),
    ("in_force_from = 2026-01-01\n", "", "in_force_from", "missing"),
    ("terminated_on = 2027-06-30", "terminated_on = 2026-01-01", "terminated_on", "later than"),
    ("wind_down_days = 90", "wind_down_days = -1", "wind_down_days", "from 0"),
    ("wind_down_days = 90", "wind_down_days = 9.5", "wind_down_days", "whole number"),
    ('"keep-until-retention"', '"burn"', "on_termination", "possible are erase, keep-until-retention"),
    ("enabled = true", 'enabled = "yes"', "personal_data, enabled", "true or false"),
    ("enabled = true\n", "", "personal_data, enabled", "missing"),
    ("from = 2026-03-01\n", "", "personal_data, from", "missing"),
    ('legal_basis = "article 9"', 'legal_basis = " "', "personal_data, legal_basis", "one line"),
    ('legal_basis = "article 9"\n', "", "personal_data, legal_basis", "missing"),
    ("[personal_data]", "[personaldata]", "personaldata", "no such clause"),
    ('from = "vn"', 'from = "nl"', "grant 1, from", "possible are jp, vn, *"),
    ('to = "jp"', 'to = "vn"', "grant 1, to", "another party"),
    ('to = "jp"\n', "", "grant 1, to", "missing"),
    ('"precursor"', '"Precursor"', "grant 1, types", "letter first"),
    ('"precursor"', '"drug-parcel"', "grant 1, types", "twice"),
    ('"precursor"', "7", "grant 1, types", "text in quotes"),
    ('types = ["feedback"]\n', "", "grant 2, types", "missing"),
    ('"identifiers"', '"photos"', "grant 1, slots", "possible are facts, identifiers, entities"),
    ('"identifiers"', '["identifiers"]', "grant 1, slots", "possible are facts, identifiers, entities"),
    ('slots = ["facts"]', "slots = []", "grant 2, slots", "empty"),
    ('countries = ["JP"]', 'countries = ["JPN"]', "grant 1, countries", "two capitals"),
    ('countries = ["JP"]', "countries = []", "grant 1, countries", "empty"),
    ('"hs:29"', '"29"', "grant 1, subjects", "hs:2939"),
    ('"hs:29"', '"hs:293"', "grant 1, subjects", "2, 4, 6 or more digits"),
    ('"EXERCISE"', '"exercise"', "grant 1, statuses", "possible are ACTUAL, EXERCISE, TEST"),
    ('tlp_max = "AMBER_STRICT"', 'tlp_max = "PINK"', "grant 1, tlp_max", "CLEAR, GREEN, AMBER"),
    ('mode = "on-request"', 'mode = "sometimes"', "grant 1, mode", "automatic, on-request"),
    ("retention_days = 365", "retention_days = 0", "grant 1, retention_days", "from 1"),
    ("feedback_hours = 72", "feedback_hours = 9000", "grant 1, feedback_hours", "to 8760"),
    ('domestic = "consent"', 'domestic = "maybe"', "grant 1, onward, domestic", "deny, consent, notify"),
    ('domestic = "consent"', 'abroad = "consent"', "grant 1, onward, abroad", "possible are community"),
    ('onward = { domestic = "consent", community = "notify", third_country = "deny" }',
     'onward = "consent"', "grant 1, onward", "a table"),
    ('evidentiary_use = "consent"', 'evidentiary_use = "notify"', "grant 1, evidentiary_use", "consent"),
    ('seal = ["persons"]', 'seal = ["entities"]', "grant 1, seal", "slots that the grant gives"),
    ('seal = ["persons"]', "sael = true", "grant 1, sael", "no such clause"),
    ("[[grant]]", "[[grnat]]", "grant", "missing"),
    ("version = 3", "version = 3\nversion = 4", None, "not TOML"),
    ("version = 3", "version", None, "line 2"),
    ("version = 3", f"version = {'[' * 5000}", None, "not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "instead", "clause", "words"), REFUSED)
def test_a_wrong_clause_is_named_with_what_is_possible(
    said: str, instead: str, clause: str | None, words: str
) -> None:
    assert said in TEXT
    with pytest.raises(BadConfiguration) as caught:
        parse_agreement(TEXT.replace(said, instead).encode(), "jp-vn-2026/3.toml")
    assert caught.value.field == ("jp-vn-2026/3.toml" if clause is None else f"jp-vn-2026/3.toml: {clause}")
    assert words in str(caught.value)
    assert str(caught.value).startswith("jp-vn-2026/3.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"\xff" + TEXT.encode(), "not UTF-8 at byte 0", id="not UTF-8"),
        pytest.param(b"#" * 300_000, "longer than", id="too long"),
        pytest.param(b"", "id: is missing", id="nothing"),
        pytest.param(b"grant = 1\n" + without("[grant"), "id", id="grant is no table"),
    ],
)
def test_what_is_no_agreement_at_all_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(BadConfiguration, match=words):
        parse_agreement(text.replace(b'id = "jp', b'"i d" = "jp'))


@given(st.data())
def test_no_damage_to_a_file_ends_in_anything_but_an_agreement_or_one_refusal(data: st.DataObject) -> None:
    raw = TEXT.encode()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 12)))
    inserted = data.draw(
        st.binary(max_size=8) | st.sampled_from([b'"', b"[", b"{", b"\n", b"=", b"-1", b"9"])
    )
    try:
        parse_agreement(raw[:start] + inserted + raw[end:])
    except BadConfiguration as error:
        assert error.field  # noqa: PT017  # most damage is refused, some is a comment or another title


def test_a_grant_that_expects_what_cannot_come_back_is_warned_of() -> None:
    one_way = CAREFUL.split('[[grant]]\nfrom = "*"')[0]
    assert [warning.split(",")[1] for warning in warnings_of(parse_agreement(one_way.encode()))] == [
        " feedback_hours: asks for feedback",
        " mode: gives on request",
    ]
    assert warnings_of(parse_agreement(CAREFUL.encode())) == ()


def test_personal_slots_that_will_be_withheld_are_warned_of() -> None:
    (warning,) = warnings_of(parse_agreement(without("personal_data", of=CAREFUL)))
    assert warning.startswith("grant 1, slots: names identifiers, persons")


DOUBTS = [
    # what the careful text says, what it says instead, the clause that is doubted, and words
    ("review_due = 2027-01-01", "review_due = 2025-12-31", "review_due", "nothing to review yet"),
    ("review_due = 2027-01-01", "review_due = 2027-06-30", "review_due", "over by then"),
    ("from = 2026-03-01", "from = 2025-03-01", "personal_data, from", "before in_force_from"),
    ("from = 2026-03-01", "from = 2027-06-30", "personal_data, from", "after terminated_on"),
    ('"facts", "identifiers", "persons"]', '"facts"]\n#', "personal_data, enabled", "nothing changes"),
    ('parties = ["jp", "vn"]', 'parties = ["jp", "nl", "vn"]', None, ""),
    ("retention_days = 365\n", "", "grant 1, retention_days", "without limit"),
]


@pytest.mark.parametrize(("said", "instead", "clause", "words"), DOUBTS)
def test_what_is_hardly_meant_is_doubted_with_its_clause(
    said: str, instead: str, clause: str | None, words: str
) -> None:
    text = CAREFUL.replace(said, instead, 1).replace('seal = ["persons"]\n', "")
    doubts = doubts_of(parse_agreement(text.encode()))
    assert [each for each, _ in doubts] == ([] if clause is None else [clause])
    assert all(words in wrong for _, wrong in doubts)


def test_a_party_that_no_grant_names_and_a_grant_that_is_there_twice_are_doubted() -> None:
    head, *grants = CAREFUL.split("[[grant]]\n")
    twice = head.replace('["jp", "vn"]', '["jp", "nl", "vn"]') + "".join(
        f"[[grant]]\n{each}" for each in (grants[0], grants[0])
    )
    doubts = doubts_of(parse_agreement(twice.encode()))
    assert ("parties", "nl gives nothing and gets nothing: no grant names it") in doubts
    assert ("grant 2", "says the same as grant 1") in doubts


def test_doubts_are_worked_out_for_any_agreement() -> None:
    for seed in range(200):
        agreement = any_agreement(Random(seed), 0)
        assert all(clause and wrong for clause, wrong in doubts_of(agreement))


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = (
        TEXT.replace("version = 3", 'version = "3"')
        .replace("nonce = ", "nonsens = ")
        .replace("in_force_from = 2026-01-01", "in_force_from = 2027-06-30")
        .replace('slots = ["facts", "identifiers", "persons"]', 'slots = ["fact", "identifiers", "photos"]')
        .replace('seal = ["persons"]\n', "statusses = []\n")
        .replace('domestic = "consent"', 'domestic = "consnet"')
        .replace('to = "*"', 'to = "nl"')
    )
    problems = problems_of(text.encode(), "jp-vn.toml")
    assert [clause for clause, _ in problems] == [
        "version", "nonce", "terminated_on", "grant 1, slots", "grant 1, slots", "grant 1, onward, domestic",
        "grant 1, statusses", "grant 2, to", "nonsens",
    ]  # fmt: skip
    said = dict(problems)
    assert "did you mean consent?" in said["grant 1, onward, domestic"]
    assert "did you mean statuses?" in said["grant 1, statusses"]
    assert "possible are jp, vn, *" in said["grant 2, to"]


@given(st.data())
def test_problems_are_found_exactly_where_a_file_is_refused(data: st.DataObject) -> None:
    text = TEXT
    for _ in range(data.draw(st.integers(0, 4))):
        row = data.draw(st.sampled_from(REFUSED))
        text = text.replace(row[0], row[1], 1)
    problems = problems_of(text.encode(), "file")
    try:
        parse_agreement(text.encode(), "file")
    except BadConfiguration as error:
        # The first to be refused is the first that is named, in the same words.
        clause, wrong = problems[0]
        assert str(error) == f"file: {clause}: {wrong}" if clause else f"file: {wrong}"  # noqa: PT017
    else:
        assert problems == ()
