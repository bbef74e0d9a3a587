"""`halong feed export`, `halong feed import`: what comes back from the hub to a node without network."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from adapters.commands.options import ask_for, dir_option
from adapters.commands.outbox import STICK, count, stick_at
from broker.core.errors import HalongError
from broker.core.notice_json import time_or_none
from broker.moments import local
from broker.terminal import READABLE, Command, Exit, answer, clean, json_option, note, say, style


@click.command(
    "export",
    cls=Command,
    short_help="At a carrier: write a stick to the node.",
    examples=[
        "halong feed export /media/stick/back.stick --for vn --dir carrier",
        "halong feed export more.stick --dir carrier    # what came since",
        "halong feed export back.stick --again --dir carrier    # the last one was lost",
    ],
)
@click.argument("file", type=STICK)
@click.option("--for", "member", help="The member it is for; that of the carrier's folder if not given.")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0, 600),
    default=20.0,
    show_default=True,
    help="How many seconds the hub has to decide what was handed over.",
)
@click.option("--again", is_flag=True, help="Begin where the node stands, not where the last one ended.")
@dir_option
@json_option
def export(
    file: Path, member: str | None, wait_seconds: float, again: bool, folder: Path, as_json: bool
) -> int:
    """Write what the hub has for a node without network into FILE: proofs of what it sent, and the feed.

    It answers the stick that `halong outbox import` handed over last.
    """
    from adapters.configuration import load_node_config
    from adapters.stick.carrier import Fetched
    from adapters.stick.offline import open_carrier
    from broker.telemetry import quiet

    config = load_node_config(folder)
    if member not in (None, config.member):
        raise click.UsageError(f"this carrier carries for {config.member}")

    async def work() -> Fetched:
        async with open_carrier(config) as carrier:
            return await carrier.bring(file, wait_seconds=wait_seconds, again=again)

    quiet()
    with stick_at(file):
        done = asyncio.run(work())
    if as_json:
        answer(
            {
                "file": str(file),
                "stick": done.number,
                "part": done.part,
                "deliveries": done.deliveries,
                "proven": done.proven,
                "asked": done.asked,
                "behind": done.behind,
            }
        )
        return Exit.HELD
    say(
        f"{style(f'stick {done.number}, part {done.part}', bold=True)}  {count(done.deliveries, 'delivery')},"
        f" proofs of {done.proven:,} of {count(done.asked, 'notice')}   {file}"
    )
    if done.behind:
        note(f"  {done.behind:,} more at the hub: write another one for them")
    note(f"next, at the node: halong feed import {file.name} --dir {config.member}")
    return Exit.HELD


@click.command(
    "import",
    cls=Command,
    short_help="At a node: check it and hand it on.",
    examples=[
        "halong feed import /media/stick/back.stick --dir vn",
        "halong feed import back.stick --dir vn --json",
    ],
)
@click.argument("file", type=READABLE)
@dir_option
@json_option
def import_(file: Path, folder: Path, as_json: bool) -> int:
    """Check what FILE brings from the hub as if it had come over the network, and hand it on.

    The node must not run meanwhile.  Nothing is trusted but the pinned keys; taking a stick in twice changes
    nothing.  Exit code 1 if something on it did not hold: what came before that counts.
    """
    from adapters.configuration import load_node_config
    from adapters.stick.node import Imported
    from adapters.stick.offline import open_offline
    from broker.telemetry import quiet

    config = load_node_config(folder)

    async def work() -> Imported:
        async with open_offline(config, ask=ask_for(config)) as node:
            return await node.import_(file)

    quiet()
    with stick_at(file):
        done = asyncio.run(work())
    stopped = done.stopped
    end = Exit.HELD if stopped is None and done.head is None else Exit.FAILED
    if as_json:
        answer(
            {
                "stick": done.number,
                "part": done.part,
                "proven": done.proven,
                "refused": done.refused,
                "deliveries": done.deliveries,
                "behind": done.behind,
                "stopped": _problem(stopped),
                "head": _problem(done.head),
                "whole_to": done.whole_to,
                "whole_at": time_or_none(done.whole_at),
            }
        )
        return end
    say(
        f"{style(f'stick {done.number}, part {done.part}', bold=True)}  {count(done.deliveries, 'delivery')}"
        f" taken in, {count(done.proven, 'notice')} of ours proven"
        + (f"; {style(f'{done.refused} refused', fg='red')}" if done.refused else "")
    )
    for wrong, error in (
        ("the feed stands still", stopped),
        ("the inbox is not what the hub says of it", done.head),
    ):
        if error is not None:
            what = clean(f"{error} [{error.code}] {error.field or ''}".rstrip())
            note(f"  {style(wrong, fg='red')}: {what}")
    if end is not Exit.HELD:
        note(f"  see `halong doctor --offline --dir {folder}`; keep the stick as evidence")
    if done.whole_at is None:
        note("  that nothing is missing is not proven yet: no head of the hub has agreed with what is here")
    else:
        note(
            f"  nothing is missing up to place {done.whole_to:,}, by the hub's head of {local(done.whole_at)}"
        )
    if done.behind:
        note(f"  {done.behind:,} more were at the hub: they come with another stick")
    note("next: halong outbox export, whose stick takes along the receipts for these")
    return end


def _problem(error: HalongError | None) -> dict[str, str | None] | None:
    """Return code and field of what did not hold, as they are in JSON."""
    return None if error is None else {"code": error.code, "field": error.field}
