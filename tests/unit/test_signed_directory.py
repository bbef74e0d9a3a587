"""The signed directory as a source: what was signed is read, versions follow each other, past ones stay."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from broker.core.directory import Directory, MemberKey, Revocation, TransportKey, Use
from broker.core.doubt import doubtful_since
from broker.core.errors import (
    BadConfiguration,
    DirectoryExpired,
    DirectoryMalformed,
    DirectoryMixed,
    DirectoryRolledBack,
    DirectoryUnsigned,
    UnfitDirectory,
)
from broker.core.keys import Algorithm, PublicKey
from broker.directory.building import NetworkTerms, delegations_of, member_change, root_change, targets_change
from broker.directory.handing import handed_to
from broker.directory.layout import Layout
from broker.directory.loading import load_newest, load_version
from broker.directory.repository import Repository
from broker.directory.roles import (
    DAY,
    ROOT,
    SNAPSHOT,
    TIMESTAMP,
    TIMESTAMP_NAME,
    is_signature,
    metadata_name,
    public_key,
    signature_by,
    tuf_key,
)
from broker.directory.shapes import encoded, file_of
from broker.directory.versions import Delegation, Memory
from tests.attacks.directories import Attacker
from tests.ceremony import (
    AGREEMENT,
    HOUR,
    ONLINE,
    ROOTS,
    SECRETARIAT,
    START,
    SignedNetwork,
    active,
    member,
    private,
    publics,
    signed,
    spare,
    terms,
)

TEXT = AGREEMENT.encode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SignedNetwork:
    network = SignedNetwork(tmp_path_factory.mktemp("made") / "hub")
    network.join("jp", "vn")
    network.accede(TEXT, "jp", "vn")
    return network


@pytest.fixture
def network(made: SignedNetwork, tmp_path: Path) -> SignedNetwork:
    """JP and VN, with an agreement that both acceded to."""
    shutil.copytree(made.path, tmp_path / "hub")
    return made.at(tmp_path / "hub")


# --- what is read ---------------------------------------------------------------------------------------


def test_what_was_signed_is_what_is_read(network: SignedNetwork) -> None:
    value = network.source().load()
    assert (value.network, value.log_key) == ("halong-test", terms().log_key)
    assert {id_: replace(each, accessions={}) for id_, each in value.members.items()} == network.members
    (agreement,) = value.agreements
    assert value.acceded("jp", agreement)
    assert value.acceded("vn", agreement)


def test_a_version_is_named_by_its_snapshot(network: SignedNetwork) -> None:
    source = network.source()
    value = source.load()
    data = source.files()[metadata_name(SNAPSHOT, network.version.number)]
    assert sha256(data).digest() == value.version


def test_what_only_one_side_lists_binds_nobody(network: SignedNetwork) -> None:
    network.leave("jp", "jp-vn-2026", 1)
    value = network.source().load()
    (agreement,) = value.agreements
    assert not value.acceded("jp", agreement)


def test_two_sides_that_list_other_bytes_are_bound_by_neither(network: SignedNetwork) -> None:
    network.leave("jp", "jp-vn-2026", 1)
    network.accede(TEXT.replace(b'"Agreement"', b'"Treaty"'), "jp")
    value = network.source().load()
    assert len(value.agreements) == 2
    for agreement in value.agreements:
        assert {id_ for id_ in agreement.parties if value.acceded(id_, agreement)} != agreement.parties


def test_what_has_not_changed_is_the_same_value(network: SignedNetwork) -> None:
    source = network.source()
    value = source.load()
    network.clock.time += HOUR
    network.renew()
    assert source.load() is value
    assert source.newest is not None
    assert source.newest.vouched_until == network.now + DAY


def test_every_file_of_a_version_is_given_by_its_name(network: SignedNetwork) -> None:
    source = network.source()
    source.load()
    entries = {f"files/{sha256(each.entry).hexdigest()}" for each in network.version.listings.values()}
    assert set(source.files()) == entries | {
        "metadata/1.root.json",
        "metadata/2.targets.json",
        "metadata/2.member-jp.json",
        "metadata/2.member-vn.json",
        "metadata/4.snapshot.json",
        f"files/{sha256(TEXT).hexdigest()}",
        TIMESTAMP_NAME,
    }


def test_each_timestamp_is_given_although_the_version_is_the_same(network: SignedNetwork) -> None:
    source = network.source()
    source.load()
    first = source.files()
    source.load()
    assert source.files() is first
    network.renew()
    source.load()
    assert {name for name, data in source.files().items() if first[name] != data} == {TIMESTAMP_NAME}


@pytest.mark.parametrize("afresh", [False, True])
def test_another_process_that_vouches_anew_between_two_reads_disturbs_no_reader(
    network: SignedNetwork, monkeypatch: pytest.MonkeyPatch, afresh: bool
) -> None:
    read = Layout.__getitem__
    left = disturbed = 0

    def read_then_renew(self: Layout, name: str) -> bytes:
        nonlocal left, disturbed
        data = read(self, name)
        left -= 1
        if left == 0:
            disturbed += 1
            network.repository.renew(network.online, network.now, afresh=afresh)
        return data

    monkeypatch.setattr(Layout, "__getitem__", read_then_renew)
    moment = 0
    while disturbed == moment:
        moment += 1
        left = moment
        source = network.source()
        value = source.load()
        files = source.files()
        snapshot = file_of(TIMESTAMP, files[TIMESTAMP_NAME]).signed.meta.snapshot
        assert sha256(files[metadata_name(SNAPSHOT, snapshot.version)]).digest() == value.version
    assert moment > len(files)


def test_a_member_that_is_no_party_reads_without_the_text(network: SignedNetwork) -> None:
    network.join("nl")
    (network.path / f"files/{sha256(TEXT).hexdigest()}").unlink()
    value = network.source(reader="nl").load()
    assert value.agreements == ()
    assert value.members["jp"].accessions == {("jp-vn-2026", 1): sha256(TEXT).digest()}
    for reader in ("jp", None):
        with pytest.raises(DirectoryMixed):
            network.source(reader=reader).load()


def test_only_what_changed_is_verified_again(network: SignedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    source = network.source()
    source.load()
    asked: list[str] = []
    read = Layout.__getitem__
    monkeypatch.setattr(Layout, "__getitem__", lambda self, name: asked.append(name) or read(self, name))
    memory, files, root = Memory(), Layout(network.path), network.root
    load_version(files, network.version.number, root, memory=memory)
    network.change(replace(network.members["vn"], name="Customs"))
    asked.clear()
    load_version(files, network.version.number, root, memory=memory)
    assert [name for name in asked if name.startswith("metadata")] == [
        "metadata/5.snapshot.json",
        "metadata/3.member-vn.json",
    ]


# --- versions that follow each other --------------------------------------------------------------------


def test_a_past_version_is_found_by_its_name_also_by_another_process(network: SignedNetwork) -> None:
    source = network.source()
    before = source.load()
    network.leave("jp", "jp-vn-2026", 1)
    network.suspend("jp")
    assert source.load() != before
    assert source.at(before.version) == before
    assert network.source().at(before.version) == before
    assert network.source().at(bytes(32)) is None


def test_past_versions_are_read_when_nobody_vouches_any_more(network: SignedNetwork) -> None:
    before = network.source().load()
    network.leave("jp", "jp-vn-2026", 1)
    network.clock.time += 10_000 * DAY
    source = network.source()
    with pytest.raises(DirectoryExpired):
        source.load()
    assert source.at(before.version) == before


def test_past_versions_outlive_the_keys_of_the_hub_and_of_the_root(network: SignedNetwork) -> None:
    before = network.source().load()
    fresh = tuple(private(f"fresh-{number}") for number in range(5))
    online = private("online-2", Algorithm.ESP256)
    next_ = terms(root=Delegation(publics(fresh), 3), online=Delegation((online.public,), 1))
    network.online = online
    network.take(signed(root_change(next_, 2, network.now), *ROOTS[2:], *fresh[:3]))
    network.change(replace(network.members["vn"], name="Customs"))
    source = network.source()
    assert source.load().members["vn"].name == "Customs"
    assert source.at(before.version) == before
    assert NetworkTerms.of(network.version).root == next_.root


def test_a_past_version_that_mixes_roles_is_none(network: SignedNetwork) -> None:
    """Whoever has an online key signs a version of which the roles are genuine and were never together."""
    network.change(replace(network.members["vn"], name="Customs"))
    network.change(replace(network.members["jp"], name="Customs"))
    attacker = Attacker(network)
    attacker.put("member-jp", attacker.path(metadata_name("member-jp", 1)).read_bytes(), 1)
    attacker.number = 4
    stamp = attacker.path(TIMESTAMP_NAME).read_bytes()
    attacker.publish()
    attacker.path(TIMESTAMP_NAME).write_bytes(stamp)
    forged = sha256((network.path / metadata_name(SNAPSHOT, 5)).read_bytes()).digest()
    source = network.source()
    source.load()
    with pytest.raises(DirectoryMixed, match="does not stand between its neighbours"):
        source.at(forged)


def test_a_past_version_has_nothing_of_what_came_later(network: SignedNetwork) -> None:
    for name in ("Customs", "Customs and Excise"):
        network.change(replace(network.members["vn"], name=name))
    network.change(replace(network.members["jp"], name="Customs"))
    attacker = Attacker(network)
    attacker.number = 4
    stamp = attacker.path(TIMESTAMP_NAME).read_bytes()
    attacker.publish()
    attacker.path(TIMESTAMP_NAME).write_bytes(stamp)
    forged = sha256((network.path / metadata_name(SNAPSHOT, 5)).read_bytes()).digest()
    with pytest.raises(DirectoryMixed, match="does not stand between its neighbours"):
        network.source().at(forged)


def test_nobody_reads_what_is_older_than_its_own_trust(network: SignedNetwork) -> None:
    network.take(signed(root_change(terms(), 2, network.now), *ROOTS[:3]))
    root = network.repository.files[metadata_name(ROOT, 2)]
    assert load_version(Layout(network.path), 5, root).number == 5
    with pytest.raises(DirectoryRolledBack):
        load_version(Layout(network.path), 4, root)


def test_what_a_crash_left_half_done_was_never_in_force(network: SignedNetwork) -> None:
    stamp = (network.path / TIMESTAMP_NAME).read_bytes()
    lost = network.change(replace(network.members["vn"], name="Lost")).version.directory.version
    (network.path / TIMESTAMP_NAME).write_bytes(stamp)
    network = network.at(network.path)
    source = network.source()
    source.load()
    assert source.at(lost) is None
    network.change(replace(member("vn"), name="Kept"))
    assert source.load().members["vn"].name == "Kept"
    assert source.at(lost) is None


def test_a_reader_keeps_what_it_had_when_the_next_is_unfit(network: SignedNetwork) -> None:
    source = network.source()
    value = source.load()
    (network.path / TIMESTAMP_NAME).write_bytes(b"{}")
    with pytest.raises(DirectoryMalformed):
        source.load()
    assert source.newest is not None
    assert source.newest.version.directory is value


def test_what_is_recorded_is_what_was_verified(network: SignedNetwork) -> None:
    """An agreement is known by its digest already, and is another by the time that it is read again."""
    source = network.source()
    source.load()
    network.leave("jp", "jp-vn-2026", 1)
    network.leave("vn", "jp-vn-2026", 1)
    source.load()
    network.accede(TEXT, "jp", "vn")
    (network.path / f"files/{sha256(TEXT).hexdigest()}").write_bytes(b"another")
    with pytest.raises(DirectoryMixed, match="is not what it was"):
        source.load()


# --- what the hub takes ---------------------------------------------------------------------------------


def test_there_is_nothing_before_the_first_version(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "hub")
    assert repository.newest() is None
    assert repository.first_root() is None
    with pytest.raises(BadConfiguration, match="no directory yet"):
        repository.renew(ONLINE, START)
    with pytest.raises(BadConfiguration, match="needs a root and targets"):
        repository.take([signed(root_change(terms(), 1, START), *ROOTS[:3])], ONLINE, START)
    assert list(repository.files) == []


def test_a_change_that_is_not_the_next_is_not_taken(network: SignedNetwork) -> None:
    change = signed(member_change(network.version, network.members["vn"], network.now), active("vn"))
    network.take(change)
    with pytest.raises(BadConfiguration, match="the next is number 4, this is 3"):
        network.take(change)


def test_two_do_not_change_it_at_once(network: SignedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.directory.repository.LOCK_SECONDS", 0.0)
    with (network.path / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BadConfiguration, match="somebody else is changing it"):
            network.renew()
    network.renew()


def test_two_changes_of_one_role_are_not_taken(network: SignedNetwork) -> None:
    change = signed(member_change(network.version, network.members["vn"], network.now), active("vn"))
    with pytest.raises(BadConfiguration, match="two changes of one role"):
        network.take(change, change)


def test_what_too_few_have_signed_is_not_taken(network: SignedNetwork) -> None:
    change = targets_change(network.version, {}, network.now).sign(SECRETARIAT[0])
    with pytest.raises(DirectoryUnsigned, match="1 more of the secretariat must sign"):
        network.take(change)


def test_what_no_reader_would_take_is_not_published(network: SignedNetwork) -> None:
    before = {name: network.repository.files[name] for name in network.repository.files}
    theirs = MemberKey(private("jp-sign").public.id, Use.SIGN, private("jp-sign").public, START)
    with pytest.raises(DirectoryMalformed, match="already a sign key of"):
        network.change(member("vn", more=[theirs]))
    assert {name: network.repository.files[name] for name in network.repository.files} == before


def test_a_key_that_the_root_does_not_name_makes_no_version(network: SignedNetwork) -> None:
    network.online = private("another")
    with pytest.raises(DirectoryUnsigned):
        network.renew()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a key is gone", lambda keys: keys[1:]),
        (
            "a revoked key counts again",
            lambda keys: (replace(keys[0], revoked_at=None, reason=None), *keys[1:]),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_member_takes_back_nothing_of_its_keys(
    name: str, change: Callable[[tuple[MemberKey, ...]], tuple[MemberKey, ...]], network: SignedNetwork
) -> None:
    entry = network.members["vn"]
    first, *rest = entry.keys
    entry = replace(
        entry, keys=(replace(first, revoked_at=START + DAY, reason=Revocation.COMPROMISED), *rest)
    )
    network.change(entry)
    with pytest.raises(DirectoryRolledBack):
        network.change(replace(entry, keys=change(entry.keys)))


def test_a_snapshot_that_ends_soon_is_made_anew(network: SignedNetwork) -> None:
    number = network.version.number
    network.clock.time += 200 * DAY
    assert network.renew().version.number == number
    network.clock.time += 120 * DAY
    assert network.renew().version.number == number + 1


def test_a_hub_that_comes_out_of_a_backup_is_not_taken_for_one_that_rolls_back(
    network: SignedNetwork, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(network.path, backup)
    source = network.source()
    changes = []
    for number in range(20):
        network.clock.time += HOUR
        entry = replace(network.members["vn"], name=f"Customs {number}")
        changes.append(signed(member_change(network.version, entry, network.now), active("vn")))
        network.take(changes[-1])
        network.renew()
        source.load()
    shutil.rmtree(network.path)
    shutil.copytree(backup, network.path)
    network.clock.time += HOUR

    # By numbers alone it is set back; what members had changed since is brought again.
    network.repository = Repository(network.path)
    for each in changes:
        network.take(each)
    with pytest.raises(UnfitDirectory) as refused:
        source.load()
    assert refused.value.code in ("directory-rolled-back", "directory-equivocation")
    network.repository.renew(network.online, network.now, afresh=True)
    assert source.load().members["vn"].name == "Customs 19"
    newest = source.newest
    assert newest is not None
    assert newest.number < 2**29
    assert newest.version.number < 2**29


@pytest.mark.parametrize("at", [START, 2**62])
def test_a_clock_that_is_wrong_uses_up_no_numbers(at: int, network: SignedNetwork) -> None:
    network.clock.time += HOUR
    before = network.repository.renew(network.online, network.now, afresh=True)
    after = network.repository.renew(network.online, min(at, 200_000_000_000_000), afresh=True)
    assert before.version.number < after.version.number <= 2**30
    assert before.number < after.number <= 2**30


def test_a_member_rotates_its_key_without_a_gap(network: SignedNetwork) -> None:
    """The role is signed by old and new; then the secretariat names the new; then the new signs alone."""
    next_ = private("vn-next")
    entry = member("vn", directory=[active("vn"), spare("vn"), next_])
    source = network.source()
    network.take(signed(member_change(network.version, entry, network.now), active("vn"), next_))
    source.load()
    delegations = {**delegations_of(network.version), "vn": publics((next_, spare("vn")))}
    network.take(signed(targets_change(network.version, delegations, network.now), *SECRETARIAT[:2]))
    source.load()
    network.take(signed(member_change(network.version, replace(entry, name="Customs"), network.now), next_))
    assert source.load().members["vn"].name == "Customs"
    with pytest.raises(DirectoryUnsigned):
        network.change(replace(entry, name="Lost"))


def test_a_member_that_left_comes_back_with_its_next_number(network: SignedNetwork) -> None:
    network.suspend("vn")
    assert network.version.lines["member-vn"].number == 2
    network.join("vn")
    assert network.version.lines["member-vn"].number == 3
    assert list(network.source().load().members) == ["jp", "vn"]


STOLEN = private("vn-stolen").public
HISTORY = MemberKey(STOLEN.id, Use.SIGN, STOLEN, START, None, START + HOUR, Revocation.COMPROMISED)


def gone(network: SignedNetwork) -> Directory:
    """VN has said that a key was stolen, and was suspended."""
    network.change(member("vn", more=[HISTORY]))
    network.suspend("vn")
    return network.source().load()


def test_the_keys_of_a_member_that_left_stay_known_and_count_for_nothing_new(network: SignedNetwork) -> None:
    before = network.source().load()
    directory = gone(network)
    assert directory.former["vn"] == network.members["vn"]
    assert not directory.signing_keys("vn", START + 1)
    assert directory.member_of_transport_key(directory.former["vn"].transport_keys[0].id, START + 1) is None
    assert directory.agreements == before.agreements
    assert not directory.acceded("vn", directory.agreements[0])
    assert doubtful_since(directory, "vn", STOLEN.id, START + HOUR) == START + HOUR
    # Who comes new learns it from the files that it is handed, and from the secretariat alone.
    newest = network.repository.newest()
    assert newest is not None
    handed = handed_to("new", newest, network.repository.files)
    assert load_newest(handed, network.root, reader="new").version.directory.former == directory.former


@pytest.mark.parametrize(
    "taken",
    [
        pytest.param(MemberKey(STOLEN.id, Use.SIGN, STOLEN, START), id="revoked"),
        pytest.param(MemberKey(STOLEN.id, Use.WITNESS, STOLEN, START), id="for another use"),
        pytest.param(member("vn").keys[0], id="not revoked"),
        pytest.param(member("vn").keys[1], id="for the directory"),
        pytest.param(member("vn").transport_keys[0], id="for TLS"),
    ],
)
@pytest.mark.parametrize("who", ["jp", "th"])
def test_no_key_of_a_member_that_left_is_registered_by_another(
    who: str, taken: MemberKey | TransportKey, network: SignedNetwork
) -> None:
    gone(network)
    entry = member(who)
    if isinstance(taken, TransportKey):
        entry = replace(entry, transport_keys=(*entry.transport_keys, taken))
    else:
        entry = replace(entry, keys=(*entry.keys, taken))
    before = network.version
    with pytest.raises(DirectoryMalformed, match="already"):
        network.change(entry) if who == "jp" else network.join(entry)
    newest = network.repository.newest()
    assert newest is not None
    assert newest.version == before


def test_no_key_of_a_member_that_left_becomes_the_network_s_own(network: SignedNetwork) -> None:
    gone(network)
    taken = terms(online=Delegation((private("vn-sign").public,), 1))
    network.online = private("vn-sign")
    with pytest.raises(DirectoryMalformed, match="a key of the network's own"):
        network.take(signed(root_change(taken, 2, network.now), *ROOTS[:3]))


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(member("vn").keys, id="without the revoked key"),
        pytest.param((HISTORY,), id="without the others"),
        pytest.param((*member("vn").keys, MemberKey(STOLEN.id, Use.SIGN, STOLEN, START)), id="not revoked"),
        pytest.param((*member("vn").keys, replace(HISTORY, reason=Revocation.SUPERSEDED)), id="not stolen"),
        pytest.param((*member("vn").keys, replace(HISTORY, valid_from=START + 1)), id="another beginning"),
    ],
)
def test_a_member_comes_back_with_all_that_it_had_said_of_its_keys(
    history: tuple[MemberKey, ...], network: SignedNetwork
) -> None:
    gone(network)
    fresh = MemberKey(active("vn 2").public.id, Use.DIRECTORY, active("vn 2").public, network.now)

    def come_back(*keys: MemberKey) -> None:
        delegations = {**delegations_of(network.version), "vn": (fresh.public,)}
        entry = replace(member("vn"), keys=(*keys, fresh))
        targets = targets_change(network.version, delegations, network.now)
        role = member_change(network.version, entry, network.now).sign(active("vn 2"))
        network.take(signed(targets, *SECRETARIAT[:2]), role)

    with pytest.raises(DirectoryRolledBack):
        come_back(*history)
    come_back(*member("vn").keys, HISTORY)
    assert not network.version.directory.former
    assert not network.version.directory.acceded("vn", network.version.directory.agreements[0])


def test_a_member_that_left_says_nothing_more(network: SignedNetwork) -> None:
    gone(network)
    with pytest.raises(BadConfiguration, match="does not name it"):
        network.change(replace(member("vn", more=[HISTORY]), name="Customs"))


# --- keys and signatures --------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ESP256])
def test_a_key_and_its_signature_are_the_same_in_metadata(algorithm: Algorithm) -> None:
    key = private("any", algorithm)
    found = tuf_key(key.public)
    assert public_key(found) == key.public
    signature = signature_by(key, b"data")
    assert is_signature(key.public, signature, b"data")
    assert not is_signature(key.public, signature, b"other")
    assert not is_signature(key.public, signature + "00", b"data")
    assert not is_signature(key.public, "zz", b"data")


@pytest.mark.parametrize("algorithm", [Algorithm.ML_DSA_65, Algorithm.MLKEM768_X25519])
def test_a_key_of_another_algorithm_signs_no_directory(algorithm: Algorithm) -> None:
    with pytest.raises(DirectoryMalformed):
        tuf_key(PublicKey(algorithm, bytes(algorithm.public_bytes)))


def test_a_key_has_one_form_in_metadata() -> None:
    point = tuf_key(private("any", Algorithm.ESP256).public)
    edwards = tuf_key(private("any").public)
    for key, text in (
        (point, point.keyval["public"] + "\n"),
        (point, "no key"),
        (edwards, edwards.keyval["public"].upper()),
        (edwards, edwards.keyval["public"][2:]),
    ):
        key.keyval = {"public": text}
        with pytest.raises(DirectoryMalformed):
            public_key(key)


def test_a_key_is_filed_under_its_own_id() -> None:
    key = tuf_key(private("any").public)
    key.keyid = "00" * 32
    with pytest.raises(DirectoryMalformed, match="another id"):
        public_key(key)


@pytest.mark.parametrize(
    ("number", "wrong"),
    [(3, None), (64, "longer than 16384 bytes")],
    ids=["a file with few signatures", "a file with so many that it is too long"],
)
def test_a_file_is_no_longer_than_its_role_allows(
    number: int, wrong: str | None, network: SignedNetwork
) -> None:
    timestamp = json.loads((network.path / TIMESTAMP_NAME).read_bytes())
    timestamp["signatures"] = [{"keyid": f"{each:064x}", "sig": "00" * 128} for each in range(number)]
    with pytest.raises(DirectoryMalformed, match=wrong) if wrong else nullcontext():
        file_of(TIMESTAMP, encoded(timestamp))


def test_signatures_have_one_order(network: SignedNetwork) -> None:
    timestamp = json.loads((network.path / TIMESTAMP_NAME).read_bytes())
    timestamp["signatures"] = [{"keyid": f"{each:064x}", "sig": "00" * 64} for each in (2, 1)]
    with pytest.raises(DirectoryMalformed, match="not sorted"):
        file_of(TIMESTAMP, encoded(timestamp))


# --- the folder -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../x", "metadata/../x", "files/x", "metadata/0.root.json", "metadata/1.ROOT.json"]
)
def test_no_name_leads_out_of_the_folder(name: str, network: SignedNetwork) -> None:
    assert Layout(network.path).get(name) is None
    assert name not in Layout(network.path)


def test_a_folder_lists_what_it_has(network: SignedNetwork) -> None:
    (network.path / "metadata/.1.root.json.7").write_bytes(b"half")
    files = Layout(network.path)
    assert len(files) == len(list(files)) == len({name for name in files if name in files})
    assert files.numbers(SNAPSHOT) == [1, 2, 3, 4]
    assert Layout(network.path / "none").numbers(SNAPSHOT) == []


def test_a_file_that_cannot_be_read_is_named(network: SignedNetwork) -> None:
    place = network.path / metadata_name(SNAPSHOT, 4)
    place.unlink()
    place.mkdir()
    with pytest.raises(BadConfiguration, match=r"metadata/4\.snapshot\.json: "):
        network.source().load()


def test_metadata_is_json_without_white_space(network: SignedNetwork) -> None:
    source = network.source()
    source.load()
    for name, data in source.files().items():
        if name.startswith("metadata"):
            assert json.dumps(json.loads(data), separators=(",", ":"), sort_keys=True).encode() == data
