"""The life of a notice: published, decided, delivered, received, acknowledged, acted on; and where it ended.

Decides which records are a stage of it.  Each has the time that its record says, its leaf, and a path to the
checkpoint under which the whole answer is given; a record that no checkpoint covers yet has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from broker.audit.building import AuditIndex
from broker.audit.finding import Told, find
from broker.audit.leaves import Named, Proved
from broker.core.model import (
    Act,
    Decision,
    Delivery,
    Envelope,
    Erasure,
    ErasureGround,
    Event,
    Read,
    Readable,
    Refusal,
    Region,
    SignedReceipt,
    Slot,
)
from broker.core.records import LEAF_TYPES

What = Literal[
    "published", "refused", "decided", "delivered", "received", "acknowledged", "rejected", "acted on",
    "followed", "erased",
]  # fmt: skip
EVENTS = {Event.REJECTED: "rejected"}


@dataclass(frozen=True, slots=True)
class Stage:
    """Something that happened to a notice: when, to or by whom, what else the record says, and its proof."""

    what: What
    at: int
    member: str
    detail: str
    record: bytes
    proved: Proved | None


@dataclass(frozen=True, slots=True)
class Life:
    """What became of a statement, in the order of time; `under` is the checkpoint that proves it."""

    statement: Told
    stages: tuple[Stage, ...]
    under: Named | None


def life(index: AuditIndex, name: str) -> Life:
    """Return the life of the statement that `name` means.

    Raises:
        NotFound: There is none, or more than one.
        BadProof: The leaves do not lead to what the log's key signed.
    """
    statement = find(index.base, name)
    under = index.leaves.newest(index.key)
    order = {what: number for number, what in enumerate(What.__args__)}  # type: ignore[attr-defined]
    stages = sorted(
        _Told(index, under).stages(statement), key=lambda each: (each.at, order[each.what], each.member)
    )
    return Life(statement, tuple(stages), under)


class _Told:
    def __init__(self, index: AuditIndex, under: Named | None) -> None:
        self._base = index.base
        self._leaves = index.leaves
        self._under = under

    def _stage(self, what: What, at: int, member: str, detail: str, kind: type, id_: bytes) -> Stage:
        proved = self._leaves.proved(bytes((LEAF_TYPES[kind],)) + id_, self._under)
        return Stage(what, at, member, detail, id_, proved)

    def stages(self, told: Told) -> Iterator[Stage]:
        """Yield every stage."""
        id_ = told.statement
        yield self._stage(
            "published",
            told.issued_at,
            told.originator,
            f"{told.notice_type}, {told.act.name}",
            Envelope,
            id_,
        )
        for record, at, code, peer in self._base.rows(
            "SELECT id, at, code, peer FROM refusal WHERE statement = ?", id_
        ):
            yield self._stage("refused", at, peer, code, Refusal, record)
        for record, at, shares in self._base.rows(
            "SELECT decision, decided_at, shares FROM statement WHERE id = ? AND decided_at IS NOT NULL", id_
        ):
            yield self._stage("decided", at, "", f"shared with {shares:,}", Decision, record)
        for row in self._base.rows(
            "SELECT n, id, member, slots, grounds, decided_at FROM delivery WHERE statement = ?", id_
        ):
            yield from self._of_delivery(*row)
        yield from self._what_followed(id_)
        for record, ground, at in self._base.rows(
            "SELECT id, ground, at FROM erasure WHERE statement = ?", id_
        ):
            yield self._stage("erased", at, "", ErasureGround(ground).name.lower(), Erasure, record)

    def _of_delivery(
        self, number: int, id_: bytes, member: str, slots: int, grounds: str, at: int
    ) -> Iterator[Stage]:
        names = " ".join(slot.label for slot in Slot if slots >> slot & 1)
        yield self._stage("delivered", at, member, f"{names} by {grounds}", Delivery, id_)
        for record, read_at in self._base.rows(
            "SELECT r.id, r.at FROM told t JOIN reading r ON r.n = t.reading"
            " WHERE t.id = ? AND r.reader = ? AND r.what = ? ORDER BY t.reading LIMIT 1",
            id_, member, int(Readable.INBOX),
        ):  # fmt: skip
            yield self._stage("received", read_at, member, "from its inbox", Read, record)
        for record, event, said_at, channel, code in self._base.rows(
            "SELECT id, event, at, channel, code FROM receipt WHERE delivery = ?", number
        ):
            said = Event(event)
            what: What = "rejected" if said is Event.REJECTED else "acknowledged"
            detail = " ".join(each for each in (said.name.lower(), channel, code) if each)
            yield self._stage(what, said_at, member, detail, SignedReceipt, record)

    def _what_followed(self, id_: bytes) -> Iterator[Stage]:
        answers = {
            (by, feedback)
            for by, feedback in self._base.rows("SELECT by, statement FROM answer WHERE about = ?", id_)
        }
        for other, by, region, stream, sequence, act, outcome, decision, at in self._base.rows(
            "SELECT s.id, s.originator, s.region, s.stream, s.sequence, s.act, s.outcome, s.decision,"
            " s.decided_at FROM refers r JOIN statement s ON s.id = r.statement"
            " WHERE r.about = ? AND s.decided_at IS NOT NULL",
            id_,
        ):
            reference = f"{by}/{Region(region).slug}/{stream}/{sequence}"
            if (by, other) in answers:
                detail = f"{outcome or 'feedback'} ({reference})"
                yield self._stage("acted on", at, by, detail, Decision, decision)
            else:
                yield self._stage("followed", at, by, f"{Act(act).name} ({reference})", Decision, decision)
