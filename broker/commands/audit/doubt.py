"""`halong audit doubt`: what a stolen key puts in doubt, by the log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from broker.clock import SystemClock
from broker.commands.audit.reading import newest_directory, stored_log
from broker.commands.doubted import doubted
from broker.commands.recount import Progress
from broker.configuration import HubConfig, load_hub_config
from broker.core.directory import Directory, MemberKey
from broker.core.doubt import Doubtful, compromised_since
from broker.core.errors import BadConfiguration
from broker.core.notice_json import time_to_json
from broker.moments import moment
from broker.progress import progress
from broker.terminal import FOLDER, Command, Exit, answer, clean, json_option, say, table


@click.command(
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
    key = _key_of(newest_directory(config), member, key_id)
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
                clean(" ".join(each.members)) or "nobody",
            )
            for each in found
        ]
    ):
        say(line)
    reached = len({name for each in found for name in each.members})
    say(f"{len(found):,} statements in doubt since {time_to_json(start)}, delivered to {reached:,} members")
    return Exit.HELD


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
    async with stored_log(config) as log:
        return await doubted(log, member, key, since, tell)
