"""How the node is, as its store tells it: for the health page, `halong doctor` and `halong feed`.

Read from the store alone, so any process of the machine can ask, whether the node runs or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.incoming import Incoming
from adapters.outgoing import Outgoing
from adapters.store import Store


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
class Snapshot:
    """The node at one moment.

    `sent` counts drafts and `received` deliveries by state; `receipts_waiting` what the hub has no receipt
    for yet.  `behind` is how many deliveries were ready at the hub when it last answered, at `reached_at`.
    `held` says why the feed stands still, if it does; `unproven_since` since when the oldest notice that the
    hub holds waits for its proofs.
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
    )
