"""Keys verify what they signed and nothing else, and weak ones are not registered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from broker.core.errors import WeakKey
from broker.core.keys import (
    Algorithm,
    PrivateKey,
    PublicKey,
    check_registrable,
    new_salt,
    public_key_of,
    sealing_public_key,
    spki_digest,
)

SIGNING = [Algorithm.ED25519, Algorithm.ESP256, Algorithm.ML_DSA_65]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize("algorithm", SIGNING)
def test_a_key_verifies_its_own_signature_over_the_same_bytes_alone(algorithm: Algorithm) -> None:
    key, other = PrivateKey.generate(algorithm), PrivateKey.generate(algorithm)
    signature = key.sign(b"data")

    assert key.public.verify(signature, b"data")
    assert not key.public.verify(signature, b"date")
    assert not other.public.verify(signature, b"data")
    for wrong in (b"", signature[:-1], signature + b"\0", signature[:-1] + bytes((signature[-1] ^ 1,))):
        assert not key.public.verify(wrong, b"data")


@pytest.mark.parametrize("algorithm", SIGNING)
@pytest.mark.parametrize("password", [None, b"a password"])
def test_a_key_comes_back_from_its_file(algorithm: Algorithm, password: bytes | None) -> None:
    key = PrivateKey.generate(algorithm)
    again = PrivateKey.from_pem(key.to_pem(password), password)

    assert again == key
    assert key.public.verify(again.sign(b"data"), b"data")
    assert PublicKey.of_raw(key.public.raw) == key.public
    check_registrable(key.public)


def test_a_file_with_another_key_or_password_is_refused() -> None:
    key = PrivateKey.generate(Algorithm.ED25519)
    for pem, password in [
        (key.to_pem(b"right"), b"wrong"),
        (key.to_pem(b"right"), None),
        (key.to_pem(), b"needless"),
        (b"nothing", None),
        (pem_of(x25519.X25519PrivateKey.generate()), None),
        (pem_of(ec.generate_private_key(ec.SECP384R1())), None),
    ]:
        with pytest.raises(ValueError):  # noqa: PT011 - the library's own words differ for each
            PrivateKey.from_pem(pem, password)


def pem_of(key: x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_private_key_is_not_printed() -> None:
    seed = bytes(range(32))
    key = PrivateKey.from_seed(Algorithm.ED25519, seed)
    assert "_key" not in repr(key)
    assert seed.hex() not in repr(key)


def test_a_seed_is_for_a_key_that_signs_and_of_its_length() -> None:
    with pytest.raises(ValueError, match="does not sign"):
        PrivateKey.from_seed(Algorithm.MLKEM768_X25519, bytes(32))
    with pytest.raises(ValueError, match="32 bytes"):
        PrivateKey.from_seed(Algorithm.ESP256, bytes(31))


def test_the_other_half_of_an_esp256_signature_is_refused() -> None:
    """(r, n - s) is valid wherever (r, s) is: a second form of the same signature."""
    key = PrivateKey.from_seed(Algorithm.ESP256, bytes(32))
    for number in range(20):
        data = bytes((number,))
        signature = key.sign(data)
        s = int.from_bytes(signature[32:], "big")

        assert s <= P256_ORDER // 2
        assert key.public.verify(signature, data)
        assert not key.public.verify(signature[:32] + (P256_ORDER - s).to_bytes(32, "big"), data)


def test_a_key_that_seals_verifies_nothing() -> None:
    assert not sealing_public_key(bytes(32)).verify(bytes(64), b"")


WEAK = {
    "an Ed25519 key that is no point": PublicKey(Algorithm.ED25519, (2).to_bytes(32, "little")),
    "an Ed25519 key with a sign for zero": PublicKey(Algorithm.ED25519, bytes((1,)) + bytes(30) + b"\x80"),
    "a P-256 point off the curve": PublicKey(Algorithm.ESP256, b"\x04" + bytes(63) + b"\x01"),
    "a P-256 point in hybrid form": PublicKey(
        Algorithm.ESP256, b"\x06" + PrivateKey.from_seed(Algorithm.ESP256, bytes(32)).public.raw[1:]
    ),
    "an ML-KEM key out of range": PublicKey(
        Algorithm.MLKEM768_X25519, b"\xff" * 1_184 + sealing_public_key(bytes(32)).raw[1_184:]
    ),
    "an X25519 key of small order": PublicKey(
        Algorithm.MLKEM768_X25519, sealing_public_key(bytes(32)).raw[:1_184] + bytes(32)
    ),
}


@pytest.mark.parametrize("key", WEAK.values(), ids=WEAK)
def test_a_key_that_is_none_is_not_registered_and_verifies_nothing(key: PublicKey) -> None:
    with pytest.raises(WeakKey):
        check_registrable(key)
    assert not key.verify(bytes(64), b"")


@pytest.mark.parametrize("size", [0, 31, 33, 64, 1_951])
def test_no_key_has_another_length(size: int) -> None:
    with pytest.raises(WeakKey):
        PublicKey.of_raw(bytes(size))
    with pytest.raises(WeakKey):
        PublicKey(Algorithm.ED25519, bytes(size))


def test_ordinary_keys_are_registered() -> None:
    for number in range(64):
        check_registrable(PrivateKey.from_seed(Algorithm.ED25519, bytes((number,)) * 32).public)
    check_registrable(sealing_public_key(bytes(32)))


def test_a_certificate_and_its_key_have_one_digest() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vn")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    key = public_key_of(private.public_key())

    assert spki_digest(certificate) == spki_digest(key) == spki_digest(private.public_key())
    assert spki_digest(PrivateKey.from_pem(pem_of(private))) == spki_digest(key)


def test_the_digest_of_a_key_is_that_of_its_subject_public_key_info() -> None:
    for algorithm in SIGNING:
        key = PrivateKey.generate(algorithm)
        assert len(spki_digest(key)) == 32
        assert spki_digest(key) == spki_digest(key.public)
    with pytest.raises(ValueError, match="SubjectPublicKeyInfo"):
        spki_digest(sealing_public_key(bytes(32)))


def test_a_key_of_another_kind_is_none_of_ours() -> None:
    with pytest.raises(ValueError, match="not a key of"):
        public_key_of(x25519.X25519PrivateKey.generate().public_key())
    assert public_key_of(ed25519.Ed25519PrivateKey.generate().public_key()).algorithm is Algorithm.ED25519


def test_salts_are_fresh() -> None:
    assert len({new_salt() for _ in range(100)}) == 100
    assert len(new_salt()) == 16
