"""The simulated world with a signed directory: the ceremonies, the hub's own code, and nodes that refresh.

::

    async with served(tmp_path, "vn", "jp", kind=SignedWorld) as hub:
        async with signed_node(hub, "vn", tmp_path) as vn:
            await vn.refresher.refresh()

Members' keys are those of `tests.ceremony`; everything else is as in `tests.world`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from adapters.channels.folder import FolderChannel
from adapters.directory.copy import Copy
from adapters.directory.own import Own, intend, write_own
from adapters.directory.refreshing import Refresher
from adapters.http_hub import HttpHub, pinned_context
from adapters.hub import DirectoryHub, Hub
from adapters.identity import Identity
from adapters.node import Node
from adapters.receiving.incoming import Incoming
from adapters.sending.draft import Draft
from adapters.sending.outgoing import Outgoing
from adapters.status import snapshot
from adapters.store import Store
from broker.core.keys import Algorithm
from broker.core.model import Region
from broker.core.note import LogSigner
from broker.core.wire import DirectoryFiles, Outcomes
from broker.directory.building import member_change
from broker.directory.change import Change
from broker.directory.layout import Layout
from broker.directory.roles import metadata_name
from broker.directory.signed import SignedDirectory
from broker.services.registry import Registry
from tests.ceremony import LOG, SignedNetwork, active, private, publics, signed, spare
from tests.nodes import LocalHub
from tests.served import HOST, Served
from tests.world import NETWORK, SECONDS, Person, World


class SignedWorld(World):
    """Members and a hub whose directory is signed.

    Args:
        folder: Where log and directory are.
        members: Who has joined.
    """

    def __init__(self, folder: Path, *members: str, **more: Any) -> None:
        super().__init__(folder, **more)
        self.network = SignedNetwork(folder / "hub-directory")
        self.network.clock = self.clock  # type: ignore[assignment]  # both tell the time that a test set
        self.log_signer = LogSigner(f"{NETWORK}/log", LOG)
        self.network.join(*members)
        for id_ in members:
            self.people[id_] = Person(id_, private(f"{id_}-sign"), private(f"{id_}-tls", Algorithm.ESP256))
        self.source = self.signed = self.network.source()  # type: ignore[assignment]  # a Source like the other

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.registry = Registry(
            self.network.repository, self.signed, self.directory, self.clock, self.network.online
        )
        return self

    def ends_at(self) -> int | None:
        """Until when the directory counts."""
        newest = self.signed.newest
        return None if newest is None else newest.expires_at

    async def accede(self, text: bytes, *members: str) -> None:
        """Let members accede, and put it into force at the hub."""
        self.network.accede(text, *members)
        await self.directory.refresh()


def copy_for(network: SignedNetwork, member: str, folder: Path) -> Path:
    """Make the folder of a member's copy as it is after joining: the root to trust, and its own keys."""
    path = folder / member / "directory"
    Layout(path).add({metadata_name("root", 1): network.root})
    write_own(path, Own(frozenset(publics((active(member), spare(member))))))
    return path


def change_of(network: SignedNetwork, member: str, **changes: Any) -> Change:
    """Return a signed change of a member's own role: what it accedes to or leaves."""
    change = member_change(network.version, network.members[member], network.now, **changes)
    return signed(change, active(member))


@dataclass
class SignedNode:
    """A member's node with its copy.

    Attributes:
        path: The folder of the copy.
    """

    world: SignedWorld
    member: str
    path: Path
    store: Store
    hub: DirectoryHub
    copy: Copy
    source: SignedDirectory
    refresher: Refresher
    node: Node

    def intend(self, change: Change) -> None:
        """Keep a signed change of the own role, which the next refresh hands over."""
        intend(self.path, change)

    def enqueue(self, **values: str) -> None:
        """Queue a sighting."""
        draft = Draft.from_json(
            {"type": "sighting", "notice": {"place": "Hai Phong", **values}},
            self.world.catalogue,
            member=self.member,
            region=Region.ASIA_PACIFIC,
            at=self.world.clock.now(),
        )
        Outgoing(self.store).enqueue([draft], self.world.clock.now())

    async def sends(self, **values: str) -> None:
        """Send a sighting and work until the hub has proved what it decided about it."""
        self.enqueue(**values)
        outgoing = Outgoing(self.store)
        async with asyncio.timeout(SECONDS):
            while outgoing.busy_regions():
                if not await self.node.outbox.step():
                    await self.world.settle()

    async def receives(self) -> int:
        """Take in what the hub has, and return how many deliveries are here and right."""
        await self.world.settle()
        async with asyncio.timeout(SECONDS):
            while await self.node.runner.step(0):
                pass
        return Incoming(self.store).counts().get("checked", 0)

    def alarms(self) -> list[tuple[str, str]]:
        """Events and codes of the alarms."""
        return sorted((alarm.event, alarm.code) for alarm in snapshot(self.store).alarms)


@dataclass
class Shelf:
    """The world's hub as it hands out the directory to one member, without a network."""

    world: SignedWorld
    member: str

    async def directory_timestamp(self) -> bytes:
        return await self.world.registry.timestamp()

    async def directory(self, known: bytes) -> DirectoryFiles:
        return await self.world.registry.newest(self.member, known)

    async def past_directory(self, version: bytes, known: bytes) -> DirectoryFiles | None:
        return await self.world.registry.past(self.member, version, known)

    async def change_directory(self, change: bytes) -> bytes:
        return await self.world.registry.take(self.member, change)


@asynccontextmanager
async def signed_node(here: Served, member: str, folder: Path) -> AsyncIterator[SignedNode]:
    """Give a node that reaches the hub over mutual TLS."""
    world = here.world
    assert isinstance(world, SignedWorld)
    context = pinned_context(
        here.pin,
        here.folder / f"{member}.pem",
        here.folder / f"{member}.key",
        here.folder / "authority.pem",
    )
    async with HttpHub(f"https://{HOST}:{here.port}", context) as client:
        with _node(world, member, folder, client, client) as node:
            yield node


class Steady(LocalHub):
    """The world's hub, which takes up a version of the directory when a test says so, and not before."""

    async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
        return await self.world.gateway.publish(self.member, list(envelopes))


@contextmanager
def local_node(world: SignedWorld, member: str, folder: Path) -> Iterator[SignedNode]:
    """Give a node that reaches the hub without a network."""
    with _node(world, member, folder, Steady(world, member), Shelf(world, member)) as node:
        yield node


@contextmanager
def _node(
    world: SignedWorld, member: str, folder: Path, hub: Hub, shelf: DirectoryHub
) -> Iterator[SignedNode]:
    path = copy_for(world.network, member, folder)
    with Store.open(folder / member / "node.db", sole=True) as store:
        copy = Copy(path, member, world.clock)
        refresher = Refresher(shelf, copy, store, world.clock)
        source = SignedDirectory(path, copy.root(), world.clock, reader=member)
        node = Node(
            store,
            hub,
            source,
            world.catalogue,
            [FolderChannel(folder / member / "inbox")],
            Identity(member, NETWORK, world.people[member].signer, None),
            world.log_signer.vkey,
            world.clock,
            refresher=refresher,
        )
        yield SignedNode(world, member, path, store, shelf, copy, source, refresher, node)
