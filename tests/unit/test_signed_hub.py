"""The whole hub and its directory, as `halong hub` runs it: changes that come in, and the word that ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.clock import Clock
from broker.commands.hub_folder import make_hub
from broker.configuration import load_hub_config
from broker.hub import PARTS, Ports, _Hub
from broker.log import open_log
from tests.ceremony import AGREEMENT, HOUR, LOG, NOW, ONLINE, SignedNetwork, member
from tests.networks import HUB
from tests.served import until
from tests.unit.test_hub import SECONDS, get
from tests.world import MovableClock

pytestmark = pytest.mark.sockets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "hub"
    make_hub(folder, HUB, NOW)
    (folder / "keys/log.pem").write_bytes(LOG.to_pem())
    (folder / "keys/online.pem").write_bytes(ONLINE.to_pem())
    SignedNetwork(folder / "directory").join("jp", "vn")
    return folder


@contextlib.asynccontextmanager
async def running(folder: Path, clock: Clock) -> AsyncIterator[tuple[_Hub, Ports]]:
    config = load_hub_config(folder)
    ready: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
    async with open_log(config.log_url) as log, asyncio.TaskGroup() as group:
        hub = _Hub(config, PARTS, log, clock)
        task = group.create_task(hub.run(ready.set_result))
        async with asyncio.timeout(SECONDS):
            yield hub, await ready
        task.cancel()


async def parts(ports: Ports) -> tuple[int, bool]:
    status, body = await get(ports.health, "/ready")
    return status, json.loads(body)["parts"]["directory"]


async def test_a_change_brought_by_hand_counts_in_a_hub_that_runs_within_two_seconds(folder: Path) -> None:
    async with running(folder, MovableClock(NOW)) as (hub, ports):
        network = SignedNetwork(folder.parent / "elsewhere").at(folder / "directory")
        network.members = {id_: member(id_) for id_ in ("jp", "vn")}
        started = time.monotonic()
        network.accede(AGREEMENT.encode(), "jp", "vn")
        await until(lambda: hub._directory.value.version == network.version.directory.version)
        assert time.monotonic() - started < 2
        assert len(hub._directory.value.agreements) == 1
        assert await parts(ports) == (200, True)


async def test_a_hub_that_was_away_for_longer_than_its_word_lasts_gives_it_anew_when_it_starts(
    folder: Path,
) -> None:
    async with running(folder, MovableClock(NOW + 40 * HOUR)) as (_, ports):
        assert await parts(ports) == (200, True)


async def test_a_hub_without_its_online_key_is_not_ready_once_the_day_is_over(folder: Path) -> None:
    (folder / "keys/online.pem").unlink()
    clock = MovableClock(NOW)
    async with running(folder, clock) as (_, ports):
        assert await parts(ports) == (200, True)
        clock.move(25 * HOUR)
        assert await parts(ports) == (503, False)
