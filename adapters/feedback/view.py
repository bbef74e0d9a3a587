"""What was shared with whom, and what came of it: a view of the store that reads on by itself.

One row for each notice and member that got it, in both directions: what the member received, and what it
sent.  Triggers of the store (`tables`) write down what is not read yet, in the transaction in which it
happened, so that nothing is missed whoever wrote it; `read` takes that up, some at a time.

Decides what counts as an answer: a notice of type `feedback` that refers to the statement, from the member
that got it.  One that was refused, or that comes from somebody else, counts for nothing.  What its
originator recalls or cancels needs no answer any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from adapters.sending.draft import Draft
from adapters.store import Store
from adapters.stored import stored, stored_record, stored_reference
from broker.core.catalogue import Catalogue
from broker.core.errors import Refused
from broker.core.model import (
    Act,
    Decision,
    Delivery,
    DeliveryHead,
    Envelope,
    Ground,
    Header,
    Slot,
    Status,
)
from broker.core.records import decode

FEEDBACK = "feedback"
AT_ONCE = 256
MOST_ROWS = 1_024
"""So many rows are written in one step, or those of one notice: others wait meanwhile."""
NEEDS_NO_ANSWER = frozenset({Act.RECALL, Act.CANCEL})


@dataclass(frozen=True, slots=True)
class Shared:
    """A notice that `originator` shared with `receiver`, and what came of it.

    `due_at` is when feedback is due, None if none is asked; `answered_at` when it was first given, `outcome`
    what it says now.
    """

    statement: bytes
    receiver: str
    originator: str
    delivery: bytes
    reference: str
    notice_type: str
    status: Status
    agreements: tuple[str, ...]
    given_at: int
    due_at: int | None
    answered_at: int | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Given:
    """Feedback that was given: by `receiver`, about `statement`; `shared` is None if it never got that."""

    statement: bytes
    receiver: str
    outcome: str | None
    at: int
    shared: Shared | None


COLUMNS = (
    "s.statement, s.receiver, s.originator, s.delivery, s.reference, s.notice_type, s.status, s.agreements,"
    " s.given_at, s.due_at, s.answered_at, s.outcome"
)


class FeedbackView:
    """The view of one node's store.

    Args:
        store: The node's store.
        member: Whose it is.
        catalogue: The notice types.
    """

    def __init__(self, store: Store, member: str, catalogue: Catalogue) -> None:
        self._store = store
        self._member = member
        self._catalogue = catalogue
        self._written = 0
        self._readers: dict[str, Callable[[bytes | int], None]] = {
            "delivery": self._read_delivery,
            "statement": self._read_statement,
            "draft": self._read_draft,
        }

    # --- reading on -------------------------------------------------------------------------------------

    def read(self, limit: int = AT_ONCE) -> int:
        """Take up some of what happened since, in one durable step; return how much was found."""
        if self._store.row("SELECT 1 FROM unread LIMIT 1") is None:
            return 0
        with self._store.write():
            unread = self._store.rows("SELECT id, kind, key FROM unread ORDER BY id LIMIT ?", limit)
            self._written = done = 0
            for id_, kind, key in unread:
                with stored("unread.kind"):
                    reader = self._readers[kind]
                reader(key)
                done = id_
                if self._written >= MOST_ROWS:
                    break
            self._store.run("DELETE FROM unread WHERE id <= ?", done)
        return len(unread)

    def read_all(self) -> None:
        """Take up everything that happened so far."""
        while self.read():
            pass

    def _read_delivery(self, key: bytes | int) -> None:
        row = self._store.row("SELECT id, record, state FROM deliveries WHERE id = ?", key)
        if row is None or row[2] == "quarantined":
            return
        id_, record, _ = row
        delivery = stored_record(Delivery, record, "deliveries.record")
        if delivery.envelope is None:
            return
        with stored("deliveries.record"):
            head, header = decode(DeliveryHead, delivery.head), decode(Header, delivery.envelope.header)
        if header.notice_type == FEEDBACK:
            for statement in header.references:
                outcome = self._outcome(delivery.envelope, header)
                self._answered(statement, header.originator, id_.hex(), outcome, head.decided_at)
            return
        self._share(
            header, head.statement, self._member, id_, head.grounds, head.decided_at,
            head.obligations.feedback_due,
        )  # fmt: skip
        self._relieve(header)

    def _read_statement(self, key: bytes | int) -> None:
        row = self._store.row(
            "SELECT s.envelope, s.decision, r.value FROM statements s"
            " LEFT JOIN refs r ON r.statement = s.id WHERE s.id = ?",
            key,
        )
        if row is None or row[1] is None:
            return
        with stored("statements.envelope"):
            header = decode(Header, decode(Envelope, row[0]).header)
        decision = stored_record(Decision, row[1], "statements.decision")
        if header.notice_type == FEEDBACK:
            return
        agreed = {} if row[2] is None else stored_reference(row[2]).shares
        for share in decision.shares:
            known = agreed.get(share.member)
            due = header.feedback_due if known is None else known.obligations.feedback_due
            self._share(
                header, decision.statement, share.member, share.delivery, share.grounds, decision.decided_at,
                due,
            )  # fmt: skip
        self._relieve(header)

    def _read_draft(self, key: bytes | int) -> None:
        row = self._store.row("SELECT draft, queued_at, state FROM drafts WHERE id = ?", key)
        if row is None:
            return
        draft = Draft.from_stored(row[0])
        for statement in draft.references:
            if row[2] == "refused":
                self._store.run(
                    "DELETE FROM answers WHERE statement = ? AND receiver = ? AND source = ?",
                    statement, self._member, str(key),
                )  # fmt: skip
                self._settle(statement, self._member)
            else:
                self._answered(statement, self._member, str(key), _text(draft.notice.get("outcome")), row[1])

    def _share(
        self, header: Header, statement: bytes, receiver: str, delivery: bytes, grounds: Iterable[Ground],
        given_at: int, due_at: int | None,
    ) -> None:  # fmt: skip
        self._written += 1
        self._store.run(
            "INSERT INTO shared (statement, receiver, originator, delivery, reference, notice_type, status,"
            " agreements, given_at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            statement, receiver, header.originator, delivery, header.reference.removeprefix("halong:"),
            header.notice_type, int(header.status),
            msgspec.json.encode([f"{ground.agreement}/{ground.version}" for ground in grounds]).decode(),
            given_at, None if header.act in NEEDS_NO_ANSWER else due_at,
        )  # fmt: skip
        # Most have no answer yet, and an update of all would cost as much as the rows themselves.
        if self._store.row("SELECT 1 FROM answers WHERE statement = ? AND receiver = ?", statement, receiver):
            self._settle(statement, receiver)

    def _relieve(self, header: Header) -> None:
        if header.act in NEEDS_NO_ANSWER:
            self._store.run_many(
                "UPDATE shared SET due_at = NULL WHERE statement = ? AND originator = ?",
                [(statement, header.originator) for statement in header.references],
            )

    def _answered(self, statement: bytes, receiver: str, source: str, outcome: str | None, at: int) -> None:
        self._store.run(
            "INSERT INTO answers (statement, receiver, source, outcome, at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            statement, receiver, source, outcome, at,
        )  # fmt: skip
        self._settle(statement, receiver)

    def _settle(self, statement: bytes, receiver: str) -> None:
        """Write what came of it: when it was first answered, and what the last answer says."""
        of = "FROM answers a WHERE a.statement = shared.statement AND a.receiver = shared.receiver"
        self._store.run(
            f"UPDATE shared SET answered_at = (SELECT min(a.at) {of}),"  # noqa: S608 (our own text)
            f" outcome = (SELECT a.outcome {of} ORDER BY a.number DESC LIMIT 1)"
            " WHERE statement = ? AND receiver = ?",
            statement, receiver,
        )  # fmt: skip

    def _outcome(self, envelope: Envelope, header: Header) -> str | None:
        """Return what a checked feedback says, as far as we may see it."""
        facts = [each.value for each in envelope.disclosures if each.slot is Slot.FACTS]
        try:
            notice_type = self._catalogue.find(FEEDBACK, header.schema)
            return _text(notice_type.decode_slot(Slot.FACTS, facts[0])["outcome"]) if facts else None
        except Refused:
            # The catalogue has changed since the delivery was checked: that it came still counts.
            return None

    # --- asking -----------------------------------------------------------------------------------------

    def owed(self, *, limit: int, before: int | None = None) -> list[Shared]:
        """Return what this member owes feedback on, what is due first first; `before` a time if given."""
        return self._select(
            "WHERE s.receiver = ? AND s.due_at IS NOT NULL AND s.answered_at IS NULL"
            " AND (? IS NULL OR s.due_at <= ?) ORDER BY s.due_at LIMIT ?",
            self._member, before, before, limit,
        )  # fmt: skip

    def find(self, name: str) -> list[Shared]:
        """Return what a reference, or the beginning of a statement's or of our delivery's id, may mean.

        Two at most: more than one is one too many.
        """
        if not name.isascii():
            # Nor is anything named so: a shell hands over bytes that are no text, too.
            return []
        found = self._select("WHERE s.reference = ? LIMIT 2", name.removeprefix("halong:"))
        if found or not 4 <= len(name) <= 64 or not set(name) <= set("0123456789abcdef"):
            return [each for each in found if self._member in (each.receiver, each.originator)]
        ends = bytes.fromhex(name.ljust(64, "0")), bytes.fromhex(name.ljust(64, "f"))
        return self._select(
            "WHERE s.statement BETWEEN ? AND ? OR s.receiver = ? AND s.delivery BETWEEN ? AND ?"
            " AND s.statement IN (SELECT d.statement FROM deliveries d WHERE d.id BETWEEN ? AND ?) LIMIT 2",
            *ends, self._member, *ends, *ends,
        )  # fmt: skip

    def answers_by(self, statement: bytes, receiver: str) -> int:
        """Return how often a member answered a statement."""
        ((count,),) = self._store.rows(
            "SELECT count(*) FROM answers WHERE statement = ? AND receiver = ?", statement, receiver
        )
        return int(count)

    def refused_by_hub(self, statement: bytes) -> int:
        """Return how many answers to a statement were refused for good."""
        first = f"feedback/{statement.hex()}"
        ((count,),) = self._store.rows(
            "SELECT count(*) FROM drafts WHERE source >= ? AND source < ? AND state = 'refused'",
            first, f"{first}0",
        )  # fmt: skip
        return int(count)

    def given(self, *, to_us: bool, limit: int) -> list[Given]:
        """Return the feedback that we got on what we sent, or gave on what we got; the latest first."""
        rows = self._store.rows(
            "SELECT a.statement, a.receiver, a.outcome, a.at FROM answers a"
            " WHERE (a.receiver = ?) = ? ORDER BY a.number DESC LIMIT ?",
            self._member, int(not to_us), limit,
        )  # fmt: skip
        return [
            Given(statement, receiver, outcome, at, next(iter(self._row(statement, receiver)), None))
            for statement, receiver, outcome, at in rows
        ]

    def remind(self, stage: int, *, before: int, limit: int = AT_ONCE) -> list[Shared]:
        """Return what came to a stage of reminding, each once: what is due before a time and not that far."""
        with self._store.write():
            found = self._select(
                "WHERE s.receiver = ? AND s.due_at IS NOT NULL AND s.answered_at IS NULL AND s.due_at <= ?"
                f" AND s.reminded IN ({', '.join(map(str, range(stage)))}) ORDER BY s.due_at LIMIT ?",
                self._member, before, limit,
            )  # fmt: skip
            self._store.run_many(
                "UPDATE shared SET reminded = ? WHERE statement = ? AND receiver = ?",
                [(stage, each.statement, each.receiver) for each in found],
            )
        return found

    def _row(self, statement: bytes, receiver: str) -> list[Shared]:
        return self._select("WHERE s.statement = ? AND s.receiver = ?", statement, receiver)

    def _select(self, where: str, *values: object) -> list[Shared]:
        rows = self._store.rows(f"SELECT {COLUMNS} FROM shared s {where}", *values)  # noqa: S608 (as above)
        return [_shared(*row) for row in rows]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _shared(
    statement: bytes, receiver: str, originator: str, delivery: bytes, reference: str, notice_type: str,
    status: int, agreements: str, given_at: int, due_at: int | None, answered_at: int | None,
    outcome: str | None,
) -> Shared:  # fmt: skip
    with stored("shared.status"):
        kind = Status(status)
    with stored("shared.agreements"):
        under = tuple(msgspec.json.decode(agreements, type=list[str]))
    return Shared(
        statement, receiver, originator, delivery, reference, notice_type, kind, under, given_at, due_at,
        answered_at, outcome,
    )  # fmt: skip
