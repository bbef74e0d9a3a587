"""The time at which decisions are made, so that the log can bear it out.

Members take a decision only if its time is near that of the first checkpoint over it (`broker.core.timely`).
So the time of a decision is never before that of the newest checkpoint, whatever is done to the clock; and
while no checkpoint follows what was decided, nothing more is decided: it would be refused by whoever gets it,
where an undecided notice can wait.
"""

from __future__ import annotations

from broker.clock import Clock
from broker.core.model import Checkpoint
from broker.core.records import unframe
from broker.core.timely import COVERED_WITHIN_MS
from broker.log import Log, LogUnavailable, Partition
from broker.log.topics import AUDIT_CHECKPOINTS

LOOK_MS = 1_000
HOLD_MS = COVERED_WITHIN_MS // 5
"""Decisions may be without a checkpoint for so long; nearly always it is milliseconds."""

CHECKPOINTS = Partition(AUDIT_CHECKPOINTS)


class Uncovered(LogUnavailable):
    """What was decided is not covered: the sequencer does not work, or is far behind."""


class LogTime:
    """Tells the time of decisions.

    Args:
        log: Where the checkpoints are.
        clock: The machine's clock.
    """

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._looked_at: int | None = None
        self._place = 0
        self._signed_at = 0
        self._since: int | None = None

    async def now(self) -> int:
        """Return the time at which what comes next is decided.

        Raises:
            Uncovered: Nothing is to be decided now.
            LogUnavailable: The log did not answer.
        """
        now = self._clock.now()
        if self._looked_at is None or not 0 <= now - self._looked_at < LOOK_MS:
            await self._look()
            self._looked_at = now
        at = max(now, self._signed_at)
        if self._since is not None and at - self._since > HOLD_MS:
            self._looked_at = None
            raise Uncovered("no checkpoint follows what was decided", field=AUDIT_CHECKPOINTS)
        return at

    def decided(self, at: int) -> None:
        """Take note that something was decided, and waits for its checkpoint."""
        if self._since is None:
            self._since = at

    async def _look(self) -> None:
        end = (await self._log.ends([AUDIT_CHECKPOINTS], settled=False)).get(CHECKPOINTS, 0)
        if self._place < end:
            # The last offsets may hold no record, so those before are looked at, too.
            found = await self._log.read(CHECKPOINTS, max(self._place, end - 8), 8)
            self._place = end
            if found:
                self._signed_at = max(self._signed_at, unframe(Checkpoint, found[-1].value).signed_at)
        if self._since is not None and self._signed_at >= self._since:
            self._since = None
