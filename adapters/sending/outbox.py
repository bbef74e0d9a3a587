"""The outbox: has what is queued signed, hands it to the hub, and keeps it until both proofs are held.

Decides when something is signed, what is sent again, and what a refusal means; numbers are given out in
`signing`.  The rules of numbers are in docs/formats.md, "Numbers".

Why nothing goes out twice.  A draft is signed again only in the stream of its earlier statement, with a
number above and a `previous` that does not follow from it; so the dispatcher can admit one of the two and
must refuse the other, whatever was still under way.  What it admitted is found by its id, and counts, even
if it was given up here.  Another stream is opened only when the hub's last statement of the present one is
none of ours, so that nothing signed in it can follow any more, or when the hub denies what it proved.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.equipment import Equipment
from adapters.hub import plain
from adapters.sending.alignment import Alignment
from adapters.sending.proving import Proving
from adapters.sending.recovery import Recovery
from adapters.sending.signing import AT_ONCE, Signing
from adapters.sending.statement import RENUMBER, SEND_AGAIN, SIGN_AGAIN, Statement, code_to_keep, fitting
from broker.core.errors import Refused, StoreDamaged, TooMany, Unavailable
from broker.core.model import Region
from broker.core.wire import Outcome
from broker.telemetry import logger_of

MOST_REQUEST_BYTES = 8 * 1024 * 1024
MOST_UNPROVEN = 4096

log_line = logger_of("outbox")


class Outbox:
    """Takes drafts from the store to the hub.

    Args:
        equipment: What the node works with.
    """

    def __init__(self, equipment: Equipment) -> None:
        self._store = equipment.store
        self._outgoing = equipment.outgoing
        self._hub = equipment.hub
        self._directories = equipment.directories
        self._clock = equipment.clock
        self._patience = equipment.patience
        self._alarms = equipment.alarms
        self._signing = Signing(equipment)
        self._alignment = Alignment(equipment, Recovery(equipment, self._signing))
        self._proving = Proving(equipment, self._alignment)

    async def run(self) -> None:
        """Work for ever; whatever fails is tried again, later and later."""
        await self._patience.keep_on(self.step, self._store.changed_by_others, self._failed)

    def _failed(self, error: Unavailable | Refused, failures: int) -> None:
        if isinstance(error, Unavailable | TooMany):
            log_line.warning("outbox.waits", code=error.code, attempt=failures)
        else:
            self._alarms.sound("outbox.blocked", error.code, error.field or "")

    async def step(self) -> bool:
        """Do what can be done now, and say whether anything was.

        Raises:
            Unavailable: The hub or the store cannot do it now.
            Refused: The hub refused a whole request.
        """
        progressed = False
        failed: Refused | Unavailable | None = None
        for region in self._outgoing.busy_regions():
            # What holds up one region holds up no other, nor the proofs of what was sent.
            for work in (self._send, self._proving.prove):
                try:
                    progressed |= await work(region)
                except (Unavailable, Refused) as error:
                    failed = error
        if failed is not None:
            raise failed
        return progressed

    async def sign_all(self, most: int) -> list[Region]:
        """Sign what waits, at most about so many, and send nothing: the hub hears of it another way.

        Returns the regions in which nothing was signed, because the hub must first tell what it has.
        """
        out_of_step = []
        for region in self._outgoing.busy_regions():
            try:
                await self._directories.check_vouched()
                await self._alignment.ensure(region)
                while most > 0 and (signed := await self._signing.sign(region)):
                    most -= len(signed)
            except StoreDamaged:
                raise
            except (Unavailable, Refused):
                out_of_step.append(region)
        return out_of_step

    async def foresee(self, region: Region) -> list[bytes]:
        """Return the names that what waits would have if it were signed now: those to ask the hub about.

        Raises:
            Unavailable: The store or the directory cannot be used now.
        """
        return [each.id for each in await self._signing.foresee(region)]

    # --- to the hub -------------------------------------------------------------------------------

    async def _send(self, region: Region) -> bool:
        """Hand over one request of a region, what was signed before first.

        Raises:
            DirectoryExpired: Nobody vouches for the directory any more: nothing is signed or sent under it.
        """
        await self._directories.check_vouched()
        await self._alignment.ensure(region)
        signed = self._outgoing.unsent(region, AT_ONCE)
        if not signed:
            if self._outgoing.count_unproven(region) >= MOST_UNPROVEN:
                return False
            signed = await self._signing.sign(region)
        request = fitting(signed, MOST_REQUEST_BYTES)
        if not request:
            return False
        answer = await self._hub.publish([each.envelope for each in request])
        if len(answer.results) != len(request):
            raise Unavailable("the hub answered for another number of notices", field="results")
        return await self._take_outcomes(request, answer.results)

    async def _take_outcomes(self, request: Sequence[Statement], outcomes: Sequence[Outcome]) -> bool:
        accepted: list[Statement] = []
        for statement, outcome in zip(request, outcomes, strict=True):
            if outcome.status != "accepted" or outcome.statement != statement.id.hex():
                break
            accepted.append(statement)
        now = self._clock.now()
        self._outgoing.move(accepted, "accepted", now)
        for each in accepted:
            log_line.info("notice.accepted", statement=each.id.hex(), sequence=each.sequence)
        if len(accepted) == len(request):
            return True
        statement, outcome = request[len(accepted)], outcomes[len(accepted)]
        if outcome.status == "refused":
            await self._take_refusal(statement, outcome.code or "", plain(outcome.field))
            return True
        if outcome.status == "accepted":
            raise Unavailable("the hub answered for another notice", field="statement")
        return bool(accepted)

    async def _take_refusal(self, statement: Statement, code: str, field: str | None) -> None:
        """Act on the gateway's refusal of a statement."""
        if code in SEND_AGAIN:
            self._alarms.sound("outbox.blocked", code, field or "")
            raise Unavailable("the hub will take it later", field=field)
        # An earlier attempt whose answer was lost may have been taken: what the hub holds is not refused.
        status = await self._hub.statement(statement.id)
        if status is not None and status.durable:
            self._outgoing.move([statement], "accepted", self._clock.now())
            return
        now = self._clock.now()
        if code in SIGN_AGAIN:
            self._alarms.sound("outbox.blocked", code, field or "")
            self._outgoing.void(statement, code, now)
            raise Unavailable("the hub does not accept our key", field=field)
        if code in RENUMBER:
            self._outgoing.void(statement, code, now)
            return
        self._outgoing.refuse(statement, code_to_keep(code), field, now)
        log_line.warning("notice.refused", statement=statement.id.hex(), code=code_to_keep(code), field=field)
