"""What `halong inspect` says: to a program as one object, to a person as aligned lines.

Decides names and words only.  Everything out of a file passes through `clean` before it reaches a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from enum import IntEnum
from typing import Any

from adapters.inspecting import Found, Inspection, Keys
from broker.core.model import DeliveryHead, Header, Slot
from broker.core.notice_json import time_or_none, time_to_json, values_to_json
from broker.core.sign1 import BatchProof, parse_signature
from broker.terminal import clean, style, table
from schemas.shown import SlotState, slot_states

TIMES = ("issued_at", "effective_until", "retain_until", "feedback_due")
MOST_VALUE_CHARACTERS = 300
SHORT = 12
LABEL_WIDTH = 15

_STATES = {
    SlotState.SHOWN: ("disclosed", {"fg": "green"}),
    SlotState.NONE: ("disclosed", {"fg": "green"}),
    SlotState.SEALED: ("sealed", {"fg": "cyan"}),
    SlotState.WITHHELD: ("withheld", {"fg": "yellow"}),
}


# --- for programs -------------------------------------------------------------------------------------


def as_object(inspection: Inspection, doubtful_since: int | None = None) -> dict[str, Any]:
    """Return the answer to a program; its names are stable.  The time is since when its key was stolen."""
    arrived = inspection.found.arrived
    slots = _slots(inspection.found)
    told = {
        "reference": None if arrived is None else arrived.reference,
        "statement": None if arrived is None else arrived.statement.hex(),
        "header": None if arrived is None else _plain(arrived.header),
        **{state: [slot.label for slot, one in slots.items() if one == state] for state in _words()},
        "signature": "not-checked" if inspection.notice is None else "verified",
        "batch": _batch(inspection),
        "code": None if inspection.refused is None else inspection.refused.code,
    }
    if inspection.found.head is not None:
        told["delivery"] = _plain(inspection.found.head)
        told["doubtful_since"] = time_or_none(doubtful_since)
    return told


def _words() -> tuple[str, ...]:
    return ("disclosed", "sealed", "withheld")


def _slots(found: Found) -> dict[Slot, str]:
    if found.arrived is None:
        return {}
    return {slot: _STATES[state][0] for slot, state in slot_states(found.arrived.envelope).items()}


def _batch(inspection: Inspection) -> dict[str, int] | None:
    """Return which leaf of how many was signed, None for one that was signed by itself or does not hold."""
    proof = _proof(inspection)
    return None if proof is None else {"index": proof.index, "size": proof.size}


def _proof(inspection: Inspection) -> BatchProof | None:
    if inspection.notice is None:
        return None
    return parse_signature(inspection.notice.envelope.signature).proof


def _plain(value: Any) -> Any:
    """Return a record as JSON has it: names of enums, bytes in hex, times in milliseconds."""
    match value:
        case IntEnum():
            return value.name
        case bytes():
            return value.hex()
        case tuple():
            return [_plain(item) for item in value]
        case None | str() | int():
            return value
        case _:
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


# --- for people ---------------------------------------------------------------------------------------


def as_lines(inspection: Inspection, keys: Keys | None, doubtful_since: int | None = None) -> Iterator[str]:
    """Yield the answer to a person; nothing where the file could not be read at all."""
    found = inspection.found
    arrived = found.arrived
    if arrived is None and found.head is None:
        return
    name = "a delivery whose content is erased" if arrived is None else arrived.reference
    yield f"{_verdict(inspection)}  {style(clean(name), bold=True)}"
    if doubtful_since is not None:
        yield style(f"! in doubt: its key was stolen by {_time(doubtful_since)}", fg="red", bold=True)
    yield ""
    yield from table(_signature_rows(inspection, keys))
    if arrived is not None:
        yield from table(_header_rows(arrived.header, arrived.statement))
    if found.head is not None:
        yield ""
        yield f"{style('delivery', bold=True)}   as the hub says; what proves it is the log, not this file"
        yield from table(_delivery_rows(found.head))
    if arrived is not None:
        yield ""
        yield style("slots", bold=True)
        yield from table(_slot_rows(inspection))


def _verdict(inspection: Inspection) -> str:
    if inspection.refused is not None:
        return style(f"✗ refused: {inspection.refused.code}", fg="red", bold=True)
    if inspection.notice is None:
        return style("! not checked", fg="yellow", bold=True)
    return style("✓ verified", fg="green", bold=True)


def _signature_rows(inspection: Inspection, keys: Keys | None) -> Iterator[tuple[str, str]]:
    if inspection.notice is None:
        yield _row("signature", f"not checked: {_why_not(inspection, keys)}")
        return
    assert keys is not None
    key = inspection.notice.key
    second = "" if keys.countersigning is None else ", countersigned by ML-DSA-65"
    by = f"{key.public.algorithm.value} key {key.id.hex()[:SHORT]}…{second}"
    yield _row("signature", f"verified: by {by}, for network {clean(keys.network)}")
    if (proof := _proof(inspection)) is not None:
        yield _row("signed as", f"leaf {proof.index} of a batch of {proof.size}, which it proves by itself")


def _why_not(inspection: Inspection, keys: Keys | None) -> str:
    if inspection.found.arrived is None:
        return "the content is erased"
    if keys is None:
        return "no key was passed"
    if inspection.refused is None:
        return "it is countersigned, and no --pq-public-key was passed"
    return "nothing is relied on of what does not hold"


def _header_rows(header: Header, statement: bytes) -> Iterator[tuple[str, str]]:
    yield _row("statement", statement.hex())
    yield _row("type", f"{clean(header.notice_type)}   schema {header.schema.hex()[:SHORT]}…")
    yield _row("status, act", f"{header.status.name}, {header.act.name}")
    yield _row("handling", f"TLP {header.tlp.name}, {header.handling.name}, for {clean(header.purpose)}")
    yield _row("regions", ", ".join(one.slug for one in (header.region, *header.regions_concerned)))
    yield _row("countries", " ".join(map(clean, header.countries)) or "-")
    yield _row("subjects", " ".join(map(clean, header.subjects)) or "-")
    yield _row("addressees", " ".join(map(clean, header.addressees)) or "whoever the agreements allow")
    if header.campaign is not None:
        yield _row("campaign", clean(header.campaign))
    for reference in header.references:
        yield _row("refers to", reference.hex())
    previous = "none: the first of its stream" if header.previous is None else header.previous.hex()
    yield _row("previous", previous)
    for name in TIMES:
        at = getattr(header, name)
        if at is not None:
            yield _row(name.replace("_", " "), _time(at))


def _delivery_rows(head: DeliveryHead) -> Iterator[tuple[str, str]]:
    yield _row("to", f"{clean(head.member)}, number {head.sequence} of lane {clean(head.lane)}")
    yield _row("slots", " ".join(slot.label for slot in head.slots) or "-")
    for ground in head.grounds:
        agreement = f"{clean(ground.agreement)}/{ground.version}"
        yield _row("under", f"{agreement}   {ground.digest.hex()[:SHORT]}…")
    yield _row("decided at", _time(head.decided_at))
    owed = head.obligations
    if owed.retain_until is not None:
        yield _row("keep until", _time(owed.retain_until))
    if owed.feedback_due is not None:
        yield _row("feedback by", _time(owed.feedback_due))
    onward = (owed.onward_domestic, owed.onward_community, owed.onward_third_country)
    yield _row(
        "pass on", "at home {}, in the community {}, to others {}".format(*(one.name for one in onward))
    )


def _slot_rows(inspection: Inspection) -> Iterator[tuple[str, ...]]:
    arrived = inspection.found.arrived
    assert arrived is not None
    for slot, state in slot_states(arrived.envelope).items():
        word, colour = _STATES[state]
        said = list(_values(inspection, slot)) if state is SlotState.SHOWN else []
        if state is SlotState.NONE:
            said = [("(none)", "")]
        name, shown = f"{slot.label:<{LABEL_WIDTH}}", style(word, **colour)
        yield (name, shown, *(said[0] if said else ()))
        yield from (("", "", *more) for more in said[1:])


def _values(inspection: Inspection, slot: Slot) -> Iterator[tuple[str, str]]:
    if inspection.notice_type is None or inspection.values is None or slot not in inspection.values:
        yield "not read", ""
        return
    for name, value in values_to_json(inspection.notice_type, inspection.values[slot]).items():
        if value is not None:
            yield (
                clean(name),
                _short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)),
            )


def _short(text: str) -> str:
    text = clean(text.replace("\n", " ").replace("\t", " "))
    if len(text) <= MOST_VALUE_CHARACTERS:
        return text
    return f"{text[:MOST_VALUE_CHARACTERS]}… ({len(text) - MOST_VALUE_CHARACTERS} more)"


def _row(label: str, said: str) -> tuple[str, str]:
    return f"{label:<{LABEL_WIDTH}}", said


def _time(at: int) -> str:
    """Return a time; one out of range, which a refused header may have, as its number."""
    try:
        return time_to_json(at)
    except OverflowError:
        return f"{at} ms"
