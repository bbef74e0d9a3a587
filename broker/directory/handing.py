"""What of the directory is handed out as one file: to the secretariat all, to a member what it may have.

Decides nothing about what is genuine: whoever gets such a file looks at all of it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Literal

import msgspec

from broker.core.errors import BadConfiguration, WeakKey
from broker.core.keys import Algorithm, PublicKey, check_registrable
from broker.core.note import LogKey
from broker.core.wire import json_shape
from broker.directory.joining import decoded
from broker.directory.roles import ROOT, TIMESTAMP_NAME, file_name, metadata_name
from broker.directory.versions import Newest, Version


@json_shape
class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The directory of a day: every file of its newest version, and every root before."""

    halong: Literal["directory/1"] = "directory/1"
    network: str
    files: dict[str, str]


def handed_to(reader: str | None, newest: Newest, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of the newest version that a reader may have, with all roots and the timestamp.

    Args:
        reader: A member, or who is about to be one; None is the secretariat, which may have all.
        newest: The version.
        files: All that is there.
    """
    version = newest.version
    names = version.names if reader is None else readable(version, reader)
    roots = {metadata_name(ROOT, each) for each in range(1, version.lines[ROOT].number + 1)}
    wanted = sorted(names | {name for name in roots if name in files})
    return {**{name: files[name] for name in wanted}, TIMESTAMP_NAME: files[TIMESTAMP_NAME]}


def readable(version: Version, member: str) -> frozenset[str]:
    """Return the names of the files of a version that a member may have: of agreements, its own."""
    withheld = {
        file_name(each.digest.hex()) for each in version.directory.agreements if member not in each.parties
    }
    # An entry is everybody's, also one with the bytes of an agreement.
    entries = {file_name(sha256(each.entry).hexdigest()) for each in version.known.values()}
    return version.names - (withheld - entries)


def read_state(data: bytes, network: str) -> dict[str, bytes]:
    """Return the files of a directory that was sent.

    Raises:
        BadConfiguration: It is none, or that of another network.
    """
    state = decoded(data, State, "a copy of a directory")
    if state.network != network:
        raise BadConfiguration("the copy is of another network's directory", field="network")
    return {name: text.encode() for name, text in state.files.items()}


@json_shape
class HubCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a hub tells the secretariat of itself at the beginning: which keys a root must name."""

    halong: Literal["hub/1"] = "hub/1"
    network: str
    log_key: str
    online: dict[str, str]

    @property
    def online_key(self) -> PublicKey:
        """The hub's key for snapshot and timestamp.

        Raises:
            BadConfiguration: It is none.
        """
        try:
            ((algorithm, raw),) = self.online.items()
            return PublicKey(Algorithm(algorithm), bytes.fromhex(raw))
        except (ValueError, WeakKey):
            raise BadConfiguration("the hub's online key is none", field="online") from None


def hub_card(network: str, log_key: str, online: PublicKey) -> HubCard:
    """Return the card of a hub."""
    return HubCard(network=network, log_key=log_key, online={online.algorithm.value: online.raw.hex()})


def read_hub_card(data: bytes) -> HubCard:
    """Return what a hub tells of itself.

    Raises:
        BadConfiguration: It is no such file, or a key in it is none.
    """
    card = decoded(data, HubCard, "what a hub tells of itself")
    LogKey.parse(card.log_key)
    check_registrable(card.online_key)
    return card
