"""A delivery as JSON: what channels hand to programs and commands print with `--json`.

Decides the names and forms that other systems build on; they are stable.
"""

from __future__ import annotations

from typing import Any

from adapters.channels import Item
from broker.core.further_terms import AtTheEnd, FurtherTerms
from broker.core.model import Ground, Obligations, Slot
from broker.core.notice_json import time_or_none, time_to_json, values_to_json
from schemas.obligations import in_words
from schemas.shown import slot_states


def shown(item: Item) -> dict[str, Any]:
    """Return a delivery as plain values."""
    head, header = item.head, item.notice.header
    return {
        "delivery": item.id.hex(),
        "statement": item.notice.statement.hex(),
        "reference": item.notice.reference,
        "type": header.notice_type,
        "status": header.status.name,
        "act": header.act.name,
        "originator": header.originator,
        "lane": head.lane,
        "sequence": head.sequence,
        "issued_at": time_to_json(header.issued_at),
        "decided_at": time_to_json(head.decided_at),
        "doubtful_since": time_or_none(item.doubtful_since),
        "region": header.region.slug,
        "regions_concerned": [each.slug for each in header.regions_concerned],
        "countries": header.countries,
        "tlp": header.tlp.name,
        "handling": header.handling.name,
        "purpose": header.purpose,
        "subjects": header.subjects,
        "campaign": header.campaign,
        "addressees": header.addressees,
        "references": [each.hex() for each in header.references],
        "effective_until": time_or_none(header.effective_until),
        "retain_until": time_or_none(header.retain_until),
        "feedback_due": time_or_none(header.feedback_due),
        "slots": {slot.label: state.value for slot, state in slot_states(item.notice.envelope).items()},
        "notice": {
            name: value
            for slot in Slot
            if slot in item.notice.values
            for name, value in values_to_json(item.notice.notice_type, item.notice.values[slot]).items()
        },
        "grounds": [_ground(each) for each in head.grounds],
        "obligations": _obligations(head.obligations, item.further),
        "directory": head.directory.hex(),
        "log": {"name": item.proof.log, "leaf": item.proof.index, "size": item.proof.size},
    }


def _ground(ground: Ground) -> dict[str, Any]:
    return {"agreement": ground.agreement, "version": ground.version, "digest": ground.digest.hex()}


def _obligations(owed: Obligations, further: FurtherTerms | None) -> dict[str, Any]:
    return {
        "retain_until": time_or_none(owed.retain_until),
        "feedback_due": time_or_none(owed.feedback_due),
        "handling": owed.handling.name,
        "onward": {
            "domestic": owed.onward_domestic.name,
            "community": owed.onward_community.name,
            "third_country": owed.onward_third_country.name,
        },
        "evidentiary_use": None if further is None else further.evidentiary_use.name,
        "on_termination": [] if further is None else [_at_the_end(each) for each in further.ends],
        "in_words": in_words(owed, further),
    }


def _at_the_end(each: AtTheEnd) -> dict[str, Any]:
    return {
        "agreement": each.agreement,
        "version": each.version,
        "rule": each.rule.value,
        "on": time_or_none(each.on_at),
    }
