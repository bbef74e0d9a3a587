"""What the member says, as the node's store keeps it: drafts, numbers, signed statements.

Decides which number is given out, and that none is given twice: a number is reserved in a durable step of
its own before anything is signed under it.  When to sign, send or give up is decided in `outbox`.

A draft is `waiting`, then what its statement is: `signed` (durable here, perhaps sent), `accepted` (durable
at the hub), `admitted` (decided), `proven` (both inclusion proofs are held); or `refused`, with the code.
A statement may also be `void`: it can no longer be admitted, and its draft was signed again or will be.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from adapters.beginning import ANOTHER
from adapters.sending.draft import Draft
from adapters.sending.salts import ensure_key
from adapters.sending.statement import Queued, Statement, Stream, read_queued, read_region, read_statement
from adapters.store import Store
from broker.core.model import Region

FIRST_STREAM = "main"


class Outgoing:
    """The sending half of the store.

    Args:
        store: The node's store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- the queue: written by any process ----------------------------------------------------

    def enqueue(self, drafts: Iterable[Draft], at: int) -> list[int | None]:
        """Queue drafts in one durable step; return their ids, None for a source that is known already."""
        with self._store.write():
            ensure_key(self._store)
            return [
                self._store.insert(
                    "INSERT INTO drafts (source, region, draft, queued_at) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (source) DO NOTHING",
                    draft.source, int(draft.region), draft.to_json(), at,
                )
                for draft in drafts
            ]  # fmt: skip

    def knows_source(self, source: str) -> bool:
        """Say whether a draft of this source was ever queued."""
        return self._store.row("SELECT 1 FROM drafts WHERE source = ?", source) is not None

    def by_source(self, source: str) -> Queued | None:
        """Return the draft of a source, or None if it was never queued."""
        row = self._store.row("SELECT id FROM drafts WHERE source = ?", source)
        return None if row is None else self.queued(row[0])

    def queued(self, id_: int) -> Queued | None:
        """Return a draft and how far it has come."""
        found = self.listed(after=id_ - 1, limit=1)
        return found[0] if found and found[0].id == id_ else None

    def listed(self, *, after: int = 0, limit: int = 100, state: str | None = None) -> list[Queued]:
        """Return drafts in the order in which they were queued."""
        rows = self._store.rows(
            "SELECT d.id, d.draft, d.queued_at, d.state, d.code, d.field,"
            " s.id, s.region, s.stream, s.sequence"
            " FROM drafts d LEFT JOIN statements s ON s.draft = d.id AND s.state != 'void'"
            " WHERE d.id > ? AND (? IS NULL OR d.state = ?) GROUP BY d.id ORDER BY d.id LIMIT ?",
            after, state, state, limit,
        )  # fmt: skip
        return [read_queued(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Return how many drafts are in each state."""
        return dict(self._store.rows("SELECT state, count(*) FROM drafts GROUP BY state"))

    # --- numbers: written by the node alone -----------------------------------------------------

    def busy_regions(self) -> list[Region]:
        """Return the regions in which something is not yet proven or refused."""
        rows = self._store.rows(
            "SELECT DISTINCT region FROM drafts"
            " WHERE state IN ('waiting', 'signed', 'accepted', 'admitted') ORDER BY region"
        )
        return [read_region(region, "drafts.region") for (region,) in rows]

    def waiting(self, region: Region, limit: int) -> list[Queued]:
        """Return the drafts that are to be signed next."""
        rows = self._store.rows(
            "SELECT id, draft, queued_at FROM drafts WHERE state = 'waiting' AND region = ?"
            " ORDER BY id LIMIT ?",
            int(region), limit,
        )  # fmt: skip
        return [
            Queued(id_, Draft.from_stored(draft), queued_at, "waiting", None, None, None, None)
            for id_, draft, queued_at in rows
        ]

    def stream(self, region: Region) -> Stream:
        """Return the stream that is written now; the first one is opened when it is asked for."""
        row = self._store.row(
            "SELECT name, reserved FROM streams WHERE region = ? AND current = 1", int(region)
        )
        if row is not None:
            return Stream(region, *row)
        name = _unused() if self._store.fact("begun") == ANOTHER else FIRST_STREAM
        with self._store.write():
            self._store.run("INSERT INTO streams VALUES (?, ?, 0, 1)", int(region), name)
        return Stream(region, name, 0)

    def open_another_stream(self, region: Region) -> Stream:
        """Leave the present stream for one that nobody has ever written.

        What was signed in the old one and not admitted is void: the caller knows that the hub can no
        longer admit it.
        """
        name = _unused()
        with self._store.write():
            old = self.stream(region)
            self._void(
                self._store.rows(
                    "SELECT id, draft FROM live WHERE region = ? AND stream = ?",
                    int(region), old.name,
                )
            )  # fmt: skip
            self._store.run("UPDATE streams SET current = 0 WHERE region = ?", int(region))
            self._store.run("INSERT INTO streams VALUES (?, ?, 0, 1)", int(region), name)
        return Stream(region, name, 0)

    def reserve(self, stream: Stream, count: int) -> int:
        """Give out `count` numbers, durably and for ever, and return the first."""
        with self._store.write():
            row = self._store.row(
                "UPDATE streams SET reserved = reserved + ? WHERE region = ? AND name = ? RETURNING reserved",
                count, int(stream.region), stream.name,
            )  # fmt: skip
            assert row is not None
        last: int = row[0]
        return last - count + 1

    def keep(self, statements: Sequence[Statement]) -> None:
        """Keep what was signed, before any of it is sent."""
        with self._store.write():
            self._store.run_many(
                "INSERT INTO statements"
                " (id, draft, region, stream, sequence, previous, envelope, key, state, changed_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        each.id, each.draft, int(each.region), each.stream, each.sequence, each.previous,
                        each.envelope, each.key, each.state, each.changed_at,
                    )
                    for each in statements
                ],
            )  # fmt: skip
            self._store.run_many(
                "UPDATE drafts SET state = 'signed', code = NULL, field = NULL WHERE id = ?",
                [(each.draft,) for each in statements],
            )

    def recover(self, statement: Statement, decision: bytes, at: int) -> None:
        """Record that a waiting draft was signed by a later state of this store, and is proven."""
        with self._store.write():
            self._store.run(
                "UPDATE streams SET reserved = max(reserved, ?) WHERE region = ? AND name = ?",
                statement.sequence, int(statement.region), statement.stream,
            )  # fmt: skip
            self.keep([statement])
            self.prove(statement, decision, at)

    # --- what became of them ----------------------------------------------------------------------

    def find(self, statement: bytes) -> Statement | None:
        """Return a statement that this node signed."""
        row = self._store.row("SELECT * FROM said WHERE id = ?", statement)
        return None if row is None else read_statement(*row)

    def tip(self, stream: Stream) -> bytes | None:
        """Return what the next statement of the stream follows."""
        row = self._store.row(
            "SELECT id FROM standing WHERE region = ? AND stream = ?"
            " ORDER BY sequence DESC LIMIT 1",
            int(stream.region), stream.name,
        )  # fmt: skip
        return None if row is None else row[0]

    def last_admitted(self, stream: Stream) -> bytes | None:
        """Return the last statement of the stream that is known to be admitted."""
        row = self._store.row(
            "SELECT id FROM settled WHERE region = ? AND stream = ?"
            " ORDER BY sequence DESC LIMIT 1",
            int(stream.region), stream.name,
        )  # fmt: skip
        return None if row is None else row[0]

    def live(self, stream: Stream) -> list[bytes]:
        """Return what was said in the stream and is not known to be admitted, in the order of the numbers."""
        rows = self._store.rows(
            "SELECT id FROM live WHERE region = ? AND stream = ? ORDER BY sequence",
            int(stream.region), stream.name,
        )  # fmt: skip
        return [id_ for (id_,) in rows]

    def unsent(self, region: Region, limit: int) -> list[Statement]:
        """Return what the hub has not confirmed to hold, in the order of the numbers."""
        stream = self.stream(region)
        rows = self._store.rows(
            "SELECT * FROM said WHERE region = ? AND stream = ? AND state = 'signed'"
            " ORDER BY sequence LIMIT ?",
            int(region), stream.name, limit,
        )  # fmt: skip
        return [read_statement(*row) for row in rows]

    def unproven(self, region: Region, limit: int, *, after: int = 0) -> list[Statement]:
        """Return what the hub holds and has not proven yet, oldest draft first."""
        rows = self._store.rows(
            "SELECT * FROM unproven WHERE region = ? AND draft > ? ORDER BY draft LIMIT ?",
            int(region), after, limit,
        )  # fmt: skip
        return [read_statement(*row) for row in rows]

    def count_unproven(self, region: Region) -> int:
        """Return how many statements the hub holds and has not proven yet."""
        ((count,),) = self._store.rows("SELECT count(*) FROM unproven WHERE region = ?", int(region))
        return int(count)

    def move(self, statements: Sequence[Statement], state: str, at: int) -> None:
        """Record that statements, and with them their drafts, are now `state`."""
        with self._store.write():
            self._store.run_many(
                "UPDATE statements SET state = ?, changed_at = ? WHERE id = ?",
                [(state, at, each.id) for each in statements],
            )
            self._store.run_many(
                "UPDATE drafts SET state = ? WHERE id = ?", [(state, each.draft) for each in statements]
            )

    def prove(self, statement: Statement, decision: bytes, at: int) -> None:
        """Record that the proofs of the statement and of its decision are held."""
        with self._store.write():
            self._store.run(
                "UPDATE statements SET state = 'proven', decision = ?, changed_at = ? WHERE id = ?",
                decision, at, statement.id,
            )  # fmt: skip
            self._store.run("UPDATE drafts SET state = 'proven' WHERE id = ?", statement.draft)

    def refuse_draft(self, draft: int, code: str, field: str | None) -> None:
        """Record that a draft was refused for good before it was signed."""
        with self._store.write():
            self._store.run(
                "UPDATE drafts SET state = 'refused', code = ?, field = ? WHERE id = ?", code, field, draft
            )

    def refuse(self, statement: Statement, code: str, field: str | None, at: int) -> None:
        """Record that a statement, and with it its draft, was refused for good."""
        with self._store.write():
            self._store.run(
                "UPDATE statements SET state = 'refused', code = ?, changed_at = ? WHERE id = ?",
                code, at, statement.id,
            )  # fmt: skip
            self.refuse_draft(statement.draft, code, field)
            self.realign(statement.region)

    def void(self, statement: Statement, code: str, at: int) -> None:
        """Record that a statement cannot be admitted under its number; its draft waits again."""
        with self._store.write():
            self._store.run(
                "UPDATE statements SET code = ?, changed_at = ? WHERE id = ?", code, at, statement.id
            )
            self._void([(statement.id, statement.draft)])
            self.realign(statement.region)

    def admit_through(self, statement: bytes, at: int) -> None:
        """Record that a statement was admitted, and with it every one that it follows.

        What the hub admitted counts, also if it was given up here: then whatever its draft was signed as
        since is void.
        """
        with self._store.write():
            found: bytes | None = statement
            while found is not None:
                row = self._store.row("SELECT draft, previous, state FROM statements WHERE id = ?", found)
                if row is None or row[2] in ("admitted", "proven"):
                    break
                draft, previous, _ = row
                self._store.run(
                    "UPDATE statements SET state = 'admitted', changed_at = ? WHERE id = ?", at, found
                )
                self._store.run(
                    "UPDATE statements SET state = 'void' WHERE draft = ? AND id != ?"
                    " AND state IN ('signed', 'accepted')",
                    draft, found,
                )  # fmt: skip
                self._store.run(
                    "UPDATE drafts SET state = 'admitted', code = NULL, field = NULL WHERE id = ?", draft
                )
                found = previous

    def realign(self, region: Region) -> None:
        """Void what no longer follows from what was admitted; its drafts wait, in their old order."""
        with self._store.write():
            stream = self.stream(region)
            follows = self.last_admitted(stream)
            live = self._store.rows(
                "SELECT id, draft, previous FROM live WHERE region = ? AND stream = ? ORDER BY sequence",
                int(region), stream.name,
            )  # fmt: skip
            for place, (id_, _, previous) in enumerate(live):
                if previous != follows:
                    self._void([(each, draft) for each, draft, _ in live[place:]])
                    break
                follows = id_

    def _void(self, statements: Iterable[tuple[bytes, int]]) -> None:
        for id_, draft in statements:
            self._store.run("UPDATE statements SET state = 'void' WHERE id = ?", id_)
            self._store.run(
                "UPDATE drafts SET state = 'waiting' WHERE id = ? AND state IN ('signed', 'accepted')", draft
            )


def _unused() -> str:
    """Return a name for a stream that nobody has ever written."""
    return f"{FIRST_STREAM}-{secrets.token_hex(4)}"
