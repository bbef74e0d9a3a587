"""What came of checking a bundle: every step with what it showed, and what the whole is worth.

Nothing is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from broker.core.directory import Directory
from broker.core.errors import Refused
from broker.core.model import Decision, DeliveryHead, Erasure, Receipt
from broker.core.note import LogKey, TreeHead
from broker.core.notice import Notice


class State(Enum):
    """How a step ended."""

    HELD = "held"
    FAILED = "failed"
    NOT_CHECKED = "not-checked"
    NOTED = "noted"
    """There is nothing that could fail: whoever reads it judges how much it is worth."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at; `said` tells a person what it showed."""

    name: str
    state: State
    said: str
    code: str | None = None


@dataclass(slots=True)
class Found:
    """What a bundle shows, as far as it was checked.

    `root` is the fingerprint of the directory's root, `signed_at` the time of the checkpoint by which the
    decision was there, `leaf` where the log has it.
    """

    steps: list[Step] = field(default_factory=list)
    log: LogKey | None = None
    root: str | None = None
    tree: TreeHead | None = None
    first: TreeHead | None = None
    signed_at: int = 0
    first_signed_at: int | None = None
    directory: Directory | None = None
    heard: Directory | None = None
    notice: Notice | None = None
    decision: Decision | None = None
    deliveries: dict[str, DeliveryHead] = field(default_factory=dict)
    receipts: list[Receipt] = field(default_factory=list)
    erasure: Erasure | None = None
    refused: Refused | None = None

    @property
    def holds(self) -> bool:
        """Nothing failed; perhaps something could not be checked."""
        return self.refused is None

    @property
    def complete(self) -> bool:
        """All steps were made, and held."""
        return self.holds and all(step.state in (State.HELD, State.NOTED) for step in self.steps)

    @property
    def decided_at(self) -> int | None:
        """When it was decided, as the decision or a delivery says."""
        if self.decision is not None:
            return self.decision.decided_at
        return next((head.decided_at for head in self.deliveries.values()), None)
