"""An agreement file, read strictly: from the bytes that parties acceded to to clauses, or one clear error.

Decides what is a well-formed agreement (design part 4, and `docs/agreements.md` for people); what its
clauses mean for a notice is decided in `core.agreements`.  The bytes themselves are what is acceded
to: nothing here normalises, and two files that say the same are two agreements.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

from broker.core.clauses import (
    EVERY_PARTY,
    PERSONAL_SLOTS,
    Agreement,
    Grant,
    Mode,
    OnTermination,
    PersonalData,
    Terms,
)
from broker.core.header import is_country, is_member_id, is_name, is_subject
from broker.core.model import Onward, Slot, Status, Tlp
from broker.core.strict_toml import DAY, Form, Table

MEMBER = Form(is_member_id, "a member's id: 2 to 31 of a-z, 0-9 and single hyphens, a letter first")
NAME = Form(is_name, "a name: 2 to 64 of a-z, 0-9 and hyphens, a letter first")
COUNTRY = Form(is_country, "a country code of two capitals (ISO 3166-1), such as JP")
SUBJECT = Form(
    # A chapter, heading or subheading has 2, 4 or 6 digits: hs:293 would never match by prefix.
    lambda text: is_subject(text) and not re.fullmatch(r"hs:[0-9](?:[0-9]{2}){0,2}", text),
    "a subject such as hs:2939 or basel:Y48; after hs: stand 2, 4, 6 or more digits",
)

FEEDBACK = "feedback"

SLOTS = {slot.label: slot for slot in Slot}
STATUSES = {status.name: status for status in Status}
TLPS = {tlp.name: tlp for tlp in Tlp}
ONWARD = {onward.name.lower().replace("_", "-"): onward for onward in Onward}
EVIDENTIARY = {name: ONWARD[name] for name in ("deny", "consent", "allow")}
MODES = {mode.value: mode for mode in Mode}
ON_TERMINATION = {value.value: value for value in OnTermination}

MAX_VERSION = 1_000_000
MAX_DAYS = 36_500
MAX_FEEDBACK_HOURS = 8_760
NONCE_BYTES = 16


def parse_agreement(text: bytes, file: str = "agreement") -> Agreement:
    """Return the agreement that these bytes are; `file` is named in messages.

    Raises:
        BadConfiguration: Naming file and clause, what is wrong and what is possible.
    """
    table = Table.parse(text, file)
    id_ = table.text("id", NAME)
    version = table.integer("version", 1, MAX_VERSION)
    table.hexadecimal("nonce", NONCE_BYTES)
    title = table.text("title")
    parties = table.texts("parties", MEMBER)
    if len(parties) < 2:
        table.fail("parties", "an agreement has at least two parties")
    in_force_at = table.day("in_force_from")
    terminated_at, wound_down_at = _end(table, in_force_at)
    agreement = Agreement(
        id=id_,
        version=version,
        digest=hashlib.sha256(text).digest(),
        title=title,
        parties=frozenset(parties),
        in_force_at=in_force_at,
        terminated_at=terminated_at,
        wound_down_at=wound_down_at,
        on_termination=(
            table.choice("on_termination", ON_TERMINATION)
            if table.has("on_termination")
            else OnTermination.ERASE
        ),
        personal_data=_personal_data(table.table("personal_data")) if table.has("personal_data") else None,
        grants=tuple(_grant(each, parties) for each in table.tables("grant")),
        instrument=table.text("instrument") if table.has("instrument") else None,
        instrument_digest=(
            table.hexadecimal("instrument_digest", 32) if table.has("instrument_digest") else None
        ),
        review_due_at=table.day("review_due") if table.has("review_due") else None,
    )
    table.finish()
    return agreement


def warnings_of(agreement: Agreement) -> tuple[str, ...]:
    """Return what is allowed but hardly meant: one sentence each, naming the grant."""
    return tuple(_warnings(agreement))


def _end(table: Table, in_force_at: int) -> tuple[int | None, int | None]:
    wind_down_days = table.integer("wind_down_days", 0, MAX_DAYS) if table.has("wind_down_days") else 0
    if not table.has("terminated_on"):
        return None, None
    terminated_at = table.day("terminated_on")
    if terminated_at <= in_force_at:
        table.fail("terminated_on", "must be later than in_force_from")
    return terminated_at, terminated_at + wind_down_days * DAY


def _personal_data(table: Table) -> PersonalData | None:
    enabled = table.boolean("enabled")
    from_at = table.day("from") if enabled or table.has("from") else 0
    legal_basis = table.text("legal_basis") if enabled or table.has("legal_basis") else ""
    table.finish()
    return PersonalData(from_at, legal_basis) if enabled else None


def _grant(table: Table, parties: tuple[str, ...]) -> Grant:
    choices = {party: party for party in (*parties, EVERY_PARTY)}
    giver = table.choice("from", choices)
    receiver = table.choice("to", choices)
    if giver == receiver != EVERY_PARTY:
        table.fail("to", "must be another party than from")
    slots = frozenset(table.choices("slots", SLOTS))
    seal = frozenset(table.choices("seal", SLOTS)) if table.has("seal") else frozenset()
    if not seal <= slots:
        table.fail("seal", "can only list slots that the grant gives")
    grant = Grant(
        giver=giver,
        receiver=receiver,
        types=frozenset(table.texts("types", NAME)),
        slots=slots,
        countries=_names(table, "countries", COUNTRY),
        subjects=_names(table, "subjects", SUBJECT),
        statuses=(
            frozenset(table.choices("statuses", STATUSES))
            if table.has("statuses")
            else frozenset({Status.ACTUAL})
        ),
        purposes=_names(table, "purposes", NAME),
        campaigns=_names(table, "campaigns", NAME),
        tlp_max=table.choice("tlp_max", TLPS) if table.has("tlp_max") else Tlp.AMBER,
        mode=table.choice("mode", MODES) if table.has("mode") else Mode.AUTOMATIC,
        seal=seal,
        terms=_terms(table),
    )
    table.finish()
    return grant


def _terms(table: Table) -> Terms:
    onward = _onward(table.table("onward")) if table.has("onward") else {}
    return Terms(
        retention_days=(
            table.integer("retention_days", 1, MAX_DAYS) if table.has("retention_days") else None
        ),
        feedback_hours=(
            table.integer("feedback_hours", 1, MAX_FEEDBACK_HOURS) if table.has("feedback_hours") else None
        ),
        onward_domestic=onward.get("domestic", Onward.DENY),
        onward_community=onward.get("community", Onward.DENY),
        onward_third_country=onward.get("third_country", Onward.DENY),
        evidentiary_use=(
            table.choice("evidentiary_use", EVIDENTIARY) if table.has("evidentiary_use") else Onward.DENY
        ),
    )


def _onward(table: Table) -> Mapping[str, Onward]:
    found = {
        key: table.choice(key, ONWARD) for key in ("domestic", "community", "third_country") if table.has(key)
    }
    table.finish()
    return found


def _names(table: Table, key: str, form: Form) -> frozenset[str] | None:
    return frozenset(table.texts(key, form)) if table.has(key) else None


def _warnings(agreement: Agreement) -> Iterator[str]:
    for number, grant in enumerate(agreement.grants, 1):
        place = f"grant {number}"
        personal = ", ".join(sorted(slot.label for slot in grant.slots & PERSONAL_SLOTS))
        if personal and agreement.personal_data is None:
            yield f"{place} names {personal}, but personal data is not enabled: they will be withheld"
        if grant.terms.feedback_hours is not None and not _all_ways_back(agreement, grant, FEEDBACK):
            yield f"{place} asks for feedback, but no grant of feedback leads back"
        if grant.mode is Mode.ON_REQUEST and not _all_ways_back(agreement, grant, None):
            yield f"{place} gives on request, but no automatic grant carries a request back"


def _all_ways_back(agreement: Agreement, grant: Grant, notice_type: str | None) -> bool:
    return all(
        any(
            back.mode is Mode.AUTOMATIC
            and (notice_type is None or notice_type in back.types)
            and back.giver in (EVERY_PARTY, receiver)
            and back.receiver in (EVERY_PARTY, giver)
            for back in agreement.grants
        )
        for giver in sorted(agreement.parties)
        for receiver in sorted(agreement.parties - {giver})
        if grant.giver in (EVERY_PARTY, giver) and grant.receiver in (EVERY_PARTY, receiver)
    )
