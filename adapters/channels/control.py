"""What a person does to a channel: pause and resume it, offer again, settle its dead letters, give it up.

Works on the store alone, whether the node runs or not: a running node sees it within two seconds.  Offering
again appends to the queue for this channel alone, so it comes after what waits already, in the order in which
the deliveries first came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.channels.places import Places
from adapters.store import Store

_AGAIN = (
    "FROM queue q JOIN deliveries d ON d.id = q.delivery JOIN channels c ON c.name = ?"
    " WHERE q.channel IS NULL AND q.number <= c.place AND (q.status IS NULL OR (c.statuses >> q.status) & 1)"
    " AND d.taken_at >= ? AND (? IS NULL OR d.id = ?)"
    # What waits already, by another replay too, arrives without this one.
    " AND q.delivery NOT IN (SELECT o.delivery FROM offers o WHERE o.name = ?)"
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery that a channel would not take: what the other side answered last, after how many tries."""

    delivery: bytes
    reference: str | None
    notice_type: str | None
    code: str
    attempts: int
    at: int


class Control:
    """One channel, as a person handles it.

    Args:
        store: The node's store.
        name: The channel.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def pause(self) -> None:
        """Offer nothing more until `resume`; what was begun is finished."""
        self._update("UPDATE channels SET paused = 1 WHERE name = ?")

    def resume(self) -> None:
        """Offer again, and at once: failures of before no longer count."""
        self._update("UPDATE channels SET paused = 0, failures = 0, retry_at = NULL WHERE name = ?")

    def _update(self, sql: str) -> None:
        with self._store.write():
            self._store.run(sql, self._name)

    def count_again(self, since: int = 0, delivery: bytes | None = None) -> int:
        """Return how many deliveries `again` would offer."""
        ((count,),) = self._store.rows(
            f"SELECT count(*) {_AGAIN}",
            *self._range(since, delivery),
        )
        return int(count)

    def again(self, since: int = 0, delivery: bytes | None = None) -> int:
        """Offer again what was offered before and does not wait: what came at `since` or later, or one."""
        with self._store.write():
            return self._store.run(
                "INSERT INTO queue (delivery, status, channel)"
                f" SELECT q.delivery, q.status, c.name {_AGAIN} ORDER BY q.number",
                *self._range(since, delivery),
            )

    def _range(self, since: int, delivery: bytes | None) -> tuple[str | int | bytes | None, ...]:
        return self._name, since, delivery, delivery, self._name

    def forget(self) -> int:
        """Give the channel up, with what waits for it and its dead letters; return how many that were.

        What no channel has or will have now is accepted, and that is owed.
        """
        with self._store.write():
            ((count,),) = self._store.rows(
                "SELECT count(*) FROM (SELECT delivery FROM offers WHERE name = ?"
                " UNION SELECT delivery FROM letters WHERE channel = ?)",
                self._name, self._name,
            )  # fmt: skip
            self._store.run("DELETE FROM letters WHERE channel = ?", self._name)
            # Its entries in the queue stay: a number that is free again would be behind others' places.
            self._store.run("DELETE FROM channels WHERE name = ?", self._name)
            Places(self._store).settle()
        return int(count)

    # --- dead letters ---------------------------------------------------------------------------------

    def letters(self) -> list[Letter]:
        """Return the dead letters, in the order of the queue."""
        rows = self._store.rows(
            "SELECT l.delivery, d.reference, d.notice_type, l.code, l.attempts, l.at"
            " FROM letters l JOIN deliveries d ON d.id = l.delivery WHERE l.channel = ? ORDER BY l.number",
            self._name,
        )
        return [Letter(*row) for row in rows]

    def retry(self, letters: Sequence[Letter]) -> list[Letter]:
        """Offer dead letters again, and return which: one of a status that is no longer taken stays dead."""
        with self._store.write():
            for letter in letters:
                self._store.run(
                    "INSERT INTO queue (delivery, status, channel)"
                    " SELECT q.delivery, q.status, c.name FROM queue q JOIN channels c ON c.name = ?"
                    " WHERE q.delivery = ? AND q.channel IS NULL"
                    " AND (q.status IS NULL OR (c.statuses >> q.status) & 1)"
                    " AND NOT EXISTS (SELECT 1 FROM offers WHERE name = c.name AND delivery = q.delivery)",
                    self._name, letter.delivery,
                )  # fmt: skip
            offered = [each for each in letters if self._is_offered(each)]
            for letter in offered:
                self._remove(letter)
        return offered

    def _is_offered(self, letter: Letter) -> bool:
        row = self._store.row(
            "SELECT 1 FROM offers WHERE name = ? AND delivery = ?", self._name, letter.delivery
        )
        return row is not None

    def drop(self, letters: Sequence[Letter]) -> None:
        """Give dead letters up: a delivery that no channel will have now is accepted, and that is owed."""
        with self._store.write():
            for letter in letters:
                self._remove(letter)
            Places(self._store).settle()

    def _remove(self, letter: Letter) -> None:
        self._store.run("DELETE FROM letters WHERE channel = ? AND delivery = ?", self._name, letter.delivery)
