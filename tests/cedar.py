"""`decide` said once more in Cedar: policies from the same agreements, judged by Cedar's own engine.

Each grant becomes a permit for the actions that are its slots.  What Cedar cannot compute (prefixes,
what a reference means, the strictest of several duties) is computed here anew from header and context,
sharing no code with `broker.core.agreements`.  Which grants applied is what Cedar says: the policies that
determined its answer.

A condition has a name, and policies can be made without it: that is how tests know that each is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cedarpy

from broker.core.agreements import Context, Share
from broker.core.clauses import Agreement, Grant
from broker.core.directory import Directory
from broker.core.model import Ground, Header, Obligations, Slot
from tests.strategies import DAY, HOUR, MEMBERS, Case

PERSONAL = ("IDENTIFIERS", "PERSONS")
CONDITIONS = (
    *("oneself", "addressees", "follows", "original", "parties", "acceded", "in-force", "terminated"),
    *("wound-down", "open-case", "giver", "receiver", "type", "status", "tlp", "purpose", "countries"),
    *("subjects", "campaign", "mode", "personal-data"),
)
"""What policies can be made without, by name."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one member gets by Cedar: slots, and what follows from the grants that it named."""

    slots: frozenset[Slot]
    grounds: tuple[Ground, ...]
    obligations: Obligations


class Oracle:
    """Cedar's answers on one directory.

    Args:
        directory: The directory.
        without: The name of a condition that is left out of every policy.
    """

    def __init__(self, directory: Directory, without: str = "") -> None:
        assert not without or without in CONDITIONS
        self.directory = directory
        made = list(_policies(directory, without))
        # Cedar numbers policies as they stand in the text.
        self._grants = {f"policy{number}": found for number, (found, _) in enumerate(made) if found}
        self.policies = cedarpy.PolicySet.from_str("\n".join(text for _, text in made))
        strangers = [each for each in MEMBERS if each not in directory.members]
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
                + [
                    {
                        "uid": {"type": "Member", "id": id_},
                        "attrs": {"name": id_, "acceded": []},
                        "parents": [],
                    }
                    for id_ in strangers
                ]
            )
        )

    def slots(self, cases: Sequence[Case]) -> list[dict[str, frozenset[Slot]]]:
        """Return, for each case, what each member may see; members that may see nothing are left out."""
        return self.found(
            cases, cedarpy.is_authorized_batch(self.requests(cases), self.policies, self.entities)
        )

    def judged(self, cases: Sequence[Case]) -> list[dict[str, Judged]]:
        """Return, for each case, what each member gets, on which grounds and under which duties."""
        results = cedarpy.is_authorized_batch(self.requests(cases), self.policies, self.entities)
        slots: list[dict[str, set[Slot]]] = [{} for _ in cases]
        applied: list[dict[str, list[tuple[Agreement, Grant]]]] = [{} for _ in cases]
        for (number, recipient, slot), result in zip(self._asked(cases), results, strict=True):
            assert not result.diagnostics.errors
            if result.allowed:
                slots[number].setdefault(recipient, set()).add(slot)
                named = [self._grants[each] for each in result.diagnostics.reasons if each in self._grants]
                applied[number].setdefault(recipient, []).extend(named)
        return [
            {
                recipient: _judged(case, recipient, frozenset(given), applied[number][recipient])
                for recipient, given in slots[number].items()
            }
            for number, case in enumerate(cases)
        ]

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


_Policy = tuple[tuple[Agreement, Grant] | None, str]
"""A policy's text, and the grant that it is made of."""


def _policies(directory: Directory, without: str) -> Iterator[_Policy]:
    if without != "oneself":
        yield None, "forbid (principal, action, resource) when { principal == resource };"
    if without != "addressees":
        others = "context.addressed && !context.addressees.contains(principal.name)"
        yield None, f"forbid (principal, action, resource) when {{ {others} }};"
    for slot in Slot:
        had = "true" if without == "original" else f'context.before.contains("{slot.name}")'
        yield None, _permit([slot.name], f"context.follows && {had}")
    for agreement in directory.agreements:
        for grant in agreement.grants:
            plain = [slot.name for slot in grant.slots if slot.name not in PERSONAL]
            personal = [slot.name for slot in grant.slots if slot.name in PERSONAL]
            named = [text for name, text in _conditions(agreement, grant, without) if name != without]
            conditions = " && ".join(named)
            if plain:
                yield (agreement, grant), _permit(plain, conditions)
            if personal and without == "personal-data":
                yield (agreement, grant), _permit(personal, conditions)
            elif personal and agreement.personal_data is not None:
                since = f"context.at >= {agreement.personal_data.from_at}"
                yield (agreement, grant), _permit(personal, f"{conditions} && {since}")


def _permit(slots: Sequence[str], conditions: str) -> str:
    actions = ", ".join(f'Action::"{slot}"' for slot in slots)
    return f"permit (principal, action in [{actions}], resource) when {{ {conditions} }};"


def _conditions(agreement: Agreement, grant: Grant, without: str) -> Iterator[tuple[str, str]]:
    yield "follows", "!context.follows"
    acceded = json.dumps(_accession(agreement.id, agreement.version, agreement.digest))
    for who in ("principal", "resource"):
        yield "parties", f"{_set(agreement.parties)}.contains({who}.name)"
        yield "acceded", f"{who}.acceded.contains({acceded})"
    yield "in-force", f"context.at >= {agreement.in_force_at}"
    if agreement.terminated_at is not None:
        winding = [
            ("wound-down", f"context.at < {agreement.wound_down_at}"),
            ("open-case", f"context.open.contains({json.dumps(f'{agreement.id}/{agreement.version}')})"),
        ]
        still = " && ".join(text for name, text in winding if name != without)
        yield "terminated", f"(context.at < {agreement.terminated_at} || ({still}))"
    if grant.giver != "*":
        yield "giver", f"resource.name == {json.dumps(grant.giver)}"
    if grant.receiver != "*":
        yield "receiver", f"principal.name == {json.dumps(grant.receiver)}"
    yield "type", f"{_set(grant.types)}.contains(context.type)"
    yield "status", f"{_set(status.name for status in grant.statuses)}.contains(context.status)"
    yield "tlp", f"context.tlp <= {grant.tlp_max.value}"
    if grant.purposes is not None:
        yield "purpose", f"{_set(grant.purposes)}.contains(context.purpose)"
    if grant.countries is not None:
        yield "countries", f"{_set(grant.countries)}.containsAny(context.countries)"
    if grant.subjects is not None:
        yield "subjects", f"{_set(grant.subjects)}.containsAny(context.subjects)"
    if grant.campaigns is not None:
        campaigns = f"{_set(grant.campaigns)}.contains(context.campaign)"
        yield "campaign", f"context has campaign && {campaigns}"
    if grant.mode.value == "on-request":
        yield "mode", "context.asked"


def _judged(
    case: Case, recipient: str, slots: frozenset[Slot], applied: Sequence[tuple[Agreement, Grant]]
) -> Judged:
    """Return what follows from the grants that Cedar named, or for what follows an original, from those."""
    header, at = case.header, case.context.at
    if header.act.name in ("RECALL", "ERASURE", "CORRECTION"):
        before = list(_followed(header, recipient, case.context))
        named = {ground for share in before for ground in share.grounds}
        keep = [share.obligations.retain_until for share in before]
        tell: list[int | None] = []
        handling = max([header.handling, *(share.obligations.handling for share in before)])
        onward = [
            (each.onward_domestic, each.onward_community, each.onward_third_country)
            for each in (share.obligations for share in before)
        ]
    else:
        named = {Ground(each.id, each.version, each.digest) for each, _ in applied}
        terms = [grant.terms for _, grant in applied]
        keep = [None if each.retention_days is None else at + each.retention_days * DAY for each in terms]
        tell = [None if each.feedback_hours is None else at + each.feedback_hours * HOUR for each in terms]
        handling = header.handling
        onward = [(each.onward_domestic, each.onward_community, each.onward_third_country) for each in terms]
    return Judged(
        slots,
        tuple(sorted(named, key=lambda each: (each.agreement, each.version, each.digest))),
        Obligations(
            min((each for each in (header.retain_until, *keep) if each is not None), default=None),
            min((each for each in (header.feedback_due, *tell) if each is not None), default=None),
            handling,
            *(min(rules) for rules in zip(*onward, strict=True)),
        ),
    )


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
    seen = [set(share.slots) for share in _followed(header, recipient, context)]
    return set.intersection(*seen) if seen else set()


def _followed(header: Header, recipient: str, context: Context) -> Iterator[Share]:
    for each in header.references:
        reference = context.references[each]
        if (
            reference.originator == header.originator
            and recipient in reference.shares
            and (header.notice_type in ("lifecycle-order", reference.notice_type))
        ):
            yield reference.shares[recipient]


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
