"""The directory as the node trusts it: the pinned network's and log's alone, and the last good one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.directories import KEPT_VERSIONS, REFRESH_MS, Directories, DirectoryUnknown
from broker.core.directory import Directory
from broker.core.errors import BadConfiguration, WeakKey
from tests.world import NETWORK, MovableClock, World


class Scripted:
    """A source that holds what a test puts into it."""

    def __init__(self, directory: Directory) -> None:
        self.newest: Directory | BadConfiguration | WeakKey = directory
        self.past: dict[bytes, Directory | BadConfiguration] = {}
        self.loads = 0
        self.looks = 0

    def load(self) -> Directory:
        self.loads += 1
        if not isinstance(self.newest, Directory):
            raise self.newest
        return self.newest

    def at(self, version: bytes) -> Directory | None:
        self.looks += 1
        found = self.past.get(version)
        if isinstance(found, BadConfiguration):
            raise found
        return found


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return World(tmp_path, "vn", "jp").source.load()


@pytest.fixture
def source(directory: Directory) -> Scripted:
    return Scripted(directory)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def directories(source: Scripted, directory: Directory, clock: MovableClock) -> Directories:
    return Directories(source, NETWORK, directory.log_key, clock)


async def test_the_source_is_looked_at_again_after_a_while_and_not_before(
    directories: Directories, source: Scripted, directory: Directory, clock: MovableClock
) -> None:
    assert (await directories.newest()).directory is directory
    source.newest = changed = replace(directory, version=b"2" * 32)
    clock.move(REFRESH_MS - 1)
    assert (await directories.newest()).directory is directory
    clock.move(1)
    assert (await directories.newest()).directory is changed
    assert source.loads == 2


@pytest.mark.parametrize("error", [BadConfiguration("torn", field="members/vn.toml"), WeakKey("weak")])
async def test_a_version_that_cannot_be_used_leaves_the_last_one_in_force(
    directories: Directories,
    source: Scripted,
    directory: Directory,
    clock: MovableClock,
    error: BadConfiguration | WeakKey,
) -> None:
    await directories.newest()
    source.newest = error
    clock.move(REFRESH_MS)
    assert (await directories.newest()).directory is directory


async def test_without_any_version_that_can_be_used_there_is_none(
    directories: Directories, source: Scripted
) -> None:
    source.newest = BadConfiguration("torn")
    with pytest.raises(BadConfiguration):
        await directories.newest()


@pytest.mark.parametrize("change", [{"network": "other"}, {"log_key": "other/log+00000000+AAAA"}])
async def test_a_directory_of_another_network_or_log_is_never_used(
    directories: Directories, source: Scripted, directory: Directory, change: dict[str, str]
) -> None:
    other = replace(directory, version=b"2" * 32, **change)  # type: ignore[arg-type]
    source.past[other.version] = other
    with pytest.raises(DirectoryUnknown):
        await directories.at(other.version)
    source.newest = other
    with pytest.raises(DirectoryUnknown):
        await directories.at(other.version)
    fresh = Directories(source, NETWORK, directory.log_key, MovableClock())
    with pytest.raises(BadConfiguration):
        await fresh.newest()


async def test_a_past_version_comes_from_the_source_once(
    directories: Directories, source: Scripted, directory: Directory
) -> None:
    past = replace(directory, version=b"0" * 32)
    source.past[past.version] = past
    for _ in range(3):
        assert (await directories.at(past.version)).directory is past
    assert source.looks == 1


async def test_a_version_that_is_unknown_damaged_or_misnamed_is_not_here(
    directories: Directories, source: Scripted, directory: Directory
) -> None:
    source.past[b"damaged".ljust(32)] = BadConfiguration("torn")
    source.past[b"misnamed".ljust(32)] = replace(directory, version=b"0" * 32)
    for version in (b"unknown", b"damaged", b"misnamed"):
        with pytest.raises(DirectoryUnknown) as caught:
            await directories.at(version.ljust(32))
        assert caught.value.field == version.ljust(32).hex()


async def test_a_version_that_came_a_moment_ago_is_found_at_once(
    directories: Directories, source: Scripted, directory: Directory
) -> None:
    await directories.newest()
    source.newest = changed = replace(directory, version=b"2" * 32)
    assert (await directories.at(changed.version)).directory is changed


async def test_only_so_many_versions_are_held_in_memory(
    directories: Directories, source: Scripted, directory: Directory
) -> None:
    versions = [bytes([number]) * 32 for number in range(KEPT_VERSIONS + 1)]
    for version in versions:
        source.past[version] = replace(directory, version=version)
        await directories.at(version)
    looks = source.looks
    await directories.at(versions[-1])
    assert source.looks == looks
    await directories.at(versions[0])
    assert source.looks == looks + 1
