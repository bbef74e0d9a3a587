"""The dispatcher: admits each statement once, decides who gets what of it, and writes the deliveries.

It owns partitions of `notices.*`, one batch at a time.  For a batch it takes one time and one version
of the directory, and writes decisions, deliveries, refusals and its own state in the commit that moves
its place: after a crash either all of a batch happened or nothing.

It reads headers.  Slots are handed on as the bytes that came, never decoded, and what is withheld is
left out.  Whether an envelope is genuine was judged by the gateway and is judged again by every
receiver; here only what may have changed since is judged: whether the key still counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from broker.clock import Clock
from broker.core.agreements import Context, Share
from broker.core.directory import Directory, MemberKey
from broker.core.errors import (
    DirectoryExpired,
    Equivocation,
    NotCanonical,
    OutOfOrder,
    Refused,
    Stale,
    UnknownKey,
)
from broker.core.index import Index
from broker.core.keys import new_salt
from broker.core.model import (
    Decision,
    DecisionShare,
    Delivery,
    DeliveryHead,
    Envelope,
    Header,
    Refusal,
    Slot,
    Station,
)
from broker.core.records import (
    content_digest,
    decode,
    delivery_id,
    encode,
    encode_content,
    encode_delivery,
    framed,
    named_frame,
    partition_of,
    statement_id,
    unframe,
)
from broker.core.redaction import redact
from broker.core.signing import check_countersigned, key_named
from broker.log import Batch, Log, LogUnavailable, Partition, Record, Stored
from broker.log.scratch import Scratch
from broker.log.topics import DECISIONS, PARTITIONS_PER_REGION, REFUSALS, inbox_topic, notices_topic
from broker.services.current import CurrentDirectory
from broker.services.dispatch_state import Change, DispatchState, stream_key
from broker.services.following import batches
from broker.services.log_time import LogTime, Uncovered
from broker.services.metrics import Metrics
from broker.telemetry import logger_of

READER = "dispatcher"
BATCH = 256
"""Notices in one transaction: enough that its cost is shared, few enough that nobody waits long."""
RESULT_BYTES = 16 << 20
"""What leads to so many bytes is committed before the next notice: one may go to all members."""

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0

log_line = logger_of(READER)


@dataclass(frozen=True, slots=True)
class Taken:
    """A record of `notices.*`, with the parts that a decision needs."""

    envelope: Envelope
    header: Header
    statement: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class Redacted:
    """What is left of an envelope for everybody who gets the same slots."""

    slots: tuple[Slot, ...]
    content: bytes
    digest: bytes


class Dispatcher:
    """Follows `notices.*`.

    Args:
        log: Where notices come from and everything goes to.
        directory: The version in force is taken once for each batch.
        clock: Gives `decided_at`.
        metrics: Where decisions, duplicates and refusals are counted.
        sleep: Waits some seconds after a batch that was not stored.
        scratch: Where what is not recent of the state is kept.
    """

    def __init__(
        self,
        log: Log,
        directory: CurrentDirectory,
        clock: Clock,
        metrics: Metrics,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        scratch: Scratch | None = None,
    ) -> None:
        self._log = log
        self._directory = directory
        self._clock = clock
        self._time = LogTime(log, clock)
        self._metrics = metrics
        self._state = DispatchState(log, scratch)
        self._claims: dict[Partition, int] = {}
        self._index: Index | None = None
        self._sleep = sleep
        self._failures = 0

    async def run(self) -> None:
        """Dispatch what comes, until cancelled.

        Raises:
            LogUnavailable: The log did not answer; run again.
            NotCanonical: A record of a partition cannot be read.  It is not skipped: somebody has to look.
        """
        async with batches(self._log, READER, ["notices.*"], limit=BATCH) as following:
            async for batch in following:
                await self._dispatch(batch)

    async def _dispatch(self, batch: Batch) -> None:
        partition = batch.records[0].partition
        try:
            self._check_vouched()
            at = await self._time.now()
        except (Uncovered, DirectoryExpired) as error:
            line = log_line.critical if isinstance(error, DirectoryExpired) else log_line.warning
            line("dispatcher.waits", code=error.code, field=error.field)
            await self._pause()
            return
        # What another owner decided, or what we did not hear the end of, is in the log by now.
        if self._claims.get(partition) != batch.claim:
            await self._state.refresh()
            self._claims[partition] = batch.claim
        ruling = Ruling(
            directory=self._directory.value,
            index=self._index_of(self._directory.value),
            at=at,
            change=Change(self._state),
            metrics=self._metrics,
        )
        results: list[Record] = []
        count, size, fresh = 0, 0, False
        while count < len(batch.records) and size < RESULT_BYTES:
            taken = self._take(batch.records[count])
            if not fresh and not all(map(ruling.change.knows, taken.header.references)):
                await self._state.refresh()
                fresh = True
            for record in ruling.rule(taken):
                results.append(record)
                size += len(record.value)
            count += 1
        results += ruling.change.records()
        try:
            await batch.commit(results, count)
        except LogUnavailable as error:
            # Perhaps stored, perhaps not: before the next batch the log will say.
            self._claims.pop(partition, None)
            log_line.warning(
                "batch.in-doubt", code=error.code, topic=partition.topic, partition=partition.number
            )
            await self._pause()
            return
        self._failures = 0
        if ruling.decided:
            self._time.decided(at)
        self._state.take(ruling.change)
        ruling.count()

    async def _pause(self) -> None:
        """Wait a while: the batch comes again at once, and the disk may be full for hours."""
        await self._sleep(min(FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 16), LONGEST_PAUSE_SECONDS))
        self._failures += 1

    def _check_vouched(self) -> None:
        """Decide nothing while nobody vouches for the directory: notices wait in the log.

        Raises:
            DirectoryExpired: Nobody does any more.
        """
        ends_at = self._directory.ends_at()
        if ends_at is not None and self._clock.now() >= ends_at:
            raise DirectoryExpired("the directory is no longer vouched for", field="directory")

    def _take(self, stored: Stored) -> Taken:
        try:
            return take(stored)
        except NotCanonical:
            topic, number = stored.partition
            log_line.critical("partition.stopped", topic=topic, partition=number, offset=stored.offset)
            raise

    def _index_of(self, directory: Directory) -> Index:
        if self._index is None:
            self._index = Index(directory)
        elif self._index.directory.version != directory.version:
            # Of what has changed alone, so that no delivery waits for a version.
            self._index = self._index.updated(directory)
        return self._index


def take(stored: Stored) -> Taken:
    """Return the notice in a record.

    Raises:
        NotCanonical: It is no envelope, or stands where its originator's notices do not.
    """
    envelope = unframe(Envelope, stored.value)
    header = decode(Header, envelope.header)
    owner = Partition(notices_topic(header.region), partition_of(header.originator, PARTITIONS_PER_REGION))
    if stored.partition != owner:
        raise NotCanonical(
            "a notice in another partition than its originator's", field=stored.partition.topic
        )
    return Taken(envelope, header, statement_id(envelope.header), sha256(stored.value[5:]).digest())


class Ruling:
    """What becomes of the notices of one batch, at one time, under one version of the directory."""

    def __init__(self, directory: Directory, index: Index, at: int, change: Change, metrics: Metrics) -> None:
        self.change = change
        self._directory = directory
        self._index = index
        self._at = at
        self._metrics = metrics
        self._admitted: list[tuple[Header, bytes, int]] = []
        self._refused: list[tuple[Header, bytes, Refused]] = []
        self._duplicates = 0

    @property
    def decided(self) -> bool:
        """Say whether any notice was admitted."""
        return bool(self._admitted)

    def rule(self, taken: Taken) -> Iterator[Record]:
        """Yield the records that a notice leads to; none if it is a duplicate."""
        if self.change.knows(taken.statement):
            self._duplicates += 1
            return
        try:
            key = self._judge(taken)
        except Refused as refusal:
            self._refused.append((taken.header, taken.statement, refusal))
            yield self._refusal(taken, refusal.code)
            return
        yield from self._admit(taken, key)

    def _judge(self, taken: Taken) -> MemberKey:
        """Return the key that signed, if the notice is to be admitted.

        Raises:
            Equivocation: Another statement was admitted under this number.
            Stale: The number is not above the last.
            OutOfOrder: It does not go on from the last statement.
            UnknownKey: The key counted when the gateway looked, and does not any more.
            BadSignature: The countersignature is missing, or its key does not count any more.
        """
        header = taken.header
        stream = stream_key(header)
        last, statement = self.change.stream(stream)
        # 1. Two statements under one number accuse their originator.
        if self.change.has_number(stream, header.sequence):
            raise Equivocation("another statement has this number", field="sequence")
        # 2. A number that was passed over is lost.
        if header.sequence <= last:
            raise Stale(f"the last number is {last}", field="sequence")
        # 3. Each statement names the one before it, so that none can be left out unseen.
        if header.previous != statement:
            raise OutOfOrder(f"previous is not the statement with number {last}", field="previous")
        # 4. The decision names the key, and whoever verifies judges it at this time.
        candidates = self._directory.signing_keys(header.originator, self._at)
        key = key_named(taken.envelope.signature, candidates)
        if key is None:
            raise UnknownKey("the key does not count any more", field="signature")
        # 5. So it does the countersignature, which may be asked for since the gateway looked.
        check_countersigned(taken.envelope.signature, self._directory, header.originator, self._at)
        return key

    def _admit(self, taken: Taken, key: MemberKey) -> Iterator[Record]:
        header = taken.header
        found = {id_: self.change.reference(id_) for id_ in header.references}
        context = Context(self._at, {id_: each for id_, each in found.items() if each is not None})
        shares = dict(sorted(self._index.shares(header, context).items()))
        cut: dict[tuple[frozenset[Slot], str], Redacted] = {}
        parts = []
        for member, share in shares.items():
            # What is sealed differs by recipient; what is disclosed, by slots alone.
            kind = (share.slots, member if taken.envelope.sealed else "")
            if kind not in cut:
                cut[kind] = _redacted(taken.envelope, share.slots, member)
            id_, record = self._deliver(taken, member, share, cut[kind])
            yield record
            parts.append(DecisionShare(member, cut[kind].slots, share.grounds, id_))
        decision = Decision(
            salt=new_salt(),
            statement=taken.statement,
            signature=sha256(taken.envelope.signature).digest(),
            key=key.id,
            directory=self._directory.version,
            decided_at=self._at,
            shares=tuple(parts),
        )
        yield Record(Partition(DECISIONS), *named_frame(decision))
        self.change.admit(header, taken.statement, self._at, shares)
        self._admitted.append((header, taken.statement, len(parts)))

    def _deliver(self, taken: Taken, member: str, share: Share, cut: Redacted) -> tuple[bytes, Record]:
        lane = f"{taken.header.region.slug}/{taken.header.originator}"
        head = encode(
            DeliveryHead(
                salt=new_salt(),
                member=member,
                lane=lane,
                sequence=self.change.next_in_lane((member, lane)),
                statement=taken.statement,
                slots=cut.slots,
                content=cut.digest,
                grounds=share.grounds,
                directory=self._directory.version,
                obligations=share.obligations,
                decided_at=self._at,
            )
        )
        id_ = delivery_id(head)
        value = framed(Delivery, encode_delivery(head, cut.content))
        return id_, Record(Partition(inbox_topic(member)), id_, value)

    def _refusal(self, taken: Taken, code: str) -> Record:
        refusal = Refusal(
            salt=new_salt(),
            station=Station.DISPATCHER,
            peer=taken.header.originator,
            statement=taken.statement,
            content=taken.content,
            code=code,
            count=1,
            at=self._at,
        )
        return Record(Partition(REFUSALS), *named_frame(refusal))

    def count(self) -> None:
        """Say and count what was ruled, now that it is committed."""
        self._metrics.duplicates.inc(self._duplicates)
        self._metrics.decisions.inc(len(self._admitted))
        for header, statement, deliveries in self._admitted:
            self._metrics.deliveries.inc(deliveries)
            log_line.info(
                "notice.shared", reference=header.reference, statement=statement.hex(), deliveries=deliveries
            )
        for header, statement, refusal in self._refused:
            self._metrics.refusals.labels(READER, refusal.code).inc()
            alarm = isinstance(refusal, Equivocation)
            if alarm:
                self._metrics.equivocations.inc()
            line = log_line.error if alarm else log_line.warning
            line(
                "notice.refused",
                reference=header.reference,
                statement=statement.hex(),
                code=refusal.code,
                field=refusal.field,
            )


def _redacted(envelope: Envelope, slots: frozenset[Slot], recipient: str) -> Redacted:
    left, proofs = redact(envelope, slots, recipient)
    data = encode(left)
    return Redacted(tuple(sorted(slots)), encode_content(data, proofs), content_digest(data))
