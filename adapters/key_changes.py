"""A member's keys change: fresh ones are listed and old ones end, in its own entry, signed by its own hand.

Decides what each step lists, with which keys it is signed, and where the settings point afterwards.  What the
entry must keep of the one before is decided in `core.key_history`; who must sign besides the member, in
`broker.directory.signers`.  The node hands a signed change to the hub; a request goes to the secretariat or
the hub's operator as a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from adapters.configuration import MEMBER_FILE, NodeConfig
from adapters.directory.copy import Copy
from adapters.directory.own import CHANGE_FILE, carry, intend, intended, read_own, write_own
from broker.clock import Clock
from broker.core.directory import Member, MemberKey, Revocation, TransportKey, Use
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, PublicKey, Signer
from broker.directory.admission import write_request
from broker.directory.building import directory_keys, member_change
from broker.directory.certificates import key_digest, make_request
from broker.directory.change import Change
from broker.directory.layout import Layout
from broker.directory.roles import ROOT, metadata_name
from broker.directory.versions import Version
from broker.files import write_whole
from broker.keyring import KeyPlace

K = TypeVar("K", MemberKey, TransportKey)

HOUR = 3_600_000
DAY = 24 * HOUR
LEAST_ID = 8
MOST_NEXT = 1_000


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a key ends, and since when it does not count."""

    reason: Revocation
    since: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What the directory in force says of the member of a folder."""

    config: NodeConfig
    version: Version
    member: Member
    copy: Path

    @property
    def trusted(self) -> tuple[int, bytes]:
        """The root that is trusted here without asking, with its number."""
        number = Layout(self.copy).numbers(ROOT)[0]
        return number, Layout(self.copy)[metadata_name(ROOT, number)]

    def change(self, entry: Member, now: int, signers: Sequence[Signer]) -> Change:
        """Return the member's next role with this entry, signed.

        Raises:
            BadConfiguration: None of the signers is a key that the directory lets sign for the member.
        """
        allowed = self.version.delegations[self.member.id].keys
        if not any(each.public in allowed for each in signers):
            raise BadConfiguration(
                f"is not one of the keys that sign for {self.member.id} in the directory: give --key",
                field="key",
            )
        change = member_change(self.version, entry, now)
        for each in signers:
            change = change.sign(each)
        return change


def standing_of(config: NodeConfig, clock: Clock) -> Standing:
    """Return what the directory in force says of the member of this folder.

    Raises:
        BadConfiguration: It has no signed directory, is no member, or a change waits for the hub already.
    """
    path = config.path(config.directory)
    held = Copy(path, config.member, clock).held()
    listing = None if held is None else held.version.listings.get(config.member)
    if held is None or listing is None:
        raise BadConfiguration("the directory does not list this member", field=config.member)
    if intended(path) is not None:
        raise BadConfiguration(
            "a change that was signed before waits for the hub: let the node run until it is taken",
            field=str(path / CHANGE_FILE),
        )
    return Standing(config, held.version, listing.member, path)


def next_place(config: NodeConfig, present: KeyPlace) -> KeyPlace:
    """Return where the next key goes, beside the present one: `keys/sign.pem`, then `keys/sign-2.pem`.

    Raises:
        BadConfiguration: The present one is on a token, which says nothing of the next.
    """
    if present.token is not None:
        raise BadConfiguration(
            "the key is on a token: say with --to where the next one is made", field="--to"
        )
    stem = re.sub(r"-[0-9]+\Z", "", present.file.stem)
    for number in range(2, MOST_NEXT):
        path = present.file.with_name(f"{stem}-{number}.pem")
        if not config.path(path).exists():
            return KeyPlace(str(path))
    raise BadConfiguration("there are too many keys here", field=str(present.file.parent))


# --- the key for notices -----------------------------------------------------------------------------------


def with_signing_key(member: Member, key: PublicKey, valid_from: int) -> Member:
    """Return the entry with a further key for notices, which counts from then on."""
    return replace(member, keys=(*member.keys, MemberKey(key.id, Use.SIGN, key, valid_from)))


def waiting_key(member: Member, present: PublicKey) -> MemberKey | None:
    """Return the key for notices that is to take the place of the present one, if one is listed."""
    later = [
        key
        for key in member.keys
        if key.use is Use.SIGN
        and key.public.algorithm is not Algorithm.ML_DSA_65
        and key.revoked_at is None
        and key.valid_until is None
        and key.public != present
    ]
    return max(later, key=lambda key: key.valid_from, default=None)


def without_key(member: Member, key: PublicKey, at: int) -> Member:
    """Return the entry in which this key counts until then: what is under way may still come in."""
    return replace(
        member,
        keys=tuple(replace(each, valid_until=at) if each.public == key else each for each in member.keys),
    )


# --- the witness key ----------------------------------------------------------------------------------------


def with_witness_key(member: Member, key: PublicKey, now: int, until: int) -> Member:
    """Return the entry with a fresh witness key; those before it end, once what is under way is cosigned."""
    kept = tuple(
        replace(each, valid_until=until)
        if each.use is Use.WITNESS and each.revoked_at is None and each.valid_until is None
        else each
        for each in member.keys
    )
    return replace(member, keys=(*kept, MemberKey(key.id, Use.WITNESS, key, now)))


# --- the key for the directory -----------------------------------------------------------------------------


def with_directory_key(member: Member, key: PublicKey, old: PublicKey, ending: Ending, now: int) -> Member:
    """Return the entry with a fresh key for the directory in the place of an old one, which is revoked."""
    kept = tuple(
        replace(each, revoked_at=ending.since, reason=ending.reason) if each.public == old else each
        for each in member.keys
    )
    return replace(member, keys=(*kept, MemberKey(key.id, Use.DIRECTORY, key, now)))


def request_to_name(standing: Standing, change: Change, signers: Sequence[Signer]) -> bytes:
    """Return a request to the secretariat to name the keys that are in use now, without a certificate."""
    return write_request(standing.config.network, change, b"", signers)


def expect_next(standing: Standing, entry: Member) -> None:
    """Remember which keys the secretariat was asked to name: when it does, that is no alarm."""
    own = read_own(standing.copy)
    write_own(standing.copy, replace(own, next=frozenset(directory_keys(entry))))


# --- the key for connections -------------------------------------------------------------------------------


def with_transport_key(member: Member, key: bytes, now: int) -> Member:
    """Return the entry with a further key for connections."""
    return replace(member, transport_keys=(*member.transport_keys, TransportKey(key, now)))


def request_to_certify(standing: Standing, change: Change, pem: bytes, signers: Sequence[Signer]) -> bytes:
    """Return a request to the hub for a certificate of a key that the change lists."""
    config = standing.config
    return write_request(config.network, change, make_request(config.network, config.member, pem), signers)


def transport_file(config: NodeConfig, key: bytes) -> Path | None:
    """Return which of the key files beside the present one has this transport key."""
    present = config.keys.tls
    stem = re.sub(r"-[0-9]+\Z", "", present.stem)
    for path in sorted(config.path(present).parent.glob(f"{stem}*.pem")):
        if key_digest(path.read_bytes()) == key:
            return present.with_name(path.name)
    return None


# --- revoking ----------------------------------------------------------------------------------------------


def listed_key(member: Member, id_: str) -> MemberKey | TransportKey:
    """Return the key whose id, or fingerprint, begins so.

    Raises:
        BadConfiguration: None does, or several do.
    """
    wanted = id_.replace(" ", "").lower()
    keys: list[MemberKey | TransportKey] = [*member.keys, *member.transport_keys]
    found = [key for key in keys if key.id.hex().startswith(wanted)]
    if len(wanted) < LEAST_ID or len(found) != 1:
        raise BadConfiguration(
            f"names {len(found)} of the keys that are listed; `halong key show` has their fingerprints, at "
            f"least {LEAST_ID} digits are wanted",
            field="key",
        )
    return found[0]


def revoked(member: Member, key: MemberKey | TransportKey, ending: Ending) -> Member:
    """Return the entry in which this key is revoked."""
    return replace(
        member,
        keys=tuple(_ended(each, key.id, ending) for each in member.keys),
        transport_keys=tuple(_ended(each, key.id, ending) for each in member.transport_keys),
    )


def _ended(key: K, id_: bytes, ending: Ending) -> K:
    return replace(key, revoked_at=ending.since, reason=ending.reason) if key.id == id_ else key


# --- what comes of it --------------------------------------------------------------------------------------


def hand_over(standing: Standing, change: Change, output: Path | None) -> Path:
    """Keep a signed change until the node has handed it to the hub, or write it as a file that travels."""
    if output is None:
        intend(standing.copy, change)
        return standing.copy / CHANGE_FILE
    carry(standing.copy, change)
    write_whole(output, change.write())
    return output


def point_to(config: NodeConfig, name: str, place: str) -> None:
    """Let the settings name another place for a key.

    Raises:
        BadConfiguration: They have no part for keys to write it into.
    """
    path = config.root / MEMBER_FILE
    text = path.read_text(encoding="utf-8")
    head, part, rest = text.partition("[keys]")
    if not part:
        raise BadConfiguration("has no [keys] to write into", field=str(path))
    # As JSON writes it, which is how TOML has a text.
    line = f"{name} = {json.dumps(place)}"
    found = re.compile(rf'^{name} = "[^"\n]*"', re.MULTILINE)
    inside, bracket, after = rest.partition("\n[")
    inside = found.sub(lambda _: line, inside, count=1) if found.search(inside) else f"\n{line}{inside}"
    write_whole(path, head + part + inside + bracket + after)
