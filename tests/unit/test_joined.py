"""Folders once everybody has joined: keys stay where they were made, settings are their owner's."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from adapters.configuration import load_node_config
from adapters.joining import Places, invited, make_invited
from adapters.node import directory_source
from broker.clock import SystemClock
from broker.commands.hub_folder import make_hub
from broker.commands.secretariat import invite, load_secretariat
from broker.core.errors import BadConfiguration
from broker.demo.network import Network
from broker.directory.admission import written
from broker.directory.certificates import read_certificate
from tests.networks import HUB, copied, plan


@pytest.fixture
def network(made_network: Network, tmp_path: Path) -> Network:
    return copied(made_network, tmp_path)


def test_a_member_has_what_the_hub_has_and_pins_it(network: Network) -> None:
    config, theirs = load_node_config(network.member("vn")), network.directory()

    assert directory_source(config).load().version == theirs.version
    assert config.joined.url == "https://127.0.0.1:8443"
    assert config.joined.log_key == theirs.log_key
    certificate = (network.hub / "tls/hub.pem").read_bytes()
    assert bytes.fromhex(config.joined.pin) == read_certificate(certificate).key
    mine = read_certificate((network.member("vn") / "tls/member.pem").read_bytes())
    assert theirs.member_of_transport_key(mine.key, SystemClock().now()) == "vn"


def test_private_keys_are_readable_by_their_owner_alone_and_never_leave(network: Network) -> None:
    for folder in (network.hub / "keys", network.member("vn") / "keys", network.member("vn") / "spare"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for key in folder.iterdir():
            assert stat.S_IMODE(key.stat().st_mode) == 0o600
            secret = key.read_bytes().splitlines()[1]
            others = [path for path in network.folder.rglob("*") if path.is_file() and path != key]
            assert not [path for path in others if secret in path.read_bytes()]


def test_nothing_that_is_there_is_made_again(network: Network) -> None:
    before = {path: path.read_bytes() for path in network.folder.rglob("*.pem")}
    secretariat = load_secretariat(network.secretariat)
    invitation = written(invite(secretariat, "vn", "Customs", "customs", ["europe"]))
    now = SystemClock().now()

    with pytest.raises(BadConfiguration, match="already"):
        make_hub(network.hub, HUB, now)
    with pytest.raises(BadConfiguration, match="already"):
        make_invited(network.member("vn"), invited(invitation), plan("vn"), now, Places())
    assert {path: path.read_bytes() for path in network.folder.rglob("*.pem")} == before


def test_a_later_welcome_leaves_the_person_s_own_settings(network: Network) -> None:
    path = network.member("vn") / "member.toml"
    path.write_text(
        path.read_text().replace('path = "inbox"', 'path = "arrived"') + '\n[channels.more]\npath = "m"\n'
    )

    network.welcome(["vn"])

    config = load_node_config(network.member("vn"))
    assert sorted(config.channels) == ["folder", "more"]
    assert config.channels["folder"].path == Path("arrived")
    assert path.read_text().count("\n[hub]") == 1


def test_what_one_leaves_binds_nobody_and_the_past_stays_known(network: Network) -> None:
    before, now = network.directory(), SystemClock().now()
    agreement = next(each for each in before.agreements if each.id == "jp-vn-2026")
    network.leave("vn", agreement.id, agreement.version, now)
    network.welcome(["vn", "jp"])

    for member in ("vn", "jp"):
        copy = directory_source(load_node_config(network.member(member)))
        assert not copy.load().acceded("vn", agreement)
        past = copy.at(before.version)
        assert past is not None
        assert past.acceded("vn", agreement)
