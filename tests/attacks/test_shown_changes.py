"""A change that comes by mail from whoever wants a signature: it says what it does, or it is refused.

Whoever signs reads the preview and nothing else.  So each thing that is signed has a line in it, and what no
reader would take is said to be so.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from broker.core.errors import DirectoryMalformed
from broker.directory.building import delegations_of, member_change, root_change, targets_change
from broker.directory.change import Change
from broker.directory.preview import describe
from broker.directory.roles import entry_path, file_name
from tests.attacks.directories import Attacker, key_of
from tests.ceremony import NOW, SignedNetwork, active, member, private, terms

EVIL = private("evil").public

Edit = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Row:
    """A change that is edited before it is sent, and what the preview says of it; empty if it is refused."""

    name: str
    role: str
    edit: Edit
    said: str = ""


def timestamp_key(signed: Any) -> None:
    signed["keys"][EVIL.id.hex()] = key_of(EVIL)
    signed["roles"]["timestamp"]["keyids"] = [EVIL.id.hex()]


def holders_swapped(signed: Any) -> None:
    first, second, *_ = signed["roles"]["root"]["keyids"]
    names = signed["holders"]
    names[first], names[second] = names[second], names[first]


def delegation_of_jp(**changes: Any) -> Edit:
    return lambda signed: signed["delegations"]["roles"][0].update(changes)


def a_key_for_nothing(signed: Any) -> None:
    signed["delegations"]["keys"][EVIL.id.hex()] = key_of(EVIL)


def a_member_forgotten(signed: Any) -> None:
    gone = signed["delegations"]["roles"].pop(0)
    for each in gone["keyids"]:
        del signed["delegations"]["keys"][each]


def another_that_left(signed: Any) -> None:
    a_key_for_nothing(signed)
    roles = signed["delegations"]["roles"]
    roles.append(roles[0] | {"name": "member-xx", "keyids": [EVIL.id.hex()], "paths": []})


def left_with_another_key(signed: Any) -> None:
    a_key_for_nothing(signed)
    signed["delegations"]["roles"][0].update(paths=[], keyids=[EVIL.id.hex()])


def a_member_twice(signed: Any) -> None:
    roles = signed["delegations"]["roles"]
    roles.append(roles[0] | {"keyids": roles[1]["keyids"]})


def lists(path: str) -> Edit:
    return lambda signed: signed["targets"].update({path: next(iter(signed["targets"].values()))})


ROWS = [
    Row(
        "another key for timestamps alone",
        "root",
        timestamp_key,
        "keys of the hub for timestamps: from now on",
    ),
    Row("the names of two holders are swapped", "root", holders_swapped, "is now held by root holder 2"),
    Row("nobody is named any more", "root", lambda s: s["holders"].clear(), "held by nobody who is named"),
    Row("a root that is not the next", "root", lambda s: s.update(version=9), "is not 2, the next"),
    Row("a key of the root twice", "root", lambda s: s["roles"]["root"]["keyids"].append(EVIL.id.hex())),
    Row("all files for one member", "targets", delegation_of_jp(paths=["*"]), "other than its own files"),
    Row(
        "both keys of a member must sign",
        "targets",
        delegation_of_jp(threshold=2),
        "other than its own files",
    ),
    Row("the search goes on", "targets", delegation_of_jp(terminating=False), "other than its own files"),
    Row("a member that is forgotten", "targets", a_member_forgotten, "would be forgotten"),
    Row("one who was no member has left", "targets", another_that_left, "without having been a member"),
    Row("a member has left with another key", "targets", left_with_another_key, "other keys than its own"),
    Row("a member has left", "targets", delegation_of_jp(paths=[]), "jp is no longer a member"),
    Row("a key for nothing", "targets", a_key_for_nothing, "signs for nobody"),
    Row("one member with the keys of another, too", "targets", a_member_twice),
    Row("a member by the name of a role", "targets", delegation_of_jp(name="root")),
    Row("no such day", "targets", lambda s: s.update(expires="2027-13-45T00:00:00Z")),
    Row("the entry of another", "member-vn", lists("members/jp.toml"), "not its own"),
    Row("a line of its own", "member-vn", lists("members/vn/agreements/x\n signed/1.toml"), "not its own"),
]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> SignedNetwork:
    network = SignedNetwork(tmp_path_factory.mktemp("changes") / "hub")
    network.join("jp", "vn")
    return network


def edited(network: SignedNetwork, role: str, edit: Edit) -> bytes:
    """A change of nothing, edited, as it comes by mail."""
    match role:
        case "root":
            change = root_change(terms(), 2, NOW)
        case "targets":
            change = targets_change(network.version, delegations_of(network.version), NOW)
        case _:
            change = member_change(network.version, member("vn"), NOW)
    assert describe(change, network.version)[1:] == ("nothing else changes",)
    sent = json.loads(change.write())
    edit(sent["signed"])
    return json.dumps(sent).encode()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_nothing_is_signed_that_was_not_shown(row: Row, network: SignedNetwork) -> None:
    data = edited(network, row.role, row.edit)
    if not row.said:
        with pytest.raises(DirectoryMalformed):
            describe(Change.read(data), network.version)
        return
    lines = describe(Change.read(data), network.version)
    assert any(row.said in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_an_entry_that_lies_here_altered_is_not_shown_as_the_one_that_is_signed(
    network: SignedNetwork,
) -> None:
    change = member_change(network.version, member("vn"), NOW)
    digest = change.entry_digest
    assert digest is not None
    text = change.files[digest].replace(b"Customs of vn", b"Customs of xx")
    bare = Change(change.role, change.number, change.signed, frozenset(), {})
    lines = describe(bare, network.version, {file_name(digest): text})
    assert any("its entry is not here" in line for line in lines)


def test_a_member_cannot_make_others_carry_more_than_a_hub_hands_out(
    network: SignedNetwork, tmp_path: Path
) -> None:
    """It lists long agreements with everybody as their parties; nobody else need accede."""
    shutil.copytree(network.path, tmp_path / "hub")
    attacker = Attacker(network.at(tmp_path / "hub"))
    file = attacker.read("member-vn")["signed"]["targets"][entry_path("vn")]
    many = {
        f"members/vn/agreements/long-{number}/1.toml": file | {"length": 256 * 1024} for number in range(16)
    }
    attacker.edit("member-vn", lambda signed: signed["targets"].update(many), active("vn"))
    with pytest.raises(DirectoryMalformed, match="more than"):
        attacker.network.source().load()
