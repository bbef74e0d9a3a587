"""Whole networks in folders, made by the functions of the commands.

::

    network = make(tmp_path, "vn", "jp", agreements=[JP_VN])
    network.hub, network.member("vn")        # folders

Making one takes most of a second, so `made_network` is made once in a process, and copied by whoever
changes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import pytest

from adapters.member_folder import MemberPlan
from broker.clock import SystemClock
from broker.commands.hub_folder import HubPlan, write_hub_config
from broker.core.agreements import parse_agreement
from broker.core.directory import MemberClass
from broker.core.model import Region
from broker.demo.network import Network

NETWORK = "halong-test"
KEYS = " ".join(f"--key secretariat/keys/secretariat-{number}.pem" for number in (1, 2))
"""What two of the secretariat sign with, as it is typed."""
HOST = "127.0.0.1"
AGREEMENTS = Path(__file__).parents[1] / "broker/demo/scenario/agreements"
JP_VN, NL_VN = ((AGREEMENTS / name).read_bytes() for name in ("jp-vn-2026.toml", "nl-vn-2026.toml"))
HUB = HubPlan(network=NETWORK, host=HOST, port=0, name=HOST, health_port=0)
"""A hub at a free port: whoever is to reach it is told where it listens."""


def plan(member: str) -> MemberPlan:
    """How a member is called; its node's ports are free ones."""
    name = f"Customs of {member}"
    return MemberPlan(member, name, MemberClass.CUSTOMS, [Region.ASIA_PACIFIC], NETWORK, health_port=0)


def make(
    folder: Path, *members: str, agreements: Collection[bytes] = (), hub: HubPlan = HUB, at: int | None = None
) -> Network:
    """Make a network whose members have acceded to all agreements that they are party to, and have joined."""
    at = SystemClock().now() if at is None else at
    network = Network(folder)
    network.make(hub, at)
    network.admit(map(plan, members), at)
    accede(network, *agreements, at=at)
    network.welcome(members)
    return network


def accede(network: Network, *agreements: bytes, at: int | None = None) -> None:
    """Let all parties of agreements that are members accede to them."""
    texts: dict[str, list[bytes]] = {}
    for text in agreements:
        for party in parse_agreement(text).parties & network.directory().members.keys():
            texts.setdefault(party, []).append(text)
    if texts:
        network.accede(texts, SystemClock().now() if at is None else at)


def copied(network: Network, folder: Path) -> Network:
    """Return the same network in a folder of its own."""
    shutil.copytree(network.folder, folder, dirs_exist_ok=True)
    return Network(folder)


def hub_of(network: Network, folder: Path) -> Path:
    """Return the network's hub alone, in a folder of its own, at a free port."""
    shutil.copytree(network.hub, folder)
    write_hub_config(folder, HUB)
    return folder


@pytest.fixture(scope="session")
def made_network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A hub that nobody reaches, with vn, jp and nl under two agreements; not to be changed."""
    hub = HubPlan(network=NETWORK, host=HOST, port=8443, name=HOST, health_port=0)
    return make(tmp_path_factory.mktemp("made"), "vn", "jp", "nl", agreements=[JP_VN, NL_VN], hub=hub)
