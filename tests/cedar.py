"""`decide` said once more in Cedar: policies from the same agreements, judged by Cedar's own engine.

Each grant becomes a permit for the actions that are its slots.  What Cedar cannot compute (prefixes,
what a reference means) is computed here anew from header and context, sharing no code with
`broker.core.agreements`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cedarpy

from broker.core.agreements import Context
from broker.core.clauses import Agreement, Grant
from broker.core.directory import Directory
from broker.core.model import Header, Slot
from tests.strategies import Case

PERSONAL = ("IDENTIFIERS", "PERSONS")


class Oracle:
    """Cedar's answers on one directory."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.policies = cedarpy.PolicySet.from_str("\n".join(_policies(directory)))
        self.entities = cedarpy.Entities.from_json_str(
            json.dumps(
                [
                    {
                        "uid": {"type": "Member", "id": member.id},
                        "attrs": {
                            "name": member.id,
                            "acceded": sorted(
                                _accession(*key, value) for key, value in member.accessions.items()
                            ),
                        },
                        "parents": [],
                    }
                    for member in directory.members.values()
                ]
            )
        )

    def slots(self, cases: Sequence[Case]) -> list[dict[str, frozenset[Slot]]]:
        """Return, for each case, what each member may see; members that may see nothing are left out."""
        return self.found(
            cases, cedarpy.is_authorized_batch(self.requests(cases), self.policies, self.entities)
        )

    def requests(self, cases: Sequence[Case]) -> list[dict[str, Any]]:
        """Return the questions: for each case, whether each member may see each slot."""
        contexts = {
            (number, recipient): json.dumps(_context(case, recipient))
            for number, case in enumerate(cases)
            for recipient in self.directory.members
        }
        return [
            {
                "principal": {"type": "Member", "id": recipient},
                "action": {"type": "Action", "id": slot.name},
                "resource": {"type": "Member", "id": cases[number].header.originator},
                "context": contexts[number, recipient],
            }
            for number, recipient, slot in self._asked(cases)
        ]

    def found(
        self, cases: Sequence[Case], results: Sequence[cedarpy.AuthzResult]
    ) -> list[dict[str, frozenset[Slot]]]:
        """Return what Cedar's answers to `requests` come to, as `slots` does."""
        found: list[dict[str, frozenset[Slot]]] = [{} for _ in cases]
        for (number, recipient, slot), result in zip(self._asked(cases), results, strict=True):
            assert not result.diagnostics.errors
            if result.allowed:
                found[number][recipient] = found[number].get(recipient, frozenset()) | {slot}
        return found

    def _asked(self, cases: Sequence[Case]) -> list[tuple[int, str, Slot]]:
        return [
            (number, recipient, slot)
            for number in range(len(cases))
            for recipient in self.directory.members
            for slot in Slot
        ]


def _policies(directory: Directory) -> Iterator[str]:
    yield "forbid (principal, action, resource) when { principal == resource };"
    yield (
        "forbid (principal, action, resource) when "
        "{ context.addressed && !context.addressees.contains(principal.name) };"
    )
    for slot in Slot:
        yield (
            f'permit (principal, action == Action::"{slot.name}", resource) when '
            f'{{ context.follows && context.before.contains("{slot.name}") }};'
        )
    for agreement in directory.agreements:
        for grant in agreement.grants:
            plain = [slot.name for slot in grant.slots if slot.name not in PERSONAL]
            personal = [slot.name for slot in grant.slots if slot.name in PERSONAL]
            conditions = " && ".join(_conditions(agreement, grant))
            if plain:
                yield _permit(plain, conditions)
            if personal and agreement.personal_data is not None:
                yield _permit(personal, f"{conditions} && context.at >= {agreement.personal_data.from_at}")


def _permit(slots: Sequence[str], conditions: str) -> str:
    actions = ", ".join(f'Action::"{slot}"' for slot in slots)
    return f"permit (principal, action in [{actions}], resource) when {{ {conditions} }};"


def _conditions(agreement: Agreement, grant: Grant) -> Iterator[str]:
    yield "!context.follows"
    acceded = json.dumps(_accession(agreement.id, agreement.version, agreement.digest))
    for who in ("principal", "resource"):
        yield f"{_set(agreement.parties)}.contains({who}.name)"
        yield f"{who}.acceded.contains({acceded})"
    yield f"context.at >= {agreement.in_force_at}"
    if agreement.terminated_at is not None:
        yield (
            f"(context.at < {agreement.terminated_at} || (context.at < {agreement.wound_down_at} && "
            f"context.open.contains({json.dumps(f'{agreement.id}/{agreement.version}')})))"
        )
    if grant.giver != "*":
        yield f"resource.name == {json.dumps(grant.giver)}"
    if grant.receiver != "*":
        yield f"principal.name == {json.dumps(grant.receiver)}"
    yield f"{_set(grant.types)}.contains(context.type)"
    yield f"{_set(status.name for status in grant.statuses)}.contains(context.status)"
    yield f"context.tlp <= {grant.tlp_max.value}"
    if grant.purposes is not None:
        yield f"{_set(grant.purposes)}.contains(context.purpose)"
    if grant.countries is not None:
        yield f"{_set(grant.countries)}.containsAny(context.countries)"
    if grant.subjects is not None:
        yield f"{_set(grant.subjects)}.containsAny(context.subjects)"
    if grant.campaigns is not None:
        yield f"context has campaign && {_set(grant.campaigns)}.contains(context.campaign)"
    if grant.mode.value == "on-request":
        yield "context.asked"


def _context(case: Case, recipient: str) -> Mapping[str, Any]:
    header, context = case.header, case.context
    before = _before(header, recipient, context)
    return {
        "at": context.at,
        "type": header.notice_type,
        "status": header.status.name,
        "tlp": header.tlp.value,
        "purpose": header.purpose,
        "countries": list(header.countries),
        "subjects": list(_subjects(header)),
        "addressed": bool(header.addressees),
        "addressees": list(header.addressees),
        "follows": header.act.name in ("RECALL", "ERASURE", "CORRECTION"),
        "before": [slot.name for slot in before],
        "asked": header.act.name == "ANSWER"
        and any(
            context.references[each].act.name == "REQUEST"
            and context.references[each].originator == recipient
            for each in header.references
        ),
        "open": list(_open(case, recipient)),
        **({} if header.campaign is None else {"campaign": header.campaign}),
    }


def _subjects(header: Header) -> Iterator[str]:
    for subject in header.subjects:
        yield subject
        for digits in (2, 4, 6):
            if found := re.match(rf"hs:[0-9]{{{digits}}}", subject):
                yield found.group()


def _before(header: Header, recipient: str, context: Context) -> set[Slot]:
    seen = [
        set(context.references[each].shares[recipient].slots)
        for each in header.references
        if context.references[each].originator == header.originator
        and recipient in context.references[each].shares
        and (
            header.notice_type == "lifecycle-order"
            or context.references[each].notice_type == header.notice_type
        )
    ]
    return set.intersection(*seen) if seen else set()


def _open(case: Case, recipient: str) -> Iterator[str]:
    originator = case.header.originator
    for agreement in case.directory.agreements:
        for each in case.header.references:
            reference = case.context.references[each]
            reader = originator if reference.originator == recipient else recipient
            grounds = reference.shares[reader].grounds if reader in reference.shares else ()
            if (
                agreement.terminated_at is not None
                and reference.decided_at < agreement.terminated_at
                and agreement.id in {ground.agreement for ground in grounds}
            ):
                yield f"{agreement.id}/{agreement.version}"


def _set(values: Any) -> str:
    return json.dumps(sorted(values))


def _accession(id_: str, version: int, digest: bytes) -> str:
    return f"{id_}/{version}/{digest.hex()}"
