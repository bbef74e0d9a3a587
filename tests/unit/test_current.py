from __future__ import annotations

from pathlib import Path

import pytest

from broker.core.directory import Directory
from broker.core.errors import BadConfiguration
from broker.core.records import directory_leaf_entry
from broker.log import Partition
from broker.log.topics import DIRECTORY, inbox_topic
from broker.services.current import CurrentDirectory
from tests.ceremony import SignedNetwork
from tests.world import World


async def test_every_file_is_in_the_log_once_with_its_leaf(tmp_path: Path) -> None:
    world = World(tmp_path, "vn", "jp")
    async with world:
        world.agree("vn", "jp")
        await world.directory.refresh()
        await world.directory.refresh()
    async with world:
        stored = await world.log.read(Partition(DIRECTORY), 0, 100)

        roles = [one.value.partition(b"\0")[0].decode() for one in stored]
        assert sorted(set(roles)) == ["agreements/vn-jp/1", "members/jp", "members/vn"]
        assert len({one.key for one in stored}) == len(stored)
        for one in stored:
            role, _, data = one.value.partition(b"\0")
            assert directory_leaf_entry(role.decode(), data)[1:] == one.key


async def test_a_member_has_an_inbox_before_its_version_is_in_force(tmp_path: Path) -> None:
    async with World(tmp_path, "vn") as world:
        seen: list[tuple[Directory, bool]] = []
        world.directory.watch(lambda directory: seen.append((directory, world.directory.value is directory)))
        world.join("jp")

        assert await world.directory.refresh()

        ((directory, in_force),) = seen
        assert in_force
        assert "jp" in directory.members
        assert Partition(inbox_topic("jp")) in await world.log.ends([inbox_topic("jp")])


async def test_a_version_that_cannot_be_used_leaves_the_last_in_force(tmp_path: Path) -> None:
    async with World(tmp_path, "vn") as world:
        before = world.directory.value

        class Broken:
            def load(self) -> Directory:
                raise BadConfiguration("not a directory", field="members/vn.toml")

            def at(self, version: bytes) -> None:
                return None

            def files(self) -> dict[str, bytes]:
                return {}

        world.directory._source = Broken()
        with pytest.raises(BadConfiguration):
            await world.directory.refresh()

        assert world.directory.value is before


async def test_there_is_no_directory_before_the_first(tmp_path: Path) -> None:
    async with World(tmp_path, "vn") as world:
        with pytest.raises(RuntimeError):
            _ = CurrentDirectory(world.source, world.log).value


async def test_each_timestamp_is_in_the_log_although_the_version_is_the_same(tmp_path: Path) -> None:
    network = SignedNetwork(tmp_path / "signed")
    async with World(tmp_path, "vn") as world:
        directory = CurrentDirectory(network.source(), world.log)
        await directory.refresh()
        value = directory.value
        network.renew()
        assert not await directory.refresh()
        assert directory.value is value

        stored = await world.log.read(Partition(DIRECTORY), 0, 100)
        roles = [one.value.partition(b"\0")[0].decode() for one in stored]
        assert roles.count("metadata/timestamp.json") == 2
        assert roles.count("metadata/1.snapshot.json") == 1
