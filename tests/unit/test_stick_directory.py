"""A node without network has its copy of the signed directory by sticks, and says by them what it signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.channels.folder import FolderChannel
from adapters.directory.copy import Copy
from adapters.directory.own import REFUSED_FILE, intend
from adapters.directory.refreshing import Refresher
from adapters.node import Node
from adapters.stick.carrier import Carrier
from adapters.stick.file import Listed
from adapters.stick.node import StickNode
from adapters.stick.offline import GRACE_MS, Late
from broker.core.errors import BadStick
from broker.core.wire import DirectoryFiles
from broker.directory.building import member_change
from broker.directory.signed import SignedDirectory
from tests.nodes import LocalHub
from tests.signed_world import Shelf, SignedWorld, change_of, copy_for
from tests.sticks import OfflineNode
from tests.world import DAY, NETWORK, sighting

TEXT = b"""
id = "vn-jp-2026"
version = 1
nonce = "00112233445566778899aabbccddeeff"
title = "What each gives the other"
parties = ["jp", "vn"]
in_force_from = 2020-01-01

[[grant]]
from = "vn"
to = "jp"
types = ["sighting"]
slots = ["facts"]

[[grant]]
from = "jp"
to = "vn"
types = ["sighting"]
slots = ["facts"]
"""


class Offline(OfflineNode):
    """vn without network, with the root to trust and its own keys."""

    def __init__(self, world: SignedWorld, folder: Path) -> None:
        super().__init__(world, "vn", folder)
        self.signed = world
        self.path = copy_for(world.network, "vn", folder)
        copy = Copy(self.path, "vn", world.clock, grace=GRACE_MS)
        self.directory = SignedDirectory(self.path, copy.root(), Late(world.clock), reader="vn")
        self.node = Node(
            self.store,
            self.sticks,
            self.directory,
            self.catalogue,
            [FolderChannel(self.inbox)],
            self.identity,
            world.log_signer.vkey,
            world.clock,
            refresher=Refresher(self.sticks, copy, self.store, world.clock),
        )
        self.stick = StickNode(self.node, self.sticks, "vn", NETWORK)

    def carrier(self, points: object = None) -> Carrier:
        shelf = Shelf(self.signed, "vn")
        return Carrier(LocalHub(self.world, "vn"), self.folder / "carrier", "vn", NETWORK, shelf)


async def test_sticks_bring_the_directory_and_each_version_that_a_delivery_names(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        vn = Offline(world, tmp_path)
        assert (await vn.goes_round()).stopped is None
        assert set(vn.directory.load().members) == {"vn", "jp"}

        await world.accede(TEXT, "vn", "jp")
        named = world.directory.value.version
        await world.publish("jp", sighting())
        world.network.change(world.network.members["jp"])
        await world.directory.refresh()
        imported = await vn.goes_round()

        assert (imported.deliveries, imported.stopped) == (1, None)
        assert len(vn.files()) == 1
        assert vn.directory.load().version != named
        assert vn.directory.at(named) is not None


async def test_what_the_member_signs_goes_along_and_is_in_the_next_directory(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        vn = Offline(world, tmp_path)
        await vn.goes_round()
        intend(vn.path, change_of(world.network, "vn", accede=[TEXT]))
        await vn.goes_round()
        (agreement,) = vn.directory.load().agreements
        assert vn.directory.load().acceded("vn", agreement)
        assert world.directory.value.acceded("vn", agreement)
        assert vn.alarms() == []


async def test_a_change_that_the_hub_refused_is_told_by_the_stick_that_comes_back(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        vn = Offline(world, tmp_path)
        await vn.goes_round()
        network = world.network
        intend(vn.path, member_change(network.version, network.members["vn"], network.now, accede=[TEXT]))
        imported = await vn.goes_round()
        assert imported.stopped is not None
        assert imported.stopped.code == "directory-unsigned"
        assert vn.alarms() == [("directory.change-refused", "directory-unsigned")]
        assert (vn.path / REFUSED_FILE).exists()


@pytest.mark.parametrize(("days", "code"), [(20, None), (32, "directory-expired")])
async def test_a_stick_may_travel_for_weeks_and_no_longer(
    tmp_path: Path, days: int, code: str | None
) -> None:
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        vn = Offline(world, tmp_path)
        await vn.exports()
        await vn.carries()
        world.clock.move(days * DAY)
        imported = await vn.imports()
        assert (imported.stopped.code if imported.stopped else None) == code


async def test_a_directory_on_a_stick_has_its_timestamp(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        vn = Offline(world, tmp_path)
        vn.sticks.hear(Listed(files=DirectoryFiles("", {}), newest=True))
        with pytest.raises(BadStick):
            await vn.sticks.directory_timestamp()
