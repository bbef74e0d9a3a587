"""How far a notice has come, beyond what the node must know: to whose nodes and readers, in counts.

Decides which notices the hub is asked about again after they are proven: those that somebody watches, for as
long as that lasts, more seldom the longer it takes.  Counts are the hub's word for receipts that others
signed; they show progress, and nothing that counts rests on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from adapters.equipment import Equipment
from adapters.sending.statement import Queued
from adapters.store import Store
from adapters.stored import stored_record
from broker.core.errors import Refused, Unavailable
from broker.core.model import Decision
from broker.core.wire import StatementStatus
from broker.telemetry import logger_of

WATCH_MS = 60_000
SOONEST_MS = 300
LATEST_MS = 30_000
A_STEP = 64

MOST_COUNT = 1 << 31

log_line = logger_of("progress")


class Stage(IntEnum):
    """How far a notice has come; each includes those before it."""

    QUEUED = 0
    SIGNED = 1
    DURABLE = 2
    DECIDED = 3
    PROVEN = 4
    DELIVERED = 5
    """Every receiver's node has said what became of it."""
    ACKNOWLEDGED = 6
    """Every receiver has said that it was read."""

    @property
    def label(self) -> str:
        """The name that people and programs see."""
        return self.name.lower()


REFUSED = "refused"
_STAGES = {
    "waiting": Stage.QUEUED,
    "signed": Stage.SIGNED,
    "accepted": Stage.DURABLE,
    "admitted": Stage.DECIDED,
    "proven": Stage.PROVEN,
}


def label_of(state: str) -> str:
    """Return what people and programs see of a draft's state."""
    stage = _STAGES.get(state)
    return REFUSED if stage is None else stage.label


@dataclass(frozen=True, slots=True)
class Counts:
    """How many receivers' nodes took it (`delivered`), had it read, or found it wrong; as of `asked_at`."""

    delivered: int = 0
    acknowledged: int = 0
    rejected: int = 0
    asked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A queued notice and how far it has come; `stage` is None if it was refused.

    `receivers` counts those for whom the hub decided, once that is proven.
    """

    queued: Queued
    stage: Stage | None
    receivers: int | None
    counts: Counts

    @property
    def label(self) -> str:
        """The stage, or that it was refused."""
        return REFUSED if self.stage is None else self.stage.label

    def reached(self, stage: Stage) -> bool:
        """Say whether it has come so far, or will not come any further."""
        nobody = self.receivers == 0 and self.stage is Stage.PROVEN
        return self.stage is None or self.stage >= stage or nobody


class Watching:
    """What is watched, in the node's store.

    Args:
        store: The node's store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def watch(self, drafts: Iterable[int], now: int) -> None:
        """Have the hub asked about drafts for a minute from now; asking for it again prolongs it."""
        with self._store.write():
            self._store.run_many(
                "INSERT INTO watched (draft, since, until) VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET since = CASE WHEN until < ? THEN excluded.since ELSE since END, until = excluded.until"
                " WHERE until < excluded.until - ?",
                [(draft, now, now + WATCH_MS, now, WATCH_MS // 2) for draft in drafts],
            )

    def due(self, now: int, limit: int) -> list[tuple[int, bytes]]:
        """Return drafts that the hub is to be asked about now, with their statements."""
        # CROSS JOIN begins with what is watched; left to itself SQLite goes through all that is proven.
        return [
            (draft, statement)
            for draft, statement in self._store.rows(
                "SELECT w.draft, s.id FROM watched w CROSS JOIN statements s ON s.draft = w.draft"
                " WHERE s.state = 'proven' AND w.until >= ? AND w.settled = 0 AND (w.asked_at IS NULL"
                " OR w.asked_at + max(?, min(?, (w.asked_at - w.since) / 8)) <= ?)"
                " ORDER BY w.asked_at LIMIT ?",
                now, SOONEST_MS, LATEST_MS, now, limit,
            )
        ]  # fmt: skip

    def record(self, draft: int, counts: Counts, receivers: int) -> None:
        """Record what the hub answered; nothing is asked again when all have read it."""
        settled = receivers <= counts.acknowledged + counts.rejected
        with self._store.write():
            self._store.run(
                "UPDATE watched SET delivered = ?, acknowledged = ?, rejected = ?, asked_at = ?, settled = ?"
                " WHERE draft = ?",
                counts.delivered, counts.acknowledged, counts.rejected, counts.asked_at, settled, draft,
            )  # fmt: skip

    def progress(self, queued: Sequence[Queued]) -> list[Progress]:
        """Return how far notices have come."""
        return [self._one(each) for each in queued]

    def _one(self, queued: Queued) -> Progress:
        stage = _STAGES.get(queued.state)
        if stage is not Stage.PROVEN:
            return Progress(queued, stage, None, Counts())
        receivers = self._receivers(queued.statement)
        row = self._store.row(
            "SELECT delivered, acknowledged, rejected, asked_at FROM watched WHERE draft = ?", queued.id
        )
        counts = Counts() if row is None else Counts(*row)
        if not receivers:
            pass
        elif counts.acknowledged >= receivers:
            stage = Stage.ACKNOWLEDGED
        elif counts.delivered + counts.rejected >= receivers:
            stage = Stage.DELIVERED
        return Progress(queued, stage, receivers, counts)

    def _receivers(self, statement: bytes | None) -> int:
        row = self._store.row("SELECT decision FROM statements WHERE id = ?", statement)
        return (
            0
            if row is None or row[0] is None
            else len(stored_record(Decision, row[0], "statements.decision").shares)
        )


class Following:
    """Asks the hub about what is watched.

    Args:
        equipment: What the node works with.
    """

    def __init__(self, equipment: Equipment) -> None:
        self._watching = Watching(equipment.store)
        self._hub = equipment.hub
        self._clock = equipment.clock
        self._patience = equipment.patience

    async def run(self) -> None:
        """Work for ever; whatever fails is tried again, later and later."""
        await self._patience.keep_on(self._step_and_rest, self._is_due, self._failed)

    async def _step_and_rest(self) -> bool:
        progressed = await self.step()
        if progressed:
            # A pause after work, too: what is due then has waited for nothing else.
            await self._patience.idle(0, lambda: False)
        return progressed

    def _failed(self, error: Unavailable | Refused, failures: int) -> None:
        log_line.warning("progress.waits", code=error.code, attempt=failures)

    async def step(self) -> bool:
        """Ask about what is due, and say whether anything was.

        Raises:
            Unavailable: The hub or the store does not answer now.
            Refused: The hub does not answer us.
        """
        due = self._watching.due(self._clock.now(), A_STEP)
        if not due:
            return False
        statuses = await self._hub.statements([statement for _, statement in due])
        # What the hub leaves out at the end is asked for again.
        for (draft, statement), status in zip(due, statuses, strict=False):
            told = status if status is not None and status.statement == statement.hex() else None
            self._watching.record(draft, _counts(told, self._clock.now()), _shares(told))
        return True

    def _is_due(self) -> bool:
        return bool(self._watching.due(self._clock.now(), 1))


def _shares(status: StatementStatus | None) -> int:
    return MOST_COUNT if status is None else status.deliveries


def _counts(status: StatementStatus | None, now: int) -> Counts:
    """Return what the hub says; it could say anything."""
    told = {} if status is None else status.receipts
    counts = {name: min(max(told.get(name, 0), 0), MOST_COUNT) for name in told}
    return Counts(
        # A node that no channel made take it has accepted it: it is there all the same.
        delivered=counts.get("delivered", 0) + counts.get("accepted", 0),
        acknowledged=counts.get("read", 0),
        rejected=counts.get("rejected", 0),
        asked_at=now,
    )
