"""A node without network in the simulated world, and the carrier that goes between it and the hub."""

from __future__ import annotations

from pathlib import Path

from adapters.channels import Channel
from adapters.channels.folder import FolderChannel
from adapters.node import Node
from adapters.patience import Patience
from adapters.stick.carrier import Carrier, Fetched, Handed
from adapters.stick.hub import StickHub
from adapters.stick.node import Exported, Imported, StickNode
from tests.crash import CrashPoints
from tests.nodes import CrashingHub, LocalHub, TestNode
from tests.world import NETWORK, World


class OfflineNode(TestNode):
    """A node that reaches its hub by sticks alone; `world.settle` passes between the two.

    Args:
        world: Where the hub is.
        member: Who it is.
        folder: Where store, inbox and sticks are.
        points: Where it dies.
    """

    __test__ = False

    def __init__(self, world: World, member: str, folder: Path, *, points: CrashPoints | None = None) -> None:
        super().__init__(world, member, folder, points=points)
        self.folder = folder / member
        self.sticks = StickHub(self.store)
        channels: list[Channel] = [FolderChannel(self.inbox)]
        self.node = Node(
            self.store,
            self.sticks,
            self.source,
            self.catalogue,
            channels,
            self.identity,
            world.log_signer.vkey,
            world.clock,
            Patience(self._moved_on),
        )
        self.stick = StickNode(self.node, self.sticks, member, NETWORK)
        self.out = self.folder / "out.stick"
        self.back = self.folder / "back.stick"

    async def exports(self, path: Path | None = None, *, fresh: bool = False) -> Exported:
        return await self.stick.export(path or self.out, fresh=fresh)

    async def imports(self, path: Path | None = None) -> Imported:
        return await self.stick.import_(path or self.back)

    def carrier(self, points: CrashPoints | None = None) -> Carrier:
        hub = LocalHub(self.world, self.member)
        folder = self.folder / "carrier"
        return Carrier(hub if points is None else CrashingHub(hub, points), folder, self.member, NETWORK)

    async def carries(self) -> tuple[Handed, Fetched]:
        """Take the stick to the hub, which writes heads as they fall due, and bring one back."""
        handed = await self.carrier().take(self.out)
        await self.world.settle()
        await self.world.heads.write_due()
        await self.world.settle()
        return handed, await self.carrier().bring(self.back, wait_seconds=0)

    async def goes_round(self) -> Imported:
        """One stick to the hub and one back."""
        await self.exports()
        await self.carries()
        return await self.imports()
