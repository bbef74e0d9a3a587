"""How the node is, as its store tells it: for the health page, `halong doctor` and `halong feed`.

Read from the store alone, so any process of the machine can ask, whether the node runs or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.receiving.incoming import Incoming
from adapters.sending.outgoing import Outgoing
from adapters.store import Store

MOST_DUE = 1000


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should look at; `count` times between `at` and `last_at`."""

    event: str
    code: str
    subject: str
    count: int
    at: int
    last_at: int


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How one channel is: entries that wait for it, letters that it will not take, failures in a row.

    Until `retry_at` it is left alone; it took `handed_on` deliveries in all, the last at `handed_on_at`.
    """

    name: str
    behind: int = 0
    dead_letters: int = 0
    failures: int = 0
    paused: bool = False
    code: str | None = None
    retry_at: int | None = None
    handed_on: int = 0
    handed_on_at: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The node at one moment.

    `sent` counts drafts and `received` deliveries by state; `receipts_waiting` what the hub has no receipt
    for yet.  `behind` is how many deliveries were ready at the hub when it last answered, at `reached_at`.
    `held` says why the feed stands still, if it does; `unproven_since` since when the oldest notice that the
    hub holds waits for its proofs.  `feedback_due` tells when feedback is due that this member owes, earliest
    first, at most 1,000 times.  `directory_version` (hexadecimal) was found to be the hub's newest at
    `directory_checked_at` and counts until `directory_expires_at`; all None where the directory is a plain
    folder.  `alarms` are the latest, `alarm_counts` all that are kept.  `cosigned_size` is how many leaves
    the largest tree has that `cosigned_quorum` witnesses cosigned (0: none is needed), the last at
    `cosigned_at`; `uncovered_since` since when a delivery waits to be under one, if that is too long.  Up to
    place `whole_to` nothing is missing that the hub's head of `whole_at` counts (None: none agreed yet).
    """

    sent: Mapping[str, int]
    received: Mapping[str, int]
    receipts_waiting: int
    place: int
    behind: int
    reached_at: int | None
    tree_size: int
    tree_seen_at: int | None
    held: str | None
    held_code: str | None
    held_field: str | None
    waiting_since: int | None
    unproven_since: int | None
    alarms: tuple[Alarm, ...]
    alarm_counts: Mapping[str, int]
    channels: tuple[ChannelState, ...]
    feedback_due: tuple[int, ...]
    directory_version: str | None
    directory_checked_at: int | None
    directory_expires_at: int | None
    cosigned_quorum: int
    cosigned_size: int
    cosigned_at: int | None
    uncovered_since: int | None
    whole_to: int
    whole_at: int | None

    def vouched(self, at: int) -> bool:
        """Say whether the directory counts at this time."""
        return self.directory_expires_at is None or at < self.directory_expires_at


def snapshot(store: Store, *, alarms: int = 20) -> Snapshot:
    """Return how the node is, with the latest `alarms`."""
    incoming = Incoming(store)
    oldest = "SELECT min(queued_at) FROM drafts WHERE state = ?"
    ((waiting_since,),) = store.rows(oldest, "waiting")
    ((unproven_since,),) = store.rows("SELECT min(changed_at) FROM unproven")
    rows = store.rows(
        "SELECT event, code, subject, count, at, last_at FROM alarms ORDER BY last_at DESC, id DESC LIMIT ?",
        alarms,
    )
    return Snapshot(
        sent=Outgoing(store).counts(),
        received=incoming.counts(),
        receipts_waiting=incoming.receipts_waiting(),
        place=incoming.place(),
        behind=store.fact("behind") or 0,
        reached_at=store.fact("reached_at"),
        tree_size=max(store.fact("feed_size") or 0, store.fact("proofs_size") or 0),
        tree_seen_at=store.fact("feed_seen_at"),
        held=store.fact("held"),
        held_code=store.fact("held_code"),
        held_field=store.fact("held_field"),
        waiting_since=waiting_since,
        unproven_since=unproven_since,
        alarms=tuple(Alarm(*row) for row in rows),
        alarm_counts=dict(store.rows("SELECT event, sum(count) FROM alarms GROUP BY event")),
        channels=_channels(store),
        feedback_due=tuple(due for (due,) in store.rows(_DUE, MOST_DUE)),
        directory_version=store.fact("directory_version"),
        directory_checked_at=store.fact("directory_checked_at"),
        directory_expires_at=store.fact("directory_expires_at"),
        cosigned_quorum=store.fact("cosigned_quorum") or 0,
        cosigned_size=store.fact("cosigned_size") or 0,
        cosigned_at=store.fact("cosigned_at"),
        uncovered_since=store.fact("uncovered_since"),
        whole_to=store.fact("head_place") or 0,
        whole_at=store.fact("whole_at"),
    )


_DUE = (
    "SELECT due_at FROM shared WHERE due_at IS NOT NULL AND answered_at IS NULL"
    " AND delivery IN (SELECT id FROM deliveries) ORDER BY due_at LIMIT ?"
)


def _channels(store: Store) -> tuple[ChannelState, ...]:
    rows = store.rows(
        "SELECT c.name, (SELECT count(*) FROM offers o WHERE o.name = c.name),"
        " (SELECT count(*) FROM letters l WHERE l.channel = c.name), c.failures, c.paused, c.code,"
        " c.retry_at, c.handed, c.handed_at FROM channels c ORDER BY c.name"
    )
    return tuple(
        ChannelState(name, behind, letters, failures, bool(paused), *rest)
        for name, behind, letters, failures, paused, *rest in rows
    )
