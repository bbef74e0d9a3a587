"""The checkpoints that first covered what the log holds, for answers that come long after.

A member judges a decision's time by the first checkpoint over it.  While that is near the newest one, the
newest says enough; for what is fetched later, the earlier one goes along.  Decides which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.core.model import Checkpoint
from broker.core.timely import COVERED_WITHIN_MS
from broker.log.scratch import Scratch

ENOUGH_MS = COVERED_WITHIN_MS // 2
"""A checkpoint so near to the first one says as much: a decision is covered in seconds."""


@dataclass(frozen=True, slots=True)
class Covering:
    """A published checkpoint: its size, where its record stands, and when it was signed."""

    size: int
    offset: int
    signed_at: int


class Coverings:
    """Every published checkpoint, in order.

    Args:
        scratch: Where what is not recent is kept.
    """

    def __init__(self, scratch: Scratch) -> None:
        self._sizes = scratch.numbers()
        self._offsets = scratch.numbers()
        self._times = scratch.numbers()
        self._last = 0

    def add(self, offset: int, checkpoint: Checkpoint) -> None:
        """Take in a checkpoint that was read back; one that covers no more than the last says nothing."""
        if checkpoint.size > self._last:
            self._last = checkpoint.size
            self._sizes.append(checkpoint.size)
            self._offsets.append(offset)
            self._times.append(checkpoint.signed_at)

    def first(self, index: int) -> Covering | None:
        """Return the first checkpoint that covers a leaf."""
        place = self._sizes.place_of(index + 1)
        if place >= len(self._sizes):
            return None
        return Covering(self._sizes[place], self._offsets[place], self._times[place])

    def beside(self, indexes: Iterable[int], newest: Checkpoint) -> Sequence[Covering]:
        """Return the checkpoints that an answer under `newest` needs beside it, for leaves that ascend."""
        chosen: list[Covering] = []
        for index in indexes:
            first = self.first(index)
            if first is None or newest.signed_at - first.signed_at <= ENOUGH_MS:
                # Those after it were covered later still.
                break
            if not chosen or chosen[-1].size <= index or chosen[-1].signed_at - first.signed_at > ENOUGH_MS:
                chosen.append(first)
        return chosen
