"""How a member joins: its request, and the hub's welcome; two files that people carry.

Decides what a request must prove before a member is admitted, and what a welcome must fit before a node
believes it.  Private keys are made where they stay: a request holds public parts only.  That the request is
the member's, and the welcome the hub's, is for people to compare by a second way: `fingerprint`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, TypeVar

import msgspec

from broker.core.directory import Member, Use
from broker.core.errors import BadConfiguration, BadSignature, NotCanonical
from broker.core.keys import Algorithm, Signer
from broker.core.note import LogKey
from broker.core.wire import read
from broker.directory.certificates import issued_by, read_certificate, read_request
from broker.directory.folder import directory_of_files
from broker.directory.history import History, check_history
from broker.directory.member_file import member_text, parse_member

T = TypeVar("T")

LABEL = b"halong/join/1\0"
MOST_BYTES = 64 * 1024 * 1024


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a member sends: its entry in the directory, a certificate request, and a signature over both."""

    halong: Literal["join-request/1"] = "join-request/1"
    network: str
    member: str
    csr: str
    signature: str


class Welcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the hub answers: the certificate, what to pin, and the directory.

    `version` names the directory of the day; `snapshots` and `files` hold that one and every version before.
    """

    halong: Literal["welcome/1"] = "welcome/1"
    network: str
    member: str
    url: str
    pin: str
    log_key: str
    authority: str
    certificate: str
    version: str
    snapshots: Mapping[str, str]
    files: Mapping[str, str]

    @property
    def history(self) -> History:
        """The directory of the day and all before it."""
        return History(self.snapshots, self.files)

    @property
    def directory(self) -> Mapping[str, bytes]:
        """The files of the directory of the day, by name."""
        return self.history.version(self.version)


@dataclass(frozen=True, slots=True)
class Applicant:
    """A member that holds the keys which it asks to list."""

    member: Member
    csr: bytes


def write_request(network: str, member: Member, csr: bytes, signer: Signer) -> bytes:
    """Return a request to list the member as it stands here, signed with its key for notices."""
    text = member_text(member)
    signature = signer.sign(_signed(network, text, csr))
    request = JoinRequest(network=network, member=text, csr=csr.decode(), signature=signature.hex())
    return msgspec.json.format(msgspec.json.encode(request)) + b"\n"


def read_join_request(data: bytes, network: str) -> Applicant:
    """Return who asks to join, once it is certain that it holds the keys.

    Raises:
        BadConfiguration: It is no request to this network, or does not fit together.
        WeakKey: A key must not be registered.
        BadSignature: The sender does not hold one of the keys.
    """
    # 1. A request of this form, to this network.
    request = decoded(data, JoinRequest, "a join request")
    if request.network != network:
        raise BadConfiguration("the request is to another network", field="network")
    # 2. The entry is one that the directory could hold; this refuses weak keys, too.
    member = parse_member(request.member.encode(), "member")
    if member.accessions:
        raise BadConfiguration("a request accedes to nothing: agreements come after joining", field="member")
    # 3. The sender holds the transport key, and it is the one that the entry lists.
    csr = request.csr.encode()
    wanted = read_request(csr)
    if wanted.member != member.id:
        raise BadConfiguration("the certificate request names another member", field="csr")
    if [key.id for key in member.transport_keys] != [wanted.key]:
        raise BadConfiguration(
            "the entry lists another transport key than the request proves", field="member"
        )
    # 4. The sender holds the key for notices.
    signing = [
        key.public
        for key in member.keys
        if key.use is Use.SIGN and key.public.algorithm is not Algorithm.ML_DSA_65
    ]
    if len(signing) != 1 or len(member.keys) != 1:
        raise BadConfiguration(
            "a request lists one key for notices; others come after joining", field="member"
        )
    try:
        signature = bytes.fromhex(request.signature)
    except ValueError:
        raise BadSignature("the signature is not written in hexadecimal", field="signature") from None
    if not signing[0].verify(signature, _signed(network, request.member, csr)):
        raise BadSignature("the request is not signed with the key for notices", field="signature")
    return Applicant(member, csr)


def write_welcome(welcome: Welcome) -> bytes:
    """Return the welcome as a file."""
    return msgspec.json.format(msgspec.json.encode(welcome)) + b"\n"


def read_welcome(data: bytes, member: str, transport_key: bytes) -> Welcome:
    """Return a welcome that fits this member.

    Args:
        data: The file.
        member: Who we are.
        transport_key: The identity of our transport key.

    Raises:
        BadConfiguration: It is no welcome, is not for us, or does not fit together.
    """
    # 1. A welcome of this form, for this member.
    welcome = decoded(data, Welcome, "a welcome")
    if welcome.member != member:
        raise BadConfiguration(f"the welcome is for {welcome.member}, this is {member}", field="member")
    # 2. The certificate is for our key, and of the authority that comes with it.
    certificate = welcome.certificate.encode()
    if read_certificate(certificate).key != transport_key:
        raise BadConfiguration("the certificate is not for this node's transport key", field="certificate")
    if not issued_by(certificate, welcome.authority.encode()):
        raise BadConfiguration("the certificate is not of the authority in the welcome", field="authority")
    # 3. What is to be pinned can be pinned.
    LogKey.parse(welcome.log_key)
    if len(welcome.pin) != 64 or not set(welcome.pin) <= set("0123456789abcdef"):
        raise BadConfiguration("the hub's pin is not 64 hexadecimal digits", field="pin")
    if not welcome.url.startswith("https://"):
        raise BadConfiguration("the hub's address begins with https://", field="url")
    # 4. Every version of the directory is what its name says, and the one of the day is usable, of the same
    #    network and log, and lists this member.
    check_history(welcome.history)
    directory = directory_of_files(welcome.directory, bytes.fromhex(welcome.version))
    if (directory.network, directory.log_key) != (welcome.network, welcome.log_key):
        raise BadConfiguration("the directory is of another network or log", field="directory")
    if member not in directory.members:
        raise BadConfiguration("the directory does not list this member", field="directory")
    return welcome


def fingerprint(data: bytes) -> str:
    """Return what two people read to each other to know that they hold the same file."""
    return grouped(sha256(data).digest())


def grouped(digest: bytes) -> str:
    """Return half of a digest as people read it out: eight groups of four."""
    text = digest.hex()
    return " ".join(text[start : start + 4] for start in range(0, 32, 4))


def _signed(network: str, member: str, csr: bytes) -> bytes:
    parts = (network.encode(), member.encode(), csr)
    return LABEL + b"".join(sha256(part).digest() for part in parts)


def decoded(data: bytes, kind: type[T], what: str) -> T:
    """Return what a file that somebody sent says.

    Raises:
        BadConfiguration: It is not `what`, or longer than any.
    """
    if len(data) > MOST_BYTES:
        raise BadConfiguration(f"larger than {what} ever is", field="file")
    try:
        return read(data, kind)
    except NotCanonical as error:
        raise BadConfiguration(f"not {what}: {error}", field=error.field or "file") from None
