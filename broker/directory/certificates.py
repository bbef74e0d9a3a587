"""The hub's own small authority: certificates that open the channel, and nothing more (RFC 5280, RFC 2986).

Decides what a certificate of the network contains and which requests are signed.  Who a peer is, is not
read from certificates: identity is the key, as the directory lists it.  Keys come and go as PEM; where
they are kept is the caller's.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.core.errors import BadConfiguration, BadSignature, WeakKey

AUTHORITY_DAYS = 3650
HUB_DAYS = 825
MEMBER_DAYS = 730
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
"""What the library raises, now or when a part is first looked at, on bytes that are no X.509."""

BACKDATED = timedelta(minutes=10)
"""Certificates begin a little in the past, for members whose clock is behind."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a person or a check wants to know of a certificate."""

    subject: str
    key: bytes
    valid_from: int
    valid_until: int


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose sender holds the key in it."""

    member: str
    key: bytes


def make_authority(network: str, key: bytes, now: int) -> bytes:
    """Return the self-signed certificate of the network's authority."""
    private = _private(key)
    name = _name(f"{network} authority", network)
    builder = _builder(name, name, private.public_key(), now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return builder.sign(private, SHA256()).public_bytes(Encoding.PEM)


def make_hub_certificate(
    network: str, host: str, key: bytes, authority: bytes, authority_key: bytes, now: int
) -> bytes:
    """Return the hub's certificate; members pin its key, ordinary clients may check `host`."""
    issuer = x509.load_pem_x509_certificate(authority).subject
    builder = _builder(_name("hub", network), issuer, _private(key).public_key(), now, HUB_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName([_host(host)]), critical=False)
    return builder.sign(_private(authority_key), SHA256()).public_bytes(Encoding.PEM)


def make_request(network: str, member: str, key: bytes) -> bytes:
    """Return a certificate signing request, signed by the key that it asks a certificate for."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(member, network))
    return builder.sign(_private(key), SHA256()).public_bytes(Encoding.PEM)


def read_request(request: bytes) -> Request:
    """Return what a request asks, once it is certain that its sender holds the key.

    Raises:
        BadConfiguration: It is no request, or names no member.
        WeakKey: The key is not on P-256.
        BadSignature: The sender does not hold the key.
    """
    try:
        parsed = x509.load_pem_x509_csr(request)
        names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except UNREADABLE:
        raise BadConfiguration("not a certificate signing request", field="csr") from None
    # 1. Only the kind of key that the network uses.
    try:
        key = parsed.public_key()
    except UNREADABLE:
        raise WeakKey("the transport key is no key", field="csr") from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise WeakKey("the transport key must be on P-256", field="csr")
    # 2. Proof of possession.
    if not parsed.is_signature_valid:
        raise BadSignature("the request is not signed by its own key", field="csr")
    # 3. One name, and nothing else of the request is looked at: extensions are ours to set.
    if len(names) != 1:
        raise BadConfiguration("the request names no member", field="csr")
    return Request(str(names[0].value), _spki(key))


def issue(request: bytes, network: str, authority: bytes, authority_key: bytes, now: int) -> bytes:
    """Return a member's certificate for a request that `read_request` accepted."""
    wanted = read_request(request)
    key = x509.load_pem_x509_csr(request).public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    issuer = x509.load_pem_x509_certificate(authority).subject
    builder = _builder(_name(wanted.member, network), issuer, key, now, MEMBER_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return builder.sign(_private(authority_key), SHA256()).public_bytes(Encoding.PEM)


def read_certificate(certificate: bytes, field: str = "certificate") -> Certificate:
    """Return subject, key digest and validity of a certificate.

    Raises:
        BadConfiguration: It is none.
    """
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
        names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return Certificate(
            str(names[0].value) if names else "",
            _spki(parsed.public_key()),
            _milliseconds(parsed.not_valid_before_utc),
            _milliseconds(parsed.not_valid_after_utc),
        )
    except UNREADABLE:
        raise BadConfiguration("not a certificate", field=field) from None


def host_of(certificate: bytes) -> str:
    """Return the name or address that a hub's certificate is for.

    Raises:
        BadConfiguration: It names none, or more than one.
    """
    parsed = x509.load_pem_x509_certificate(certificate)
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    if len(found := list(names)) != 1:
        raise BadConfiguration("the hub's certificate is not for exactly one name", field="certificate")
    return str(found[0].value)


def issued_by(certificate: bytes, authority: bytes) -> bool:
    """Tell whether the authority signed the certificate; what is no certificate signs nothing."""
    try:
        parsed, issuer = (x509.load_pem_x509_certificate(each) for each in (certificate, authority))
        key, algorithm = issuer.public_key(), parsed.signature_hash_algorithm
        if not isinstance(key, EllipticCurvePublicKey) or algorithm is None:
            return False
        key.verify(parsed.signature, parsed.tbs_certificate_bytes, ECDSA(algorithm))
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def key_digest(key: bytes) -> bytes:
    """Return SHA-256 of the SubjectPublicKeyInfo of a private key: the identity of its certificate."""
    return _spki(_private(key).public_key())


def _private(key: bytes) -> EllipticCurvePrivateKey:
    private = load_pem_private_key(key, password=None)
    if not isinstance(private, EllipticCurvePrivateKey):
        raise WeakKey("a transport key must be on P-256", field="key")
    return private


def _spki(key: object) -> bytes:
    if not isinstance(key, EllipticCurvePublicKey):
        raise WeakKey("a transport key must be on P-256", field="key")
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePublicKey, now: int, days: int
) -> x509.CertificateBuilder:
    begin = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now // 1000) - BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common: str, network: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, network),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(*, signs_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
