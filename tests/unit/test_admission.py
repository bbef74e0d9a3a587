"""Joining a network with a signed directory: what a request, an invitation and a welcome must prove."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.configuration import load_node_config
from adapters.directory.own import read_own
from adapters.joining import Places, check_welcome, install, invited, make_invited
from adapters.key_changes import Ending, revoked
from adapters.member_folder import MemberPlan
from adapters.stick.offline import make_carrier
from broker.commands.hub_folder import CARD_FILE, ISSUED, HubPlan, make_hub
from broker.commands.hub_take import make_welcome, take
from broker.commands.secretariat import (
    Holder,
    approve,
    invite,
    load_secretariat,
    make_secretariat,
    newest_of,
    suspend,
)
from broker.core.directory import Member, MemberClass, Revocation, Use
from broker.core.errors import (
    BadConfiguration,
    BadSignature,
    DirectoryMalformed,
    DirectoryPin,
    DirectoryUnsigned,
    HalongError,
)
from broker.core.keys import Algorithm, PrivateKey
from broker.core.model import Region
from broker.core.note import LogSigner
from broker.core.succession import end_of, name_after
from broker.directory.admission import Applicant, read_join_request, write_request, written
from broker.directory.building import NetworkTerms, member_change, root_change
from broker.directory.certificates import make_request
from broker.directory.change import Change
from broker.directory.handing import hub_card, read_hub_card
from broker.directory.versions import Newest
from tests.ceremony import NOW, MovedClock, private, terms

NETWORK = "halong-test"
HUB = HubPlan(NETWORK, "127.0.0.1", 8443, "hub.example.org", 0)
LATER = NOW + 3_600_000


def plan(member: str) -> MemberPlan:
    return MemberPlan(member, f"Customs of {member}", MemberClass.CUSTOMS, [Region.ASIA_PACIFIC], NETWORK, 0)


def holders(whose: str, count: int) -> list[Holder]:
    keys = [private(f"{whose}-{number}") for number in range(count)]
    return [Holder(f"{whose} {number}", key.public, key) for number, key in enumerate(keys)]


class Place:
    """A hub, a secretariat with all keys at hand, and members, in folders."""

    def __init__(self, folder: Path, first: Holder | None = None) -> None:
        self.folder, self.hub, self.secretariat = folder, folder / "hub", folder / "secretariat"
        make_hub(self.hub, HUB, NOW)
        card = read_hub_card((self.hub / CARD_FILE).read_bytes())
        self.roots, self.secretaries = holders("root", 5), holders("secretary", 3)
        if first is not None:
            self.secretaries[0] = first
        self.first = make_secretariat(
            self.secretariat, card, self.roots, self.secretaries, NOW, hub=self.hub / "directory"
        )

    def copied(self, folder: Path) -> Place:
        """Return the same place in a folder of its own."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        other = copy(self)
        other.folder, other.hub, other.secretariat = folder, folder / "hub", folder / "secretariat"
        other.roots, other.secretaries = [*self.roots], [*self.secretaries]
        return other

    @property
    def newest(self) -> Newest:
        return newest_of(load_secretariat(self.secretariat))

    def begin(self) -> None:
        take(self.hub, self.first, [], NOW)

    def request(self, member: str, folder: str | None = None, now: int = NOW) -> bytes:
        """What the member sends after it followed its invitation."""
        secretariat = load_secretariat(self.secretariat)
        data = written(invite(secretariat, member, f"Customs of {member}", "customs", ["asia-pacific"]))
        return make_invited(self.folder / (folder or member), invited(data), plan(member), now, Places())

    def applicant(self, data: bytes) -> Applicant:
        return read_join_request(data, NETWORK, self.newest.version.directory.known)

    def approval(self, *applicants: Applicant, now: int = NOW) -> Change:
        change = approve(self.newest, applicants, now)
        for each in self.secretaries[:2]:
            assert each.signer is not None
            change = change.sign(each.signer)
        return change

    def join(self, member: str, folder: str | None = None, now: int = NOW) -> Path:
        applicant = self.applicant(self.request(member, folder, now))
        take(self.hub, [self.approval(applicant, now=now)], [applicant], now)
        config = load_node_config(self.folder / (folder or member))
        data = written(make_welcome(self.hub, member))
        install(config, *check_welcome(config, data), MovedClock(now))
        return self.folder / (folder or member)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place at which nobody has joined; not to be changed."""
    made = Place(tmp_path_factory.mktemp("begun"))
    made.begin()
    return made


@pytest.fixture
def place(begun: Place, tmp_path: Path) -> Place:
    return begun.copied(tmp_path)


def test_a_member_joins_by_three_files_and_pins_the_root_its_keys_the_hub_and_the_log(place: Place) -> None:
    vn = place.join("vn")
    place.join("jp")
    config, newest = load_node_config(vn), place.newest
    assert config.hub is not None
    assert config.hub.log_key == newest.version.terms.log_key
    assert set(newest.version.delegations["vn"].keys) == set(read_own(vn / "directory").keys)
    assert sorted(newest.version.directory.members) == ["jp", "vn"]
    assert {key.use for key in newest.version.directory.members["vn"].keys} == {
        Use.SIGN,
        Use.DIRECTORY,
        Use.WITNESS,
    }
    for name in ("keys/sign.pem", "keys/directory.pem", "keys/tls.pem", "spare/directory.pem"):
        assert (vn / name).stat().st_mode & 0o077 == 0
    # The same request again is a fresh certificate for the same key, and changes nothing in the directory.
    again = place.applicant((vn / "join-request.json").read_bytes())
    assert take(place.hub, [], [again], LATER).newest.version is not None
    assert place.newest.version.directory.version == newest.version.directory.version
    # A later welcome brings the directory up to date, and changes nothing that is pinned.
    welcome, found = check_welcome(config, written(make_welcome(place.hub, "vn")))
    install(config, welcome, found, MovedClock())
    assert load_node_config(vn).hub == config.hub


def test_a_member_that_lost_everything_is_listed_anew_and_gives_up_all_it_had(place: Place) -> None:
    place.join("vn")
    before = place.newest.version.directory.members["vn"]
    vn = place.join("vn", "vn anew", LATER)
    after = place.newest.version.directory.members["vn"]
    assert {key.id for key in before.keys} < {key.id for key in after.keys}
    assert all(key.revoked_at == LATER for key in after.keys if key in before.keys or key.revoked_at)
    assert [key.id for key in after.transport_keys if key.revoked_at is None] != [before.transport_keys[0].id]
    # Its node knows who signed for it before: past versions are no alarm.
    assert len(read_own(vn / "directory").past) == 1


def suspended(place: Place) -> Member:
    """VN has joined and was suspended; returns what it had said of itself."""
    place.join("vn")
    entry = place.newest.version.directory.members["vn"]
    change = suspend(place.newest, "vn", LATER)
    for each in place.secretaries[1:]:
        assert each.signer is not None
        change = change.sign(each.signer)
    take(place.hub, [change], [], LATER)
    return entry


def test_a_member_that_was_suspended_comes_back_with_fresh_keys_and_its_history(place: Place) -> None:
    before = suspended(place)
    place.join("jp")
    vn = place.join("vn", "vn again", LATER + 1)
    after = place.newest.version.directory.members["vn"]
    assert {key.id for key in before.keys} < {key.id for key in after.keys}
    ended = [key for key in (*after.keys, *after.transport_keys) if key.revoked_at is not None]
    assert len(ended) == len(before.keys) + len(before.transport_keys)
    assert {key.revoked_at for key in ended} == {LATER + 1}
    # Its node knows who signed for it before: past versions are no alarm.
    assert len(read_own(vn / "directory").past) == 1


def test_a_member_that_comes_back_without_its_history_is_not_approved(place: Place) -> None:
    suspended(place)
    newest = place.newest
    forgetful = invited(written(invite(load_secretariat(place.secretariat), "vn", "", "customs", [])))
    version = replace(newest.version, left={}, lines=newest.version.lines)
    forgetful = replace(forgetful, newest=replace(newest, version=version))
    data = make_invited(place.folder / "vn again", forgetful, plan("vn"), LATER, Places())
    with pytest.raises(BadConfiguration, match="no longer in its history"):
        place.applicant(data)


def test_a_suspended_member_is_listed_no_more(place: Place) -> None:
    suspended(place)
    assert place.newest.version.directory.members == {}
    with pytest.raises(BadConfiguration, match="is no member"):
        suspend(place.newest, "vn", LATER)


def test_a_carrier_is_a_further_machine_of_the_member_by_the_member_s_own_signature(place: Place) -> None:
    vn, carrier = place.join("vn"), place.folder / "carrier"
    request = make_carrier(carrier, load_node_config(vn), LATER)
    take(place.hub, [], [place.applicant(request)], LATER)
    data = (place.hub / "welcomes/vn.json").read_bytes()
    config = load_node_config(carrier)
    install(config, *check_welcome(config, data), MovedClock(LATER))
    assert sorted(path.name for path in (carrier / "keys").iterdir()) == ["tls.pem"]
    assert len(place.newest.version.directory.members["vn"].transport_keys) == 2
    # At the node the same file brings the directory up to date, and leaves its certificate alone.
    config, before = load_node_config(vn), (vn / "tls/member.pem").read_bytes()
    install(config, *check_welcome(config, data), MovedClock(LATER))
    assert (vn / "tls/member.pem").read_bytes() == before
    assert not (vn / "directory/own-change.json").exists()


# --- requests -----------------------------------------------------------------------------------------

Edit = Callable[[dict[str, Any], Place], None]


def _changed(change: Callable[[Change], Change]) -> Edit:
    def edit(request: dict[str, Any], _: Place) -> None:
        request["change"] = change(Change.read(request["change"].encode())).write().decode()

    return edit


def _unsigned(change: Change) -> Change:
    return replace(change, claims=frozenset())


def _without_entry(change: Change) -> Change:
    return replace(change, files={})


def _other_csr(request: dict[str, Any], _: Place) -> None:
    request["csr"] = make_request(NETWORK, "vn", PrivateKey.generate(Algorithm.ESP256).to_pem()).decode()


def _csr_of_jp(request: dict[str, Any], place: Place) -> None:
    request["csr"] = make_request(NETWORK, "jp", (place.folder / "vn/keys/tls.pem").read_bytes()).decode()


def _no_csr(request: dict[str, Any], _: Place) -> None:
    request["csr"] = ""


def _fewer_proofs(request: dict[str, Any], _: Place) -> None:
    request["proofs"].pop(next(iter(request["proofs"])))


def _no_witness_proof(request: dict[str, Any], place: Place) -> None:
    del request["proofs"][_key(place, "keys/witness.pem").public.id.hex()]


def _swapped_proofs(request: dict[str, Any], _: Place) -> None:
    proofs = request["proofs"]
    request["proofs"] = dict(zip(proofs, [*list(proofs.values())[1:], "00"], strict=True))


def _one_directory_key(request: dict[str, Any], place: Place) -> None:
    sign, directory = (_key(place, name) for name in ("keys/sign.pem", "keys/directory.pem"))
    entry = place.applicant(msgspec.json.encode(request)).member
    kept = tuple(key for key in entry.keys if key.public in (sign.public, directory.public))
    change = member_change(place.newest.version, replace(entry, keys=kept), NOW).sign(directory)
    data = write_request(NETWORK, change, request["csr"].encode(), [sign, directory])
    request.update(msgspec.json.decode(data))


def _key(place: Place, name: str) -> PrivateKey:
    return PrivateKey.from_pem((place.folder / "vn" / name).read_bytes())


def _with_entry(edit: Callable[[bytes], bytes]) -> Edit:
    """The role lists another text as the member's entry, and is signed as it must be."""

    def edit_(request: dict[str, Any], place: Place) -> None:
        change = Change.read(request["change"].encode())
        digest = change.entry_digest
        assert digest is not None
        text = edit(change.files[digest])
        signed = msgspec.json.decode(change.signed)
        target = signed["targets"]["members/vn.toml"]
        target["length"], target["hashes"]["sha256"] = len(text), sha256(text).hexdigest()
        other = Change.of(change.role, msgspec.json.encode(signed), {sha256(text).hexdigest(): text})
        directory, *others = (
            _key(place, f"{name}.pem")
            for name in ("keys/directory", "keys/sign", "spare/directory", "keys/witness")
        )
        data = write_request(NETWORK, other.sign(directory), request["csr"].encode(), [directory, *others])
        request.update(msgspec.json.decode(data))

    return edit_


def _named_jp(text: bytes) -> bytes:
    return text.replace(b'id = "vn"', b'id = "jp"')


def _acceded(text: bytes) -> bytes:
    head, key, rest = text.partition(b"\n[[key]]")
    return head + b'\n[accessions]\n"jp-vn-2026/1" = "' + b"0" * 64 + b'"\n' + key + rest


REQUESTS: list[tuple[str, Edit, type[HalongError]]] = [
    ("to another network", lambda request, _: request.update(network="other"), BadConfiguration),
    ("for another member", lambda request, _: request.update(member="jp"), BadConfiguration),
    ("without an entry", _changed(_without_entry), BadConfiguration),
    ("with the entry of another member", _with_entry(_named_jp), BadConfiguration),
    ("with an entry that accedes by itself", _with_entry(_acceded), BadConfiguration),
    ("of which nobody signed the role", _changed(_unsigned), BadSignature),
    ("with a certificate request for another key", _other_csr, BadConfiguration),
    ("with a certificate request for another member", _csr_of_jp, BadConfiguration),
    ("of a stranger without a certificate request", _no_csr, BadConfiguration),
    ("that does not prove one of its keys", _fewer_proofs, BadSignature),
    ("that does not prove its witness key", _no_witness_proof, BadSignature),
    ("that proves keys by each other's signatures", _swapped_proofs, BadSignature),
    ("with one key for the directory", _one_directory_key, BadConfiguration),
    ("with more in it than a request has", lambda request, _: request.update(more=1), BadConfiguration),
]


@pytest.mark.parametrize(("what", "edit", "kind"), REQUESTS, ids=[each[0] for each in REQUESTS])
def test_a_request_is_refused(place: Place, what: str, edit: Edit, kind: type[HalongError]) -> None:
    request = msgspec.json.decode(place.request("vn"))
    edit(request, place)
    with pytest.raises(kind):
        place.applicant(msgspec.json.encode(request))


def test_keys_that_are_listed_are_not_proved_again_and_fresh_ones_are(place: Place) -> None:
    vn = place.join("vn")
    listed = place.newest.version.directory.members["vn"]
    fresh, signer = private("fresh"), PrivateKey.from_pem((vn / "keys/directory.pem").read_bytes())
    from adapters.key_changes import Ending, with_directory_key
    from broker.core.directory import Revocation

    ending = Ending(Revocation.SUPERSEDED, LATER)
    entry = with_directory_key(listed, fresh.public, signer.public, ending, LATER)
    change = member_change(place.newest.version, entry, LATER).sign(signer).sign(fresh)
    with pytest.raises(BadSignature, match="does not prove"):
        place.applicant(write_request(NETWORK, change, b"", []))
    applicant = place.applicant(write_request(NETWORK, change, b"", [fresh]))
    taken = take(place.hub, [place.approval(applicant, now=LATER)], [applicant], LATER)
    assert taken.welcomes == []
    keys = place.newest.version.delegations["vn"].keys
    assert fresh.public in keys
    assert signer.public not in keys


# --- what the hub takes -------------------------------------------------------------------------------


def test_a_member_is_taken_only_with_the_approval_of_two(place: Place) -> None:
    applicant = place.applicant(place.request("vn"))
    with pytest.raises(BadConfiguration, match="does not name it"):
        take(place.hub, [], [applicant], NOW)
    unsigned = approve(place.newest, [applicant], NOW)
    assert place.secretaries[0].signer is not None
    with pytest.raises(DirectoryUnsigned):
        take(place.hub, [unsigned.sign(place.secretaries[0].signer)], [applicant], NOW)
    assert not (place.hub / "welcomes").exists()


def test_a_certificate_is_issued_to_no_key_that_the_directory_does_not_list(place: Place) -> None:
    place.join("vn")
    key = PrivateKey.generate(Algorithm.ESP256).to_pem()
    listed = place.newest.version.listings["vn"].member
    change = member_change(place.newest.version, listed, NOW)
    in_force = replace(change, number=1)
    with pytest.raises(BadConfiguration, match="does not list the transport key"):
        take(place.hub, [], [Applicant(listed, in_force, make_request(NETWORK, "vn", key))], NOW)


@pytest.mark.parametrize("what", ["the key is revoked", "the member is suspended"])
def test_a_request_that_was_right_gets_no_certificate_beside_a_change_that_ends_its_key(
    place: Place, what: str
) -> None:
    vn = place.join("vn")
    # It is read while its key still counts, so only what the change makes of the directory tells.
    applicant = place.applicant((vn / "join-request.json").read_bytes())
    version = place.newest.version
    if what == "the key is revoked":
        member = version.listings["vn"].member
        ending = Ending(Revocation.SUPERSEDED, LATER)
        change = member_change(version, revoked(member, member.transport_keys[0], ending), LATER).sign(
            PrivateKey.from_pem((vn / "keys/directory.pem").read_bytes())
        )
    else:
        change = suspend(place.newest, "vn", LATER)
        for each in place.secretaries[:2]:
            assert each.signer is not None
            change = change.sign(each.signer)
    for path in (place.hub / ISSUED).iterdir():
        path.unlink()

    with pytest.raises(BadConfiguration, match="does not list the transport key"):
        take(place.hub, [change], [applicant], LATER)

    assert list((place.hub / ISSUED).iterdir()) == []


def test_a_root_that_is_not_of_this_hub_begins_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    _, targets = place.first
    with pytest.raises(BadConfiguration, match="take its first root"):
        take(place.hub, [targets], [], NOW)
    other = replace(terms(), network="halong-other")
    for root, what in (
        (root_change(other, 1, NOW), "another network"),
        (root_change(replace(terms(), network=NETWORK), 1, NOW), "another log key"),
    ):
        with pytest.raises(BadConfiguration, match=what):
            take(place.hub, [root, targets], [], NOW)


def test_a_hub_keeps_its_log_whoever_signed_for_another(place: Place) -> None:
    log = LogSigner(f"{NETWORK}/log", PrivateKey.from_pem((place.hub / "keys/log.pem").read_bytes()))
    ended = end_of(log.key, [log.sign_checkpoint(7, bytes(32), NOW)])
    following = LogSigner(name_after(log.key.name), private("log-2")).vkey
    version = place.newest.version
    other = replace(NetworkTerms.of(version), log_key=following, ended=(ended,))
    change = root_change(other, version.terms.number + 1, NOW)
    for each in place.roots[:3]:
        assert each.signer is not None
        change = change.sign(each.signer)
    with pytest.raises(BadConfiguration, match="another log key"):
        take(place.hub, [change], [], NOW)
    assert place.newest.version == version


def test_a_hub_s_card_with_a_key_that_is_none_is_refused() -> None:
    card = hub_card(NETWORK, terms().log_key, private("online").public)
    for online in ({"Ed25519": "00"}, {"Ed25519": "00" * 32}, {"other": "00" * 32}, {}):
        with pytest.raises(HalongError):
            read_hub_card(written(msgspec.structs.replace(card, online=online)))


# --- what a secretariat and a member believe ------------------------------------------------------------


def test_a_secretariat_believes_no_directory_that_begins_with_another_root(
    place: Place, tmp_path: Path
) -> None:
    other = Place(tmp_path / "other")
    other.begin()
    path = place.secretariat / "secretariat.toml"
    path.write_text(path.read_text().replace("../hub/directory", str(other.hub / "directory")))
    with pytest.raises(DirectoryPin):
        _ = place.newest


def test_an_invitation_that_does_not_hold_together_is_refused(place: Place) -> None:
    invitation = invite(load_secretariat(place.secretariat), "vn", "VN", "customs", ["asia-pacific"])
    files = dict(invitation.files)
    root = "metadata/1.root.json"
    for changed in (
        msgspec.structs.replace(invitation, network="other"),
        msgspec.structs.replace(
            invitation, files={**files, root: files[root].replace("halong-test", "halong-tast")}
        ),
        msgspec.structs.replace(
            invitation, files={name: text for name, text in files.items() if name != root}
        ),
    ):
        with pytest.raises(BadConfiguration):
            invited(written(changed))


WELCOMES: list[tuple[str, Callable[[dict[str, Any], Place], object], type[HalongError]]] = [
    ("for another member", lambda welcome, _: welcome.update(member="jp"), BadConfiguration),
    ("to another network", lambda welcome, _: welcome.update(network="other"), BadConfiguration),
    ("with a pin that is too short", lambda welcome, _: welcome.update(pin="00"), BadConfiguration),
    ("with a pin that is no number", lambda welcome, _: welcome.update(pin="zz" * 32), BadConfiguration),
    (
        "with the certificate of another member",
        lambda welcome, place: welcome.update(certificate=_certificate_of_jp(place)),
        BadConfiguration,
    ),
    ("to an address without TLS", lambda welcome, _: welcome.update(url="http://hub"), BadConfiguration),
    (
        "with a certificate of another authority",
        lambda welcome, _: welcome.update(authority=welcome["certificate"]),
        BadConfiguration,
    ),
    (
        "whose directory follows from another root",
        lambda welcome, place: welcome.update(files=_files_of_another(place)),
        HalongError,
    ),
    ("without its directory", lambda welcome, _: welcome.update(files={}), HalongError),
]


def _certificate_of_jp(place: Place) -> str:
    place.join("jp")
    return make_welcome(place.hub, "jp").certificate


def _files_of_another(place: Place) -> dict[str, str]:
    other = Place(place.folder / "another")
    other.begin()
    other.join("vn")
    return make_welcome(other.hub, "vn").files


@pytest.mark.parametrize(("what", "edit", "kind"), WELCOMES, ids=[each[0] for each in WELCOMES])
def test_a_welcome_is_refused_and_nothing_of_it_is_installed(
    place: Place, what: str, edit: Callable[[dict[str, Any], Place], object], kind: type[HalongError]
) -> None:
    applicant = place.applicant(place.request("vn"))
    take(place.hub, [place.approval(applicant)], [applicant], NOW)
    welcome = msgspec.json.decode(written(make_welcome(place.hub, "vn")))
    edit(welcome, place)
    config = load_node_config(place.folder / "vn")
    with pytest.raises(kind):
        install(config, *check_welcome(config, msgspec.json.encode(welcome)), MovedClock())
    assert load_node_config(place.folder / "vn").hub is None


def test_a_welcome_with_keys_that_are_not_the_member_s_own_is_the_work_of_a_secretariat_gone_bad(
    place: Place,
) -> None:
    applicant = place.applicant(place.request("vn"))
    impostor = place.applicant(place.request("vn", "impostor"))
    take(place.hub, [place.approval(impostor)], [impostor], NOW)
    theirs = make_welcome(place.hub, "vn")
    # A certificate for the member's own transport key does not help them.
    from broker.commands.hub_folder import AUTHORITY_KEY
    from broker.directory.certificates import issue

    authority = (place.hub / "tls/authority.pem").read_bytes()
    certificate = issue(applicant.csr, NETWORK, authority, (place.hub / AUTHORITY_KEY).read_bytes(), NOW)
    config = load_node_config(place.folder / "vn")
    data = written(msgspec.structs.replace(theirs, certificate=certificate.decode()))
    with pytest.raises(DirectoryPin):
        install(config, *check_welcome(config, data), MovedClock())


def test_once_pinned_the_log_s_key_is_not_changed_by_a_welcome(place: Place) -> None:
    vn = place.join("vn")
    config = load_node_config(vn)
    settings = (vn / "member.toml").read_text()
    assert config.hub is not None
    (vn / "member.toml").write_text(settings.replace(config.hub.log_key, terms().log_key))
    with pytest.raises(BadConfiguration, match="another log key"):
        check_welcome(load_node_config(vn), written(make_welcome(place.hub, "vn")))


def test_a_file_that_is_none_of_these_is_refused() -> None:
    with pytest.raises((BadConfiguration, DirectoryMalformed)):
        invited(b"{}")
