"""What each record becomes in the index.

Decides which rows a record is, and what it adds to rows of records that stand before it in the log: a
statement is decided, a delivery is taken by its member, acknowledged, answered.  Who says what about whom is
looked at: a receipt or a read counts for the member to which the delivery went, feedback for one that got the
statement, and nothing for others.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict

from broker.audit.base import Base
from broker.audit.facts import FEEDBACK, facts_of
from broker.core.avro_types import Mismatch, read_bytes
from broker.core.catalogue import Catalogue
from broker.core.errors import NotCanonical
from broker.core.model import (
    Act,
    Decision,
    Delivery,
    DeliveryHead,
    Envelope,
    Erasure,
    Event,
    Head,
    Header,
    Read,
    Readable,
    Receipt,
    Refusal,
    SignedReceipt,
    Status,
)
from broker.core.records import decode, delivery_id, leaf_entry_of, statement_id, unframe, unframed

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
KEPT_STATUSES = 65_536
TALLIED = ("sent", "asked", "taken", "acknowledged", "rejected")
COUNTED = ("published", "delivered", "taken", "acknowledged", "rejected")
NEEDS_NO_ANSWER = frozenset({Act.RECALL, Act.CANCEL})
ACKNOWLEDGED = frozenset({Event.ACCEPTED, Event.DELIVERED, Event.READ})

TallyKey = tuple[str, str, str, int]
OwedKey = tuple[str, str, str, int, int]


class Taking:
    """Takes records into an index, inside of its steps.

    Args:
        base: The index.
        catalogue: The notice types.
    """

    def __init__(self, base: Base, catalogue: Catalogue) -> None:
        self._base = base
        self._catalogue = catalogue
        self._statuses: OrderedDict[bytes, int] = OrderedDict()
        self._tallies: dict[TallyKey, list[int]] = defaultdict(lambda: [0] * len(TALLIED))
        self._members: dict[str, list[int]] = defaultdict(lambda: [0] * (len(COUNTED) + 3))
        self._owed: dict[OwedKey, int] = defaultdict(int)
        self.erased = False

    def flush(self) -> None:
        """Write the counts that the step's records came to."""
        plus = ", ".join(f"{name} = {name} + excluded.{name}" for name in TALLIED)
        self._base.run_many(
            f"INSERT INTO tally VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET {plus}",  # noqa: S608 - names from above
            [(*key, *counts) for key, counts in self._tallies.items()],
        )
        plus = ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTED)
        last = ", ".join(
            f"last_{name}_at = max(last_{name}_at, excluded.last_{name}_at)"
            for name in ("published", "taken", "receipt")
        )
        self._base.run_many(
            f"INSERT INTO member VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET {plus}, {last}",  # noqa: S608
            [(member, *counts) for member, counts in self._members.items()],
        )
        self._base.run_many(
            "INSERT INTO owed VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET count = count + excluded.count",
            [(*way, count) for way, count in self._owed.items()],
        )
        self.forget()

    def forget(self) -> None:
        """Forget what a step was to write that was not completed."""
        self._tallies.clear()
        self._members.clear()
        self._owed.clear()

    # --- statements ---------------------------------------------------------------------------------

    def statement(self, value: bytes) -> None:
        """Take a record of `notices.*`, or what is left of one that was erased.

        Raises:
            NotCanonical: It cannot be read.
            Refused: It was taken, but its facts cannot be shown.
        """
        envelope = unframe(Envelope, value)
        id_, header = statement_id(envelope.header), decode(Header, envelope.header)
        number = self._base.add(
            "INSERT OR IGNORE INTO statement (id, originator, region, stream, sequence, type, status, act,"
            " tlp, issued_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            id_, header.originator, int(header.region), header.stream, header.sequence, header.notice_type,
            int(header.status), int(header.act), int(header.tlp), header.issued_at,
        )  # fmt: skip
        if number is None:
            return
        self._base.run_many(
            "INSERT OR IGNORE INTO refers VALUES (?, ?)", [(r, id_) for r in header.references]
        )
        text, outcome = facts_of(envelope, header, self._catalogue)
        if text:
            self._base.run("INSERT INTO facts (rowid, text) VALUES (?, ?)", number, text)
        if outcome is not None:
            self._base.run("UPDATE statement SET outcome = ? WHERE n = ?", outcome, number)

    def decision(self, value: bytes) -> None:
        """Take a decision.

        Raises:
            NotCanonical: It cannot be read.
        """
        decision, id_ = unframe(Decision, value), leaf_entry_of(value)[1:]
        row = self._base.row(
            "SELECT originator, region, stream, sequence, type, act, decided_at FROM statement WHERE id = ?",
            decision.statement,
        )
        if row is None or row[6] is not None:
            raise NotCanonical("a decision about a statement that is not there, or that was decided")
        originator, region, stream, sequence, notice_type, act, _ = row
        self._base.run(
            "UPDATE statement SET decision = ?, decided_at = ?, shares = ? WHERE id = ?",
            id_, decision.decided_at, len(decision.shares), decision.statement,
        )  # fmt: skip
        counts = self._members[originator]
        counts[0] += 1
        counts[5] = max(counts[5], decision.decided_at)
        self._follow_stream(originator, region, stream, sequence)
        (found,) = self._base.rows("SELECT count(*) FROM delivery WHERE statement = ?", decision.statement)[0]
        if found != len(decision.shares):
            self._base.run(
                "INSERT OR IGNORE INTO undelivered VALUES (?, ?)", decision.statement, len(decision.shares)
            )
        if notice_type == FEEDBACK:
            self._answer(originator, decision.statement, decision.decided_at)
        if act in NEEDS_NO_ANSWER:
            self._settle("feedback_due = NULL", "originator = ?", decision.statement, originator)

    def _answer(self, by: str, feedback: bytes, at: int) -> None:
        self._base.run(
            "INSERT OR IGNORE INTO answer SELECT statement, member, ?, ? FROM delivery"
            " WHERE statement IN (SELECT about FROM refers WHERE statement = ?) AND member = ?",
            at, feedback, feedback, by,
        )  # fmt: skip
        self._settle("answered_at = ?", "member = ?", feedback, by, at)

    def _settle(self, change: str, whose: str, statement: bytes, member: str, *values: int) -> None:
        """Take deliveries to which a statement refers out of what is owed, whichever way that is written."""
        which = (
            f"WHERE statement IN (SELECT about FROM refers WHERE statement = ?) AND {whose}"  # noqa: S608 - as above
            " AND answered_at IS NULL"
        )
        for grounds, originator, receiver, decided_at, due in self._base.rows(
            "SELECT grounds, originator, member, decided_at, feedback_due FROM delivery"  # noqa: S608
            f" {which} AND feedback_due IS NOT NULL AND live",
            statement,
            member,
        ):
            self._owed[grounds, originator, receiver, decided_at // DAY_MS, due // HOUR_MS] -= 1
        self._base.run(f"UPDATE delivery SET {change} {which}", *values, statement, member)  # noqa: S608 - as above

    def _follow_stream(self, originator: str, region: int, stream: str, sequence: int) -> None:
        row = self._base.row(
            "SELECT sequence FROM stream WHERE originator = ? AND region = ? AND stream = ?",
            originator, region, stream,
        )  # fmt: skip
        last = row[0] if row is not None else 0
        if sequence != last + 1:
            self._base.run(
                "INSERT OR IGNORE INTO skipped VALUES (?, ?, ?, ?, ?, ?)",
                originator, region, stream, sequence, last, sequence <= last,
            )  # fmt: skip
        self._base.run(
            "INSERT INTO stream VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET sequence = excluded.sequence",
            originator, region, stream, sequence,
        )  # fmt: skip

    def _status_of(self, statement: bytes) -> int | None:
        status = self._statuses.get(statement)
        if status is None:
            row = self._base.row("SELECT status FROM statement WHERE id = ?", statement)
            if row is None:
                return None
            status = self._statuses[statement] = int(row[0])
            if len(self._statuses) > KEPT_STATUSES:
                self._statuses.popitem(last=False)
        return status

    # --- deliveries ---------------------------------------------------------------------------------

    def delivery(self, value: bytes) -> None:
        """Take a record of an inbox, erased or not: its head, and nothing of its content.

        Raises:
            NotCanonical: It cannot be read.
        """
        try:
            data, _ = read_bytes(unframed(Delivery, value), 0)
        except (Mismatch, IndexError):
            raise NotCanonical("not a delivery") from None
        head = decode(DeliveryHead, data)
        region, _, originator = head.lane.partition("/")
        grounds = sorted({(each.agreement, each.version) for each in head.grounds})
        live = self._status_of(head.statement) == Status.ACTUAL
        due = head.obligations.feedback_due
        number = self._base.add(
            "INSERT OR IGNORE INTO delivery (id, member, originator, region, sequence, statement, slots,"
            " grounds, live, decided_at, feedback_due) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            delivery_id(data), head.member, originator, region, head.sequence, head.statement,
            sum(1 << slot for slot in head.slots), " ".join(f"{name}/{version}" for name, version in grounds),
            live, head.decided_at, due,
        )  # fmt: skip
        if number is None:
            return
        self._base.run_many(
            "INSERT OR IGNORE INTO ground VALUES (?, ?, ?, ?, ?, ?)",
            [(name, originator, head.decided_at, number, head.member, version) for name, version in grounds],
        )
        self._base.run(
            "INSERT INTO lane VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET deliveries = deliveries + 1,"
            " last = max(last, excluded.last)",
            head.member, region, originator, head.sequence,
        )  # fmt: skip
        self._members[head.member][1] += 1
        for name, _ in grounds:
            # Exercises are no results; but that something was shared under the agreement is told, too.
            counts = self._tallies[name, originator, head.member, head.decided_at // DAY_MS]
            counts[0] += live
            counts[1] += live and due is not None
        if live and due is not None:
            key = (" ".join(f"{name}/{version}" for name, version in grounds), originator, head.member)
            self._owed[*key, head.decided_at // DAY_MS, due // HOUR_MS] += 1

    def read(self, value: bytes) -> None:
        """Take a read.

        Raises:
            NotCanonical: It cannot be read.
        """
        read, id_ = unframe(Read, value), leaf_entry_of(value)[1:]
        number = self._base.add(
            "INSERT OR IGNORE INTO reading (id, reader, what, reason, at, count) VALUES (?, ?, ?, ?, ?, ?)",
            id_, read.reader, int(read.what), read.reason, read.at, len(read.ids),
        )  # fmt: skip
        if number is None:
            return
        self._base.run_many("INSERT OR IGNORE INTO told VALUES (?, ?)", [(each, number) for each in read.ids])
        if read.what is Readable.INBOX:
            counts = self._members[read.reader]
            counts[6] = max(counts[6], read.at)
            for each in read.ids:
                self._reached(each, read.reader, "taken", read.at)

    def receipt(self, value: bytes) -> None:
        """Take a receipt.

        Raises:
            NotCanonical: It cannot be read.
        """
        signed, id_ = unframe(SignedReceipt, value), leaf_entry_of(value)[1:]
        receipt = decode(Receipt, signed.receipt)
        counts = self._members[receipt.member]
        counts[7] = max(counts[7], receipt.at)
        reached = (
            "acknowledged"
            if receipt.event in ACKNOWLEDGED
            else "rejected"
            if receipt.event is Event.REJECTED
            else None
        )
        for each in receipt.deliveries:
            row = self._base.row("SELECT n FROM delivery WHERE id = ? AND member = ?", each, receipt.member)
            if row is None:
                continue
            self._base.run(
                "INSERT OR IGNORE INTO receipt VALUES (?, ?, ?, ?, ?, ?)",
                row[0], int(receipt.event), receipt.at, id_, receipt.channel, receipt.code,
            )  # fmt: skip
            if reached is not None:
                self._reached(each, receipt.member, reached, receipt.at)

    def _reached(self, delivery: bytes, member: str, what: str, at: int) -> None:
        """Note when something first happened to a delivery, and count it."""
        row = self._base.row(
            f"UPDATE delivery SET {what}_at = ? WHERE id = ? AND member = ? AND {what}_at IS NULL"  # noqa: S608 - one of three names
            " RETURNING grounds, originator, decided_at, live",
            at, delivery, member,
        )  # fmt: skip
        if row is None:
            return
        grounds, originator, decided_at, live = row
        self._members[member][COUNTED.index(what)] += 1
        if live:
            for ground in grounds.split():
                name = ground.rpartition("/")[0]
                self._tallies[name, originator, member, decided_at // DAY_MS][TALLIED.index(what)] += 1

    # --- what else the hub writes -----------------------------------------------------------------------

    def refusal(self, value: bytes) -> None:
        """Take a refusal.

        Raises:
            NotCanonical: It cannot be read.
        """
        refusal = unframe(Refusal, value)
        self._base.run(
            "INSERT OR IGNORE INTO refusal (id, station, peer, statement, code, count, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            leaf_entry_of(value)[1:], int(refusal.station), refusal.peer, refusal.statement, refusal.code,
            refusal.count, refusal.at,
        )  # fmt: skip

    def erasure(self, value: bytes) -> None:
        """Take an erasure: what the index has of the statement's contents goes.

        Raises:
            NotCanonical: It cannot be read.
        """
        erasure = unframe(Erasure, value)
        self._base.run(
            "INSERT OR IGNORE INTO erasure VALUES (?, ?, ?, ?)",
            leaf_entry_of(value)[1:], erasure.statement, int(erasure.ground), erasure.at,
        )  # fmt: skip
        if self._base.forget(erasure.statement):
            self.erased = True

    def head(self, value: bytes) -> None:
        """Take a head.

        Raises:
            NotCanonical: It cannot be read.
        """
        head = unframe(Head, value)
        self._base.run(
            "INSERT OR IGNORE INTO head VALUES (?, ?, ?, ?, ?)",
            leaf_entry_of(value)[1:], head.member, head.size, head.deliveries, head.at,
        )  # fmt: skip
