"""Counts what a hub's log holds, and verifies it, by reading topics alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from broker.core.merkle import Tree, leaf_hash
from broker.core.model import Checkpoint, Leaf
from broker.core.note import LogKey
from broker.core.records import unframe
from broker.log import Log, Partition, Stored
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES, FOLLOWED
from broker.services.sequencer import entry_of


async def records(log: Log, *topics: str) -> Mapping[Partition, Sequence[Stored]]:
    """Return all records of topics; names may end in `*`."""
    found: dict[Partition, list[Stored]] = {}
    for partition, end in (await log.ends(topics)).items():
        here = found.setdefault(partition, [])
        while (start := here[-1].offset + 1 if here else 0) < end:
            page = await log.read(partition, start, 1024)
            if not page:
                break
            here += page
    return found


async def verify_log(log: Log, log_key: str) -> None:
    """Fail unless every record has exactly one leaf, in order, and every checkpoint is signed over them."""
    written = await records(log, *FOLLOWED)
    leaves = [
        unframe(Leaf, stored.value) for stored in (await records(log, AUDIT_LEAVES))[Partition(AUDIT_LEAVES)]
    ]
    assert [leaf.index for leaf in leaves] == list(range(len(leaves)))
    by_partition: dict[Partition, list[tuple[int, bytes]]] = {}
    for leaf in leaves:
        by_partition.setdefault(Partition(leaf.topic, leaf.partition), []).append((leaf.offset, leaf.entry))
    assert by_partition == {
        partition: [(stored.offset, entry_of(stored)) for stored in here]
        for partition, here in written.items()
        if here
    }
    tree = Tree(leaf_hash(leaf.entry) for leaf in leaves)
    key = LogKey.parse(log_key)
    checkpoints = [
        unframe(Checkpoint, stored.value)
        for stored in (await records(log, AUDIT_CHECKPOINTS))[Partition(AUDIT_CHECKPOINTS)]
    ]
    for checkpoint in checkpoints:
        assert checkpoint.root == tree.root(checkpoint.size)
        assert key.open_checkpoint(checkpoint.note) == (checkpoint.size, checkpoint.root)
    assert checkpoints[-1].size == tree.size
    # Members may say the same again, in a statement (1) or a receipt (4); what the hub wrote it wrote once.
    assert max(Counter(leaf.entry for leaf in leaves if leaf.entry[0] not in (1, 4)).values()) == 1
