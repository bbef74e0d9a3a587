"""`halong key`: the private keys of a hub or node: shown, made, and copied for the day they are lost."""

from __future__ import annotations

import click

from broker.commands.key.copies import backup, restore
from broker.commands.key.revoking import revoke
from broker.commands.key.rotating import rotate
from broker.commands.key.shown import make, show
from broker.terminal import Group

EXAMPLES = ["halong key show --dir vn", "halong key backup -o vn-keys.halong --dir vn"]


@click.group("key", cls=Group, examples=EXAMPLES)
def key() -> None:
    """Look after the private keys of a hub or of a member's node: files, or keys on tokens."""


for each in (show, make, rotate, revoke, backup, restore):
    key.add_command(each)
