"""Reminders: what this member owes feedback on is said when it becomes due soon, and when it is late.

Keeps the view of what was shared and answered up to date while the node runs, some at a time.  A notice is
reminded of once at each stage, also across restarts: the stage is kept with it.  How much is due and overdue
stands in `doctor` and in the metrics as long as it is.
"""

from __future__ import annotations

import asyncio

from adapters.equipment import Equipment
from adapters.feedback.counts import DAY_MS
from adapters.feedback.view import AT_ONCE, FeedbackView
from adapters.store import StoreUnavailable
from broker.core.errors import HalongError, StoreDamaged
from broker.telemetry import logger_of

SOON_DAYS = 1.0
SOON, LATE = 1, 2
"""The stages of reminding."""

log_line = logger_of("feedback")


class Reminders:
    """Reads on and reminds.

    Args:
        equipment: What the node works with.
        days: How long before it is due a notice counts as due soon.
    """

    def __init__(self, equipment: Equipment, days: float = SOON_DAYS) -> None:
        self._view = FeedbackView(equipment.store, equipment.identity.member, equipment.catalogue)
        self._clock = equipment.clock
        self._patience = equipment.patience
        self._alarms = equipment.alarms
        self._soon_ms = round(days * DAY_MS)

    async def run(self) -> None:
        """Work for ever; whatever fails is tried again, later and later."""
        passing = (StoreUnavailable, StoreDamaged)
        await self._patience.keep_on(self._step_in_turn, lambda: False, self._failed, passing)

    async def _step_in_turn(self) -> bool:
        # Reading on holds nobody up: others get their turn before every step.
        await asyncio.sleep(0)
        return self.step()

    def _failed(self, error: HalongError, failures: int) -> None:
        if isinstance(error, StoreDamaged):
            self._alarms.sound("store.damaged", error.code, error.field or "")
        log_line.warning("feedback.waits", code=error.code, attempt=failures)

    def step(self) -> bool:
        """Read on and remind once, and say whether there may be more.

        Raises:
            StoreUnavailable: The store cannot be read or written now.
        """
        read = self._view.read(AT_ONCE)
        now = self._clock.now()
        reminded = 0
        for stage, event, before in (
            (LATE, "feedback.overdue", now),
            (SOON, "feedback.due-soon", now + self._soon_ms),
        ):
            for each in self._view.remind(stage, before=before):
                reminded += 1
                log_line.warning(event, delivery=each.delivery.hex(), reference=each.reference)
        return read == AT_ONCE or reminded >= AT_ONCE
