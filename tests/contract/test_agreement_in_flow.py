"""An agreement that is acceded to while notices flow: it counts soon, and holds up nobody else's deliveries.

The change comes as an operator's or another process's does, on the hub's disk.  How long it took is printed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from broker.core.model import Decision
from broker.core.records import statement_id, unframe
from broker.core.wire import FeedItem
from broker.log import Partition
from broker.log.topics import DECISIONS
from tests.signed_world import SignedWorld
from tests.story.test_refreshing import agreement
from tests.world import SECONDS, sighting

pytestmark = pytest.mark.sockets

FLOWS = 150
"""So many deliveries come before the change, and as many after it counts."""
HUB_SECONDS = 1.0
"""How often a hub looks at its directory, unless it is told otherwise."""
USUAL = 20
"""So many times the longest gap before may the longest be meanwhile: a log on disk breathes, too."""
LEAST_GAP_SECONDS = 0.5


class Looking(SignedWorld):
    """A hub that looks at its directory by itself, as it does when it runs."""

    def services(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        self.directory._seconds = HUB_SECONDS
        return {**super().services(), "directory": self.directory.run}


async def test_deliveries_go_on_while_an_agreement_comes_into_force_and_those_under_it_follow(
    log_url: str, tmp_path: Path
) -> None:
    async with Looking(tmp_path, "vn", "jp", "th", url=log_url) as world:
        await world.accede(agreement("vn-jp-2026", "vn", "jp"), "vn", "jp")
        before = world.directory.value.version
        sent: list[str] = []
        at_jp: list[tuple[str, float]] = []
        at_th: list[tuple[str, float]] = []

        came, stop = asyncio.Event(), asyncio.Event()
        # As many under way as are decided at once, and no backlog: a gap is then one of the dispatcher.
        under_way = asyncio.Semaphore(8)

        async def publish() -> None:
            while not stop.is_set():
                await under_way.acquire()
                (outcome,) = (await world.gateway.publish("vn", [world.compose("vn", sighting())])).results
                sent.append(outcome.statement or "")

        async def read(member: str, into: list[tuple[str, float]]) -> None:
            after = 0
            while True:
                feed = await world.inbox.feed(member, after, 100, 10)
                into += [(statement_of(world, each), time.monotonic()) for each in feed.items]
                after = feed.next
                if member == "jp":
                    for _ in feed.items:
                        under_way.release()
                came.set()

        async def until(holds: Callable[[], bool]) -> None:
            while not holds():
                came.clear()
                await came.wait()

        async with asyncio.timeout(4 * SECONDS), asyncio.TaskGroup() as group:
            publishing = group.create_task(publish())
            reading = [group.create_task(read("jp", at_jp)), group.create_task(read("th", at_th))]
            await until(lambda: len(at_jp) >= FLOWS)
            place = len(at_jp)
            text = agreement("vn-th-2026", "vn", "th")
            await asyncio.to_thread(world.network.accede, text, "vn", "th")
            changed = time.monotonic()
            await until(lambda: bool(at_th))
            took, end = at_th[0][1] - changed, len(at_jp) + FLOWS
            await until(lambda: len(at_jp) >= end)
            stop.set()
            await publishing
            for task in reading:
                task.cancel()
        await world.settle()

        # 1. Everything arrives, once and in order.
        assert [statement_of(world, each.item) for each in await world.deliveries("jp")] == sent
        # 2. Under the version before until the next counts, and never again after; so that exactly what is
        #    decided from then on goes to the one that has come.
        found = [unframe(Decision, each.value) for each in await decisions(world)]
        versions = [each.directory for each in found]
        counts = versions.index(world.directory.value.version)
        assert versions[0] == before
        assert set(versions[counts:]) == {world.directory.value.version}
        theirs = [statement_of(world, each.item) for each in await world.deliveries("th")]
        assert theirs == [each.statement.hex() for each in found[counts:]]
        # 3. Meanwhile deliveries came, and no longer after each other than is usual here.
        gaps = [after - earlier for (_, earlier), (_, after) in pairwise(at_jp)]
        usual, meanwhile = max(gaps[FLOWS // 4 : place - 1]), max(gaps[place - 1 :])
        print(
            f"{log_url.partition(':')[0]}: counted after {took:.2f} s; longest gap between deliveries "
            f"{1000 * usual:.0f} ms before and {1000 * meanwhile:.0f} ms meanwhile, of {len(at_jp)}"
        )
        assert counts > place
        assert meanwhile < max(USUAL * usual, LEAST_GAP_SECONDS)


async def decisions(world: SignedWorld) -> list[Any]:
    """Every decision, in order."""
    found: list[Any] = []
    while more := await world.log.read(Partition(DECISIONS), found[-1].offset + 1 if found else 0, 1000):
        found += more
    return found


def statement_of(world: SignedWorld, item: FeedItem) -> str:
    """Which statement a delivery is of."""
    return statement_id(world.received(item).envelope.header).hex()
