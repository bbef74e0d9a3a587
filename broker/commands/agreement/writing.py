"""Agreement files written for people: from a template, or as the next version of one that is there.

Decides what a template's places hold, and that what comes out is an agreement that says what was asked.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib.resources import files
from string import Template

from broker.core.agreement_text import parse_agreement, problems_of
from broker.core.clauses import Agreement
from broker.core.errors import BadConfiguration
from broker.core.strict_toml import DAY

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a template is for, and what it asks for.

    `office` says who stands apart from the other parties, empty if nobody does; `office_begins` how such ids
    usually begin.  `years` is how long until its review, or with `ends` its end.
    """

    name: str
    summary: str
    types: tuple[str, ...]
    slots: tuple[str, ...]
    pair: bool = False
    office: str = ""
    office_begins: str = ""
    campaign: bool = False
    years: int = 2
    ends: bool = False
    personal: bool = True


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "bilateral",
            "mutual assistance between two administrations",
            ("drug-parcel", "hazardous-waste", "revenue-fraud"),
            ("facts", "entities", "intelligence"),
            pair=True,
        ),
        Kind(
            "regional-office",
            "a regional intelligence office and its members",
            ("drug-parcel", "hazardous-waste", "revenue-fraud"),
            ("facts", "intelligence"),
            office="the regional office",
            office_begins="rilo",
            years=1,
        ),
        Kind(
            "campaign",
            "a closed group for one campaign, with an end",
            ("drug-parcel", "hazardous-waste"),
            ("facts", "entities", "intelligence"),
            campaign=True,
            years=1,
            ends=True,
        ),
        Kind(
            "partner",
            "a partner that is not customs, with narrow access",
            ("revenue-fraud",),
            ("facts",),
            office="the partner",
            years=1,
            personal=False,
        ),
        Kind(
            "waste",
            "customs and the bodies of the waste convention",
            ("hazardous-waste",),
            ("facts", "entities"),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What an agreement is to say, where its template leaves room.  Dates are days."""

    kind: Kind
    id: str
    title: str
    parties: Sequence[str]
    in_force_from: date
    office: str | None = None
    campaign: str | None = None
    types: Sequence[str] = ()
    instrument: str | None = None
    legal_basis: str | None = None
    terminated_on: date | None = None


def write_agreement(plan: Plan) -> str:
    """Return the text of an agreement as planned.

    Raises:
        BadConfiguration: Naming the clause that cannot say that.
    """
    kind = plan.kind
    personal = plan.legal_basis is not None and kind.personal
    slots = [*kind.slots[:1], *(("identifiers",) if personal else ()), *kind.slots[1:]]
    if personal:
        slots.insert(-1 if "intelligence" in slots else len(slots), "persons")
    later = plan.in_force_from + timedelta(days=365 * kind.years)
    terminated_on = plan.terminated_on or (later if kind.ends else None)
    review = (
        later if terminated_on is None or later < terminated_on else plan.in_force_from + timedelta(days=1)
    )
    template = (files(__package__) / "templates" / f"{kind.name}.toml").read_text(encoding="utf-8")
    text = Template(template).substitute(
        id=_quoted(plan.id),
        nonce=_quoted(secrets.token_hex(16)),
        title=_quoted(plan.title),
        parties=_listed(sorted(plan.parties)),
        office=_quoted(plan.office or ""),
        campaigns=_listed([plan.campaign or ""]),
        types=_listed(list(dict.fromkeys(plan.types)) or list(kind.types)),
        slots=_listed(slots),
        instrument=(
            '# instrument = "…"                     # where the legal text is found'
            if plan.instrument is None
            else f"instrument = {_quoted(plan.instrument)}"
        ),
        in_force_from=plan.in_force_from.isoformat(),
        terminated_on=(
            "# terminated_on = 2030-01-01           # the first day on which it is over"
            if terminated_on is None
            else f"terminated_on = {terminated_on.isoformat()}"
        ),
        review_due=review.isoformat(),
        personal_data=_personal_data(plan, personal=personal),
    )  # fmt: skip
    parse_agreement(text.encode(), "agreement")
    return text


def next_version(text: bytes, file: str, *, terminated_on: date | None = None) -> str:
    """Return the same agreement as its next version, with a fresh nonce, and an end if one is given.

    Raises:
        BadConfiguration: It is no agreement, cannot end on that day, or its clauses do not stand on lines of
            their own.
    """
    before = parse_agreement(text, file)
    lines = text.decode().split("\n")
    at = next((place for place, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    head, rest = lines[:at], lines[at:]
    head = _with(head, "version", str(before.version + 1))
    head = _with(head, "nonce", _quoted(secrets.token_hex(16)))
    if terminated_on is not None:
        head = _with(head, "terminated_on", terminated_on.isoformat(), after="in_force_from")
    changed = "\n".join([*head, *rest])
    is_toml = all(problem.clause for problem in problems_of(changed.encode(), file))
    if not is_toml or not _differs_as_meant(before, parse_agreement(changed.encode(), file), terminated_on):
        raise BadConfiguration(
            "its version, nonce and end do not stand on lines of their own: change it by hand", field=file
        )
    return changed


def _differs_as_meant(before: Agreement, found: Agreement, terminated_on: date | None) -> bool:
    meant = replace(before, version=before.version + 1, digest=found.digest)
    if terminated_on is not None:
        end = (terminated_on - _EPOCH).days * DAY
        meant = replace(meant, terminated_at=end, wound_down_at=end + before.wind_down_days * DAY)
    return found == meant


def _with(lines: Sequence[str], key: str, value: str, *, after: str = "") -> list[str]:
    """Return the lines with this clause, in its place or after another; what stands behind it stays."""
    for comment in ("", r"#\s*"):
        of = re.compile(rf"{comment}{key}(\s*=\s*)(\"[^\"]*\"|[^\s#]+)")
        if any(of.match(line) for line in lines):
            return [of.sub(lambda found: f"{key}{found[1]}{value}", line, count=1) for line in lines]
    place = next((at for at, line in enumerate(lines) if re.match(rf"{after}\s*=", line)), len(lines) - 1)
    return [*lines[: place + 1], f"{key} = {value}", *lines[place + 1 :]]


def _personal_data(plan: Plan, *, personal: bool) -> str:
    if not plan.kind.personal:
        return "[personal_data]\nenabled = false                        # a partner gets none"
    if not personal or plan.legal_basis is None:
        return (
            "# Off until both sides agree that protection is equivalent; then as the next version with\n"
            '#   enabled = true, from = 2030-01-01, legal_basis = "…"\n'
            '# and "identifiers" and "persons" in the grants that are to give them.\n'
            "[personal_data]\nenabled = false"
        )
    return (
        f"[personal_data]\nenabled = true\nfrom = {plan.in_force_from.isoformat()}\n"
        f"legal_basis = {_quoted(plan.legal_basis)}"
    )


def _quoted(text: str) -> str:
    # A string of JSON is one of TOML, but for DEL, which no clause may hold.
    return json.dumps(text, ensure_ascii=False)


def _listed(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"
