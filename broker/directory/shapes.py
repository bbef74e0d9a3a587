"""The files of the signed directory as bytes: the one shape that each role's file may have.

Decides what is a well-formed file by itself: known fields of their kinds and sizes, in one encoding (JSON
without white space, names sorted).  What the fields must be together is decided in `loading`; python-tuf
reads the same bytes, and verifies signatures.

Source: the TUF specification 1.0.31, section 4; of what it allows, the directory uses one form.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from broker.core.errors import DirectoryMalformed, NotCanonical
from broker.core.wire import json_shape, read
from broker.directory.roles import MEMBER, MOST_BYTES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, kind_of

S = TypeVar("S")

MOST_FILE_BYTES = 256 * 1024
MOST_MEMBERS = 4_096
MOST_ACCESSIONS = 2_048
MOST_LISTED_BYTES = 4 * 1024 * 1024
"""So long are a member's entry and agreements together: every party of them carries them along."""

MOST_ENDED = 16
MOST_ENDS = 64
"""So many checkpoints show the end of one log at most; each is of another size."""

MOST_KEYS = 16
MOST_SIGNATURES = 64

Hex = Annotated[str, Meta(pattern=r"\A([0-9a-f]{2}){8,128}\Z")]
Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Number = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Moment = Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[^\x00-\x1f\x7f]+\Z")]
Note = Annotated[str, Meta(min_length=1, max_length=32_768)]
FileName = Annotated[str, Meta(max_length=50, pattern=r"\A[a-z0-9-]+\.json\Z")]
KeyIds = Annotated[list[Digest], Meta(min_length=1, max_length=MOST_KEYS)]
Threshold = Annotated[int, Meta(ge=1, le=MOST_KEYS)]


class _Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class _Public(_Closed, frozen=True):
    public: Annotated[str, Meta(max_length=400)]


class _Key(_Closed, frozen=True):
    keytype: Literal["ed25519", "ecdsa"]
    scheme: Literal["ed25519", "ecdsa-sha2-nistp256"]
    keyval: _Public


class _Role(_Closed, frozen=True):
    keyids: KeyIds
    threshold: Threshold


class _Roles(_Closed, frozen=True):
    root: _Role
    targets: _Role
    snapshot: _Role
    timestamp: _Role


class _Sha256(_Closed, frozen=True):
    sha256: Digest


class Listed(_Closed, frozen=True):
    """A target of a member's role: the file's length and digest."""

    hashes: _Sha256
    length: Annotated[int, Meta(ge=1, le=MOST_FILE_BYTES)]


class Named(_Closed, frozen=True):
    """A metadata file as the snapshot or the timestamp names it."""

    hashes: _Sha256
    length: Annotated[int, Meta(ge=1, le=5_000_000)]
    version: Number


class _Delegated(_Closed, frozen=True):
    name: Annotated[str, Meta(max_length=40)]
    keyids: KeyIds
    threshold: Threshold
    terminating: bool
    paths: Annotated[list[str], Meta(max_length=2)]


class _Delegations(_Closed, frozen=True):
    keys: Annotated[dict[Digest, _Key], Meta(max_length=MOST_MEMBERS * 4)]
    roles: Annotated[list[_Delegated], Meta(max_length=MOST_MEMBERS)]


class _Signed(_Closed, frozen=True):
    spec_version: Literal["1.0.31"]
    version: Number
    expires: Moment


class EndedShape(_Closed, frozen=True):
    """A log that was given up: its key, and signed notes of the checkpoints that are its end."""

    log_key: Name
    ends: Annotated[list[Note], Meta(min_length=1, max_length=MOST_ENDS)]


class RootShape(_Signed, frozen=True):
    """The signed part of a root: who may sign the other roles, and what the network is."""

    type_: Literal["root"] = field(name="_type")
    consistent_snapshot: Literal[True]
    keys: Annotated[dict[Digest, _Key], Meta(max_length=4 * MOST_KEYS)]
    roles: _Roles
    network: Name
    log_key: Name
    holders: Annotated[dict[Digest, Name], Meta(max_length=4 * MOST_KEYS)]
    ended: Annotated[list[EndedShape], Meta(min_length=1, max_length=MOST_ENDED)] | UnsetType = UNSET


class TargetsShape(_Signed, frozen=True):
    """The signed part of the secretariat's file: who the members are, and with which keys each signs."""

    type_: Literal["targets"] = field(name="_type")
    targets: Annotated[dict[str, Listed], Meta(max_length=0)]
    delegations: _Delegations


class MemberShape(_Signed, frozen=True):
    """The signed part of a member's file: its entry, and what it acceded to."""

    type_: Literal["targets"] = field(name="_type")
    targets: Annotated[dict[str, Listed], Meta(max_length=MOST_ACCESSIONS + 1)]


class SnapshotShape(_Signed, frozen=True):
    """The signed part of a snapshot: which files are one version."""

    type_: Literal["snapshot"] = field(name="_type")
    meta: Annotated[dict[FileName, Named], Meta(max_length=2 * MOST_MEMBERS)]


class _Newest(_Closed, frozen=True):
    snapshot: Named = field(name="snapshot.json")


class TimestampShape(_Signed, frozen=True):
    """The signed part of a timestamp: which snapshot is the newest."""

    type_: Literal["timestamp"] = field(name="_type")
    meta: _Newest


class Signature(_Closed, frozen=True):
    """One key's signature over the signed part."""

    keyid: Digest
    sig: Hex


class File(_Closed, Generic[S], frozen=True):
    """A role's file: what is signed, and the signatures."""

    signed: S
    signatures: Annotated[list[Signature], Meta(max_length=MOST_SIGNATURES)]


_SIGNED: dict[str, Any] = {ROOT: RootShape, TARGETS: TargetsShape, MEMBER: MemberShape}
_FILES: dict[str, Any] = {
    ROOT: File[RootShape],
    TARGETS: File[TargetsShape],
    MEMBER: File[MemberShape],
    SNAPSHOT: File[SnapshotShape],
    TIMESTAMP: File[TimestampShape],
}
for _shape in (*_SIGNED.values(), *_FILES.values()):
    json_shape(_shape)


def file_of(role: str, data: bytes) -> File[Any]:
    """Return what the bytes of a role's file say, if they are the one encoding of a file of its shape.

    Raises:
        DirectoryMalformed: They are not.
    """
    kind = kind_of(role)
    if len(data) > MOST_BYTES[kind]:
        raise DirectoryMalformed(f"{role}: longer than {MOST_BYTES[kind]} bytes", field=role)
    file: File[Any] = _shaped(role, data, _FILES[kind])
    if encoded(file) != data:
        raise DirectoryMalformed(f"{role}: not in its one encoding", field=role)
    ids = [each.keyid for each in file.signatures]
    if ids != sorted(set(ids)):
        raise DirectoryMalformed(f"{role}: signatures are not sorted, or one is there twice", field=role)
    return file


def signed_of(role: str, data: bytes) -> Any:
    """Return what a role's signed part says, in any encoding: it is encoded again before it is signed.

    Raises:
        DirectoryMalformed: It has not the role's shape.
    """
    return _shaped(role, data, _SIGNED[kind_of(role)])


def encoded(value: Any) -> bytes:
    """Return the one encoding of a file, or of a part of one."""
    return msgspec.json.encode(value, order="sorted")


def _shaped(role: str, data: bytes, shape: Any) -> Any:
    try:
        return read(data, shape)
    except NotCanonical as error:
        place = role if error.field is None else f"{role}: {error.field}"
        raise DirectoryMalformed(f"{role}: {error}", field=place) from None
