"""Computes the log's root again from what lies in topics, and holds each record against its leaf.

Imports nothing of ours, as `counting` does not.  A reader of one engine's raw bytes (`raw_sqlite`,
`raw_kafka`) hands over what lies in the topics; nothing may have been erased from them.

Source: docs/formats.md, "The log"; RFC 9162 section 2.1; C2SP tlog-checkpoint.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from tests.faults.counting import FRAME_BYTES, read_bytes, read_long, read_text

LEAVES, CHECKPOINTS = "audit.leaves", "audit.checkpoints"
KINDS = {
    "notices": (1, "statement"),
    "decisions": (2, "decision"),
    "inbox": (3, "delivery"),
    "receipts": (4, "receipt"),
    "refusals": (5, "refusal"),
    "directory": (6, "directory"),
    "reads": (7, "read"),
    "erasures": (8, "erasure"),
    "heads": (9, "head"),
}
"""What becomes a leaf: by the first word of the topic, the leaf's type and the kind that its name is of."""
ENTRY_BYTES = 33

Place = tuple[str, int, int]
"""Topic, partition and offset."""


@dataclass(frozen=True, slots=True)
class Lying:
    """A record where it lies."""

    place: Place
    value: bytes


@dataclass(slots=True)
class Tree:
    """The tree over the leaves so far: its complete subtrees, with their heights, from left to right."""

    size: int = 0
    edge: list[tuple[int, bytes]] | None = None

    def add(self, entry: bytes) -> None:
        """Add the next leaf."""
        edge = self.edge = self.edge or []
        height, node = 0, sha256(b"\0" + entry).digest()
        while edge and edge[-1][0] == height:
            node = sha256(b"\1" + edge.pop()[1] + node).digest()
            height += 1
        edge.append((height, node))
        self.size += 1

    def root(self) -> bytes:
        """Return the root."""
        if not self.edge:
            return sha256(b"").digest()
        node = self.edge[-1][1]
        for _, left in reversed(self.edge[:-1]):
            node = sha256(b"\1" + left + node).digest()
        return node


def wrong_in(read: Callable[[str], Iterable[Lying]], size: int, root: bytes) -> list[str]:
    """Return what does not fit in a log that somebody says to have this root at this size.

    Args:
        read: Reads the topics whose names begin so, each partition in its order; the hub may run.
        size: The leaves under a checkpoint.
        root: What they come to, as somebody else computed it.
    """
    # In this order: whatever each names is then there to be read.
    signed = [_checkpoint(each.value) for each in read(CHECKPOINTS)]
    leaves = [_leaf(each.value) for each in read(LEAVES)]
    records = {
        each.place: _entry(each) for kind in KINDS for each in read(kind) if _kind(each.place[0]) == kind
    }
    return [
        *_numbered([index for index, _, _ in leaves]),
        *_named([place for _, _, place in leaves], records.keys()),
        *(f"leaf {index} is of another record" for index, entry, place in leaves
          if records.get(place, entry) != entry),
        *_rooted([entry for _, entry, _ in leaves], [*signed, (size, root)]),
    ]  # fmt: skip


def _numbered(indexes: list[int]) -> list[str]:
    return [] if indexes == list(range(len(indexes))) else ["leaves are not numbered one by one"]


def _named(named: list[Place], lying: Iterable[Place]) -> list[str]:
    """Look whether each record has one leaf; what came behind a partition's last leaf may still wait."""
    counted = Counter(named)
    last: dict[tuple[str, int], int] = {}
    for topic, number, offset in named:
        last[topic, number] = max(offset, last.get((topic, number), -1))
    there = set(lying)
    return [
        *(f"{place} has {count} leaves" for place, count in counted.items() if count > 1),
        *(f"{place} has a leaf and is not there" for place in counted.keys() - there),
        *(f"{place} has no leaf" for place in there - counted.keys() if place[2] < last.get(place[:2], -1)),
    ]


def _rooted(entries: list[bytes], signed: list[tuple[int, bytes]]) -> list[str]:
    tree, wrong = Tree(), []
    for size, root in sorted(signed):
        if size > len(entries):
            wrong.append(f"{size} leaves are signed, and {len(entries)} there")
            break
        for entry in entries[tree.size : size]:
            tree.add(entry)
        if tree.root() != root:
            wrong.append(f"at {size} leaves the root is another")
    return wrong


# --- reading what lies in a topic ---------------------------------------------------------------------


def _kind(topic: str) -> str:
    return topic.partition(".")[0]


def _entry(record: Lying) -> bytes:
    """Return the leaf that a record must have."""
    number, name = KINDS[_kind(record.place[0])]
    data = record.value if name == "directory" else record.value[FRAME_BYTES:]
    if name in ("statement", "delivery"):
        # Both begin with the bytes that name them.
        data, _ = read_bytes(data, 0)
    return bytes((number,)) + sha256(f"halong/{name}/1\0".encode() + data).digest()


def _leaf(value: bytes) -> tuple[int, bytes, Place]:
    index, at = read_long(value, FRAME_BYTES)
    entry, at = value[at : at + ENTRY_BYTES], at + ENTRY_BYTES
    topic, at = read_text(value, at)
    number, at = read_long(value, at)
    offset, _ = read_long(value, at)
    return index, entry, (topic, number, offset)


def _checkpoint(value: bytes) -> tuple[int, bytes]:
    """Return size and root that the note of a checkpoint says, which the record says as well."""
    size, at = read_long(value, FRAME_BYTES)
    root, at = value[at : at + 32], at + 32
    note, _ = read_bytes(value, at)
    _, said_size, said_root = note.split(b"\n", 3)[:3]
    if (size, root) != (int(said_size), base64.b64decode(said_root)):
        raise ValueError("a checkpoint says another size or root than its note")
    return size, root
