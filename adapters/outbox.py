"""The outbox: signs what is queued, hands it to the hub, and keeps it until both proofs are held.

Decides what is signed when and under which number, what is sent again, and what a refusal means.  The rules
of numbers are in docs/formats.md, "Numbers".

Why nothing goes out twice.  A draft is signed again only in the stream of its earlier statement, with a
number above and a `previous` that does not follow from it; so the dispatcher can admit one of the two and
must refuse the other, whatever was still under way.  What it admitted is found by its id, and counts, even
if it was given up here.  Another stream is opened only when the hub's last statement of the present one is
none of ours, so that nothing signed in it can follow any more, or when the hub denies what it proved.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.alarms import Alarms
from adapters.alignment import Alignment
from adapters.compose import Composed, compose
from adapters.directories import Directories
from adapters.hub import Hub, plain
from adapters.identity import Identity
from adapters.incoming import Incoming
from adapters.outgoing import (
    RENUMBER,
    SEND_AGAIN,
    SIGN_AGAIN,
    Outgoing,
    Queued,
    Statement,
    code_to_keep,
)
from adapters.patience import Patience
from adapters.proving import Proving
from adapters.store import Store
from broker.clock import Clock
from broker.core.catalogue import Catalogue
from broker.core.errors import Refused, TooMany, Unavailable
from broker.core.model import Envelope, Region
from broker.core.note import LogKey
from broker.core.records import encode, statement_id
from broker.core.signing import sign_header
from broker.core.wire import Outcome
from broker.telemetry import logger_of

AT_ONCE = 128
MAX_REQUEST_BYTES = 8 * 1024 * 1024
MAX_UNPROVEN = 4096

log_line = logger_of("outbox")


class Outbox:
    """Takes drafts from the store to the hub.

    Args:
        store: The node's store.
        hub: The hub.
        directories: The directory as this node trusts it.
        catalogue: The notice types.
        identity: Who signs.
        log_key: The pinned key of the hub's log.
        clock: Tells the time.
        patience: How long to wait after what.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        directories: Directories,
        catalogue: Catalogue,
        identity: Identity,
        log_key: LogKey,
        clock: Clock,
        patience: Patience,
    ) -> None:
        self._store = store
        self._outgoing = Outgoing(store)
        self._incoming = Incoming(store)
        self._hub = hub
        self._directories = directories
        self._catalogue = catalogue
        self._identity = identity
        self._clock = clock
        self._patience = patience
        self._alarms = Alarms(store, clock)
        self._alignment = Alignment(self._outgoing, hub, clock, self._alarms)
        self._proving = Proving(store, hub, directories, log_key, clock, self._alignment, self._alarms)

    async def run(self) -> None:
        """Work for ever; whatever fails is tried again, later and later."""
        failures = 0
        idle = 0
        while True:
            try:
                progressed = await self.step()
            except (Unavailable, TooMany) as error:
                failures += 1
                log_line.warning("outbox.waits", code=error.code, attempt=failures)
                await self._patience.after_failure(failures)
            except Refused as error:
                failures += 1
                self._alarms.sound("outbox.blocked", error.code, error.field or "")
                await self._patience.after_failure(failures)
            else:
                failures = 0
                idle = 0 if progressed else idle + 1
                if not progressed:
                    await self._patience.idle(idle, self._store.changed_by_others)

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

    # --- to the hub -------------------------------------------------------------------------------

    async def _send(self, region: Region) -> bool:
        """Hand over one request of a region, what was signed before first."""
        await self._alignment.ensure(region)
        signed = self._outgoing.unsent(region, AT_ONCE)
        if not signed:
            if self._outgoing.count_unproven(region) >= MAX_UNPROVEN:
                return False
            signed = await self._sign(region)
        request = _fitting(signed)
        if not request:
            return False
        answer = await self._hub.publish([each.envelope for each in request])
        if len(answer.results) != len(request):
            raise Unavailable("the hub answered for another number of notices", field="results")
        return await self._take_outcomes(request, answer.results)

    async def _sign(self, region: Region) -> list[Statement]:
        """Reserve numbers, sign under them, and keep what was signed; refuse what cannot be signed."""
        index = await self._directories.newest()
        composed: list[tuple[Queued, Composed]] = []
        for queued in self._outgoing.waiting(region, AT_ONCE):
            try:
                composed.append(
                    (
                        queued,
                        compose(
                            queued.draft,
                            self._identity.member,
                            self._catalogue,
                            index,
                            self._incoming.known_references,
                            issued_at=queued.queued_at,
                            now=self._clock.now(),
                        ),
                    )
                )
            except Refused as error:
                if error.code in SEND_AGAIN:
                    self._alarms.sound("outbox.blocked", error.code, error.field or "")
                    continue
                self._outgoing.refuse_draft(queued.id, error.code, error.field)
                log_line.warning("notice.refused", code=error.code, field=error.field)
        if not composed:
            return []
        stream = self._outgoing.stream(region)
        previous = self._outgoing.tip(stream)
        # Reserved durably before anything is signed: after a crash in between the numbers are
        # skipped, and no number is ever signed twice.
        sequence = self._outgoing.reserve(stream, len(composed))
        statements = []
        for queued, each in composed:
            header = encode(each.numbered(stream.name, sequence, previous))
            signature = sign_header(
                header, self._identity.network, self._identity.signer, self._identity.countersigner
            )
            envelope = encode(Envelope(header, signature, each.disclosures, (), ()))
            name = statement_id(header)
            statements.append(
                Statement(
                    id=name,
                    draft=queued.id,
                    region=region,
                    stream=stream.name,
                    sequence=sequence,
                    previous=previous,
                    envelope=envelope,
                    key=self._identity.signer.public.id,
                    state="signed",
                    changed_at=self._clock.now(),
                )
            )
            previous = name
            sequence += 1
        self._outgoing.keep(statements)
        return statements

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


def _fitting(statements: Sequence[Statement]) -> list[Statement]:
    """Return as many as fit into one request."""
    size = 0
    fitting: list[Statement] = []
    for each in statements:
        size += len(each.envelope)
        if fitting and size > MAX_REQUEST_BYTES:
            break
        fitting.append(each)
    return fitting
