"""The Merkle tree of RFC 9162 section 2.1: roots, inclusion paths, consistency paths, and their checks.

Decides whether a path leads from a leaf to a root, and whether one root continues another.  Leaves
to others what a leaf means, and who signed the root.

The tree keeps the hash of every complete subtree, level by level.  Appending hashes only the
subtrees that the leaf completes, and any root or path, of the present tree or of any smaller one,
is put together from O(log n) kept hashes: nothing is ever computed again from the start.  Where the
hashes are kept is open: in memory and on disk (`Tree`), or in tiles that anybody wrote (`tiles.TiledTree`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Protocol, Self

HASH_BYTES = 32
PAIR_BYTES = 2 * HASH_BYTES

EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf.  Its prefix differs from a node's, so neither can pose as the other."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two nodes."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over `leaves`, given as data, not as hashes."""
    return Tree(leaf_hash(data) for data in leaves).root()


class Level(Protocol):
    """Bytes that only grow: a `bytearray`, or something that keeps them elsewhere."""

    def __len__(self) -> int: ...

    def __iadd__(self, data: bytes, /) -> Self: ...

    def __getitem__(self, where: slice, /) -> bytes | bytearray: ...


class AnyTree(ABC):
    """A tree that answers for every size that it ever had, from the hashes of its complete subtrees."""

    __slots__ = ("_edge", "_edge_size")

    def __init__(self) -> None:
        # The right edge of the tree of one size: many paths are wanted to the same.
        self._edge: dict[int, bytes] = {}
        self._edge_size = 0

    @property
    @abstractmethod
    def size(self) -> int:
        """How many leaves there are."""

    def leaf(self, index: int) -> bytes:
        """Return the hash of leaf `index`."""
        if not 0 <= index < self.size:
            raise ValueError("no such leaf")
        return self._node(0, index)

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` leaves; over all without it."""
        size = self._size(size)
        return self._subtree(0, size) if size else EMPTY_ROOT

    def inclusion_path(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the path (section 2.1.3.1) from leaf `index` to the root over the first `size` leaves."""
        size = self._size(size)
        if not 0 <= index < size:
            raise ValueError("the leaf is not in a tree of that size")
        path = []
        position, last, height = index, size - 1, 0
        while last:
            sibling = position ^ 1
            if sibling < last:
                path.append(self._node(height, sibling))
            elif sibling == last:
                # The right edge; above it the path has left neighbours alone, which are complete.
                path.append(self._edge_from(sibling << height, size))
            position >>= 1
            last >>= 1
            height += 1
        return path

    def consistency_path(self, old: int, size: int | None = None) -> list[bytes]:
        """Return the path (section 2.1.4.1) from the root over the first `old` leaves to that over `size`.

        Empty for an `old` of 0: every tree begins with the empty one.
        """
        size = self._size(size)
        if not 0 <= old <= size:
            raise ValueError("the old tree is larger than the tree")
        if old in (0, size):
            return []
        path = []
        start, end = 0, size
        whole = True  # what is left of the old tree is a whole subtree of it, whose hash the verifier has
        while end != old:
            middle = start + _split(end - start)
            if old <= middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(start, middle))
                start = middle
                whole = False
        if not whole:
            path.append(self._subtree(start, end))
        path.reverse()
        return path

    def _size(self, size: int | None) -> int:
        if size is None:
            return self.size
        if not 0 <= size <= self.size:
            raise ValueError("the tree never had that size")
        return size

    @abstractmethod
    def _node(self, height: int, index: int) -> bytes:
        """Return the hash of a complete subtree: of leaves index · 2**height and on, 2**height of them."""

    def _edge_from(self, start: int, size: int) -> bytes:
        if size != self._edge_size:
            self._edge, self._edge_size = {}, size
        node = self._edge.get(start)
        if node is None:
            node = self._edge[start] = self._subtree(start, size)
        return node

    def _subtree(self, start: int, end: int) -> bytes:
        """Return the hash over leaves start … end-1, where `start` is a multiple of every part's size."""
        result = b""
        while start < end:
            # The smallest complete subtree that ends at `end`; those before it go on its left.
            height = ((end - start) & (start - end)).bit_length() - 1
            end -= 1 << height
            node = self._node(height, end >> height)
            result = node_hash(node, result) if result else node
        return result


class Tree(AnyTree):
    """A growing tree.

    Args:
        leaf_hashes: What it begins with.
        level: Makes what the hashes of a level are kept in.
    """

    __slots__ = ("_level", "_levels")

    def __init__(self, leaf_hashes: Iterable[bytes] = (), *, level: Callable[[], Level] = bytearray) -> None:
        super().__init__()
        # Level k holds, one after the other, the hashes of the complete subtrees of 2**k leaves.
        self._level = level
        self._levels = [level()]
        self.extend(leaf_hashes)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf, given by its hash."""
        self.extend((leaf_hash,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add leaves, given by their hashes, in order."""
        added = list(leaf_hashes)
        if any(len(one) != HASH_BYTES for one in added):
            raise ValueError("a leaf hash has 32 bytes")
        below = self._levels[0]
        below += b"".join(added)
        height = 1
        while len(below) >= PAIR_BYTES:
            if height == len(self._levels):
                self._levels.append(self._level())
            above = self._levels[height]
            start, end = 2 * len(above), len(below) // PAIR_BYTES * PAIR_BYTES
            if start == end:
                return
            above += b"".join(
                [
                    sha256(b"\x01" + below[at : at + PAIR_BYTES]).digest()
                    for at in range(start, end, PAIR_BYTES)
                ]
            )
            below = above
            height += 1

    def hashes(self, height: int, start: int, count: int) -> bytes:
        """Return the hashes of complete subtrees of 2**height leaves, one after the other."""
        if not 0 <= start <= start + count <= self.size >> height:
            raise ValueError("the tree has no such subtrees")
        if not count:
            return b""
        return bytes(self._levels[height][start * HASH_BYTES : (start + count) * HASH_BYTES])

    def _node(self, height: int, index: int) -> bytes:
        at = index * HASH_BYTES
        return bytes(self._levels[height][at : at + HASH_BYTES])


class Frontier:
    """A growing tree of which only the present root is wanted: it keeps O(log n) hashes and no leaf."""

    __slots__ = ("_size", "_subtrees")

    def __init__(self) -> None:
        # The roots of the complete subtrees that the leaves fall into, the largest first.
        self._subtrees: list[bytes] = []
        self._size = 0

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._size

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add leaves, given by their hashes, in order."""
        subtrees = self._subtrees
        for leaf_hash in leaf_hashes:
            node, whole = leaf_hash, self._size
            while whole & 1:
                node = sha256(b"\x01" + subtrees.pop() + node).digest()
                whole >>= 1
            subtrees.append(node)
            self._size += 1

    def root(self) -> bytes:
        """Return the root over all leaves."""
        if not self._subtrees:
            return EMPTY_ROOT
        *others, result = self._subtrees
        for left in reversed(others):
            result = node_hash(left, result)
        return result


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def root_by_path(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root over `size` leaves to which `path` leads from this leaf at `index`, or None."""
    if not 0 <= index < size or len(leaf_hash) != HASH_BYTES:
        return None
    position, last = index, size - 1
    result = leaf_hash
    for sibling in path:
        if last == 0 or len(sibling) != HASH_BYTES:
            return None
        if position & 1 or position == last:
            result = sha256(b"\x01" + sibling + result).digest()
            # A last node without a right sibling stands for itself on the levels above.
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            result = sha256(b"\x01" + result + sibling).digest()
        position >>= 1
        last >>= 1
    return result if last == 0 else None


def verify_inclusion(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Does `path` lead from this leaf at `index` to the root over `size` leaves?  (Section 2.1.3.2.)"""
    return root_by_path(leaf_hash, index, size, path) == root


def verify_consistency(old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]) -> bool:
    """Does `path` show that the tree of `size` leaves begins with the tree of `old`?  (Section 2.1.4.2.)

    Every tree begins with the empty one, whose root is known and whose path is empty.
    """
    if not 0 <= old <= size or not _are_hashes((old_root, root, *path)):
        return False
    if old == size:
        return not path and old_root == root and (size > 0 or root == EMPTY_ROOT)
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    # An old tree that is one complete subtree is its own first node, which the path leaves out.
    nodes = list(path) if old & (old - 1) else [old_root, *path]
    if not nodes:
        return False
    position, last = old - 1, size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    of_old = of_all = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            of_old = node_hash(node, of_old)
            of_all = node_hash(node, of_all)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            of_all = node_hash(of_all, node)
        position >>= 1
        last >>= 1
    return last == 0 and of_old == old_root and of_all == root


def _are_hashes(nodes: Iterable[bytes]) -> bool:
    return all(len(node) == HASH_BYTES for node in nodes)
