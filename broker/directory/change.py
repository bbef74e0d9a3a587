"""A change of the directory as a file that travels: one role's next metadata, and the signatures so far.

Decides who must still sign, and which signatures count once all copies are together.  A copy may come from
anybody and in any order: signatures are a set of what was claimed, merging is their union, and only what a
key of the role really signed ends up in the metadata.

What a change is of (root, targets, a member) says who must sign it: of a root the keys of the one before,
too; see `signers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from tuf.api.metadata import Metadata, Root, Targets

from broker.core.errors import BadConfiguration, DirectoryMalformed, NotCanonical
from broker.core.keys import PublicKey, Signer
from broker.core.wire import json_shape, read
from broker.directory.roles import (
    MEMBER,
    ROOT,
    TARGETS,
    entry_path,
    is_signature,
    kind_of,
    member_of_role,
    signature_by,
)
from broker.directory.shapes import Digest, File, Signature, encoded, signed_of
from broker.directory.verifying import metadata_of

MOST_CHANGE_BYTES = 16 * 1024 * 1024
MOST_CLAIMS = 256


@json_shape
class _Travelling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    halong: Literal["directory-change/1"] = "directory-change/1"
    role: Annotated[str, Meta(max_length=40)]
    signed: msgspec.Raw
    signatures: Annotated[list[Signature], Meta(max_length=MOST_CLAIMS)]
    files: Annotated[dict[Digest, str], Meta(max_length=4_096)]


@dataclass(frozen=True, slots=True)
class Change:
    """One role's next file on its way to be signed.

    Attributes:
        role: The role.
        number: The number that its file will have.
        signed: What is signed, in the one encoding of its shape.
        claims: Signatures as (key id, signature), both in hexadecimal; nobody has looked whether they hold.
        files: Entries and agreements that it lists and that may not be there yet, by SHA-256 in hexadecimal.
    """

    role: str
    number: int
    signed: bytes
    claims: frozenset[tuple[str, str]]
    files: Mapping[str, bytes]

    @classmethod
    def of(cls, role: str, signed: bytes, files: Mapping[str, bytes]) -> Change:
        """Return a change that nobody has signed.

        Raises:
            DirectoryMalformed: It has not the shape of the role's file.
        """
        if kind_of(role) not in (ROOT, TARGETS, MEMBER) or (
            role.startswith(MEMBER) and member_of_role(role) is None
        ):
            raise DirectoryMalformed("a change is of root, targets or a member's role", field="role")
        shape = signed_of(role, signed)
        listed = {each.hashes.sha256 for each in shape.targets.values()} if role.startswith(MEMBER) else set()
        if not listed.issuperset(files):
            raise DirectoryMalformed("a file comes with it that it does not list", field="files")
        change = cls(role, shape.version, encoded(shape), frozenset(), dict(files))
        # What has the shape may still be no metadata: no such day, one role twice.
        metadata_of(role, change._file(()))
        return change

    @classmethod
    def read(cls, data: bytes) -> Change:
        """Return the change in a file that may come from anybody.

        Raises:
            DirectoryMalformed: It is none.
        """
        if len(data) > MOST_CHANGE_BYTES:
            raise DirectoryMalformed(f"longer than {MOST_CHANGE_BYTES} bytes", field="change")
        try:
            read_ = read(data, _Travelling)
        except NotCanonical as error:
            raise DirectoryMalformed(
                f"no change of a directory: {error}", field=error.field or "change"
            ) from None
        files = {digest: text.encode() for digest, text in read_.files.items()}
        for digest, text in files.items():
            if sha256(text).hexdigest() != digest:
                raise DirectoryMalformed("a file is not the one that its digest names", field="files")
        change = cls.of(read_.role, bytes(read_.signed), files)
        return replace(change, claims=frozenset((each.keyid, each.sig) for each in read_.signatures))

    def write(self) -> bytes:
        """Return the file that travels."""
        travelling = _Travelling(
            role=self.role,
            signed=msgspec.Raw(self.signed),
            signatures=[Signature(keyid=id_, sig=sig) for id_, sig in sorted(self.claims)],
            files={digest: text.decode() for digest, text in sorted(self.files.items())},
        )
        return msgspec.json.format(msgspec.json.encode(travelling)) + b"\n"

    @property
    def payload(self) -> bytes:
        """The bytes that are signed (canonical JSON)."""
        return self._metadata(()).signed_bytes

    @property
    def member(self) -> str:
        """Whose role it is, if it is a member's; empty otherwise."""
        return member_of_role(self.role) or ""

    @property
    def entry_digest(self) -> str | None:
        """SHA-256 in hexadecimal of the entry that a member's role lists."""
        listed = self.shape.targets.get(entry_path(self.member)) if self.member else None
        return None if listed is None else listed.hashes.sha256

    @property
    def shape(self) -> Any:
        """What is signed, as the role's shape in `shapes`."""
        return signed_of(self.role, self.signed)

    @property
    def delegator(self) -> Root | Targets:
        """What is signed, as python-tuf's value."""
        signed: Root | Targets = self._metadata(()).signed
        return signed

    def sign(self, signer: Signer) -> Change:
        """Return the change with one more signature."""
        claim = signer.public.id.hex(), signature_by(signer, self.payload)
        return replace(self, claims=self.claims | {claim})

    def merge(self, *others: Change) -> Change:
        """Return the change with the signatures and files of all copies.

        Raises:
            BadConfiguration: Another change is among them, or there are more signatures than people.
        """
        if any((each.role, each.signed) != (self.role, self.signed) for each in others):
            raise BadConfiguration("not copies of one change: what is signed differs", field="change")
        claims = self.claims.union(*(each.claims for each in others))
        if len(claims) > MOST_CLAIMS:
            raise BadConfiguration(f"more than {MOST_CLAIMS} signatures", field="signatures")
        files = dict(self.files)
        for each in others:
            files |= each.files
        return replace(self, claims=claims, files=dict(sorted(files.items())))

    def signed_by(self, keys: Sequence[PublicKey]) -> tuple[PublicKey, ...]:
        """Return those of the keys whose signature is there and holds."""
        held = self._holding(keys)
        return tuple(key for key in keys if key.id.hex() in held)

    def metadata(self, keys: Sequence[PublicKey]) -> bytes:
        """Return the role's file with every signature of these keys that holds."""
        signatures = [Signature(keyid=id_, sig=sig) for id_, sig in sorted(self._holding(keys).items())]
        return self._file(signatures)

    def _holding(self, keys: Sequence[PublicKey]) -> dict[str, str]:
        by_id = {key.id.hex(): key for key in keys}
        payload = self.payload
        # Of two of one key that hold the smaller counts, so that the order of merging makes no difference.
        return {
            id_: sig
            for id_, sig in sorted(self.claims, reverse=True)
            if id_ in by_id and is_signature(by_id[id_], sig, payload)
        }

    def _file(self, signatures: Sequence[Signature]) -> bytes:
        return encoded(File(signed=msgspec.Raw(self.signed), signatures=list(signatures)))

    def _metadata(self, signatures: Sequence[Signature]) -> Metadata[Any]:
        return Metadata.from_bytes(self._file(signatures))
