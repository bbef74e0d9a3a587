"""`halong key rotate` and `revoke`: what each step lists, signs and asks for, carried by files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from adapters.configuration import load_node_config
from adapters.directory.own import read_own
from adapters.joining import check_welcome, install
from adapters.key_changes import point_to
from broker.cli import halong as commands
from broker.commands.hub_take import make_welcome, take
from broker.core.directory import Member, Revocation, Use
from broker.core.errors import BadConfiguration, DirectoryUnsigned
from broker.core.keys import PrivateKey
from broker.directory.admission import written
from broker.directory.change import Change
from broker.terminal import run
from tests.ceremony import MovedClock
from tests.unit.test_admission import LATER, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.begin()
    made.join("vn")
    return made


def halong(*arguments: object) -> int:
    return run(commands, [*map(str, arguments)])


def listed(place: Place) -> Member:
    return place.newest.version.directory.members["vn"]


def change_in(path: Path) -> Change:
    return Change.read(path.read_bytes())


def key(path: Path) -> PrivateKey:
    return PrivateKey.from_pem(path.read_bytes())


def taken(place: Place, path: Path) -> None:
    """The hub takes a change that was carried, and a welcome brings it back."""
    take(place.hub, [change_in(path)], [], LATER)
    config = load_node_config(place.folder / "vn")
    install(config, *check_welcome(config, written(make_welcome(place.hub, "vn"))), MovedClock(LATER))


def test_the_next_key_for_notices_is_listed_then_used_and_the_one_before_ends_a_day_later(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vn, carried = tmp_path / "vn", tmp_path / "change.json"
    rotate = ("key", "rotate", "sign", "--dir", vn, "-o", carried, "--yes")
    assert halong(*rotate, "--in-hours", "0") == 0
    assert load_node_config(vn).keys.sign == "keys/sign.pem"
    taken(place, carried)
    old, fresh = key(vn / "keys/sign.pem"), key(vn / "keys/sign-2.pem")
    assert {each.id for each in listed(place).keys if each.use is Use.SIGN} == {
        old.public.id,
        fresh.public.id,
    }
    assert halong(*rotate) == 0
    assert load_node_config(vn).keys.sign == "keys/sign-2.pem"
    taken(place, carried)
    ends = {each.id: each.valid_until for each in listed(place).keys}
    assert ends[old.public.id] is not None
    assert ends[fresh.public.id] is None


def test_the_next_witness_key_takes_the_place_of_the_first_and_a_member_without_one_gets_one(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vn, carried = tmp_path / "vn", tmp_path / "change.json"
    rotate = ("key", "rotate", "witness", "--dir", vn, "-o", carried, "--yes")
    (old,) = place.newest.version.directory.witness_keys("vn", LATER)
    assert old.public == key(vn / "keys/witness.pem").public, "made when it joined, and proved"
    assert halong(*rotate) == 0
    assert load_node_config(vn).keys.witness == "keys/witness-2.pem"
    taken(place, carried)
    fresh = key(vn / "keys/witness-2.pem").public
    assert [each.public for each in listed(place).keys if each.use is Use.WITNESS] == [old.public, fresh]
    (ends,) = {each.valid_until for each in listed(place).keys if each.public == old.public}
    assert ends is not None

    file = vn / "member.toml"
    file.write_text(re.sub("(?m)^witness = .*$", "", file.read_text()))
    (vn / "keys/witness.pem").unlink()
    assert load_node_config(vn).keys.witness is None
    assert halong(*rotate) == 0
    assert load_node_config(vn).keys.witness == "keys/witness.pem"


def test_a_key_that_does_not_count_yet_is_not_used(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vn, carried = tmp_path / "vn", tmp_path / "change.json"
    rotate = ("key", "rotate", "sign", "--dir", vn, "-o", carried, "--yes")
    assert halong(*rotate) == 0
    taken(place, carried)
    assert halong(*rotate) == 2
    assert "wait until then" in capsys.readouterr().err


def test_a_change_that_waits_for_the_hub_is_not_overtaken(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rotate = ("key", "rotate", "sign", "--dir", tmp_path / "vn", "--yes")
    assert halong(*rotate) == 0
    assert halong(*rotate) == 2
    assert "waits for the hub" in capsys.readouterr().err


@pytest.mark.parametrize("lost", [False, True])
def test_old_and_new_sign_until_two_of_the_secretariat_name_the_new_key(
    place: Place, tmp_path: Path, lost: bool
) -> None:
    vn, carried = tmp_path / "vn", tmp_path / "change.json"
    old = key(vn / "keys/directory.pem").public
    more: tuple[object, ...] = ()
    if lost:
        (vn / "keys/directory.pem").unlink()
        more = ("--key", vn / "spare/directory.pem", "--reason", "compromised", "--since", "2026-09-22")
    to = vn / "keys/directory-2.pem"
    assert halong("key", "rotate", "directory", "--dir", vn, "-o", carried, "--yes", *more) == 0
    change, fresh = change_in(carried), key(to).public
    assert change.signed_by([fresh]) == (fresh,)
    assert (change.signed_by([old]) == ()) is lost
    assert read_own(vn / "directory").next == {fresh, key(vn / "spare/directory.pem").public}
    applicant = place.applicant((vn / "keys-request.json").read_bytes())
    # The member's own signature is enough for its entry, but not for who signs for it.
    take(place.hub, [], [applicant], LATER)
    assert old in place.newest.version.delegations["vn"].keys
    unsigned = Change.of("targets", place.approval(applicant, now=LATER).signed, {})
    with pytest.raises(DirectoryUnsigned):
        take(place.hub, [unsigned], [applicant], LATER)
    take(place.hub, [place.approval(applicant, now=LATER)], [applicant], LATER)
    assert set(place.newest.version.delegations["vn"].keys) == set(read_own(vn / "directory").next)
    reasons = {each.id: each.reason for each in listed(place).keys}
    assert reasons[old.id] is (Revocation.COMPROMISED if lost else Revocation.SUPERSEDED)
    # Its node takes that for what it asked for.
    config = load_node_config(vn)
    install(config, *check_welcome(config, written(make_welcome(place.hub, "vn"))), MovedClock(LATER))
    assert read_own(vn / "directory").keys == set(place.newest.version.delegations["vn"].keys)
    assert config.keys.directory == "keys/directory-2.pem"


def test_the_next_key_for_connections_is_in_use_with_its_certificate(place: Place, tmp_path: Path) -> None:
    vn = tmp_path / "vn"
    assert halong("key", "rotate", "transport", "--dir", vn, "--yes") == 0
    applicant = place.applicant((vn / "certificate-request.json").read_bytes())
    take(place.hub, [], [applicant], LATER)
    config = load_node_config(vn)
    install(config, *check_welcome(config, (place.hub / "welcomes/vn.json").read_bytes()), MovedClock(LATER))
    assert load_node_config(vn).keys.tls == Path("keys/tls-2.pem")
    assert len(listed(place).transport_keys) == 2


def test_a_stolen_key_is_revoked_since_it_was_stolen(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vn, carried = tmp_path / "vn", tmp_path / "change.json"
    sign = key(vn / "keys/sign.pem").public
    revoke = ("key", "revoke", sign.id.hex()[:12], "--dir", vn, "-o", carried, "--yes", "--json")
    since = ("--reason", "compromised", "--since", "2026-09-22T08:00Z")
    assert halong(*revoke, *since) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["doubtful"] == []
    assert "no other key for notices" in said.err
    taken(place, carried)
    (found,) = (each for each in listed(place).keys if each.id == sign.id)
    assert (found.reason, found.revoked_at) == (Revocation.COMPROMISED, 1_790_064_000_000)
    for wrong, what in (
        ((sign.id.hex()[:4],), "names 1 of the keys"),
        (("0" * 12,), "names 0 of the keys"),
        ((key(vn / "keys/directory.pem").public.id.hex()[:12],), "key rotate directory"),
    ):
        assert halong("key", "revoke", *wrong, "--dir", vn, "--yes", *since) == 2
        assert what in capsys.readouterr().err
    for moment in ("yesterday", "2999-01-01"):
        ended = ("--reason", "superseded", "--since", moment)
        assert halong("key", "revoke", sign.id.hex(), "--dir", vn, *ended) == 2


def test_a_key_that_does_not_sign_for_the_member_changes_nothing(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vn = tmp_path / "vn"
    assert halong("key", "rotate", "sign", "--dir", vn, "--key", vn / "keys/sign.pem", "--yes") == 2
    assert "is not one of the keys" in capsys.readouterr().err
    assert not (vn / "directory/own-change.json").exists()


def test_settings_name_another_place_and_keep_all_else(tmp_path: Path) -> None:
    text = '# a comment\nmember = "vn"\nnetwork = "n"\n[keys]   # here\ntls = "t.pem"   # TLS\n'
    text += "[health]\nport = 0\n"
    (tmp_path / "member.toml").write_text(text)
    config = load_node_config(tmp_path)
    point_to(config, "sign", "pkcs11:token=t;object=o?module-path=/lib/p.so")
    point_to(config, "tls", "u.pem")
    after = load_node_config(tmp_path)
    assert after.keys.sign.token is not None
    assert (after.keys.tls, after.health.port) == (Path("u.pem"), 0)
    assert (tmp_path / "member.toml").read_text().startswith("# a comment")
    (tmp_path / "member.toml").write_text('member = "vn"\nnetwork = "n"\n')
    with pytest.raises(BadConfiguration, match="no \\[keys\\]"):
        point_to(load_node_config(tmp_path), "sign", "x.pem")
