"""What joining is fuzzed with: a request and a welcome that are in order, from real keys."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker.core.directory import TransportKey
from broker.directory.admission import Welcome, as_text, write_request, written
from broker.directory.building import member_change
from broker.directory.certificates import issue, make_authority, make_request, read_request
from broker.directory.handing import handed_to
from tests.ceremony import NOW, START, SignedNetwork, active, member, private, signed, spare

NETWORK = "halong-test"


def _pem(number: int) -> bytes:
    key = derive_private_key(number, SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


CSR = make_request(NETWORK, "vn", _pem(11))
TRANSPORT_KEY = read_request(CSR).key
MEMBER = replace(member("vn"), transport_keys=(TransportKey(id=TRANSPORT_KEY, valid_from=START),))
AUTHORITY = make_authority(NETWORK, _pem(12), NOW)

with tempfile.TemporaryDirectory(prefix="halong-fuzz-") as _folder:
    _network = SignedNetwork(Path(_folder))
    _change = signed(member_change(_network.version, MEMBER, NOW), active("vn"))
    APPLICATION = write_request(NETWORK, _change, CSR, [private("vn-sign"), active("vn"), spare("vn")])
    _network.join(MEMBER)
    _files = as_text(handed_to("vn", _network.newest, _network.repository.files))

WELCOME = written(
    Welcome(
        network=NETWORK,
        member="vn",
        url="https://hub.example.org:8443",
        pin="00" * 32,
        authority=AUTHORITY.decode(),
        certificate=issue(CSR, NETWORK, AUTHORITY, _pem(12), NOW).decode(),
        files=_files,
    )
)
