"""An agreement file, read strictly: from the bytes that parties acceded to to clauses, or to what is wrong.

Decides what is a well-formed agreement (design part 4, and `docs/agreements.md` for people); what its
clauses mean for a notice is decided in `core.agreements`, what is allowed but hardly meant in
`core.agreement_doubts`.  The bytes themselves are what is acceded to: nothing here normalises, and two files
that say the same are two agreements.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from broker.core.clauses import (
    EVERY_PARTY,
    Agreement,
    Grant,
    Mode,
    OnTermination,
    PersonalData,
    Terms,
)
from broker.core.errors import BadConfiguration
from broker.core.header import is_country, is_member_id, is_name, is_subject
from broker.core.model import Onward, Slot, Status, Tlp
from broker.core.strict_toml import DAY, Form, Problem, Table

MEMBER = Form(is_member_id, "a member's id: 2 to 31 of a-z, 0-9 and single hyphens, a letter first")
NAME = Form(is_name, "a name: 2 to 64 of a-z, 0-9 and hyphens, a letter first")
COUNTRY = Form(is_country, "a country code of two capitals (ISO 3166-1), such as JP")
SUBJECT = Form(
    # A chapter, heading or subheading has 2, 4 or 6 digits: hs:293 would never match by prefix.
    lambda text: is_subject(text) and not re.fullmatch(r"hs:[0-9](?:[0-9]{2}){0,2}", text),
    "a subject such as hs:2939 or basel:Y48; after hs: stand 2, 4, 6 or more digits",
)

T = TypeVar("T")

SLOTS = {slot.label: slot for slot in Slot}
STATUSES = {status.name: status for status in Status}
TLPS = {tlp.name: tlp for tlp in Tlp}
ONWARD = {onward.name.lower().replace("_", "-"): onward for onward in Onward}
EVIDENTIARY = {name: ONWARD[name] for name in ("deny", "consent", "allow")}
MODES = {mode.value: mode for mode in Mode}
ON_TERMINATION = {value.value: value for value in OnTermination}

MOST_VERSION = 1_000_000
MOST_DAYS = 36_500
MOST_FEEDBACK_HOURS = 8_760
NONCE_BYTES = 16


def parse_agreement(text: bytes, file: str = "agreement") -> Agreement:
    """Return the agreement that these bytes are; `file` is named in messages.

    Raises:
        BadConfiguration: Naming file and clause, what is wrong and what is possible.
    """
    return _agreement(Table.parse(text, file), text)


def problems_of(text: bytes, file: str = "agreement") -> tuple[Problem, ...]:
    """Return all that keeps these bytes from being an agreement; nothing if `parse_agreement` takes them.

    What is no TOML at all is one problem: nothing behind it can be read.
    """
    problems: list[Problem] = []
    try:
        table = Table.parse(text, file, problems)
    except BadConfiguration as error:
        return (Problem("", str(error).removeprefix(f"{file}: ")),)
    _agreement(table, text)
    return tuple(problems)


def _agreement(table: Table, text: bytes) -> Agreement:
    read = table.attempt
    id_ = read(lambda: table.text("id", NAME), "")
    version = read(lambda: table.integer("version", 1, MOST_VERSION), 1)
    read(lambda: table.hexadecimal("nonce", NONCE_BYTES), b"")
    title = read(lambda: table.text("title"), "")
    parties = read(lambda: _parties(table), tuple[str, ...]())
    in_force_at = read(lambda: table.day("in_force_from"), 0)
    wind_down_days = read(lambda: _integer(table, "wind_down_days", MOST_DAYS, least=0), None) or 0
    terminated_at = read(lambda: _end(table, in_force_at), None)
    agreement = Agreement(
        id=id_,
        version=version,
        digest=hashlib.sha256(text).digest(),
        title=title,
        parties=frozenset(parties),
        in_force_at=in_force_at,
        terminated_at=terminated_at,
        wound_down_at=None if terminated_at is None else terminated_at + wind_down_days * DAY,
        on_termination=read(
            lambda: _choice(table, "on_termination", ON_TERMINATION, OnTermination.ERASE), OnTermination.ERASE
        ),
        personal_data=read(lambda: _personal_data(table), None),
        grants=tuple(
            _grant(each, parties) for each in read(lambda: table.tables("grant"), tuple[Table, ...]())
        ),
        instrument=read(lambda: table.text("instrument") if table.has("instrument") else None, None),
        instrument_digest=read(
            lambda: table.hexadecimal("instrument_digest", 32) if table.has("instrument_digest") else None,
            None,
        ),
        review_due_at=read(lambda: table.day("review_due") if table.has("review_due") else None, None),
        wind_down_days=wind_down_days,
    )
    table.finish()
    return agreement


def _parties(table: Table) -> tuple[str, ...]:
    parties = table.texts("parties", MEMBER)
    if len(parties) < 2:
        table.fail("parties", "an agreement has at least two parties")
    return parties


def _end(table: Table, in_force_at: int) -> int | None:
    if not table.has("terminated_on"):
        return None
    terminated_at = table.day("terminated_on")
    if terminated_at <= in_force_at:
        since = datetime.fromtimestamp(in_force_at / 1000, UTC)
        table.fail("terminated_on", f"must be later than in_force_from, which is {since:%Y-%m-%d}")
    return terminated_at


def _personal_data(outer: Table) -> PersonalData | None:
    if not outer.has("personal_data"):
        return None
    table = outer.table("personal_data")
    read = table.attempt
    enabled = read(lambda: table.boolean("enabled"), otherwise=True)
    from_at = read(lambda: table.day("from") if enabled or table.has("from") else 0, 0)
    legal_basis = read(lambda: table.text("legal_basis") if enabled or table.has("legal_basis") else "", "")
    table.finish()
    return PersonalData(from_at, legal_basis) if enabled else None


def _grant(table: Table, parties: tuple[str, ...]) -> Grant:
    read = table.attempt
    giver = read(lambda: _party(table, "from", parties), EVERY_PARTY)
    receiver = read(lambda: _party(table, "to", parties), EVERY_PARTY)
    if giver == receiver != EVERY_PARTY:
        read(lambda: table.fail("to", "must be another party than from"), None)
    slots = frozenset(read(lambda: table.choices("slots", SLOTS), tuple(Slot)))
    grant = Grant(
        giver=giver,
        receiver=receiver,
        types=frozenset(read(lambda: table.texts("types", NAME), tuple[str, ...]())),
        slots=slots,
        countries=_names(table, "countries", COUNTRY),
        subjects=_names(table, "subjects", SUBJECT),
        statuses=frozenset(read(lambda: _statuses(table), tuple[Status, ...]())),
        purposes=_names(table, "purposes", NAME),
        campaigns=_names(table, "campaigns", NAME),
        tlp_max=read(lambda: _choice(table, "tlp_max", TLPS, Tlp.AMBER), Tlp.AMBER),
        mode=read(lambda: _choice(table, "mode", MODES, Mode.AUTOMATIC), Mode.AUTOMATIC),
        seal=read(lambda: _seal(table, slots), frozenset()),
        terms=_terms(table),
    )
    table.finish()
    return grant


def _party(table: Table, key: str, parties: tuple[str, ...]) -> str:
    # Where the parties themselves could not be read, nobody can be told that it is none of them.
    if not parties:
        table.has(key)
        return EVERY_PARTY
    return table.choice(key, {party: party for party in (*parties, EVERY_PARTY)})


def _statuses(table: Table) -> tuple[Status, ...]:
    return table.choices("statuses", STATUSES) if table.has("statuses") else (Status.ACTUAL,)


def _seal(table: Table, slots: frozenset[Slot]) -> frozenset[Slot]:
    seal = frozenset(table.choices("seal", SLOTS)) if table.has("seal") else frozenset[Slot]()
    if not seal <= slots:
        table.fail("seal", "can only list slots that the grant gives")
    return seal


def _terms(table: Table) -> Terms:
    read = table.attempt
    onward = read(lambda: _onward(table), dict[str, Onward]())
    return Terms(
        retention_days=read(lambda: _integer(table, "retention_days", MOST_DAYS), None),
        feedback_hours=read(lambda: _integer(table, "feedback_hours", MOST_FEEDBACK_HOURS), None),
        onward_domestic=onward.get("domestic", Onward.DENY),
        onward_community=onward.get("community", Onward.DENY),
        onward_third_country=onward.get("third_country", Onward.DENY),
        evidentiary_use=read(
            lambda: _choice(table, "evidentiary_use", EVIDENTIARY, Onward.DENY), Onward.DENY
        ),
    )


def _onward(outer: Table) -> dict[str, Onward]:
    if not outer.has("onward"):
        return {}
    table = outer.table("onward")
    found = {
        key: table.attempt(partial(_choice, table, key, ONWARD, Onward.DENY), Onward.DENY)
        for key in ("domestic", "community", "third_country")
    }
    table.finish()
    return found


def _names(table: Table, key: str, form: Form) -> frozenset[str] | None:
    return table.attempt(lambda: frozenset(table.texts(key, form)) if table.has(key) else None, None)


def _integer(table: Table, key: str, most: int, *, least: int = 1) -> int | None:
    return table.integer(key, least, most) if table.has(key) else None


def _choice(table: Table, key: str, choices: Mapping[str, T], otherwise: T) -> T:
    return table.choice(key, choices) if table.has(key) else otherwise
