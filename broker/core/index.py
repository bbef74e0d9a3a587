"""`decide` for all members at once, fast enough for every notice.

Compiled once for a directory: grants by (originator, type, status), each with the members that it can
reach.  For a notice, only the few grants of its group are looked at; members that the same grants
reach share one answer, and that partition is kept for the next notice of the kind.  Decides nothing of
its own: `core.agreements` is the rule, and tests hold the two together.
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
from broker.core.model import Ground, Header, Slot, Status

MAX_KEPT_PARTITIONS = 256
"""Partitions kept for a group of grants; as many as there are kinds of notices, a handful in practice."""


@dataclass(frozen=True, slots=True)
class _Reach:
    """A grant as one giver uses it, and whom it reaches.  `number` is its place in the group."""

    number: int
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


_Applying: TypeAlias = tuple[_Reach, frozenset[Slot], frozenset[str]]
"""A grant that applies, the slots that it gives now, and whom it reaches."""


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


@dataclass(frozen=True, slots=True)
class _Group:
    """The grants for one kind of notice, and the partitions that they led to."""

    reaches: list[_Reach] = field(default_factory=list)
    partitions: dict[tuple[tuple[int, frozenset[Slot]], ...], _Partition] = field(default_factory=dict)


class Index:
    """The answers of `decide` on one directory, for all members at once."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self._groups: dict[tuple[str, str, Status], _Group] = {}
        for agreement in directory.agreements:
            bound = frozenset(each for each in agreement.parties if directory.acceded(each, agreement))
            for grant in agreement.grants:
                self._add(agreement, grant, bound)

    def shares(self, header: Header, context: Context) -> Mapping[str, Share]:
        """Return what each member gets; who is not named gets nothing (`decide` says why)."""
        if header.act in FOLLOWING_ACTS:
            return dict(self._followed(header, context))
        partition = self._partition_of(header, context)
        owed = [obligations_of((terms,), header, context.at) for terms in partition.terms]
        shares: dict[str, Share] = {}
        for part in partition.parts:
            share = Share(part.slots, part.grounds, owed[part.terms])
            for member in part.members:
                shares[member] = share
        if header.addressees:
            return {member: shares[member] for member in header.addressees if member in shares}
        return shares

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

    def _add(self, agreement: Agreement, grant: Grant, bound: frozenset[str]) -> None:
        givers = bound if grant.giver == EVERY_PARTY else bound & {grant.giver}
        receivers = bound if grant.receiver == EVERY_PARTY else bound & {grant.receiver}
        for giver in givers:
            for notice_type in grant.types:
                for status in grant.statuses:
                    group = self._groups.setdefault((giver, notice_type, status), _Group())
                    group.reaches.append(_Reach(len(group.reaches), agreement, grant, receivers - {giver}))

    def _followed(self, header: Header, context: Context) -> Iterator[tuple[str, Share]]:
        # Few members got the original: each is asked about by the rule itself.
        reached = {member for each in context.references.values() for member in each.shares}
        for member in sorted(reached):
            verdict = decide(header, member, self.directory, context)
            if isinstance(verdict, Share):
                yield member, verdict

    def _partition_of(self, header: Header, context: Context) -> _Partition:
        group = self._groups.get((header.originator, header.notice_type, header.status))
        if group is None:
            return _Partition()
        at = context.at
        subjects = subject_keys(header)
        applying: list[_Applying] = []
        general = True
        for reach in group.reaches:
            if reach.admits(header, at, subjects):
                slots = given_slots(reach.agreement, reach.grant, at)
                if reach.grant.mode is Mode.ON_REQUEST or reach.ended(at):
                    general = False
                    applying.append((reach, slots, reach.receivers_of(header, context)))
                elif slots:
                    applying.append((reach, slots, reach.receivers))
        if not general:
            return _partition(applying)
        key = tuple((reach.number, slots) for reach, slots, _ in applying)
        partition = group.partitions.get(key)
        if partition is None:
            if len(group.partitions) >= MAX_KEPT_PARTITIONS:
                group.partitions.clear()
            partition = group.partitions[key] = _partition(applying)
        return partition


def _partition(applying: Iterable[_Applying]) -> _Partition:
    """Return the members that are reached, those together that the same grants reach."""
    reached: dict[str, list[tuple[_Reach, frozenset[Slot]]]] = {}
    for reach, slots, receivers in applying:
        if slots:
            for member in receivers:
                reached.setdefault(member, []).append((reach, slots))
    by_grants: dict[tuple[int, ...], list[str]] = {}
    for member, grants in reached.items():
        by_grants.setdefault(tuple(reach.number for reach, _ in grants), []).append(member)
    terms: dict[Terms, int] = {}
    parts: dict[tuple[frozenset[Slot], frozenset[Slot], tuple[Ground, ...], int], list[str]] = {}
    for members in by_grants.values():
        grants = reached[members[0]]
        slots = frozenset().union(*(each for _, each in grants))
        seal = frozenset().union(*(reach.grant.seal for reach, _ in grants))
        grounds = grounds_in_order(reach.agreement.ground for reach, _ in grants)
        strictest = _strictest([reach.grant.terms for reach, _ in grants])
        what = (slots, seal & slots, grounds, terms.setdefault(strictest, len(terms)))
        parts.setdefault(what, []).extend(members)
    return _Partition(
        tuple(_Part(tuple(sorted(members)), *what) for what, members in parts.items()), tuple(terms)
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
