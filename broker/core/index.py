"""`decide` for all members at once, fast enough for every notice.

Compiled for a directory: grants by (originator, type, status), each with the members that it can
reach.  For a notice, only the few grants of its group are looked at; members that the same grants
reach share one answer, and that partition is kept for the next notice of the kind.  The index of a changed
directory takes over every group that no changed agreement is in.  Decides nothing of its own:
`core.agreements` is the rule, and tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from broker.core.agreements import (
    FOLLOWING_ACTS,
    Context,
    Share,
    decide,
    given_slots,
    grounds_in_order,
    is_open_case,
    obligations_of,
    requesters,
    sealed_slots,
    subject_keys,
)
from broker.core.clauses import EVERY_PARTY, Agreement, Grant, Mode, Terms
from broker.core.directory import Directory
from broker.core.model import Act, Ground, Header, Slot, Status

MOST_KEPT_PARTITIONS = 256
"""Partitions kept for a group of grants; as many as there are kinds of notices, a handful in practice."""


_Order: TypeAlias = tuple[str, int, bytes, int]
"""Agreement, version, digest and the grant's number: the same whatever came before."""

_Key: TypeAlias = tuple[str, int, bytes]
"""Agreement, version and digest."""

_Kind: TypeAlias = tuple[str, str, Status]
"""Originator, notice type and status."""


@dataclass(frozen=True, slots=True)
class _Reach:
    """A grant as one giver uses it, and whom it reaches.  `order` is its place among all grants."""

    order: _Order
    agreement: Agreement
    grant: Grant
    receivers: frozenset[str]

    def admits(self, header: Header, at: int, subjects: frozenset[str]) -> bool:
        """Say whether every clause holds that looks at the notice and the time alone."""
        agreement, grant = self.agreement, self.grant
        return (
            agreement.in_force_at <= at
            and (agreement.wound_down_at is None or at < agreement.wound_down_at or not self.ended(at))
            and (grant.purposes is None or header.purpose in grant.purposes)
            and (grant.countries is None or not grant.countries.isdisjoint(header.countries))
            and (grant.subjects is None or not grant.subjects.isdisjoint(subjects))
            and header.tlp <= grant.tlp_max
            and (grant.campaigns is None or header.campaign in grant.campaigns)
        )

    def ended(self, at: int) -> bool:
        """Say whether the agreement is over, if perhaps not wound down."""
        return self.agreement.terminated_at is not None and at >= self.agreement.terminated_at

    def winds_down(self, at: int) -> bool:
        """Say whether the agreement goes on with open cases alone."""
        return self.ended(at) and (self.agreement.wound_down_at or at) > at

    def receivers_of(self, header: Header, context: Context) -> frozenset[str]:
        """Return whom the grant reaches by the clauses that look at references, too."""
        receivers = self.receivers
        if self.grant.mode is Mode.ON_REQUEST:
            receivers &= requesters(header, context)
        if self.ended(context.at):
            receivers = frozenset(
                each for each in receivers if is_open_case(self.agreement, header, each, context)
            )
        return receivers


_Applying: TypeAlias = tuple[int, _Reach, frozenset[Slot], frozenset[str]]
"""A grant that applies, by its number in the group, the slots that it gives now, and whom it reaches."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Members that get the same, up to the times that depend on the notice."""

    members: tuple[str, ...]
    slots: frozenset[Slot]
    sealed: frozenset[Slot]
    grounds: tuple[Ground, ...]
    terms: int


@dataclass(frozen=True, slots=True)
class _Partition:
    """All members that are reached, and the few different terms on which they are."""

    parts: tuple[_Part, ...] = ()
    terms: tuple[Terms, ...] = ()
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    """The grants for one kind of notice, and the partitions that they led to."""

    reaches: tuple[_Reach, ...] = ()
    partitions: dict[tuple[tuple[int, frozenset[Slot]], ...], _Partition] = field(
        default_factory=dict, compare=False
    )


@dataclass(frozen=True, slots=True)
class _Bound:
    """An agreement, and those of its parties that acceded to it."""

    agreement: Agreement
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What is made of a directory: of its agreements those who are bound, and all grants by kinds."""

    bound: Mapping[_Key, _Bound]
    groups: Mapping[_Kind, _Group]


class Index:
    """The answers of `decide` on one directory, for all members at once."""

    def __init__(self, directory: Directory, compiled: _Compiled | None = None) -> None:
        self.directory = directory
        self._compiled = compiled or _compile(directory, _Compiled({}, {}))

    def updated(self, directory: Directory) -> Index:
        """Return the index of another version of the directory, made of this one as far as it is the same.

        It answers as one that is made anew; this one stays as it is.
        """
        return Index(directory, _compile(directory, self._compiled))

    def group_of(self, header: Header) -> _Group | None:
        """Return the grants for notices of this kind: the very same where nothing has changed for them."""
        return self._compiled.groups.get((header.originator, header.notice_type, header.status))

    def looks_back(self, header: Header, at: int) -> bool:
        """Say whether the answer for a notice may depend on what it refers to."""
        if not header.references or header.act in FOLLOWING_ACTS:
            return bool(header.references)
        group = self.group_of(header)
        return group is not None and any(
            reach.winds_down(at) or (reach.grant.mode is Mode.ON_REQUEST and header.act is Act.ANSWER)
            for reach in group.reaches
        )

    def shares(self, header: Header, context: Context) -> Mapping[str, Share]:
        """Return what each member gets; who is not named gets nothing (`decide` says why)."""
        if header.act in FOLLOWING_ACTS:
            return dict(self._followed(header, context))
        partition = self._partition_of(header, context)
        owed = [obligations_of((terms,), header, context.at) for terms in partition.terms]
        shares: dict[str, Share] = {}
        for part in partition.parts:
            share = Share(part.slots, part.grounds, owed[part.terms])
            shares |= dict.fromkeys(part.members, share)
        if header.addressees:
            return {member: shares[member] for member in header.addressees if member in shares}
        return shares

    def members_of(self, header: Header, context: Context) -> tuple[str, ...]:
        """Return who gets anything of a notice that follows none: what `shares` names, but sooner."""
        members = self._partition_of(header, context).members
        return tuple(each for each in members if each in header.addressees) if header.addressees else members

    def sealed_slots(self, header: Header, context: Context) -> frozenset[Slot]:
        """Return the slots that must be sealed, as `core.agreements.sealed_slots` does."""
        if header.act in FOLLOWING_ACTS:
            return sealed_slots(header, self.directory, context)
        reached = set(header.addressees)
        return frozenset().union(
            *(
                part.sealed
                for part in self._partition_of(header, context).parts
                if not reached or not reached.isdisjoint(part.members)
            )
        )

    def _followed(self, header: Header, context: Context) -> Iterator[tuple[str, Share]]:
        # Few members got the original: each is asked about by the rule itself.
        reached = {member for each in context.references.values() for member in each.shares}
        for member in sorted(reached):
            verdict = decide(header, member, self.directory, context)
            if isinstance(verdict, Share):
                yield member, verdict

    def _partition_of(self, header: Header, context: Context) -> _Partition:
        group = self.group_of(header)
        if group is None:
            return _Partition()
        at = context.at
        subjects = subject_keys(header)
        applying: list[_Applying] = []
        general = True
        for number, reach in enumerate(group.reaches):
            if reach.admits(header, at, subjects):
                slots = given_slots(reach.agreement, reach.grant, at)
                if reach.grant.mode is Mode.ON_REQUEST or reach.ended(at):
                    general = False
                    applying.append((number, reach, slots, reach.receivers_of(header, context)))
                elif slots:
                    applying.append((number, reach, slots, reach.receivers))
        if not general:
            return _partition(applying)
        key = tuple((number, slots) for number, _, slots, _ in applying)
        partition = group.partitions.get(key)
        if partition is None:
            if len(group.partitions) >= MOST_KEPT_PARTITIONS:
                group.partitions.clear()
            partition = group.partitions[key] = _partition(applying)
        return partition


def _compile(directory: Directory, before: _Compiled) -> _Compiled:
    """Put the groups in order in which a grant is that came, went or binds others than before."""
    bound, groups = _bound(directory), dict(before.groups)
    gone = {key for key, each in before.bound.items() if bound.get(key) != each}
    come = {key for key, each in bound.items() if before.bound.get(key) != each}
    added: dict[_Kind, list[_Reach]] = {}
    for key in come:
        for kind, reach in _reaches(key, bound[key]):
            added.setdefault(kind, []).append(reach)
    for kind in {kind for key in gone for kind, _ in _reaches(key, before.bound[key])} | added.keys():
        group = groups.pop(kind, None)
        kept = () if group is None else group.reaches
        reaches = [each for each in kept if each.order[:3] not in gone] + added.get(kind, [])
        if reaches:
            groups[kind] = _Group(tuple(sorted(reaches, key=lambda each: each.order)))
    return _Compiled(bound, groups)


def _bound(directory: Directory) -> dict[_Key, _Bound]:
    return {
        (agreement.id, agreement.version, agreement.digest): _Bound(
            agreement, frozenset(each for each in agreement.parties if directory.acceded(each, agreement))
        )
        for agreement in directory.agreements
    }


def _reaches(key: _Key, bound: _Bound) -> Iterator[tuple[_Kind, _Reach]]:
    """Yield each grant as each of its givers uses it, by the kinds of notices that it is about."""
    agreement, members = bound.agreement, bound.members
    for number, grant in enumerate(agreement.grants):
        givers = members if grant.giver == EVERY_PARTY else members & {grant.giver}
        receivers = members if grant.receiver == EVERY_PARTY else members & {grant.receiver}
        for giver in givers:
            reach = _Reach((*key, number), agreement, grant, receivers - {giver})
            if not reach.receivers:
                continue
            for notice_type in grant.types:
                for status in grant.statuses:
                    yield (giver, notice_type, status), reach


def _partition(applying: Iterable[_Applying]) -> _Partition:
    """Return the members that are reached, those together that the same grants reach."""
    reached: dict[str, list[int]] = {}
    given: dict[int, tuple[_Reach, frozenset[Slot]]] = {}
    for number, reach, slots, receivers in applying:
        if slots:
            given[number] = reach, slots
            for member in receivers:
                reached.setdefault(member, []).append(number)
    by_grants: dict[tuple[int, ...], list[str]] = {}
    for member, numbers in reached.items():
        by_grants.setdefault(tuple(numbers), []).append(member)
    terms: dict[Terms, int] = {}
    parts: dict[tuple[frozenset[Slot], frozenset[Slot], tuple[Ground, ...], int], list[str]] = {}
    for numbered, members in by_grants.items():
        grants = [given[number] for number in numbered]
        slots = frozenset().union(*(each for _, each in grants))
        seal = frozenset().union(*(reach.grant.seal for reach, _ in grants))
        grounds = grounds_in_order(reach.agreement.ground for reach, _ in grants)
        strictest = _strictest([reach.grant.terms for reach, _ in grants])
        what = (slots, seal & slots, grounds, terms.setdefault(strictest, len(terms)))
        parts.setdefault(what, []).extend(members)
    return _Partition(
        tuple(_Part(tuple(sorted(members)), *what) for what, members in parts.items()),
        tuple(terms),
        tuple(sorted(reached)),
    )


def _strictest(terms: Sequence[Terms]) -> Terms:
    return Terms(
        retention_days=min((t.retention_days for t in terms if t.retention_days is not None), default=None),
        feedback_hours=min((t.feedback_hours for t in terms if t.feedback_hours is not None), default=None),
        onward_domestic=min(each.onward_domestic for each in terms),
        onward_community=min(each.onward_community for each in terms),
        onward_third_country=min(each.onward_third_country for each in terms),
        evidentiary_use=min(each.evidentiary_use for each in terms),
    )
