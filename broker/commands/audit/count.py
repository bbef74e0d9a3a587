"""`halong audit count`: everything that the log covers, counted and verified."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from broker.commands.audit.reading import newest_directory, stored_log
from broker.commands.audit.verdict import as_objects, say_findings, say_verdict
from broker.commands.recount import Progress, Recount, recount
from broker.configuration import HubConfig, load_hub_config
from broker.core.note import LogKey
from broker.progress import progress
from broker.terminal import FOLDER, Command, Exit, answer, json_option, say, table


@click.command(
    "count",
    cls=Command,
    examples=["halong audit count hub", "halong audit count /var/lib/halong --json | jq .delivered"],
)
@click.argument("folder", type=FOLDER)
@json_option
def count(folder: Path, as_json: bool) -> int:
    """Count what the hub in FOLDER published, delivered and refused, and verify its log.

    Reads the stored records only, also while the hub runs: every leaf is held against its record, and every
    root that was signed against the leaves.  Counted is what the last signed checkpoint covers.
    """
    started = time.monotonic()
    config = load_hub_config(folder)
    directory = newest_directory(config)
    key = LogKey.parse(directory.log_key)
    with progress("records") as tell:
        counted = asyncio.run(_count(config, key, tell))
    if as_json:
        answer(as_object(counted))
    else:
        _show(counted, key, time.monotonic() - started)
    if not counted.checkpoints:
        return Exit.NOT_CHECKED
    return Exit.HELD if counted.verified else Exit.FAILED


async def _count(config: HubConfig, key: LogKey, tell: Progress) -> Recount:
    async with stored_log(config) as log:
        return await recount(log, key, tell)


def as_object(counted: Recount) -> dict[str, object]:
    """Return the answer under the names that scripts rely on."""
    return {
        "published": counted.published,
        "delivered": counted.delivered,
        "refused": counted.refused,
        "leaves": counted.leaves,
        "log": "verified" if counted.verified else "failed" if counted.checkpoints else "not-checked",
        "root": counted.root.hex(),
        "checkpoints": counted.checkpoints,
        "waiting": counted.waiting,
        "members": dict(sorted(counted.members.items())),
        "refusals": dict(sorted(counted.refusals.items())),
        "receipts": dict(sorted(counted.receipts.items())),
        "findings": as_objects(counted.findings),
    }


def _show(counted: Recount, log_key: LogKey, seconds: float) -> None:
    say_verdict(counted.verified, len(counted.findings), (counted.leaves, counted.checkpoints), seconds)
    rows = [
        ("published", f"{counted.published:,}", "statements admitted"),
        ("delivered", f"{counted.delivered:,}", _each(counted.members)),
        ("refused", f"{counted.refused:,}", _each(counted.refusals)),
        ("receipts", f"{sum(counted.receipts.values()):,}", _each(counted.receipts)),
        ("waiting", f"{counted.waiting:,}", "records after the last checkpoint"),
    ]
    width = max(len(number) for _, number, _ in rows)
    for line in table([(name, number.rjust(width), remark) for name, number, remark in rows]):
        say(line)
    say_findings(counted.root, log_key, counted.findings)


def _each(counts: dict[str, int]) -> str:
    return " · ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))
