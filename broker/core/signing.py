"""Signatures of members: over a header, over many headers at once, over a receipt.

Decides whether a signature is by one of the keys that it may be by, over these very bytes.  A verifier
interprets as little as it can: it builds the bytes that it expects and compares.  Leaves to others
which keys those are (`directory`), and what a signed header means (`notice`).

Sources: RFC 9052 (COSE_Sign1, payload detached), RFC 9338 (countersignature version 2), RFC 9597 (claims
in headers), RFC 9162 section 2.1 (the tree of a batch); docs/formats.md, "Signature".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from broker.core import cbor, records
from broker.core.directory import Keyring, MemberKey
from broker.core.errors import BadSignature, NotCanonical, UnknownKey
from broker.core.header import is_ascending, is_member_id
from broker.core.keys import Algorithm, PublicKey, Signer
from broker.core.limits import MOST_BATCH, MOST_RECEIPT_DELIVERIES
from broker.core.merkle import Tree, leaf_hash, root_by_path
from broker.core.model import Header, Receipt, SignedReceipt
from broker.core.sign1 import (
    BatchProof,
    Countersignature,
    Sign1,
    assembled,
    countersigned_bytes,
    parse_signature,
    signed_bytes,
)

ALGORITHM_IDS = {Algorithm.ED25519: -19, Algorithm.ESP256: -9, Algorithm.ML_DSA_65: -49}
HEADER_TYPE = "application/halong-header+avro"
BATCH_TYPE = "application/halong-batch"
RECEIPT_TYPE = "application/halong-receipt+avro"


class _Claims(NamedTuple):
    """What a signature says of itself beside its key."""

    media_type: str
    member: str
    subject: str
    network: str

    def protected(self, key: PublicKey) -> bytes:
        """Return the protected header that `key` signs."""
        before, after = _around_subject(
            ALGORITHM_IDS[key.algorithm], key.id, self.media_type, self.member, self.network
        )
        return before + cbor.text(self.subject) + after


@lru_cache(maxsize=8_192)
def _around_subject(
    algorithm: int, key_id: bytes, media_type: str, member: str, network: str
) -> tuple[bytes, bytes]:
    """Return what stands before and after the subject: the same in all that a key signs of one kind.

    The whole is `{1: algorithm, 4: key id, 15: {1: member, 2: subject, 3: network}, 16: type}`, and 395: 1
    for a batch.
    """
    is_batch = media_type == BATCH_TYPE
    before = b"\xa5" if is_batch else b"\xa4"
    before += b"\x01" + cbor.encode(algorithm) + b"\x04" + cbor.bstr(key_id)
    before += b"\x0f\xa3\x01" + cbor.text(member) + b"\x02"
    after = b"\x03" + cbor.text(network) + b"\x10" + cbor.text(media_type)
    return before, after + (b"\x19\x01\x8b\x01" if is_batch else b"")


def _of_header(header: Header, network: str) -> _Claims:
    return _Claims(HEADER_TYPE, header.originator, header.reference, network)


@lru_cache(maxsize=1_024)
def _of_batch(originator: str, size: int, network: str) -> _Claims:
    return _Claims(BATCH_TYPE, originator, f"halong:{originator}/batch/{size}", network)


def _of_receipt(member: str, network: str) -> _Claims:
    return _Claims(RECEIPT_TYPE, member, f"halong:{member}/receipt", network)


# --- making -------------------------------------------------------------------------------------------


def sign_header(header: bytes, network: str, signer: Signer, countersigner: Signer | None = None) -> bytes:
    """Return the signature over one encoded header."""
    claims = _of_header(records.decode(Header, header), network)
    protected, signature, countersignature = _sign(claims, header, signer, countersigner)
    return assembled(protected, signature, countersignature, None)


def sign_batch(
    headers: Sequence[bytes], network: str, signer: Signer, countersigner: Signer | None = None
) -> list[bytes]:
    """Return a signature for each encoded header of one originator, made with one use of the key.

    A single header is signed as such.

    Raises:
        ValueError: There are none or too many, or they are not of one originator.
    """
    if len(headers) == 1:
        return [sign_header(headers[0], network, signer, countersigner)]
    originators = {records.decode(Header, header).originator for header in headers}
    if len(originators) != 1 or len(headers) > MOST_BATCH:
        raise ValueError(f"a batch is of 1 to {MOST_BATCH} headers of one originator")
    tree = Tree(map(leaf_hash, headers))
    claims = _of_batch(originators.pop(), tree.size, network)
    signed = _sign(claims, tree.root(), signer, countersigner)
    return [
        assembled(*signed, BatchProof(tree.size, index, tuple(tree.inclusion_path(index))))
        for index in range(tree.size)
    ]


def sign_receipt(
    receipt: Receipt, network: str, signer: Signer, countersigner: Signer | None = None
) -> SignedReceipt:
    """Return a receipt with the member's signature."""
    data = records.encode(receipt)
    claims = _of_receipt(receipt.member, network)
    return SignedReceipt(data, assembled(*_sign(claims, data, signer, countersigner), None))


def _sign(
    claims: _Claims, payload: bytes, signer: Signer, countersigner: Signer | None
) -> tuple[bytes, bytes, Countersignature | None]:
    protected = claims.protected(signer.public)
    signature = signer.sign(signed_bytes(protected, payload))
    if countersigner is None:
        return protected, signature, None
    inner = _countersigner_protected(countersigner.public)
    covered = countersigned_bytes(protected, inner, payload, signature)
    return protected, signature, Countersignature(inner, countersigner.sign(covered))


def _countersigner_protected(key: PublicKey) -> bytes:
    return cbor.encode({1: ALGORITHM_IDS[key.algorithm], 4: key.id})


def key_named(signature: bytes, candidates: Sequence[MemberKey]) -> MemberKey | None:
    """Return the one of `candidates` by which a signature says it is, without verifying it again.

    Raises:
        NotCanonical: It is not deterministic CBOR.
        BadSignature: It is, but no signature of ours.
    """
    protected = parse_signature(signature).protected
    for key in candidates:
        named = b"\x01" + cbor.encode(ALGORITHM_IDS[key.public.algorithm]) + b"\x04" + cbor.bstr(key.id)
        if protected[1:].startswith(named):
            return key
    return None


def check_countersigned(signature: bytes, keyring: Keyring, member: str, at: int) -> None:
    """Let a signature pass whose countersignature is by a key that counts, or need not be there.

    It is not verified again: whoever took the statement did, and every receiver will.

    Raises:
        NotCanonical: The signature is not deterministic CBOR.
        BadSignature: It is of another form, or the countersignature is missing or by no key that counts.
    """
    second = parse_signature(signature).countersignature
    # 1. It is there where it must be.
    if second is None and keyring.pq_required(member, at):
        raise BadSignature("the countersignature is missing", field="signature")
    # 2. Where it is there, it is by a key of the member's that counts.
    if second is not None and not any(
        _countersigner_protected(one.public) == second.protected
        for one in keyring.countersign_keys(member, at)
    ):
        raise BadSignature("the countersignature's key does not count", field="signature")


def to_be_signed(header: bytes, signature: bytes) -> bytes:
    """Return the bytes that the first signature covers, for other programs to verify.

    Raises:
        NotCanonical: The signature is not deterministic CBOR.
        BadSignature: It is of another form, or its proof leads nowhere.
    """
    sign1 = parse_signature(signature)
    return signed_bytes(sign1.protected, _payload(header, sign1.proof))


# --- verifying ----------------------------------------------------------------------------------------


def verify_header(
    header_bytes: bytes,
    header: Header,
    signature: bytes,
    candidates: Sequence[MemberKey],
    countersign: Sequence[MemberKey],
    *,
    pq_required: bool,
    network: str,
) -> MemberKey:
    """Return the key by which the header is signed, one of `candidates`.

    Args:
        header_bytes: The very bytes that arrived.
        header: The same, decoded.
        signature: As it arrived.
        candidates: The originator's keys that count.
        countersign: The originator's ML-DSA-65 keys that count.
        pq_required: Whether the second signature must be there; one that is there must hold anyway.
        network: What the deployment is called.

    Raises:
        UnknownKey: There are no candidates.
        NotCanonical: The signature is not deterministic CBOR.
        BadSignature: It is not by one of the candidates over these bytes.
    """
    # 1. Somebody can have signed.
    if not candidates:
        raise UnknownKey("the originator has no key that counts", field="originator")
    # 2. The signature has one of the forms that exist.
    sign1 = parse_signature(signature)
    # 3. What is signed are the bytes that arrived, alone or as a leaf of a batch.
    payload = _payload(header_bytes, sign1.proof)
    claims = (
        _of_header(header, network)
        if sign1.proof is None
        else _of_batch(header.originator, sign1.proof.size, network)
    )
    return _verify(sign1, payload, claims, candidates, countersign, pq_required=pq_required)


def _payload(header: bytes, proof: BatchProof | None) -> bytes:
    if proof is None:
        return header
    if not 2 <= proof.size <= MOST_BATCH:
        raise BadSignature(f"a batch of less than 2 or more than {MOST_BATCH}", field="signature")
    root = root_by_path(leaf_hash(header), proof.index, proof.size, proof.path)
    if root is None:
        raise BadSignature("the path of the batch leads to no root", field="signature")
    return root


def _verify(
    sign1: Sign1,
    payload: bytes,
    claims: _Claims,
    candidates: Sequence[MemberKey],
    countersign: Sequence[MemberKey],
    *,
    pq_required: bool,
) -> MemberKey:
    covers = _covers if sign1.proof is None else _covers_batch
    # 4. Key, algorithm, member, reference and network are those that we expect, byte for byte.
    key = next((key for key in candidates if claims.protected(key.public) == sign1.protected), None)
    if key is None:
        raise BadSignature("not by a key of the originator for this reference and network", field="signature")
    # 5. The key's signature covers them and the payload.
    if not covers(key.public, sign1.signature, signed_bytes(sign1.protected, payload)):
        raise BadSignature("the signature does not cover these bytes", field="signature")
    # 6. So does the second signature, whenever it is there, and it is there where it must be.
    second = sign1.countersignature
    if second is None and pq_required:
        raise BadSignature("the countersignature is missing", field="signature")
    if second is not None:
        covered = countersigned_bytes(sign1.protected, second.protected, payload, sign1.signature)
        by = next(
            (one for one in countersign if _countersigner_protected(one.public) == second.protected), None
        )
        if by is None or not covers(by.public, second.signature, covered):
            raise BadSignature("the countersignature is not the originator's", field="signature")
    return key


def _covers(key: PublicKey, signature: bytes, data: bytes) -> bool:
    return key.verify(signature, data)


# What one batch shares is verified once: the same key, bytes and signature give the same answer for ever.
_covers_batch = lru_cache(maxsize=1_024)(_covers)


def open_receipt(signed: SignedReceipt, keyring: Keyring, network: str, at: int) -> Receipt:
    """Return the receipt inside if the member that it names has signed it.

    Args:
        signed: As it arrived.
        keyring: Whose keys count.
        network: What the deployment is called.
        at: The time at which the key must count.

    Raises:
        NotCanonical: It is not in its one encoding, or its list is empty, too long or out of order.
        UnknownKey: The member has no key that counts.
        BadSignature: The signature is not the member's over these bytes.
    """
    # 1. The receipt is one, in its one encoding.
    receipt = records.decode(Receipt, signed.receipt)
    if not is_member_id(receipt.member):
        raise NotCanonical("not a member's id", field="member")
    if not 1 <= len(receipt.deliveries) <= MOST_RECEIPT_DELIVERIES or not is_ascending(receipt.deliveries):
        raise NotCanonical("no deliveries, too many, or not in ascending order", field="deliveries")
    # 2. The member that it names holds a key, which has signed these very bytes, alone.
    candidates = keyring.signing_keys(receipt.member, at)
    if not candidates:
        raise UnknownKey("the member has no key that counts", field="member")
    sign1 = parse_signature(signed.signature)
    if sign1.proof is not None:
        raise BadSignature("a receipt is signed by itself", field="signature")
    _verify(
        sign1,
        signed.receipt,
        _of_receipt(receipt.member, network),
        candidates,
        keyring.countersign_keys(receipt.member, at),
        pq_required=keyring.pq_required(receipt.member, at),
    )
    return receipt
