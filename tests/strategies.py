"""Directories, agreements, headers and contexts: plain builders, and random ones for properties.

The random ones take a `random.Random` with a seed; hypothesis draws the seed (drawing each choice would cost
six times as much).
The vocabulary is small on purpose, so that grants and notices meet often and at their edges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeVar

from broker.core.agreements import Context, Reference, Share
from broker.core.clauses import EVERY_PARTY, Agreement, Grant, Mode, OnTermination, PersonalData, Terms
from broker.core.directory import Directory, Member, MemberClass
from broker.core.model import (
    Act,
    Ground,
    Handling,
    Header,
    Obligations,
    Onward,
    Region,
    Slot,
    Status,
    Tlp,
)

T = TypeVar("T")

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_790_000_000_000 // DAY * DAY
"""A day in 2026; agreements of `agreement()` came into force 100 days before."""

MEMBERS = ("jp", "nl", "rilo-ap", "vn", "za")
TYPES = ("drug-parcel", "feedback", "hazardous-waste", "lifecycle-order")
COUNTRIES = ("JP", "NL", "VN")
SUBJECTS = ("basel:Y48", "hs:29", "hs:2939", "hs:293911", "hs:30", "hs:3004")
HEADER_SUBJECTS = ("basel:Y48", "hs:29", "hs:2939", "hs:29391190", "hs:300490", "hs:3", "hs:29.39", "cas:29")
PURPOSES = ("customs-enforcement", "environment")
CAMPAIGNS = ("demeter", "tin-can")


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def member(id_: str, *agreements: Agreement) -> Member:
    """A member without keys that acceded to these agreements."""
    return Member(
        id=id_,
        name=id_.upper(),
        member_class=MemberClass.RILO if id_.startswith("rilo") else MemberClass.CUSTOMS,
        regions=(Region.ASIA_PACIFIC,),
        keys=(),
        accessions={(each.id, each.version): each.digest for each in agreements},
    )


def directory(*agreements: Agreement, members: Iterable[str] = MEMBERS) -> Directory:
    """All members, each of which acceded to every agreement that it is party to."""
    return Directory(
        version=digest("version"),
        network="halong-test",
        log_key="",
        members={id_: member(id_, *(a for a in agreements if id_ in a.parties)) for id_ in members},
        agreements=agreements,
    )


def without_accession(value: Directory, id_: str) -> Directory:
    return replace(value, members={**value.members, id_: replace(value.members[id_], accessions={})})


def grant(giver: str = "vn", receiver: str = "jp", *slots: Slot, **clauses: Any) -> Grant:
    clauses.setdefault("types", frozenset({"drug-parcel"}))
    return Grant(giver, receiver, slots=frozenset(slots or {Slot.FACTS}), **clauses)


def agreement(
    *grants: Grant, id_: str = "jp-vn-2026", parties: Iterable[str] = ("jp", "vn"), **clauses: Any
) -> Agreement:
    values: dict[str, Any] = {
        "version": 1,
        "digest": digest(id_),
        "title": "Agreement",
        "in_force_at": NOW - 100 * DAY,
        "terminated_at": None,
        "wound_down_at": None,
        "on_termination": OnTermination.ERASE,
        "personal_data": None,
    }
    return Agreement(id=id_, parties=frozenset(parties), grants=grants, **(values | clauses))


def header(originator: str = "vn", **fields: Any) -> Header:
    values: dict[str, Any] = {
        "profile": 1,
        "region": Region.ASIA_PACIFIC,
        "stream": "main",
        "sequence": 1,
        "previous": None,
        "regions_concerned": (),
        "countries": ("JP", "VN"),
        "notice_type": "drug-parcel",
        "schema": digest("schema"),
        "status": Status.ACTUAL,
        "act": Act.ORIGINAL,
        "references": (),
        "tlp": Tlp.AMBER,
        "handling": Handling.H1,
        "purpose": "customs-enforcement",
        "subjects": ("hs:293911",),
        "campaign": None,
        "addressees": (),
        "issued_at": NOW,
        "effective_until": None,
        "retain_until": None,
        "feedback_due": None,
        "slots": tuple(digest(slot.label) for slot in Slot),
        "seals": None,
    }
    return Header(originator=originator, **(values | fields))


def context(*references: Reference, at: int = NOW) -> Context:
    return Context(at, {reference.statement: reference for reference in references})


def share(
    *slots: Slot, under: Sequence[Agreement | Ground] = (), obligations: Obligations | None = None
) -> Share:
    return Share(
        frozenset(slots),
        tuple(each.ground if isinstance(each, Agreement) else each for each in under),
        obligations or Obligations(None, None, Handling.H1, Onward.DENY, Onward.DENY, Onward.DENY),
    )


def reference(
    name: str = "original",
    originator: str = "vn",
    *,
    notice_type: str = "drug-parcel",
    act: Act = Act.ORIGINAL,
    decided_at: int = NOW - DAY,
    shares: Mapping[str, Share] | None = None,
) -> Reference:
    return Reference(digest(name), originator, notice_type, act, decided_at, shares or {})


# --- random ones ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A question for `decide`, but for the recipient."""

    directory: Directory
    header: Header
    context: Context


def any_case(random: Random) -> Case:
    """A directory of up to four agreements, and a notice with what it refers to."""
    return any_notice(random, any_directory(random))


def any_notice(random: Random, value: Directory) -> Case:
    """A notice on this directory, at or next to a moment at which something changes."""
    at = random.choice(_edges(value.agreements)) + random.choice((-1, 0, 0, 1))
    references = tuple(
        any_reference(random, number, value.agreements, at) for number in range(random.randint(0, 2))
    )
    notice = any_header(random, references, at)
    return Case(
        value,
        _towards_a_grant(random, notice, value) if random.random() < 0.7 else notice,
        context(*references, at=at),
    )


def any_directory(random: Random) -> Directory:
    """Agreements of two or of many, some in several versions, nearly all acceded to by nearly all."""
    agreements: list[Agreement] = []
    for number in range(random.randint(1, 4)):
        agreements.append(any_agreement(random, number))
        if random.random() < 0.3:
            agreements.append(_later_version(random, agreements[-1]))
    value = directory(*agreements)
    members = dict(value.members)
    for each in agreements:
        for party in sorted(each.parties):
            if random.random() < 0.06:
                members[party] = _listed(members[party], each, None)
            elif random.random() < 0.02:
                members[party] = _listed(members[party], each, digest("other bytes"))
    for stranger in sorted(set(MEMBERS) - agreements[0].parties):
        if random.random() < 0.1:
            members[stranger] = _listed(members[stranger], agreements[0], agreements[0].digest)
    if random.random() < 0.1:
        del members[random.choice(MEMBERS)]
    return replace(value, members=members)


def _listed(found: Member, one: Agreement, listed: bytes | None) -> Member:
    rest = {key: value for key, value in found.accessions.items() if key != (one.id, one.version)}
    return replace(found, accessions=rest if listed is None else {**rest, (one.id, one.version): listed})


def any_agreement(random: Random, number: int) -> Agreement:
    parties = random.sample(MEMBERS, random.choice((2, 2, 3, 4, 5)))
    in_force_at = NOW + random.choice((-100, -100, -10, 0)) * DAY
    terminated_at = in_force_at + random.choice((10, 100)) * DAY if random.random() < 0.4 else None
    id_ = f"agreement-{number}"
    return agreement(
        *(any_grant(random, parties) for _ in range(random.randint(1, 3))),
        id_=id_,
        parties=parties,
        in_force_at=in_force_at,
        terminated_at=terminated_at,
        wound_down_at=None if terminated_at is None else terminated_at + random.choice((0, 30)) * DAY,
        personal_data=(
            PersonalData(in_force_at + random.choice((0, 10, 100)) * DAY, "an article")
            if random.random() < 0.5
            else None
        ),
    )


def _later_version(random: Random, before: Agreement) -> Agreement:
    """The agreement with other grants, perhaps for other parties, from about when the one before ends."""
    parties = before.parties if random.random() < 0.7 else before.parties | {random.choice(MEMBERS)}
    fresh = any_agreement(random, 0)
    return replace(
        fresh,
        id=before.id,
        version=before.version + 1,
        digest=digest(f"{before.id} again"),
        parties=parties,
        grants=tuple(any_grant(random, sorted(parties)) for _ in fresh.grants),
        in_force_at=random.choice((fresh.in_force_at, before.terminated_at or fresh.in_force_at)),
        terminated_at=None,
        wound_down_at=None,
    )


def any_grant(random: Random, parties: Sequence[str]) -> Grant:
    giver, receiver = random.sample(parties, 2)
    slots = frozenset(random.sample(list(Slot), random.randint(1, 4)))
    return Grant(
        EVERY_PARTY if random.random() < 0.4 else giver,
        EVERY_PARTY if random.random() < 0.5 else receiver,
        types=_some(random, TYPES) if random.random() < 0.5 else frozenset(TYPES),
        slots=slots,
        countries=_perhaps(random, COUNTRIES),
        subjects=_perhaps(random, SUBJECTS),
        statuses=frozenset({Status.ACTUAL}) if random.random() < 0.6 else _some(random, tuple(Status)),
        purposes=_perhaps(random, PURPOSES),
        campaigns=_perhaps(random, CAMPAIGNS) if random.random() < 0.3 else None,
        tlp_max=random.choice((Tlp.GREEN, Tlp.AMBER, Tlp.AMBER, Tlp.RED)),
        mode=Mode.ON_REQUEST if random.random() < 0.2 else Mode.AUTOMATIC,
        seal=frozenset(slot for slot in slots if random.random() < 0.2),
        terms=Terms(
            retention_days=random.choice((None, 30, 365)),
            feedback_hours=random.choice((None, 24, 72)),
            onward_domestic=random.choice(tuple(Onward)),
            onward_community=random.choice(tuple(Onward)),
            onward_third_country=random.choice(tuple(Onward)),
        ),
    )


def any_reference(random: Random, number: int, agreements: Sequence[Agreement], at: int) -> Reference:
    readers = random.sample(MEMBERS, random.randint(1, 4))
    return reference(
        f"reference-{number}",
        random.choice(MEMBERS),
        notice_type=random.choice(TYPES),
        act=random.choice((Act.ORIGINAL, Act.REQUEST, Act.REQUEST, Act.CORRECTION)),
        decided_at=at - random.choice((1, 20 * DAY, 200 * DAY)),
        shares={
            reader: share(
                *random.sample(list(Slot), random.randint(0, 3)),
                under=(random.choice(agreements),),
                obligations=Obligations(
                    random.choice((None, NOW + 50 * DAY)),
                    None,
                    random.choice(tuple(Handling)),
                    random.choice(tuple(Onward)),
                    random.choice(tuple(Onward)),
                    random.choice(tuple(Onward)),
                ),
            )
            for reader in readers
        },
    )


def any_header(random: Random, references: Sequence[Reference], at: int) -> Header:
    acts: tuple[Act, ...] = (Act.ORIGINAL, Act.REQUEST)
    if references:
        acts = (Act.UPDATE, Act.CORRECTION, Act.RECALL, Act.ERASURE, Act.ANSWER, Act.ANSWER, Act.FEEDBACK)
    originator = random.choice(MEMBERS)
    others = [each for each in MEMBERS if each != originator]
    addressees = random.sample(others, random.randint(1, 3)) if random.random() < 0.2 else []
    return header(
        originator,
        countries=tuple(sorted(_some(random, COUNTRIES))) if random.random() < 0.8 else (),
        notice_type=random.choice(TYPES),
        status=Status.ACTUAL if random.random() < 0.7 else random.choice(tuple(Status)),
        act=random.choice(acts),
        references=tuple(sorted(each.statement for each in references)),
        tlp=random.choice((Tlp.GREEN, Tlp.AMBER, Tlp.AMBER, Tlp.RED)),
        handling=random.choice(tuple(Handling)),
        purpose=random.choice(PURPOSES),
        subjects=tuple(sorted(random.sample(HEADER_SUBJECTS, random.randint(0, 2)))),
        campaign=random.choice((None, *CAMPAIGNS)),
        addressees=tuple(sorted(addressees)),
        retain_until=random.choice((None, at + 60 * DAY)),
        feedback_due=random.choice((None, at + 48 * HOUR)),
    )


def _towards_a_grant(random: Random, notice: Header, value: Directory) -> Header:
    """The same notice, but of a kind that some grant is about: else nearly all would be withheld."""
    chosen = random.choice(value.agreements)
    aim = random.choice(chosen.grants)
    originator = random.choice(sorted(chosen.parties)) if aim.giver == EVERY_PARTY else aim.giver
    return replace(
        notice,
        originator=originator,
        notice_type=random.choice(sorted(aim.types)),
        status=random.choice(sorted(aim.statuses)),
        tlp=min(notice.tlp, aim.tlp_max),
        act=Act.UPDATE if notice.act is Act.CORRECTION and random.random() < 0.5 else notice.act,
        addressees=tuple(each for each in notice.addressees if each != originator),
    )


def _edges(agreements: Sequence[Agreement]) -> list[int]:
    edges = [NOW]
    for each in agreements:
        edges += [each.in_force_at, NOW, NOW + 5 * DAY]
        edges += [time for time in (each.terminated_at, each.wound_down_at) if time is not None]
        if each.personal_data is not None:
            edges.append(each.personal_data.from_at)
    return edges


def _some(random: Random, values: Sequence[T]) -> frozenset[T]:
    return frozenset(random.sample(list(values), random.randint(1, len(values))))


def _perhaps(random: Random, values: Sequence[T]) -> frozenset[T] | None:
    return _some(random, values) if random.random() < 0.2 else None
