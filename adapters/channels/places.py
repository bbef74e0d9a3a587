"""How far each channel has come, as the node's store keeps it: the queue, places, failures, dead letters.

Decides that what a channel confirmed moves its place and owes the receipt in one step.  The queue has one
entry for every delivery that channels may have, in the order in which the deliveries were checked; a channel
passes along it by itself.  A replay is another entry at the end of the queue, for one channel alone, so it
needs no other rules.  When to offer and what to do about a failure is decided in `worker`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adapters.channels import Reached
from adapters.receiving.incoming import Incoming
from adapters.store import Store
from broker.core.model import Event, Status


@dataclass(frozen=True, slots=True)
class Place:
    """Where one channel stands.

    `number` is the last entry of the queue that it is done with.  `failures` counts those in a row, whatever
    was offered; `attempts` those of the entry after `number`, which was first tried at `since`.  `code` is
    what the other side answered last; until `retry_at` it is left alone.
    """

    paused: bool
    name: str
    number: int
    failures: int
    attempts: int
    since: int | None
    retry_at: int | None
    code: str | None
    handed: int
    handed_at: int | None


@dataclass(frozen=True, slots=True)
class Offer:
    """An entry of the queue; `size` is that of the delivery's record."""

    number: int
    delivery: bytes
    size: int


class Places:
    """The channels' part of the store.

    Args:
        store: The node's store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._incoming = Incoming(store)

    def open(self, name: str, statuses: Iterable[Status]) -> bool:
        """Let a channel begin here: what comes from now on is for it; what came before, by a replay.

        Says whether it took other statuses before: what waited may be for nobody now, see `settle`.
        """
        mask = sum(1 << status for status in statuses)
        with self._store.write():
            before = self._store.row("SELECT statuses FROM channels WHERE name = ?", name)
            self._store.run(
                "INSERT INTO channels (name, statuses, place)"
                " VALUES (?, ?, (SELECT coalesce(max(number), 0) FROM queue))"
                " ON CONFLICT DO UPDATE SET statuses = excluded.statuses",
                name, mask,
            )  # fmt: skip
        return before is not None and before[0] != mask

    def settle(self) -> None:
        """Accept what waits for no channel any more and is nobody's dead letter, and owe that."""
        with self._store.write():
            stranded = self._store.rows(
                "SELECT id FROM deliveries WHERE state = 'checked'"
                " AND id NOT IN (SELECT delivery FROM offers) AND id NOT IN (SELECT delivery FROM letters)"
            )
            self._store.run_many("UPDATE deliveries SET state = 'accepted' WHERE id = ?", stranded)
            self._store.run_many(
                "INSERT INTO receipts (delivery, event) VALUES (?, ?)",
                [(delivery, int(Event.ACCEPTED)) for (delivery,) in stranded],
            )

    def at(self, name: str) -> Place | None:
        """Return where a channel stands."""
        return next((place for place in self.all() if place.name == name), None)

    def all(self) -> list[Place]:
        """Return where every channel stands that ever was, by name."""
        rows = self._store.rows(
            "SELECT paused, name, place, failures, attempts, since, retry_at, code, handed, handed_at"
            " FROM channels ORDER BY name"
        )
        return [Place(bool(paused), *rest) for paused, *rest in rows]

    def waiting(self, name: str, limit: int) -> list[Offer]:
        """Return what comes next for a channel."""
        rows = self._store.rows(
            "SELECT o.number, o.delivery, length(d.record) FROM offers o"
            " JOIN deliveries d ON d.id = o.delivery WHERE o.name = ? ORDER BY o.number LIMIT ?",
            name, limit,
        )  # fmt: skip
        return [Offer(*row) for row in rows]

    # --- what a worker records ------------------------------------------------------------------------

    def confirm(self, name: str, number: int, deliveries: Sequence[bytes], at: int) -> None:
        """Move a channel's place to `number`, and owe a receipt for each delivery that no channel had yet."""
        with self._store.write():
            self._incoming.deliver(deliveries, name)
            self._store.run(
                "UPDATE channels SET place = ?, failures = 0, attempts = 0, since = NULL, retry_at = NULL,"
                " code = NULL, handed = handed + ?, handed_at = CASE ? WHEN 0 THEN handed_at ELSE ? END"
                " WHERE name = ?",
                number, len(deliveries), len(deliveries), at, name,
            )  # fmt: skip
            self._store.run_many(
                "DELETE FROM letters WHERE channel = ? AND delivery = ?",
                [(name, each) for each in deliveries],
            )

    def fail(self, name: str, code: str, at: int, retry_at: int) -> None:
        """Record that a channel did not take what was next for it."""
        with self._store.write():
            self._store.run(
                "UPDATE channels SET failures = failures + 1, attempts = attempts + 1,"
                " since = coalesce(since, ?), retry_at = ?, code = ? WHERE name = ?",
                at, retry_at, code, name,
            )  # fmt: skip

    def bury(self, name: str, offer: Offer, code: str, attempts: int, at: int) -> None:
        """Make what is next for a channel a dead letter, and move past it."""
        with self._store.write():
            self._store.run(
                "INSERT INTO letters (channel, delivery, number, code, attempts, at)"
                " VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET number = excluded.number, code = excluded.code,"
                " attempts = attempts + excluded.attempts, at = excluded.at",
                name, offer.delivery, offer.number, code, attempts, at,
            )  # fmt: skip
            self._store.run(
                "UPDATE channels SET place = ?, attempts = 0, since = NULL WHERE name = ?", offer.number, name
            )

    def between(self, place: Place, reached: Reached) -> list[bytes] | None:
        """Return the deliveries that the other side has beyond a channel's place.

        None if it does not stand further on, or on another queue: the store was restored since.
        """
        if reached.number <= place.number or not self._store.row(
            "SELECT 1 FROM queue WHERE number = ? AND delivery = ?", reached.number, reached.delivery
        ):
            return None
        rows = self._store.rows(
            "SELECT delivery FROM offers WHERE name = ? AND number <= ? ORDER BY number",
            place.name, reached.number,
        )  # fmt: skip
        return [delivery for (delivery,) in rows]
