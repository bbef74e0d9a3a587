"""Proving: a notice is kept until the node holds the proofs of its statement and of the hub's decision.

Decides what an answer about a statement means: not yet, lost, refused by the dispatcher, or proven; and
compares what the hub decided with what the agreements say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from adapters.directories import DirectoryUnknown
from adapters.equipment import Equipment
from adapters.receiving.checks import Confirmed, check_checkpoint, check_statement, compare_decision
from adapters.receiving.times import check_when_decided
from adapters.sending.alignment import Alignment
from adapters.sending.statement import RENUMBER, SIGN_AGAIN, Statement, code_to_keep
from adapters.stored import stored_record
from broker.core.errors import BadProof, NotCanonical, Unavailable, UnfitDirectory, Untimely
from broker.core.model import Envelope, Header, Region
from broker.core.note import TreeHead
from broker.core.wire import StatementStatus
from broker.telemetry import logger_of

AT_ONCE = 64
A_STEP = 512
LOST_AFTER_MS = 60_000

log_line = logger_of("outbox")


class Became(Enum):
    """What an answer about a statement led to."""

    PROVEN = auto()
    CHANGED = auto()  # it was refused, or is sent again: look at the store again
    UNDECIDED = auto()  # and so is what comes after it
    STUCK = auto()  # by itself; what comes after it may be done


@dataclass(frozen=True, slots=True)
class _Proof:
    """What was found to hold: a statement's decision, and the tree that contains both."""

    statement: Statement
    decision: bytes
    note: bytes
    tree: TreeHead
    confirmed: Confirmed


class Proving:
    """Asks the hub about what it holds.

    Args:
        equipment: What the node works with.
        alignment: What a refused number is told to.
    """

    def __init__(self, equipment: Equipment, alignment: Alignment) -> None:
        self._store = equipment.store
        self._outgoing = equipment.outgoing
        self._incoming = equipment.incoming
        self._hub = equipment.hub
        self._directories = equipment.directories
        self._log_key = equipment.log_key
        self._clock = equipment.clock
        self._alarms = equipment.alarms
        self._alignment = alignment

    async def prove(self, region: Region) -> bool:
        """Ask what became of what the hub holds, oldest first, until something is not done yet."""
        progressed = False
        after = 0
        for _ in range(A_STEP // AT_ONCE):
            held = self._outgoing.unproven(region, AT_ONCE, after=after)
            if not held:
                break
            # All answers must continue what was seen before they were asked for, and need not each other.
            last = self._incoming.last_seen("proofs")
            statuses = await self._hub.statements([each.id for each in held])
            if not statuses or len(statuses) > len(held):
                raise Unavailable("the hub answered for another number of statements", field="statuses")
            changed, goes_on = await self._take_statuses(list(zip(held, statuses, strict=False)), last)
            progressed |= changed
            if not goes_on:
                break
            after = held[len(statuses) - 1].draft
        return progressed

    async def _take_statuses(
        self, answers: Sequence[tuple[Statement, StatementStatus | None]], last: TreeHead | None
    ) -> tuple[bool, bool]:
        """Act on answers in their order; say whether anything changed, and whether the next may be asked."""
        progressed, became = False, Became.PROVEN
        proofs: list[_Proof] = []
        for statement, status in answers:
            if status is not None and _is_decided(status):
                became = await self._check(statement, status, last, proofs)
            else:
                # What is done about the others looks at what is proven.
                self._keep(proofs)
                became = await self._take_undecided(statement, status)
            progressed |= became in (Became.PROVEN, Became.CHANGED)
            if became in (Became.CHANGED, Became.UNDECIDED):
                break
        self._keep(proofs)
        return progressed, became in (Became.PROVEN, Became.STUCK)

    async def _take_undecided(self, statement: Statement, status: StatementStatus | None) -> Became:
        """Act on what the hub says about a statement without a proven decision."""
        now = self._clock.now()
        if status is None or not status.durable:
            if 0 <= now - statement.changed_at < LOST_AFTER_MS:
                return Became.UNDECIDED
            # Once acknowledged, now unknown: the hub lost it, or was set back.  We still have it.
            self._alarms.sound("statement.lost", "unavailable", statement.id.hex())
            if statement.state != "accepted":
                return Became.STUCK
            self._outgoing.move([statement], "signed", now)
            self._alignment.doubt(statement.region)
            return Became.CHANGED
        if status.refused is not None:
            await self._take_refusal(statement, status, status.refused)
            return Became.CHANGED
        return Became.UNDECIDED

    async def _check(
        self, statement: Statement, status: StatementStatus, last: TreeHead | None, proofs: list[_Proof]
    ) -> Became:
        """Add the proofs of a statement and its decision to `proofs`, if they hold."""
        try:
            # Answers to one question nearly always bear one checkpoint.
            tree = next((each.tree for each in proofs if each.note == status.checkpoint), None)
            if tree is None:
                tree = check_checkpoint(status.checkpoint, self._log_key, last, self._incoming.root_at)
            envelope = stored_record(Envelope, statement.envelope, "statements.envelope")
            decision = check_statement(status, envelope, statement.key, tree)
            check_when_decided(status, decision, tree, self._log_key, self._incoming)
            index = await self._directories.at(decision.directory)
            self._directories.check_current(decision.directory, decision.decided_at)
        except (BadProof, NotCanonical, Untimely, UnfitDirectory) as error:
            self._alarms.sound("proof.bad", error.code, statement.id.hex())
            return Became.STUCK
        except DirectoryUnknown as error:
            self._alarms.sound("directory.unknown", error.code, error.field or "")
            return Became.STUCK
        header = stored_record(Header, envelope.header, "statements.envelope")
        # What came just before is not in the store yet.
        references = self._incoming.known_references(header, decision.decided_at) | {
            each.confirmed.learned.statement: each.confirmed.learned
            for each in proofs
            if each.statement.id in header.references
            and each.confirmed.learned.decided_at <= decision.decided_at
        }
        confirmed = compare_decision(decision, header, index, references)
        assert status.decision is not None
        assert status.checkpoint is not None
        proofs.append(_Proof(statement, status.decision, status.checkpoint, tree, confirmed))
        return Became.PROVEN

    def _keep(self, proofs: list[_Proof]) -> None:
        """Record proofs in one durable step, tell of them, and leave none in the list."""
        if not proofs:
            return
        now = self._clock.now()
        with self._store.write():
            for tree, note in {each.tree: each.note for each in proofs}.items():
                self._incoming.see("proofs", tree, note, now)
            for each in proofs:
                self._incoming.learn(each.confirmed.learned)
                self._outgoing.prove(each.statement, each.decision, now)
        for each in proofs:
            name, confirmed = each.statement.id.hex(), each.confirmed
            log_line.info(
                "notice.proven", statement=name, members=len(confirmed.decision.shares), size=each.tree.size
            )
            for member in confirmed.narrower:
                self._alarms.sound("decision.narrower", "not-agreed", f"{name} {member}")
            for member in confirmed.wider:
                self._alarms.sound("decision.wider", "not-agreed", f"{name} {member}")
        proofs.clear()

    async def _take_refusal(self, statement: Statement, status: StatementStatus, code: str) -> None:
        """Act on the dispatcher's refusal of a statement."""
        log_line.warning("notice.refused", statement=statement.id.hex(), code=code_to_keep(code))
        if code in RENUMBER:
            await self._alignment.after_refusal(statement, code, status.last)
        elif code in SIGN_AGAIN:
            self._outgoing.void(statement, code, self._clock.now())
        else:
            self._outgoing.refuse(statement, code_to_keep(code), None, self._clock.now())


def _is_decided(status: StatementStatus) -> bool:
    """Say whether the answer claims to prove statement and decision."""
    return (
        status.durable
        and status.refused is None
        and status.decided
        and status.statement_inclusion is not None
        and status.decision_inclusion is not None
    )
