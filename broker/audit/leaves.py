"""The log's leaves in the index, and what is proved from them.

Decides under which checkpoint something is proved: the newest one whose note the log's key signed and whose
root the leaves have.  Every path is checked before it is handed out.

Source: RFC 9162 section 2.1 (`broker.core.merkle`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from broker.audit.base import Base, Doubted
from broker.core.errors import BadProof
from broker.core.merkle import AnyTree, Tree, leaf_hash, node_hash, verify_inclusion
from broker.core.model import Checkpoint, Leaf
from broker.core.note import LogKey

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
"""So many leaves are hashed anew for an answer; the hashes of all that are larger are kept."""


@dataclass(frozen=True, slots=True)
class Named:
    """The checkpoint under which something is proved."""

    size: int
    root: bytes
    signed_at: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Proved:
    """A record's leaf and its path to a checkpoint; `first_signed_at` is of the first one that covers it."""

    leaf: int
    entry: bytes
    path: tuple[bytes, ...]
    first_signed_at: int | None


class Leaves(AnyTree):
    """The tree over the leaves that the index has.

    Args:
        base: The index.
    """

    def __init__(self, base: Base) -> None:
        super().__init__()
        self._base = base
        self._tile: tuple[int, Tree] = (-1, Tree())
        self.reload()

    def reload(self) -> None:
        """Look again at what the index has: a step was not completed."""
        row = self._base.row("SELECT max(n) FROM leaf")
        self._count = row[0] + 1 if row is not None and row[0] is not None else 0
        start = self._count - self._count % WIDTH
        rows = self._base.rows("SELECT entry FROM leaf WHERE n >= ? ORDER BY n", start)
        self._hashes = [leaf_hash(entry) for (entry,) in rows]
        if len(self._hashes) != self._count - start:
            raise Doubted
        self._tile = (-1, Tree())
        self._edge, self._edge_size = {}, 0

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._count

    # --- taking in ------------------------------------------------------------------------------------

    def take(self, leaf: Leaf, at: int) -> None:
        """Take the next leaf, which stands at offset `at` of its topic.

        Raises:
            Doubted: It is another than the next.
        """
        if leaf.index != self._count:
            raise Doubted
        self._base.run("INSERT INTO leaf VALUES (?, ?, ?)", leaf.index, leaf.entry, at)
        self._hashes.append(leaf_hash(leaf.entry))
        self._count += 1
        if len(self._hashes) == WIDTH:
            self._rise(Tree(self._hashes).root())
            self._hashes = []

    def _rise(self, node: bytes) -> None:
        height, number = HEIGHT, self._count // WIDTH - 1
        self._keep(height, number, node)
        while number & 1:
            node = node_hash(self._node(height, number - 1), node)
            height, number = height + 1, number >> 1
            self._keep(height, number, node)

    def _keep(self, height: int, number: int, node: bytes) -> None:
        self._base.run("INSERT INTO subtree VALUES (?, ?, ?)", height, number, node)

    def take_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take a checkpoint; whose it is and whether it fits is judged when it is used."""
        self._base.run(
            "INSERT OR IGNORE INTO checkpoint VALUES (?, ?, ?, ?)",
            checkpoint.size, checkpoint.root, checkpoint.signed_at, checkpoint.note,
        )  # fmt: skip

    # --- proving ---------------------------------------------------------------------------------------

    def _node(self, height: int, index: int) -> bytes:
        if height >= HEIGHT:
            row = self._base.row("SELECT hash FROM subtree WHERE height = ? AND n = ?", height, index)
            if row is None:
                raise Doubted
            return bytes(row[0])
        start = index << height
        tile = start // WIDTH
        first = start - tile * WIDTH
        # The last one has grown since, if leaves were taken.
        if self._tile[0] != tile or first + (1 << height) > self._tile[1].size:
            rows = self._base.rows(
                "SELECT entry FROM leaf WHERE n >= ? AND n < ? ORDER BY n", tile * WIDTH, (tile + 1) * WIDTH
            )
            self._tile = tile, Tree(leaf_hash(entry) for (entry,) in rows)
        if first + (1 << height) > self._tile[1].size:
            raise Doubted
        return self._tile[1].hashes(height, first >> height, 1)

    def newest(self, key: LogKey) -> Named | None:
        """Return the newest checkpoint that counts, None if nothing is signed yet.

        Raises:
            BadProof: The newest one over these leaves is not the log's, or has another root.
        """
        row = self._base.row(
            "SELECT size, root, signed_at, note FROM checkpoint WHERE size <= ? ORDER BY size DESC LIMIT 1",
            self._count,
        )
        if row is None:
            return None
        named = Named(*row)
        # 1. The log's key signed this size and this root.
        if key.open_checkpoint(named.note) != (named.size, named.root):
            raise BadProof("the signed note says another size or root than the record", field="checkpoint")
        # 2. The leaves come to this root.
        if named.size and self.root(named.size) != named.root:
            raise BadProof("the stored leaves have another root than the checkpoint", field="checkpoint")
        return named

    def proved(self, entry: bytes, under: Named | None) -> Proved | None:
        """Return the leaf with this entry and its path, None if the checkpoint does not cover it.

        Raises:
            BadProof: The path does not lead to the checkpoint.
        """
        if under is None:
            return None
        row = self._base.row(
            "SELECT n FROM leaf WHERE entry = ? AND n < ? ORDER BY n LIMIT 1", entry, under.size
        )
        if row is None:
            return None
        path: Sequence[bytes] = self.inclusion_path(row[0], under.size)
        if not verify_inclusion(leaf_hash(entry), row[0], under.size, path, under.root):
            raise BadProof("the path does not lead to the checkpoint", field="leaf")
        first = self._base.row(
            "SELECT signed_at FROM checkpoint WHERE size > ? ORDER BY size LIMIT 1", row[0]
        )
        return Proved(row[0], entry, tuple(path), None if first is None else first[0])
