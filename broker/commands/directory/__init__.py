"""`halong directory`: the signed list of members: how it begins, what is in it, and who signs its changes."""

from __future__ import annotations

import click

from broker.commands.directory.amending import amend
from broker.commands.directory.copying import copy, take
from broker.commands.directory.making import init
from broker.commands.directory.signing import merge, show, sign
from broker.terminal import Group

EXAMPLES = [
    "halong directory init secretariat --hub hub/hub.json",
    "halong directory sign targets-2.json --key file:/media/stick/secretariat-2.pem",
]


@click.group("directory", cls=Group, examples=EXAMPLES)
def directory() -> None:
    """Begin, show and sign the directory: who is a member, with which keys, under which agreements.

    A change travels as a file, by mail or stick, in any order, until enough people have signed it; then
    `halong hub take` puts it into force.
    """


for each in (init, show, sign, merge, amend, copy, take):
    directory.add_command(each)
