"""What a checkpoint must be that a node goes by, and which times it may say: each rule by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from adapters.receiving.checks import check_checkpoint
from adapters.receiving.times import check_times
from broker.core.errors import BadProof
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.note import LogSigner, TreeHead
from broker.core.wire import Covering

LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))
TREE = Tree(leaf_hash(bytes([n])) for n in range(9))
AT = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a node has seen before."""

    roots: Mapping[int, bytes] = field(default_factory=dict)
    below: tuple[int, bytes] | None = None
    above: tuple[int, bytes] | None = None

    def root_at(self, size: int) -> bytes | None:
        """Return the root that was seen for a size."""
        return self.roots.get(size)

    def notes_around(self, _size: int) -> tuple[tuple[int, bytes] | None, tuple[int, bytes] | None]:
        """Return the nearest that were seen."""
        return self.below, self.above


def note(size: int, at: int = AT) -> bytes:
    return LOG.sign_checkpoint(size, TREE.root(size), at)


def covering(size: int, at: int = AT, path: list[bytes] | None = None) -> Covering:
    return Covering(note(size, at), TREE.consistency_path(size, 8) if path is None else path)


def times(seen: Remembered, *covered: Covering) -> tuple[tuple[int, int], ...]:
    return check_times(note(8), TreeHead(8, TREE.root(8)), covered, LOG.key, seen).trees


def test_a_size_has_one_root() -> None:
    known = {8: TREE.root(8)}
    assert check_checkpoint(note(8), LOG.key, None, known.get).size == 8
    with pytest.raises(BadProof):
        check_checkpoint(note(8), LOG.key, None, {8: TREE.root(7)}.get)
    assert times(Remembered({5: TREE.root(5)}), covering(5)) == ((5, AT), (8, AT))
    with pytest.raises(BadProof):
        times(Remembered({5: TREE.root(7)}), covering(5))


@pytest.mark.parametrize("earlier", [covering(0, path=[]), covering(8, path=[])], ids=["empty", "the same"])
def test_what_covers_is_a_smaller_tree_that_has_leaves(earlier: Covering) -> None:
    with pytest.raises(BadProof) as refused:
        times(Remembered(), earlier)
    assert refused.value.field == "covered"


def test_time_does_not_go_back_on_either_side_of_what_was_seen() -> None:
    assert times(Remembered(below=(7, note(7, AT)), above=(9, note(9, AT)))) == ((8, AT),)
    for seen in (Remembered(below=(7, note(7, AT + 1000))), Remembered(above=(9, note(9, AT - 1000)))):
        with pytest.raises(BadProof) as refused:
            times(seen)
        assert refused.value.field == "checkpoint"
