"""The next file of each role, before anybody has signed it.

Decides what a ceremony changes and what it leaves as it was, and refuses what no reader would take; who has
to sign the result, and whether enough have, is in `signers`.

Source: the TUF specification 1.0.31, section 4; python-tuf's classes write it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from broker.core.agreements import parse_agreement
from broker.core.directory import Member, Use
from broker.core.errors import BadConfiguration
from broker.core.keys import PublicKey
from broker.core.succession import EndedLog
from broker.directory.change import Change
from broker.directory.member_file import member_text
from broker.directory.roles import (
    LIFE,
    MEMBER,
    ONLINE,
    ROOT,
    SNAPSHOT,
    SPEC_VERSION,
    TARGETS,
    TIMESTAMP,
    TOP,
    agreement_path,
    delegated_paths,
    entry_path,
    role_of_member,
    tuf_key,
)
from broker.directory.shapes import encoded
from broker.directory.versions import Delegation, Line, Version


@dataclass(frozen=True, slots=True)
class NetworkTerms:
    """What a root says: what the network is, whose keys each role has, and who holds each key.

    `ended` has the logs before that of `log_key`, with their ends; `holders` gives each key a name that
    people know it by.
    """

    network: str
    log_key: str
    root: Delegation
    targets: Delegation
    online: Delegation
    holders: Mapping[PublicKey, str] = field(default_factory=dict)
    ended: tuple[EndedLog, ...] = ()

    @classmethod
    def of(cls, version: Version) -> NetworkTerms:
        """Return the terms that are in force."""
        terms = version.terms
        keys = {key.id.hex(): key for each in terms.roles.values() for key in each.keys}
        holders = {keys[id_]: name for id_, name in terms.holders.items() if id_ in keys}
        roles = terms.roles
        return cls(
            terms.network,
            terms.log_key,
            roles[ROOT],
            roles[TARGETS],
            roles[SNAPSHOT],
            holders,
            terms.succession.ended,
        )


def root_change(terms: NetworkTerms, number: int, at: int) -> Change:
    """Return the root of this number: 1 for the first, or the one after that in force."""
    roles = {ROOT: terms.root, TARGETS: terms.targets, **dict.fromkeys(ONLINE, terms.online)}
    keys = {key for each in roles.values() for key in each.keys}
    ended = [
        {"log_key": each.log.vkey, "ends": [note.decode() for note in each.ends]} for each in terms.ended
    ]
    root = Root(
        version=number,
        spec_version=SPEC_VERSION,
        expires=_expiry(ROOT, at),
        keys={key.id.hex(): tuf_key(key) for key in keys},
        roles={role: _role(roles[role]) for role in TOP},
        consistent_snapshot=True,
        unrecognized_fields={
            "network": terms.network,
            "log_key": terms.log_key,
            **({"ended": ended} if ended else {}),
            "holders": {key.id.hex(): name for key, name in terms.holders.items() if key in keys},
        },
    )
    return _change(ROOT, root)


def targets_change(before: Version | None, delegations: Mapping[str, Sequence[PublicKey]], at: int) -> Change:
    """Return the secretariat's next file, which names these members and the keys with which each signs.

    Whoever was a member and is not among them goes on being named, with the keys that signed its last word,
    and without a path: such a role may say nothing, and what it said of its keys stays known.
    """
    known = {} if before is None else before.known
    left = {id_: each.delegation.keys for id_, each in known.items() if id_ not in delegations}
    named = {**left, **delegations}
    keys = {key for each in named.values() for key in each}
    targets = Targets(
        version=_next(before, TARGETS),
        spec_version=SPEC_VERSION,
        expires=_expiry(TARGETS, at),
        targets={},
        delegations=Delegations(
            {key.id.hex(): tuf_key(key) for key in keys},
            {
                role_of_member(id_): DelegatedRole(
                    role_of_member(id_),
                    [key.id.hex() for key in own],
                    1,
                    terminating=True,
                    paths=delegated_paths(id_) if id_ in delegations else [],
                )
                for id_, own in sorted(named.items())
            },
        ),
    )
    return _change(TARGETS, targets)


def delegations_of(version: Version) -> dict[str, tuple[PublicKey, ...]]:
    """Return the keys with which each member signs, to change and to hand to `targets_change`."""
    return {id_: each.keys for id_, each in version.delegations.items()}


def member_change(
    before: Version | None,
    member: Member,
    at: int,
    *,
    accede: Collection[bytes] = (),
    leave: Collection[tuple[str, int]] = (),
) -> Change:
    """Return the member's next role: its entry as given, what it had acceded to, and what changes of that.

    Args:
        before: The version in force; None for a network that has none yet.
        member: The entry; what it says of accessions does not count.
        at: Now.
        accede: Agreements to list, as their bytes.
        leave: Agreements to list no more, by id and version.

    Raises:
        BadConfiguration: It is no party, lists other bytes of that version, or leaves what it is not in.
    """
    role = role_of_member(member.id)
    entry = member_text(replace(member, accessions={})).encode()
    listing = None if before is None else before.listings.get(member.id)
    listed = (
        {}
        if listing is None
        else {
            path: TargetFile(each.length, {"sha256": each.hashes.sha256}, path)
            for path, each in listing.listed.items()
        }
    )
    listed[entry_path(member.id)] = _target(entry_path(member.id), entry)
    files = {sha256(entry).hexdigest(): entry}
    for key in leave:
        if listed.pop(agreement_path(member.id, *key), None) is None:
            raise BadConfiguration(f"{member.id} has not acceded to {key[0]}/{key[1]}", field=role)
    for text in accede:
        agreement = parse_agreement(text)
        path = agreement_path(member.id, agreement.id, agreement.version)
        if member.id not in agreement.parties:
            raise BadConfiguration(f"{member.id} is not a party of {agreement.name}", field=role)
        target = _target(path, text)
        if listed.get(path, target) != target:
            raise BadConfiguration(
                f"{member.id} acceded to other bytes of {agreement.name}; leave it first, or make it version "
                f"{agreement.version + 1}",
                field=role,
            )
        listed[path] = target
        files[sha256(text).hexdigest()] = text
    signed = Targets(
        version=_next(before, role), spec_version=SPEC_VERSION, expires=_expiry(MEMBER, at), targets=listed
    )
    return _change(role, signed, files)


def snapshot_signed(number: int, lines: Mapping[str, Line], at: int) -> Snapshot:
    """Return the snapshot that names these files."""
    meta = {f"{role}.json": _meta(line) for role, line in lines.items()}
    return Snapshot(version=number, spec_version=SPEC_VERSION, expires=_expiry(SNAPSHOT, at), meta=meta)


def timestamp_signed(number: int, snapshot: Line, at: int) -> Timestamp:
    """Return the timestamp that names this snapshot."""
    return Timestamp(
        version=number,
        spec_version=SPEC_VERSION,
        expires=_expiry(TIMESTAMP, at),
        snapshot_meta=_meta(snapshot),
    )


def directory_keys(member: Member) -> tuple[PublicKey, ...]:
    """Return the keys that the entry lists for signing the directory and that were not revoked."""
    return tuple(key.public for key in member.keys if key.use is Use.DIRECTORY and key.revoked_at is None)


def _change(role: str, signed: Signed, files: Mapping[str, bytes] | None = None) -> Change:
    return Change.of(role, encoded(signed.to_dict()), files or {})


def _next(before: Version | None, role: str) -> int:
    line = None if before is None else before.lines.get(role)
    return 1 if line is None else line.number + 1


def _role(delegation: Delegation) -> Role:
    return Role([key.id.hex() for key in delegation.keys], delegation.threshold)


def _target(path: str, data: bytes) -> TargetFile:
    return TargetFile(len(data), {"sha256": sha256(data).hexdigest()}, path)


def _meta(line: Line) -> MetaFile:
    return MetaFile(line.number, line.length, {"sha256": line.digest})


def _expiry(kind: str, at: int) -> datetime:
    return datetime.fromtimestamp((at + LIFE[kind]) // 1000, UTC)
