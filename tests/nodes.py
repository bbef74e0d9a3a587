"""Members' nodes in the simulated world: the node's own code, on the hub's own code, without a network.

::

    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue(place="Hai Phong")
        await vn.sends()
        await jp.receives()

A node can be cut at any transaction of its store and at any call of its hub (`CrashPoints`), and made anew on
the same files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from adapters.channels import Channel, Item
from adapters.channels.folder import FolderChannel
from adapters.channels.terms import Terms
from adapters.hub import Hub
from adapters.identity import Identity
from adapters.node import Node
from adapters.patience import LONGEST_IDLE_SECONDS, Patience
from adapters.receiving.incoming import Incoming
from adapters.sending.draft import Draft
from adapters.sending.outgoing import Outgoing
from adapters.status import Snapshot, snapshot
from adapters.store import Store
from broker.core.catalogue import Catalogue
from broker.core.directory import Directory
from broker.core.errors import BadProof, Refused, Unavailable
from broker.core.model import Region
from broker.core.wire import Feed, HeadAnswer, Outcomes, StatementStatus, StreamPosition
from tests.crash import CrashPoints
from tests.world import NETWORK, SECONDS, World, WorldDirectory

T = TypeVar("T")


class LocalHub:
    """The world's hub as one member reaches it, while it is `online`."""

    def __init__(self, world: World, member: str) -> None:
        self.world = world
        self.member = member
        self.online = True

    async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
        self._reach()
        await self.world.directory.refresh()
        return await self.world.gateway.publish(self.member, list(envelopes))

    async def statement(self, statement: bytes) -> StatementStatus | None:
        self._reach()
        return await self.world.ledger.statements.status(self.member, statement)

    async def statements(self, statements: Sequence[bytes]) -> Sequence[StatementStatus | None]:
        return [await self.statement(each) for each in statements]

    async def stream(self, region: Region, stream: str) -> StreamPosition:
        self._reach()
        return self.world.ledger.statements.stream(self.member, region, stream)

    async def feed(self, after: int, limit: int, wait: float) -> Feed:
        self._reach()
        return await self.world.inbox.feed(self.member, after, limit, wait)

    async def consistency(self, old: int, new: int) -> list[bytes] | None:
        self._reach()
        path = self.world.ledger.consistency(old, new)
        if path is None:
            raise BadProof("the log is smaller than it was", field="checkpoint")
        return path

    async def head(self) -> HeadAnswer:
        self._reach()
        return self.world.heads.answer(self.member)

    async def receipts(self, receipts: Sequence[bytes]) -> None:
        self._reach()
        await self.world.gateway.receive(self.member, list(receipts))

    async def checkpoint(self) -> bytes | None:
        self._reach()
        published = self.world.ledger.published
        return None if published is None else published.note

    async def asked(self) -> bytes | None:
        self._reach()
        await self.world.directory.refresh()
        return self.world.cosignatures.asked()

    async def cosigned(self, least: int) -> bytes | None:
        self._reach()
        return self.world.cosignatures.cosigned(least)

    async def cosign(self, note: bytes) -> None:
        self._reach()
        await self.world.cosignatures.take(self.member, note)

    def _reach(self) -> None:
        if not self.online:
            raise Unavailable("the hub is out of reach")


class OtherHub(LocalHub):
    """The same hub, for tests that change some of its answers."""

    def __init__(self, hub: LocalHub) -> None:
        super().__init__(hub.world, hub.member)


class CrashingHub:
    """A hub whose calls the node does not survive: before they are made, or before the answer is heard."""

    def __init__(self, hub: Hub, points: CrashPoints) -> None:
        self._hub = hub
        self._points = points

    async def _cut(self, name: str, call: Awaitable[T]) -> T:
        # A call that is never made must not warn that nobody awaited it.
        try:
            self._points.reach(f"before {name}")
        except BaseException:
            call.close()  # type: ignore[attr-defined]
            raise
        answer = await call
        self._points.reach(f"after {name}")
        return answer

    async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
        return await self._cut("publish", self._hub.publish(envelopes))

    async def statement(self, statement: bytes) -> StatementStatus | None:
        return await self._cut("statement", self._hub.statement(statement))

    async def statements(self, statements: Sequence[bytes]) -> Sequence[StatementStatus | None]:
        return await self._cut("statements", self._hub.statements(statements))

    async def stream(self, region: Region, stream: str) -> StreamPosition:
        return await self._cut("stream", self._hub.stream(region, stream))

    async def feed(self, after: int, limit: int, wait: float) -> Feed:
        return await self._cut("feed", self._hub.feed(after, limit, wait))

    async def head(self) -> HeadAnswer:
        return await self._cut("head", self._hub.head())

    async def receipts(self, receipts: Sequence[bytes]) -> None:
        await self._cut("receipts", self._hub.receipts(receipts))

    async def consistency(self, old: int, new: int) -> list[bytes] | None:
        return await self._cut("consistency", self._hub.consistency(old, new))

    async def checkpoint(self) -> bytes | None:
        return await self._cut("checkpoint", self._hub.checkpoint())


class CrashingStore(Store):
    """A store whose transactions the node does not survive: before the commit, or right after it."""

    points = CrashPoints()

    @contextmanager
    def write(self) -> Iterator[None]:
        if self._writing:
            yield
            return
        with super().write():
            yield
            self.points.reach("before commit")
        self.points.reach("after commit")


class CrashingChannel:
    """A channel that the node does not survive: before the delivery is there, or before it is recorded."""

    def __init__(self, channel: Channel, points: CrashPoints) -> None:
        self._channel = channel
        self._points = points
        self.name = channel.name
        self.statuses = channel.statuses

    async def check(self) -> str:
        return await self._channel.check()

    async def deliver(self, item: Item) -> None:
        self._points.reach("before deliver")
        await self._channel.deliver(item)
        self._points.reach("after deliver")


class NodeSource:
    """The directory's source at a node: the world's, and every version that was ever loaded or is kept."""

    def __init__(self, source: WorldDirectory) -> None:
        self._source = source
        self._kept: dict[bytes, Directory] = {}

    def load(self) -> Directory:
        directory = self._source.load()
        self._kept[directory.version] = directory
        return directory

    def at(self, version: bytes) -> Directory | None:
        return self._kept.get(version)


class TestNode:
    """One member's node on its own store and folder.

    Args:
        world: Where the hub is.
        member: Who it is.
        folder: Where store and inbox are; a node made again on the same folder goes on.
        wrap: Put around the hub.
        points: Where it dies.
        channels: Instead of the one folder.
        catalogue: Instead of the hub's.
        terms: What channels are allowed, by their names.
    """

    __test__ = False

    def __init__(
        self,
        world: World,
        member: str,
        folder: Path,
        *,
        wrap: Callable[[LocalHub], Hub] = lambda hub: hub,
        points: CrashPoints | None = None,
        channels: Sequence[Channel] | None = None,
        catalogue: Catalogue | None = None,
        terms: Mapping[str, Terms] | None = None,
    ) -> None:
        self.world = world
        self.member = member
        self.inbox = folder / member / "inbox"
        self.inbox.parent.mkdir(exist_ok=True)
        self.path = folder / member / "node.db"
        self.local = LocalHub(world, member)
        self.hub = hub = wrap(self.local)
        if channels is None:
            channels = [FolderChannel(self.inbox)]
        if points is None:
            self.store = Store.open(self.path, sole=True)
        else:
            crashing = CrashingStore.open(self.path, sole=True)
            crashing.points = points
            self.store = crashing
            hub = CrashingHub(hub, points)
            channels = [CrashingChannel(channel, points) for channel in channels]
        self.source = NodeSource(world.source)
        self.catalogue = catalogue if catalogue is not None else world.catalogue
        person = world.people[member]
        self.identity = Identity(member, NETWORK, person.signer, person.countersigner)
        self.node = Node(
            self.store,
            hub,
            self.source,
            self.catalogue,
            channels,
            self.identity,
            world.log_signer.vkey,
            world.clock,
            Patience(self._moved_on),
            terms,
        )
        self.outgoing = Outgoing(self.store)
        self.incoming = Incoming(self.store)

    async def _moved_on(self, seconds: float) -> None:
        clock = self.world.clock
        if seconds <= LONGEST_IDLE_SECONDS:
            clock.move(round(seconds * 1000))
            await asyncio.sleep(0)
            return
        # Who looks again later goes by the time that the others take, and does not make it pass.
        until = clock.now() + round(seconds * 1000)
        while clock.now() < until:  # noqa: ASYNC110 - a clock has no events
            await asyncio.sleep(0.01)

    def close(self) -> None:
        self.store.close()

    # --- what a member does -----------------------------------------------------------------------

    def draft(self, fields: dict[str, Any] | None = None, source: str | None = None, **values: str) -> Draft:
        """A sighting with values for its slots, and header fields."""
        return Draft.from_json(
            {"type": "sighting", "notice": {"place": "Hai Phong", **values}, **(fields or {})},
            self.catalogue,
            member=self.member,
            region=Region.ASIA_PACIFIC,
            at=self.world.clock.now(),
            source=source,
        )

    def enqueue(self, fields: dict[str, Any] | None = None, source: str | None = None, **values: str) -> int:
        """Queue a sighting and return the draft's number."""
        (id_,) = self.outgoing.enqueue([self.draft(fields, source, **values)], self.world.clock.now())
        assert id_ is not None
        return id_

    async def sends(self) -> None:
        """Work until nothing is left to send or to prove; what the hub cannot do yet is asked again."""
        async with asyncio.timeout(SECONDS):
            while self.outgoing.busy_regions():
                try:
                    progressed = await self.node.outbox.step()
                except Unavailable:
                    progressed = False
                if not progressed:
                    await self.world.settle()
                    await self._moved_on(0.1)

    async def receives(self) -> None:
        """Work until the feed holds nothing more, and the channels have what they can take now."""
        await self.world.settle()
        async with asyncio.timeout(SECONDS):
            while await self.node.runner.step(0):
                pass
        await self.hands_on()

    async def hands_on(self) -> None:
        """Work until every channel has what it can take now."""
        async with asyncio.timeout(SECONDS):
            for worker in self.node.workers:
                while await worker.step():
                    pass

    async def receipts(self) -> None:
        """Send every receipt that is owed."""
        async with asyncio.timeout(SECONDS):
            while await self.node.receipts.step():
                pass

    async def refusal(self) -> Refused | Unavailable | None:
        """Follow the feed once, hand on what there is, and return what stopped the feed."""
        await self.world.settle()
        try:
            await self.node.runner.step(0)
        except (Refused, Unavailable) as error:
            return error
        finally:
            await self.hands_on()
        return None

    # --- what came of it ----------------------------------------------------------------------------

    def states(self) -> list[tuple[str, str | None]]:
        """The state and the code of every draft."""
        return [(queued.state, queued.code) for queued in self.outgoing.listed(limit=10_000)]

    def files(self) -> list[Path]:
        """The JSON files in the inbox."""
        return sorted(self.inbox.rglob("*.json"))

    def snapshot(self) -> Snapshot:
        return snapshot(self.store)

    def alarms(self) -> list[tuple[str, str]]:
        """Events and codes of the alarms."""
        return sorted((alarm.event, alarm.code) for alarm in self.snapshot().alarms)
