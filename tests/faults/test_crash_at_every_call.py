"""One service dies at each of its calls of the log in turn, before the call or after it, and starts again.

Whatever the moment: every accepted notice is delivered once to whom it was owed and to nobody else, in
order, who was given what is written down, and the log verifies.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broker.core.model import Read, SignedReceipt
from broker.core.records import encode, unframe
from broker.log import Log, Partition
from broker.log.topics import READS, RECEIPTS
from tests.crash import CrashingLog, CrashPoints, dies
from tests.recount import records, verify_log
from tests.world import World, sighting

# Not for its sockets, it has none: for its seconds of disk it runs with `make test`.
pytestmark = pytest.mark.sockets

MOST_POINTS = 60
"""Past these a service only repeats the calls that it made before."""

SERVICES = ("directory", "gateway", "dispatcher", "sequencer", "ledger", "inbox")
PLACES = [f"place {number}" for number in range(4)]


@dataclass
class Story:
    """What members do with the hub, again after each crash, until all of it is done."""

    folder: Path
    service: str
    points: CrashPoints = field(default_factory=CrashPoints)
    seen: set[bytes] = field(default_factory=set)
    count: int = 0

    def __post_init__(self) -> None:
        self.world = World(self.folder, "vn", "jp", "nl", "za", wrap=self._wrap)
        self.world.agree("vn", "jp", slots=["facts"])
        self.world.agree("vn", "nl", slots=["facts", "persons"])
        self.envelopes = [self.world.compose("vn", sighting(place=place, person="Ada")) for place in PLACES]
        self.stale = self.world.compose("vn", sighting(place="stale"), sequence=1, previous=None)

    def _wrap(self, service: str, log: Log) -> Log:
        return CrashingLog(log, self.points) if service == self.service else log

    async def live(self, *, and_check: bool = False) -> None:
        """Send everything, in two requests that overlap, read it, and receipt it."""
        async with self.world as world:
            for part in (self.envelopes[:2], self.envelopes[1:], [self.stale]):
                outcomes = await world.send("vn", *part)
                assert [one.status for one in outcomes] == ["accepted"] * len(part)
            await world.settle()
            for member in ("jp", "nl", "za"):
                feed = await world.inbox.feed(member, 0, 100, 0)
                # From here on the member has it.
                ids = [world.received(item).id for item in feed.items]
                self.seen |= set(ids)
                if ids:
                    await world.gateway.receive(member, [encode(world.receipt(member, *ids))])
            await world.settle()
            self.count = len(self.points.passed)
            if and_check:
                await self.check(world)

    async def check(self, world: World) -> None:
        """Fail unless all is as if nothing had happened."""
        read = {
            id_
            for stored in (await records(world.log, READS))[Partition(READS)]
            for id_ in unframe(Read, stored.value).ids
        }
        assert self.seen <= read, "somebody was given what is not written down"
        for member, slots in (("jp", {"place"}), ("nl", {"place", "person"})):
            received = await world.deliveries(member)
            assert [one.values["place"] for one in received] == PLACES
            assert [one.head.sequence for one in received] == [1, 2, 3, 4]
            assert {name for one in received for name in one.values} == slots
            receipted = {
                stored.key
                for stored in (await records(world.log, RECEIPTS))[Partition(RECEIPTS)]
                if member in str(unframe(SignedReceipt, stored.value).receipt)
            }
            assert receipted
        assert await world.deliveries("za") == []
        for envelope in self.envelopes:
            (again,) = await world.send("vn", envelope)
            assert again.statement is not None
            status = await world.ledger.statements.status("vn", bytes.fromhex(again.statement))
            assert (status.decided, status.deliveries, status.receipts) == (True, 2, {"delivered": 2})
        await world.settle()
        await verify_log(world.log, world.log_signer.vkey)


@pytest.mark.parametrize("service", SERVICES)
async def test_nothing_is_lost_doubled_or_shown_to_others(service: str, tmp_path: Path) -> None:
    (tmp_path / "quiet").mkdir()
    quiet = Story(tmp_path / "quiet", service)
    await quiet.live(and_check=True)
    points = min(quiet.count, MOST_POINTS)
    assert points > 0

    deaths = 0
    for point in range(1, points + 1):
        folder = tmp_path / str(point)
        folder.mkdir()
        story = Story(folder, service, CrashPoints(crash_at=point))
        async with asyncio.timeout(60):
            deaths += await dies(story.live())
            story.points = CrashPoints()
            await story.live(and_check=True)

    # How often a service looks whether there is more depends on the moment, so not every point is met again.
    assert deaths >= points / 2
