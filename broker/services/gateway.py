"""The gateway: what a member sends is genuine, well formed, spoken by its originator, and complete.

It keeps no state but rates and counts, so any number of gateways may run; what is new and what is a
repeat is for the dispatcher to decide.  `accepted` means durable, no more.

Checks are those of docs/formats.md, "What the gateway checks, in order".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, TypeAlias

from broker.clock import Clock
from broker.core.catalogue import Catalogue
from broker.core.directory import Directory
from broker.core.errors import NotAttempted, NotYours, Refused, TooLarge, TooMany, UnknownKey
from broker.core.header import check_supported
from broker.core.limits import MOST_REQUEST_NOTICES
from broker.core.model import Envelope, Region, SignedReceipt
from broker.core.notice import Arrived, open_envelope, read_envelope
from broker.core.records import decode, framed, partition_of, record_id
from broker.core.signing import open_receipt
from broker.core.wire import Outcome, Outcomes
from broker.log import Log, Partition, Record
from broker.log.topics import PARTITIONS_PER_REGION, RECEIPTS, REFUSALS, notices_topic
from broker.services import refusals
from broker.services.backlog import Backlog
from broker.services.current import CurrentDirectory
from broker.services.dispatcher import READER as DISPATCHER
from broker.services.metrics import Metrics
from broker.services.rate import Rate
from broker.services.refusals import Refusals
from broker.services.turns import Turns
from broker.telemetry import logger_of

MOST_RECEIPTS = 256
MOST_RECEIPT_BYTES = 64 << 10
MOST_REQUESTS = 64
"""Requests of one member whose turn may come: one is checked at a time, so that others come in between."""

MOST_UNDECIDED = 32_768
"""Notices of one member that may wait for the dispatcher: more than a node of ours has under way at once."""

RECEIPTS_OF = "receipts of "
"""Before a member's id: receipts have a rate of their own, as high as that of notices."""

CHECKED_AT_ONCE = 16
"""After so many checks others get their turn: a full request would hold the process for half a second."""

OutcomeStatus: TypeAlias = Literal["accepted", "refused", "not-attempted"]

log_line = logger_of("gateway")


@dataclass(slots=True)
class _Request:
    """What one request has led to so far."""

    peer: str
    directory: Directory
    at: int
    blocked: set[tuple[Region, str]] = field(default_factory=set)
    ended_by: Refused | None = None
    results: list[Outcome] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    accepted: int = 0


class Gateway:
    """Takes notices and receipts from members.

    Args:
        log: Where they go.
        directory: Whose keys count; the version in force is taken once for each request.
        catalogue: The notice types.
        clock: Gives the time at which keys and notices are judged.
        metrics: Where outcomes and refusals are counted.
        rate: How many notices, and how many receipts, a member may send.
        refused: Where refusals are recorded.
    """

    def __init__(
        self,
        log: Log,
        directory: CurrentDirectory,
        catalogue: Catalogue,
        clock: Clock,
        metrics: Metrics,
        *,
        rate: Rate,
        refused: Refusals,
    ) -> None:
        self._log = log
        self._directory = directory
        self._catalogue = catalogue
        self._clock = clock
        self._metrics = metrics
        self._rate = rate
        self._refused = refused
        self._turns = Turns("requests", MOST_REQUESTS, at_once=1)
        self._backlog = Backlog(log, DISPATCHER, MOST_UNDECIDED)

    async def publish(self, peer: str, envelopes: Sequence[bytes]) -> Outcomes:
        """Check envelopes that a member sends, and store those that pass; one outcome for each, in order.

        After the first refusal of a stream the rest of that stream is not attempted.  Where the stream
        cannot be told, or the rate is used up, the rest of the request is not.

        Raises:
            TooLarge: There are too many in one request.
            TooMany: The rate allows not even the first, or too much of the member's is under way.
            LogUnavailable: Some may have been stored, some not; sending them again is harmless.
        """
        if len(envelopes) > MOST_REQUEST_NOTICES:
            raise TooLarge(
                f"{len(envelopes)} notices, at most {MOST_REQUEST_NOTICES} go in one request",
                field="envelopes",
            )
        if not await self._backlog.has_room(peer):
            raise TooMany("too many notices wait for their decision", field="undecided")
        async with self._turns.of(peer):
            request = _Request(peer, self._directory.value, self._clock.now())
            for number, data in enumerate(envelopes):
                if number % CHECKED_AT_ONCE == CHECKED_AT_ONCE - 1:
                    await asyncio.sleep(0)
                self._attempt(request, data)
        if request.records:
            offsets = await self._log.append(request.records)
            for record, offset in zip(request.records, offsets, strict=True):
                if record.partition.topic != REFUSALS:
                    self._metrics.accepted(record.key, request.at)
                    self._backlog.add(peer, record.partition, offset)
        self._count(request)
        return Outcomes(request.results)

    async def receive(self, peer: str, receipts: Sequence[bytes]) -> None:
        """Check and store signed receipts that a member sends: all of them, or none.

        Raises:
            Refused: One of them is at fault; `field` says which.
            LogUnavailable: Some may have been stored, some not; sending them again is harmless.
        """
        if len(receipts) > MOST_RECEIPTS:
            raise TooLarge(
                f"{len(receipts)} receipts, at most {MOST_RECEIPTS} go in one request", field="receipts"
            )
        async with self._turns.of(peer):
            directory, at = self._directory.value, self._clock.now()
            records = []
            for number, data in enumerate(receipts):
                if number % CHECKED_AT_ONCE == CHECKED_AT_ONCE - 1:
                    await asyncio.sleep(0)
                try:
                    records.append(self._receipt(peer, data, directory, at))
                except Refused as refusal:
                    await self.refuse(refusals.Refused(peer, refusal.code, sha256(data).digest()))
                    raise type(refusal)(str(refusal), field=f"receipts[{number}]") from None
        if records:
            await self._log.append(records)
        self._metrics.receipts.inc(len(records))

    async def refuse(self, refused: refusals.Refused) -> None:
        """Record and count a refusal."""
        self._metrics.refusals.labels("gateway", refused.code).inc()
        await self._refused.record(refused)

    def seconds_until(self, peer: str) -> int:
        """Return after how many seconds the member may send again."""
        now = self._clock.now()
        return max(self._rate.seconds_until(each, now) for each in (peer, RECEIPTS_OF + peer))

    # --- one notice ---------------------------------------------------------------------------------

    def _attempt(self, request: _Request, data: bytes) -> None:
        """Add the outcome of one envelope to the request, and what is to be stored of it."""
        arrived: Arrived | None = None
        if request.ended_by is not None:
            ended = NotAttempted("an earlier notice of this request was refused")
            request.results.append(_outcome(arrived, "not-attempted", ended))
            return
        try:
            # 1. Size, shape, one encoding.
            arrived = read_envelope(data)
            self._check(request, arrived)
        except NotAttempted as refusal:
            request.results.append(_outcome(arrived, "not-attempted", refusal))
        except TooMany as refusal:
            # Its number is not lost: it was not looked at, and may come again.
            if not request.results:
                raise
            request.ended_by = refusal
            request.results.append(_outcome(arrived, "not-attempted", refusal))
        except Refused as refusal:
            self._refuse(request, arrived, data, refusal)
        else:
            request.results.append(_outcome(arrived, "accepted"))
            request.records.append(_record(arrived))
            request.accepted += 1

    def _check(self, request: _Request, arrived: Arrived) -> None:
        """Return if the notice may be stored.

        Raises:
            Refused: The first check that it fails.
        """
        header = arrived.header
        # 2. A stream is taken up to its first refusal: what follows builds on what was refused.
        if (header.region, header.stream) in request.blocked:
            raise NotAttempted("an earlier notice of this stream was refused")
        # 3. A member speaks for itself alone.
        if header.originator != request.peer:
            raise NotYours("the originator is another member", field="originator")
        # 4. It has a key that counts now.
        if not request.directory.signing_keys(header.originator, request.at):
            raise UnknownKey("the originator has no key that counts now", field="originator")
        # 5. It does not send faster than its rate; what follows costs much more than what went before.
        if not self._rate.take(request.peer, request.at):
            raise TooMany("more notices than the rate allows", field="rate")
        # 6. It asks for nothing that this version cannot carry to its end.
        check_supported(header)
        # 7. Header rules, type and schema, signatures, digests, values: the core's checks, in its order.
        open_envelope(
            arrived,
            request.directory,
            self._catalogue,
            request.directory.network,
            request.at,
            complete=True,
        )

    def _refuse(self, request: _Request, arrived: Arrived | None, data: bytes, refusal: Refused) -> None:
        statement = None
        if arrived is None:
            request.ended_by = refusal
        else:
            request.blocked.add((arrived.header.region, arrived.header.stream))
            statement = arrived.statement
        request.results.append(_outcome(arrived, "refused", refusal))
        noted = refusals.Refused(request.peer, refusal.code, sha256(data).digest(), statement)
        request.records.extend(self._refused.records(noted))

    def _count(self, request: _Request) -> None:
        for outcome in request.results:
            self._metrics.notices.labels(outcome.status).inc()
            if outcome.status == "refused":
                self._metrics.refusals.labels("gateway", outcome.code).inc()
                log_line.warning(
                    "notice.refused",
                    peer=request.peer,
                    reference=outcome.reference,
                    code=outcome.code,
                    field=outcome.field,
                )
        if request.accepted:
            log_line.info("notices.accepted", peer=request.peer, count=request.accepted)

    # --- one receipt --------------------------------------------------------------------------------

    def _receipt(self, peer: str, data: bytes, directory: Directory, at: int) -> Record:
        """Return the record of a receipt.

        Raises:
            Refused: The first check that it fails.
        """
        # 1. Size, shape, one encoding.
        if len(data) > MOST_RECEIPT_BYTES:
            raise TooLarge(f"a receipt of {len(data)} bytes, at most {MOST_RECEIPT_BYTES}")
        signed = decode(SignedReceipt, data)
        # 2. Not faster than the rate; what follows costs much more than what went before.
        if not self._rate.take(RECEIPTS_OF + peer, at):
            raise TooMany("more receipts than the rate allows", field="rate")
        # 3. Signed by a member whose key counts now, over exactly these bytes.
        receipt = open_receipt(signed, directory, directory.network, at)
        # 4. A member receipts for itself alone.
        if receipt.member != peer:
            raise NotYours("the receipt is another member's", field="member")
        return Record(Partition(RECEIPTS), record_id(signed), framed(SignedReceipt, data))


def _outcome(arrived: Arrived | None, status: OutcomeStatus, refusal: Refused | None = None) -> Outcome:
    return Outcome(
        statement=arrived.statement.hex() if arrived is not None else None,
        reference=arrived.reference if arrived is not None else None,
        status=status,
        code=refusal.code if refusal is not None else None,
        field=refusal.field if refusal is not None else None,
    )


def _record(arrived: Arrived) -> Record:
    header = arrived.header
    partition = Partition(
        notices_topic(header.region), partition_of(header.originator, PARTITIONS_PER_REGION)
    )
    # The very bytes that came: they are in their one encoding.
    return Record(partition, arrived.statement, framed(Envelope, arrived.raw))
