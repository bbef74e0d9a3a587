"""`halong audit`: what a stored log says, read by a process that has no part in it.

Decides which commands there are; each is in a file of its own.
"""

from __future__ import annotations

import click

from broker.commands.audit.check import check
from broker.commands.audit.count import count
from broker.commands.audit.doubt import doubt
from broker.commands.audit.evidence import evidence, redact
from broker.commands.audit.files import export, rebuild_tiles
from broker.terminal import Group


@click.group(
    "audit",
    cls=Group,
    examples=["halong audit count hub", "halong audit doubt hub --member vn --key 9f3a11c2"],
)
def audit() -> None:
    """Read the stored log back, count it and prove it."""


for each in (count, doubt, check, rebuild_tiles, export, evidence, redact):
    audit.add_command(each)
