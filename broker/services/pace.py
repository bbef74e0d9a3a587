"""How fast statements go, and what waits: for a checkpoint, and for a member's receipt.

Fed by the ledger with what it reads of the log, so that it is right also after a start.  It answers nobody
but the metrics; what it holds is what waits, and one time for each region.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from broker.core.model import Decision
from broker.services.metrics import Metrics

NOTICES = "notices."


@dataclass(slots=True)
class _Inbox:
    """Deliveries to one member in their order, those with receipts taken out from the front on."""

    waiting: deque[tuple[bytes, int]] = field(default_factory=deque)
    receipted: set[bytes] = field(default_factory=set)


class Pace:
    """Follows decisions on their way.

    Args:
        metrics: Where times are shown.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._regions: dict[bytes, str] = {}
        self._undecided: dict[bytes, int] = {}
        self._uncovered: deque[tuple[int, int]] = deque()
        self._inboxes: dict[str, _Inbox] = {}
        self.last: dict[str, int] = {}

    def stored(self, statement: bytes, topic: str) -> None:
        """Take note of the region in which a statement stands."""
        decided_at = self._undecided.pop(statement, None)
        if decided_at is None:
            self._regions[statement] = topic.removeprefix(NOTICES)
        else:
            self._published(topic.removeprefix(NOTICES), decided_at)

    def decided(self, decision: Decision, offset: int) -> None:
        """Take note of a decision, in their order."""
        at = decision.decided_at
        self._metrics.decided(decision.statement, at)
        self._uncovered.append((offset, at))
        region = self._regions.pop(decision.statement, None)
        if region is None:
            self._undecided[decision.statement] = at
        else:
            self._published(region, at)
        for share in decision.shares:
            self._inboxes.setdefault(share.member, _Inbox()).waiting.append((share.delivery, at))

    def receipted(self, member: str, delivery: bytes) -> None:
        """Take note of the first receipt of a delivery."""
        inbox = self._inboxes.setdefault(member, _Inbox())
        inbox.receipted.add(delivery)
        while inbox.waiting and inbox.waiting[0][0] in inbox.receipted:
            inbox.receipted.discard(inbox.waiting.popleft()[0])

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
            oldest = inbox.waiting[0][1] if inbox.waiting else None
            yield member, len(inbox.waiting) - len(inbox.receipted), oldest

    @property
    def published(self) -> Mapping[str, int]:
        """When a statement of each region was last decided."""
        return self.last

    def _published(self, region: str, at: int) -> None:
        self.last[region] = max(self.last.get(region, 0), at)
