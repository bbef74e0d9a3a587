"""The tree against the vectors, which another implementation wrote."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from broker.core.merkle import Tree, leaf_hash, root_of, verify_consistency, verify_inclusion

VECTORS = json.loads((Path(__file__).parent / "formats.json").read_bytes())
MERKLE = VECTORS["merkle"]
ENTRIES = [b"\x01" + sha256(b"leaf-%d" % number).digest() for number in range(300)]
TREE = Tree(leaf_hash(entry) for entry in ENTRIES)


def test_the_roots_of_all_sizes_are_those_of_the_vectors() -> None:
    for size, root in MERKLE["roots"].items():
        assert TREE.root(int(size)).hex() == root
        assert root_of(ENTRIES[: int(size)]).hex() == root


def test_the_path_of_leaf_100_in_300_is_that_of_the_vectors() -> None:
    path = TREE.inclusion_path(100)
    assert [node.hex() for node in path] == MERKLE["path_of_100_in_300"]
    assert verify_inclusion(leaf_hash(ENTRIES[100]), 100, 300, path, TREE.root())


def test_every_vector_root_continues_every_smaller_one() -> None:
    roots = sorted((int(size), bytes.fromhex(root)) for size, root in MERKLE["roots"].items())
    for size, root in roots:
        for old, old_root in roots:
            if old <= size:
                path = TREE.consistency_path(old, size)
                assert verify_consistency(old, size, old_root, root, path)


def test_the_leaf_hash_of_a_statement_is_that_of_the_vectors() -> None:
    clear = VECTORS["clear"]
    assert leaf_hash(bytes.fromhex(clear["leaf_entry"])).hex() == clear["leaf_hash"]


def test_the_root_over_the_headers_of_a_batch_is_that_of_the_vectors() -> None:
    headers = [bytes.fromhex(header) for header in VECTORS["batch"]["headers"]]
    assert root_of(headers).hex() == VECTORS["batch"]["root"]
