"""A node without network: what it gives along on a stick, and what it makes of one that comes back.

The node signs here and nowhere else, and its signing key stays.  A stick to the hub holds all that the hub
has not confirmed yet, so one that is lost is made up for by the next; one that comes back goes through the
same parts as answers over the network (`hub`), so taking it in twice changes nothing.

Node and hub are in a *conversation*: the sticks of the node are numbered, and what comes back says which one
it answers and from which place in the feed.  So a stick that is missing is named.  A conversation is begun
anew (`fresh`) after the node was restored from a backup: the hub then has to say first where the node's
streams stand, and nothing is signed under a number that may have been used.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.node import Node
from adapters.receiving.heads import Judged
from adapters.receiving.incoming import Incoming
from adapters.sending.outgoing import Outgoing
from adapters.sending.statement import Statement, fitting
from adapters.stick.file import (
    MOST_FEED_BYTES,
    Asked,
    Fed,
    Head,
    Knows,
    Listed,
    Notices,
    Receipts,
    Settled,
    open_stick,
    write_stick,
)
from adapters.stick.hub import NotOnStick, StickHub
from broker.core.errors import BadStick, HalongError, MissingDelivery, Refused, StickMissing, Unavailable
from broker.core.model import Region
from broker.core.wire import StreamPosition

MOST_NOTICES = 4_096
MOST_NOTICE_BYTES = 512 << 20
MOST_ASKED = 20_000
MOST_RECEIPTS = 4_096
A_LINE = 64
"""Envelopes or receipts in one line: they go to the hub in one request."""
MOST_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Exported:
    """What a stick takes along.

    `asks` are statements that the hub is asked about; `unknown` streams of which it must say first where they
    stand, so that what waits in their regions is signed for the next stick.
    """

    number: int
    notices: int
    receipts: int
    asks: int
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a stick: notices that are proven now, notices that were refused, deliveries that came.

    `behind` is how many more the hub had; `stopped` what kept the rest from being taken in.  Up to place
    `whole_to` nothing is missing that the hub's head of `whole_at` counts (UTC milliseconds; None: none
    agreed yet); `head` is what is wrong with what the stick says of that, if anything is.
    """

    number: int
    part: int
    proven: int
    refused: int
    deliveries: int
    behind: int
    stopped: HalongError | None
    head: HalongError | None
    whole_to: int
    whole_at: int | None


class StickNode:
    """One node without network.

    Args:
        node: Its parts, made on `hub`.
        hub: What sticks brought.
        member: Who it is.
        network: Where.
    """

    def __init__(self, node: Node, hub: StickHub, member: str, network: str) -> None:
        self._node = node
        self._store = node.store
        self._outgoing = Outgoing(node.store)
        self._incoming = Incoming(node.store)
        self._hub = hub
        self._member = member
        self._network = network

    # --- to the hub -------------------------------------------------------------------------------------

    async def export(self, path: Path, *, fresh: bool = False) -> Exported:
        """Write a stick with all that the hub has not confirmed; with `fresh`, begin the conversation anew.

        Raises:
            BadStick: It is more than a stick holds; nothing was written.
            StoreUnavailable: Nothing was written.
        """
        conversation = self._converse(fresh=fresh)
        out_of_step = await self._sign()
        number = int(self._store.fact("stick_number") or 0) + 1
        # Durable before the file is there: no two sticks ever have one number.
        self._store.remember(stick_number=number, stick_made_at=self._node.equipment.clock.now())
        head = Head(
            kind="outbox",
            network=self._network,
            member=self._member,
            conversation=conversation,
            number=number,
            after=self._incoming.place(),
        )
        streams = self._streams()
        # What is signed in a stream that is not in step with the hub does not go along: see `fresh`.
        signed = (
            each
            for region in streams
            if region not in out_of_step
            for each in self._outgoing.unsent(region, MOST_NOTICES)
        )
        unsent = fitting(signed, MOST_NOTICE_BYTES)
        asked = await self._questions(out_of_step)
        receipts = [signed for _, signed in self._incoming.unsent_receipts(MOST_RECEIPTS)]
        knows = await self._knows()
        with write_stick(path) as write:
            write(head)
            if knows is not None:
                write(knows)
            for notices in _lines(unsent):
                write(notices)
            for start in range(0, len(receipts), A_LINE):
                write(Receipts(receipts[start : start + A_LINE]))
            write(
                Asked(
                    [each.hex() for each in asked],
                    [f"{region.slug}/{stream}" for region, stream in streams.items()],
                )
            )
        unknown = tuple(f"{region.slug}/{streams[region]}" for region in out_of_step)
        return Exported(number, len(unsent), len(receipts), len(asked), unknown)

    async def _knows(self) -> Knows | None:
        """Return which version of the directory is here, and what we signed; None where there is none yet."""
        if self._node.refresher is None:
            return None
        version, change = await self._node.refresher.known()
        return Knows(version=version.hex(), change=None if change is None else change.write().decode())

    async def _questions(self, out_of_step: Sequence[Region]) -> list[bytes]:
        """Return the statements that the hub is asked about: what it holds, and what it may have."""
        regions = self._outgoing.busy_regions()
        asked = [each.id for region in regions for each in self._outgoing.unproven(region, MOST_ASKED)]
        for region in out_of_step:
            # Before the stream is left, the hub says what of it was admitted.
            asked += self._outgoing.live(self._outgoing.stream(region))[:MOST_ASKED]
            asked += await self._node.outbox.foresee(region)
        return list(dict.fromkeys(asked))

    def _converse(self, *, fresh: bool) -> str:
        """Return the name of the conversation; a new one knows nothing of any stream."""
        known: str | None = self._store.fact("stick_conversation")
        if known is not None and not fresh:
            return known
        name = secrets.token_hex(8)
        with self._store.write():
            self._hub.forget_streams()
            self._store.remember(stick_conversation=name, stick_number=0)
        return name

    async def _sign(self) -> list[Region]:
        """Sign what waits and what is owed; return the regions of which the hub must tell first."""
        for region in self._outgoing.busy_regions():
            self._open_stream(region)
        out_of_step = await self._node.outbox.sign_all(MOST_NOTICES)
        await _quietly(self._node.receipts.step)
        return out_of_step

    def _open_stream(self, region: Region) -> None:
        """Write a region in which this store never wrote in a stream that nobody has ever written.

        The first stick can then take notices along: another store of this member may have written the usual
        stream, but nobody this one, so it is known where it stands.
        """
        stream = self._outgoing.stream(region)
        if stream.reserved == 0 and not self._hub.knows(f"{region.slug}/{stream.name}"):
            with self._store.write():
                opened = self._outgoing.open_another_stream(region)
                self._hub.knows_stream(f"{region.slug}/{opened.name}", StreamPosition(0, None))

    # --- from the hub -----------------------------------------------------------------------------------

    async def import_(self, path: Path) -> Imported:
        """Take in a stick that came back, as far as it holds; it may be taken in again.

        What does not hold stops its half, as online: notices and their proofs, or the feed.

        Raises:
            BadStick: It is none, or not for this node now; nothing was taken in.
            StickMissing: Another one comes first; nothing was taken in.
            StoreUnavailable: Take it in again.
        """
        with open_stick(path, "feed") as (head, lines):
            self._check(head)
            self._hub.begin()
            before, had = self._outgoing.counts(), sum(self._incoming.counts().values())
            written = self._streams()
            stopped: HalongError | None = None
            behind = size = passed = heard = 0
            for line in lines:
                if isinstance(line, Fed) and line.after < self._incoming.place() >= line.feed.next:
                    # All of it is here, and the log was smaller then than it is known to be now.
                    passed += 1
                    continue
                self._hub.hear(line)
                if isinstance(line, Fed):
                    heard += 1
                    behind = line.feed.behind
                    size += sum(len(item.delivery) for item in line.feed.items)
                    # A feed that stands still stands still for what comes after, too.
                    stopped = stopped or await self._until_done(lambda: self._node.runner.step(0))
                    for worker in self._node.workers:
                        await self._until_done(worker.step)
                elif isinstance(line, Listed):
                    if line.newest and self._node.refresher is not None:
                        stopped = await self._until_done(self._node.refresher.refresh) or stopped
                elif isinstance(line, Settled):
                    await self._until_done(self._node.receipts.step)
                else:
                    await self._until_settled()
            await self._until_settled()
            if passed and not heard:
                # Others followed it, and its head was held against what was here then.
                self._hub.begin()
            # Where the feed stands still, what the head counts cannot be here.
            judged = await self._judge(head, ended=size < MOST_FEED_BYTES) if stopped is None else Judged()
        for region, stream in self._streams().items():
            if written.get(region, stream) != stream:
                # It was left just now for one that nobody has ever written.
                self._hub.knows_stream(f"{region.slug}/{stream}", StreamPosition(0, None))
        self._store.remember(stick_answered=head.number)
        after = self._outgoing.counts()
        return Imported(
            number=head.number,
            part=head.part,
            proven=after.get("proven", 0) - before.get("proven", 0),
            refused=after.get("refused", 0) - before.get("refused", 0),
            deliveries=sum(self._incoming.counts().values()) - had,
            behind=max(behind, 0),
            stopped=stopped,
            head=judged.wrong,
            whole_to=self._node.heads.kept().place,
            whole_at=self._store.fact("whole_at"),
        )

    async def _judge(self, head: Head, *, ended: bool) -> Judged:
        """Hold the head of the inbox that came along against what is here; after a hole ask from before it.

        `ended` says that the feed was followed to its end.
        """
        equipment = self._node.equipment
        note = await self._hub.checkpoint()
        signed_at = 0 if note is None else equipment.log_key.signed_at(note)
        # A stick was written after the one that it answers.
        answers_last = head.number == self._store.fact("stick_number")
        made_at = int(self._store.fact("stick_made_at") or 0) if answers_last else 0
        if not (at := max(signed_at, made_at)):
            return Judged()
        self._store.remember(reached_at=equipment.clock.now())
        judged = await self._node.heads.judge(at, ended=ended)
        if isinstance(judged.wrong, MissingDelivery):
            # Where the feed goes on was whoever wrote the stick's word; what is whole is proved.
            self._incoming.go_back(self._node.heads.kept().place)
        return judged

    def _check(self, head: Head) -> None:
        # 1. It is for this member of this network.
        if (head.network, head.member) != (self._network, self._member):
            raise BadStick("it is for another member or network", field="member")
        # 2. It answers this node, in the conversation that it is in.
        if head.conversation != self._store.fact("stick_conversation"):
            raise BadStick("it belongs to another conversation than this node's", field="conversation")
        # 3. It answers a stick that this store knows of: else the store is older than that stick.
        if head.number > int(self._store.fact("stick_number") or 0):
            raise BadStick(
                "it answers a stick that this store never made: the store was set back", field="number"
            )
        # 4. Its feed goes on from where this node is, or before: nothing is missing between.
        if head.after > self._incoming.place():
            missing = f"part {head.part - 1}" if head.part > 1 else "the one before"
            raise StickMissing(
                f"what answers stick {head.number}, {missing}, comes first", field=f"stick {head.number}"
            )

    def _streams(self) -> dict[Region, str]:
        """Return the stream that is written in each region in which something is under way."""
        return {region: self._outgoing.stream(region).name for region in self._outgoing.busy_regions()}

    async def _until_settled(self) -> None:
        """Let the outbox work until nothing changes any more."""
        for _ in range(MOST_STEPS):
            before = self._outgoing.counts()
            await _quietly(self._node.outbox.step)
            if self._outgoing.counts() == before:
                return

    async def _until_done(self, step: Callable[[], Awaitable[bool]]) -> HalongError | None:
        """Repeat a step until it has nothing more to do, and return what stopped it, if anything did."""
        for _ in range(MOST_STEPS):
            try:
                if not await step():
                    return None
            except NotOnStick:
                return None
            except (Unavailable, Refused) as error:
                return error
        return None


async def _quietly(step: Callable[[], Awaitable[object]]) -> None:
    """Do a step that may need what only the hub can tell: what was done before that stays done.

    What went wrong is in the store as its alarms, as it is online.
    """
    try:
        await step()
    except (Unavailable, Refused):
        return


def _lines(statements: Sequence[Statement]) -> Iterator[Notices]:
    """Yield the statements as lines of one stream each, in order."""
    start = 0
    while start < len(statements):
        first = statements[start]
        end = start + 1
        while (
            end < len(statements)
            and end - start < A_LINE
            and (statements[end].region, statements[end].stream) == (first.region, first.stream)
        ):
            end += 1
        envelopes = [each.envelope for each in statements[start:end]]
        yield Notices(f"{first.region.slug}/{first.stream}", envelopes)
        start = end
