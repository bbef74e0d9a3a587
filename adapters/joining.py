"""How a member's folder comes to be: from an invitation, and completed by a welcome.

Decides which keys a member makes and what it pins: the root in the invitation, whose fingerprint two people
have compared, and its own keys for the directory.  Private keys are made here and stay here; the spare key is
made here, too, and a person takes it to a safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from adapters.configuration import MEMBER_FILE, NodeConfig
from adapters.directory.copy import Copy
from adapters.directory.own import Own, write_own
from adapters.key_changes import point_to, transport_file
from adapters.member_folder import REQUEST_FILE, MemberPlan, write_hub_part, write_member_config
from broker.clock import Clock
from broker.core.directory import Member, MemberKey, Revocation, TransportKey, Use
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, PrivateKey, PublicKey, Signer
from broker.directory.admission import (
    Invitation,
    Welcome,
    as_bytes,
    read_invitation,
    read_welcome,
    write_request,
)
from broker.directory.building import member_change
from broker.directory.certificates import key_digest, make_request, read_certificate
from broker.directory.joining import decoded
from broker.directory.layout import Layout
from broker.directory.loading import load_newest
from broker.directory.roles import ROOT, metadata_name
from broker.directory.roots import MOST_ROOTS
from broker.directory.sources import trusted_root
from broker.directory.versions import Newest, Version
from broker.files import make_private_folder, write_key, write_whole
from broker.keyring import KeyPlace, make_signer
from broker.keyring.secret import Ask, nobody

K = TypeVar("K", MemberKey, TransportKey)

SIGN, DIRECTORY = KeyPlace("keys/sign.pem"), KeyPlace("keys/directory.pem")
WITNESS = KeyPlace("keys/witness.pem")
SPARE = KeyPlace("spare/directory.pem")
"""In a folder of its own, which goes to a safe."""
TLS = Path("keys/tls.pem")
COPY_FOLDER = Path("directory")
ALGORITHM = Algorithm.ED25519


@dataclass(frozen=True, slots=True)
class Places:
    """Where a member's keys are made."""

    sign: KeyPlace = SIGN
    directory: KeyPlace = DIRECTORY
    spare: KeyPlace = SPARE
    witness: KeyPlace = WITNESS


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation whose directory is genuine under the root that it brings."""

    invitation: Invitation
    newest: Newest
    root: bytes

    @property
    def listed(self) -> Member | None:
        """The member's entry, if it is one already and has lost its keys, or was one and comes back."""
        listing = self.newest.version.known.get(self.invitation.member)
        return None if listing is None else listing.member


def invited(data: bytes) -> Invited:
    """Return an invitation, and the root that a node will trust because of it.

    Raises:
        BadConfiguration: It is none.
        UnfitDirectory: The directory in it is not genuine.
    """
    invitation = read_invitation(data)
    files = as_bytes(invitation.files)
    root = newest_root(files)
    newest = load_newest(files, root, reader=invitation.member)
    if newest.version.terms.network != invitation.network:
        raise BadConfiguration("the directory in the invitation is another network's", field="network")
    return Invited(invitation, newest, root)


def newest_root(files: Mapping[str, bytes]) -> bytes:
    """Return the newest of the roots among files that were sent.

    Raises:
        BadConfiguration: There is none.
    """
    numbers = [each for each in range(1, MOST_ROOTS + 1) if metadata_name(ROOT, each) in files]
    if not numbers:
        raise BadConfiguration("brings no root of a directory", field="files")
    return files[metadata_name(ROOT, numbers[-1])]


def make_invited(
    folder: Path, found: Invited, plan: MemberPlan, now: int, places: Places, ask: Ask = nobody,
    *, encrypted: bool = False,
) -> bytes:  # fmt: skip
    """Make a member's folder with fresh keys, and return its request to join (also written there).

    Args:
        folder: Where.
        found: The invitation.
        plan: How the member is called, and which ports its node has.
        now: Now.
        places: Where the keys are made.
        ask: Says passphrases and PINs.
        encrypted: Whether key files are encrypted; TLS needs its own in the clear.

    Raises:
        BadConfiguration: There is a member or a key already.
    """
    if (folder / MEMBER_FILE).exists() or (folder / "keys").exists():
        raise BadConfiguration("there is a member here already", field=str(folder))
    make_private_folder(folder / "keys")
    sign, directory, spare = (
        make_signer(each, ALGORITHM, folder, ask, encrypted=encrypted)
        if each.token is None
        else make_signer(each, Algorithm.ESP256, folder, ask)
        for each in (places.sign, places.directory, places.spare)
    )
    # A cosignature is Ed25519, which few tokens sign.
    witness = make_signer(places.witness, ALGORITHM, folder, ask, encrypted=encrypted)
    signers = (sign, directory, spare, witness)
    tls = PrivateKey.generate(Algorithm.ESP256)
    write_key(folder / TLS, tls.to_pem())
    entry = _entry(found.listed, plan, signers, key_digest(tls.to_pem()), now)
    change = member_change(found.newest.version, entry, now).sign(directory)
    csr = make_request(plan.network, plan.id, tls.to_pem())
    request = write_request(plan.network, change, csr, signers)
    write_whole(folder / REQUEST_FILE, request)
    copy = folder / COPY_FOLDER
    Layout(copy).add({metadata_name(ROOT, found.newest.version.terms.number): found.root})
    write_own(copy, _own((directory.public, spare.public), found.newest.version, plan.id))
    write_member_config(folder, plan, places.sign, places.directory, places.witness)
    return request


def _own(keys: Sequence[PublicKey], before: Version, member: str) -> Own:
    earlier = before.known.get(member)
    return Own(frozenset(keys), past=() if earlier is None else (frozenset(earlier.delegation.keys),))


def _entry(
    listed: Member | None, plan: MemberPlan, signers: Sequence[Signer], transport: bytes, now: int
) -> Member:
    """Return the entry with the fresh keys; whoever was a member gives all that it had up."""
    uses = (Use.SIGN, Use.DIRECTORY, Use.DIRECTORY, Use.WITNESS)
    keys = tuple(
        MemberKey(each.public.id, use, each.public, now) for use, each in zip(uses, signers, strict=True)
    )
    transport_key = TransportKey(transport, now)
    if listed is None:
        return Member(plan.id, plan.name, plan.member_class, tuple(plan.regions), keys, (transport_key,))
    return replace(
        listed,
        keys=(*(_given_up(key, now) for key in listed.keys), *keys),
        transport_keys=(*(_given_up(key, now) for key in listed.transport_keys), transport_key),
    )


def _given_up(key: K, now: int) -> K:
    if key.revoked_at is not None:
        return key
    return replace(key, revoked_at=now, reason=Revocation.SUPERSEDED)


# --- the welcome ------------------------------------------------------------------------------------------


def check_welcome(config: NodeConfig, data: bytes) -> tuple[Welcome, Newest]:
    """Return a welcome that this node may take, and the directory in it under the root that is trusted here.

    Raises:
        BadConfiguration: It is not for this member, or pins something else than before.
        UnfitDirectory: The directory in it is not genuine.
    """
    sent = decoded(data, Welcome, "a welcome")
    # The next key lies beside the present one until its certificate comes.
    file = transport_file(config, read_certificate(sent.certificate.encode()).key)
    own = None if file is None else key_digest(config.path(file).read_bytes())
    if own is None and config.hub is None:
        own = key_digest(config.path(config.keys.tls).read_bytes())
    # A certificate for another machine of the member's changes nothing at one that has joined.
    welcome = read_welcome(data, config.member, own)
    # 1. It is of the network that was asked.
    if welcome.network != config.network:
        raise BadConfiguration("the welcome is to another network", field="network")
    # 2. Its directory follows from the root that is trusted, and is of the same network.
    path = config.path(config.directory)
    files = as_bytes(welcome.files)
    newest = load_newest(files, trusted_root(path), reader=config.member)
    if newest.version.terms.network != welcome.network:
        raise BadConfiguration("the directory is another network's", field="network")
    # 3. Once pinned, the log's key cannot be changed by a file: that is what it is pinned against.
    if config.hub is not None and config.hub.log_key != newest.version.terms.log_key:
        raise BadConfiguration(
            "the welcome names another log key than the pinned one", field=f"{MEMBER_FILE}: hub.log_key"
        )
    return welcome, newest


def install(config: NodeConfig, welcome: Welcome, newest: Newest, clock: Clock) -> None:
    """Install a welcome that was checked: the directory, the certificate, and what is pinned.

    Raises:
        UnfitDirectory: The directory is not true to this member; nothing was installed.
    """
    path, files = config.path(config.directory), as_bytes(welcome.files)
    Copy(path, config.member, clock).take(files)
    file = transport_file(config, read_certificate(welcome.certificate.encode()).key)
    if file is not None:
        if file != config.keys.tls:
            point_to(config, "tls", str(file))
        write_whole(config.path(config.keys.certificate), welcome.certificate)
    write_whole(config.root / "tls/authority.pem", welcome.authority)
    write_hub_part(config.root, welcome.url, welcome.pin, newest.version.terms.log_key)
