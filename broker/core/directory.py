"""Members, their keys and their agreements at one version, as one immutable value.

Decides which keys of a member count at a time and what a key may be used for, and that no key is
held by two members or for two uses.  Where the value comes from (a folder of files, a signed
repository) is the business of `broker.directory`; what agreements allow is decided in `agreements`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Protocol

from broker.core.clauses import Agreement
from broker.core.errors import BadConfiguration, WeakKey
from broker.core.keys import Algorithm, PublicKey, check_registrable, spki_digest
from broker.core.model import Region


class Use(Enum):
    """What a key is for; it has one use for its whole life."""

    SIGN = "sign"
    TRANSPORT = "transport"
    SEAL = "seal"
    DIRECTORY = "directory"
    WITNESS = "witness"


class Revocation(Enum):
    """Why a key was revoked.

    SUPERSEDED: it was replaced in good order; all that was decided before `revoked_at` stands.
    COMPROMISED: it was out of its holder's hands since `revoked_at`, which may lie far before the
    day of the revocation; what was decided in between is in doubt.
    """

    SUPERSEDED = "superseded"
    COMPROMISED = "compromised"


class MemberClass(Enum):
    """What kind of body a member is."""

    CUSTOMS = "customs"
    RILO = "rilo"
    INTERNATIONAL = "international"
    AUTHORITY = "authority"
    PARTNER = "partner"


@dataclass(frozen=True, slots=True)
class MemberKey:
    """A key that signs, opens seals, signs the directory or cosigns the log; `id` is that of `public`."""

    id: bytes
    use: Use
    public: PublicKey
    valid_from: int
    valid_until: int | None = None
    revoked_at: int | None = None
    reason: Revocation | None = None
    pq_required_from: int | None = None

    def valid_at(self, at: int) -> bool:
        """Say whether the key counts at `at`: from `valid_from`, until it ends or is revoked."""
        return _within(at, self.valid_from, self.valid_until, self.revoked_at)

    def doubtful_at(self, at: int) -> bool:
        """Say whether what this key signed at `at` may be another's work."""
        return self.reason is Revocation.COMPROMISED and self.revoked_at is not None and at >= self.revoked_at


@dataclass(frozen=True, slots=True)
class TransportKey:
    """The key of a TLS certificate; `id` is the SHA-256 of its SubjectPublicKeyInfo."""

    id: bytes
    valid_from: int
    valid_until: int | None = None
    revoked_at: int | None = None
    reason: Revocation | None = None

    def valid_at(self, at: int) -> bool:
        """Say whether the key counts at `at`: from `valid_from`, until it ends or is revoked."""
        return _within(at, self.valid_from, self.valid_until, self.revoked_at)


@dataclass(frozen=True, slots=True)
class Member:
    """A member with the whole history of its keys and what it acceded to.

    `accessions` names the SHA-256 of each agreement file by (agreement id, version).
    """

    id: str
    name: str
    member_class: MemberClass
    regions: tuple[Region, ...]
    keys: tuple[MemberKey, ...]
    transport_keys: tuple[TransportKey, ...] = ()
    accessions: Mapping[tuple[str, int], bytes] = field(default_factory=dict)


class Keyring(Protocol):
    """Whose keys count when.  A `Directory` is one."""

    def signing_keys(self, member: str, at: int) -> Sequence[MemberKey]:
        """Return the member's keys for signatures that are valid at `at`; none for a stranger."""
        ...

    def countersign_keys(self, member: str, at: int) -> Sequence[MemberKey]:
        """Return the member's ML-DSA-65 keys that are valid at `at`."""
        ...

    def pq_required(self, member: str, at: int) -> bool:
        """Must the member's statements carry the countersignature at `at`?"""
        ...


@dataclass(frozen=True, slots=True)
class Directory:
    """All that is known of the network at one version.

    `version` is the SHA-256 of the version's snapshot, `log_key` the key of the hub's log (C2SP
    verifier key).  Key ids are looked up under their member only, so that no id of one member ever
    resolves to a key of another.

    `former` has those who are members no more, as they described themselves last.  None of their keys counts
    for anything new, nobody else may hold one, and what was stolen of them stays known.

    Raises:
        WeakKey: Anybody could sign under a key, or it has a second form.
        BadConfiguration: A key is held by two members or for two uses, has not the id of its
            public key, or a member is filed under another's name.
    """

    version: bytes
    network: str
    log_key: str
    members: Mapping[str, Member]
    agreements: tuple[Agreement, ...]
    former: Mapping[str, Member] = field(default_factory=dict)
    _signing: Mapping[str, tuple[MemberKey, ...]] = field(init=False, repr=False, compare=False)
    _countersigning: Mapping[str, tuple[MemberKey, ...]] = field(init=False, repr=False, compare=False)
    _pq_required_from: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _transport: Mapping[bytes, tuple[str, TransportKey]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.former.keys().isdisjoint(self.members):
            raise BadConfiguration("a member is listed as one that left", field="former")
        _check_keys(self.known)
        signing: dict[str, tuple[MemberKey, ...]] = {}
        countersigning: dict[str, tuple[MemberKey, ...]] = {}
        pq_required_from: dict[str, int] = {}
        transport: dict[bytes, tuple[str, TransportKey]] = {}
        for id_, member in self.members.items():
            keys = [key for key in member.keys if key.use is Use.SIGN]
            signing[id_] = tuple(k for k in keys if k.public.algorithm is not Algorithm.ML_DSA_65)
            countersigning[id_] = tuple(k for k in keys if k.public.algorithm is Algorithm.ML_DSA_65)
            starts = [k.pq_required_from for k in keys if k.pq_required_from is not None]
            if starts:
                pq_required_from[id_] = min(starts)
            transport |= {key.id: (id_, key) for key in member.transport_keys}
        for name, value in (
            ("members", MappingProxyType(dict(self.members))),
            ("former", MappingProxyType(dict(self.former))),
            ("_signing", signing),
            ("_countersigning", countersigning),
            ("_pq_required_from", pq_required_from),
            ("_transport", transport),
        ):
            object.__setattr__(self, name, value)

    @property
    def known(self) -> Mapping[str, Member]:
        """Members, and those that were."""
        return {**self.former, **self.members}

    def signing_keys(self, member: str, at: int) -> Sequence[MemberKey]:
        """Return the member's keys that signed notices and receipts may bear at `at`."""
        return [key for key in self._signing.get(member, ()) if key.valid_at(at)]

    def countersign_keys(self, member: str, at: int) -> Sequence[MemberKey]:
        """Return the member's ML-DSA-65 keys that countersign at `at`."""
        return [key for key in self._countersigning.get(member, ()) if key.valid_at(at)]

    def pq_required(self, member: str, at: int) -> bool:
        """Say whether the member's signatures need a countersignature at `at`.

        Once any of its keys required it, no later key takes the requirement back: a rotation must
        not be a way to downgrade.
        """
        start = self._pq_required_from.get(member)
        return start is not None and at >= start

    def witness_keys(self, member: str, at: int) -> Sequence[MemberKey]:
        """Return the keys by which the member's witness cosigns the log at `at`."""
        found = self.members.get(member)
        keys = () if found is None else found.keys
        return [key for key in keys if key.use is Use.WITNESS and key.valid_at(at)]

    def member_of_transport_key(self, spki_digest: bytes, at: int) -> str | None:
        """Return whose TLS key this is, if it counts at `at`."""
        found = self._transport.get(spki_digest)
        return found[0] if found is not None and found[1].valid_at(at) else None

    def acceded(self, member: str, agreement: Agreement) -> bool:
        """Say whether the member acceded to these very bytes of the agreement."""
        found = self.members.get(member)
        return (
            found is not None
            and member in agreement.parties
            and found.accessions.get((agreement.id, agreement.version)) == agreement.digest
        )


def _within(at: int, valid_from: int, valid_until: int | None, revoked_at: int | None) -> bool:
    return (
        valid_from <= at
        and (valid_until is None or at < valid_until)
        and (revoked_at is None or at < revoked_at)
    )


def _check_keys(members: Mapping[str, Member]) -> None:
    """Refuse keys that would let one member, or one use, stand in for another.

    Raises:
        WeakKey: Naming the member and the use.
        BadConfiguration: Naming the members and the uses at fault.
    """
    held: dict[bytes, tuple[str, str]] = {}
    for id_, member in members.items():
        if member.id != id_:
            raise BadConfiguration(f"member {member.id} is filed as {id_}", field=f"members/{id_}")
        # One member's history may list a key once only: two entries would give it two lives.
        for identity, use in _identities(member):
            if identity in held:
                holder, other = held[identity]
                raise BadConfiguration(
                    f"a {use} key of {id_} is already a {other} key of {holder}; every key belongs to "
                    "one member, has one use and is listed once",
                    field=f"members/{id_}",
                )
            held[identity] = (id_, use)


def _identities(member: Member) -> Iterator[tuple[bytes, str]]:
    """Yield, for each key, every id under which the same key could be listed again."""
    for key in member.keys:
        if key.id != key.public.id or key.use is Use.TRANSPORT:
            raise BadConfiguration(
                f"a {key.use.value} key of {member.id} is not listed under its own id",
                field=f"members/{member.id}",
            )
        try:
            check_registrable(key.public)
        except WeakKey as error:
            wrong = f"a {key.use.value} key of {member.id} must not be used: {error}"
            raise WeakKey(wrong, field=f"members/{member.id}") from None
        yield key.id, key.use.value
        if key.public.algorithm in (Algorithm.ED25519, Algorithm.ESP256):
            yield spki_digest(key.public), key.use.value
    for transport in member.transport_keys:
        yield transport.id, Use.TRANSPORT.value
