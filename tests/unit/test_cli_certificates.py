"""Certificates open the channel for a key; nobody gets one for a key that it does not hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from broker.core.errors import BadConfiguration, BadSignature, HalongError, WeakKey
from broker.core.keys import Algorithm, PrivateKey, spki_digest
from broker.directory.certificates import (
    host_of,
    issue,
    issued_by,
    key_digest,
    make_authority,
    make_hub_certificate,
    make_request,
    read_certificate,
    read_request,
)

NOW = 1_800_000_000_000
DAY = 86_400_000

AUTHORITY_KEY = PrivateKey.from_seed(Algorithm.ESP256, b"\1" * 32).to_pem()
MEMBER_KEY = PrivateKey.from_seed(Algorithm.ESP256, b"\2" * 32).to_pem()
AUTHORITY = make_authority("halong-test", AUTHORITY_KEY, NOW)


def test_a_member_gets_a_certificate_for_the_key_that_it_holds_and_for_nothing_else() -> None:
    certificate = issue(
        make_request("halong-test", "vn", MEMBER_KEY), "halong-test", AUTHORITY, AUTHORITY_KEY, NOW
    )

    read = read_certificate(certificate)
    parsed = x509.load_pem_x509_certificate(certificate)
    assert read.subject == "vn"
    assert read.key == key_digest(MEMBER_KEY) == spki_digest(parsed)
    assert read.valid_from < NOW < read.valid_until - 700 * DAY
    assert issued_by(certificate, AUTHORITY)
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_certificate_of_another_authority_is_told_apart() -> None:
    other = make_authority("halong-test", MEMBER_KEY, NOW)
    certificate = issue(make_request("halong-test", "vn", MEMBER_KEY), "halong-test", other, MEMBER_KEY, NOW)

    assert not issued_by(certificate, AUTHORITY)


def test_a_hub_is_named_by_its_certificate() -> None:
    for host in ("127.0.0.1", "hub.example"):
        certificate = make_hub_certificate("halong-test", host, MEMBER_KEY, AUTHORITY, AUTHORITY_KEY, NOW)
        assert host_of(certificate) == host
    with pytest.raises(BadConfiguration):
        host_of(AUTHORITY)


def test_what_a_request_asks_beside_its_key_is_not_looked_at() -> None:
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vn")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(load_pem_private_key(MEMBER_KEY, None), SHA256())  # type: ignore[arg-type]  # P-256, made above
    )
    pem = greedy.public_bytes(Encoding.PEM)

    parsed = x509.load_pem_x509_certificate(issue(pem, "halong-test", AUTHORITY, AUTHORITY_KEY, NOW))
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def _altered() -> bytes:
    """A request in which one character is another."""
    mine = make_request("halong-test", "vn", MEMBER_KEY).decode().splitlines()
    mine[3] = ("A" if mine[3][0] != "A" else "B") + mine[3][1:]
    return "\n".join(mine).encode()


def _signed_by_another() -> bytes:
    """A request for the member's key, with the signature of somebody who does not hold it."""
    mine, theirs = (
        x509.load_pem_x509_csr(make_request("halong-test", "vn", key)) for key in (MEMBER_KEY, AUTHORITY_KEY)
    )
    der = theirs.public_bytes(Encoding.DER)
    changed = der.replace(theirs.tbs_certrequest_bytes, mine.tbs_certrequest_bytes)
    return x509.load_der_x509_csr(changed).public_bytes(Encoding.PEM)


def _asked(names: list[str], key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """A request that its own key has signed, whatever it is and names."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in names])
    algorithm = None if isinstance(key, Ed25519PrivateKey) else SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm)
    return request.public_bytes(Encoding.PEM)


P256 = generate_private_key(SECP256R1())


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (b"", BadConfiguration),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", BadConfiguration),
        (AUTHORITY, BadConfiguration),
        (_altered(), (BadSignature, BadConfiguration, WeakKey)),
        (_signed_by_another(), BadSignature),
        (_asked(["vn"], Ed25519PrivateKey.generate()), WeakKey),
        (_asked(["vn"], generate_private_key(SECP384R1())), WeakKey),
        (_asked([], P256), BadConfiguration),
        (_asked(["vn", "jp"], P256), BadConfiguration),
    ],
)
def test_a_request_that_proves_nothing_gets_nothing(
    request_: bytes, error: type[HalongError] | tuple[type[HalongError], ...]
) -> None:
    with pytest.raises(error):
        read_request(request_)
    with pytest.raises(error):
        issue(request_, "halong-test", AUTHORITY, AUTHORITY_KEY, NOW)


def test_a_key_of_another_kind_gets_no_certificate() -> None:
    with pytest.raises(WeakKey):
        make_request("halong-test", "vn", PrivateKey.generate(Algorithm.ED25519).to_pem())


def test_a_certificate_for_a_key_of_another_kind_is_none_of_the_network() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vn")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, serial_number=1)
    builder = builder.not_valid_before(begin).not_valid_after(begin + timedelta(days=9))
    key = Ed25519PrivateKey.generate()
    certificate = builder.public_key(key.public_key()).sign(key, None).public_bytes(Encoding.PEM)

    with pytest.raises(WeakKey):
        read_certificate(certificate)
