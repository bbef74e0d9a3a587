"""The file of a backup: whole or refused, keys sealed, and commands that say what they do."""

from __future__ import annotations

import io
import json
import sqlite3
import struct
import tarfile
import textwrap
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import scrypt
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from adapters.store import Store
from adapters.tables import FORMAT
from broker.backup.archive import FORMAT as ARCHIVE
from broker.backup.archive import LogCopy, Manifest, PartitionCopy, Writer, checked, parts
from broker.backup.folder import put_back, put_keys_back
from broker.backup.log_copy import records_of
from broker.backup.sealed import seal, unseal
from broker.cli import halong
from broker.core.errors import BadConfiguration
from broker.demo.network import Network
from broker.files import written
from broker.terminal import run
from tests.networks import copied
from tests.unit.test_cli_commands import Said, Terminal

PASSPHRASE = "five words that nobody guesses"


@pytest.fixture
def at(
    tmp_path: Path,
    made_network: Network,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cheap_guesses: None,
) -> Terminal:
    """A terminal in a folder with a node that never ran and a hub without a log."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")

    def type_(line: str, *more: str) -> Said:
        code = run(halong, [*line.split(), *more])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    copied(made_network, tmp_path)
    Store.open(tmp_path / "vn/node.db").close()
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    (tmp_path / "random").write_bytes(b"\xff\xfe\x00" * 20)
    return type_


def manifest(writer: Writer, **more: Any) -> Manifest:
    fields = {
        "format": ARCHIVE, "kind": "member", "network": "halong-test", "member": "vn", "made_at": 0,
        "halong": "0.1.0", "parts": writer.parts, **more,
    }  # fmt: skip
    return Manifest(**fields)


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    with written(path) as out:
        writer = Writer(out)
        yield writer
        writer.finish(manifest(writer))


# --- the file -------------------------------------------------------------------------------------------


def test_a_backup_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "vn.halong"

    def fail() -> None:
        with writing(path) as writer:
            writer.add("store", b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_its_owners_alone_and_anybody_of_his_can_look_into_it(tmp_path: Path) -> None:
    path = tmp_path / "vn.halong"
    with writing(path) as writer:
        writer.add("store", b"all")

    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["store", "manifest.json"]


def test_every_byte_of_every_part_counts(tmp_path: Path) -> None:
    path = tmp_path / "vn.halong"
    with writing(path) as writer:
        writer.add("store", b"\x55" * 700)
        writer.add("files/member.toml", b"\x55" * 40)
    good = path.read_bytes()
    places = [place for place in range(len(good)) if good[place] == 0x55]
    assert len(places) >= 740

    for place in places[::37]:
        path.write_bytes(good[:place] + b"\x54" + good[place + 1 :])
        with pytest.raises(BadConfiguration, match="damaged"):
            checked(path)


@pytest.mark.parametrize("left", [0, 100, 512, 1024, 1300, 2048])
def test_a_backup_that_ends_too_early_is_refused(tmp_path: Path, left: int) -> None:
    path = tmp_path / "vn.halong"
    with writing(path) as writer:
        writer.add("store", b"\x55" * 700)
    path.write_bytes(path.read_bytes()[:left])

    with pytest.raises(BadConfiguration):
        checked(path)


def test_a_part_that_the_manifest_does_not_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vn.halong"
    with written(path) as out:
        writer = Writer(out)
        writer.add("store", b"")
        named = manifest(writer, parts=list(writer.parts))
        writer.add("files/more", b"")
        writer.finish(named)

    with pytest.raises(BadConfiguration, match="does not name"):
        checked(path)


def test_a_backup_of_a_later_version_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "vn.halong"
    with written(path) as out:
        writer = Writer(out)
        writer.finish(manifest(writer, format=ARCHIVE + 1, halong="9.9"))

    with pytest.raises(BadConfiguration, match=r"Halong 9\.9"):
        checked(path)


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "files/../../out", "a//b", "", "link"])
def test_a_part_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "vn.halong"
    with tarfile.open(path, "w") as tar:
        about = tarfile.TarInfo(name or "./")
        if name == "link":
            about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(about, io.BytesIO())

    with pytest.raises(BadConfiguration):
        list(parts(path))


def header(kind: bytes, size: bytes, name: str = "a") -> bytes:
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    block[124:136], block[156:157], block[148:156] = size, kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def extended(record: bytes) -> bytes:
    return header(b"x", b"%011o\0" % len(record)) + record.ljust(512, b"\0") + header(b"0", b"0" * 11 + b"\0")


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(header(b"x", b"\x80" + b"\x7f" * 11), id="longer-than-a-machine-counts"),
        pytest.param(header(b"L", b"\x80" + b"\x7f" * 11), id="a-name-as-long"),
        pytest.param(header(b"0", b"\xff" * 11 + b"\0"), id="a-size-below-zero"),
        pytest.param(header(b"x", b"0" * 11 + b"\0") * 3000, id="headers-of-headers"),
        pytest.param(extended(b"22 GNU.sparse.map=a,b\n"), id="a-map-of-no-numbers"),
        pytest.param(
            extended(b"22 GNU.sparse.major=0\n22 GNU.sparse.map=0,0\n32 GNU.sparse.size=1125899906842\n"),
            id="a-terabyte-of-nothing",
        ),
        pytest.param(header(b"3", b"0" * 11 + b"\0"), id="a-device"),
        pytest.param(header(b"6", b"0" * 11 + b"\0"), id="a-pipe"),
    ],
)
def test_a_tar_that_lies_about_itself_is_refused_at_once(tmp_path: Path, hostile: bytes) -> None:
    path = tmp_path / "vn.halong"
    path.write_bytes(hostile + bytes(2048))

    with pytest.raises(BadConfiguration):
        checked(path)


@pytest.mark.parametrize(
    "lie",
    [
        {"kind": "hub"},
        {"made_at": 10**18},
        {"made_at": -1},
        {"member": "vn\x1b[31m"},
        {"network": "halong-test\n"},
        {"log": LogCopy("sqlite", [], [], 0, -1, "")},
        {"log": LogCopy("sqlite", [], [], 0, 0, "\u202e")},
        {"log": LogCopy("sqlite", [], [], 0, 0, ""), "kind": "member"},
        {"log": LogCopy("sqlite", [PartitionCopy("inbox.vn", 0, 1, 1 << 62)], [], 0, 0, ""), "kind": "hub"},
    ],
)
def test_a_manifest_that_nobody_here_wrote_is_refused(tmp_path: Path, lie: dict[str, Any]) -> None:
    path = tmp_path / "vn.halong"
    with written(path) as out:
        writer = Writer(out)
        writer.finish(manifest(writer, **lie))

    with pytest.raises(BadConfiguration):
        checked(path)


@pytest.mark.parametrize(
    "data", [b"", b"\0", struct.pack(">QII", 1 << 62, 0, 0), struct.pack(">QII", 0, 1, 0)]
)
def test_a_part_of_a_log_without_whole_records_is_refused(data: bytes) -> None:
    with pytest.raises(BadConfiguration):
        list(records_of("log/decisions/0/000000", data))


@pytest.mark.parametrize("name", ["files/../out", "files//out", "files/a/../../out"])
def test_nothing_is_put_back_outside_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfiguration, match="outside"):
        put_back(tmp_path, name, b"")


# --- keys -------------------------------------------------------------------------------------------------


def test_each_guess_of_a_passphrase_costs_what_the_format_says() -> None:
    data = seal({"keys/sign.pem": b"pem"}, PASSPHRASE)

    head, salt, nonce = data[:42], data[14:30], data[30:42]
    key = scrypt(PASSPHRASE.encode(), salt=salt, n=1 << 17, r=8, p=1, maxmem=1 << 28, dklen=32)
    assert head.startswith(b"halong-keys-1\n")
    assert json.loads(ChaCha20Poly1305(key).decrypt(nonce, data[42:], head)) == {
        "keys/sign.pem": b64encode(b"pem").decode()
    }


def test_sealed_keys_are_opened_by_their_passphrase_alone(cheap_guesses: None) -> None:
    keys = {"keys/sign.pem": b"secret of the key"}
    sealed = seal(keys, PASSPHRASE)

    assert unseal(sealed, PASSPHRASE) == keys
    assert b"secret" not in sealed
    with pytest.raises(BadConfiguration, match="another"):
        unseal(sealed, PASSPHRASE + "!")
    for place in (0, len(sealed) - 1):
        with pytest.raises(BadConfiguration):
            unseal(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], PASSPHRASE)


def test_a_passphrase_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="12"):
        seal({}, "short")


def test_a_key_comes_back_for_its_owner_alone_and_replaces_none(cheap_guesses: None, tmp_path: Path) -> None:
    sealed = seal({"keys/sign.pem": b"pem"}, PASSPHRASE)

    assert put_keys_back(tmp_path, sealed, PASSPHRASE) == 1
    assert (tmp_path / "keys/sign.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(BadConfiguration, match="not overwritten"):
        put_keys_back(tmp_path, sealed, PASSPHRASE)
    with pytest.raises(BadConfiguration, match="outside"):
        put_keys_back(tmp_path, seal({"keys/../../out": b""}, PASSPHRASE), PASSPHRASE)


# --- the commands -------------------------------------------------------------------------------------------


def test_a_node_comes_back_with_everything_that_it_had(at: Terminal, tmp_path: Path) -> None:
    made = at("backup vn -o vn.halong --with-keys --passphrase-file passphrase --json")
    assert (made.code, made.json["kind"], made.json["keys"]) == (0, "member", True)

    back = at("restore vn.halong back --passphrase-file passphrase")

    assert back.code == 0
    assert "halong key rotate witness --dir back" in back.err, "it forgot what it cosigned since the backup"
    for path in ("member.toml", "keys/sign.pem", "keys/tls.pem", "join-request.json"):
        assert (tmp_path / "back" / path).read_bytes() == (tmp_path / "vn" / path).read_bytes()
    store = Store.open(tmp_path / "back/node.db")
    assert store.fact("restored_at") is not None
    store.close()
    assert (tmp_path / "back/node.db").stat().st_mode & 0o777 == 0o600


def test_without_keys_none_are_in_it_and_both_commands_say_so(at: Terminal, tmp_path: Path) -> None:
    made = at("backup vn -o vn.halong")
    assert "without keys" in made.out
    assert "private keys are not in it" in made.err

    back = at("restore vn.halong back")

    assert back.code == 0
    assert "put the private keys back" in back.err
    assert not (tmp_path / "back/keys").exists()
    assert b"PRIVATE KEY" not in (tmp_path / "vn.halong").read_bytes()


def test_what_a_setting_names_as_secret_is_sealed_and_what_lies_elsewhere_is_named(
    at: Terminal, tmp_path: Path
) -> None:
    hook = """
    [channels.hook]
    kind = "webhook"
    url = "https://system.example/notices"
    secret_file = "hook.secret"
    authority = "/etc/ssl/certs/authority.pem"
    """
    settings = tmp_path / "vn/member.toml"
    settings.write_text(settings.read_text() + textwrap.dedent(hook))
    (tmp_path / "vn/hook.secret").write_text("whsec_canary")

    made = at("backup vn -o vn.halong --with-keys --passphrase-file passphrase")
    assert (made.code, "channels.hook.authority (/etc/ssl/certs/authority.pem)" in made.err) == (0, True)
    assert b"whsec_canary" not in (tmp_path / "vn.halong").read_bytes()

    assert at("restore vn.halong back --passphrase-file passphrase").code == 0
    assert (tmp_path / "back/hook.secret").read_text() == "whsec_canary"
    assert (tmp_path / "back/hook.secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("backup", 2, "name the folder"),
        ("backup nowhere -o out.halong", 2, "neither hub.toml nor member.toml"),
        ("backup vn -o out.halong --with-keys", 2, "--passphrase-file"),
        ("backup --check vn/member.toml", 2, "not a backup"),
        ("backup hub -o out.halong", 2, "there is no log"),
        ("restore vn.halong vn", 2, "is not empty"),
        ("restore sealed.halong back", 2, "--passphrase-file"),
        ("restore sealed.halong back --passphrase-file vn/member.toml", 2, "passphrase is another"),
        ("backup vn -o out.halong --with-keys --passphrase-file random", 2, "no text in UTF-8"),
        ("restore sealed.halong back --passphrase-file random", 2, "no text in UTF-8"),
        ("restore vn.halong back --log kafka://h:1", 2, "--log is for a hub"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing_behind(
    at: Terminal, tmp_path: Path, line: str, code: int, said: str
) -> None:
    assert at("backup vn -o vn.halong").code == 0
    if "sealed" in line:
        assert at("backup vn -o sealed.halong --with-keys --passphrase-file passphrase").code == 0
    before = sorted(tmp_path.iterdir())

    answered = at(line)

    assert answered.code == code
    assert said in answered.err
    assert sorted(tmp_path.iterdir()) == before


def test_in_a_folder_only_the_latest_backups_of_the_same_node_are_kept(at: Terminal, tmp_path: Path) -> None:
    kept = tmp_path / "backups"
    kept.mkdir()
    for day in ("20261101", "20261102", "20261103"):
        (kept / f"halong-test-vn-{day}T023000Z.halong").touch()
    for other in ("halong-test-hub-20261101T023000Z.halong", "halong-test-vn-notes.halong"):
        (kept / other).touch()

    made = at("backup vn -o backups --keep 2 --json").json

    names = {path.name for path in kept.iterdir()}
    assert len(made["removed"]) == 2
    assert names >= {"halong-test-vn-20261103T023000Z.halong", "halong-test-vn-notes.halong"}
    assert names >= {"halong-test-hub-20261101T023000Z.halong", Path(made["file"]).name}
    assert len(names) == 4


@pytest.mark.parametrize("there", ["elsewhere.db", "elsewhere.db-wal"])
def test_a_store_outside_of_the_folder_that_is_there_is_never_replaced(
    at: Terminal, tmp_path: Path, there: str
) -> None:
    settings = tmp_path / "vn/member.toml"
    settings.write_text(settings.read_text().replace('"node.db"', f'"{tmp_path}/elsewhere.db"'))
    (tmp_path / "vn/node.db").rename(tmp_path / "elsewhere.db")
    assert at("backup vn -o vn.halong").code == 0
    (tmp_path / "elsewhere.db").unlink()
    (tmp_path / there).write_bytes(b"what was said since")

    said = at("restore vn.halong back")

    assert (said.code, "replaces none" in said.err) == (2, True)
    assert (tmp_path / there).read_bytes() == b"what was said since"
    assert not (tmp_path / "back").exists()

    (tmp_path / there).unlink()
    assert at("restore vn.halong back").code == 0
    Store.open(tmp_path / "elsewhere.db").close()


def test_a_store_of_a_later_format_is_refused_and_left_alone(at: Terminal, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "vn/node.db") as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    db.close()
    assert at("backup vn -o later.halong").code == 0

    said = at("restore later.halong back")

    assert (said.code, "later" in said.err) == (2, True)
    assert not (tmp_path / "back").exists()
