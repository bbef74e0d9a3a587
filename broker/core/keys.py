"""Keys: their names, their one form as raw bytes, what they verify and sign, and which are refused.

Decides whether a signature by one key covers some bytes, and whether a public key may be registered.
Leaves to others whose key it is and when it counts (`directory`), and what is signed (`signing`).

Sources: RFC 8032 (Ed25519), RFC 9864 (ESP256: ECDSA on P-256 with SHA-256, here with low s and, when
we sign, RFC 6979), FIPS 204 (ML-DSA-65, empty context), draft-connolly-cfrg-xwing-kem (the form of
MLKEM768-X25519 keys); docs/formats.md, "Names".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from hashlib import sha256, shake_256
from typing import Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509 import Certificate

from broker.core.edwards import is_weak
from broker.core.errors import WeakKey

SALT_BYTES = 16
SEED_BYTES = 32
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SHA256 = ec.ECDSA(hashes.SHA256())
_SHA256_DETERMINISTIC = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_MLKEM_PUBLIC_BYTES = 1_184

SigningKey: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | mldsa.MLDSA65PrivateKey


class Algorithm(Enum):
    """What a key is for by its mathematics; the value is part of its id."""

    ED25519 = "Ed25519"
    ESP256 = "ESP256"
    ML_DSA_65 = "ML-DSA-65"
    MLKEM768_X25519 = "MLKEM768-X25519"

    @property
    def public_bytes(self) -> int:
        """How many bytes a raw public key has."""
        return _PUBLIC_BYTES[self]


_PUBLIC_BYTES = {
    Algorithm.ED25519: 32,
    Algorithm.ESP256: 65,
    Algorithm.ML_DSA_65: 1_952,
    Algorithm.MLKEM768_X25519: 1_216,
}
_OF_LENGTH = {size: algorithm for algorithm, size in _PUBLIC_BYTES.items()}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key in its raw form; `id` is what everybody calls it by.

    Raises:
        WeakKey: The raw form has not the algorithm's length.
    """

    algorithm: Algorithm
    raw: bytes
    id: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.raw) != self.algorithm.public_bytes:
            raise WeakKey(f"{self.algorithm.value} key of {len(self.raw)} bytes")
        label = b"halong/key/1\0" + self.algorithm.value.encode() + b"\0"
        object.__setattr__(self, "id", sha256(label + self.raw).digest())

    def __hash__(self) -> int:
        return hash(self.id)

    @classmethod
    def of_raw(cls, raw: bytes) -> PublicKey:
        """Return the key; its length tells the algorithm.

        Raises:
            WeakKey: No algorithm has keys of that length.
        """
        algorithm = _OF_LENGTH.get(len(raw))
        if algorithm is None:
            raise WeakKey(f"no algorithm has a public key of {len(raw)} bytes")
        return cls(algorithm, raw)

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Is this the key's signature over `data`?  Never for a key that cannot sign, or is no key."""
        try:
            return _verifier(self.algorithm, self.raw)(signature, data)
        except (InvalidSignature, ValueError):
            return False


# Reading a key costs as much as a fifth of a check, and a hub has some thousands of them.
@lru_cache(maxsize=8_192)
def _verifier(algorithm: Algorithm, raw: bytes) -> Callable[[bytes, bytes], bool]:
    match algorithm:
        case Algorithm.ED25519:
            edwards = ed25519.Ed25519PublicKey.from_public_bytes(raw)

            def verify_edwards(signature: bytes, data: bytes) -> bool:
                edwards.verify(signature, data)
                return True

            return verify_edwards
        case Algorithm.ESP256:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)

            def verify_point(signature: bytes, data: bytes) -> bool:
                r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
                # The upper half of s is the same signature in other bytes: only one of them is ours.
                if len(signature) != 64 or s > _P256_ORDER // 2:
                    return False
                point.verify(encode_dss_signature(r, s), data, _SHA256)
                return True

            return verify_point
        case Algorithm.ML_DSA_65:
            lattice = mldsa.MLDSA65PublicKey.from_public_bytes(raw)

            def verify_lattice(signature: bytes, data: bytes) -> bool:
                lattice.verify(signature, data)
                return True

            return verify_lattice
        case Algorithm.MLKEM768_X25519:
            return lambda _signature, _data: False


# Asked where an entry is read, where it stands beside all others, and once again for each version.
@lru_cache(maxsize=8_192)
def check_registrable(key: PublicKey) -> None:
    """Refuse a public key under which anybody could sign, or that has a second form.

    Raises:
        WeakKey: Small order, not canonical, off its curve, or not a key at all.
    """
    if key.algorithm is Algorithm.ED25519 and is_weak(key.raw):
        raise WeakKey("Ed25519 key of small order, not canonical, or off the curve")
    try:
        # Of 65 bytes the library reads as a point of P-256 only 04, x, y on the curve.
        _verifier(key.algorithm, key.raw)
        if key.algorithm is Algorithm.MLKEM768_X25519:
            _check_sealing_key(key.raw)
    except ValueError:
        raise WeakKey(f"not a public key of {key.algorithm.value}") from None


def _check_sealing_key(raw: bytes) -> None:
    mlkem.MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC_BYTES])
    share = x25519.X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC_BYTES:])
    # An exchange with a point of small order gives zero, which the library refuses with ValueError.
    x25519.X25519PrivateKey.from_private_bytes(bytes(SEED_BYTES)).exchange(share)


class Signer(Protocol):
    """Whatever holds a private key: a file, a token, a service."""

    @property
    def public(self) -> PublicKey:
        """The key by which others verify."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`, as `PublicKey.verify` takes it."""
        ...


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A signing key in memory."""

    public: PublicKey
    _key: SigningKey = field(repr=False, compare=False)

    @classmethod
    def generate(cls, algorithm: Algorithm) -> PrivateKey:
        """Return a fresh key from the system's random numbers."""
        return cls.from_seed(algorithm, os.urandom(SEED_BYTES))

    @classmethod
    def from_seed(cls, algorithm: Algorithm, seed: bytes) -> PrivateKey:
        """Return the key that 32 random bytes stand for.

        For Ed25519 and ML-DSA-65 that is the private key as their standards have it; for ESP256 the
        private number is the seed modulo n - 1, plus 1.

        Raises:
            ValueError: The algorithm does not sign, or the seed has not 32 bytes.
        """
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes")
        match algorithm:
            case Algorithm.ED25519:
                return cls._of(ed25519.Ed25519PrivateKey.from_private_bytes(seed))
            case Algorithm.ESP256:
                number = int.from_bytes(seed, "big") % (_P256_ORDER - 1) + 1
                return cls._of(ec.derive_private_key(number, ec.SECP256R1()))
            case Algorithm.ML_DSA_65:
                return cls._of(mldsa.MLDSA65PrivateKey.from_seed_bytes(seed))
            case Algorithm.MLKEM768_X25519:
                raise ValueError("MLKEM768-X25519 seals, it does not sign")

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> PrivateKey:
        """Return the key in a PKCS#8 file.

        Raises:
            ValueError: The file holds no such key, or the password does not open it.
        """
        try:
            key = serialization.load_pem_private_key(pem, password)
        except TypeError:
            raise ValueError("the key is encrypted, or it is not and a password was given") from None
        if not isinstance(
            key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | mldsa.MLDSA65PrivateKey
        ):
            raise ValueError("not a key of Ed25519, P-256 or ML-DSA-65")  # noqa: TRY004 - the file is wrong
        return cls._of(key)

    @classmethod
    def _of(cls, key: SigningKey) -> PrivateKey:
        return cls(public_key_of(key.public_key()), key)

    def to_pem(self, password: bytes | None = None) -> bytes:
        """Return the key as a PKCS#8 file, encrypted if a password is given."""
        encryption = (
            serialization.NoEncryption()
            if password is None
            else serialization.BestAvailableEncryption(password)
        )
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`; Ed25519 and ESP256 give the same bytes each time."""
        if not isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(data)
        r, s = decode_dss_signature(self._key.sign(data, _SHA256_DETERMINISTIC))
        return low_s(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def low_s(signature: bytes) -> bytes:
    """Return an ECDSA signature on P-256, r and s of 32 bytes each, in its one form."""
    s = int.from_bytes(signature[32:], "big")
    return signature[:32] + min(s, _P256_ORDER - s).to_bytes(32, "big")


def public_key_of(key: PublicKeyTypes) -> PublicKey:
    """Return a key of the cryptography library as ours.

    Raises:
        ValueError: It is of none of the algorithms that sign.
    """
    match key:
        case ed25519.Ed25519PublicKey():
            return PublicKey(Algorithm.ED25519, key.public_bytes_raw())
        case mldsa.MLDSA65PublicKey():
            return PublicKey(Algorithm.ML_DSA_65, key.public_bytes_raw())
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
            form = serialization.PublicFormat.UncompressedPoint
            return PublicKey(Algorithm.ESP256, key.public_bytes(serialization.Encoding.X962, form))
        case _:
            raise ValueError("not a key of Ed25519, P-256 or ML-DSA-65")


def sealing_public_key(seed: bytes) -> PublicKey:
    """Return the MLKEM768-X25519 key of which `seed` (32 bytes) is the private one."""
    stretched = shake_256(seed).digest(96)
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(stretched[:64]).public_key()
    share = x25519.X25519PrivateKey.from_private_bytes(stretched[64:]).public_key()
    return PublicKey(Algorithm.MLKEM768_X25519, lattice.public_bytes_raw() + share.public_bytes_raw())


def spki_digest(key: Certificate | PublicKeyTypes | PublicKey | PrivateKey) -> bytes:
    """Return SHA-256 of the SubjectPublicKeyInfo, by which a peer's certificate is known.

    Raises:
        ValueError: The key has no such form.
    """
    if isinstance(key, PrivateKey):
        key = key.public
    if isinstance(key, Certificate):
        key = key.public_key()
    if isinstance(key, PublicKey):
        key = _loaded(key)
    info = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256(info).digest()


def _loaded(key: PublicKey) -> PublicKeyTypes:
    match key.algorithm:
        case Algorithm.ED25519:
            return ed25519.Ed25519PublicKey.from_public_bytes(key.raw)
        case Algorithm.ESP256:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.raw)
        case Algorithm.ML_DSA_65:
            return mldsa.MLDSA65PublicKey.from_public_bytes(key.raw)
        case Algorithm.MLKEM768_X25519:
            raise ValueError("MLKEM768-X25519 has no SubjectPublicKeyInfo here")


def new_salt() -> bytes:
    """Return a fresh random salt."""
    return os.urandom(SALT_BYTES)
