"""The parts of a bundle once more, in the forms that OpenSSL reads by itself.

Decides nothing: what is written here follows from the rest, byte for byte, and whoever checks compares.  The
signature of the notice and that of the checkpoint, each with the bytes that it covers and its key as PEM.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.core.keys import Algorithm, PublicKey
from broker.core.note import LogKey
from broker.core.notice import Notice
from broker.core.sign1 import parse_signature
from broker.core.signed_note import split_note
from broker.core.signing import to_be_signed
from broker.evidence.case import OPENSSL


def openssl_files(notice: Notice, log: LogKey, checkpoint: bytes) -> dict[str, bytes]:
    """Return the files for OpenSSL of a notice and a checkpoint that were found good."""
    envelope, key = notice.envelope, notice.key.public
    text, lines = split_note(checkpoint)
    own = next(each.signature for each in lines if (each.name, each.key_id) == (log.name, log.key_id))
    return {
        f"{OPENSSL}statement.bytes": to_be_signed(envelope.header, envelope.signature),
        f"{OPENSSL}statement.signature": _signature(parse_signature(envelope.signature).signature, key),
        f"{OPENSSL}originator.pem": _pem(key),
        f"{OPENSSL}checkpoint.bytes": text,
        f"{OPENSSL}checkpoint.signature": own,
        f"{OPENSSL}log.pem": _pem(log.public),
    }


def commands(key: PublicKey, root_name: str) -> tuple[str, ...]:
    """Return what a person types in a folder with the bundle's files: notice, checkpoint, root."""
    digest = " -digest sha256" if key.algorithm is Algorithm.ESP256 else ""
    typed = [_verify("statement", "originator", digest), _verify("checkpoint", "log", "")]
    return (*typed, f"openssl dgst -sha256 directory/{root_name}")


def _verify(what: str, key: str, digest: str) -> str:
    signed = f"-in openssl/{what}.bytes -sigfile openssl/{what}.signature"
    return f"openssl pkeyutl -verify -rawin{digest} -pubin -inkey openssl/{key}.pem {signed}"


def _pem(key: PublicKey) -> bytes:
    loaded = (
        ed25519.Ed25519PublicKey.from_public_bytes(key.raw)
        if key.algorithm is Algorithm.ED25519
        else ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.raw)
    )
    return loaded.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _signature(raw: bytes, key: PublicKey) -> bytes:
    if key.algorithm is Algorithm.ED25519:
        return raw
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
