"""OpenSSL verifies the bytes that `halong inspect --tbs` writes, by key and signature in its own forms."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.core import records
from broker.core.keys import Algorithm, PublicKey
from broker.core.model import Envelope
from broker.core.sign1 import parse_signature
from tests.foreign.programs import program
from tests.vectors.material import NETWORK, PUBLIC, VECTORS

pytestmark = pytest.mark.sockets

CLEAR = records.decode(Envelope, bytes.fromhex(VECTORS["clear"]["envelope"]))


def clear(signature: str) -> Envelope:
    return replace(CLEAR, signature=bytes.fromhex(signature))


def of_batch(name: str) -> Envelope:
    header, signature = VECTORS["batch"]["headers"][3], VECTORS[name]["signatures"][3]
    return Envelope(bytes.fromhex(header), bytes.fromhex(signature), (), (), ())


SIGNED = {
    "Ed25519": (CLEAR, PUBLIC["vn_ed25519"]),
    "ESP256": (clear(VECTORS["esp256"]["signature"]), PUBLIC["vn_p256"]),
    "Ed25519 of a hybrid": (clear(VECTORS["hybrid"]["signature"]), PUBLIC["vn_ed25519"]),
    "Ed25519 batch": (of_batch("batch"), PUBLIC["vn_ed25519"]),
    "ESP256 batch": (of_batch("esp256_batch"), PUBLIC["vn_p256"]),
}


def as_pem(key: PublicKey) -> bytes:
    loaded = (
        ed25519.Ed25519PublicKey.from_public_bytes(key.raw)
        if key.algorithm is Algorithm.ED25519
        else ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.raw)
    )
    return loaded.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def as_openssl_has_it(signature: bytes, algorithm: Algorithm) -> bytes:
    if algorithm is Algorithm.ED25519:
        return signature
    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


@dataclass(frozen=True, slots=True)
class Verifier:
    """OpenSSL in a folder of its own."""

    openssl: str
    folder: Path

    def accepts(self, data: bytes, signature: bytes, key: PublicKey) -> bool:
        (self.folder / "key.pem").write_bytes(as_pem(key))
        (self.folder / "data").write_bytes(data)
        (self.folder / "signature").write_bytes(as_openssl_has_it(signature, key.algorithm))
        command = [self.openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem"]
        command += ["-in", "data", "-sigfile", "signature"]
        if key.algorithm is Algorithm.ESP256:
            command += ["-digest", "sha256"]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0 or "Verification Failure" in done.stdout, done.stderr
        return done.returncode == 0


@pytest.fixture
def verifier(tmp_path: Path) -> Verifier:
    return Verifier(program("openssl", "3.0 or later, from your system's packages"), tmp_path)


@pytest.fixture
def signed_bytes(tmp_path: Path) -> Callable[[Envelope], bytes]:
    """Write an envelope to a file, and run the command on it as a person would."""

    def written(envelope: Envelope) -> bytes:
        file, out = tmp_path / "some.envelope", tmp_path / "some.tbs"
        file.write_bytes(records.encode(envelope))
        command = [sys.executable, "-m", "broker.cli", "inspect", str(file), "--tbs", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 3, done.stderr
        return out.read_bytes()

    return written


@pytest.mark.parametrize(("envelope", "key"), SIGNED.values(), ids=SIGNED)
def test_openssl_accepts_what_inspect_writes_and_refuses_an_altered_byte(
    envelope: Envelope, key: PublicKey, verifier: Verifier, signed_bytes: Callable[[Envelope], bytes]
) -> None:
    data = signed_bytes(envelope)
    signature = parse_signature(envelope.signature).signature
    assert verifier.accepts(data, signature, key)
    for at in (0, len(data) // 2, len(data) - 1):
        altered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert not verifier.accepts(altered, signature, key)
    forged = signature[:40] + bytes([signature[40] ^ 1]) + signature[41:]
    assert not verifier.accepts(data, forged, key)


def test_inspect_and_openssl_agree(verifier: Verifier, tmp_path: Path) -> None:
    """One process from the file to the verdict, as in the manual."""
    file, schema, out = tmp_path / "e", tmp_path / "sample.avsc", tmp_path / "tbs"
    file.write_bytes(records.encode(CLEAR))
    schema.write_text(json.dumps(VECTORS["notice_schema"]))
    key = PUBLIC["vn_ed25519"]
    command = [sys.executable, "-m", "broker.cli", "inspect", str(file), "--public-key", key.raw.hex()]
    command += ["--network", NETWORK, "--schema", str(schema), "--gateway", "--tbs", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["signature"] == "verified"
    assert verifier.accepts(out.read_bytes(), parse_signature(CLEAR.signature).signature, key)
