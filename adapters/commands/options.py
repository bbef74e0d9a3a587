"""What the commands of a node share."""

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
    help="The node's folder; this one, or $HALONG_DIR.",
)
