"""`halong key`: keys are shown by their fingerprints, copied under a passphrase, and brought back."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from broker.cli import halong as commands
from broker.core.keys import PrivateKey
from broker.demo.network import Network
from broker.terminal import run
from tests.networks import copied

PHRASE = "correct horse battery"


@pytest.fixture
def node(tmp_path: Path, made_network: Network, cheap_guesses: None) -> Path:
    return copied(made_network, tmp_path).member("vn")


def halong(*arguments: object) -> int:
    return run(commands, [*map(str, arguments)])


def descriptor(tmp_path: Path, text: str = PHRASE) -> int:
    (tmp_path / "phrase").write_text(f"{text}\n")
    return os.open(tmp_path / "phrase", os.O_RDONLY)


def test_the_keys_of_a_node_and_of_a_hub_are_shown_with_their_uses(
    node: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert halong("key", "show", "--dir", node, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    sign = PrivateKey.from_pem((node / "keys/sign.pem").read_bytes()).public
    assert shown["owner"] == "vn"
    assert [each["use"] for each in shown["keys"]] == [
        "notices and receipts",
        "cosignatures of the log",
        "what the member says of itself",
        "transport",
    ]
    assert shown["keys"][0]["id"] == sign.id.hex()
    assert shown["keys"][0]["fingerprint"].replace(" ", "") == sign.id.hex()[:32]
    assert halong("key", "show", "--dir", tmp_path / "hub") == 0
    assert "authority of certificates" in capsys.readouterr().out
    assert halong("key", "show", node / "keys/sign.pem") == 0
    assert "Ed25519" in capsys.readouterr().out
    assert halong("key", "show", "--dir", tmp_path / "nowhere") == 2


def test_keys_are_copied_under_a_passphrase_and_come_back_as_they_were(node: Path, tmp_path: Path) -> None:
    copy = tmp_path / "keys.halong"
    before = {path.name: path.read_bytes() for path in (node / "keys").iterdir()}
    given = ("--passphrase-fd", descriptor(tmp_path))
    assert halong("key", "backup", "-o", copy, "--dir", node, *given) == 0
    assert copy.stat().st_mode & 0o077 == 0
    assert b"PRIVATE" not in copy.read_bytes()
    again = ("key", "restore", copy, "--dir", node, "--yes")
    shutil.rmtree(node / "keys")
    assert halong(*again, "--passphrase-fd", descriptor(tmp_path)) == 0
    assert {path.name: path.read_bytes() for path in (node / "keys").iterdir()} == before
    assert (node / "keys/sign.pem").stat().st_mode & 0o077 == 0


def test_a_copy_replaces_no_key_and_opens_under_no_other_passphrase(
    node: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "keys.halong"
    assert halong("key", "backup", "-o", copy, "--dir", node, "--passphrase-fd", descriptor(tmp_path)) == 0
    again = ("key", "restore", copy, "--dir", node, "--yes")
    assert halong(*again, "--passphrase-fd", descriptor(tmp_path)) == 2
    assert "not overwritten" in capsys.readouterr().err
    shutil.rmtree(node / "keys")
    assert halong(*again, "--passphrase-fd", descriptor(tmp_path, "wrong horse battery")) == 2
    assert not (node / "keys").exists()


def test_a_copy_needs_a_passphrase_and_replaces_nothing(
    node: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "keys.halong"
    assert halong("key", "backup", "-o", copy, "--dir", node) == 2
    assert "is sealed" in capsys.readouterr().err
    short = ("--passphrase-fd", descriptor(tmp_path, "short"))
    assert halong("key", "backup", "-o", copy, "--dir", node, *short) == 2
    assert not copy.exists()
    copy.write_text("something else")
    given = ("--passphrase-fd", descriptor(tmp_path))
    assert halong("key", "backup", "-o", copy, "--dir", node, *given) == 2
    assert copy.read_text() == "something else"


def test_a_key_is_made_in_a_file_and_says_when_it_is_not_encrypted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert halong("key", "make", f"file:{tmp_path}/k.pem", "--kind", "p256") == 0
    assert "not encrypted" in capsys.readouterr().err
    given = ("--passphrase-fd", descriptor(tmp_path))
    assert halong("key", "make", tmp_path / "e.pem", "--encrypted", *given, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (
        PrivateKey.from_pem((tmp_path / "e.pem").read_bytes(), PHRASE.encode()).public.raw.hex()
        == made["public"]
    )
    assert halong("key", "make", tmp_path / "e.pem") == 2
