"""Recovery: a store that was set back finds out which of its waiting drafts it has said since.

A draft that waited when the backup was made was signed afterwards, and the backup does not know it.  Composed
again it has the very same name as then, as long as nothing came in between (`salts`); so the hub is asked for
that name, and what it proves to hold is not said again.  Nothing is signed here, and no number is given out.

Each statement follows the one before it, so what was admitted are the first few.
"""

from __future__ import annotations

from adapters.equipment import Equipment
from adapters.receiving.checks import check_checkpoint, check_statement
from adapters.receiving.times import check_when_decided
from adapters.sending.signing import Signing
from adapters.sending.statement import Statement
from broker.core.errors import BadProof, NotCanonical, Untimely
from broker.core.model import Envelope, Region
from broker.core.records import decode
from broker.core.wire import StatementStatus
from broker.telemetry import logger_of

log_line = logger_of("outbox")


class Recovery:
    """Recognises what was said.

    Args:
        equipment: What the node works with.
        signing: Composes drafts as they were signed.
    """

    def __init__(self, equipment: Equipment, signing: Signing) -> None:
        self._store = equipment.store
        self._outgoing = equipment.outgoing
        self._incoming = equipment.incoming
        self._hub = equipment.hub
        self._log_key = equipment.log_key
        self._clock = equipment.clock
        self._alarms = equipment.alarms
        self._signing = signing

    async def recognise(self, region: Region) -> None:
        """Settle every waiting draft of a region that the hub proves to have admitted.

        Raises:
            Unavailable: The hub, the store or the directory cannot be used now.
        """
        count = 0
        while foreseen := await self._signing.foresee(region):
            for statement in foreseen:
                status = await self._hub.statement(statement.id)
                if status is None or not status.decided or not self._settle(statement, status):
                    break
                count += 1
            else:
                continue
            break
        if count:
            log_line.info("notices.recognised", count=count)

    def _settle(self, statement: Statement, status: StatementStatus) -> bool:
        try:
            tree = check_checkpoint(
                status.checkpoint,
                self._log_key,
                self._incoming.last_seen("proofs"),
                self._incoming.root_at,
            )
            # The bytes of the signature are not held any more; the decision is about this very statement.
            envelope = decode(Envelope, statement.envelope)
            decision = check_statement(status, envelope, statement.key, tree, sent=False)
            check_when_decided(status, decision, tree, self._log_key, self._incoming)
        except (BadProof, NotCanonical, Untimely) as error:
            self._alarms.sound("proof.bad", error.code, statement.id.hex())
            return False
        assert status.decision is not None
        assert status.checkpoint is not None
        now = self._clock.now()
        with self._store.write():
            self._incoming.see("proofs", tree, status.checkpoint, now)
            self._outgoing.recover(statement, status.decision, now)
        return True
