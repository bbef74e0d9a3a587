"""A hub holds no more after another thousand deliveries than before: what grows with the log is on disk."""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path

import pytest

from broker import telemetry
from broker.core.records import encode
from broker.log.scratch import KEPT, MOVED_AT_ONCE
from tests.faults import chance
from tests.world import World, sighting

RECEIVERS = 8
AT_ONCE = 64
WARM_UP = KEPT + 2 * MOVED_AT_ONCE
"""Notices after which every cache is full that keeps so many of something."""

MEASURED = 8_192
MOST_BYTES_FOR_EACH = 24
"""Whoever keeps an id of each keeps 65.  Half a megabyte comes and goes, however many there were."""


class _Hub:
    """A hub with one member that takes in what it gets, and others that never come for theirs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._after = 0
        self._number = 0

    async def take(self, notices: int) -> None:
        """Publish so many notices, and return once all are delivered, and those of one member receipted."""
        world = self._world
        until = self._number + notices
        while self._number < until:
            given = [world.compose("m0", sighting(place=f"{self._number + n}")) for n in range(AT_ONCE)]
            # What the dispatcher refuses leaves nothing either.
            wrong = world.compose("m0", sighting(), stream="other", sequence=2, previous=os.urandom(32))
            assert {each.status for each in await world.send("m0", *given, wrong)} == {"accepted"}
            self._number += AT_ONCE
            await self._receive()

    async def _receive(self) -> None:
        while self._after < self._number:
            feed = await self._world.inbox.feed("m1", self._after, 256, 5)
            got = [self._world.received(item).id for item in feed.items]
            if got:
                self._after = feed.next
                receipt = self._world.receipt("m1", *got)
                await self._world.gateway.receive("m1", [encode(receipt)])


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.soak
async def test_deliveries_and_receipts_leave_nothing_in_the_hubs_memory(tmp_path: Path) -> None:
    world = World(tmp_path, *(f"m{number}" for number in range(RECEIVERS + 1)))
    for number in range(1, RECEIVERS + 1):
        world.agree("m0", f"m{number}")
    telemetry.quiet()
    measured = chance.scaled(MEASURED) // AT_ONCE * AT_ONCE
    tracemalloc.start(1)
    try:
        async with world:
            hub = _Hub(world)
            await hub.take(WARM_UP)
            await world.settle()
            before = _held()
            await hub.take(measured)
            await world.settle()
            grown = _held() - before
    finally:
        tracemalloc.stop()
    each = grown / (measured * RECEIVERS)
    print(f"{grown:,} bytes more after {measured * RECEIVERS:,} deliveries: {each:.2f} for each")
    assert each < MOST_BYTES_FOR_EACH
