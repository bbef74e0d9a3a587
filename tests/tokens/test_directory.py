"""The signed directory with keys on tokens: a member's, and the secretariat's."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.configuration import load_node_config
from adapters.joining import Places, check_welcome, install, invited, make_invited
from adapters.node import load_identity
from broker.cli import halong
from broker.commands.hub_take import make_welcome, take
from broker.commands.secretariat import Holder, approve, change_path, invite, load_secretariat
from broker.core.directory import Use
from broker.core.keys import Algorithm
from broker.directory.admission import written
from broker.directory.change import Change
from broker.files import write_whole
from broker.keyring import KeyPlace, make_signer
from broker.terminal import run
from tests.ceremony import NOW, MovedClock
from tests.softhsm import Tokens
from tests.unit.test_admission import Place, plan

pytestmark = pytest.mark.sockets


def test_a_member_s_directory_metadata_is_signed_on_its_token_and_every_reader_takes_it(
    tokens: Tokens, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    place.begin()
    data = written(invite(load_secretariat(place.secretariat), "vn", "VN", "customs", ["asia-pacific"]))
    places = Places(tokens.place("sign"), tokens.place("directory"), KeyPlace("spare/directory.pem"))
    request = make_invited(tmp_path / "vn", invited(data), plan("vn"), NOW, places)
    applicant = place.applicant(request)
    take(place.hub, [place.approval(applicant)], [applicant], NOW)
    config = load_node_config(tmp_path / "vn")
    install(config, *check_welcome(config, written(make_welcome(place.hub, "vn"))), MovedClock())
    listed = place.newest.version.directory.members["vn"]
    assert {key.public.algorithm for key in listed.keys if key.use is Use.SIGN} == {Algorithm.ESP256}
    assert load_identity(config).signer.public in {key.public for key in listed.keys}
    assert sorted(path.name for path in (tmp_path / "vn/keys").iterdir()) == ["tls.pem", "witness.pem"]
    # The next key is made on the token, too; the node hands the change over.
    to = str(tokens.place("sign-2"))
    line = ["key", "rotate", "sign", "--dir", str(tmp_path / "vn"), "--to", to, "--in-hours", "0", "--yes"]
    assert run(halong, line) == 0
    change = Change.read((tmp_path / "vn/directory/own-change.json").read_bytes())
    take(place.hub, [change], [], NOW)
    assert len(place.newest.version.directory.members["vn"].keys) == len(listed.keys) + 1


def test_one_of_the_secretariat_signs_with_a_token_by_command(tokens: Tokens, tmp_path: Path) -> None:
    signer = make_signer(tokens.place("secretary"), Algorithm.ESP256)
    place = Place(tmp_path, Holder("Ms Lan", signer.public, signer))
    place.begin()
    applicant = place.applicant(place.request("vn"))
    change = approve(place.newest, [applicant], NOW)
    path = change_path(place.secretariat, change)
    write_whole(path, change.write())
    keys = ["--key", str(tokens.place("secretary")), "--dir", str(place.secretariat), "--yes"]
    assert run(halong, ["directory", "sign", str(path), *keys]) == 0
    assert Change.read(path.read_bytes()).signed_by([signer.public]) == (signer.public,)
