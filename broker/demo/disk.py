"""Attacks by whoever owns the hub's whole disk and its online key, against each member's own node.

Each is played on a copy of the hub's folder, and put before the check that a node makes of all that a hub
hands out (`adapters.directory.copy`), over a copy of what the node has taken so far.  Nothing of the running
network is touched.  An attacker here may have two of the secretariat on its side, too; what comes of that,
only the member's own node can see.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from tuf.api.metadata import Snapshot, Timestamp
from tuf.api.serialization.json import CanonicalJSONSerializer

from adapters.configuration import load_node_config
from adapters.directory.copy import Copy
from broker.clock import SystemClock
from broker.configuration import load_hub_config
from broker.core.directory import MemberKey, Use
from broker.core.errors import (
    DirectoryEquivocation,
    DirectoryExpired,
    DirectoryMixed,
    DirectoryPin,
    DirectoryRolledBack,
    DirectoryUnsigned,
    DirectoryWithheld,
    UnfitDirectory,
)
from broker.core.keys import Algorithm, PrivateKey, Signer
from broker.demo.accession import FIRST, SECOND, one_sided
from broker.demo.acts import Findings
from broker.demo.attacks import Attempt
from broker.demo.network import Network
from broker.demo.screen import Screen
from broker.demo.setting import CAST, Setting
from broker.directory.building import (
    delegations_of,
    member_change,
    snapshot_signed,
    targets_change,
    timestamp_signed,
)
from broker.directory.change import Change
from broker.directory.layout import Layout
from broker.directory.loading import load_newest, load_version
from broker.directory.roles import (
    DAY,
    SNAPSHOT,
    TIMESTAMP_NAME,
    file_name,
    metadata_name,
    role_of_member,
    signature_by,
)
from broker.directory.shapes import File, Signature, encoded
from broker.directory.sources import trusted_root
from broker.directory.versions import Line, Newest
from broker.keyring import open_signer

HOUR = DAY // 24
VICTIM = "vn"
STRANGER = "xx"
TAKEN = "TAKEN"


class Disk:
    """The attacker's copy of the hub's directory, as it was; what is put into it can be vouched for.

    Args:
        folder: The copy.
        online: The hub's online key.
        at: Now.
    """

    def __init__(self, folder: Path, online: Signer, at: int) -> None:
        self.files = Layout(folder)
        self.newest: Newest = load_newest(self.files, trusted_root(folder))
        self.version = self.newest.version
        self.at = at
        self.thief = PrivateKey.generate(Algorithm.ED25519)
        self._online = online
        self._lines = dict(self.version.lines)

    def put(self, change: Change, *signers: Signer) -> None:
        """Put a role's next file in place, signed by these alone, and name it from now on."""
        for each in signers:
            change = change.sign(each)
        data = change.metadata([each.public for each in signers])
        files = {file_name(digest): text for digest, text in change.files.items()}
        self.files.add(files)
        self.name(change.role, change.number, data)

    def name(self, role: str, number: int, data: bytes) -> None:
        """Put a role's file in place as one of this number, and name it from now on."""
        self.files.add({metadata_name(role, number): data})
        self._lines[role] = _line(number, data)

    def publish(self) -> None:
        """Sign a snapshot and a timestamp over what was put in place."""
        number = self.version.number + 1
        data = _signed(snapshot_signed(number, self._lines, self.at), self._online)
        self.files.add({metadata_name(SNAPSHOT, number): data})
        self.vouch(self.newest.number + 1, _line(number, data))

    def vouch(self, number: int, snapshot: Line, at: int | None = None) -> None:
        """Sign a timestamp over a snapshot."""
        stamp = timestamp_signed(number, snapshot, self.at if at is None else at)
        self.files.add({TIMESTAMP_NAME: _signed(stamp, self._online)})

    def snapshot(self, number: int) -> Line:
        """Return a snapshot as a timestamp names it."""
        return _line(number, self.files[metadata_name(SNAPSHOT, number)])


@dataclass(frozen=True, slots=True)
class Lie:
    """What is done to the disk, and the code with which each node must refuse it."""

    tried: str
    do: Callable[[Disk], None]
    codes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Later:
    """A clock that is a day ahead."""

    def now(self) -> int:
        return SystemClock().now() + DAY


def who_owns_the_disk(setting: Setting, screen: Screen, findings: Findings) -> list[Attempt]:
    """Attack every node with the hub's disk and its online key, and show what each answered."""
    attempts = attack_disk(setting)
    screen.columns(
        ("on a copy of its disk, with its online key", "a member's node says", "which"),
        [
            [each.tried, each.answered if each.repelled else f"{TAKEN}: {each.answered}", each.by]
            for each in attempts
        ],
    )
    findings.expect(
        bool(attempts) and all(attempt.repelled for attempt in attempts),
        f"none takes anything: who owns the hub can only stop it, and {VICTIM} sees who colludes",
    )
    return attempts


def attack_disk(setting: Setting) -> list[Attempt]:
    """Try everything, and return what each node said, and whether it has taken anything."""
    network = Network(setting.folder)
    hub = load_hub_config(setting.hub)
    genuine, now = hub.path(hub.directory), SystemClock().now()
    online = open_signer(hub.keys.online, hub.root)
    attempts: list[Attempt] = []
    with tempfile.TemporaryDirectory(prefix="halong-demo-disk-") as place:
        nodes = {role.id: _node(setting, role.id, Path(place)) for role in CAST}
        for node in nodes.values():
            # What is genuine passes, and is what must not be lost.
            node.take(dict(Layout(genuine)))
        for number, lie in enumerate(_lies(network, genuine)):
            folder = Path(place) / f"hub-{number}"
            shutil.copytree(genuine, folder)
            disk = Disk(folder, online, now)
            lie.do(disk)
            files = dict(disk.files)
            said = {member: _said(nodes[member], files, disk.newest) for member in lie.codes}
            attempts += _attempts(lie.tried, lie.codes, said)
        everybody = dict.fromkeys(nodes, DirectoryExpired.code)
        frozen = {member: _frozen(node, member) for member, node in nodes.items()}
        attempts += _attempts("what is new held back for a day", everybody, frozen)
    return attempts


def _lies(network: Network, genuine: Path) -> Iterator[Lie]:
    members = [role.id for role in CAST]

    def at_all(code: str) -> Mapping[str, str]:
        return dict.fromkeys(members, code)

    yield Lie(f"another key under the name of {VICTIM}", _another_key, at_all(DirectoryUnsigned.code))
    yield Lie("a member that nobody let in", _invented_member, at_all(DirectoryUnsigned.code))
    yield Lie(f"{FIRST} and {SECOND} made to agree to more", _invented, at_all(DirectoryUnsigned.code))
    yield Lie("an agreement altered where it lies", _altered, at_all(DirectoryEquivocation.code))
    yield Lie("two newest versions, one for each half", _two_at_once, at_all(DirectoryEquivocation.code))
    newest = network.newest().version
    files = Layout(genuine)
    before = load_version(files, _number_before(files, newest.number), trusted_root(genuine))
    since = sorted(
        each for each in members if newest.lines[role_of_member(each)] != before.lines[role_of_member(each)]
    )
    last = (since or [SECOND])[0]
    yield Lie(
        f"what {last} said before, as its last word",
        lambda disk: _said_before(disk, last),
        at_all(DirectoryMixed.code),
    )
    codes = {each: (DirectoryWithheld if each in since else DirectoryRolledBack).code for each in members}
    yield Lie("the version before, as the newest", _before, codes)
    secretaries = [each.signer for each in network.secretaries() if each.signer is not None]
    yield Lie(
        f"two secretaries name another key for {VICTIM}",
        lambda disk: _collude(disk, secretaries),
        {VICTIM: DirectoryPin.code},
    )


def _another_key(disk: Disk) -> None:
    member = disk.version.listings[VICTIM].member
    stolen = MemberKey(disk.thief.public.id, Use.SIGN, disk.thief.public, disk.at)
    entry = replace(member, keys=(*member.keys, stolen))
    disk.put(member_change(disk.version, entry, disk.at), disk.thief)
    disk.publish()


def _invented_member(disk: Disk) -> None:
    like = disk.version.listings[VICTIM].member
    key = MemberKey(disk.thief.public.id, Use.DIRECTORY, disk.thief.public, disk.at)
    stranger = replace(like, id=STRANGER, keys=(key,), transport_keys=())
    delegations = {**delegations_of(disk.version), STRANGER: (disk.thief.public,)}
    disk.put(targets_change(disk.version, delegations, disk.at), disk.thief)
    disk.put(member_change(disk.version, stranger, disk.at), disk.thief)
    disk.publish()


def _invented(disk: Disk) -> None:
    agreement = one_sided()
    text = disk.files[file_name(agreement.digest.hex())]
    wider = text.replace(b"version = 1", b"version = 2").replace(b'"facts", ', b'"facts", "entities", ')
    for member in (FIRST, SECOND):
        entry = disk.version.listings[member].member
        disk.put(member_change(disk.version, entry, disk.at, accede=[wider]), disk.thief)
    disk.publish()


def _altered(disk: Disk) -> None:
    name = file_name(one_sided().digest.hex())
    disk.files.add({name: disk.files[name].replace(b"AMBER", b"GREEN")})


def _said_before(disk: Disk, member: str) -> None:
    role = role_of_member(member)
    number = disk.version.lines[role].number
    disk.name(role, number + 1, disk.files[metadata_name(role, number - 1)])
    disk.publish()


def _two_at_once(disk: Disk) -> None:
    disk.vouch(disk.newest.number, disk.snapshot(disk.version.number), disk.at + HOUR)


def _before(disk: Disk) -> None:
    disk.vouch(disk.newest.number + 1, disk.snapshot(_number_before(disk.files, disk.version.number)))


def _number_before(files: Layout, number: int) -> int:
    return max(each for each in files.numbers(SNAPSHOT) if each < number)


def _collude(disk: Disk, secretaries: list[Signer]) -> None:
    member = disk.version.listings[VICTIM].member
    key = MemberKey(disk.thief.public.id, Use.DIRECTORY, disk.thief.public, disk.at)
    delegations = {**delegations_of(disk.version), VICTIM: (disk.thief.public,)}
    disk.put(targets_change(disk.version, delegations, disk.at), *secretaries)
    disk.put(member_change(disk.version, replace(member, keys=(*member.keys, key)), disk.at), disk.thief)
    disk.publish()


def _node(setting: Setting, member: str, place: Path) -> Copy:
    config = load_node_config(setting.member(member))
    shutil.copytree(config.path(config.directory), place / member)
    return Copy(place / member, member, SystemClock())


def _said(node: Copy, files: Mapping[str, bytes], genuine: Newest) -> str:
    """Return the code with which a node refuses what a hub hands out, and keeps what it has."""
    try:
        node.take(files)
    except UnfitDirectory as error:
        held = node.held()
        return error.code if held is not None and held.stamp == genuine.stamp else TAKEN
    return TAKEN


def _frozen(node: Copy, member: str) -> str:
    try:
        Copy(node.path, member, _Later()).check_held()
    except UnfitDirectory as error:
        return error.code
    return TAKEN


def _attempts(tried: str, codes: Mapping[str, str], said: Mapping[str, str]) -> Iterator[Attempt]:
    """Yield an attempt for each code with which nodes must refuse it."""
    for code in dict.fromkeys(codes.values()):
        nodes = [member for member, expected in codes.items() if expected == code]
        answers = " ".join(dict.fromkeys(said[member] for member in nodes))
        few = nodes[0] if len(nodes) == 1 else "others"
        at = "each" if len(nodes) == len(CAST) else few
        yield Attempt(tried, code, answers, at)


def _line(number: int, data: bytes) -> Line:
    return Line(number, sha256(data).hexdigest(), len(data))


def _signed(signed: Snapshot | Timestamp, online: Signer) -> bytes:
    payload = CanonicalJSONSerializer().serialize(signed)
    signature = Signature(keyid=online.public.id.hex(), sig=signature_by(online, payload))
    return encoded(File(signed=signed.to_dict(), signatures=[signature]))
