"""How fast statements go, and what waits: for a checkpoint, and for a member's receipt.

Fed by the ledger with what it reads of the log, so that it is right also after a start.  It answers nobody
but the metrics; what it holds is what waits, and one time for each region.  What was sent to members is on
disk: one without a node never says that it got anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from broker.core.model import Decision
from broker.log.scratch import Column, Numbers, Scratch
from broker.services.metrics import Metrics

NOTICES = "notices."
ID_BYTES = 32
KEPT = 512
"""Deliveries of each member that are in memory, or twice as many."""


@dataclass(slots=True)
class _Inbox:
    """Deliveries to one member in their order: ids, and when they were decided.

    Before `done` all have receipts, `receipted` have in all.
    """

    ids: Column
    decided_at: Numbers
    done: int = 0
    receipted: int = 0

    def next_id(self) -> bytes | None:
        """Return the first delivery that may have no receipt."""
        return bytes(self.ids[self.done * ID_BYTES : (self.done + 1) * ID_BYTES]) or None


class Pace:
    """Follows decisions on their way.

    Args:
        metrics: Where times are shown.
        scratch: Where deliveries are kept.
        is_receipted: Says whether there is a receipt for a delivery.
    """

    def __init__(self, metrics: Metrics, scratch: Scratch, is_receipted: Callable[[bytes], bool]) -> None:
        self._metrics = metrics
        self._uncovered: deque[tuple[int, int]] = deque()
        self._scratch = scratch
        self._is_receipted = is_receipted
        self._inboxes: dict[str, _Inbox] = {}
        # When a statement of each region was last decided.
        self.published: dict[str, int] = {}

    def published_in(self, topic: str, at: int) -> None:
        """Take note that a statement of this topic was decided."""
        region = topic.removeprefix(NOTICES)
        self.published[region] = max(self.published.get(region, 0), at)

    def decided(self, decision: Decision, offset: int) -> None:
        """Take note of a decision, in their order."""
        at = decision.decided_at
        self._metrics.decided(decision.statement, at)
        self._uncovered.append((offset, at))
        for share in decision.shares:
            inbox = self._inbox(share.member)
            inbox.ids += share.delivery
            inbox.decided_at.append(at)

    def receipted(self, member: str) -> None:
        """Take note of the first receipt of one of the member's deliveries."""
        inbox = self._inbox(member)
        inbox.receipted += 1
        while (id_ := inbox.next_id()) is not None and self._is_receipted(id_):
            inbox.done += 1

    def covered(self, offset: int, signed_at: int | None) -> None:
        """Take note that a checkpoint covers the decisions up to `offset`; without a time measure nothing."""
        while self._uncovered and self._uncovered[0][0] <= offset:
            _, decided_at = self._uncovered.popleft()
            if signed_at is not None:
                self._metrics.covered_in.observe(max(signed_at - decided_at, 0) / 1000)

    def uncovered(self) -> tuple[int, int | None]:
        """Return how many decisions wait for a checkpoint, and when the oldest was made."""
        return len(self._uncovered), self._uncovered[0][1] if self._uncovered else None

    def waiting(self) -> Iterator[tuple[str, int, int | None]]:
        """Yield, for each member, how many deliveries wait for a receipt, and when the oldest was decided."""
        for member, inbox in self._inboxes.items():
            waiting = len(inbox.decided_at) - inbox.receipted
            yield member, waiting, inbox.decided_at[inbox.done] if waiting else None

    def _inbox(self, member: str) -> _Inbox:
        inbox = self._inboxes.get(member)
        if inbox is None:
            ids = self._scratch.column(KEPT * ID_BYTES)
            inbox = self._inboxes[member] = _Inbox(ids, self._scratch.numbers(KEPT))
        return inbox
