"""Holds what an `Erasure` says against what lies in the topics: the contents of its statement must be gone.

Decides when something that still lies there is wrong.  What lay there before the erasure must have been
replaced in the same step: behind it, under its key, stands what is left.  Until a cluster's cleaner takes
the bytes, or somebody's repetition is erased again, an hour may pass, by the log's own time.

Source: docs/erasure.md, "Until the bytes are gone".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from broker.commands.recount import INBOX, NOTICES, Finding, Signed
from broker.core.model import Delivery, DeliveryHead, Envelope, Erasure
from broker.core.records import decode, unframe
from broker.log import Stored
from broker.log.topics import ERASURES

GONE_WITHIN_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class _Whole:
    """Contents that lie there, and the leaf of their record."""

    stored: Stored
    statement: bytes
    index: int


class Remaining:
    """Takes records in the order of their partitions, the erasures first.

    Args:
        signed: The checkpoints, by which time is told.
    """

    def __init__(self, signed: Sequence[Signed]) -> None:
        self._sizes = [each.size for each in signed]
        self._times = [each.signed_at for each in signed]
        self._erased: dict[bytes, int] = {}
        self._whole: list[_Whole] = []
        self._left: dict[bytes, int] = {}

    def see(self, stored: Stored, index: int) -> None:
        """Take the next record of a partition, which has this leaf.

        Raises:
            NotCanonical: It cannot be read.
        """
        topic = stored.partition.topic
        if topic == ERASURES:
            self._erased.setdefault(unframe(Erasure, stored.value).statement, index)
        elif not self._erased:
            return
        elif topic.startswith(NOTICES) and stored.key in self._erased:
            envelope = unframe(Envelope, stored.value)
            whole = bool(envelope.disclosures or envelope.sealed or envelope.wraps)
            self._note(stored, stored.key, index, whole=whole)
        elif topic.startswith(INBOX):
            delivery = unframe(Delivery, stored.value)
            statement = decode(DeliveryHead, delivery.head).statement
            if statement in self._erased:
                whole = delivery.envelope is not None or bool(delivery.proofs)
                self._note(stored, statement, index, whole=whole)

    def _note(self, stored: Stored, statement: bytes, index: int, *, whole: bool) -> None:
        if whole:
            self._whole.append(_Whole(stored, statement, index))
        else:
            self._left[stored.key] = stored.offset

    def found(self) -> Iterator[Finding]:
        """Yield what is wrong in the partition that ends here."""
        for each in self._whole:
            erased = self._erased[each.statement]
            partition, offset = each.stored.partition, each.stored.offset
            where = f"{partition.topic}/{partition.number} at {offset}"
            replaced = self._left.get(each.stored.key, -1) > offset
            if each.index < erased and not replaced:
                yield Finding(where, "the content is there, and the log says that it was erased")
            elif self._age(max(each.index, erased)) > GONE_WITHIN_MS:
                yield Finding(where, "the content is there an hour after it was to be gone")
        self._whole.clear()
        self._left.clear()

    def _age(self, index: int) -> int:
        """Return how long before the last checkpoint a leaf was first signed."""
        first = bisect_right(self._sizes, index)
        return self._times[-1] - self._times[first] if first < len(self._times) else 0
