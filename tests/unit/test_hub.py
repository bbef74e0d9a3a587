"""The whole hub from its folder, as `halong hub` runs it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec
import pytest

from broker import hub as hub_module
from broker.audit.building import INDEX_FILE
from broker.clock import SystemClock
from broker.configuration import Health, HubConfig, Listen, load_hub_config
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, PrivateKey
from broker.demo.network import Network
from broker.directory.signed import SignedDirectory
from broker.directory.sources import trusted_root
from broker.hub import Ports, _Hub, run_hub
from broker.log import LogUnavailable, open_log
from tests.networks import hub_of
from tests.world import counted

SECONDS = 20.0


@pytest.fixture
def folder(tmp_path: Path, made_network: Network) -> Path:
    return hub_of(made_network, tmp_path / "hub")


def files_of(folder: Path) -> Mapping[str, bytes]:
    """The files of the version in force, its timestamp among them."""
    path = folder / "directory"
    source = SignedDirectory(path, trusted_root(path), SystemClock())
    source.load()
    return source.files()


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Ports]:
    ready: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        hub = group.create_task(run_hub(load_hub_config(folder), ready=ready.set_result))
        async with asyncio.timeout(SECONDS):
            yield await ready
        hub.cancel()


async def get(port: int, path: str) -> tuple[int, bytes]:
    def ask() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    return await asyncio.to_thread(ask)


@pytest.mark.sockets
async def test_a_hub_that_is_ready_says_so_on_the_loopback_address(folder: Path) -> None:
    async with running(folder) as ports:
        assert ports.members > 0
        assert await get(ports.health, "/health") == (200, b'{"status": "alive"}')
        status, body = await get(ports.health, "/ready")
        assert status == 200
        assert json.loads(body)["parts"]["sequencer"] is True
        status, body = await get(ports.health, "/metrics")
        assert b"halong_published_size" in body


@pytest.mark.sockets
async def test_the_files_of_its_directory_are_in_its_log_before_it_is_ready(folder: Path) -> None:
    async with running(folder):
        pass
    async with open_log(load_hub_config(folder).log_url, read_only=True) as log:
        assert sum((await log.ends(["directory"])).values()) == len(files_of(folder))


@pytest.mark.sockets
async def test_it_looks_after_an_auditors_index_in_its_folder(folder: Path) -> None:
    index = folder / INDEX_FILE
    index.write_bytes(b"no index, so it may hold anything" * 100)
    async with running(folder), asyncio.timeout(SECONDS):
        while index.exists():  # noqa: ASYNC110  nobody is told
            await asyncio.sleep(0.01)


@pytest.mark.sockets
async def test_it_starts_again_where_it_was(folder: Path) -> None:
    for _ in range(3):
        async with running(folder):
            pass
    async with open_log(load_hub_config(folder).log_url, read_only=True) as log:
        # A start makes a snapshot and a timestamp; nothing else is recorded again.
        assert sum((await log.ends(["directory"])).values()) == len(files_of(folder)) + 2 * 2


@pytest.mark.sockets
async def test_a_second_hub_on_the_same_log_is_refused(folder: Path) -> None:
    async with running(folder):
        with pytest.raises(LogUnavailable, match="another process"):
            await run_hub(load_hub_config(folder))


@pytest.mark.sockets
async def test_a_port_that_is_taken_is_named(folder: Path, made_network: Network, tmp_path: Path) -> None:
    async with running(folder) as ports:
        config = replace_config(hub_of(made_network, tmp_path / "other"), port=ports.members)
        with pytest.raises(ExceptionGroup) as failed:
            await run_hub(config)
        (error,) = failed.value.exceptions
        assert isinstance(error, BadConfiguration)
        assert str(ports.members) in str(error)


def replace_config(folder: Path, *, port: int) -> HubConfig:
    config = load_hub_config(folder)
    return msgspec.structs.replace(config, listen=Listen(host="127.0.0.1", port=port), health=Health(port=0))


@pytest.mark.parametrize("only", [{"gateway"}, {"dispatcher", "sequencer"}])
async def test_a_part_alone_is_refused_on_the_embedded_log(folder: Path, only: set[str]) -> None:
    with pytest.raises(BadConfiguration, match="one process"):
        await run_hub(load_hub_config(folder), only=only)


@pytest.mark.parametrize("only", [set(), {"gatewya"}])
async def test_a_part_that_is_none_is_refused(folder: Path, only: set[str]) -> None:
    with pytest.raises(BadConfiguration, match="parts are"):
        await run_hub(load_hub_config(folder), only=only)


async def test_a_key_that_is_not_the_pinned_one_signs_nothing(folder: Path) -> None:
    (folder / "keys/log.pem").write_bytes(PrivateKey.generate(Algorithm.ED25519).to_pem())

    with pytest.raises(BadConfiguration, match="not the log's key"):
        await run_hub(load_hub_config(folder))

    async with open_log(load_hub_config(folder).log_url, read_only=True) as log:
        assert sum((await log.ends(["audit.checkpoints"])).values()) == 0


@pytest.mark.parametrize("missing", ["keys/log.pem", "keys/tls.pem", "tls/hub.pem", "tls/authority.pem"])
async def test_a_file_that_is_missing_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()

    with pytest.raises(BadConfiguration) as failed:
        await run_hub(load_hub_config(folder))

    assert str(folder / missing) == failed.value.field or "key" in str(failed.value)


async def test_the_directory_of_another_network_is_refused(folder: Path) -> None:
    path = folder / "hub.toml"
    path.write_text(path.read_text().replace('network = "halong-test"', 'network = "halong-live"'))

    with pytest.raises(BadConfiguration, match="network"):
        await run_hub(load_hub_config(folder))


async def test_a_service_that_lost_the_log_runs_again_and_any_other_error_ends_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "FIRST_PAUSE_SECONDS", 0.001)
    lives = 0

    async def service() -> None:
        nonlocal lives
        lives += 1
        if lives < 3:
            raise LogUnavailable("gone")
        raise ZeroDivisionError

    async with open_log(load_hub_config(folder).log_url) as log:
        hub = _Hub(load_hub_config(folder), frozenset(), log, SystemClock())
        with pytest.raises(ZeroDivisionError):
            await hub._keep_running("dispatcher", service)

        assert lives == 3
        assert counted(hub._metrics.restarts) == 2


async def test_a_hub_of_which_a_part_is_down_is_not_ready(folder: Path) -> None:
    async def service() -> None:
        raise LogUnavailable("gone")

    async with open_log(load_hub_config(folder).log_url) as log, asyncio.timeout(SECONDS):
        hub = _Hub(load_hub_config(folder), frozenset(), log, SystemClock())
        async with asyncio.TaskGroup() as group:
            kept = group.create_task(hub._keep_running("dispatcher", service))
            while not hub._down:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
            assert hub._down == {"dispatcher"}
            kept.cancel()


@pytest.mark.sockets
def test_as_a_process_it_ends_well_when_it_is_told_to(folder: Path) -> None:
    command = [sys.executable, "-m", "broker.cli", "hub", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready  halong-test")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(SECONDS) == 0
