"""What the commands of the directory share."""

from __future__ import annotations

from pathlib import Path

import click

from broker.terminal import FOLDER

dir_option = click.option(
    "--dir",
    "folder",
    type=FOLDER,
    default=Path(),
    envvar="HALONG_DIR",
    help="The folder of the secretariat, of a hub or a member; this one, or $HALONG_DIR.",
)
key_option = click.option(
    "--key",
    "keys",
    multiple=True,
    required=True,
    help="Where the key is: a file or a pkcs11: URI; more than one if several people are here.",
)
