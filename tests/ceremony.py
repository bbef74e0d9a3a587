"""A small network with a signed directory: root, secretariat, the hub's online key, members.

::

    network = SignedNetwork(tmp_path / "hub")
    network.join("jp", "vn")
    network.accede(AGREEMENT, "jp", "vn")
    network.leave("jp", "jp-vn-2026", 1)
    directory = network.source().load()

Keys are real and made from names, so that a test says which key it means; everything goes through the
ceremonies that people do (`building`, `change`, `Repository`).  `clock.time` is the time, which tests move.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

from broker.core.directory import Member, MemberClass, MemberKey, TransportKey, Use
from broker.core.keys import Algorithm, PrivateKey, PublicKey, spki_digest
from broker.core.model import Region
from broker.core.note import LogSigner
from broker.directory.building import (
    NetworkTerms,
    delegations_of,
    member_change,
    root_change,
    targets_change,
)
from broker.directory.change import Change
from broker.directory.repository import Repository
from broker.directory.signed import SignedDirectory
from broker.directory.versions import Delegation, Newest, Version

START = 1_767_225_600_000
NOW = 1_790_000_000_000
HOUR = 3_600_000
AGREEMENT = """\
id = "jp-vn-2026"
version = 1
nonce = "00112233445566778899aabbccddeeff"
title = "Agreement"
parties = ["jp", "vn"]
in_force_from = 2026-01-01

[[grant]]
from = "vn"
to = "jp"
types = ["drug-parcel"]
slots = ["facts"]
"""


@cache
def private(name: str, algorithm: Algorithm = Algorithm.ED25519) -> PrivateKey:
    """The key of this name, always the same."""
    return PrivateKey.from_seed(algorithm, name.encode().ljust(32, b"-"))


ROOTS = tuple(private(f"root-{number}") for number in range(1, 6))
SECRETARIAT = tuple(private(f"secretariat-{number}") for number in range(1, 4))
ONLINE = private("online")
LOG = private("log")


class MovedClock:
    """Tells the time that the test set."""

    def __init__(self, now: int = NOW) -> None:
        self.time = now

    def now(self) -> int:
        return self.time


def active(id_: str) -> PrivateKey:
    """The member's key for the directory that it uses."""
    return private(f"{id_}-directory")


def spare(id_: str) -> PrivateKey:
    """The member's key for the directory that lies in a safe."""
    return private(f"{id_}-spare", Algorithm.ESP256)


def member(id_: str, *, directory: Sequence[PrivateKey] = (), more: Sequence[MemberKey] = ()) -> Member:
    """A member with a key for notices, one for TLS, and two for the directory."""
    sign, tls = private(f"{id_}-sign").public, private(f"{id_}-tls", Algorithm.ESP256).public
    own = [each.public for each in directory or (active(id_), spare(id_))]
    return Member(
        id=id_,
        name=f"Customs of {id_}",
        member_class=MemberClass.CUSTOMS,
        regions=(Region.ASIA_PACIFIC,),
        keys=(
            MemberKey(sign.id, Use.SIGN, sign, START),
            *(MemberKey(key.id, Use.DIRECTORY, key, START) for key in own),
            *more,
        ),
        transport_keys=(TransportKey(spki_digest(tls), START),),
    )


def terms(**changes: object) -> NetworkTerms:
    """What the first root says: root 3 of 5, secretariat 2 of 3, one online key."""
    holders = {key.public: f"root holder {number}" for number, key in enumerate(ROOTS, 1)}
    holders |= {key.public: f"secretariat {number}" for number, key in enumerate(SECRETARIAT, 1)}
    first = NetworkTerms(
        network="halong-test",
        log_key=LogSigner("halong-test/log", LOG).vkey,
        root=Delegation(publics(ROOTS), 3),
        targets=Delegation(publics(SECRETARIAT), 2),
        online=Delegation((ONLINE.public,), 1),
        holders={**holders, ONLINE.public: "the hub"},
    )
    return replace(first, **changes)  # type: ignore[arg-type]  # what a test changes is its own business


def publics(keys: Sequence[PrivateKey]) -> tuple[PublicKey, ...]:
    """The public parts of keys."""
    return tuple(key.public for key in keys)


def signed(change: Change, *keys: PrivateKey) -> Change:
    """The change with the signatures of these keys."""
    for key in keys:
        change = change.sign(key)
    return change


def begin(path: Path, at: int, **changes: object) -> Newest:
    """Make a directory without members, whose root says so."""
    root = signed(root_change(terms(**changes), 1, at), *ROOTS[:3])
    return Repository(path).take([root, signed(targets_change(None, {}, at), *SECRETARIAT[:2])], ONLINE, at)


class SignedNetwork:
    """A network's directory at the hub, with everybody's private keys at hand.

    Args:
        path: Where the hub's copy lies; made with the first root and an empty secretariat's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = MovedClock()
        self.online = ONLINE
        self.repository = Repository(path)
        self.members: dict[str, Member] = {}
        first = [
            signed(root_change(terms(), 1, self.now), *ROOTS[:3]),
            signed(targets_change(None, {}, self.now), *SECRETARIAT[:2]),
        ]
        self.newest = self.take(*first)

    def at(self, path: Path) -> SignedNetwork:
        """The same network with a copy of its folder, and a clock of its own."""
        other = copy(self)
        other.path, other.repository, other.clock = path, Repository(path), MovedClock(self.now)
        other.members = dict(self.members)
        newest = other.repository.newest()
        assert newest is not None
        other.newest = newest
        return other

    @property
    def now(self) -> int:
        """The time of the network."""
        return self.clock.now()

    @property
    def version(self) -> Version:
        """The version in force."""
        return self.newest.version

    @property
    def root(self) -> bytes:
        """The first root, which everybody trusts."""
        root = self.repository.first_root()
        assert root is not None
        return root

    def source(self, reader: str | None = None) -> SignedDirectory:
        """The directory as a reader sees it that comes now."""
        return SignedDirectory(self.path, self.root, self.clock, reader=reader)

    def take(self, *changes: Change) -> Newest:
        """Put changes into force."""
        self.newest = self.repository.take(changes, self.online, self.now)
        return self.newest

    def renew(self) -> Newest:
        """Vouch for the version in force for another day."""
        self.newest = self.repository.renew(self.online, self.now)
        return self.newest

    def join(self, *members: str | Member) -> Newest:
        """Admit members, given by id or as entries, all in one version."""
        entries = [each if isinstance(each, Member) else member(each) for each in members]
        delegations = delegations_of(self.version)
        roles = []
        for entry in entries:
            self.members[entry.id] = entry
            delegations[entry.id] = publics((active(entry.id), spare(entry.id)))
            roles.append(signed(member_change(self.version, entry, self.now), active(entry.id)))
        targets = signed(targets_change(self.version, delegations, self.now), *SECRETARIAT[:2])
        return self.take(targets, *roles)

    def suspend(self, id_: str) -> Newest:
        """Take a member's delegation away."""
        delegations = delegations_of(self.version)
        del delegations[id_]
        return self.take(signed(targets_change(self.version, delegations, self.now), *SECRETARIAT[1:]))

    def change(self, entry: Member) -> Newest:
        """Replace a member's entry."""
        self.members[entry.id] = entry
        return self.take(signed(member_change(self.version, entry, self.now), active(entry.id)))

    def accede(self, text: bytes, *members: str) -> Newest:
        """Let members accede to an agreement, one after the other."""
        for id_ in members:
            change = member_change(self.version, self.members[id_], self.now, accede=[text])
            self.take(signed(change, active(id_)))
        return self.newest

    def leave(self, id_: str, agreement: str, version: int) -> Newest:
        """Let a member list an agreement no more."""
        change = member_change(self.version, self.members[id_], self.now, leave=[(agreement, version)])
        return self.take(signed(change, active(id_)))
