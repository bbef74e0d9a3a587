"""The whole node from its folder, as `halong member` runs it, on a hub from its folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.configuration import MEMBER_FILE, NodeConfig, load_node_config
from adapters.member_folder import open_folder
from adapters.node import leading_region, load_identity, make_channels, run_node
from adapters.sending.draft import Draft
from adapters.status import snapshot
from broker.clock import SystemClock
from broker.configuration import load_hub_config
from broker.core.errors import BadConfiguration
from broker.core.model import Region, Slot, Status
from broker.demo.processes import free_port
from broker.hub import Ports, run_hub
from schemas import load_catalogue
from tests.networks import HUB, make
from tests.notices import drug_parcel

SECONDS = 30.0
AGREEMENT = b"""
id = "vn-jp"
version = 1
nonce = "00112233445566778899aabbccddeeff"
title = "Parcels"
parties = ["jp", "vn"]
in_force_from = 2020-01-01

[[grant]]
from = "vn"
to = "jp"
types = ["drug-parcel"]
slots = ["facts"]
"""


@contextlib.asynccontextmanager
async def running_hub(folder: Path) -> AsyncIterator[Ports]:
    ready: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        hub = group.create_task(run_hub(load_hub_config(folder), ready=ready.set_result))
        async with asyncio.timeout(SECONDS):
            yield await ready
        hub.cancel()


@contextlib.asynccontextmanager
async def running_node(folder: Path) -> AsyncIterator[int]:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        node = group.create_task(run_node(load_node_config(folder), ready.set_result))
        async with asyncio.timeout(SECONDS):
            yield await ready
        node.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - what is looked at is another process's, in principle
            await asyncio.sleep(0.02)


async def get(port: int, path: str) -> tuple[int, bytes]:
    def ask() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    return await asyncio.to_thread(ask)


def publish(folder: Path) -> None:
    catalogue = load_catalogue()
    # Persons of this type may go out sealed only.
    persons = {field["name"] for field in catalogue.current("drug-parcel").fields(Slot.PERSONS)}
    notice = drug_parcel(**dict.fromkeys(persons))
    with open_folder(folder) as node:
        draft = Draft.from_json(
            {"type": "drug-parcel", "countries": ["JP", "VN"], "notice": notice, "addressees": ["jp"]},
            catalogue,
            member="vn",
            region=leading_region(node.config),
            at=SystemClock().now(),
        )
        node.outgoing.enqueue([draft], SystemClock().now())


@pytest.mark.sockets
async def test_a_notice_goes_from_folder_to_folder_over_real_connections(tmp_path: Path) -> None:
    network = make(tmp_path, "vn", "jp", agreements=[AGREEMENT], hub=replace(HUB, port=free_port()))
    vn, jp = network.member("vn"), network.member("jp")
    async with running_hub(network.hub):
        publish(vn)
        async with running_node(vn) as vn_health, running_node(jp) as jp_health:
            await until(lambda: len(list((jp / "inbox").rglob("*.json"))) == 1)
            with open_folder(vn) as node:
                await until(lambda: snapshot(node.store).sent == {"proven": 1})
                assert snapshot(node.store).alarms == ()
            with open_folder(jp) as node:
                await until(lambda: snapshot(node.store).receipts_waiting == 0)
                assert snapshot(node.store).received == {"delivered": 1}
            assert await get(jp_health, "/health") == (200, b'{"status": "ok"}')
            status, body = await get(jp_health, "/ready")
            assert (status, json.loads(body)) == (
                200,
                {"ready": True, "reached": True, "held": None, "directory": True, "cosigned": True},
            )
            status, body = await get(jp_health, "/metrics")
            assert b'halong_node_deliveries{state="delivered"} 1' in body
            status, body = await get(vn_health, "/metrics")
            assert b'halong_node_notices{state="proven"} 1' in body
            with pytest.raises(BaseExceptionGroup) as caught:
                async with running_node(jp):
                    pass
            assert caught.group_contains(BadConfiguration, match="another node")

    (file,) = (jp / "inbox").rglob("*.json")
    shown = json.loads(file.read_bytes())
    assert shown["originator"] == "vn"
    assert shown["slots"]["facts"] == "shown"
    assert shown["slots"]["persons"] == "withheld"
    page = file.with_suffix(".html").read_text()
    assert "drug" in page.lower()
    assert file.with_suffix(".envelope").exists()


# --- configuration ------------------------------------------------------------------------------------


def config_of(tmp_path: Path, text: str) -> NodeConfig:
    (tmp_path / MEMBER_FILE).write_text(text)
    return load_node_config(tmp_path)


LEAST = 'member = "vn"\nnetwork = "n"\n'


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = config_of(tmp_path, LEAST + "[channels.desk]\npath = 'out'\nstatuses = ['ACTUAL', 'TEST']\n")
    assert config.store_path == tmp_path / "node.db"
    (channel,) = make_channels(config)
    assert (channel.name, channel.statuses) == ("desk", frozenset({Status.ACTUAL, Status.TEST}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not toml at all",
        'member = "vn"\n',
        LEAST + "colour = 1\n",
        LEAST + 'region = "atlantis"\n',
        LEAST + '[hub]\nurl = "https://h"\npin = "12"\nlog_key = "x"\n',
        LEAST + '[channels.desk]\nkind = "fax"\n',
        LEAST + '[health]\nport = "eighty"\n',
    ],
)
def test_a_configuration_that_cannot_be_used_names_its_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        config_of(tmp_path, text)
    assert caught.value.field == str(tmp_path / MEMBER_FILE)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="halong member join"):
        load_node_config(tmp_path)


def test_a_node_that_has_not_joined_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="halong member join"):
        _ = config_of(tmp_path, LEAST).joined


def test_a_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    config = config_of(tmp_path, LEAST)
    with pytest.raises(BadConfiguration) as caught:
        load_identity(config)
    assert caught.value.field == str(tmp_path / "keys/sign.pem")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/sign.pem").write_text("no key")
    with pytest.raises(BadConfiguration, match=r".") as caught:
        load_identity(config)
    assert caught.value.field == str(tmp_path / "keys/sign.pem")


def test_the_region_comes_from_the_file_or_else_must_be_named(tmp_path: Path) -> None:
    assert leading_region(config_of(tmp_path, LEAST + 'region = "europe"\n')) is Region.EUROPE
