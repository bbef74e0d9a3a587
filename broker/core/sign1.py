"""The form of a signature: a COSE_Sign1 with detached payload, in one of four shapes.

Decides whether bytes are of one of these shapes, and what a signature covers.  Leaves to `signing` what
must stand in them and by whom they must be.

Sources: RFC 9052 sections 4.2 and 4.4 (COSE_Sign1), RFC 9338 (countersignature version 2), COSE Receipts
(header parameter 396, the inclusion proof); docs/formats.md, "Signature".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from broker.core import cbor
from broker.core.errors import BadSignature, NotCanonical
from broker.core.header import is_ascending
from broker.core.limits import MOST_SIGNATURE_BYTES
from broker.core.merkle import HASH_BYTES

_TAG_AND_ARRAY = b"\xd2\x84"
_NULL = b"\xf6"
_COUNTERSIGNATURE = 11
_PROOF = 396
_NODE_BYTES = 2 + HASH_BYTES
"""A hash of a path with its head, 58 20: a byte string of 32."""


@dataclass(frozen=True, slots=True)
class BatchProof:
    """Where a header stands in the tree that was signed for many."""

    size: int
    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Countersignature:
    """A second signature, over the first and what it covers."""

    protected: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Sign1:
    """The parts of a signature; nothing in them has been checked."""

    protected: bytes
    countersignature: Countersignature | None
    proof: BatchProof | None
    signature: bytes


def assembled(
    protected: bytes,
    signature: bytes,
    countersignature: Countersignature | None = None,
    proof: BatchProof | None = None,
) -> bytes:
    """Return a signature put together from its parts."""
    unprotected: dict[int, object] = {}
    if countersignature is not None:
        unprotected[_COUNTERSIGNATURE] = [countersignature.protected, {}, countersignature.signature]
    if proof is not None:
        unprotected[_PROOF] = {-1: [cbor.encode([proof.size, proof.index, list(proof.path)])]}
    parts = (_TAG_AND_ARRAY, cbor.bstr(protected), cbor.encode(unprotected), _NULL, cbor.bstr(signature))
    return b"".join(parts)


def signed_bytes(protected: bytes, payload: bytes) -> bytes:
    """Return what the first signature covers: `["Signature1", protected, h'', payload]`."""
    return b"\x84\x6aSignature1" + cbor.bstr(protected) + b"\x40" + cbor.bstr(payload)


def countersigned_bytes(protected: bytes, inner: bytes, payload: bytes, signature: bytes) -> bytes:
    """Return what the second covers: `["CounterSignatureV2", protected, inner, h'', payload, [first]]`."""
    strings = (cbor.bstr(protected), cbor.bstr(inner), b"\x40", cbor.bstr(payload))
    return b"\x86\x72CounterSignatureV2" + b"".join(strings) + b"\x81" + cbor.bstr(signature)


def parse_signature(data: bytes) -> Sign1:
    """Return the parts of a signature.

    Raises:
        NotCanonical: It is not one item of deterministic CBOR.
        BadSignature: It is, but of another form than the four that exist.
    """
    sign1 = _parts(data)
    if sign1 is None:
        cbor.check_canonical(data)
        raise BadSignature("not of a form that is accepted", field="signature")
    return sign1


def check_form(data: bytes) -> None:
    """Let a signature pass that is deterministic CBOR, of whatever form.

    Raises:
        NotCanonical: It is not.
    """
    if _parts(data) is None:
        cbor.check_canonical(data)


@lru_cache(maxsize=64)  # its form is looked at when it arrives, what it says after the rules of the header
def _parts(data: bytes) -> Sign1 | None:
    if len(data) > MOST_SIGNATURE_BYTES or not data.startswith(_TAG_AND_ARRAY):
        return None
    try:
        protected, at = _read_bytes(data, 2)
        pairs, at = _read(cbor.MAP, data, at)
        countersignature, proof = None, None
        keys = []
        for _ in range(pairs):
            key, at = _read(cbor.UNSIGNED, data, at)
            keys.append(key)
            if key == _COUNTERSIGNATURE:
                countersignature, at = _read_countersignature(data, at)
            elif key == _PROOF:
                proof, at = _read_proof(data, at)
            else:
                return None
        if (pairs > 1 and not is_ascending(keys)) or data[at : at + 1] != _NULL:
            return None
        signature, at = _read_bytes(data, at + 1)
    except (_OtherForm, NotCanonical):
        return None
    return Sign1(protected, countersignature, proof, signature) if at == len(data) else None


class _OtherForm(Exception):
    """The bytes are not of the form that is looked for."""


def _read(major: int, data: bytes, at: int) -> tuple[int, int]:
    found, argument, at = cbor.read_head(data, at)
    if found != major:
        raise _OtherForm
    return argument, at


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    if data[at : at + 1] == b"\x58" and data[at + 1 : at + 2] > b"\x17":
        # Nearly all have between 24 and 255 bytes.
        size, at = data[at + 1], at + 2
    else:
        size, at = _read(cbor.BYTES, data, at)
    end = at + size
    if end > len(data):
        raise _OtherForm
    return data[at:end], end


def _read_countersignature(data: bytes, at: int) -> tuple[Countersignature, int]:
    if data[at : at + 1] != b"\x83":
        raise _OtherForm
    protected, at = _read_bytes(data, at + 1)
    if data[at : at + 1] != b"\xa0":
        raise _OtherForm
    signature, at = _read_bytes(data, at + 1)
    return Countersignature(protected, signature), at


def _read_proof(data: bytes, at: int) -> tuple[BatchProof, int]:
    if data[at : at + 3] != b"\xa1\x20\x81":
        raise _OtherForm
    inner, at = _read_bytes(data, at + 3)
    if inner[:1] != b"\x83":
        raise _OtherForm
    size, here = _read(cbor.UNSIGNED, inner, 1)
    index, here = _read(cbor.UNSIGNED, inner, here)
    length, here = _read(cbor.ARRAY, inner, here)
    # Every node is a hash, so their heads are the same and stand at even distances.
    if (
        len(inner) != here + length * _NODE_BYTES
        or inner[here::_NODE_BYTES] != length * b"\x58"
        or inner[here + 1 :: _NODE_BYTES] != length * b"\x20"
    ):
        raise _OtherForm
    path = tuple([inner[node + 2 : node + _NODE_BYTES] for node in range(here, len(inner), _NODE_BYTES)])
    return BatchProof(size, index, path), at
