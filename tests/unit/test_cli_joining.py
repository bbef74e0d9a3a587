"""A hub and members come together by two files; what does not hold together gets neither in nor out."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.configuration import load_node_config
from adapters.member_folder import MemberPlan, check_welcome, install, make_member
from adapters.stick.offline import make_carrier
from broker.commands.hub_folder import HubPlan, admit, agree, directory_of, make_hub, parties_of, welcome
from broker.configuration import load_hub_config
from broker.core.agreements import parse_agreement
from broker.core.directory import MemberClass
from broker.core.errors import BadConfiguration, BadSignature, HalongError, WeakKey
from broker.core.keys import Algorithm, PrivateKey
from broker.core.model import Region
from broker.core.note import LogSigner
from broker.directory.certificates import make_authority, make_request, read_certificate
from broker.directory.folder import FolderDirectory
from broker.directory.joining import (
    JoinRequest,
    Welcome,
    fingerprint,
    read_join_request,
    write_request,
    write_welcome,
)

NETWORK = "halong-test"
NOW = 1_800_000_000_000
LATER = NOW + 86_400_000

AGREEMENT = b"""
id = "jp-vn-2026"
version = 1
nonce = "d308376e2861e3f58396761935ca7535"
title = "On parcels"
parties = ["jp", "vn"]
in_force_from = 2026-01-01

[[grant]]
from = "*"
to = "*"
types = ["drug-parcel"]
slots = ["facts"]
"""


def plan(member: str) -> MemberPlan:
    return MemberPlan(member, f"Customs of {member}", MemberClass.CUSTOMS, [Region.ASIA_PACIFIC], NETWORK, 0)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    make_hub(tmp_path / "hub", HubPlan(NETWORK, "127.0.0.1", 8443, "hub.example.org", 0), NOW)
    return tmp_path / "hub"


@pytest.fixture
def vn(tmp_path: Path) -> Path:
    make_member(tmp_path / "vn", plan("vn"), NOW)
    return tmp_path / "vn"


def join(hub: Path, member: Path, now: int = NOW) -> None:
    admit(hub, read_join_request((member / "join-request.json").read_bytes(), NETWORK), now)
    take(hub, member)


def take(hub: Path, member: Path) -> None:
    config = load_node_config(member)
    install(config, check_welcome(config, write_welcome(welcome(hub, member.name))))


def copy_of(member: Path) -> FolderDirectory:
    config = load_node_config(member)
    return FolderDirectory(config.path(config.directory), config.path(config.archive))


def test_a_member_that_was_admitted_has_what_the_hub_has_and_pins_it(hub: Path, vn: Path) -> None:
    join(hub, vn)

    config, hub_config = load_node_config(vn), load_hub_config(hub)
    theirs = directory_of(hub_config).load()
    assert copy_of(vn).load().version == theirs.version
    assert config.joined.url == "https://hub.example.org:8443"
    assert config.joined.log_key == theirs.log_key
    certificate = (hub / "tls/hub.pem").read_bytes()
    assert bytes.fromhex(config.joined.pin) == read_certificate(certificate).key
    mine = read_certificate((vn / "tls/member.pem").read_bytes())
    assert theirs.member_of_transport_key(mine.key, NOW) == "vn"


def test_private_keys_are_readable_by_their_owner_alone_and_never_leave(hub: Path, vn: Path) -> None:
    join(hub, vn)

    for folder in (hub, vn):
        assert stat.S_IMODE((folder / "keys").stat().st_mode) == 0o700
        for key in (folder / "keys").iterdir():
            assert stat.S_IMODE(key.stat().st_mode) == 0o600
            secret = key.read_bytes().splitlines()[1]
            others = [path for path in hub.parent.rglob("*") if path.is_file() and path != key]
            assert not [path for path in others if secret in path.read_bytes()]


def test_nothing_that_is_there_is_made_again(hub: Path, vn: Path) -> None:
    before = {path: path.read_bytes() for path in hub.parent.rglob("*.pem")}

    with pytest.raises(BadConfiguration):
        make_hub(hub, HubPlan(NETWORK, "127.0.0.1", 8443, "127.0.0.1", 0), NOW)
    with pytest.raises(BadConfiguration):
        make_member(vn, plan("vn"), NOW)
    assert {path: path.read_bytes() for path in hub.parent.rglob("*.pem")} == before


def test_a_later_welcome_brings_every_version_in_between(hub: Path, vn: Path, tmp_path: Path) -> None:
    join(hub, vn)
    make_member(tmp_path / "jp", plan("jp"), NOW)
    join(hub, tmp_path / "jp")
    between = directory_of(load_hub_config(hub)).load().version
    agreement = parse_agreement(AGREEMENT)
    agree(hub, AGREEMENT, parties_of(hub, agreement, ()))

    take(hub, vn)

    copy = copy_of(vn)
    assert copy.load().acceded("vn", agreement)
    past = copy.at(between)
    assert past is not None
    assert not past.acceded("vn", agreement)


def test_a_later_welcome_leaves_the_person_s_own_settings(hub: Path, vn: Path) -> None:
    join(hub, vn)
    path = vn / "member.toml"
    path.write_text(
        path.read_text().replace('path = "inbox"', 'path = "arrived"') + '\n[channels.more]\npath = "m"\n'
    )

    take(hub, vn)

    config = load_node_config(vn)
    assert sorted(config.channels) == ["folder", "more"]
    assert config.channels["folder"].path == Path("arrived")
    assert path.read_text().count("\n[hub]") == 1


def test_a_member_that_is_admitted_again_gets_a_fresh_certificate_and_one_entry(hub: Path, vn: Path) -> None:
    join(hub, vn)
    version = copy_of(vn).load().version
    join(hub, vn, LATER)

    assert read_certificate((vn / "tls/member.pem").read_bytes()).valid_from > NOW
    assert copy_of(vn).load().version == version


def test_another_cannot_take_a_member_s_name(hub: Path, vn: Path, tmp_path: Path) -> None:
    join(hub, vn)
    request = make_member(tmp_path / "other", plan("vn"), NOW)

    with pytest.raises(BadConfiguration, match="other keys"):
        admit(hub, read_join_request(request, NETWORK), NOW)


def test_one_key_cannot_be_two_members(hub: Path, vn: Path) -> None:
    """The directory is as it was before, so that a running hub goes on."""
    join(hub, vn)
    applicant = read_join_request((vn / "join-request.json").read_bytes(), NETWORK)
    before = directory_of(load_hub_config(hub)).load().version

    with pytest.raises(HalongError):
        admit(hub, replace(applicant, member=replace(applicant.member, id="jp")), NOW)
    assert directory_of(load_hub_config(hub)).load().version == before


def test_only_members_that_are_parties_accede(hub: Path, vn: Path) -> None:
    join(hub, vn)
    agreement = parse_agreement(AGREEMENT)

    assert parties_of(hub, agreement, ()) == ["vn"]
    with pytest.raises(BadConfiguration, match="possible: vn"):
        parties_of(hub, agreement, ("jp",))


def test_a_carrier_is_made_once_and_for_a_member_that_is_listed(hub: Path, vn: Path, tmp_path: Path) -> None:
    join(hub, vn)
    config, carrier = load_node_config(vn), tmp_path / "carrier"
    make_carrier(carrier, config, NOW)
    for name in ("member.toml", "keys"):
        half = tmp_path / f"only-{name}"
        (half / name).mkdir(parents=True)
        with pytest.raises(BadConfiguration, match="already"):
            make_carrier(half, config, NOW)
    with pytest.raises(BadConfiguration, match="already"):
        make_carrier(carrier, config, NOW)

    (config.path(config.directory) / "members/vn.toml").unlink()
    with pytest.raises(BadConfiguration, match="does not list"):
        make_carrier(tmp_path / "another", config, NOW)


# --- attacks ----------------------------------------------------------------------------------------------


def altered(data: bytes, kind: type[Any], **changes: Any) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(msgspec.json.decode(data, type=kind), **changes))


def _other_csr(data: bytes) -> bytes:
    """The certificate request of somebody else: the entry lists another key."""
    other = make_request(NETWORK, "vn", PrivateKey.generate(Algorithm.ESP256).to_pem())
    return altered(data, JoinRequest, csr=other.decode())


def _other_name(data: bytes) -> bytes:
    request = msgspec.json.decode(data, type=JoinRequest)
    return altered(data, JoinRequest, member=request.member.replace('id = "vn"', 'id = "jp"'))


def _more_keys(data: bytes) -> bytes:
    """A second key for notices, of which nothing proves that the sender holds it."""
    request = msgspec.json.decode(data, type=JoinRequest)
    public = PrivateKey.generate(Algorithm.ED25519).public.raw.hex()
    key = f'\n[[key]]\nuse = "sign"\nalgorithm = "Ed25519"\npublic = "{public}"\n'
    return altered(data, JoinRequest, member=request.member + key + "valid_from = 2026-01-01T00:00:00Z\n")


def _only_another_use(data: bytes) -> bytes:
    request = msgspec.json.decode(data, type=JoinRequest)
    return altered(data, JoinRequest, member=request.member.replace('"sign"', '"directory"'))


def _another_use(data: bytes) -> bytes:
    request = msgspec.json.decode(_more_keys(data), type=JoinRequest)
    first, second, third = request.member.partition('"sign"')
    return altered(data, JoinRequest, member=first + second + third.replace('"sign"', '"directory"'))


def _accession(data: bytes) -> bytes:
    request = msgspec.json.decode(data, type=JoinRequest)
    accession = f'\n[accessions]\n"jp-vn-2026/1" = "{"ab" * 32}"\n\n[[key]]'
    return altered(data, JoinRequest, member=request.member.replace("\n[[key]]", accession, 1))


def _weak(data: bytes) -> bytes:
    """A key of small order, for which anybody could sign."""
    request = msgspec.json.decode(data, type=JoinRequest)
    key = request.member.partition('public = "')[2][:64]
    return altered(data, JoinRequest, member=request.member.replace(key, "01" + "00" * 31))


def _elsewhere(data: bytes) -> bytes:
    return altered(data, JoinRequest, network="halong-live")


def _other_words(data: bytes) -> bytes:
    return data.replace(b"Customs of vn", b"Customs of XX")


def _signed(signature: str) -> Callable[[bytes], bytes]:
    return lambda data: altered(data, JoinRequest, signature=signature)


@pytest.mark.parametrize(
    ("tried", "change", "error"),
    [
        ("no file of ours", lambda _data: b"{}", BadConfiguration),
        ("a field that no request has", lambda data: data.replace(b'{', b'{"more": 1,', 1), BadConfiguration),
        ("larger than any request", lambda data: data + b" " * (65 << 20), BadConfiguration),
        ("to another network", _elsewhere, BadConfiguration),
        ("a transport key that it does not hold", _other_csr, BadConfiguration),
        ("the name of another", _other_name, BadConfiguration),
        ("a key for notices that nothing proves", _more_keys, BadConfiguration),
        ("no key for notices", _only_another_use, BadConfiguration),
        ("a key for another use that nothing proves", _another_use, BadConfiguration),
        ("an agreement on the way in", _accession, BadConfiguration),
        ("a weak key", _weak, WeakKey),
        ("a name that was changed after it was signed", _other_words, BadSignature),
        ("a signature of nobody", _signed("00" * 64), BadSignature),
        ("a signature that is no number", _signed("zz"), BadSignature),
    ],
)  # fmt: skip
def test_a_request_that_does_not_hold_together_is_refused(
    vn: Path, tried: str, change: Callable[[bytes], bytes], error: type[HalongError]
) -> None:
    with pytest.raises(error) as refused:
        read_join_request(change((vn / "join-request.json").read_bytes()), NETWORK)

    assert refused.value.code == error.code, tried


def test_a_signature_for_one_network_is_none_for_another(vn: Path) -> None:
    applicant = read_join_request((vn / "join-request.json").read_bytes(), NETWORK)
    signer = PrivateKey.from_pem((vn / "keys/sign.pem").read_bytes())
    elsewhere = write_request("halong-live", applicant.member, applicant.csr, signer)

    with pytest.raises(BadSignature):
        read_join_request(altered(elsewhere, JoinRequest, network=NETWORK), NETWORK)


def _wrong_file(data: bytes) -> bytes:
    welcome = msgspec.json.decode(data, type=Welcome)
    files = {
        digest: text.replace("127", "128").replace("Customs", "Custom")
        for digest, text in welcome.files.items()
    }
    return altered(data, Welcome, files=files)


def _missing_file(data: bytes) -> bytes:
    return altered(data, Welcome, files={})


def _other_log(data: bytes) -> bytes:
    welcome = msgspec.json.decode(data, type=Welcome)
    return altered(data, Welcome, log_key=welcome.log_key[:-4] + "AAA=")


def _other_log_of_the_name(data: bytes) -> bytes:
    """A key that is written as it must be, of a log that the directory does not name."""
    key = LogSigner(f"{NETWORK}/log", PrivateKey.generate(Algorithm.ED25519)).vkey
    return altered(data, Welcome, log_key=key)


def _other_authority(data: bytes) -> bytes:
    key = PrivateKey.generate(Algorithm.ESP256).to_pem()
    return altered(data, Welcome, authority=make_authority(NETWORK, key, NOW).decode())


def _before_it_was_listed(data: bytes) -> bytes:
    snapshots = msgspec.json.decode(data, type=Welcome).snapshots
    (version,) = (each for each, files in snapshots.items() if "members/vn.toml" not in files)
    return altered(data, Welcome, version=version)


@pytest.mark.parametrize(
    ("tried", "change"),
    [
        ("no file of ours", lambda _data: b"[]"),
        ("for another member", lambda data: altered(data, Welcome, member="jp")),
        ("to another network", lambda data: altered(data, Welcome, network="halong-live")),
        ("another hub's pin, unreadable", lambda data: altered(data, Welcome, pin="AB" * 32)),
        ("an address without TLS", lambda data: altered(data, Welcome, url="http://hub.example.org")),
        ("a pin that is cut", lambda data: altered(data, Welcome, pin="ab" * 31)),
        ("another log's key", _other_log),
        ("the key of another log than the directory's", _other_log_of_the_name),
        ("another authority's certificate", _other_authority),
        ("a directory of before it was listed", _before_it_was_listed),
        ("a directory file that was changed", _wrong_file),
        ("a directory without its files", _missing_file),
        ("a version that is not there", lambda data: altered(data, Welcome, version="00" * 32)),
    ],
)
def test_a_welcome_that_does_not_hold_together_changes_nothing(
    hub: Path, vn: Path, tried: str, change: Callable[[bytes], bytes]
) -> None:
    directory_of(load_hub_config(hub)).load()
    admit(hub, read_join_request((vn / "join-request.json").read_bytes(), NETWORK), NOW)
    data = write_welcome(welcome(hub, "vn"))
    before = {path: path.read_bytes() for path in vn.rglob("*") if path.is_file()}
    config = load_node_config(vn)

    with pytest.raises(BadConfiguration):
        check_welcome(config, change(data))
    assert {path: path.read_bytes() for path in vn.rglob("*") if path.is_file()} == before, tried


def test_a_certificate_for_another_s_key_is_no_welcome(hub: Path, vn: Path, tmp_path: Path) -> None:
    join(hub, vn)
    make_member(tmp_path / "jp", plan("jp"), NOW)
    join(hub, tmp_path / "jp")
    theirs = welcome(hub, "jp")
    config = load_node_config(vn)

    with pytest.raises(BadConfiguration, match="transport key"):
        check_welcome(config, write_welcome(msgspec.structs.replace(theirs, member="vn")))


def test_what_is_pinned_is_not_changed_by_a_file(hub: Path, vn: Path, tmp_path: Path) -> None:
    """Another hub of the same name, with the same member in its directory, is another hub."""
    join(hub, vn)
    make_hub(tmp_path / "false", HubPlan(NETWORK, "127.0.0.1", 8443, "hub.example.org", 0), NOW)
    admit(tmp_path / "false", read_join_request((vn / "join-request.json").read_bytes(), NETWORK), NOW)

    with pytest.raises(BadConfiguration, match="pinned"):
        take(tmp_path / "false", vn)


def test_people_compare_a_few_words_that_every_byte_counts_in(vn: Path) -> None:
    data = (vn / "join-request.json").read_bytes()

    assert len(fingerprint(data).split()) == 8
    assert fingerprint(data) != fingerprint(data + b" ")
