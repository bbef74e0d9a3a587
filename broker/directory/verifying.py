"""One file of the signed directory against what is known of it already: its name, its digest, its signers.

Decides that bytes are the ones that are meant, and that those have signed who must, and nobody else.
python-tuf counts signatures against thresholds and compares lengths and digests.

Source: the TUF specification 1.0.31, sections 5.3.4, 5.4.2, 5.5.2, 5.6.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, TargetFile, Targets
from tuf.api.serialization import DeserializationError

from broker.core.errors import DirectoryMalformed, DirectoryMixed, DirectoryUnsigned, WeakKey
from broker.core.keys import PublicKey, check_registrable
from broker.directory.roles import file_name, is_signature, metadata_name, public_key
from broker.directory.shapes import Named
from broker.directory.versions import Delegation, Line


def delegation_of(delegator: Root | Targets, role: str) -> Delegation:
    """Return with which keys the role is signed, once they are keys that may sign.

    Raises:
        DirectoryMalformed: One is weak or not in its form, or there are fewer than must sign.
    """
    found = delegator.get_delegated_role(role)
    try:
        keys = tuple(public_key(delegator.get_key(each)) for each in found.keyids)
        for key in keys:
            check_registrable(key)
    except (ValueError, WeakKey) as error:
        raise DirectoryMalformed(f"{role}: {error}", field=role) from None
    if found.threshold > len(keys):
        raise DirectoryMalformed(f"{role}: fewer keys than must sign", field=role)
    return Delegation(keys, found.threshold)


def check_signed(
    role: str, metadata: Metadata[Any], delegator: Root | Targets, known: Sequence[PublicKey]
) -> None:
    """Refuse a file that too few have signed, or that bears the signature of anybody else.

    Args:
        role: The role.
        metadata: Its file.
        delegator: Who says how many of which keys must sign.
        known: All keys whose signatures may stand there.

    Raises:
        DirectoryUnsigned: It is refused.
    """
    payload = metadata.signed_bytes
    if not delegator.get_verification_result(role, payload, metadata.signatures).verified:
        raise DirectoryUnsigned(f"{role}: too few of its keys have signed it", field=role)
    by_id = {key.id.hex(): key for key in known}
    for id_, signature in metadata.signatures.items():
        if id_ not in by_id or not is_signature(by_id[id_], signature.signature, payload):
            raise DirectoryUnsigned(f"{role}: bears a signature that is none of its keys'", field=role)


def check_named(files: Mapping[str, bytes], role: str, line: Line) -> bytes:
    """Return the file of a role that a snapshot or timestamp names.

    Raises:
        DirectoryMixed: It is not there, or is another.
    """
    data = file_there(files, metadata_name(role, line.number), role)
    try:
        MetaFile(line.number, line.length, {"sha256": line.digest}).verify_length_and_hashes(data)
    except LengthOrHashMismatchError:
        raise DirectoryMixed(f"{role}: not the file that is named for this version", field=role) from None
    return data


def check_number(role: str, signed: Signed, line: Line) -> None:
    """Refuse a file that says another number than it is named with.

    Raises:
        DirectoryMixed: It does.
    """
    if signed.version != line.number:
        raise DirectoryMixed(f"{role}: another number than the snapshot says", field=role)


def check_file(files: Mapping[str, bytes], digest: str, length: int, path: str) -> bytes:
    """Return the entry or agreement that a member's role lists under `path`.

    Raises:
        DirectoryMixed: It is not there, or is another.
    """
    data = file_there(files, file_name(digest), path)
    try:
        TargetFile(length, {"sha256": digest}, path).verify_length_and_hashes(data)
    except LengthOrHashMismatchError:
        raise DirectoryMixed(f"{path}: not the file that was signed", field=path) from None
    return data


def file_there(files: Mapping[str, bytes], name: str, role: str) -> bytes:
    """Return the file of this name.

    Raises:
        DirectoryMixed: It is not there.
    """
    data = files.get(name)
    if data is None:
        raise DirectoryMixed(f"{role}: is not there", field=role)
    return data


def metadata_of(role: str, data: bytes) -> Metadata[Any]:
    """Return the role's file as python-tuf's value.

    Raises:
        DirectoryMalformed: It is no metadata.
    """
    try:
        return Metadata.from_bytes(data)
    except DeserializationError:
        raise DirectoryMalformed(f"{role}: no metadata of TUF", field=role) from None


def expiry_of(signed: Signed) -> int:
    """Return when this expires, UTC ms."""
    return int(signed.expires.timestamp()) * 1000


def line_of(named: Named) -> Line:
    """Return a file as a snapshot or timestamp names it."""
    return Line(named.version, named.hashes.sha256, named.length)
