"""`halong agreement`: written, checked, read, tried out, acceded to and left, by officers and lawyers.

Decides which commands there are.  `new`, `check` and `show` of a file need no hub, no node and no network;
the others look into the directory of the folder that `--dir` names, a hub's or a node's.
"""

from __future__ import annotations

import click

from broker.commands.agreement.check import check_command
from broker.commands.agreement.diff import diff_command
from broker.commands.agreement.explain import explain_command
from broker.commands.agreement.joining import accede_command, leave_command
from broker.commands.agreement.listing import list_command
from broker.commands.agreement.new import new_command
from broker.commands.agreement.show import show_command
from broker.commands.agreement.who import who_command
from broker.terminal import Group


@click.group(
    "agreement",
    cls=Group,
    examples=[
        "halong agreement new --template bilateral --party jp --party vn -o jp-vn-2027.toml",
        "halong agreement check jp-vn-2027.toml",
        "halong agreement show jp-vn-2027.toml --language vi",
    ],
)
def agreement() -> None:
    """Write, check, read, explain, accede to and leave agreements: nothing flows but by one."""


for command in (
    new_command,
    check_command,
    show_command,
    list_command,
    explain_command,
    who_command,
    diff_command,
    accede_command,
    leave_command,
):
    agreement.add_command(command)
