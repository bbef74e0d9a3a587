"""COSE receipts of the transparency log: that it has a leaf, or that one of its trees continues another.

A receipt is a COSE_Sign1 by the log's key over a root, detached; the path that leads to the root stands in
the unprotected header.  What is signed says nothing of the leaf, so one signature serves all leaves of a
tree: the log signs each root once, in a further line of the checkpoint's note, and whoever holds the note and
a path puts the receipt together.

Size and index in a receipt are not signed, as the RFC has it: trees of other sizes may lead by the same path
to the same root.  Whoever needs them compares with a checkpoint.

Decides the one form that a receipt of this log has, and whether it holds.  A verifier does not interpret the
protected header: it builds the bytes that it expects and compares.  Leaves to others what a leaf means.

Algorithm is -8, EdDSA, which every verifier of receipts knows; with an Ed25519 key it is unambiguous.

Sources: RFC 9942 (labels 395 and 396, RFC9162_SHA256, proofs -1 and -2), RFC 9052 section 4.4, RFC 9597;
c2sp.org/signed-note v1.0.0 for signatures of another kind (type ff).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from broker.core import cbor
from broker.core.errors import BadProof, NotCanonical
from broker.core.merkle import HASH_BYTES, leaf_hash, root_by_path, verify_consistency
from broker.core.note import LogKey, LogSigner, TreeHead
from broker.core.sign1 import signed_bytes
from broker.core.signed_note import key_id, split_note

EDDSA = -8
RFC9162_SHA256 = 1
INCLUSION = -1
CONSISTENCY = -2

LINE_TYPE = b"\xffhalong/cose-receipt/1"
"""By what the line of a note is known in which the log signs the root for receipts."""

MOST_RECEIPT_BYTES = 8 * 1024

_TAG_AND_ARRAY = b"\xd2\x84"
_NULL = b"\xf6"
_HASH_HEAD = b"\x58\x20"
_NODE_BYTES = len(_HASH_HEAD) + HASH_BYTES


@dataclass(frozen=True, slots=True)
class Included:
    """Where a leaf stands: in this tree, at this index.  Of a receipt only the root is the log's word."""

    tree: TreeHead
    index: int


# --- the log's signature over a root ------------------------------------------------------------------


def line_id(key: LogKey) -> bytes:
    """Return the key id of the note's line with the signature for receipts."""
    return key_id(key.name, LINE_TYPE, key.public)


def with_root_signed(signer: LogSigner, note: bytes, root: bytes) -> bytes:
    """Return the note of a checkpoint with this root, and in it the line by which receipts are made."""
    line = signer.line(line_id(signer.key), signed_bytes(protected_of(signer.key), root))
    return note + line.text.encode()


@lru_cache(maxsize=16)
def protected_of(key: LogKey) -> bytes:
    """Return the protected header: `{1: EdDSA, 4: key id, 15: {1: the log's name}, 395: RFC9162_SHA256}`."""
    return cbor.encode({1: EDDSA, 4: key.public.id, 15: {1: key.name}, 395: RFC9162_SHA256})


def root_signature(key: LogKey, note: bytes) -> bytes:
    """Return the signature over the root of a note that `key` opens.

    Raises:
        BadProof: The note is not the log's, or bears no such signature, or another's.
    """
    # 1. The note is a checkpoint of this log.
    head = key.open_checkpoint(note)
    # 2. It bears one signature for receipts.
    mine = (key.name, line_id(key))
    found = [each.signature for each in split_note(note)[1] if (each.name, each.key_id) == mine]
    if len(found) != 1:
        raise BadProof("the checkpoint does not bear one signature for receipts", field="checkpoint")
    # 3. That is the log's, over the root of this very checkpoint.
    if not key.public.verify(found[0], signed_bytes(protected_of(key), head.root)):
        raise BadProof("the log's signature for receipts does not cover the root", field="checkpoint")
    return found[0]


# --- making -------------------------------------------------------------------------------------------


def inclusion_receipt(key: LogKey, note: bytes, index: int, path: Sequence[bytes]) -> bytes:
    """Return the receipt of the leaf at `index`, whose path leads to the checkpoint in `note`.

    Raises:
        BadProof: The note bears no signature for receipts.
    """
    size = key.open_checkpoint(note).size
    return _assembled(key, INCLUSION, (size, index), path, root_signature(key, note))


def growth_receipt(key: LogKey, note: bytes, old: int, path: Sequence[bytes]) -> bytes:
    """Return the receipt that the checkpoint in `note` continues the tree of `old` leaves.

    Raises:
        BadProof: The note bears no signature for receipts.
    """
    size = key.open_checkpoint(note).size
    return _assembled(key, CONSISTENCY, (old, size), path, root_signature(key, note))


def _assembled(
    key: LogKey, kind: int, numbers: tuple[int, int], path: Sequence[bytes], signature: bytes
) -> bytes:
    proof = cbor.encode([*numbers, list(path)])
    unprotected = cbor.encode({396: {kind: [proof]}})
    return b"".join((_TAG_AND_ARRAY, cbor.bstr(protected_of(key)), unprotected, _NULL, cbor.bstr(signature)))


# --- verifying ----------------------------------------------------------------------------------------


def check_inclusion_receipt(receipt: bytes, key: LogKey, entry: bytes) -> Included:
    """Return where the log has an entry, if the receipt shows that it does.

    Raises:
        BadProof: It is no receipt of this log, or not of this entry.
    """
    # 1. It is in its one form, of this log.
    (size, index), path, signature = _read(receipt, key, INCLUSION)
    # 2. The path leads from the entry to a root …
    root = root_by_path(leaf_hash(entry), index, size, path)
    if root is None:
        raise BadProof("the receipt's path leads to no root", field="receipt")
    # 3. … which the log has signed.
    if not key.public.verify(signature, signed_bytes(protected_of(key), root)):
        raise BadProof("the log's signature does not cover the receipt's root", field="receipt")
    return Included(TreeHead(size, root), index)


def check_growth_receipt(receipt: bytes, key: LogKey, old: TreeHead, tree: TreeHead) -> None:
    """Let a receipt pass which shows that `tree` continues `old`.

    Raises:
        BadProof: It is no receipt of this log, or not of these trees.
    """
    # 1. It is in its one form, of this log.
    sizes, path, signature = _read(receipt, key, CONSISTENCY)
    # 2. It is about these trees, and its path leads from one to the other.
    if sizes != (old.size, tree.size):
        raise BadProof("the receipt is of other trees", field="receipt")
    if not verify_consistency(old.size, tree.size, old.root, tree.root, path):
        raise BadProof("the receipt does not show that the tree continues the other", field="receipt")
    # 3. The log has signed the root of the later one.
    if not key.public.verify(signature, signed_bytes(protected_of(key), tree.root)):
        raise BadProof("the log's signature does not cover the receipt's root", field="receipt")


def _read(receipt: bytes, key: LogKey, kind: int) -> tuple[tuple[int, int], list[bytes], bytes]:
    """Return the two numbers of a proof, its path, and the signature.

    Raises:
        BadProof: It is not in the form that `_assembled` gives.
    """
    if len(receipt) > MOST_RECEIPT_BYTES:
        raise BadProof(f"a receipt of more than {MOST_RECEIPT_BYTES} bytes", field="receipt")
    # All before the proof is known: whatever differs is another key, algorithm, structure or form.
    before = (
        _TAG_AND_ARRAY + cbor.bstr(protected_of(key)) + b"\xa1\x19\x01\x8c\xa1" + cbor.encode(kind) + b"\x81"
    )
    if not receipt.startswith(before):
        raise BadProof("not a receipt of this log of that kind", field="receipt")
    try:
        proof, at = _bytes(receipt, len(before))
        numbers, path = _proof(proof)
    except NotCanonical:
        raise BadProof("the receipt's proof is not in its one form", field="receipt") from None
    if receipt[at : at + 3] != _NULL + b"\x58\x40":
        raise BadProof("the receipt bears a payload, or no signature of Ed25519", field="receipt")
    return numbers, path, receipt[at + 3 :]


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    major, size, at = cbor.read_head(data, at)
    if major != cbor.BYTES:
        raise NotCanonical("no byte string")
    return data[at : at + size], at + size


def _proof(data: bytes) -> tuple[tuple[int, int], list[bytes]]:
    at, found = 0, []
    for wanted in (cbor.ARRAY, cbor.UNSIGNED, cbor.UNSIGNED, cbor.ARRAY):
        major, argument, at = cbor.read_head(data, at)
        if major != wanted:
            raise NotCanonical("no proof")
        found.append(argument)
    parts, first, second, count = found
    heads = [data[node : node + 2] for node in range(at, len(data), _NODE_BYTES)]
    if parts != 3 or len(data) != at + count * _NODE_BYTES or set(heads) - {_HASH_HEAD}:
        raise NotCanonical("no proof")
    path = [data[node + 2 : node + _NODE_BYTES] for node in range(at, len(data), _NODE_BYTES)]
    return (first, second), path
