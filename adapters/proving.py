"""Proving: a notice is kept until the node holds the proofs of its statement and of the hub's decision.

Decides what an answer about a statement means: not yet, lost, refused by the dispatcher, or proven; and
compares what the hub decided with what the agreements say.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto

from adapters.alignment import Alignment
from adapters.checks import check_checkpoint, check_statement, compare_decision
from adapters.directories import DirectoryUnknown
from adapters.equipment import Equipment
from adapters.outgoing import RENUMBER, SIGN_AGAIN, Statement, code_to_keep
from broker.core.errors import BadProof, HalongError, NotCanonical, Refused, Unavailable
from broker.core.model import Envelope, Header, Region
from broker.core.note import TreeHead
from broker.core.records import decode
from broker.core.wire import StatementStatus
from broker.telemetry import logger_of

AT_ONCE = 8
A_STEP = 256
LOST_AFTER_MS = 60_000

log_line = logger_of("outbox")


class Became(Enum):
    """What an answer about a statement led to."""

    PROVEN = auto()
    CHANGED = auto()  # it was refused, or is sent again: look at the store again
    UNDECIDED = auto()  # and so is what comes after it
    STUCK = auto()  # by itself; what comes after it may be done


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
            # The answers come in any order; each must continue what was seen before any was asked for.
            last = self._incoming.last_seen("proofs")
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._ask(each)) for each in held]
            for statement, task in zip(held, asked, strict=True):
                answer = task.result()
                if isinstance(answer, HalongError):
                    raise answer
                became = await self._take_status(statement, answer, last)
                progressed |= became in (Became.PROVEN, Became.CHANGED)
                if became in (Became.CHANGED, Became.UNDECIDED):
                    return progressed
            if len(held) < AT_ONCE:
                break
            after = held[-1].draft
        return progressed

    async def _ask(self, statement: Statement) -> StatementStatus | HalongError | None:
        """Ask for a status; a failure is a value, so that it ends no other question."""
        try:
            return await self._hub.statement(statement.id)
        except (Unavailable, Refused) as error:
            return error

    async def _take_status(
        self, statement: Statement, status: StatementStatus | None, last: TreeHead | None
    ) -> Became:
        """Act on what the hub says about a statement."""
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
        if not status.decided or status.statement_inclusion is None or status.decision_inclusion is None:
            return Became.UNDECIDED
        try:
            await self._take_decision(statement, status, last)
        except (BadProof, NotCanonical) as error:
            self._alarms.sound("proof.bad", error.code, statement.id.hex())
            return Became.STUCK
        except DirectoryUnknown as error:
            self._alarms.sound("directory.unknown", error.code, error.field or "")
            return Became.STUCK
        return Became.PROVEN

    async def _take_decision(
        self, statement: Statement, status: StatementStatus, last: TreeHead | None
    ) -> None:
        tree = check_checkpoint(status.checkpoint, self._log_key, last, self._incoming.root_at)
        envelope = decode(Envelope, statement.envelope)
        decision = check_statement(status, envelope, statement.key, tree)
        index = await self._directories.at(decision.directory)
        header = decode(Header, envelope.header)
        references = self._incoming.known_references(header, decision.decided_at)
        confirmed = compare_decision(decision, header, index, references)
        now = self._clock.now()
        assert status.decision is not None
        assert status.checkpoint is not None
        with self._store.write():
            self._incoming.see("proofs", tree, status.checkpoint, now)
            self._incoming.learn(confirmed.learned)
            self._outgoing.prove(statement, status.decision, now)
        log_line.info(
            "notice.proven", statement=statement.id.hex(), members=len(decision.shares), size=tree.size
        )
        for member in confirmed.narrower:
            self._alarms.sound("decision.narrower", "not-agreed", f"{statement.id.hex()} {member}")
        for member in confirmed.wider:
            self._alarms.sound("decision.wider", "not-agreed", f"{statement.id.hex()} {member}")

    async def _take_refusal(self, statement: Statement, status: StatementStatus, code: str) -> None:
        """Act on the dispatcher's refusal of a statement."""
        log_line.warning("notice.refused", statement=statement.id.hex(), code=code_to_keep(code))
        if code in RENUMBER:
            await self._alignment.after_refusal(statement, code, status.last)
        elif code in SIGN_AGAIN:
            self._outgoing.void(statement, code, self._clock.now())
        else:
            self._outgoing.refuse(statement, code_to_keep(code), None, self._clock.now())
