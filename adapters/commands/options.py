"""What the commands of a node share."""

from __future__ import annotations

from pathlib import Path

import click

from adapters.configuration import NodeConfig
from broker.keyring.secret import Ask
from broker.passphrases import asker
from broker.terminal import FOLDER

dir_option = click.option(
    "--dir",
    "folder",
    type=FOLDER,
    default=Path(),
    envvar="HALONG_DIR",
    help="The node's folder; this one, or $HALONG_DIR.",
)


def ask_for(config: NodeConfig, descriptor: int | None = None) -> Ask:
    """Return who says the passphrases of a node's keys."""
    file = config.keys.passphrase_file
    return asker(descriptor, None if file is None else config.path(file))
