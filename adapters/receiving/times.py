"""When the log took something in: what a node believes of the times that checkpoints bear.

A time is the log's own word, signed by its key.  What makes it more than a word is that it is given once: the
times of a log never go back as it grows, over all that this node ever saw.  A hub that has shown a checkpoint
of today cannot take in anything with yesterday's date any more, and one that tries has signed both.  Not
proved is that the hub's clock is right, nor that a checkpoint was shown to anybody when it was signed.

Decides which time a leaf is judged by.  How near a decision must be is in `broker.core.timely`.

Source: docs/formats.md, "When a key counts"; c2sp.org/tlog-cosignature v1.0.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from broker.core.errors import BadProof
from broker.core.merkle import verify_consistency
from broker.core.model import Decision
from broker.core.note import LogKey, TreeHead
from broker.core.timely import check_timely
from broker.core.wire import Covering, StatementStatus

MOST_COVERED = 1024
"""Earlier checkpoints in one answer: each costs two signatures to look at."""


class Seen(Protocol):
    """The checkpoints that this node remembers."""

    def root_at(self, size: int) -> bytes | None:
        """Return the root that was seen for a size."""
        ...

    def notes_around(self, size: int) -> tuple[tuple[int, bytes] | None, tuple[int, bytes] | None]:
        """Return size and note of the nearest that were seen: not above `size`, and not below."""
        ...


@dataclass(frozen=True, slots=True)
class Times:
    """When the log signed trees, by their sizes, ascending; the last is the tree of the answer."""

    trees: tuple[tuple[int, int], ...]

    def covered(self, index: int, at: int) -> int:
        """Return, of the times at which the log had a leaf, the one that is nearest to `at`.

        The first would do, but a hub need not send it where another says as much.
        """
        held = (signed_at for size, signed_at in self.trees if size > index)
        return min(held, key=lambda each: abs(each - at))


def check_times(
    note: bytes, tree: TreeHead, covered: Sequence[Covering], log_key: LogKey, seen: Seen
) -> Times:
    """Return the times that an answer shows, if they can be those of the one log that was seen.

    Args:
        note: The answer's checkpoint, which `check_checkpoint` let pass.
        tree: Its tree.
        covered: The earlier checkpoints that go along.
        log_key: The pinned key of the log.
        seen: What was shown before.

    Raises:
        BadProof: A time is not the log's, or goes back.
    """
    # 1. The answer's own checkpoint bears a time, and no more others go along than can be of use.
    found = {tree.size: log_key.signed_at(note)}
    if len(covered) > MOST_COVERED:
        raise BadProof(f"more than {MOST_COVERED} earlier checkpoints", field="covered")
    for each in covered:
        # 2. An earlier checkpoint is of this log …
        head = log_key.open_checkpoint(each.note)
        known = seen.root_at(head.size)
        if known is not None and known != head.root:
            raise BadProof("the log has another root at a size that was seen", field="covered")
        # 3. … and the answer's tree continues it, so every leaf that is proved there is here, too.
        if not 0 < head.size < tree.size or not verify_consistency(
            head.size, tree.size, head.root, tree.root, each.path
        ):
            raise BadProof("an earlier checkpoint is not continued by the answer's", field="covered")
        found[head.size] = log_key.signed_at(each.note)
    trees = tuple(sorted(found.items()))
    # 4. As the log grows, its time does not go back: in the answer …
    if any(later[1] < earlier[1] for earlier, later in pairwise(trees)):
        raise BadProof("the log's time goes back", field="checkpoint")
    # 5. … nor against what was seen before, on either side.
    for size, signed_at in trees:
        below, above = (_time_of(log_key, each) for each in seen.notes_around(size))
        if (below is not None and signed_at < below) or (above is not None and signed_at > above):
            raise BadProof("the log's time goes back from what was seen", field="checkpoint")
    return Times(trees)


def check_when_decided(
    status: StatementStatus, decision: Decision, tree: TreeHead, log_key: LogKey, seen: Seen
) -> None:
    """Let a decision about our own statement pass whose time the log bears out.

    Args:
        status: What the hub answered; `check_statement` let it pass.
        decision: The decision in it.
        tree: The tree of its checkpoint.
        log_key: The pinned key of the log.
        seen: What was shown before.

    Raises:
        BadProof: A time is not the log's, or goes back.
        Untimely: The log took the decision in at another time.
    """
    assert status.checkpoint is not None
    assert status.decision_inclusion is not None
    covered = [status.covered] if status.covered is not None else []
    times = check_times(status.checkpoint, tree, covered, log_key, seen)
    check_timely(decision.decided_at, times.covered(status.decision_inclusion.index, decision.decided_at))


def _time_of(log_key: LogKey, seen: tuple[int, bytes] | None) -> int | None:
    return None if seen is None else _time(log_key, seen[1])


@lru_cache(maxsize=64)  # of one answer after the other, the same few are nearest
def _time(log_key: LogKey, note: bytes) -> int | None:
    try:
        return log_key.signed_at(note)
    except BadProof:
        # Kept from a time when checkpoints bore none.
        return None
