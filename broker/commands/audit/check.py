"""`halong audit check`: every part of a log against every other, at the hub or in an export of it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from broker.commands.audit.reading import newest_directory, stored_log
from broker.commands.audit.verdict import as_objects, say_findings, say_verdict
from broker.commands.export_check import check_export
from broker.commands.log_check import Checked, check_log
from broker.commands.log_files import CHECKPOINT, VKEY, Progress, read_export
from broker.configuration import HUB_FILE, HubConfig, load_hub_config
from broker.core.errors import BadConfiguration
from broker.core.note import LogKey
from broker.progress import progress
from broker.terminal import FOLDER, Command, Exit, answer, json_option, say, style, table


@click.command(
    "check",
    cls=Command,
    examples=[
        "halong audit check hub",
        "halong audit check log --from log-last-month --key 'halong-demo/log+0f5c…+AWx…' --json",
    ],
)
@click.argument("folder", type=FOLDER)
@click.option("--key", help="Of an export: the log's key as you have it from elsewhere, not from the export.")
@click.option("--from", "kept", type=FOLDER, help="Of an export: one that was kept, which it must continue.")
@json_option
def check(folder: Path, key: str | None, kept: Path | None, as_json: bool) -> int:
    """Check the whole log of the hub in FOLDER, or the export in FOLDER, every part against every other.

    At a hub: each leaf has its record and each record one leaf, numbers have no gap, every checkpoint is
    signed over the root of the leaves, and the tiles are what the leaves say, byte for byte.  In an export:
    the tiles are what its entries say, and its checkpoint is signed over them.  An export under no other key
    than its own could be anybody's: exit code 3, unless --key or --from is given.
    """
    started = time.monotonic()
    if (folder / HUB_FILE).exists():
        if key is not None or kept is not None:
            raise click.UsageError("--key and --from are for an export")
        config = load_hub_config(folder)
        log_key = LogKey.parse(newest_directory(config).log_key)
        with progress("leaves, records, tiles") as tell:
            checked = asyncio.run(_checked(config, log_key, tell))
    elif (folder / CHECKPOINT).exists():
        before = None if kept is None else read_export(kept)
        pinned = None if key is None else LogKey.parse(key)
        with progress("leaves") as tell:
            checked = check_export(folder, pinned, before, tell)
        log_key = read_export(folder).key
    else:
        raise BadConfiguration(
            f"is neither a hub's folder ({HUB_FILE}) nor an export ({CHECKPOINT}, {VKEY})", field=str(folder)
        )
    if as_json:
        answer(_as_object(checked, log_key))
    else:
        _show(checked, log_key, time.monotonic() - started)
    if checked.found:
        return Exit.FAILED
    return Exit.HELD if checked.verified else Exit.NOT_CHECKED


async def _checked(config: HubConfig, key: LogKey, tell: Progress) -> Checked:
    async with stored_log(config) as log:
        return await check_log(log, key, config.path(config.tiles), tell)


def _as_object(checked: Checked, key: LogKey) -> dict[str, object]:
    return {
        "log": "verified" if checked.verified else "failed" if checked.found else "not-checked",
        "leaves": checked.leaves,
        "root": checked.root.hex(),
        "log_key": key.vkey,
        "checkpoints": checked.checkpoints,
        "records": checked.records,
        "waiting": checked.waiting,
        "tiles": checked.tiles,
        "behind": checked.behind,
        "found": checked.found,
        "findings": as_objects(checked.findings),
    }


def _show(checked: Checked, key: LogKey, seconds: float) -> None:
    if checked.pinned or checked.found:
        say_verdict(checked.verified, checked.found, (checked.leaves, checked.checkpoints), seconds)
    else:
        held = style("what could be checked holds", fg="yellow", bold=True)
        say(f"{held}   the key came with the files: compare it with one from elsewhere, or give --key")
    rows = [
        ("records", f"{checked.records:,}", f"{checked.waiting:,} wait for their leaf"),
        ("tiles", f"{checked.tiles:,}", f"{checked.behind:,} leaves wait for their tiles"),
    ]
    for line in table(rows if checked.records else rows[1:]):
        say(line)
    say_findings(checked.root, key, checked.findings)
