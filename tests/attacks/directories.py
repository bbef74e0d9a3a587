"""Who attacks the signed directory: with the hub's whole disk, its online key, and what others signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from securesystemslib.formats import encode_canonical

from broker.core.directory import Member
from broker.core.keys import PrivateKey, PublicKey
from broker.directory.building import member_change, snapshot_signed, timestamp_signed
from broker.directory.member_file import member_text
from broker.directory.roles import (
    SNAPSHOT,
    TARGETS,
    TIMESTAMP_NAME,
    delegated_paths,
    entry_path,
    file_name,
    metadata_name,
    role_of_member,
    signature_by,
    tuf_key,
)
from broker.directory.shapes import encoded
from broker.directory.versions import Line
from tests.ceremony import ONLINE, SECRETARIAT, SignedNetwork, publics, signed

SECRETARIAT_2 = SECRETARIAT[:2]
"""As many of the secretariat as must sign."""


def sign(file: Any, *keys: PrivateKey) -> bytes:
    """Return the file with signatures of these keys alone."""
    text = encode_canonical(file["signed"])
    assert text is not None
    signatures = [{"keyid": key.public.id.hex(), "sig": signature_by(key, text.encode())} for key in keys]
    return encoded(
        {"signed": file["signed"], "signatures": sorted(signatures, key=lambda each: each["keyid"])}
    )


def key_of(key: PublicKey) -> Any:
    """Return a key as metadata has it."""
    return tuf_key(key).to_dict()


class Attacker:
    """Writes the hub's disk; what it has put in place it can name in a snapshot and a timestamp of its own.

    Args:
        network: The network, with a folder that is the attacker's to spoil.
    """

    def __init__(self, network: SignedNetwork) -> None:
        self.network = network
        self.lines = dict(network.version.lines)
        self.number = network.version.number
        self.stamp = network.newest.number
        self.online = ONLINE
        data = self.path(metadata_name(SNAPSHOT, self.number)).read_bytes()
        self.lines[SNAPSHOT] = Line(self.number, sha256(data).hexdigest(), len(data))

    def path(self, name: str) -> Path:
        """Where a file is."""
        return self.network.path / name

    def place(self, role: str) -> Path:
        """Where the role's file in force is."""
        return self.path(metadata_name(role, self.lines[role].number))

    def read(self, role: str) -> Any:
        """Return the role's file in force, as plain values."""
        return json.loads(self.place(role).read_bytes())

    def put(self, role: str, data: bytes, number: int | None = None) -> None:
        """Put a role's file in place under a number, and name it from now on."""
        number = self.lines[role].number + 1 if number is None else number
        self.path(metadata_name(role, number)).write_bytes(data)
        self.lines[role] = Line(number, sha256(data).hexdigest(), len(data))

    def file(self, text: bytes) -> dict[str, Any]:
        """Put a file in place, and return how a role lists it."""
        digest = sha256(text).hexdigest()
        self.path(file_name(digest)).write_bytes(text)
        return {"hashes": {"sha256": digest}, "length": len(text)}

    def publish(self, number: int | None = None) -> None:
        """Sign a snapshot and a timestamp over what was put in place."""
        self.number += 1
        lines = {role: line for role, line in self.lines.items() if role != SNAPSHOT}
        signed_ = snapshot_signed(self.number if number is None else number, lines, self.network.now)
        self.put(SNAPSHOT, sign({"signed": signed_.to_dict()}, self.online), self.number)
        self.vouch()

    def vouch(self, **changes: Any) -> None:
        """Sign a timestamp over the newest snapshot."""
        self.stamp += 1
        signed_ = timestamp_signed(self.stamp, self.lines[SNAPSHOT], self.network.now).to_dict() | changes
        self.path(TIMESTAMP_NAME).write_bytes(sign({"signed": signed_}, self.online))

    def edit(self, role: str, edit: Callable[[Any], object], *keys: PrivateKey) -> None:
        """Edit what a role says, sign it with these keys, and publish it as its next number."""
        file = self.read(role)
        file["signed"]["version"] += 1
        edit(file["signed"])
        self.put(role, sign(file, *keys))
        self.publish()

    def delegate(self, id_: str, *keys: PublicKey, **changes: Any) -> None:
        """Put a secretariat's file in place, signed as it must be, with this delegation; publish nothing."""
        file = self.read(TARGETS)
        file["signed"]["version"] += 1
        delegations = file["signed"]["delegations"]
        role = {
            "name": role_of_member(id_),
            "keyids": [key.id.hex() for key in keys],
            "threshold": 1,
            "terminating": True,
            "paths": delegated_paths(id_),
        }
        gone = {each for old in delegations["roles"] if old["name"] == role["name"] for each in old["keyids"]}
        delegations["roles"] = [each for each in delegations["roles"] if each["name"] != role["name"]]
        delegations["roles"].append(role | changes)
        delegations["keys"] = {id_: key for id_, key in delegations["keys"].items() if id_ not in gone}
        delegations["keys"] |= {key.id.hex(): key_of(key) for key in keys}
        self.put(TARGETS, sign(file, *SECRETARIAT_2))

    def enter(self, member: Member, *keys: PrivateKey) -> None:
        """Publish a member's role with another entry, signed with these keys."""
        change = member_change(self.network.version, member, self.network.now)
        for text in change.files.values():
            self.file(text)
        role = role_of_member(member.id)
        self.put(role, signed(change, *keys).metadata(publics(keys)), change.number)
        self.publish()

    def enter_text(self, id_: str, text: str, *keys: PrivateKey) -> None:
        """Publish a member's role with any entry, signed with these keys."""
        listed = self.file(text.encode())
        self.edit(role_of_member(id_), lambda said: said["targets"].update({entry_path(id_): listed}), *keys)

    def entry(self, id_: str) -> str:
        """Return a member's entry."""
        return member_text(self.network.members[id_])
