"""A folder of files is one directory, or one error that names the file; past versions stay as they were."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.directory import Directory, Member, MemberClass, MemberKey, Revocation, TransportKey, Use
from broker.core.errors import BadConfiguration, WeakKey
from broker.core.keys import Algorithm, PrivateKey, sealing_public_key, spki_digest
from broker.core.model import Region
from broker.core.note import LogSigner
from broker.directory.folder import FolderDirectory, remarks_on, snapshot_of
from broker.directory.member_file import member_text, parse_member

START = 1_767_225_600_000
LOG = PrivateKey.from_seed(Algorithm.ED25519, b"log".ljust(32, b"-"))

AGREEMENT = """\
id = "jp-vn-2026"
version = 1
nonce = "00112233445566778899aabbccddeeff"
title = "Agreement"
parties = ["jp", "vn"]
in_force_from = 2026-01-01

[[grant]]
from = "vn"
to = "jp"
types = ["drug-parcel"]
slots = ["facts"]
"""


def private(name: str, algorithm: Algorithm = Algorithm.ED25519) -> PrivateKey:
    return PrivateKey.from_seed(algorithm, name.encode().ljust(32, b"-"))


def member(id_: str) -> Member:
    sign, tls = private(f"{id_}-sign").public, private(f"{id_}-tls", Algorithm.ESP256).public
    return Member(
        id=id_,
        name=f"Customs of {id_}",
        member_class=MemberClass.CUSTOMS,
        regions=(Region.ASIA_PACIFIC,),
        keys=(MemberKey(sign.id, Use.SIGN, sign, START),),
        transport_keys=(TransportKey(spki_digest(tls), START),),
    )


@pytest.fixture
def folder(tmp_path: Path) -> FolderDirectory:
    """Two members and an agreement that both acceded to."""
    vkey = LogSigner("halong-test/log", LOG).vkey
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/network.toml").write_text(f'name = "halong-test"\nlog_key = "{vkey}"\n')
    source = FolderDirectory(tmp_path / "directory", tmp_path / "archive")
    for id_ in ("jp", "vn"):
        source.write_member(member(id_))
    agreement = source.write_agreement(AGREEMENT.encode())
    for id_ in ("jp", "vn"):
        source.accede(id_, agreement)
    return source


def test_the_files_make_a_directory(folder: FolderDirectory) -> None:
    value = folder.load()
    assert value.network == "halong-test"
    assert list(value.members) == ["jp", "vn"]
    assert replace(value.members["vn"], accessions={}) == member("vn")
    (agreement,) = value.agreements
    assert value.acceded("vn", agreement)
    assert value.acceded("jp", agreement)


def test_the_version_is_the_digest_of_the_names_and_digests_of_the_files(folder: FolderDirectory) -> None:
    value = folder.load()
    files = dict(folder.files())
    snapshot = files.pop("snapshot.json")
    assert json.loads(snapshot) == {name: sha256(data).hexdigest() for name, data in files.items()}
    assert snapshot == snapshot_of(files)
    assert value.version == sha256(snapshot).digest()


def test_what_has_not_changed_is_the_same_value(folder: FolderDirectory) -> None:
    assert folder.load() is folder.load()


def test_a_changed_file_is_another_version(folder: FolderDirectory) -> None:
    before = folder.load()
    folder.leave("jp", "jp-vn-2026", 1)
    after = folder.load()
    assert after.version != before.version
    assert not after.acceded("jp", after.agreements[0])


def test_a_past_version_is_found_again_by_another_process(folder: FolderDirectory, tmp_path: Path) -> None:
    before = folder.load()
    folder.leave("jp", "jp-vn-2026", 1)
    folder.load()
    other = FolderDirectory(tmp_path / "directory", tmp_path / "archive")
    assert other.at(before.version) == before
    assert folder.at(before.version) == before
    assert folder.at(bytes(32)) is None


def test_the_current_version_is_found_by_its_name(folder: FolderDirectory) -> None:
    value = folder.load()
    assert folder.at(value.version) is value


def test_a_version_that_was_refused_was_never_held(folder: FolderDirectory, tmp_path: Path) -> None:
    folder.load()
    (tmp_path / "directory/members/nl.toml").write_text("id = 3")
    with pytest.raises(BadConfiguration):
        folder.load()
    assert len(list((tmp_path / "archive/versions").iterdir())) == 1


def test_an_archive_that_was_written_in_part_is_completed(folder: FolderDirectory, tmp_path: Path) -> None:
    value = folder.load()
    (tmp_path / "archive/versions" / f"{value.version.hex()}.json").unlink()
    next((tmp_path / "archive/files").iterdir()).unlink()
    again = FolderDirectory(tmp_path / "directory", tmp_path / "archive")
    again.load()
    assert FolderDirectory(tmp_path, tmp_path / "archive").at(value.version) == value


def test_an_archived_file_that_was_changed_is_not_believed(folder: FolderDirectory, tmp_path: Path) -> None:
    version = folder.load().version
    archived = tmp_path / "archive/files" / sha256(AGREEMENT.encode()).hexdigest()
    archived.write_text(AGREEMENT.replace('"facts"', '"persons"'))
    with pytest.raises(BadConfiguration) as caught:
        FolderDirectory(tmp_path / "directory", tmp_path / "archive").at(version)
    assert caught.value.field == "archive: agreements/jp-vn-2026/1.toml"


def test_an_archived_snapshot_that_was_changed_is_not_believed(
    folder: FolderDirectory, tmp_path: Path
) -> None:
    version = folder.load().version
    (tmp_path / "archive/versions" / f"{version.hex()}.json").write_text("{}")
    with pytest.raises(BadConfiguration):
        FolderDirectory(tmp_path / "directory", tmp_path / "archive").at(version)


def test_what_an_editor_leaves_behind_is_not_read(folder: FolderDirectory, tmp_path: Path) -> None:
    value = folder.load()
    for name in (".vn.toml.swp", "vn.toml~", ".vn.toml.1234"):
        (tmp_path / "directory/members" / name).write_text("half")
    (tmp_path / "directory/snapshot.json").write_text("{}")
    assert folder.load() is value


def test_what_is_no_plain_file_is_refused_without_waiting_for_it(
    folder: FolderDirectory, tmp_path: Path
) -> None:
    odd = tmp_path / "directory/members/kr.toml"
    os.mkfifo(odd)
    with pytest.raises(BadConfiguration, match="is no plain file"):
        folder.load()
    for target in ("/dev/zero", "kr.toml", "nowhere"):
        odd.unlink()
        odd.symlink_to(target)
        with pytest.raises(BadConfiguration, match="is no plain file"):
            folder.load()


def test_a_folder_that_changes_while_it_is_read_is_a_directory_or_an_error_that_says_so(
    folder: FolderDirectory, tmp_path: Path
) -> None:
    done = Event()
    coming = [tmp_path / f"directory/agreements/agreement-{number}" for number in range(50)]

    def change() -> None:
        while not done.is_set():
            for each in coming:
                each.mkdir()
            for each in coming:
                each.rmdir()

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        try:
            for _ in range(100):
                with suppress(BadConfiguration):
                    folder.load()
        finally:
            done.set()
        changing.result(10)
    assert folder.load().members.keys() == {"jp", "vn"}


def test_an_agreement_that_one_side_left_binds_nobody(folder: FolderDirectory) -> None:
    folder.leave("vn", "jp-vn-2026", 1)
    assert remarks_on(folder.load()) == ("jp-vn-2026/1 does not bind vn: not acceded",)


def test_a_version_that_was_acceded_to_cannot_be_written_otherwise(folder: FolderDirectory) -> None:
    changed = AGREEMENT.replace('"facts"', '"persons"').encode()
    with pytest.raises(BadConfiguration, match="make it version 2"):
        folder.write_agreement(changed)
    folder.write_agreement(AGREEMENT.encode())
    folder.write_agreement(changed.replace(b"version = 1", b"version = 2"))
    assert [each.version for each in folder.load().agreements] == [1, 2]


def test_only_a_party_can_accede(folder: FolderDirectory) -> None:
    folder.write_member(member("nl"))
    with pytest.raises(BadConfiguration):
        folder.accede("nl", folder.load().agreements[0])
    with pytest.raises(BadConfiguration):
        folder.leave("br", "jp-vn-2026", 1)


def test_accessions_that_count_for_nothing_are_remarked_on(folder: FolderDirectory) -> None:
    value = folder.load()
    (agreement,) = value.agreements
    other = {("jp-vn-2026", 1): bytes(32), ("gone", 4): bytes(32)}
    members = {
        "jp": replace(member("jp"), accessions=other),
        "nl": replace(member("nl"), accessions={("jp-vn-2026", 1): agreement.digest}),
    }
    changed = Directory(value.version, value.network, value.log_key, members, value.agreements)
    assert [remark.partition(",")[0] for remark in remarks_on(changed)] == [
        "jp acceded to gone/4",
        "jp acceded to other bytes of jp-vn-2026/1 than those in its file",
        "nl acceded to jp-vn-2026/1",
        "jp-vn-2026/1 does not bind jp",
    ]
    assert remarks_on(value) == ()


# --- what is refused ---------------------------------------------------------------------------------


def rewrite(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        text = (directory / name).read_text()
        assert old in text
        (directory / name).write_text(text.replace(old, new))

    return change


def add(name: str, data: bytes) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)

    return change


def key_entry(use: str, public: bytes, algorithm: str) -> bytes:
    return (
        f'\n[[key]]\nuse = "{use}"\nalgorithm = "{algorithm}"\npublic = "{public.hex()}"\n'
        "valid_from = 2026-01-01T00:00:00Z\n"
    ).encode()


def with_key(id_: str, entry: bytes) -> bytes:
    return member_text(member(id_)).encode() + entry


VN_SIGN = private("vn-sign").public.raw
SMALL_ORDER = bytes([1]).ljust(32, b"\0")

REFUSED = [
    ("no network file", lambda d: (d / "network.toml").unlink(), "network.toml"),
    ("network without a name", rewrite("network.toml", "name", "nmae"), "network.toml: name"),
    ("a log key that is none", rewrite("network.toml", "+", "-"), "network.toml: log_key"),
    ("a file of no directory", add("members/nl.tml", b""), "members/nl.tml"),
    ("a file too deep", add("members/nl/nl.toml", b""), "members/nl/nl.toml"),
    ("a name that no terminal should see", add("members/\x1b.toml", b""), "members/\\x1b.toml: key"),
    ("a file too long", add("members/nl.toml", b"#" * 300_000), "members/nl.toml"),
    ("not TOML", add("members/nl.toml", b"id"), "members/nl.toml"),
    ("a member under another's name", rewrite("members/vn.toml", 'id = "vn"', 'id = "nl"'),
     "members/vn.toml: id"),
    ("an unknown class", rewrite("members/vn.toml", '"customs"', '"army"'), "members/vn.toml: class"),
    ("an unknown region", rewrite("members/vn.toml", "asia-pacific", "asia"), "members/vn.toml: regions"),
    ("an unknown use", rewrite("members/vn.toml", '"sign"', '"all"'), "members/vn.toml: key 1, use"),
    ("a use that the algorithm does not have", rewrite("members/vn.toml", '"sign"', '"seal"'),
     "members/vn.toml: key 1, algorithm"),
    ("a key of another length", rewrite("members/vn.toml", 'public = "', 'public = "00'),
     "members/vn.toml: key 1, public"),
    ("a time without offset", rewrite("members/vn.toml", "00.000Z", "00.000"),
     "members/vn.toml: key 1, valid_from"),
    ("a time finer than a millisecond", rewrite("members/vn.toml", "00.000Z", "00.0001Z"),
     "members/vn.toml: key 1, valid_from"),
    ("a time before all keys", rewrite("members/vn.toml", "2026-01-01T", "1926-01-01T"),
     "members/vn.toml: key 1, valid_from"),
    ("a time that no record can hold", rewrite("members/vn.toml", "2026-01-01T", "9999-12-31T"),
     "members/vn.toml: key 1, valid_from"),
    ("keys that are no tables", add("members/nl.toml", b"key = [1]"), "members/nl.toml: key"),
    ("an empty list of keys", add("members/nl.toml", b"key = []"), "members/nl.toml: key"),
    ("a countersignature for a key that does not sign", add("members/vn.toml", with_key("vn",
     key_entry("directory", VN_SIGN, "Ed25519") + b"pq_required_from = 2026-01-01T00:00:00Z\n")),
     "members/vn.toml: key 3, pq_required_from"),
    ("an end before the start", rewrite("members/vn.toml", 'use = "sign"',
     'use = "sign"\nvalid_until = 2026-01-01T00:00:00Z'), "members/vn.toml: key 1, valid_until"),
    ("a revocation without reason", rewrite("members/vn.toml", 'use = "sign"',
     'use = "sign"\nrevoked_at = 2026-02-01T00:00:00Z'), "members/vn.toml: key 1, reason"),
    ("a reason without revocation", rewrite("members/vn.toml", 'use = "sign"',
     'use = "sign"\nreason = "superseded"'), "members/vn.toml: key 1, revoked_at"),
    ("an unknown line in a key", rewrite("members/vn.toml", 'use = "sign"', 'use = "sign"\ncolour = 1'),
     "members/vn.toml: key 1, colour"),
    ("an accession to no version", rewrite("members/vn.toml", "jp-vn-2026/1", "jp-vn-2026"),
     "members/vn.toml: accessions, jp-vn-2026"),
    ("an accession to no agreement", rewrite("members/vn.toml", "jp-vn-2026/1", "JP VN/1"),
     "members/vn.toml: accessions, JP VN/1"),
    ("an accession to no digest", rewrite("members/vn.toml", '"jp-vn-2026/1" = "', '"jp-vn-2026/1" = "z'),
     "members/vn.toml: accessions, jp-vn-2026/1"),
    ("a weak key", add("members/nl.toml", with_key("nl", key_entry("sign", SMALL_ORDER, "Ed25519"))),
     "members/nl.toml: key 3, public"),
    ("another member's key", add("members/nl.toml", with_key("nl", key_entry("sign", VN_SIGN, "Ed25519"))),
     "members/vn"),
    ("a key with two uses",
     add("members/vn.toml", with_key("vn", key_entry("directory", VN_SIGN, "Ed25519"))), "members/vn"),
    ("an agreement in another's place", add("agreements/other/1.toml", AGREEMENT.encode()),
     "agreements/other/1.toml: id"),
    ("an agreement of another version", rewrite("agreements/jp-vn-2026/1.toml", "version = 1", "version = 2"),
     "agreements/jp-vn-2026/1.toml: id"),
    ("an agreement with an unknown slot", rewrite("agreements/jp-vn-2026/1.toml", '"facts"', '"photos"'),
     "agreements/jp-vn-2026/1.toml: grant 1, slots"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "field"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_a_folder_that_does_not_fit_together_is_refused_and_the_file_named(
    folder: FolderDirectory, tmp_path: Path, change: Callable[[Path], None], field: str
) -> None:
    before = folder.load()
    change(tmp_path / "directory")
    with pytest.raises(BadConfiguration) as caught:
        folder.load()
    assert caught.value.field == field
    assert str(tmp_path) not in str(caught.value)
    assert folder.at(before.version) is before


def test_a_file_that_is_too_long_is_not_even_read(folder: FolderDirectory, tmp_path: Path) -> None:
    add("members/nl.bin", b"#" * 300_000)(tmp_path / "directory")
    with pytest.raises(BadConfiguration, match="longer than"):
        folder.load()


def test_a_folder_of_too_many_files_is_refused(
    folder: FolderDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.directory.folder.MOST_FILES", 3)
    with pytest.raises(BadConfiguration, match="more than 3 files"):
        folder.load()


def test_a_weak_key_is_refused_at_registration_by_its_own_code() -> None:
    with pytest.raises(WeakKey):
        parse_member(with_key("nl", key_entry("sign", SMALL_ORDER, "Ed25519")), "request")


# --- a member's file ---------------------------------------------------------------------------------

times = st.integers(0, 253_000_000_000_000)


@st.composite
def lives(draw: st.DrawFn) -> tuple[int, int | None, int | None, Revocation | None]:
    start = draw(times)
    end = draw(st.none() | st.integers(start + 1, start + 10_000_000_000))
    revoked_at, reason = draw(st.just((None, None)) | st.tuples(times, st.sampled_from(Revocation)))
    return start, end, revoked_at, reason


KEYS = {
    Use.SIGN: [private(f"{n}", a).public for n in range(2) for a in list(Algorithm)[:3]],
    Use.DIRECTORY: [private("directory").public],
    Use.SEAL: [sealing_public_key(bytes(32))],
}


@st.composite
def any_key(draw: st.DrawFn) -> MemberKey:
    use = draw(st.sampled_from(list(KEYS)))
    public = draw(st.sampled_from(KEYS[use]))
    required = draw(st.none() | times) if use is Use.SIGN else None
    return MemberKey(public.id, use, public, *draw(lives()), required)


texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
members = st.builds(
    Member,
    id=st.sampled_from(["vn", "rilo-ap"]),
    name=texts,
    member_class=st.sampled_from(MemberClass),
    regions=st.lists(st.sampled_from(Region), unique=True, min_size=1, max_size=6).map(tuple),
    keys=st.lists(any_key(), min_size=1, max_size=3).map(tuple),
    transport_keys=st.lists(
        st.builds(lambda id_, life: TransportKey(id_, *life), st.binary(min_size=32, max_size=32), lives()),
        max_size=2,
    ).map(tuple),
    accessions=st.dictionaries(
        st.tuples(st.sampled_from(["jp-vn-2026", "nl-vn"]), st.integers(1, 999_999)),
        st.binary(min_size=32, max_size=32),
        max_size=3,
    ),
)


@given(members)
def test_a_member_is_read_as_it_was_written(value: Member) -> None:
    assert parse_member(member_text(value).encode(), "member") == value
