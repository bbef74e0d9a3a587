"""The runner: follows the feed, checks everything again, records it, and remembers how far it came.

Decides what happens to what fails.  A proof that does not hold or a hole in a lane stops the feed, loudly,
and is asked for again: nothing that comes after may pass by it.  A delivery that is proven to be the hub's
and is wrong is put into quarantine and rejected by a signed receipt, and the feed goes on.  What cannot be
judged yet waits.  What is right waits in the store for the channels, which go on by themselves: none of them
holds up the feed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.channels import Channel
from adapters.channels.places import Places
from adapters.directories import DirectoryUnknown
from adapters.equipment import Equipment
from adapters.receiving.checks import (
    Checked,
    Proven,
    check_checkpoint,
    check_delivery,
    check_ours,
    prove_delivery,
)
from adapters.receiving.continuity import Continuity
from adapters.receiving.incoming import Taken
from adapters.receiving.opening import Opening
from adapters.receiving.times import Times, check_times
from broker.core.agreements import Reference
from broker.core.errors import (
    BadDelivery,
    BadProof,
    HalongError,
    NotAgreed,
    Refused,
    StoreDamaged,
    TooMany,
    Unavailable,
    Untimely,
)
from broker.core.model import Delivery, Header
from broker.core.records import encode
from broker.core.timely import check_timely
from broker.core.wire import Feed
from broker.telemetry import logger_of

A_FEED = 256
FEED_SECONDS = 20.0
MOST_PLACE = 1 << 53

log_line = logger_of("runner")


class DecisionAwaited(Unavailable):
    """The delivery refers to a statement of ours whose decision is not proven yet."""


class Runner:
    """Takes deliveries from the hub into the store, for the channels.

    Args:
        equipment: What the node works with.
        channels: Who will want them.
        opening: Gets what was checked, for channels that are up to date.
    """

    def __init__(self, equipment: Equipment, channels: Sequence[Channel], opening: Opening) -> None:
        self._store = equipment.store
        self._incoming = equipment.incoming
        self._places = Places(equipment.store)
        self._hub = equipment.hub
        self._directories = equipment.directories
        self._catalogue = equipment.catalogue
        self._channels = channels
        self._opening = opening
        self._member = equipment.identity.member
        self._log_key = equipment.log_key
        self._clock = equipment.clock
        self._patience = equipment.patience
        self._alarms = equipment.alarms
        self._continuity = Continuity(self._incoming, self._hub, self._clock)
        self._met = False

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
            DirectoryExpired: Nobody vouches for the directory any more; nothing was asked.
            Refused: The hub does not answer us.
            Unavailable: The hub, the store or a directory version is out of reach.
        """
        try:
            self._meet()
            await self._directories.check_vouched()
            feed = await self._hub.feed(self._incoming.place(), A_FEED, wait)
            took = await self._take(feed)
        except HalongError as error:
            self._continuity.doubt()
            self._hold(error)
            raise
        if self._store.fact("held") is not None:
            self._store.remember(held=None, held_code=None, held_field=None)
        return took

    def _meet(self) -> None:
        """Let every channel have its place before the first delivery, so that none misses it."""
        if not self._met:
            changed = [self._places.open(channel.name, channel.statuses) for channel in self._channels]
            if any(changed):
                self._places.settle()
            self._met = True

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
        times = check_times(feed.checkpoint, tree, feed.covered, self._log_key, self._incoming)
        await self._continuity.check(tree, used=bool(feed.items))
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
                    taken[proven.id] = await self._judge(proven, times, taken)
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

    async def _judge(self, proven: Proven, times: Times, before: Mapping[bytes, Taken]) -> Taken:
        """Return how a proven delivery ends: in the channels' queue, recorded alone, or in quarantine.

        Raises:
            LaneGap: It is not the next of its lane.
            Unavailable: It cannot be judged now.
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
            # Keys and agreements are judged at its time, so that comes first.
            check_timely(proven.head.decided_at, times.covered(proven.item.index, proven.head.decided_at))
        except (BadDelivery, Untimely) as error:
            return self._quarantine(proven, error)
        # What is wrong with our own directory is not the delivery's fault: it waits.
        index = await self._directories.at(proven.head.directory)
        try:
            self._directories.check_current(proven.head.directory, proven.head.decided_at)
            checked = check_delivery(proven, self._member, index.directory, self._catalogue, references)
        except StoreDamaged:
            # Not the delivery's fault: it waits for a store that is whole.
            raise
        except Refused as error:
            return self._quarantine(proven, error)
        taken = self._taken(checked)
        if taken.state == "checked":
            self._opening.keep(checked, index.directory)
        return taken

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

    def _taken(self, checked: Checked) -> Taken:
        proven, notice = checked.proven, checked.notice
        state, status, reference, notice_type = "erased", None, None, None
        if notice is not None:
            if checked.narrower:
                self._alarms.sound("delivery.narrower", NotAgreed.code, proven.id.hex())
            reference, notice_type = notice.reference, notice.header.notice_type
            status = notice.header.status
            wanted = any(status in channel.statuses for channel in self._channels)
            state = "checked" if wanted else "accepted"
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
            status=status,
            reference=reference,
            notice_type=notice_type,
            learned=checked.learned,
        )
