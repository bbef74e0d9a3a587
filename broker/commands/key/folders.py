"""Whose private keys a folder has: a hub's or a node's, each with its use and its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from adapters.configuration import MEMBER_FILE, load_node_config
from broker.backup.folder import Contents
from broker.commands import hub_backup, node_backup
from broker.commands.hub_folder import AUTHORITY_KEY
from broker.configuration import HUB_FILE, load_hub_config
from broker.core.errors import BadConfiguration
from broker.keyring import KeyPlace
from broker.keyring.secret import Ask
from broker.passphrases import asker
from broker.terminal import FOLDER

dir_option = click.option(
    "--dir",
    "folder",
    type=FOLDER,
    default=Path(),
    envvar="HALONG_DIR",
    help="The folder of a hub or node; this one, or $HALONG_DIR.",
)


@dataclass(frozen=True, slots=True)
class FolderKeys:
    """The private keys of a folder.

    `uses` says what each key is for, and where it is.  `contents` is what a backup takes of the folder.
    """

    owner: str
    uses: Sequence[tuple[str, KeyPlace]]
    contents: Contents
    passphrase_file: Path | None

    def ask(self, descriptor: int | None) -> Ask:
        """Return who says the passphrases of these keys."""
        return asker(descriptor, self.passphrase_file)


def keys_of(folder: Path) -> FolderKeys:
    """Return the private keys of a folder.

    Raises:
        BadConfiguration: It is neither a hub's nor a node's, or its settings cannot be used.
    """
    if (folder / HUB_FILE).exists():
        hub = load_hub_config(folder)
        uses = [
            ("checkpoints of the log", hub.keys.log),
            ("newest version of the directory", hub.keys.online),
            ("transport", KeyPlace(str(hub.keys.tls))),
            ("authority of certificates", KeyPlace(str(AUTHORITY_KEY))),
        ]
        file = hub.keys.passphrase_file
        return FolderKeys(
            f"the hub of {hub.network}", uses, hub_backup.contents(hub), file and hub.path(file)
        )
    if (folder / MEMBER_FILE).exists():
        node = load_node_config(folder)
        uses = [("notices and receipts", node.keys.sign)]
        if node.keys.countersign is not None:
            uses.append(("countersignatures", node.keys.countersign))
        if node.keys.witness is not None:
            uses.append(("cosignatures of the log", node.keys.witness))
        uses.append(("what the member says of itself", node.keys.directory))
        uses.append(("transport", KeyPlace(str(node.keys.tls))))
        file = node.keys.passphrase_file
        return FolderKeys(node.member, uses, node_backup.contents(node), file and node.path(file))
    raise BadConfiguration(f"there is no {HUB_FILE} and no {MEMBER_FILE} here", field=str(folder))
