"""The tree against the recursive definition of RFC 9162 section 2.1.1, read as it is written."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.merkle import (
    EMPTY_ROOT,
    Tree,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

LARGEST = 70
LEAVES = [leaf_hash(b"leaf %d" % number) for number in range(LARGEST)]
GROWN = Tree(LEAVES)


def split(size: int) -> int:
    part = 1
    while 2 * part < size:
        part *= 2
    return part


def naive_root(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    part = split(len(leaves))
    return node_hash(naive_root(leaves[:part]), naive_root(leaves[part:]))


def naive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    part = split(len(leaves))
    if index < part:
        return [*naive_path(index, leaves[:part]), naive_root(leaves[part:])]
    return [*naive_path(index - part, leaves[part:]), naive_root(leaves[:part])]


def naive_consistency(old: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    part = split(len(leaves))
    if old <= part:
        return [*naive_consistency(old, leaves[:part], whole), naive_root(leaves[part:])]
    return [*naive_consistency(old - part, leaves[part:], whole=False), naive_root(leaves[:part])]


def damaged(path: list[bytes]) -> list[list[bytes]]:
    """Every path that has one bit, one element or one place different."""
    flipped = [
        [*path[:at], bytes([path[at][0] ^ 1]) + path[at][1:], *path[at + 1 :]] for at in range(len(path))
    ]
    shortened = [path[:at] + path[at + 1 :] for at in range(len(path))]
    lengthened = [[*path[:at], LEAVES[0], *path[at:]] for at in range(len(path) + 1)]
    cut = [[*path[:-1], path[-1][:-1]]] if path else []
    turned = [path[::-1]] if path[::-1] != path else []
    return flipped + shortened + lengthened + cut + turned


sizes = st.integers(min_value=1, max_value=LARGEST)


@given(size=sizes)
def test_the_root_of_any_past_size_is_the_one_of_the_definition(size: int) -> None:
    assert GROWN.root(size) == naive_root(LEAVES[:size])
    assert Tree(LEAVES[:size]).root() == GROWN.root(size)


@given(steps=st.lists(st.integers(min_value=0, max_value=9), max_size=8))
def test_it_does_not_matter_in_what_steps_a_tree_grew(steps: list[int]) -> None:
    tree = Tree()
    for step in steps:
        tree.extend(LEAVES[tree.size : tree.size + step])
    grown_singly = Tree()
    for leaf in LEAVES[: tree.size]:
        grown_singly.append(leaf)
    assert tree.root() == grown_singly.root() == naive_root(LEAVES[: tree.size])


@given(size=sizes, data=st.data())
def test_an_inclusion_path_is_the_one_of_the_definition_and_verifies(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    path = GROWN.inclusion_path(index, size)
    assert path == naive_path(index, LEAVES[:size])
    assert verify_inclusion(LEAVES[index], index, size, path, GROWN.root(size))


@given(size=sizes, data=st.data())
def test_a_consistency_path_is_the_one_of_the_definition_and_verifies(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(min_value=1, max_value=size))
    path = GROWN.consistency_path(old, size)
    assert path == naive_consistency(old, LEAVES[:size])
    assert verify_consistency(old, size, GROWN.root(old), GROWN.root(size), path)


@given(size=sizes, data=st.data())
def test_an_inclusion_path_with_anything_changed_does_not_verify(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    path, root, leaf = GROWN.inclusion_path(index, size), GROWN.root(size), LEAVES[index]
    for other in damaged(path):
        assert not verify_inclusion(leaf, index, size, other, root)
    for elsewhere in {*range(-1, size + 1)} - {index}:
        assert not verify_inclusion(leaf, elsewhere, size, path, root)
    assert not verify_inclusion(LEAVES[index - 1] if size > 1 else root[::-1], index, size, path, root)
    assert not verify_inclusion(leaf, index, size, path, root[::-1])
    assert not verify_inclusion(leaf[:-1], index, size, path, root)


@given(size=sizes, data=st.data())
def test_a_consistency_path_with_anything_changed_does_not_verify(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(min_value=1, max_value=size))
    path, before, after = GROWN.consistency_path(old, size), GROWN.root(old), GROWN.root(size)
    for other in damaged(path):
        assert not verify_consistency(old, size, before, after, other)
    assert not verify_consistency(old, size, before[::-1], after, path)
    assert not verify_consistency(old, size, before, after[::-1], path)
    assert not verify_consistency(size + 1, size, before, after, path)
    forked = Tree([*LEAVES[: old - 1], leaf_hash(b"another")])
    assert not verify_consistency(old, size, forked.root(), after, path)


def test_every_tree_continues_the_empty_one_and_needs_no_path_for_it() -> None:
    assert GROWN.consistency_path(0) == []
    assert verify_consistency(0, LARGEST, EMPTY_ROOT, GROWN.root(), [])
    assert not verify_consistency(0, LARGEST, GROWN.root(), GROWN.root(), [])
    assert not verify_consistency(0, LARGEST, EMPTY_ROOT, GROWN.root(), [EMPTY_ROOT])
    assert verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    assert not verify_consistency(0, 0, LEAVES[0], LEAVES[0], [])


def test_a_tree_of_a_size_that_no_machine_holds_is_judged_without_building_it() -> None:
    """Sizes and indexes come from the other side; a large one costs nothing."""
    assert not verify_inclusion(LEAVES[0], 2**4000, 2**4000 + 1, [LEAVES[1]], LEAVES[2])
    assert not verify_consistency(2**4000, 2**4000 + 1, LEAVES[0], LEAVES[1], [LEAVES[2]])


def test_appending_hashes_only_what_the_leaf_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(LEAVES)
    hashed: list[bytes] = []

    def counted(data: bytes) -> object:
        hashed.append(data)
        return sha256(data)

    monkeypatch.setattr("broker.core.merkle.sha256", counted)
    tree.append(LEAVES[0])  # the 71st leaf completes nothing
    assert hashed == []
    tree.append(LEAVES[0])  # the 72nd completes subtrees of 2, 4 and 8
    assert len(hashed) == 3
    hashed.clear()
    tree.root()
    tree.inclusion_path(3)
    tree.consistency_path(50)
    assert len(hashed) < 12


@pytest.mark.parametrize("size", [-1, LARGEST + 1])
def test_a_size_that_the_tree_never_had_is_an_error(size: int) -> None:
    with pytest.raises(ValueError, match="size"):
        GROWN.root(size)
    with pytest.raises(ValueError, match="larger"):
        GROWN.consistency_path(LARGEST + 1)
    with pytest.raises(ValueError, match="not in a tree"):
        GROWN.inclusion_path(5, 5)
    with pytest.raises(ValueError, match="no such leaf"):
        GROWN.leaf(LARGEST)


def test_only_hashes_become_leaves() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Tree().append(b"data")


def test_a_leaf_can_be_read_back() -> None:
    assert GROWN.leaf(17) == LEAVES[17]


def test_root_of_takes_data() -> None:
    assert root_of([]) == EMPTY_ROOT
    assert root_of([b"leaf 0", b"leaf 1", b"leaf 2"]) == GROWN.root(3)
