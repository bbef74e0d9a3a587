"""scitt-cose, a verifier of COSE receipts that shares no code with ours, reads the log's receipts."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scitt_cose.merkle import verify_consistency
from scitt_cose.receipt import verify_receipt

from broker.core.cose_receipt import inclusion_receipt, with_root_signed
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.note import LogSigner

LEAVES = [b"\x03" + bytes([number]) * 32 for number in range(70)]
TREE = Tree(map(leaf_hash, LEAVES))
LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))
PEM = ed25519.Ed25519PublicKey.from_public_bytes(LOG.key.public.raw).public_bytes(
    Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
)


def receipt(index: int, size: int) -> bytes:
    root = TREE.root(size)
    note = with_root_signed(LOG, LOG.sign_checkpoint(size, root, 1_790_000_000_000), root)
    return inclusion_receipt(LOG.key, note, index, TREE.inclusion_path(index, size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 33, 64, 70])
def test_it_verifies_the_receipt_of_every_leaf_of_a_tree(size: int) -> None:
    for index in range(size):
        found = verify_receipt(
            receipt(index, size), leaf_entry_hex=LEAVES[index].hex(), log_public_key_pem=PEM
        )
        assert found.ok, found.errors
        assert (found.tree_size, found.leaf_index, found.issuer) == (size, index, "halong-test/log")
        assert found.root == TREE.root(size).hex()


def test_it_refuses_what_was_altered() -> None:
    good = receipt(40, 70)
    for data, entry in (
        (good, LEAVES[41]),
        (good[:-1] + bytes([good[-1] ^ 1]), LEAVES[40]),
        (good.replace(TREE.inclusion_path(40)[0], bytes(32)), LEAVES[40]),
        (good + b"\0", LEAVES[40]),
    ):
        assert not verify_receipt(data, leaf_entry_hex=entry.hex(), log_public_key_pem=PEM).ok


def test_it_agrees_on_how_trees_grow() -> None:
    for old, size in ((1, 2), (33, 64), (64, 70), (69, 70)):
        path = [node.hex() for node in TREE.consistency_path(old, size)]
        assert verify_consistency(TREE.root(old).hex(), TREE.root(size).hex(), old, size, path)
