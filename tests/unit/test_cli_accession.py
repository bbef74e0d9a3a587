"""Acceding and leaving by command: a member signs its own role, and nothing but that counts."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from adapters.directory.copy import Copy
from adapters.directory.own import Own, read_own, write_own
from adapters.member_folder import write_member_config
from broker.core.agreements import Context, Share, Withhold, decide, parse_agreement
from broker.core.errors import UnfitDirectory
from broker.directory.change import Change
from broker.files import make_private_folder, write_key
from broker.terminal import Exit
from tests.ceremony import SignedNetwork, active, private, signed, spare
from tests.networks import plan
from tests.strategies import header
from tests.unit.test_cli_commands import AGREEMENTS, Terminal, at

__all__ = ["at"]

FILE = AGREEMENTS / "jp-vn-2026.toml"
WAITING = Path("vn/directory/own-change.json")


class Network:
    """A directory, of which the node of vn has a copy and its key."""

    def __init__(self, folder: Path) -> None:
        self.signed = SignedNetwork(folder / "hub-directory")
        self.signed.join("jp", "vn", "nl")
        self.signed.clock.time = int(time.time() * 1000)
        self.hand_out()

    def hand_out(self) -> None:
        """Let vn have a copy of what is in force, vouched for."""
        self.signed.renew()
        shutil.copytree(self.signed.path, "vn/directory", dirs_exist_ok=True)

    def take(self, path: Path) -> None:
        """Let the hub take what waits or was carried."""
        self.signed.take(Change.read(path.read_bytes()))
        path.unlink()
        self.hand_out()

    def verdict(self) -> Share | Withhold:
        """What jp gets of a parcel of vn now."""
        directory = self.signed.source().load()
        return decide(header(countries=("JP",)), "jp", directory, Context(self.signed.now, {}))


@pytest.fixture
def network(at: Terminal, tmp_path: Path) -> Network:
    make_private_folder(Path("vn/keys"))
    write_key(Path("vn/keys/directory.pem"), active("vn").to_pem())
    write_member_config(Path("vn"), plan("vn"))
    network = Network(tmp_path)
    write_own(Path("vn/directory"), Own(frozenset({active("vn").public, spare("vn").public})))
    return network


def test_a_grant_counts_once_both_have_acceded_and_no_more_once_one_has_left(
    at: Terminal, network: Network
) -> None:
    said = at(f"agreement accede {FILE} --dir vn --yes")
    assert said.code == Exit.HELD
    assert "vn would accede; so far nobody else has" in said.out
    assert "accedes to jp-vn-2026/1" in said.err
    assert f"signed {WAITING}" in said.out
    network.take(WAITING)
    assert isinstance(network.verdict(), Withhold)

    network.signed.accede(FILE.read_bytes(), "jp")
    network.hand_out()
    assert isinstance(network.verdict(), Share)
    assert at("agreement accede jp-vn-2026 --dir vn --json").json["already"]
    assert at("agreement list --dir vn --json").json["agreements"][0]["counts"]

    left = at("agreement leave jp-vn-2026 --dir vn --yes --json")
    assert left.code == Exit.HELD
    assert left.json["signed"] == str(WAITING)
    network.take(WAITING)
    assert isinstance(network.verdict(), Withhold)


def test_what_would_change_is_said_before_a_key_is_opened_and_nothing_is_signed_without_a_yes(
    at: Terminal, network: Network
) -> None:
    Path("vn/keys/directory.pem").unlink()
    said = at(f"agreement accede {FILE} --dir vn")
    assert said.code == Exit.USAGE
    assert "once jp accedes, too" in said.out
    assert "needs a yes" in said.err
    assert at(f"agreement accede {FILE} --dir vn --dry-run").code == Exit.HELD
    assert not WAITING.exists()


def test_only_the_members_own_key_signs_and_one_change_waits_at_a_time(
    at: Terminal, network: Network
) -> None:
    write_key(Path("jp.pem"), active("jp").to_pem())
    refused = at(f"agreement accede {FILE} --dir vn --key jp.pem --yes")
    assert refused.code == Exit.USAGE
    assert "not one of the keys that sign for vn" in refused.err
    assert not WAITING.exists()
    assert at(f"agreement accede {FILE} --dir vn --yes").code == Exit.HELD
    again = at(f"agreement accede {AGREEMENTS / 'nl-vn-2026.toml'} --dir vn --yes")
    assert "waits for the hub" in again.err


def test_a_change_can_be_carried_in_a_file_and_the_node_knows_it_for_its_own(
    at: Terminal, network: Network
) -> None:
    copy = Copy(Path("vn/directory"), "vn", network.signed.clock)
    copy.take(network.signed.repository.files)
    said = at(f"agreement accede {FILE} --dir vn --yes -o carried.json")
    assert "halong hub take carried.json" in said.err
    assert not WAITING.exists()
    carried = read_own(copy.path).carried

    network.signed.take(Change.read(Path("carried.json").read_bytes()))

    assert not copy.take(network.signed.repository.files).signed_elsewhere
    assert read_own(copy.path).signed == carried
    agreement = parse_agreement(FILE.read_bytes())
    assert network.signed.source().load().acceded("vn", agreement)
    network.signed.leave("vn", agreement.id, agreement.version)
    assert copy.take(network.signed.repository.files).signed_elsewhere


def test_nobody_accedes_for_another(at: Terminal, network: Network) -> None:
    said = at(f"agreement accede {FILE} --dir vn --member jp --yes")
    assert "jp signs it at its own node" in said.err
    assert not WAITING.exists()
    stranger = signed(Change.read(_prepared(at)), private("stranger"))
    with pytest.raises(UnfitDirectory) as caught:
        network.signed.take(stranger)
    assert caught.value.code == "directory-unsigned"


def _prepared(at: Terminal) -> bytes:
    """A change of vn, without its signature."""
    at(f"agreement accede {FILE} --dir vn --yes -o prepared.json")
    change = Change.read(Path("prepared.json").read_bytes())
    return Change(change.role, change.number, change.signed, frozenset(), change.files).write()
