"""The worker: takes one channel along the queue, by itself, so that it holds up neither feed nor others.

Decides when what is offered, and what follows when it is not taken.  Order is kept: nothing passes by a
delivery that the channel cannot take now.  It is offered again, later and later, with jitter; after some
failures in a row the channel is left alone for a while, then one delivery tells whether it is well again.
What it will never take becomes a dead letter: kept, counted, and offered again when a person says so.

What was confirmed is recorded after it arrived.  So a crash offers again, and never skips; a channel whose
other side keeps the place is asked for it before anything is offered again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from adapters.channels import (
    Channel,
    ChannelRefused,
    ChannelUnavailable,
    Closes,
    Item,
    KeepsPlace,
    TakesMany,
)
from adapters.channels.places import Offer, Place, Places
from adapters.channels.terms import Terms
from adapters.equipment import Equipment
from adapters.receiving.opening import Opening
from broker.core.errors import HalongError, Refused, StoreDamaged, Unavailable
from broker.core.model import Status
from broker.telemetry import logger_of

A_BATCH = 256
MOST_BATCH_BYTES = 8 << 20
CONFIRM_AFTER_SECONDS = 0.05
"""A channel that takes one at a time has what it took recorded about so often."""
MOST_RETRY_AFTER_SECONDS = 3_600.0

log_line = logger_of("channel")


class Worker:
    """Hands deliveries to one channel.

    Args:
        equipment: What the node works with.
        channel: Where they go.
        opening: Opens them.
        terms: What the channel is allowed.

    Attributes:
        name: The channel's.
    """

    def __init__(
        self, equipment: Equipment, channel: Channel, opening: Opening, terms: Terms | None = None
    ) -> None:
        self._places = Places(equipment.store)
        self._clock = equipment.clock
        self._patience = equipment.patience
        self._alarms = equipment.alarms
        self._channel = channel
        self._opening = opening
        self._terms = terms or Terms()
        self.name = channel.name
        # Where the other side stands is not known before it was asked, and no more after a failure.
        self._sure = False
        # After a batch that failed, each goes by itself, up to this number: one of them is at fault.
        self._singly = 0

    async def run(self) -> None:
        """Work for ever; whatever fails is tried again, later and later."""
        try:
            # The store or a directory version may be out of reach: not the channel's fault.
            await self._patience.keep_on(self.step, self._has_work, self._waits, (Unavailable, StoreDamaged))
        finally:
            await self._close()

    def _waits(self, error: HalongError, _failures: int) -> None:
        if isinstance(error, StoreDamaged):
            self._alarms.sound("store.damaged", error.code, error.field or "")
        log_line.warning("channel.waits", channel=self.name, code=error.code, field=error.field)

    def _has_work(self) -> bool:
        place = self._places.at(self.name)
        return place is not None and not self._rests(place) and bool(self._places.waiting(self.name, 1))

    def _rests(self, place: Place) -> bool:
        """Say whether nothing may be offered now."""
        if place.paused:
            return True
        # A clock that was set back must not keep the channel waiting for longer than it was told to.
        left = 0 if place.retry_at is None else place.retry_at - self._clock.now()
        return 0 < left <= MOST_RETRY_AFTER_SECONDS * 1000

    async def step(self) -> bool:
        """Offer what comes next, and say whether the channel came further.

        Raises:
            Unavailable: The store or a directory version is out of reach.
        """
        place = self._places.at(self.name)
        if place is None:
            self._places.open(self.name, self._channel.statuses)
            return True
        if self._rests(place):
            return False
        careful = place.failures > 0 or place.number < self._singly
        offers = _bounded(self._places.waiting(self.name, 1 if careful else A_BATCH))
        if not offers:
            return False
        try:
            async with asyncio.timeout(self._terms.timeout_seconds):
                caught_up = await self._ask(place)
        except (ChannelUnavailable, TimeoutError) as error:
            await self._failed(place, offers[0], error)
            return False
        return caught_up or await self._offer(place, offers)

    async def _ask(self, place: Place) -> bool:
        """Go on from where the other side stands, if it can tell; say whether that is further on."""
        if self._sure or not isinstance(self._channel, KeepsPlace):
            return False
        reached = await self._channel.reached()
        self._sure = True
        arrived = None if reached is None else self._places.between(place, reached)
        if arrived is None or reached is None:
            return False
        self._places.confirm(self.name, reached.number, arrived, self._clock.now())
        return True

    async def _offer(self, place: Place, offers: Sequence[Offer]) -> bool:
        """Open and hand on as many of the offers as can be, from the first on."""
        opened: list[tuple[Offer, Item | None]] = []
        unopened: HalongError | None = None
        for offer in offers:
            try:
                opened.append((offer, await self._open(offer)))
            except (Unavailable, Refused) as error:
                unopened = error
                break
        if opened:
            await self._hand_over(place, opened)
            return True
        assert unopened is not None
        # Of a store with values that nobody wrote nothing goes on; others of them may look right.
        if isinstance(unopened, Unavailable | StoreDamaged):
            raise unopened
        # What the store holds is no longer what was checked: no channel gets it.
        self._alarms.sound("delivery.changed", unopened.code, offers[0].delivery.hex())
        self._bury(place, offers[0], unopened.code)
        return True

    async def _open(self, offer: Offer) -> Item | None:
        item = await self._opening.open(offer.delivery)
        if item is None or Status(item.notice.header.status) not in self._channel.statuses:
            return None
        return replace(item, number=offer.number)

    async def _hand_over(self, place: Place, opened: Sequence[tuple[Offer, Item | None]]) -> None:
        """Let the channel take the items, record how many it took, and what became of the one after them."""
        taken: list[bytes] = []
        number = place.number
        failure: ChannelUnavailable | ChannelRefused | TimeoutError | None = None
        failed = opened[0][0]
        items = [item for _, item in opened if item is not None]
        try:
            if isinstance(self._channel, TakesMany) and len(items) > 1:
                async with asyncio.timeout(self._terms.timeout_seconds):
                    await self._channel.deliver_all(items)
                taken = [item.id for item in items]
                number = opened[-1][0].number
            else:
                until = time.monotonic() + CONFIRM_AFTER_SECONDS
                for failed, item in opened:
                    if item is not None:
                        async with asyncio.timeout(self._terms.timeout_seconds):
                            await self._channel.deliver(item)
                        taken.append(item.id)
                    number = failed.number
                    if time.monotonic() >= until:
                        break
        except (ChannelUnavailable, ChannelRefused, TimeoutError) as error:
            failure = error
        if number > place.number:
            self._places.confirm(self.name, number, taken, self._clock.now())
            log_line.info("channel.handed-on", channel=self.name, count=len(taken), place=number)
        if failure is None:
            return
        if isinstance(self._channel, TakesMany) and len(items) > 1:
            self._sure = False
            self._singly = opened[-1][0].number
            return
        standing = self._places.at(self.name)
        assert standing is not None
        await self._failed(standing, failed, failure)

    async def _failed(
        self, place: Place, offer: Offer, error: ChannelUnavailable | ChannelRefused | TimeoutError
    ) -> None:
        """Decide what follows from a delivery that was not taken."""
        self._sure = False
        now = self._clock.now()
        if isinstance(error, ChannelRefused):
            self._bury(place, offer, error.answer)
            return
        code = error.answer if isinstance(error, ChannelUnavailable) else "timeout"
        await self._close()
        failures = place.failures + 1
        seconds = self._patience.seconds_after(failures)
        if self._terms.open(failures):
            seconds = max(seconds, self._patience.spread(self._terms.circuit_seconds))
            self._alarms.sound("channel.open", code, self.name)
        if isinstance(error, ChannelUnavailable):
            seconds = max(seconds, min(error.retry_after_seconds, MOST_RETRY_AFTER_SECONDS))
        log_line.warning("channel.waits", channel=self.name, code=code, attempt=failures)
        given_up = self._terms.over(place, now)
        self._places.fail(self.name, code, now, now + round(seconds * 1000))
        if given_up:
            self._bury(place, offer, code)

    def _bury(self, place: Place, offer: Offer, code: str) -> None:
        """Make a dead letter of what was tried once more than `place` says."""
        self._places.bury(self.name, offer, code, place.attempts + 1, self._clock.now())
        self._alarms.sound("channel.dead-letter", code, self.name)
        log_line.error("channel.dead-letter", channel=self.name, code=code, delivery=offer.delivery.hex())

    async def _close(self) -> None:
        if isinstance(self._channel, Closes):
            await self._channel.close()


def _bounded(offers: Sequence[Offer]) -> list[Offer]:
    """Return the first offers that are together not too large, at least one."""
    total = 0
    for count, offer in enumerate(offers):
        total += offer.size
        if count and total > MOST_BATCH_BYTES:
            return list(offers[:count])
    return list(offers)
