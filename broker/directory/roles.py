"""The roles of the signed directory: their names, what each may list, how long they last, and their keys.

Decides the names by which files are known (the same at the hub and at a node), the form of a key and of a
signature in TUF metadata, and that a key is filed under its own id.  Who must sign what is in `loading`.

Source: the TUF specification 1.0.31, sections 4.2 and 4.5; securesystemslib's schemes `ed25519` and
`ecdsa-sha2-nistp256` (a point as PEM, a signature in DER).
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from securesystemslib.signer import Key, SSlibKey

from broker.core.agreement_text import NAME
from broker.core.errors import DirectoryMalformed, WeakKey
from broker.core.header import is_member_id
from broker.core.keys import Algorithm, PublicKey, Signer, public_key_of

ROOT = "root"
TARGETS = "targets"
SNAPSHOT = "snapshot"
TIMESTAMP = "timestamp"
MEMBER = "member-"

TOP = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
ONLINE = (SNAPSHOT, TIMESTAMP)
"""The roles that the hub signs by itself."""

SPEC_VERSION = "1.0.31"
DAY = 86_400_000
LIFE = {ROOT: 730 * DAY, TARGETS: 365 * DAY, MEMBER: 1_830 * DAY, SNAPSHOT: 365 * DAY, TIMESTAMP: DAY}
"""How long each role's signed word lasts, in milliseconds."""

MOST_BYTES = {ROOT: 512_000, TARGETS: 5_000_000, MEMBER: 512_000, SNAPSHOT: 2_000_000, TIMESTAMP: 16_384}
"""How long each role's file may be; none is longer than tuf's client reads."""

TIMESTAMP_NAME = "metadata/timestamp.json"


def role_of_member(member: str) -> str:
    """Return the name of the role that the member signs."""
    return MEMBER + member


def member_of_role(role: str) -> str | None:
    """Return whose role this is, or None if it is no member's."""
    member = role.removeprefix(MEMBER)
    return member if role.startswith(MEMBER) and is_member_id(member) else None


def kind_of(role: str) -> str:
    """Return the role under which `LIFE` and `MOST_BYTES` know it."""
    return MEMBER if role.startswith(MEMBER) else role


def entry_path(member: str) -> str:
    """Return the target that is the member's entry."""
    return f"members/{member}.toml"


def agreement_path(member: str, agreement: str, version: int) -> str:
    """Return the target by which the member accedes to a version of an agreement."""
    return f"members/{member}/agreements/{agreement}/{version}.toml"


def agreement_of(member: str, path: str) -> tuple[str, int] | None:
    """Return which version of an agreement a target of the member accedes to; None if it is not its own."""
    match path.split("/"):
        case ["members", _, "agreements", agreement, file] if file.endswith(".toml"):
            number = file.removesuffix(".toml")
            if NAME.holds(agreement) and number.isascii() and number.isdecimal() and len(number) <= 7:
                key = agreement, int(number)
                return key if agreement_path(member, *key) == path else None
    return None


def delegated_paths(member: str) -> list[str]:
    """Return the only paths that may be delegated to the member."""
    return [entry_path(member), f"members/{member}/agreements/*/*"]


def metadata_name(role: str, number: int) -> str:
    """Return where the file of a role and number is."""
    return f"metadata/{number}.{role}.json"


def file_name(digest: str) -> str:
    """Return where an entry or an agreement is, by its SHA-256 in hexadecimal."""
    return f"files/{digest}"


def tuf_key(key: PublicKey) -> SSlibKey:
    """Return the key as TUF metadata has it, under its own id.

    Raises:
        DirectoryMalformed: It is of an algorithm that signs no directory.
    """
    kind, scheme, text = _written(key)
    return SSlibKey(key.id.hex(), kind, scheme, {"public": text})


def public_key(key: Key) -> PublicKey:
    """Return a key of TUF metadata as ours.

    Raises:
        DirectoryMalformed: It is no key of our algorithms in its one form, or is filed under another id.
    """
    return _public_key(key.keyid, key.keytype, key.scheme, key.keyval["public"])


@lru_cache(maxsize=8_192)
def _written(key: PublicKey) -> tuple[str, str, str]:
    if key.algorithm is Algorithm.ED25519:
        return "ed25519", "ed25519", key.raw.hex()
    if key.algorithm is not Algorithm.ESP256:
        raise DirectoryMalformed("a directory is signed with Ed25519 or ESP256", field="key")
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.raw)
    pem = point.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "ecdsa", "ecdsa-sha2-nistp256", pem.decode()


@lru_cache(maxsize=8_192)
def _public_key(id_: str, kind: str, scheme: str, text: str) -> PublicKey:
    try:
        if kind == "ed25519":
            public = PublicKey(Algorithm.ED25519, bytes.fromhex(text))
        else:
            public = public_key_of(serialization.load_pem_public_key(text.encode()))
        written = _written(public)
    except (ValueError, UnsupportedAlgorithm, WeakKey):
        raise DirectoryMalformed("not a key of Ed25519 or P-256", field="key") from None
    if written != (kind, scheme, text):
        raise DirectoryMalformed("a key is not in its one form", field="key")
    if public.id.hex() != id_:
        raise DirectoryMalformed("a key is filed under another id than its own", field="key")
    return public


def signature_by(signer: Signer, data: bytes) -> str:
    """Return the signature over `data` as TUF metadata has it, in hexadecimal."""
    raw = signer.sign(data)
    if signer.public.algorithm is not Algorithm.ESP256:
        return raw.hex()
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    return encode_dss_signature(r, s).hex()


def is_signature(key: PublicKey, signature: str, data: bytes) -> bool:
    """Say whether this is the key's signature over `data`, in the one form that TUF metadata may have it."""
    try:
        raw = bytes.fromhex(signature)
        if key.algorithm is Algorithm.ESP256:
            r, s = decode_dss_signature(raw)
            if encode_dss_signature(r, s) != raw:
                return False
            raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    except (ValueError, OverflowError):
        return False
    return key.verify(raw, data)
