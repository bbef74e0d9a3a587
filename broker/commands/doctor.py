"""`halong doctor`: a checklist of a folder, each line with what mends it.

Looks at files and stores as they lie there, and once at the hub.  It changes nothing and prints no secret.
"""

from __future__ import annotations

from pathlib import Path

import click

from broker.commands.checklist import Check, Mark
from broker.core.errors import BadConfiguration
from broker.terminal import FOLDER, Command, Exit, answer, clean, json_option, say, style, table

_SIGNS = {
    Mark.GOOD: ("✓", "green"),
    Mark.WARNING: ("!", "yellow"),
    Mark.BAD: ("✗", "red"),
}


@click.command(
    "doctor",
    cls=Command,
    examples=[
        "halong doctor --dir vn",
        "halong doctor --dir hub --json | jq '.checks[] | select(.mark != \"good\")'",
    ],
)
@click.option(
    "--dir",
    "folder",
    type=FOLDER,
    default=Path(),
    envvar="HALONG_DIR",
    help="The folder of a hub or of a node; this one, or $HALONG_DIR.",
)
@click.option("--offline", is_flag=True, help="Do not try to reach the hub.")
@json_option
def doctor(folder: Path, offline: bool, as_json: bool) -> int:
    """Check the folder of a hub or of a node: settings, keys, certificates, clock, disk, hub, log.

    Exit code 1 if something is broken; warnings alone do not count.
    """
    from adapters.configuration import MEMBER_FILE
    from broker.commands.hub_health import check_hub
    from broker.commands.node_health import check_node
    from broker.configuration import HUB_FILE

    if (folder / HUB_FILE).exists():
        kind, checks = "hub", check_hub(folder)
    elif (folder / MEMBER_FILE).exists():
        kind, checks = "member", check_node(folder, offline=offline)
    else:
        raise BadConfiguration(
            f"neither {HUB_FILE} nor {MEMBER_FILE} is here: name a folder with --dir, or make one with "
            "`halong init`",
            field=str(folder),
        )
    worst = max((check.mark for check in checks), default=Mark.GOOD)
    if as_json:
        answer(
            {
                "folder": str(folder),
                "kind": kind,
                "healthy": worst is not Mark.BAD,
                "checks": [
                    {
                        "name": check.name,
                        "mark": check.mark.name.lower(),
                        "found": check.found,
                        "mend": check.mend,
                    }
                    for check in checks
                ],
            }
        )
    else:
        _show(checks)
    return Exit.FAILED if worst is Mark.BAD else Exit.HELD


def _show(checks: list[Check]) -> None:
    rows = [
        (style(_SIGNS[check.mark][0], fg=_SIGNS[check.mark][1], bold=True), check.name, clean(check.found))
        for check in checks
    ]
    for line, check in zip(table(rows, indent="", gap="  "), checks, strict=True):
        say(line)
        if check.mark is not Mark.GOOD and check.mend:
            say(f"   {style('→', dim=True)} {check.mend}")
