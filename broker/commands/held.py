"""The directory that a folder has: a secretariat's, a hub's, or a member's own copy.

Decides only where it is and which root is trusted there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.configuration import MEMBER_FILE, load_node_config
from broker.commands.secretariat import SECRETARIAT_FILE, load_secretariat, newest_of
from broker.configuration import HUB_FILE, load_hub_config
from broker.core.errors import BadConfiguration
from broker.directory.layout import Layout
from broker.directory.loading import load_newest
from broker.directory.roles import TIMESTAMP_NAME
from broker.directory.sources import trusted_root
from broker.directory.versions import Newest


@dataclass(frozen=True, slots=True)
class Held:
    """A directory that is here: its files, the version in force if there is one yet, and its network."""

    network: str
    files: Mapping[str, bytes]
    newest: Newest | None

    @property
    def version_in_force(self) -> Newest:
        """The version in force.

        Raises:
            BadConfiguration: There is none yet.
        """
        if self.newest is None:
            raise BadConfiguration("there is no directory here yet", field="directory")
        return self.newest

    @property
    def holders(self) -> Mapping[str, str]:
        """Who holds the keys of the network, by key id in hexadecimal."""
        return {} if self.newest is None else self.newest.version.terms.holders


def held_at(folder: Path) -> Held:
    """Return the directory of a folder.

    Raises:
        BadConfiguration: It is no folder of a secretariat, hub or member, or its settings cannot be used.
        UnfitDirectory: The directory is not genuine.
    """
    if (folder / SECRETARIAT_FILE).exists():
        secretariat = load_secretariat(folder)
        there = TIMESTAMP_NAME in secretariat.layout
        return Held(secretariat.network, secretariat.layout, newest_of(secretariat) if there else None)
    if (folder / HUB_FILE).exists():
        hub = load_hub_config(folder)
        return _held(hub.network, hub.path(hub.directory), None)
    if (folder / MEMBER_FILE).exists():
        node = load_node_config(folder)
        return _held(node.network, node.path(node.directory), node.member)
    raise BadConfiguration(
        f"there is no {SECRETARIAT_FILE}, no {HUB_FILE} and no {MEMBER_FILE} here", field=str(folder)
    )


def _held(network: str, path: Path, reader: str | None) -> Held:
    layout = Layout(path)
    if TIMESTAMP_NAME not in layout:
        return Held(network, layout, None)
    return Held(network, layout, load_newest(layout, trusted_root(path), reader=reader))
