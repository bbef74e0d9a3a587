"""What the member got, as the node's store keeps it: place, lanes, deliveries, receipts, references.

Decides that place, lane, delivery and what follows from it move in one step: its entry in the channels'
queue, or its receipt.  What may be delivered at all is decided in `checks`, in which order in `runner`; how
channels pass along the queue in `channels.places`.

A delivery is `checked` (it is right, and no channel has it yet), then `delivered` (a channel has it); or it
is `accepted` (right, but no channel takes its status), `erased` (its content was gone already) or
`quarantined` (proven to be the hub's, and wrong: kept, shown to nobody).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from adapters.store import Store
from adapters.stored import damaged, stored, stored_reference
from broker.core.agreements import Reference
from broker.core.model import Event, Header, Status
from broker.core.note import TreeHead

KEPT_CHECKPOINTS = 1000
ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that the feed is done with, as it is to be recorded.

    `place` is where the feed goes on after it.  `lane` and `sequence` are None if the delivery moves no lane
    of ours; `content` is kept as evidence and so that the delivery can be shown again.  `status` is that of
    its notice, None if there is none that channels might have.
    """

    id: bytes
    place: int
    lane: str | None
    sequence: int | None
    statement: bytes
    state: str
    content: bytes
    leaf: int
    path: tuple[bytes, ...]
    size: int
    code: str | None = None
    status: Status | None = None
    reference: str | None = None
    notice_type: str | None = None
    learned: Reference | None = None


EVENTS = {"accepted": Event.ACCEPTED, "erased": Event.ACCEPTED, "quarantined": Event.REJECTED}
"""What is owed at once; for a delivery that a channel will have, it is owed when the channel has it."""


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery as commands show it; `content` is the encoded record."""

    id: bytes
    place: int
    lane: str
    sequence: int
    statement: bytes
    reference: str | None
    notice_type: str | None
    state: str
    code: str | None
    content: bytes
    leaf: int
    path: tuple[bytes, ...]
    size: int
    taken_at: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery that was taken, its place in the feed, and its leaf."""

    id: bytes
    place: int
    leaf: int


@dataclass(frozen=True, slots=True)
class Owed:
    """A receipt that is not signed yet."""

    id: int
    delivery: bytes
    event: Event
    channel: str | None
    code: str | None


class Incoming:
    """The receiving half of the store.

    Args:
        store: The node's store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def place(self) -> int:
        """Return the place from which the feed goes on: everything before it is done with."""
        return int(self._store.fact("place") or 0)

    def go_back(self, place: int) -> None:
        """Let the feed go on from an earlier place; what is known of what comes then is passed over."""
        self._store.remember(place=min(place, self.place()))

    def next_in_lane(self, lane: str) -> int:
        """Return the number that the lane's next delivery must have."""
        row = self._store.row("SELECT next FROM lanes WHERE lane = ?", lane)
        return 1 if row is None else row[0]

    def knows(self, delivery: bytes) -> bool:
        """Say whether the delivery is done with already."""
        return self._store.row("SELECT 1 FROM deliveries WHERE id = ?", delivery) is not None

    def taken_since(self, place: int) -> list[Standing]:
        """Return where the deliveries after a place stand in the log, in the order in which they came."""
        return [
            Standing(*row)
            for row in self._store.rows(
                "SELECT id, place, leaf FROM deliveries WHERE place > ? ORDER BY place", place
            )
        ]

    def record(self, taken: Sequence[Taken], place: int, at: int) -> None:
        """Record deliveries, their lanes, what is owed to channels and hub, and the place, in one step."""
        with self._store.write():
            for each in taken:
                self._store.run(
                    "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    each.id, each.place, each.lane or "", each.sequence or 0, each.statement, each.reference,
                    each.notice_type, each.state, each.code, each.content, each.leaf, b"".join(each.path),
                    each.size, at,
                )  # fmt: skip
                if each.lane is not None and each.sequence is not None:
                    self._store.run(
                        "INSERT INTO lanes VALUES (?, ?) ON CONFLICT DO UPDATE SET next = excluded.next",
                        each.lane, each.sequence + 1,
                    )  # fmt: skip
                if each.status is not None:
                    self._store.run(
                        "INSERT INTO queue (delivery, status) VALUES (?, ?)", each.id, int(each.status)
                    )
                if each.state in EVENTS:
                    self._store.run(
                        "INSERT INTO receipts (delivery, event, code) VALUES (?, ?, ?)",
                        each.id, int(EVENTS[each.state]), each.code,
                    )  # fmt: skip
                if each.learned is not None:
                    self.learn(each.learned)
            self._store.remember(place=place)

    def deliver(self, deliveries: Sequence[bytes], channel: str) -> None:
        """Record that a channel has deliveries, and owe the receipt for each that no channel had before."""
        with self._store.write():
            self._store.run_many(
                "INSERT INTO receipts (delivery, event, channel)"
                " SELECT id, ?, ? FROM deliveries WHERE id = ? AND state = 'checked'",
                [(int(Event.DELIVERED), channel, each) for each in deliveries],
            )
            self._store.run_many(
                "UPDATE deliveries SET state = 'delivered' WHERE id = ? AND state = 'checked'",
                [(each,) for each in deliveries],
            )

    def owe(self, delivery: bytes, event: Event, channel: str | None) -> bool:
        """Owe a receipt that is owed once for a delivery, and say whether it was not yet."""
        with self._store.write():
            return bool(
                self._store.run(
                    "INSERT INTO receipts (delivery, event, channel) SELECT ?, ?, ? WHERE NOT EXISTS"
                    " (SELECT 1 FROM receipts WHERE delivery = ? AND event = ?)",
                    delivery, int(event), channel, delivery, int(event),
                )
            )  # fmt: skip

    def received(self, *, after: int = 0, limit: int = 100) -> list[Received]:
        """Return deliveries in the order of their places."""
        rows = self._store.rows(
            "SELECT id, place, lane, sequence, statement, reference, notice_type, state, code, record, leaf,"
            " path, size, taken_at FROM deliveries WHERE place > ? ORDER BY place LIMIT ?",
            after, limit,
        )  # fmt: skip
        return [_received(*row) for row in rows]

    def delivery(self, id_prefix: bytes) -> Received | None:
        """Return the delivery whose id begins so, or None."""
        row = self._store.row(
            "SELECT id, place, lane, sequence, statement, reference, notice_type, state, code, record, leaf,"
            " path, size, taken_at FROM deliveries WHERE id >= ? ORDER BY id LIMIT 1",
            id_prefix,
        )
        return None if row is None or not row[0].startswith(id_prefix) else _received(*row)

    def counts(self) -> dict[str, int]:
        """Return how many deliveries are in each state."""
        return dict(self._store.rows("SELECT state, count(*) FROM deliveries GROUP BY state"))

    # --- the log as this node has seen it -----------------------------------------------------------

    def last_seen(self, source: str) -> TreeHead | None:
        """Return the tree of the last checkpoint that came from `source`: the feed, or proofs."""
        size = self._store.fact(f"{source}_size")
        root = None if size is None else self.root_at(size)
        return None if root is None else TreeHead(size, root)

    def largest_seen(self) -> int:
        """Return the size of the largest tree that was seen, 0 before the first."""
        row = self._store.row("SELECT max(size) FROM checkpoints")
        return 0 if row is None else row[0] or 0

    def largest_tree(self) -> TreeHead | None:
        """Return the largest tree that was seen, from wherever."""
        row = self._store.row("SELECT size, root FROM checkpoints ORDER BY size DESC LIMIT 1")
        return None if row is None else TreeHead(*row)

    def root_at(self, size: int) -> bytes | None:
        """Return the root that was seen for this size, from wherever, or None."""
        row = self._store.row("SELECT root FROM checkpoints WHERE size = ?", size)
        return None if row is None else row[0]

    def notes_around(self, size: int) -> tuple[tuple[int, bytes] | None, tuple[int, bytes] | None]:
        """Return size and note of the nearest checkpoints that were seen: not above `size`, and not below."""
        below = self._store.row(
            "SELECT size, note FROM checkpoints WHERE size <= ? ORDER BY size DESC LIMIT 1", size
        )
        above = self._store.row(
            "SELECT size, note FROM checkpoints WHERE size >= ? ORDER BY size LIMIT 1", size
        )
        return below, above

    def see(self, source: str, head: TreeHead, note: bytes, at: int) -> None:
        """Remember a checkpoint that was found good, before anything that it proves is used."""
        with self._store.write():
            self._store.run(
                "INSERT INTO checkpoints VALUES (?, ?, ?) ON CONFLICT DO NOTHING", head.size, head.root, note
            )
            self._forget_checkpoints()
            largest = max(head.size, self._store.fact(f"{source}_size") or 0)
            self._store.remember(**{f"{source}_size": largest, f"{source}_seen_at": at})

    def _forget_checkpoints(self) -> None:
        """Forget those that are neither among the newest nor what a delivery was proven by."""
        found = self._store.row(
            "SELECT size FROM checkpoints ORDER BY size DESC LIMIT 1 OFFSET ?", KEPT_CHECKPOINTS
        )
        if found is not None:
            # What lies further back was gone through before: all of it would be ever more to look at.
            self._store.run(
                "DELETE FROM checkpoints WHERE size >= ? AND size < ?"
                " AND size NOT IN (SELECT size FROM deliveries)",
                self._store.fact("checkpoints_kept_to") or 0, found[0],
            )  # fmt: skip
            self._store.remember(checkpoints_kept_to=found[0])

    # --- what a later notice may refer to -------------------------------------------------------------

    def learn(self, reference: Reference) -> None:
        """Remember what was decided about a statement, for decisions that refer to it."""
        with self._store.write():
            self._store.run(
                "INSERT INTO refs VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                reference.statement, msgspec.json.encode(reference),
            )  # fmt: skip

    def known_references(self, header: Header, at: int) -> dict[bytes, Reference]:
        """Return what is known of the statements that a header refers to, decided at `at` or before."""
        found = {}
        for statement in header.references:
            row = self._store.row("SELECT value FROM refs WHERE statement = ?", statement)
            if row is not None:
                reference = stored_reference(row[0])
                if reference.decided_at <= at:
                    found[statement] = reference
        return found

    def awaits_own_decision(self, header: Header) -> bool:
        """Say whether the header refers to a statement of this node whose decision is not held yet."""
        return any(
            self._store.row(
                "SELECT 1 FROM statements WHERE id = ? AND state IN ('signed', 'accepted', 'admitted')",
                statement,
            )
            for statement in header.references
        )

    # --- receipts ---------------------------------------------------------------------------------------

    def owed(self, limit: int) -> list[Owed]:
        """Return receipts that are to be signed together: same event, channel and code, oldest first."""
        rows = self._store.rows(
            "SELECT r.id, r.delivery, r.event, r.channel, r.code FROM receipts r,"
            " (SELECT event, channel, code FROM receipts WHERE batch IS NULL ORDER BY id LIMIT 1) f"
            " WHERE r.batch IS NULL AND r.event = f.event AND r.channel IS f.channel AND r.code IS f.code"
            " ORDER BY r.id LIMIT ?",
            limit,
        )
        if any(len(row[1]) != ID_BYTES for row in rows):
            raise damaged("receipts.delivery")
        with stored("receipts.event"):
            return [
                Owed(id_, delivery, Event(event), channel, code)
                for id_, delivery, event, channel, code in rows
            ]

    def sign(self, owed: Iterable[Owed], signed: bytes) -> None:
        """Keep a signed receipt, before it is sent."""
        with self._store.write():
            batch = self._store.insert("INSERT INTO batches (signed) VALUES (?)", signed)
            self._store.run_many(
                "UPDATE receipts SET batch = ? WHERE id = ?", [(batch, each.id) for each in owed]
            )

    def unsent_receipts(self, limit: int) -> list[tuple[int, bytes]]:
        """Return signed receipts that the hub has not confirmed, oldest first, with their numbers."""
        rows = self._store.rows(
            "SELECT id, signed FROM batches WHERE state = 'waiting' ORDER BY id LIMIT ?", limit
        )
        return [(id_, signed) for id_, signed in rows]

    def unsign(self, batch: int) -> None:
        """Owe the receipts of a signed batch again: the hub does not know the key that signed it."""
        with self._store.write():
            self._store.run("UPDATE receipts SET batch = NULL WHERE batch = ?", batch)
            self._store.run("DELETE FROM batches WHERE id = ?", batch)

    def settle(self, batches: Iterable[int], code: str | None = None) -> None:
        """Record that the hub has taken signed receipts, or refused them with `code`."""
        state = "sent" if code is None else "refused"
        with self._store.write():
            self._store.run_many(
                "UPDATE batches SET state = ?, code = ? WHERE id = ?",
                [(state, code, each) for each in batches],
            )

    def receipts_waiting(self) -> int:
        """Return how many deliveries have a receipt that the hub has not confirmed."""
        ((unsigned,),) = self._store.rows("SELECT count(*) FROM receipts WHERE batch IS NULL")
        ((signed,),) = self._store.rows(
            "SELECT count(*) FROM batches b JOIN receipts r ON r.batch = b.id WHERE b.state = 'waiting'"
        )
        return int(unsigned) + int(signed)


def _received(
    id_: bytes, place: int, lane: str, sequence: int, statement: bytes, reference: str | None,
    notice_type: str | None, state: str, code: str | None, content: bytes, leaf: int, path: bytes, size: int,
    taken_at: int,
) -> Received:  # fmt: skip
    return Received(
        id_, place, lane, sequence, statement, reference, notice_type, state, code, content, leaf,
        tuple(path[start : start + 32] for start in range(0, len(path), 32)), size, taken_at,
    )  # fmt: skip
