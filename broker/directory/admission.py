"""How a member joins a network with a signed directory: three files that people carry.

Decides what a request must prove before the secretariat delegates to its keys, and what a welcome must fit
before a node believes it.  Private keys are made where they stay.  That a request is the member's, and an
invitation or a welcome the network's, is for people to compare by a second way: `joining.fingerprint`.
What is believed of the directory in a welcome is decided where a node takes it over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import msgspec

from broker.core.directory import Member, MemberKey, Use
from broker.core.errors import BadConfiguration, BadSignature, NotCanonical
from broker.core.key_history import check_kept
from broker.core.keys import Signer
from broker.core.wire import json_shape, read
from broker.directory.building import directory_keys
from broker.directory.certificates import issued_by, read_certificate, read_request
from broker.directory.change import Change
from broker.directory.joining import MOST_BYTES, decoded
from broker.directory.member_file import parse_member
from broker.directory.roles import entry_path

LABEL = b"halong/join/2\0"
SIGNING = (Use.SIGN, Use.DIRECTORY, Use.WITNESS)
LEAST_DIRECTORY_KEYS = 2
"""The one that is used, and the one that is kept in a safe."""


class _Sent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    network: str
    member: str


@json_shape
class Invitation(_Sent, frozen=True, kw_only=True):
    """What the secretariat hands to who may join: the directory as it is, and under which id.

    `name`, `member_class` and `regions` are proposals, and nothing for one who is a member already and lost
    its keys.
    """

    halong: Literal["invitation/1"] = "invitation/1"
    name: str = ""
    member_class: str = ""
    regions: list[str] = []
    files: dict[str, str]


@json_shape
class Request(_Sent, frozen=True, kw_only=True):
    """What a member sends: its role as it will sign it, a certificate request, and who holds which key.

    `proofs` has a signature over all of it by the id of each fresh key.  A member that changes its keys for
    the directory asks for no certificate.
    """

    halong: Literal["join-request/2"] = "join-request/2"
    change: str
    csr: str
    proofs: dict[str, str]


@json_shape
class Welcome(_Sent, frozen=True, kw_only=True):
    """What the hub answers: the certificate, what to pin, and the directory of the day."""

    halong: Literal["welcome/2"] = "welcome/2"
    url: str
    pin: str
    authority: str
    certificate: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Applicant:
    """A member that holds every key that it asks to list, and signed its role with one of them.

    `csr` is empty if it asks for no certificate.
    """

    member: Member
    change: Change
    csr: bytes


@json_shape
class _Kind(msgspec.Struct, frozen=True):
    halong: str


def kind_of_file(data: bytes) -> str:
    """Return what a file says that it is, such as `invitation/1`; empty for one that says nothing."""
    try:
        return read(data[:MOST_BYTES], _Kind).halong
    except NotCanonical:
        return ""


def written(sent: msgspec.Struct) -> bytes:
    """Return an invitation, a request, a welcome, or what else is carried, as a file."""
    return msgspec.json.format(msgspec.json.encode(sent)) + b"\n"


def as_text(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return files of a directory as they travel in JSON."""
    return {name: data.decode() for name, data in sorted(files.items())}


def as_bytes(files: Mapping[str, str]) -> dict[str, bytes]:
    """Return files of a directory as they lie in a folder."""
    return {name: text.encode() for name, text in files.items()}


def read_invitation(data: bytes) -> Invitation:
    """Return an invitation; whether its directory is genuine is decided by who pins it.

    Raises:
        BadConfiguration: It is none.
    """
    return decoded(data, Invitation, "an invitation")


def write_request(network: str, change: Change, csr: bytes, signers: Sequence[Signer]) -> bytes:
    """Return a request to be listed as the change says, signed by each key that is in use."""
    covered = _covered(network, change, csr)
    return written(
        Request(
            network=network,
            member=change.member,
            change=change.write().decode(),
            csr=csr.decode(),
            proofs={each.public.id.hex(): each.sign(covered).hex() for each in signers},
        )
    )


def read_join_request(data: bytes, network: str, listed: Mapping[str, Member]) -> Applicant:
    """Return who asks to join, or to change keys, once it is certain that it holds them.

    Args:
        data: The file.
        network: Ours.
        listed: The members in force, and those that were: a key that is listed already was proved before.

    Raises:
        BadConfiguration: It is no request to this network, does not fit together, or takes back what the
            member had said of its keys.
        WeakKey: A key must not be registered.
        BadSignature: The sender does not hold one of the keys.
    """
    # 1. A request of this form, to this network.
    request = decoded(data, Request, "a join request")
    if request.network != network:
        raise BadConfiguration("the request is to another network", field="network")
    # 2. It brings the member's own role and its entry, which is one that a directory could hold.
    change = Change.read(request.change.encode())
    text = change.files.get(change.entry_digest or "")
    if change.member != request.member or text is None:
        raise BadConfiguration("the request does not bring the member's own entry", field="change")
    member = parse_member(text, entry_path(change.member))
    if member.id != change.member or member.accessions:
        raise BadConfiguration("the entry is another member's, or with accessions", field="member")
    # 3. Whoever was a member keeps the history of its keys.
    before = listed.get(member.id)
    if before is not None:
        check_kept(before, member)
    # 4. The sender holds the transport key, and the entry lists it as in use; a member has one already.
    if request.csr or before is None:
        wanted = read_request(request.csr.encode())
        if wanted.member != change.member:
            raise BadConfiguration("the certificate request names another member", field="csr")
        if wanted.key not in {key.id for key in member.transport_keys if key.revoked_at is None}:
            raise BadConfiguration("the entry does not list the transport key that is proved", field="csr")
    # 5. The sender holds every other key in use that is not listed already.
    covered = _covered(network, change, request.csr.encode())
    known = set() if before is None else {key.id for key in before.keys if key.revoked_at is None}
    for key in signing_keys(member):
        if key.id not in known and not _proves(key, request.proofs.get(key.id.hex(), ""), covered):
            raise BadSignature("the sender does not prove that it holds a key that it lists", field="proofs")
    # 6. One key for the directory is in use and one in a safe, and one of them signed the role.
    own = directory_keys(member)
    if len(own) < LEAST_DIRECTORY_KEYS:
        raise BadConfiguration(
            "a member has two keys for the directory: one in use, one in a safe", field="member"
        )
    if not change.signed_by(own):
        raise BadSignature("the role is not signed with a key for the directory", field="change")
    return Applicant(member, change, request.csr.encode())


def signing_keys(member: Member) -> list[MemberKey]:
    """Return the keys of an entry that are in use and can sign."""
    return [key for key in member.keys if key.use in SIGNING and key.revoked_at is None]


def read_welcome(data: bytes, member: str, transport_key: bytes | None) -> Welcome:
    """Return a welcome that fits this member.

    Args:
        data: The file.
        member: Who we are.
        transport_key: The identity of our transport key; None if only the directory in it is wanted.

    Raises:
        BadConfiguration: It is no welcome, is not for us, or does not fit together.
    """
    # 1. A welcome of this form, for this member.
    welcome = decoded(data, Welcome, "a welcome")
    if welcome.member != member:
        raise BadConfiguration(f"the welcome is for {welcome.member}, this is {member}", field="member")
    # 2. The certificate is for our key, and of the authority that comes with it.
    certificate = welcome.certificate.encode()
    if transport_key is not None and read_certificate(certificate).key != transport_key:
        raise BadConfiguration("the certificate is not for this node's transport key", field="certificate")
    if not issued_by(certificate, welcome.authority.encode()):
        raise BadConfiguration("the certificate is not of the authority in the welcome", field="authority")
    # 3. What is to be pinned can be pinned.
    if len(welcome.pin) != 64 or not set(welcome.pin) <= set("0123456789abcdef"):
        raise BadConfiguration("the hub's pin is not 64 hexadecimal digits", field="pin")
    if not welcome.url.startswith("https://"):
        raise BadConfiguration("the hub's address begins with https://", field="url")
    return welcome


def _covered(network: str, change: Change, csr: bytes) -> bytes:
    parts = (network.encode(), change.payload, csr)
    return LABEL + b"".join(sha256(part).digest() for part in parts)


def _proves(key: MemberKey, signature: str, covered: bytes) -> bool:
    try:
        return key.public.verify(bytes.fromhex(signature), covered)
    except ValueError:
        return False
