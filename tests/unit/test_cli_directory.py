"""`halong directory`: a network begins, and its changes are shown, signed, merged, copied and amended."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from broker.cli import halong as commands
from broker.commands.hub_take import take
from broker.core.errors import DirectoryPin
from broker.directory.change import Change
from broker.terminal import run
from tests.unit.test_admission import LATER, Place


def halong(*arguments: object) -> int:
    return run(commands, [*map(str, arguments)])


def keys(folder: Path, *names: str) -> list[str]:
    return [word for name in names for word in ("--key", str(folder / "keys" / f"{name}.pem"))]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A network whose keys are in files."""
    made = Place(tmp_path)
    made.begin()
    (made.secretariat / "keys").mkdir()
    for whose, held in (("root", made.roots), ("secretary", made.secretaries)):
        for number, each in enumerate(held):
            assert each.signer is not None
            (made.secretariat / f"keys/{whose}-{number}.pem").write_bytes(each.signer.to_pem())  # type: ignore[attr-defined]
    return made


def test_a_network_begins_with_keys_in_files_and_says_what_losing_them_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Place(tmp_path)
    fresh, hub = tmp_path / "fresh", tmp_path / "hub/hub.json"
    assert halong("directory", "init", fresh, "--hub", hub, "--yes", "--json") == 0
    said = capsys.readouterr()
    made = json.loads(said.out)
    assert "stays sealed for ever" in said.err
    assert [each["holder"] for each in made["keys"]][::5] == ["root-1", "secretariat-1"]
    assert min(path.name for path in (fresh / "keys").iterdir()) == "root-1.pem"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (fresh / "keys").iterdir())
    assert halong("directory", "show", *made["changes"], "--dir", fresh, "--json") == 0
    assert all(each["complete"] for each in json.loads(capsys.readouterr().out)["changes"])
    assert halong("directory", "init", fresh, "--hub", hub, "--yes") == 2
    few = ("--root-key", tmp_path / "one.pem", "--root-threshold", "2")
    assert halong("directory", "init", tmp_path / "few", "--hub", hub, *few, "--yes") == 2


def test_a_holder_who_is_not_there_signs_the_first_root_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Place(tmp_path)
    assert halong("key", "make", tmp_path / "lan.pem", "--json") == 0
    public = json.loads(capsys.readouterr().out)["public"]
    fresh = tmp_path / "fresh"
    who = ["--root-key", f"Ms Lan=public:{public}", "--root-key", f"Mr Sato=file:{tmp_path}/sato.pem"]
    line = [
        "directory",
        "init",
        fresh,
        "--hub",
        tmp_path / "hub/hub.json",
        *who,
        "--root-threshold",
        "2",
        "--yes",
    ]
    assert halong(*line) == 0
    capsys.readouterr()
    root = fresh / "root-1.json"
    assert halong("directory", "show", root, "--dir", fresh) == 0
    assert "1 more of Ms Lan" in capsys.readouterr().out
    assert halong("directory", "sign", root, "--key", tmp_path / "lan.pem", "--dir", fresh, "--yes") == 0
    assert "enough" in capsys.readouterr().out
    assert (
        halong(
            "directory", "init", tmp_path / "x", "--hub", tmp_path / "hub/hub.json", "--root-key", "public:00"
        )
        == 2
    )


def test_signatures_that_were_made_apart_are_put_together(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request, folder = tmp_path / "request.json", place.secretariat
    request.write_bytes(place.request("vn"))
    approve = ["member", "approve", request, "--dir", folder, "--yes"]
    assert halong(*approve, *keys(folder, "secretary-0")) == 0
    assert "1 more of" in capsys.readouterr().out
    assert halong(*approve, *keys(folder, "secretary-0")) == 2
    assert "is under way" in capsys.readouterr().err
    path, other = folder / "targets-2.json", tmp_path / "other.json"
    unsigned = Change.read(path.read_bytes())
    other.write_bytes(Change.of("targets", unsigned.signed, {}).write())
    sign = ["directory", "sign", other, "--dir", folder, "--yes"]
    assert halong(*sign, *keys(folder, "root-0")) == 2
    assert "none of these keys is asked for" in capsys.readouterr().err
    assert halong(*sign, *keys(folder, "secretary-2")) == 0
    assert halong("directory", "merge", path, other, "-o", path, "--dir", folder) == 0
    assert "enough" in capsys.readouterr().out
    assert halong("hub", "take", path, request, "--dir", place.hub, "--yes", "--json") == 0
    assert "vn" in json.loads(capsys.readouterr().out)["welcomes"]
    assert halong("hub", "take", folder / "secretariat.toml", "--dir", place.hub, "--yes") == 2
    assert halong("directory", "show", "--dir", place.hub) == 0
    assert "Customs of vn" in capsys.readouterr().out


def test_a_secretariat_away_from_the_hub_keeps_a_copy_that_only_grows(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away, first, second = tmp_path / "away", tmp_path / "1.json", tmp_path / "2.json"
    shutil.copytree(place.secretariat, away)
    settings = away / "secretariat.toml"
    settings.write_text(settings.read_text().replace("../hub/directory", "directory"))
    assert halong("directory", "show", "--dir", away) == 2
    assert halong("directory", "copy", "-o", first, "--dir", place.hub) == 0
    before = first.read_text()
    place.join("vn")
    assert halong("directory", "copy", "-o", second, "--dir", place.hub) == 0
    for path in (first, second):
        assert halong("directory", "take", path, "--dir", away) == 0
    capsys.readouterr()
    assert halong("directory", "show", "--dir", away, "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["members"]) == ["vn"]
    state = json.loads(second.read_text())
    first.write_text(json.dumps({**state, "network": "halong-other"}))
    assert halong("directory", "take", first, "--dir", away) == 2
    first.write_text(before)
    # What is older is not taken, nor what another secretariat made.
    assert halong("directory", "take", first, "--dir", away) != 0
    assert "[directory-rolled-back]" in capsys.readouterr().err
    other = Place(tmp_path / "other")
    other.begin()
    assert halong("directory", "copy", "-o", second, "--dir", other.hub) == 0
    assert halong("directory", "take", second, "--dir", away) != 0
    assert f"[{DirectoryPin.code}]" in capsys.readouterr().err


def test_the_root_puts_another_in_the_place_of_one_of_the_secretariat_who_signs_the_list_anew(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.join("vn")
    folder, mai = place.secretariat, tmp_path / "mai.pem"
    gone = [place.secretaries[number].public.id.hex()[:12] for number in (0, 1)]
    roots = keys(folder, "root-0", "root-1", "root-2")
    line = ["directory", "amend", "root", "--dir", folder, "--yes", "--secretariat-key", f"Ms Mai=file:{mai}"]
    assert halong(*line, "--remove", gone[0], "--remove", gone[1], "--remove", "00", *roots) == 2
    assert "names 0 keys" in capsys.readouterr().err
    assert halong(*line, "--remove", gone[0], "--remove", gone[1], *roots) == 0
    anew = ["directory", "amend", "targets", "--dir", folder, "--yes", "--key", mai]
    assert halong(*anew, *keys(folder, "secretary-0")) == 2
    assert "not asked for" in capsys.readouterr().err
    assert halong(*anew, *keys(folder, "secretary-2")) == 0
    changes = [Change.read((folder / name).read_bytes()) for name in ("root-2.json", "targets-3.json")]
    take(place.hub, changes, [], LATER)
    terms = place.newest.version.terms
    assert terms.number == 2
    assert "Ms Mai" in terms.holders.values()
    assert len(terms.roles["targets"].keys) == 2
    assert list(place.newest.version.directory.members) == ["vn"]


def test_a_member_is_suspended_by_two_and_invited_by_its_name(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.join("vn")
    folder = place.secretariat
    suspend = ["member", "suspend", "vn", "--dir", folder, "--yes", "--json"]
    assert halong(*suspend, *keys(folder, "secretary-0", "secretary-1")) == 0
    assert json.loads(capsys.readouterr().out)["complete"] is True
    assert halong("member", "invite", "jp", "--dir", folder) == 2
    assert halong("member", "invite", "Japan!", "--dir", folder) == 2
    assert halong("member", "invite", "vn", "--dir", folder) == 2
    assert "lost all of its keys" in capsys.readouterr().err
    named = ("--name", "Japan", "--region", "asia-pacific")
    assert halong("member", "invite", "jp", *named, "--dir", folder) == 0
    invitation = folder / "invitation-jp.json"
    assert halong("member", "join", invitation, "--dir", tmp_path / "jp", "--yes", "--json") == 0
    assert halong("member", "join", invitation, "--dir", tmp_path / "jp", "--yes") == 2
