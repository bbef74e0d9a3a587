"""The runner: follows the feed, checks everything again, hands on, and remembers how far it came.

Decides what happens to what fails.  A proof that does not hold or a hole in a lane stops the feed, loudly,
and is asked for again: nothing that comes after may pass by it.  A delivery that is proven to be the hub's
and is wrong is put into quarantine and rejected by a signed receipt, and the feed goes on.  What cannot be
judged yet, and what a channel cannot take, waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from adapters.alarms import Alarms
from adapters.channels import Channel, ChannelUnavailable, Item
from adapters.checks import (
    Checked,
    Proven,
    check_checkpoint,
    check_delivery,
    check_ours,
    prove_delivery,
)
from adapters.directories import Directories, DirectoryUnknown
from adapters.hub import Hub
from adapters.identity import Identity
from adapters.incoming import Incoming, Taken
from adapters.patience import Patience
from adapters.store import Store
from broker.clock import Clock
from broker.core.agreements import Reference
from broker.core.catalogue import Catalogue
from broker.core.directory import Directory
from broker.core.errors import BadDelivery, BadProof, HalongError, NotAgreed, Refused, TooMany, Unavailable
from broker.core.model import Delivery, Header
from broker.core.note import LogKey
from broker.core.notice import Notice
from broker.core.records import encode
from broker.core.wire import Feed
from broker.telemetry import logger_of
from schemas.shown import ProofLine

A_FEED = 128
FEED_SECONDS = 20.0
CHANNEL_SECONDS = 60.0
MOST_PLACE = 1 << 53

log_line = logger_of("runner")


class DecisionAwaited(Unavailable):
    """The delivery refers to a statement of ours whose decision is not proven yet."""


class Runner:
    """Takes deliveries from the hub to the channels.

    Args:
        store: The node's store.
        hub: The hub.
        directories: The directory as this node trusts it.
        catalogue: The notice types.
        channels: Where deliveries go, in this order.
        identity: Who we are.
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
        channels: Sequence[Channel],
        identity: Identity,
        log_key: LogKey,
        clock: Clock,
        patience: Patience,
    ) -> None:
        self._store = store
        self._incoming = Incoming(store)
        self._hub = hub
        self._directories = directories
        self._catalogue = catalogue
        self._channels = channels
        self._member = identity.member
        self._log_key = log_key
        self._clock = clock
        self._patience = patience
        self._alarms = Alarms(store, clock)

    async def run(self) -> None:
        """Follow the feed for ever; whatever stops it is tried again, later and later."""
        failures = 0
        # The first answer, and the first after a failure, waits for nothing: it tells that the feed goes on.
        wait = 0.0
        while True:
            try:
                await self.step(wait)
            except (Unavailable, Refused) as error:
                failures += 1
                wait = 0.0
                log_line.warning("feed.waits", code=error.code, field=error.field, attempt=failures)
                await self._patience.after_failure(failures)
            else:
                failures, wait = 0, FEED_SECONDS

    async def step(self, wait: float) -> bool:
        """Fetch what comes next, do with it what is right, and say whether there was anything.

        Raises:
            BadProof: A checkpoint or a path does not hold; nothing after it was looked at.
            LaneGap: Something is missing; nothing after it was looked at.
            Refused: The hub does not answer us.
            Unavailable: The hub, the store, a channel or a directory version is out of reach.
        """
        try:
            feed = await self._hub.feed(self._incoming.place(), A_FEED, wait)
            took = await self._take(feed)
        except HalongError as error:
            self._hold(error)
            raise
        if self._store.fact("held") is not None:
            self._store.remember(held=None, held_code=None, held_field=None)
        return took

    def _hold(self, error: HalongError) -> None:
        """Make visible that the feed stands still, and why."""
        if isinstance(error, DirectoryUnknown) or not isinstance(error, Unavailable | TooMany):
            self._alarms.sound("feed.stopped", error.code, error.field or "")
        if self._store.fact("held") != str(error):
            self._store.remember(held=str(error), held_code=error.code, held_field=error.field)

    async def _take(self, feed: Feed) -> bool:
        now = self._clock.now()
        self._store.remember(behind=min(max(feed.behind, 0), MOST_PLACE), reached_at=now)
        if feed.checkpoint is None and not feed.items:
            return False
        tree = check_checkpoint(
            feed.checkpoint, self._log_key, self._incoming.last_seen("feed"), self._incoming.root_at
        )
        assert feed.checkpoint is not None
        if tree != self._incoming.last_seen("feed"):
            self._incoming.see("feed", tree, feed.checkpoint, now)
        before = place = self._incoming.place()
        taken: dict[bytes, Taken] = {}
        stopped: HalongError | None = None
        for item in feed.items:
            try:
                if not 0 <= item.place < MOST_PLACE:
                    raise BadProof("the feed's place is none that a log can have", field="place")
                proven = prove_delivery(item, tree)
                # A repeat is harmless, and no gap: it was done with.
                if proven.id not in taken and not self._incoming.knows(proven.id):
                    taken[proven.id] = await self._judge(proven, taken)
                place = max(place, item.place + 1)
            except HalongError as error:
                stopped = error
                break
        # What went before is done with, whatever stopped the rest.
        if place != before:
            self._incoming.record(list(taken.values()), place, self._clock.now())
        if stopped is not None:
            raise stopped
        if feed.items and place == before:
            raise Unavailable("the feed repeats itself", field="place")
        return bool(feed.items)

    async def _judge(self, proven: Proven, before: Mapping[bytes, Taken]) -> Taken:
        """Return how a proven delivery ends: in the channels, recorded alone, or in quarantine.

        Raises:
            LaneGap: It is not the next of its lane.
            Unavailable: It cannot be judged or handed on now.
        """
        # What comes in one answer is recorded in one step, so what went before is not in the store yet.
        lanes = {each.lane: each.sequence + 1 for each in before.values() if each.sequence is not None}
        learned = {each.statement: each.learned for each in before.values() if each.learned is not None}

        def next_in_lane(lane: str) -> int:
            return lanes.get(lane) or self._incoming.next_in_lane(lane)

        def references(header: Header, at: int) -> Mapping[bytes, Reference]:
            if self._incoming.awaits_own_decision(header):
                raise DecisionAwaited("refers to a notice of ours that is not proven yet", field="references")
            just_now = {each: learned[each] for each in header.references if each in learned}
            return self._incoming.known_references(header, at) | just_now

        try:
            check_ours(proven, self._member, next_in_lane)
        except BadDelivery as error:
            return self._quarantine(proven, error)
        # What is wrong with our own directory is not the delivery's fault: it waits.
        index = await self._directories.at(proven.head.directory)
        try:
            checked = check_delivery(proven, self._member, index.directory, self._catalogue, references)
        except Refused as error:
            return self._quarantine(proven, error)
        return await self._hand_on(checked, index.directory)

    def _quarantine(self, proven: Proven, error: Refused) -> Taken:
        head = proven.head
        ours = head.member == self._member
        self._alarms.sound("delivery.quarantined", error.code, proven.id.hex())
        return Taken(
            id=proven.id,
            place=proven.item.place + 1,
            lane=head.lane if ours else None,
            sequence=head.sequence if ours else None,
            statement=head.statement,
            state="quarantined",
            # What was meant for another member is not kept: the head proves that it was sent.
            content=proven.item.delivery if ours else encode(Delivery(proven.delivery.head, None, ())),
            leaf=proven.item.index,
            path=tuple(proven.item.path),
            size=proven.tree.size,
            code=error.code,
        )

    async def _hand_on(self, checked: Checked, directory: Directory) -> Taken:
        proven, notice = checked.proven, checked.notice
        state, channel, reference, notice_type = "erased", None, None, None
        if notice is not None:
            if checked.narrower:
                self._alarms.sound("delivery.narrower", NotAgreed.code, proven.id.hex())
            reference, notice_type = notice.reference, notice.header.notice_type
            channel = await self._deliver(proven, notice, directory)
            state = "accepted" if channel is None else "delivered"
        log_line.info(
            "delivery.taken",
            status=state,
            delivery=proven.id.hex(),
            lane=proven.head.lane,
            sequence=proven.head.sequence,
        )
        return Taken(
            id=proven.id,
            place=proven.item.place + 1,
            lane=proven.head.lane,
            sequence=proven.head.sequence,
            statement=proven.head.statement,
            state=state,
            content=proven.item.delivery,
            leaf=proven.item.index,
            path=tuple(proven.item.path),
            size=proven.tree.size,
            channel=channel,
            reference=reference,
            notice_type=notice_type,
            learned=checked.learned,
        )

    async def _deliver(self, proven: Proven, notice: Notice, directory: Directory) -> str | None:
        """Hand a notice to every channel that takes its status; return the first one's name, if any."""
        item = Item(
            proven.id,
            proven.head,
            notice,
            ProofLine(self._log_key.name, proven.item.index, proven.tree.size, proven.tree.root),
            {id_: member.name for id_, member in directory.members.items()},
        )
        taking = [each for each in self._channels if notice.header.status in each.statuses]
        for channel in taking:
            try:
                async with asyncio.timeout(CHANNEL_SECONDS):
                    await channel.deliver(item)
            except TimeoutError:
                raise ChannelUnavailable("the channel did not answer in time", field=channel.name) from None
        return taking[0].name if taking else None
