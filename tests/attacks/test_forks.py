"""Whoever holds the log's key tries to have another history cosigned: forks, roll-backs, guessed proofs.

Three witnesses cosign an honest log as it grows.  Between its checkpoints each is offered what denies it,
signed by the log's own key, with proofs that are right for the wrong tree, or wrong, or made up.
None is ever cosigned.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from adapters.witness.judging import Denied, Submission
from broker.core.merkle import HASH_BYTES, Tree, leaf_hash
from broker.core.note import TreeHead
from tests.nodes import LocalHub, OtherHub
from tests.witnesses import WitnessNode, witness_node
from tests.world import World

MEMBERS = ("vn", "jp", "nl")
QUICK, MANY = 240, 6_000


class Honest:
    """The log as it is, and what its operator makes of it for one witness."""

    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._entries: list[bytes] = []
        self.tree = Tree()
        self.shown: list[bytes] = []

    def grow(self) -> bytes:
        """Add some leaves and return the checkpoint over them."""
        fresh = [self._chance.randbytes(33) for _ in range(self._chance.randint(1, 12))]
        self._entries += fresh
        self.tree.extend(map(leaf_hash, fresh))
        self.shown.append(self.sign(self.tree))
        return self.shown[-1]

    def sign(self, tree: Tree, size: int | None = None) -> bytes:
        size = tree.size if size is None else size
        return self._world.log_signer.sign_checkpoint(size, tree.root(size), self._world.clock.now())

    def attack(self, latest: TreeHead) -> tuple[str, Submission]:
        """Return something that must not be cosigned by whoever cosigned `latest`, and its kind."""
        chance = self._chance
        kind = chance.choice(
            ("changed", "dropped", "inserted", "reordered", "rolled back", "replayed", "guessed")
        )
        at = chance.randrange(latest.size)
        entries = list(self._entries)
        match kind:
            case "changed":
                entries[at] = chance.randbytes(33)
            case "dropped":
                del entries[at]
            case "inserted":
                entries.insert(at, chance.randbytes(33))
            case "reordered":
                other = chance.randrange(latest.size - 1)
                other += other >= at
                entries[at], entries[other] = entries[other], entries[at]
            case "rolled back":
                size = chance.randint(1, latest.size - 1)
                old = chance.choice((size, latest.size, chance.randint(0, size)))
                path = self.tree.consistency_path(min(old, size), size)
                return kind, Submission(old, tuple(path), self.sign(self.tree, size))
            case "replayed":
                note = chance.choice(self.shown)
                size = self._world.log_signer.key.open_checkpoint(note).size
                if size == latest.size:
                    return kind, Submission(size + 1, (), note)
                old = chance.randint(0, size)
                return kind, Submission(old, tuple(self.tree.consistency_path(old, size)), note)
            case _:
                return kind, Submission(latest.size, self._guess(latest.size), self._later())
        more = [chance.randbytes(33) for _ in range(chance.choice((0, 0, 1, 5)))]
        fork = Tree(map(leaf_hash, entries + more))
        size = (
            fork.size if fork.size >= latest.size and chance.random() < 0.8 else min(latest.size, fork.size)
        )
        old = min(latest.size, size)
        return kind, Submission(latest.size, self._path(fork, old, size), self.sign(fork, size))

    def _later(self) -> bytes:
        """A true checkpoint that the witness has not cosigned: only its proof is wrong."""
        grown = Tree(map(leaf_hash, self._entries))
        grown.extend(leaf_hash(self._chance.randbytes(33)) for _ in range(self._chance.randint(1, 9)))
        self._grown = grown
        return self.sign(grown)

    def _path(self, tree: Tree, old: int, size: int) -> tuple[bytes, ...]:
        """A path that is right for the fork, or for the honest log, or for neither."""
        right = tree.consistency_path(old, size)
        if self._chance.random() < 0.6:
            return tuple(right)
        if self._chance.random() < 0.5 and size <= self.tree.size:
            return tuple(self.tree.consistency_path(old, size))
        return self._guess(old)

    def _guess(self, old: int) -> tuple[bytes, ...]:
        chance = self._chance
        path = list(self.tree.consistency_path(chance.randint(1, old), self.tree.size))
        match chance.randrange(5):
            case 0:
                return tuple(chance.randbytes(HASH_BYTES) for _ in range(chance.randint(0, 63)))
            case 1:
                return tuple(path[::-1])
            case 2:
                return tuple(path[:-1])
            case 3:
                return (*path, *path)[:63]
            case _:
                return tuple(bytes([each[0] ^ 1]) + each[1:] for each in path)


class Shown(OtherHub):
    """Answers for the honest log: a witness that asks the hub is not lied to, whoever submits."""

    log: Honest

    async def consistency(self, old: int, new: int) -> list[bytes] | None:
        return self.log.tree.consistency_path(old, new)


async def attacked(tmp_path: Path, count: int, seed: int) -> Mapping[str, Counter[int]]:
    """Attack each of three witnesses so often; return by kind which statuses came back."""
    chance = Random(seed)
    found: dict[str, Counter[int]] = {}
    async with World(tmp_path, *MEMBERS) as world:
        hubs: list[Shown] = []

        def wrap(hub: LocalHub) -> Shown:
            hubs.append(Shown(hub))
            return hubs[-1]

        nodes = [witness_node(world, member, tmp_path, wrap=wrap) for member in MEMBERS]
        log = Honest(world, chance)
        for hub in hubs:
            hub.log = log
        while sum(sum(each.values()) for each in found.values()) < count * len(nodes):
            note = log.grow()
            for node in nodes:
                await honest(node, log, note)
            for node in nodes * 8:
                latest = node.witness.latest()
                assert latest is not None
                if latest.size < 3:
                    continue
                kind, submission = log.attack(latest)
                answer = await node.witness.add(submission)
                assert isinstance(answer, Denied), (seed, kind)
                assert node.witness.latest() == latest, (seed, kind)
                found.setdefault(kind, Counter())[answer.status] += 1
    return found


async def honest(node: WitnessNode, log: Honest, note: bytes) -> None:
    latest = node.witness.latest()
    old = 0 if latest is None else latest.size
    answer = await node.witness.add(Submission(old, tuple(log.tree.consistency_path(old)), note))
    assert not isinstance(answer, Denied)


async def test_no_other_history_is_cosigned_by_any_of_three_witnesses(tmp_path: Path) -> None:
    found = await attacked(tmp_path, QUICK // len(MEMBERS), seed=20_261_126)
    assert len(found) == 7
    statuses = Counter[int]()
    for each in found.values():
        statuses += each
    assert set(statuses) == {400, 409, 422}, "each way in was tried"


@pytest.mark.soak
async def test_none_of_thousands_of_other_histories_is_cosigned(tmp_path: Path) -> None:
    seed = int(os.environ.get("HALONG_SEED", "0")) or Random().randrange(1 << 32)
    found = await attacked(tmp_path, MANY, seed)
    assert sum(sum(each.values()) for each in found.values()) >= len(MEMBERS) * 5_000
    print({kind: dict(each) for kind, each in sorted(found.items())}, "seed", seed)
