"""Who may be shown what: the normative text of the product.

`decide` answers for one notice and one member, by the clauses that both acceded to and by nothing
else.  It does no I/O and looks at nothing but its arguments, so whoever holds the log and the
directory of that day computes the same answer again.  Everything that is not granted is withheld.

`core.index` answers the same question for all members at once, quickly; where the two differ, this
module is right.  How the text of an agreement is read is in `core.agreement_text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from typing import TypeAlias

from broker.core.agreement_doubts import warnings_of
from broker.core.agreement_text import parse_agreement
from broker.core.clauses import EVERY_PARTY, PERSONAL_SLOTS, Agreement, Grant, Mode, Terms
from broker.core.directory import Directory
from broker.core.model import Act, Ground, Header, Obligations, Onward, Slot

__all__ = [
    "Agreement",
    "Clause",
    "Context",
    "Failed",
    "Grant",
    "Reference",
    "Share",
    "Terms",
    "Verdict",
    "Withhold",
    "decide",
    "parse_agreement",
    "sealed_slots",
    "warnings_of",
]

FOLLOWING_ACTS = frozenset({Act.RECALL, Act.ERASURE, Act.CORRECTION})
"""Acts that go where the original went, whatever has ended since."""

LIFECYCLE_ORDER = "lifecycle-order"
"""The notice type of an order about statements of any type."""

HOUR = 3_600_000
DAY = 24 * HOUR


class Clause(Enum):
    """What kept a notice from a member, in the order in which `decide` asks."""

    ONESELF = "oneself"  # the recipient is the originator
    MEMBER = "member"  # the recipient is no member
    ADDRESSEES = "addressees"  # the notice is addressed to others
    ORIGINAL = "original"  # it follows statements of which the recipient got nothing
    PARTIES = "parties"  # no agreement has both as parties
    ACCESSION = "accession"  # one of the two has not acceded to these bytes
    IN_FORCE = "in-force"  # not yet
    TERMINATED = "terminated"  # over, and wound down
    OPEN_CASE = "open-case"  # winding down, and this is no open case
    DIRECTION = "direction"  # no grant from the originator to the recipient
    TYPE = "type"
    STATUS = "status"
    PURPOSE = "purpose"
    COUNTRIES = "countries"
    SUBJECTS = "subjects"
    TLP = "tlp"
    CAMPAIGN = "campaign"
    MODE = "mode"  # on request only, and this is no answer to the recipient's request
    PERSONAL_DATA = "personal-data"  # it would give personal data alone, which is not switched on


_DEPTH = {clause: depth for depth, clause in enumerate(Clause)}


@dataclass(frozen=True, slots=True)
class Share:
    """Deliver the notice with exactly these slots."""

    slots: frozenset[Slot]
    grounds: tuple[Ground, ...]
    obligations: Obligations


@dataclass(frozen=True, slots=True)
class Failed:
    """The first clause of an agreement that was not met, in the grant that came furthest."""

    agreement: Ground
    clause: Clause


@dataclass(frozen=True, slots=True)
class Withhold:
    """Do not deliver the notice: the clause that decided, and one for each agreement of the two."""

    reason: Clause
    agreements: tuple[Failed, ...] = ()


Verdict: TypeAlias = Share | Withhold


@dataclass(frozen=True, slots=True)
class Reference:
    """An admitted statement that a header refers to, and what was decided about it then."""

    statement: bytes
    originator: str
    notice_type: str
    act: Act
    decided_at: int
    shares: Mapping[str, Share]


@dataclass(frozen=True, slots=True)
class Context:
    """All that a decision may look at besides header and directory.

    `at` is when the dispatcher took the record; `references` holds, by statement id, what the header
    refers to.  A reference that is missing counts for nothing.
    """

    at: int
    references: Mapping[bytes, Reference]


def decide(header: Header, recipient: str, directory: Directory, context: Context) -> Verdict:
    """Return what `recipient` gets of the notice, or why it gets nothing."""
    # 1. Nobody is sent what it said itself, and nobody who is not a member is sent anything.
    if recipient == header.originator:
        return Withhold(Clause.ONESELF)
    if recipient not in directory.members:
        return Withhold(Clause.MEMBER)
    # 2. Addressees narrow; they never widen.
    if header.addressees and recipient not in header.addressees:
        return Withhold(Clause.ADDRESSEES)
    # 3. What takes back or mends goes where the original went, and shows no more.
    if header.act in FOLLOWING_ACTS:
        return _as_before(header, recipient, context)
    # 4. Of the agreements that bind both, only what a grant gives.
    applying: list[tuple[Agreement, Grant]] = []
    failed: list[Failed] = []
    for agreement in directory.agreements:
        if not {header.originator, recipient} <= agreement.parties:
            continue
        clauses: list[Clause] = []
        for grant in agreement.grants:
            clause = first_failure(agreement, grant, header, recipient, directory, context)
            if clause is None:
                applying.append((agreement, grant))
            else:
                clauses.append(clause)
        if len(clauses) == len(agreement.grants):
            furthest = max(clauses, key=_DEPTH.__getitem__, default=Clause.DIRECTION)
            failed.append(Failed(agreement.ground, furthest))
    if not applying:
        reasons = [Clause.PARTIES, *(each.clause for each in failed)]
        return Withhold(max(reasons, key=_DEPTH.__getitem__), tuple(failed))
    # 5. The union of their slots, under the strictest of what they ask for.
    return Share(
        frozenset().union(*(given_slots(agreement, grant, context.at) for agreement, grant in applying)),
        grounds_in_order(agreement.ground for agreement, _ in applying),
        obligations_of(tuple(grant.terms for _, grant in applying), header, context.at),
    )


def first_failure(
    agreement: Agreement, grant: Grant, header: Header, recipient: str, directory: Directory, context: Context
) -> Clause | None:
    """Return the first clause that keeps the grant from applying, or None if it applies."""
    at = context.at
    ended = agreement.terminated_at is not None and at >= agreement.terminated_at
    wound_down = agreement.wound_down_at is not None and at >= agreement.wound_down_at
    clauses: Sequence[tuple[Clause, bool]] = (
        (Clause.ACCESSION, directory.acceded(header.originator, agreement)),
        (Clause.ACCESSION, directory.acceded(recipient, agreement)),
        (Clause.IN_FORCE, agreement.in_force_at <= at),
        (Clause.TERMINATED, not (ended and wound_down)),
        (Clause.OPEN_CASE, not ended or is_open_case(agreement, header, recipient, context)),
        (Clause.DIRECTION, grant.giver in (EVERY_PARTY, header.originator)),
        (Clause.DIRECTION, grant.receiver in (EVERY_PARTY, recipient)),
        (Clause.TYPE, header.notice_type in grant.types),
        (Clause.STATUS, header.status in grant.statuses),
        (Clause.PURPOSE, grant.purposes is None or header.purpose in grant.purposes),
        (Clause.COUNTRIES, grant.countries is None or not grant.countries.isdisjoint(header.countries)),
        (Clause.SUBJECTS, grant.subjects is None or not grant.subjects.isdisjoint(subject_keys(header))),
        (Clause.TLP, header.tlp <= grant.tlp_max),
        (Clause.CAMPAIGN, grant.campaigns is None or header.campaign in grant.campaigns),
        (Clause.MODE, grant.mode is Mode.AUTOMATIC or recipient in requesters(header, context)),
        (Clause.PERSONAL_DATA, bool(given_slots(agreement, grant, at))),
    )
    return next((clause for clause, holds in clauses if not holds), None)


def given_slots(agreement: Agreement, grant: Grant, at: int) -> frozenset[Slot]:
    """Return the slots that the grant gives at `at`: personal ones from the agreed date only."""
    personal_data = agreement.personal_data
    if personal_data is not None and at >= personal_data.from_at:
        return grant.slots
    return grant.slots - PERSONAL_SLOTS


def is_open_case(agreement: Agreement, header: Header, recipient: str, context: Context) -> bool:
    """Say whether the notice goes on with something shared under the agreement before its end.

    Either the recipient was given a statement that the notice refers to, or the originator was given
    one of the recipient's and answers it now.
    """
    for reference in _references(header, context):
        reader = header.originator if reference.originator == recipient else recipient
        share = reference.shares.get(reader)
        if (
            share is not None
            and agreement.terminated_at is not None
            and reference.decided_at < agreement.terminated_at
            and any(ground.agreement == agreement.id for ground in share.grounds)
        ):
            return True
    return False


def requesters(header: Header, context: Context) -> frozenset[str]:
    """Return whose requests the notice answers."""
    if header.act is not Act.ANSWER:
        return frozenset()
    return frozenset(each.originator for each in _references(header, context) if each.act is Act.REQUEST)


def subject_keys(header: Header) -> frozenset[str]:
    """Return what a grant's subjects may be to match: each subject, and HS prefixes of 2, 4, 6 digits."""
    keys = set(header.subjects)
    for subject in header.subjects:
        kind, _, code = subject.partition(":")
        if kind == "hs":
            keys |= {f"hs:{code[:n]}" for n in (2, 4, 6) if len(code) >= n and code[:n].isdecimal()}
    return frozenset(keys)


def obligations_of(terms: Sequence[Terms], header: Header, at: int) -> Obligations:
    """Return the strictest of what the header and at least one set of terms ask for."""
    retain_until, feedback_due = header.retain_until, header.feedback_due
    domestic = community = third_country = Onward.ALLOW
    for each in terms:
        if each.retention_days is not None:
            retain_until = _earlier(retain_until, at + each.retention_days * DAY)
        if each.feedback_hours is not None:
            feedback_due = _earlier(feedback_due, at + each.feedback_hours * HOUR)
        domestic = min(domestic, each.onward_domestic)
        community = min(community, each.onward_community)
        third_country = min(third_country, each.onward_third_country)
    return Obligations(retain_until, feedback_due, header.handling, domestic, community, third_country)


def grounds_in_order(grounds: Iterable[Ground]) -> tuple[Ground, ...]:
    """Return each ground once, by agreement id, version and digest."""
    return tuple(sorted(set(grounds), key=lambda ground: (ground.agreement, ground.version, ground.digest)))


def shared_before(header: Header, recipient: str, context: Context) -> list[Share]:
    """Return what `recipient` got of the originator's own statements that the notice follows.

    Content of another type than the original's was never agreed on, so such a reference is none.
    """
    return [
        reference.shares[recipient]
        for reference in _references(header, context)
        if reference.originator == header.originator
        and header.notice_type in (reference.notice_type, LIFECYCLE_ORDER)
        and recipient in reference.shares
    ]


def sealed_slots(header: Header, directory: Directory, context: Context) -> frozenset[Slot]:
    """Return the slots that must be sealed, empty or not, because a grant gives them only so."""
    sealed: set[Slot] = set()
    for recipient in directory.members:
        verdict = decide(header, recipient, directory, context)
        if isinstance(verdict, Share):
            sealed |= sealed_for(header, recipient, verdict, directory, context)
    return frozenset(sealed)


def sealed_for(
    header: Header, recipient: str, share: Share, directory: Directory, context: Context
) -> frozenset[Slot]:
    """Return the slots of the share that a grant gives to `recipient` sealed only.

    What follows an original is sealed wherever its agreements seal, whatever else they ask for.
    """
    digests = {ground.digest for ground in share.grounds}
    sealed: set[Slot] = set()
    for agreement in directory.agreements:
        if agreement.digest not in digests:
            continue
        for grant in agreement.grants:
            directed = grant.giver in (EVERY_PARTY, header.originator) and grant.receiver in (
                EVERY_PARTY,
                recipient,
            )
            if (header.act in FOLLOWING_ACTS and directed) or (
                first_failure(agreement, grant, header, recipient, directory, context) is None
            ):
                sealed |= grant.seal & share.slots
    return frozenset(sealed)


def _as_before(header: Header, recipient: str, context: Context) -> Verdict:
    """Return at most what the recipient got of every original, on the terms on which it got it.

    A member that got different slots of several originals gets only what it got of all of them, if
    need be none: that something was taken back reaches it by the header.
    """
    before = shared_before(header, recipient, context)
    if not before:
        return Withhold(Clause.ORIGINAL)
    owed = [share.obligations for share in before]
    return Share(
        frozenset.intersection(*(share.slots for share in before)),
        grounds_in_order(ground for share in before for ground in share.grounds),
        Obligations(
            retain_until=reduce(_earlier, (each.retain_until for each in owed), header.retain_until),
            feedback_due=header.feedback_due,
            handling=max(header.handling, *(each.handling for each in owed)),
            onward_domestic=min(each.onward_domestic for each in owed),
            onward_community=min(each.onward_community for each in owed),
            onward_third_country=min(each.onward_third_country for each in owed),
        ),
    )


def _references(header: Header, context: Context) -> Iterator[Reference]:
    for statement in header.references:
        reference = context.references.get(statement)
        if reference is not None:
            yield reference


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
