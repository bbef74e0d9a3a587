"""Attacks by a hub on a member's node that refreshes its copy of the signed directory.

The hub has its whole disk and its online key, and answers whatever it likes.  The node has seen the genuine
directory before.  Each attack ends in its own code and an alarm, and the node goes on with what it had.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.directory.copy import MOST_FILES, Copy
from adapters.directory.own import Own, Signed, intend, intended, read_own, write_own
from adapters.directory.refreshing import Refresher
from adapters.status import snapshot
from adapters.store import Store
from broker.core.errors import DirectoryMixed, Refused
from broker.core.wire import DirectoryFiles
from broker.directory.building import delegations_of, member_change, targets_change
from broker.directory.layout import Layout
from broker.directory.roles import SNAPSHOT, TIMESTAMP_NAME, metadata_name
from broker.directory.signed import SignedDirectory
from tests.attacks.directories import SECRETARIAT_2, Attacker
from tests.attacks.test_directory_attacks import (
    REVOKED,
    a_member_that_left_is_forgotten,
    another_key_for_vn,
    comes_back,
    forget_left,
    forgotten_by_all,
    invented,
    old_role,
    targets_say,
    two_files_of_a_role,
    two_snapshots,
    vn_is_no_member,
)
from tests.ceremony import AGREEMENT, HOUR, SignedNetwork, active, member, publics, signed, spare


class DiskHub:
    """A hub that hands out what lies on its disk, or what a test puts in place of it."""

    def __init__(self, network: SignedNetwork) -> None:
        self.network = network
        self.instead: dict[str, str] = {}
        self.without: set[str] = set()
        self.timestamp: bytes | None = None
        self.past: dict[bytes, bytes] = {}
        self.taken: list[bytes] = []
        self.lies = False

    async def directory_timestamp(self) -> bytes:
        return self.timestamp or self.network.repository.files[TIMESTAMP_NAME]

    async def directory(self, known: bytes) -> DirectoryFiles:
        found = {name: data.decode() for name, data in self.network.repository.files.items()}
        files = {name: text for name, text in (found | self.instead).items() if name not in self.without}
        return DirectoryFiles("", files)

    async def past_directory(self, version: bytes, known: bytes) -> DirectoryFiles | None:
        return await self.directory(known)

    async def change_directory(self, change: bytes) -> bytes:
        self.taken.append(change)
        return bytes(32)


@dataclass
class Attacked:
    """A node of vn, its hub, and the network as it is on the hub's disk."""

    network: SignedNetwork
    hub: DiskHub
    path: Path
    store: Store
    asked_for: bytes = b""
    copy: Copy = field(init=False)
    refresher: Refresher = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Let the node begin again with what is on its disk."""
        clock = self.network.clock
        self.copy = Copy(self.path, "vn", clock)
        self.refresher = Refresher(self.hub, self.copy, self.store, clock)

    def source(self) -> SignedDirectory:
        """What the node's parts work with, whatever the time."""
        return SignedDirectory(self.path, self.copy.root(), Stopped(), reader="vn")

    def alarms(self) -> list[tuple[str, str]]:
        return [(alarm.event, alarm.code) for alarm in snapshot(self.store).alarms]


class Stopped:
    """A clock that stands still."""

    def now(self) -> int:
        return 0


Attack = Callable[[Attacked], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class Row:
    """What the hub does, and the code in which it ends."""

    name: str
    code: str
    attack: Attack


def on_disk(attack: Callable[[Attacker], object]) -> Attack:
    """An attack by whoever writes the hub's disk."""

    def attacks(now: Attacked) -> None:
        attack(Attacker(now.network))

    return attacks


async def old_timestamp(now: Attacked) -> None:
    before = now.network.repository.files[TIMESTAMP_NAME]
    now.network.renew()
    await now.refresher.refresh()
    now.hub.timestamp = before
    now.hub.instead[TIMESTAMP_NAME] = before.decode()


def older_jp(attacker: Attacker) -> None:
    attacker.put("member-jp", attacker.path(metadata_name("member-jp", 1)).read_bytes(), 1)
    attacker.publish()


async def an_older_snapshot(now: Attacked) -> None:
    older = Attacker(now.network).lines[SNAPSHOT]
    now.network.change(replace(now.network.members["jp"], name="Another"))
    await now.refresher.refresh()
    attacker = Attacker(now.network)
    attacker.lines[SNAPSHOT] = older
    attacker.vouch()


def two_timestamps(now: Attacked) -> None:
    attacker = Attacker(now.network)
    attacker.publish()
    attacker.stamp -= 2
    attacker.vouch()


def frozen(now: Attacked) -> None:
    """The hub shows for ever what it showed first."""
    now.network.clock.time += 25 * HOUR


def frozen_for_who_was_away(now: Attacked) -> None:
    """The hub shows a version that was new, and is not vouched for any more."""
    now.network.change(now.network.members["jp"])
    now.network.clock.time += 25 * HOUR


def taken_and_not_shown(now: Attacked) -> None:
    """The hub says that it took our change, and goes on as before."""
    change = member_change(
        now.network.version, now.network.members["vn"], now.network.now, leave=[("jp-vn-2026", 1)]
    )
    intend(now.path, signed(change, active("vn")))


async def taken_and_another_shown(now: Attacked) -> None:
    """The hub says that it took our change, and shows another that an accomplice signed with our key."""
    taken_and_not_shown(now)
    with pytest.raises(Refused):
        await now.refresher.refresh()
    now.network.change(replace(now.network.members["vn"], name="Another"))


def left_out_for_a_newcomer(now: Attacked) -> None:
    """A node that lost its copy, and knows what it signed, is shown its role from before."""
    own = read_own(now.path)
    fresh(now)
    write_own(now.path, own)
    Attacker(now.network).vouch()
    old_role(Attacker(now.network))


def fresh(now: Attacked) -> None:
    """Leave of the node's copy the root alone."""
    shutil.rmtree(now.path)
    Layout(now.path).add({metadata_name("root", 1): now.network.root})
    now.restart()


def history_taken_back(attacker: Attacker) -> None:
    """Whoever got hold of jp's key for the directory lets jp never have had its key for notices."""
    entry = attacker.network.members["jp"]
    attacker.enter(replace(entry, keys=entry.keys[1:]), active("jp"))


def altered_on_the_way(now: Attacked) -> None:
    now.network.change(replace(now.network.members["jp"], name="Another"))
    name = metadata_name("member-jp", now.network.version.lines["member-jp"].number)
    text = now.network.repository.files[name].decode()
    now.hub.instead[name] = text.replace('"expires":"20', '"expires":"21')


def held_back(now: Attacked) -> None:
    now.network.change(now.network.members["jp"])
    now.hub.without.add(metadata_name("member-jp", now.network.version.lines["member-jp"].number))


def a_file_out_of_the_folder(now: Attacked) -> None:
    now.network.change(now.network.members["jp"])
    now.hub.instead["files/../../node.db"] = "x"


def a_file_that_is_too_large(now: Attacked) -> None:
    now.network.change(now.network.members["jp"])
    now.hub.instead["files/" + "0" * 64] = "x" * 5_000_001


def more_files_than_there_are(now: Attacked) -> None:
    now.network.change(now.network.members["jp"])
    now.hub.instead |= {f"files/{number:064x}": "" for number in range(MOST_FILES)}


def copy_and_hub_set_back(now: Attacked) -> None:
    """The node's copy came back from a backup, and the hub shows what was new then: the client remembers."""
    older = shutil.copytree(now.path, now.path.parent / "backup")
    disk = shutil.copytree(now.network.path, now.path.parent / "old-hub")
    shutil.rmtree(older / "client")
    now.network.change(now.network.members["jp"])
    Attacker(now.network).vouch()
    client = now.copy.take(dict(now.network.repository.files))
    assert client.newest.number > 0
    for folder in ("metadata", "files"):
        shutil.rmtree(now.path / folder)
        shutil.copytree(older / folder, now.path / folder)
    shutil.rmtree(older)
    now.hub.network = now.network.at(disk)
    now.hub.network.renew()
    now.restart()


def same_name_other_content(now: Attacked) -> None:
    """A file that the node has comes again with other content, as part of a version that is new to it."""
    name = metadata_name("member-jp", now.network.version.lines["member-jp"].number + 1)
    now.network.change(now.network.members["jp"])
    genuine = Layout(now.path)
    genuine.add({name: now.network.repository.files[name] + b" "})


# --- past versions --------------------------------------------------------------------------------------


def another_than_asked_for(now: Attacked) -> None:
    now.asked_for = b"no such version".ljust(32)


async def newer_than_the_newest(now: Attacked) -> None:
    """The hub decides under a version that it shows in no timestamp."""
    stamp = now.network.repository.files[TIMESTAMP_NAME]
    now.network.leave("vn", "jp-vn-2026", 1)
    now.asked_for = now.network.version.directory.version
    now.hub.timestamp = stamp


async def two_versions_on(now: Attacked) -> tuple[Attacker, int]:
    """Let the network go on by two versions; the node sees the last. Returns a forger of the first."""
    forger = Attacker(now.network)
    now.network.change(now.network.members["jp"])
    first = now.network.version.number
    targets = targets_change(now.network.version, delegations_of(now.network.version), now.network.now)
    now.network.take(signed(targets, *SECRETARIAT_2))
    targets = targets_change(now.network.version, delegations_of(now.network.version), now.network.now)
    now.network.take(signed(targets, *SECRETARIAT_2))
    await now.refresher.refresh()
    # From now on the forger's files are in place, and the genuine timestamp is shown.
    now.hub.timestamp = now.network.repository.files[TIMESTAMP_NAME]
    return forger, first


def forge_past(now: Attacked, forger: Attacker) -> None:
    forger.publish()
    name = metadata_name(SNAPSHOT, forger.number)
    now.asked_for = sha256(forger.path(name).read_bytes()).digest()
    now.hub.without.add(TIMESTAMP_NAME)


async def a_past_that_goes_back(now: Attacked) -> None:
    """A past version in which jp's role is older than in the version before."""
    forger, _ = await two_versions_on(now)
    forger.put("member-jp", forger.path(metadata_name("member-jp", 1)).read_bytes(), 1)
    forge_past(now, forger)


async def a_past_with_other_keys_for_us(now: Attacked) -> None:
    """A past version in which a secretariat that colludes let only one of our keys sign."""
    forger, _ = await two_versions_on(now)
    forger.delegate("vn", active("vn").public)
    forge_past(now, forger)


async def two_pasts_of_one_number(now: Attacked) -> None:
    forger, number = await two_versions_on(now)
    genuine = now.network.repository.files[metadata_name(SNAPSHOT, number)]
    await now.refresher.seek(sha256(genuine).digest())
    forge_past(now, forger)


ROWS = [
    Row("an older timestamp", "directory-rolled-back", old_timestamp),
    Row("an older snapshot", "directory-rolled-back", an_older_snapshot),
    Row("an older role of another", "directory-rolled-back", on_disk(older_jp)),
    Row("a member is forgotten", "directory-mixed", on_disk(a_member_that_left_is_forgotten)),
    Row("copy and hub are set back", "directory-rolled-back", copy_and_hub_set_back),
    Row("two snapshots of one number", "directory-equivocation", on_disk(two_snapshots)),
    Row("two files of one role and number", "directory-equivocation", on_disk(two_files_of_a_role)),
    Row("two timestamps of one number", "directory-equivocation", two_timestamps),
    Row("two files of one name", "directory-equivocation", same_name_other_content),
    Row("the same for ever", "directory-expired", frozen),
    Row("a version that nobody vouches for any more", "directory-expired", frozen_for_who_was_away),
    Row("our change is taken and not shown", "directory-withheld", taken_and_not_shown),
    Row("our change is taken and another shown", "directory-withheld", taken_and_another_shown),
    Row("our last word is left out for a fresh copy", "directory-withheld", left_out_for_a_newcomer),
    Row("another key under our name, by the secretariat", "directory-pin", on_disk(another_key_for_vn)),
    Row("we are no member any more", "directory-pin", on_disk(vn_is_no_member)),
    Row("a member that the hub made up", "directory-unsigned", on_disk(invented)),
    Row("a role altered on the way", "directory-mixed", altered_on_the_way),
    Row("a role held back", "directory-mixed", held_back),
    Row("a file out of the folder", "directory-malformed", a_file_out_of_the_folder),
    Row("more files than there are", "directory-malformed", more_files_than_there_are),
    Row(
        "the secretariat forgets a member that left",
        "directory-rolled-back",
        on_disk(targets_say(forget_left)),
    ),
    Row("so does the hub", "directory-rolled-back", on_disk(forgotten_by_all)),
    Row(
        "a member that left comes back without its history",
        "directory-rolled-back",
        on_disk(comes_back()),
    ),
    Row(
        "a member that left comes back with a revoked key",
        "directory-rolled-back",
        on_disk(comes_back(*member("left").keys, replace(REVOKED, revoked_at=None, reason=None))),
    ),
    Row(
        "a member that left comes back without the key that was stolen from it",
        "directory-rolled-back",
        on_disk(comes_back(*member("left").keys)),
    ),
    Row("a history of keys is taken back", "directory-rolled-back", on_disk(history_taken_back)),
    Row("a file that is too large", "directory-malformed", a_file_that_is_too_large),
    Row("another past version than asked for", "directory-mixed", another_than_asked_for),
    Row("a version that no timestamp names", "directory-equivocation", newer_than_the_newest),
    Row("a past version that goes back", "directory-mixed", a_past_that_goes_back),
    Row("a past version with other keys for us", "directory-pin", a_past_with_other_keys_for_us),
    Row("two past versions of one number", "directory-equivocation", two_pasts_of_one_number),
]


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> SignedNetwork:
    """A network of three members, of which one has left, with an agreement between the other two."""
    network = SignedNetwork(tmp_path_factory.mktemp("genuine") / "hub")
    network.join("jp", "vn", member("left", more=[REVOKED]))
    network.suspend("left")
    network.accede(AGREEMENT.encode(), "jp", "vn")
    return network


@pytest.fixture
def attacked(genuine: SignedNetwork, tmp_path: Path) -> Iterator[Attacked]:
    shutil.copytree(genuine.path, tmp_path / "hub")
    network = genuine.at(tmp_path / "hub")
    path = tmp_path / "vn"
    Layout(path).add({metadata_name("root", 1): network.root})
    write_own(path, Own(frozenset(publics((active("vn"), spare("vn"))))))
    with Store.open(tmp_path / "node.db") as store:
        yield Attacked(network, DiskHub(network), path, store)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_each_lie_of_a_hub_ends_in_its_own_code_and_nothing_of_it_is_taken(
    row: Row, attacked: Attacked
) -> None:
    assert await attacked.refresher.refresh()
    doing = row.attack(attacked)
    if doing is not None:
        await doing
    before = None if attacked.copy.timestamp() is None else attacked.source().load()
    own = read_own(attacked.path)

    asked_for, refresher = attacked.asked_for, attacked.refresher
    with pytest.raises(Refused) as caught:
        await (refresher.seek(asked_for) if asked_for else refresher.refresh())

    assert caught.value.code == row.code
    assert ("directory.refused", row.code) in attacked.alarms()
    if before is None:
        assert attacked.copy.timestamp() is None
    else:
        assert attacked.source().load() == before
        assert not attacked.asked_for or attacked.source().at(attacked.asked_for) is None
    assert (read_own(attacked.path).keys, own.next) == (own.keys, own.next)


async def test_there_is_no_past_before_the_newest_version(attacked: Attacked) -> None:
    with pytest.raises(DirectoryMixed):
        attacked.copy.take_past(attacked.network.version.directory.version, attacked.network.repository.files)


async def test_after_a_lie_the_truth_is_taken(attacked: Attacked) -> None:
    await attacked.refresher.refresh()
    altered_on_the_way(attacked)
    with pytest.raises(Refused):
        await attacked.refresher.refresh()
    attacked.hub.instead.clear()
    assert await attacked.refresher.refresh()
    assert attacked.source().load().members["jp"].name == "Another"


async def test_a_change_is_handed_over_once_also_when_the_answer_is_lost(attacked: Attacked) -> None:
    """The hub took it, and the node was cut before it heard so."""
    await attacked.refresher.refresh()
    taken_and_not_shown(attacked)
    change = intended(attacked.path)
    assert change is not None
    attacked.network.take(change)
    assert await attacked.refresher.refresh()
    assert attacked.hub.taken == []
    assert intended(attacked.path) is None
    assert read_own(attacked.path).signed == Signed(change.number, _digest(change.signed))
    assert attacked.alarms() == []


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
