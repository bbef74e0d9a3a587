"""Agreement values as the files that say the same, so that random agreements can go through their text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from random import Random

from broker.core.clauses import Agreement, Grant
from broker.core.model import Onward

DAY = 86_400_000


def text_of(agreement: Agreement, random: Random) -> str:
    """A file that says what the agreement says, with what `tests.strategies` leaves out made up."""
    lines = [
        f"id = {_text(agreement.id)}",
        f"version = {random.randint(1, 40)}",
        f"nonce = {_text(random.randbytes(16).hex())}",
        f"title = {_text(random.choice(('Agreement “A” & B', 'Thỏa thuận', 'Accord d’assistance')))}",
        f"parties = {_list(agreement.parties)}",
        f"in_force_from = {_day(agreement.in_force_at)}",
    ]
    if random.random() < 0.5:
        lines.append('instrument = "Treaty Series 2025, 17"')
        lines.append(f"instrument_digest = {_text(random.randbytes(32).hex())}")
    if agreement.terminated_at is not None and agreement.wound_down_at is not None:
        lines.append(f"terminated_on = {_day(agreement.terminated_at)}")
        lines.append(f"wind_down_days = {(agreement.wound_down_at - agreement.terminated_at) // DAY}")
    elif random.random() < 0.5:
        lines.append("wind_down_days = 45")
    if random.random() < 0.5:
        lines.append(f"review_due = {_day(agreement.in_force_at + 700 * DAY)}")
    if random.random() < 0.5:
        lines.append('on_termination = "keep-until-retention"')
    if agreement.personal_data is not None:
        lines += [
            "[personal_data]",
            "enabled = true",
            f"from = {_day(agreement.personal_data.from_at)}",
            f"legal_basis = {_text(agreement.personal_data.legal_basis)}",
        ]
    for grant in agreement.grants:
        lines += ["[[grant]]", *_grant(grant, random)]
    return "\n".join(lines) + "\n"


def _grant(grant: Grant, random: Random) -> Iterator[str]:
    yield f"from = {_text(grant.giver)}"
    yield f"to = {_text(grant.receiver)}"
    yield f"types = {_list(grant.types)}"
    yield f"slots = {_list(slot.label for slot in grant.slots)}"
    yield f"statuses = {_list(status.name for status in grant.statuses)}"
    yield f'tlp_max = "{grant.tlp_max.name}"'
    yield f'mode = "{grant.mode.value}"'
    for key in ("countries", "subjects", "purposes", "campaigns"):
        values = getattr(grant, key)
        if values is not None:
            yield f"{key} = {_list(values)}"
    if grant.seal:
        yield f"seal = {_list(slot.label for slot in grant.seal)}"
    terms = grant.terms
    if terms.retention_days is not None:
        yield f"retention_days = {terms.retention_days}"
    if terms.feedback_hours is not None:
        yield f"feedback_hours = {terms.feedback_hours}"
    onward = {
        "domestic": terms.onward_domestic,
        "community": terms.onward_community,
        "third_country": terms.onward_third_country,
    }
    yield f"onward = {{ {', '.join(f'{key} = {_text(_rule(rule))}' for key, rule in onward.items())} }}"
    yield f'evidentiary_use = "{random.choice(("deny", "consent", "allow"))}"'


def _rule(onward: Onward) -> str:
    return onward.name.lower().replace("_", "-")


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _list(texts: Iterable[str]) -> str:
    return json.dumps(sorted(texts))
