"""What members do with a hub, again after anything went wrong, and what must hold in the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

from broker.core.model import Read, SignedReceipt
from broker.core.records import encode, unframe
from broker.log import Log, Partition
from broker.log.topics import READS, RECEIPTS
from tests.crash import CrashingLog, CrashPoints
from tests.recount import records, verify_log
from tests.world import World, sighting

T = TypeVar("T")

PLACES = [f"place {number}" for number in range(4)]


@dataclass
class Story:
    """A world in which the log of one service passes `points`, and two lives in it.

    Args:
        folder: Where the log is; one folder is one hub.
        service: Whose calls of the log pass the points.
    """

    make_world: ClassVar[type[World]] = World

    folder: Path
    service: str
    points: CrashPoints = field(default_factory=CrashPoints)
    seen: set[bytes] = field(default_factory=set)
    count: int = 0

    def __post_init__(self) -> None:
        self.world = self.make_world(self.folder, "vn", "jp", "nl", "za", wrap=self._wrap)
        self.world.agree("vn", "jp", slots=["facts"])
        self.world.agree("vn", "nl", slots=["facts", "persons"])
        self.envelopes = [self.world.compose("vn", sighting(place=place, person="Ada")) for place in PLACES]
        self.stale = self.world.compose("vn", sighting(place="stale"), sequence=1, previous=None)

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask the hub something, as members do."""
        return await question()

    def _wrap(self, service: str, log: Log) -> Log:
        return CrashingLog(log, self.points) if service == self.service else log

    async def live(self, *, and_check: bool = False) -> None:
        """Send everything, in two requests that overlap, read it, and receipt it."""
        async with self.world as world:
            for part in (self.envelopes[:2], self.envelopes[1:], [self.stale]):
                outcomes = await self.ask(partial(world.send, "vn", *part))
                assert [one.status for one in outcomes] == ["accepted"] * len(part)
            await world.settle()
            for member in ("jp", "nl", "za"):
                feed = await self.ask(partial(world.inbox.feed, member, 0, 100, 0))
                # From here on the member has it.
                ids = [world.received(item).id for item in feed.items]
                self.seen |= set(ids)
                if ids:
                    receipt = encode(world.receipt(member, *ids))
                    await self.ask(partial(world.gateway.receive, member, [receipt]))
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
