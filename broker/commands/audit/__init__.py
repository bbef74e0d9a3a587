"""`halong audit`: what a stored log says, read by a process that has no part in it.

Decides which commands there are; each is in a file of its own.
"""

from __future__ import annotations

import click

from broker.commands.audit.check import check
from broker.commands.audit.conduct import gaps_command, read_command, refused_command
from broker.commands.audit.count import count
from broker.commands.audit.doubt import doubt
from broker.commands.audit.due import due
from broker.commands.audit.evidence import evidence, redact
from broker.commands.audit.files import export, rebuild_tiles
from broker.commands.audit.network import effect_command, index_command, members_command
from broker.commands.audit.notices import life_command, received_command, search_command
from broker.terminal import Group


@click.group(
    "audit",
    cls=Group,
    examples=["halong audit life vn/asia-pacific/main/17 --dir hub", "halong audit count hub"],
)
def audit() -> None:
    """Ask the stored log what happened, count it and prove it."""


QUESTIONS = (
    life_command,
    received_command,
    read_command,
    refused_command,
    gaps_command,
    members_command,
    effect_command,
    search_command,
    index_command,
)

for each in (*QUESTIONS, count, doubt, due, check, rebuild_tiles, export, evidence, redact):
    audit.add_command(each)
