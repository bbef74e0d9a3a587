"""How far a kind of notice reaches before there is one: by which grants, under which conditions.

Decides nothing of its own: a lead is a grant that `core.agreements` would let apply to some notice of this
type at this time, with what the notice must still be.  Tests hold the two together: nobody gets a notice to
whom no lead goes, and whatever a lead promises comes with a notice that meets its conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from broker.core.agreements import Clause, given_slots
from broker.core.clauses import EVERY_PARTY, Agreement, Grant
from broker.core.directory import Directory
from broker.core.model import Slot


@dataclass(frozen=True, slots=True)
class Lead:
    """A grant that leads notices of a type from one member to another.

    `slots` are those that it gives at the time; `clause` is what keeps it from applying to any notice then,
    None if nothing does.  `OPEN_CASE` still lets open cases pass.
    """

    giver: str
    receiver: str
    agreement: Agreement
    number: int
    grant: Grant
    slots: frozenset[Slot]
    clause: Clause | None

    @property
    def name(self) -> str:
        """The grant as people name it: `jp-vn-2026/3#1`."""
        return f"{self.agreement.name}#{self.number}"


def standing(agreement: Agreement, one: str, other: str, directory: Directory, at: int) -> Clause | None:
    """Return what keeps the agreement as a whole from counting between two members, or None."""
    if not (directory.acceded(one, agreement) and directory.acceded(other, agreement)):
        return Clause.ACCESSION
    return time_of(agreement, at)


def time_of(agreement: Agreement, at: int) -> Clause | None:
    """Return what keeps the agreement from counting at a time, whoever acceded: its dates alone."""
    if at < agreement.in_force_at:
        return Clause.IN_FORCE
    if agreement.terminated_at is None or at < agreement.terminated_at:
        return None
    return Clause.OPEN_CASE if at < (agreement.wound_down_at or 0) else Clause.TERMINATED


def leads(
    directory: Directory,
    at: int,
    *,
    givers: Iterable[str] | None = None,
    receivers: Iterable[str] | None = None,
    types: Iterable[str] | None = None,
    agreements: Iterable[Agreement] | None = None,
) -> Iterator[Lead]:
    """Yield every lead between members, of all agreements, parties and types unless some are named."""
    giving = frozenset(directory.members if givers is None else givers) & directory.members.keys()
    getting = frozenset(directory.members if receivers is None else receivers) & directory.members.keys()
    wanted = None if types is None else frozenset(types)
    for agreement in directory.agreements if agreements is None else agreements:
        for number, grant in enumerate(agreement.grants, 1):
            if wanted is not None and grant.types.isdisjoint(wanted):
                continue
            slots = given_slots(agreement, grant, at)
            for giver in sorted(agreement.parties & giving):
                for receiver in sorted(agreement.parties & getting - {giver}):
                    if grant.giver not in (EVERY_PARTY, giver) or grant.receiver not in (
                        EVERY_PARTY,
                        receiver,
                    ):
                        continue
                    clause = standing(agreement, giver, receiver, directory, at)
                    if clause in (None, Clause.OPEN_CASE) and not slots:
                        clause = Clause.PERSONAL_DATA
                    yield Lead(giver, receiver, agreement, number, grant, slots, clause)


def reached_slots(found: Iterable[Lead]) -> Mapping[tuple[str, str, str], frozenset[Slot]]:
    """Return the most that each (giver, receiver, type) can carry by the leads that apply."""
    most: dict[tuple[str, str, str], frozenset[Slot]] = {}
    for lead in found:
        if lead.clause is None:
            for notice_type in lead.grant.types:
                key = (lead.giver, lead.receiver, notice_type)
                most[key] = most.get(key, frozenset()) | lead.slots
    return most


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change of the directory does to one kind of notice between two members, at the most."""

    giver: str
    receiver: str
    notice_type: str
    before: frozenset[Slot]
    after: frozenset[Slot]


def effects(before: Directory, after: Directory, member: str, at: int) -> tuple[Effect, ...]:
    """Return what changes for notices to and from a member: the most that can flow, before and after."""
    found = []
    for one, other in (([member], None), (None, [member])):
        old = reached_slots(leads(before, at, givers=one, receivers=other))
        new = reached_slots(leads(after, at, givers=one, receivers=other))
        found += [
            Effect(*key, old.get(key, frozenset()), new.get(key, frozenset()))
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
    return tuple(found)


def acceding(directory: Directory, member: str, agreement: Agreement) -> Directory:
    """Return the directory once the member has acceded to the agreement."""
    held = directory.members[member]
    accessions = {**held.accessions, (agreement.id, agreement.version): agreement.digest}
    others = tuple(
        each for each in directory.agreements if (each.id, each.version) != (agreement.id, agreement.version)
    )
    members = {**directory.members, member: replace(held, accessions=accessions)}
    return replace(directory, members=members, agreements=(*others, agreement))


def leaving(directory: Directory, member: str, agreement: Agreement) -> Directory:
    """Return the directory once the member lists the agreement no more."""
    held = directory.members[member]
    accessions = {
        key: digest for key, digest in held.accessions.items() if key != (agreement.id, agreement.version)
    }
    return replace(directory, members={**directory.members, member: replace(held, accessions=accessions)})
