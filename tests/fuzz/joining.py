"""What joining is fuzzed with: a request and a welcome that are in order, from real keys."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker.core.directory import TransportKey
from broker.core.note import LogSigner
from broker.directory.certificates import issue, make_authority, make_request, read_request
from broker.directory.folder import snapshot_of
from broker.directory.joining import Welcome, write_request, write_welcome
from broker.directory.member_file import member_text
from tests.attacks.envelopes import NOW, VN, directory, held
from tests.vectors.material import NETWORK


def _pem(number: int) -> bytes:
    key = derive_private_key(number, SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


CSR = make_request(NETWORK, "vn", _pem(11))
TRANSPORT_KEY = read_request(CSR).key
MEMBER = replace(
    directory(held(VN)).members["vn"], transport_keys=(TransportKey(id=TRANSPORT_KEY, valid_from=0),)
)
APPLICATION = write_request(NETWORK, MEMBER, CSR, VN)
AUTHORITY = make_authority(NETWORK, _pem(12), NOW)
LOG_KEY = LogSigner(f"{NETWORK}/log", VN).vkey

_FILES = {
    "network.toml": f'name = "{NETWORK}"\nlog_key = "{LOG_KEY}"\n'.encode(),
    "members/vn.toml": member_text(MEMBER).encode(),
}
_SNAPSHOT = snapshot_of(_FILES)
_VERSION = sha256(_SNAPSHOT).hexdigest()

WELCOME = write_welcome(
    Welcome(
        network=NETWORK,
        member="vn",
        url="https://hub.example.org:8443",
        pin="00" * 32,
        log_key=LOG_KEY,
        authority=AUTHORITY.decode(),
        certificate=issue(CSR, NETWORK, AUTHORITY, _pem(12), NOW).decode(),
        version=_VERSION,
        snapshots={_VERSION: _SNAPSHOT.decode()},
        files={sha256(data).hexdigest(): data.decode() for data in _FILES.values()},
    )
)
