"""`halong audit due`: what is to be erased, and since when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from broker.clock import SystemClock
from broker.commands.audit.reading import stored_log
from broker.commands.due import Named, due_at
from broker.configuration import HubConfig, load_hub_config
from broker.core.notice_json import time_to_json
from broker.progress import Tell, progress
from broker.services.orders import Orders
from broker.terminal import FOLDER, Command, Exit, answer, clean, json_option, say, style, table

OVERDUE_MS = 3_600_000
"""A hub that runs erases within seconds: what waits longer is not being done."""


@click.command(
    "due",
    cls=Command,
    examples=["halong audit due hub", "halong audit due hub --json | jq '.due[] | select(.overdue)'"],
)
@click.argument("folder", type=FOLDER)
@json_option
def due(folder: Path, as_json: bool) -> int:
    """List what the hub in FOLDER is to erase and has not yet, and since when.

    Due is what no receiver may keep any more, and what was ordered to be erased; a hub that runs erases it by
    itself.  What has been due for more than an hour is overdue, and the exit code is 1.
    """
    config, now = load_hub_config(folder), SystemClock().now()
    with progress("records") as tell:
        found = asyncio.run(_found(config, now, tell))
    overdue = [each for each in found if now - each.due.since > OVERDUE_MS]
    if as_json:
        answer({"due": [_object(each, overdue=each in overdue) for each in found], "overdue": len(overdue)})
    else:
        rows = [
            (
                clean((each.reference or each.due.statement.hex()).removeprefix("halong:")),
                each.due.ground.name.lower(),
                f"since {time_to_json(each.due.since)}",
                style("overdue", fg="red") if each in overdue else "",
            )
            for each in found
        ]
        for line in table(rows):
            say(line)
        say(f"{len(found):,} due, {len(overdue):,} of them overdue")
    return Exit.FAILED if overdue else Exit.HELD


async def _found(config: HubConfig, now: int, tell: Tell) -> list[Named]:
    async with stored_log(config) as log:
        return await due_at(log, Orders(config.root, config.network), now, tell)


def _object(each: Named, *, overdue: bool) -> dict[str, object]:
    return {
        "statement": each.due.statement.hex(),
        "reference": each.reference,
        "ground": each.due.ground.name.lower(),
        "order": None if each.due.order is None else each.due.order.hex(),
        "since": time_to_json(each.due.since),
        "overdue": overdue,
    }
