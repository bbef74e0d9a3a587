"""Attacks on the signed directory by whoever writes the hub's whole disk and holds its online key.

Each row starts from a genuine network.  One reader has seen it before, another comes after; at least
one of them refuses with the row's code, and neither ever takes what nobody signed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from broker.core.directory import Directory, MemberKey, Revocation, Use
from broker.core.errors import UnfitDirectory
from broker.core.keys import Algorithm, PrivateKey, PublicKey, spki_digest
from broker.directory.building import root_change
from broker.directory.continuity import check_own
from broker.directory.layout import Layout
from broker.directory.loading import load_newest
from broker.directory.roles import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP_NAME,
    agreement_path,
    delegated_paths,
    entry_path,
    file_name,
    metadata_name,
)
from broker.directory.versions import Delegation, Line
from tests.attacks.directories import SECRETARIAT_2, Attacker, key_of, sign
from tests.ceremony import (
    AGREEMENT,
    HOUR,
    LOG,
    ONLINE,
    ROOTS,
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

VN, JP, LEFT = "member-vn", "member-jp", "member-left"
EVIL = private("evil")
STOLEN = private("left-stolen").public
REVOKED = MemberKey(STOLEN.id, Use.SIGN, STOLEN, START, None, START + HOUR, Revocation.COMPROMISED)
"""A key in the history of the member that left."""
LEFT_TLS = member("left").transport_keys
WEAK = PublicKey(Algorithm.ED25519, bytes(32))
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

LATER = ("directory-expired", "directory-pin", "directory-withheld")
"""Codes of what is seen only after a version is known to be one."""

Attack = Callable[[Attacker], object]


@dataclass(frozen=True, slots=True)
class Row:
    """What is done, the code of what comes of it, and whether who comes new can see it at all."""

    name: str
    code: str
    attack: Attack
    only_seen_before: bool = False


def says(role: str, edit: Callable[[Any], object], *keys: PrivateKey) -> Attack:
    """The role says something else, signed by these keys."""
    return lambda attacker: attacker.edit(role, edit, *keys)


def vn_says(edit: Callable[[Any], object]) -> Attack:
    """VN itself signs something else."""
    return says(VN, edit, active("vn"))


def targets_say(edit: Callable[[Any], object]) -> Attack:
    """Two of the secretariat sign something else."""
    return says(TARGETS, edit, *SECRETARIAT_2)


def delegated(**changes: Any) -> Attack:
    """Two of the secretariat sign another delegation for VN."""

    def attack(attacker: Attacker) -> None:
        attacker.delegate("vn", active("vn").public, spare("vn").public, **changes)
        attacker.publish()

    return attack


def bytes_of(role: str, change: Callable[[bytes], bytes], *, named: bool) -> Attack:
    """The bytes of a role's file are changed where they lie, and named anew or not."""

    def attack(attacker: Attacker) -> None:
        data = change(attacker.place(role).read_bytes())
        attacker.put(role, data, attacker.lines[role].number)
        if named:
            attacker.publish()

    return attack


def entry_of_vn(
    *keys: MemberKey, signers: tuple[PrivateKey, ...] = (active("vn"),), **changes: Any
) -> Attack:
    """VN's entry has more keys or other fields."""
    return lambda attacker: attacker.enter(replace(member("vn", more=keys), **changes), *signers)


def key(public: PublicKey, use: Use = Use.SIGN) -> MemberKey:
    return MemberKey(public.id, use, public, START)


def later(role: str) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(b'"expires":"20', b'"expires":"21')


def root(number: int, *keys: PrivateKey, expect: str = "", **changes: Any) -> Attack:
    """A next root with other terms, signed by these keys, and named by the snapshot."""

    def attack(attacker: Attacker) -> None:
        change = signed(root_change(terms(**changes), number, attacker.network.now), *keys)
        attacker.put(ROOT, change.metadata(publics(keys)), number)
        attacker.publish()

    return attack


def root_says(edit: Callable[[Any], object]) -> Attack:
    return says(ROOT, edit, *ROOTS[:3])


def one_key_twice(said: Any) -> None:
    """The key of one of the secretariat once more under another id."""
    first, *_ = said["roles"]["targets"]["keyids"]
    said["keys"]["00" * 32] = said["keys"][first]
    said["roles"]["targets"]["keyids"].append("00" * 32)


def old_root(attacker: Attacker) -> None:
    """The root has moved on; the attacker's snapshot goes back to the one before."""
    network = attacker.network
    network.take(signed(root_change(terms(), 2, network.now), *ROOTS[:3]))
    readers_see(network)
    forger = Attacker(network)
    forger.lines[ROOT] = attacker.lines[ROOT]
    forger.publish()


def old_role(attacker: Attacker) -> None:
    attacker.put(VN, attacker.path(metadata_name(VN, 1)).read_bytes(), 1)
    attacker.publish()


def old_timestamp(attacker: Attacker) -> None:
    before = attacker.path(TIMESTAMP_NAME).read_bytes()
    attacker.network.renew()
    readers_see(attacker.network)
    attacker.path(TIMESTAMP_NAME).write_bytes(before)


def old_snapshot(attacker: Attacker) -> None:
    """Its roles are those of the newest."""
    before = attacker.lines[SNAPSHOT]
    attacker.publish()
    readers_see(attacker.network)
    attacker.lines[SNAPSHOT] = before
    attacker.vouch()


def two_snapshots(attacker: Attacker) -> None:
    attacker.number -= 1
    attacker.network.clock.time += HOUR
    attacker.publish()


def two_files_of_a_role(attacker: Attacker) -> None:
    file = attacker.read(VN)
    attacker.put(VN, sign(file, spare("vn")), attacker.lines[VN].number)
    attacker.publish()


def a_member_that_left_is_forgotten(attacker: Attacker) -> None:
    del attacker.lines[LEFT]
    attacker.publish()


def forget_left(said: Any) -> None:
    delegations = said["delegations"]
    (gone,) = (each for each in delegations["roles"] if each["name"] == LEFT)
    delegations["roles"].remove(gone)
    for each in gone["keyids"]:
        del delegations["keys"][each]


def forgotten_by_all(attacker: Attacker) -> None:
    del attacker.lines[LEFT]
    attacker.edit(TARGETS, forget_left, *SECRETARIAT_2)


def comes_back(*history: MemberKey) -> Attack:
    """The secretariat lets who left come back with fresh keys, and with this much of its history."""

    def attack(attacker: Attacker) -> None:
        fresh = private("left-fresh")
        attacker.delegate("left", fresh.public)
        keys = (key(fresh.public, Use.DIRECTORY), *history)
        attacker.enter(replace(member("left"), keys=keys, transport_keys=LEFT_TLS), fresh)

    return attack


def another_last_word(attacker: Attacker) -> None:
    """The hub says in the name of who left that its key was stolen long ago."""
    stolen = replace(member("left").keys[0], revoked_at=START, reason=Revocation.COMPROMISED)
    attacker.enter(replace(member("left"), keys=(stolen, *member("left").keys[1:], REVOKED)), ONLINE)


def dropped_from_the_snapshot(attacker: Attacker) -> None:
    del attacker.lines[VN]
    attacker.publish()


def invented(attacker: Attacker) -> None:
    """A member that the hub made up, delegated to by the hub."""

    def admit(said: Any) -> None:
        (vn,) = (each for each in said["delegations"]["roles"] if each["name"] == VN)
        said["delegations"]["roles"].append({**vn, "name": "member-xx"})

    attacker.lines["member-xx"] = attacker.lines[VN]
    attacker.edit(TARGETS, admit, ONLINE)


def another_key_for_vn(attacker: Attacker) -> None:
    """A secretariat that colludes names another key for VN, and VN's entry is replaced under it."""
    attacker.delegate("vn", EVIL.public)
    attacker.enter(member("vn", directory=[EVIL]), EVIL)


def vn_is_no_member(attacker: Attacker) -> None:
    attacker.network.suspend("vn")


def high_s(attacker: Attacker) -> None:
    """The other form of a signature by ESP256, which anybody can make from the first."""
    said = attacker.read(VN)
    said["signed"]["version"] += 1
    file = json.loads(sign(said, spare("vn")))
    r, s = decode_dss_signature(bytes.fromhex(file["signatures"][0]["sig"]))
    file["signatures"][0]["sig"] = encode_dss_signature(r, ORDER - s).hex()
    attacker.put(VN, json.dumps(file, separators=(",", ":"), sort_keys=True).encode())
    attacker.publish()


def under_vn_s_id(attacker: Attacker) -> None:
    file = attacker.read(VN)
    file["signed"]["version"] += 1
    forged = json.loads(sign(file, EVIL))
    forged["signatures"][0]["keyid"] = active("vn").public.id.hex()
    attacker.put(VN, json.dumps(forged, separators=(",", ":"), sort_keys=True).encode())
    attacker.publish()


def snapshot_of_another(attacker: Attacker, online: PrivateKey) -> None:
    genuine, attacker.online = attacker.online, online
    attacker.publish()
    attacker.online = genuine
    attacker.vouch()


def timestamp_of_another(attacker: Attacker) -> None:
    attacker.online = EVIL
    attacker.vouch()


def timestamp_of_another_snapshot(attacker: Attacker) -> None:
    attacker.publish()
    attacker.place(SNAPSHOT).write_bytes(attacker.path(metadata_name(SNAPSHOT, 2)).read_bytes())


def one_of_two_snapshots(attacker: Attacker) -> None:
    """The timestamp names one snapshot, and another of the same number, genuine as well, lies there."""
    attacker.publish()
    stamp = attacker.path(TIMESTAMP_NAME).read_bytes()
    attacker.number -= 1
    attacker.network.clock.time += HOUR
    attacker.publish()
    attacker.path(TIMESTAMP_NAME).write_bytes(stamp)


def twin(attacker: Attacker) -> None:
    """VN's delegation once more, with keys of its own."""

    def admit(said: Any) -> None:
        (vn,) = (each for each in said["delegations"]["roles"] if each["name"] == VN)
        said["delegations"]["roles"].append({**vn, "keyids": [EVIL.public.id.hex()]})
        said["delegations"]["keys"][EVIL.public.id.hex()] = key_of(EVIL.public)

    attacker.edit(TARGETS, admit, *SECRETARIAT_2)


def root_out_of_order(attacker: Attacker) -> None:
    """Two roots, each signed as it must be, of which the first says that it is a later one."""
    for number, says in ((2, 9), (3, 3)):
        change = signed(root_change(terms(), says, attacker.network.now), *ROOTS[:3])
        attacker.put(ROOT, change.metadata(publics(ROOTS)), number)
    attacker.publish()


def longer_root(attacker: Attacker) -> None:
    """The root has another length than the snapshot says."""
    line = attacker.lines[ROOT]
    attacker.lines[ROOT] = Line(line.number, line.digest, line.length + 1)
    attacker.publish()


def held_back(attacker: Attacker) -> None:
    attacker.path(file_name(agreement_digest(attacker))).unlink()


def agreement_digest(attacker: Attacker) -> str:
    digest: str = attacker.read(VN)["signed"]["targets"][agreement_path("vn", "jp-vn-2026", 1)]["hashes"][
        "sha256"
    ]
    return digest


def agreement_altered(attacker: Attacker) -> None:
    place = attacker.path(file_name(agreement_digest(attacker)))
    place.write_text(AGREEMENT.replace('["facts"]', '["facts", "persons"]'))


def lists(path: str, text: str) -> Attack:
    """VN signs that it lists this file under this path."""

    def attack(attacker: Attacker) -> None:
        listed = attacker.file(text.encode())
        attacker.edit(VN, lambda said: said["targets"].update({path: listed}), active("vn"))

    return attack


def entry_altered(attacker: Attacker) -> None:
    digest = attacker.read(VN)["signed"]["targets"][entry_path("vn")]["hashes"]["sha256"]
    place = attacker.path(file_name(digest))
    place.write_bytes(place.read_bytes().replace(b"Customs of vn", b"Customs of VN"))


def frozen(attacker: Attacker) -> None:
    attacker.network.clock.time += 25 * HOUR


def missing(role: str) -> Attack:
    return lambda attacker: attacker.place(role).unlink()


def root_is_another(attacker: Attacker) -> None:
    line = attacker.lines[ROOT]
    attacker.lines[ROOT] = Line(line.number, "00" * 32, line.length)
    attacker.publish()


def misnamed(role: str) -> Attack:
    def attack(attacker: Attacker) -> None:
        attacker.put(role, attacker.place(role).read_bytes())
        attacker.publish()

    return attack


ROWS = [
    # --- bytes
    Row("a role is altered where it lies", "directory-mixed", bytes_of(VN, later(VN), named=False)),
    Row("a role is altered and named anew", "directory-unsigned", bytes_of(VN, later(VN), named=True)),
    Row(
        "the secretariat's file is altered",
        "directory-unsigned",
        bytes_of(TARGETS, later(TARGETS), named=True),
    ),
    Row(
        "a role is cut off where it lies",
        "directory-mixed",
        bytes_of(VN, lambda data: data[:-9], named=False),
    ),
    Row(
        "a role is cut off and named anew",
        "directory-malformed",
        bytes_of(VN, lambda data: data[:-9], named=True),
    ),
    Row(
        "a role is written with white space",
        "directory-malformed",
        bytes_of(VN, lambda data: data + b"\n", named=True),
    ),
    Row(
        "a role says a thing twice",
        "directory-malformed",
        bytes_of(VN, lambda data: data.replace(b'{"_type', b'{"_type":"targets","_type'), named=True),
    ),
    Row(
        "a role is longer than any",
        "directory-malformed",
        bytes_of(VN, lambda data: data + b" " * 600_000, named=True),
    ),
    Row("a role's file is missing", "directory-mixed", missing(VN)),
    Row("the snapshot's file is missing", "directory-mixed", missing(SNAPSHOT)),
    Row("an entry is altered where it lies", "directory-mixed", entry_altered),
    # --- who signed
    Row("the hub signs for a member", "directory-unsigned", says(VN, lambda _: None, ONLINE)),
    Row("a member signs for another", "directory-unsigned", says(VN, lambda _: None, active("jp"))),
    Row("a signature under a member's key id is another's", "directory-unsigned", under_vn_s_id),
    Row("a signature has its other form", "directory-unsigned", high_s),
    Row(
        "somebody signs beside the member", "directory-unsigned", says(VN, lambda _: None, active("vn"), EVIL)
    ),
    Row(
        "one of three signs for the secretariat",
        "directory-unsigned",
        says(TARGETS, lambda _: None, SECRETARIAT_2[0]),
    ),
    Row("the hub invents a member", "directory-unsigned", invented),
    Row("the hub says the last word of a member that left", "directory-unsigned", another_last_word),
    Row("a snapshot is signed by another", "directory-unsigned", lambda a: snapshot_of_another(a, EVIL)),
    Row("a timestamp is signed by another", "directory-unsigned", timestamp_of_another),
    # --- roots
    Row(
        "a root that the one before did not sign",
        "directory-unsigned",
        root(2, EVIL, root=Delegation((EVIL.public,), 1)),
    ),
    Row("a root that two of five signed", "directory-unsigned", root(2, *ROOTS[:2])),
    Row(
        "a root that its own keys did not sign",
        "directory-unsigned",
        root(2, *ROOTS[:3], root=Delegation((EVIL.public,), 1)),
    ),
    Row("a root that one person signed under two ids", "directory-malformed", root_says(one_key_twice)),
    Row("a root of another network", "directory-malformed", root(2, *ROOTS[:3], network="other")),
    Row("a root whose log has no key", "directory-malformed", root(2, *ROOTS[:3], log_key="log")),
    Row(
        "a root with a key in two roles",
        "directory-malformed",
        root(2, *ROOTS[:3], online=Delegation((ROOTS[0].public,), 1)),
    ),
    Row(
        "a root with a key in no role",
        "directory-malformed",
        root_says(lambda said: said["keys"].update({EVIL.public.id.hex(): key_of(EVIL.public)})),
    ),
    Row("a root with a weak key", "directory-malformed", root(2, *ROOTS[:3], online=Delegation((WEAK,), 1))),
    Row("a root that skips a number", "directory-mixed", root(3, *ROOTS[:3])),
    Row("a root under another number than it says", "directory-mixed", misnamed(ROOT)),
    Row("another root than the snapshot names", "directory-mixed", root_is_another),
    Row("roots out of order", "directory-mixed", root_out_of_order),
    Row("a root of another length than the snapshot says", "directory-mixed", longer_root),
    Row(
        "a root with a key of the secretariat's",
        "directory-malformed",
        root(2, *ROOTS[:3], targets=Delegation(publics((ROOTS[0], *SECRETARIAT_2)), 2)),
    ),
    Row(
        "a root that one key shall fulfil twice",
        "directory-malformed",
        root(2, *ROOTS[:3], online=Delegation((ONLINE.public,), 2)),
    ),
    Row("the root goes back", "directory-rolled-back", old_root, only_seen_before=True),
    # --- what the secretariat may say
    Row(
        "a delegation to other paths",
        "directory-malformed",
        delegated(paths=[entry_path("vn"), "members/*/agreements/*/*"]),
    ),
    Row(
        "a delegation to one path more",
        "directory-malformed",
        delegated(paths=[entry_path("vn"), "members/vn/agreements/*/*", "members/jp.toml"]),
    ),
    Row("a delegation that does not end the search", "directory-malformed", delegated(terminating=False)),
    Row("a delegation that no single key fulfils", "directory-malformed", delegated(threshold=2)),
    Row("a delegation to nobody's role", "directory-malformed", delegated(name="members")),
    Row(
        "a delegation to nobody's role and paths",
        "directory-malformed",
        delegated(name="members", paths=delegated_paths("None")),
    ),
    Row("two delegations to one member, each with its keys", "directory-malformed", twin),
    Row(
        "a key in no delegation",
        "directory-malformed",
        targets_say(
            lambda said: said["delegations"]["keys"].update({EVIL.public.id.hex(): key_of(EVIL.public)})
        ),
    ),
    Row(
        "two delegations to one member",
        "directory-malformed",
        targets_say(lambda said: said["delegations"]["roles"].append(said["delegations"]["roles"][0])),
    ),
    Row(
        "the secretariat lists a member's entry itself",
        "directory-malformed",
        targets_say(
            lambda said: said["targets"].update(
                {entry_path("vn"): {"hashes": {"sha256": "00" * 32}, "length": 1}}
            )
        ),
    ),
    Row("a delegation with a field of its own", "directory-malformed", delegated(path_hash_prefixes=["00"])),
    Row(
        "two members may sign with one key",
        "directory-malformed",
        lambda a: (a.delegate("vn", active("jp").public), a.publish()),
    ),
    Row(
        "a key under another id than its own",
        "directory-malformed",
        targets_say(
            lambda said: said["delegations"]["keys"].update(
                {active("vn").public.id.hex(): key_of(EVIL.public)}
            )
        ),
    ),
    Row(
        "a weak key may sign for a member",
        "directory-malformed",
        lambda a: (a.delegate("vn", WEAK), a.publish()),
    ),
    Row(
        "a key that the member does not list may sign for it",
        "directory-malformed",
        lambda a: (a.delegate("vn", active("vn").public, EVIL.public), a.publish()),
    ),
    # --- what a member may say
    Row(
        "a member delegates on",
        "directory-malformed",
        vn_says(lambda said: said.update(delegations={"keys": {}, "roles": []})),
    ),
    Row(
        "a member lists no entry",
        "directory-malformed",
        vn_says(lambda said: said["targets"].pop(entry_path("vn"))),
    ),
    Row("a member lists another's entry", "directory-malformed", lists(entry_path("jp"), "x")),
    Row(
        "a member lists a path with a way up",
        "directory-malformed",
        lists("members/vn/agreements/../1.toml", AGREEMENT),
    ),
    Row(
        "a member lists a version with a zero before it",
        "directory-malformed",
        lists("members/vn/agreements/jp-vn-2026/01.toml", AGREEMENT),
    ),
    Row(
        "a member lists a file by another digest",
        "directory-malformed",
        vn_says(lambda said: said["targets"][entry_path("vn")]["hashes"].update(md5="00")),
    ),
    Row(
        "an entry is another's",
        "directory-malformed",
        lambda a: a.enter_text("vn", a.entry("jp"), active("vn")),
    ),
    Row(
        "an entry accedes by itself",
        "directory-malformed",
        lambda a: a.enter_text(
            "vn",
            a.entry("vn").replace(
                "\n\n[[key]]", f'\n\n[accessions]\n"jp-vn-2026/1" = "{"00" * 32}"\n\n[[key]]', 1
            ),
            active("vn"),
        ),
    ),
    Row(
        "an entry cannot be read", "directory-malformed", lambda a: a.enter_text("vn", "id = ", active("vn"))
    ),
    Row(
        "an entry lists a weak key",
        "directory-malformed",
        lambda a: a.enter_text(
            "vn", a.entry("vn").replace(active("vn").public.raw.hex(), "00" * 32), active("vn")
        ),
    ),
    Row(
        "an entry lists another member's key",
        "directory-malformed",
        entry_of_vn(key(private("jp-sign").public)),
    ),
    Row("an entry lists one key for two uses", "directory-malformed", entry_of_vn(key(active("vn").public))),
    Row(
        "an entry lists a key of a member that left",
        "directory-malformed",
        entry_of_vn(key(private("left-sign").public)),
    ),
    Row(
        "an entry lists a key that was stolen from a member that left",
        "directory-malformed",
        entry_of_vn(key(REVOKED.public)),
    ),
    Row(
        "an entry lists the TLS key of a member that left",
        "directory-malformed",
        entry_of_vn(transport_keys=(*member("vn").transport_keys, *LEFT_TLS)),
    ),
    Row("an entry lists the hub's online key", "directory-malformed", entry_of_vn(key(ONLINE.public))),
    Row("an entry lists the log's key", "directory-malformed", entry_of_vn(key(LOG.public))),
    Row(
        "an entry lists a root key for TLS",
        "directory-malformed",
        entry_of_vn(transport_keys=(replace(member("vn").transport_keys[0], id=spki_digest(ROOTS[0])),)),
    ),
    Row("an agreement is altered where it lies", "directory-mixed", agreement_altered),
    Row(
        "an agreement is listed as another",
        "directory-malformed",
        lists("members/vn/agreements/other-2026/1.toml", AGREEMENT),
    ),
    Row(
        "an agreement is listed as another version",
        "directory-malformed",
        lists("members/vn/agreements/jp-vn-2026/2.toml", AGREEMENT),
    ),
    Row(
        "an agreement is none",
        "directory-malformed",
        lists("members/vn/agreements/other-2026/1.toml", "x = 1"),
    ),
    Row(
        "an agreement is listed by who is no party",
        "directory-malformed",
        lists("members/vn/agreements/jp-nl-2026/1.toml", AGREEMENT.replace("vn", "nl")),
    ),
    Row("an agreement is held back from a party", "directory-mixed", held_back),
    # --- what belongs together
    Row("a role under another number than it says", "directory-mixed", misnamed(VN)),
    Row("the secretariat's file under another number", "directory-mixed", misnamed(TARGETS)),
    Row("a snapshot under another number than it says", "directory-mixed", lambda a: a.publish(number=99)),
    Row("another snapshot than the timestamp names", "directory-mixed", timestamp_of_another_snapshot),
    Row("a snapshot beside the one that is named", "directory-mixed", one_of_two_snapshots),
    Row("a member is not in the snapshot", "directory-mixed", dropped_from_the_snapshot),
    Row("a member that left is not in the snapshot", "directory-mixed", a_member_that_left_is_forgotten),
    Row(
        "a snapshot names what is no role",
        "directory-malformed",
        lambda a: (a.lines.update({"schemas": a.lines[VN]}), a.publish()),
    ),
    Row("a snapshot names no root", "directory-malformed", lambda a: (a.lines.pop(ROOT), a.publish())),
    Row(
        "a snapshot names no secretariat's file",
        "directory-malformed",
        lambda a: (a.lines.pop(TARGETS), a.publish()),
    ),
    # --- what was seen before
    Row("an older role", "directory-rolled-back", old_role, only_seen_before=True),
    Row("an older snapshot", "directory-rolled-back", old_snapshot, only_seen_before=True),
    Row("an older timestamp", "directory-rolled-back", old_timestamp, only_seen_before=True),
    Row("two snapshots of one number", "directory-equivocation", two_snapshots, only_seen_before=True),
    Row(
        "two files of one role and number",
        "directory-equivocation",
        two_files_of_a_role,
        only_seen_before=True,
    ),
    Row("nobody vouches for the newest", "directory-expired", frozen),
    # --- what only the member itself can see
    Row("another key for a member, by the secretariat", "directory-pin", another_key_for_vn),
    Row("a member finds itself no member", "directory-pin", vn_is_no_member),
    Row("a member's last word is left out for who comes new", "directory-withheld", old_role),
]


_READERS: list[Any] = []


def readers_see(network: SignedNetwork) -> None:
    """Let who has seen it before see it again."""
    for source in _READERS:
        source.load()


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> SignedNetwork:
    """A network of three members, of which one has left, with an agreement between the other two."""
    network = SignedNetwork(tmp_path_factory.mktemp("genuine") / "hub")
    network.join("jp", "vn", member("left", more=[REVOKED]))
    network.suspend("left")
    network.accede(AGREEMENT.encode(), "jp", "vn")
    return network


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_nobody_takes_what_nobody_signed(row: Row, genuine: SignedNetwork, tmp_path: Path) -> None:
    shutil.copytree(genuine.path, tmp_path / "hub")
    network = genuine.at(tmp_path / "hub")
    signed_by_vn = network.version.lines[VN]
    before, after = network.source(reader="vn"), network.source(reader="vn")
    value = before.load()
    _READERS[:] = [before]
    row.attack(Attacker(network))

    codes = []
    for source in (before, after):
        try:
            taken = source.load()
            assert source.newest is not None
            check_own(source.newest.version, "vn", publics((active("vn"), spare("vn"))), signed_by_vn)
        except UnfitDirectory as error:
            codes.append(error.code)
        else:
            codes.append("")
            assert same(taken, value), "what was taken is what was signed, and all of it"
    if not row.only_seen_before and row.code not in LATER:
        with pytest.raises(UnfitDirectory) as refused:
            load_newest(Layout(network.path), network.root, reader="vn")
        assert refused.value.code == row.code
    assert codes[0 if row.only_seen_before else 1] == row.code
    assert before.at(value.version) is not None


def same(taken: Directory, value: Directory) -> bool:
    return replace(taken, version=value.version) == value
