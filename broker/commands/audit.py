"""`halong audit`: what a stored log says, read by a process that has no part in it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from broker.clock import SystemClock
from broker.commands.doubted import doubted
from broker.commands.hub_folder import directory_of
from broker.commands.recount import Progress, Recount, recount
from broker.configuration import HubConfig, load_hub_config, tls_of
from broker.core.directory import Directory, MemberKey
from broker.core.doubt import Doubtful, compromised_since
from broker.core.errors import BadConfiguration
from broker.core.note import LogKey
from broker.core.notice_json import time_to_json
from broker.directory.layout import Layout
from broker.directory.loading import load_newest
from broker.directory.sources import is_signed, trusted_root
from broker.log import open_log
from broker.moments import moment
from broker.progress import progress
from broker.terminal import (
    FOLDER,
    Command,
    Exit,
    Group,
    answer,
    clean,
    json_option,
    say,
    style,
    table,
)

READ_SECONDS = 60.0
SHOWN_FINDINGS = 20


@click.group(
    "audit",
    cls=Group,
    examples=["halong audit count hub", "halong audit doubt hub --member vn --key 9f3a11c2"],
)
def audit() -> None:
    """Read the stored log back, count it and prove it."""


@audit.command(
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
    directory = _directory(config)
    key = LogKey.parse(directory.log_key)
    with progress("records") as tell:
        counted = asyncio.run(_count(config, key, tell))
    if as_json:
        answer(as_object(counted))
    else:
        _show(counted, directory.log_key, time.monotonic() - started)
    if not counted.checkpoints:
        return Exit.NOT_CHECKED
    return Exit.HELD if counted.verified else Exit.FAILED


@audit.command(
    "doubt",
    cls=Command,
    examples=[
        "halong audit doubt hub --member vn --key 9f3a11c2",
        "halong audit doubt hub --member vn --key 9f3a11c2 --since 2026-11-20T08:00Z --json",
    ],
)
@click.argument("folder", type=FOLDER)
@click.option("--member", required=True, help="Whose key it is.")
@click.option("--key", "key_id", required=True, help="The key's id, or its beginning.")
@click.option(
    "--since", help="As if it was stolen then: a time, a day, 12h or 30d ago; else as the directory says."
)
@json_option
def doubt(folder: Path, member: str, key_id: str, since: str | None, as_json: bool) -> int:
    """List the statements that a stolen key puts in doubt, by the log of the hub in FOLDER.

    These are what MEMBER signed with it and what was decided since it was stolen; what was decided before
    stands.  Each with its reference, when it was decided, and to whom it was delivered.
    """
    config = load_hub_config(folder)
    key = _key_of(_directory(config), member, key_id)
    if since is not None:
        start = moment(since, SystemClock().now())
    elif (told := compromised_since(key)) is not None:
        start = told
    else:
        raise click.UsageError("the directory does not say that this key was stolen: give --since")
    with progress("records") as tell:
        found = asyncio.run(_doubted(config, member, key.id, start, tell))
    if as_json:
        answer(
            {
                "member": member,
                "key": key.id.hex(),
                "since": time_to_json(start),
                "statements": [
                    {
                        "reference": each.reference,
                        "statement": each.statement.hex(),
                        "type": each.notice_type,
                        "decided_at": time_to_json(each.decided_at),
                        "delivered_to": list(each.members),
                    }
                    for each in found
                ],
            }
        )
        return Exit.HELD
    for line in table(
        [
            (
                clean(each.reference.removeprefix("halong:")),
                clean(each.notice_type),
                time_to_json(each.decided_at),
                " ".join(each.members) or "nobody",
            )
            for each in found
        ]
    ):
        say(line)
    reached = len({name for each in found for name in each.members})
    say(f"{len(found):,} statements in doubt since {time_to_json(start)}, delivered to {reached:,} members")
    return Exit.HELD


def _directory(config: HubConfig) -> Directory:
    """Return the newest directory, also one that nobody vouches for any more: the log is as old as it is."""
    path = config.path(config.directory)
    if is_signed(path):
        return load_newest(Layout(path), trusted_root(path)).version.directory
    return directory_of(config).load()


def _key_of(directory: Directory, member: str, named: str) -> MemberKey:
    found = directory.members.get(member)
    if found is None:
        raise BadConfiguration(f"the directory has no member {clean(member)}", field="--member")
    plain = named.replace(" ", "").lower()
    keys = [each for each in found.keys if plain and each.id.hex().startswith(plain)]
    if len(keys) != 1:
        many = "no key" if not keys else f"{len(keys)} keys"
        raise BadConfiguration(f"{many} of {clean(member)} with this id", field="--key")
    return keys[0]


async def _doubted(config: HubConfig, member: str, key: bytes, since: int, tell: Progress) -> list[Doubtful]:
    opening = open_log(config.log_url, read_only=True, tls=tls_of(config), step_seconds=READ_SECONDS)
    async with opening as log:
        return await doubted(log, member, key, since, tell)


async def _count(config: HubConfig, key: LogKey, tell: Progress) -> Recount:
    opening = open_log(config.log_url, read_only=True, tls=tls_of(config), step_seconds=READ_SECONDS)
    async with opening as log:
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
        "findings": [
            {"where": finding.where, "what": finding.what, "code": finding.code}
            for finding in counted.findings
        ],
    }


def _show(counted: Recount, log_key: str, seconds: float) -> None:
    if counted.verified:
        size = f"{counted.leaves:,} leaves, {counted.checkpoints:,} signed checkpoints, in {seconds:.1f} s"
        say(f"{style('log verified', fg='green', bold=True)}   {size}")
    elif counted.checkpoints:
        say(f"{style('log NOT verified', fg='red', bold=True)}   {len(counted.findings):,} findings")
    else:
        say("nothing is signed yet, so there is nothing to verify")
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
    say(f"  root        {counted.root.hex()}")
    say(f"  log key     {log_key}")
    for finding in counted.findings[:SHOWN_FINDINGS]:
        code = f" ({finding.code})" if finding.code is not None else ""
        say(f"  {style('✗', fg='red')} {finding.where}: {finding.what}{code}")


def _each(counts: dict[str, int]) -> str:
    return " · ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))
