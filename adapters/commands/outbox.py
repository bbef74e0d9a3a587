"""`halong outbox`: what a node without network gives along on a stick, and how a carrier hands it over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from adapters.commands.options import ask_for, dir_option
from broker.core.errors import BadStick, StickMissing
from broker.terminal import (
    READABLE,
    Command,
    Exit,
    Group,
    answer,
    from_error,
    json_option,
    note,
    say,
    style,
)

STICK = click.Path(dir_okay=False, path_type=Path)


@click.group(
    "outbox",
    cls=Group,
    examples=["halong outbox export out.stick --dir vn", "halong outbox import out.stick --dir carrier"],
)
def outbox() -> None:
    """Carry what a node without network says to the hub, by stick; docs/offline.md walks through it.

    What comes back is written by `halong feed export` and taken in by `halong feed import`.
    """


@outbox.command(
    "export",
    cls=Command,
    short_help="At the node: write a stick to the hub.",
    examples=[
        "halong outbox export /media/stick/out.stick --dir vn",
        "halong outbox export out.stick --dir vn --fresh    # after the node was restored from a backup",
    ],
)
@click.argument("file", type=STICK)
@click.option(
    "--fresh",
    is_flag=True,
    help="Begin anew after a restore: nothing goes out before the hub said where the node stands.",
)
@dir_option
@json_option
def export(file: Path, fresh: bool, folder: Path, as_json: bool) -> int:
    """Sign what is queued, and write all that the hub has not confirmed yet into FILE.

    The node must not run meanwhile.  A stick that is lost is made up for by the next one.
    """
    from adapters.configuration import load_node_config
    from adapters.stick.node import Exported
    from adapters.stick.offline import open_offline
    from broker.telemetry import quiet

    config = load_node_config(folder)

    async def work() -> Exported:
        async with open_offline(config, ask=ask_for(config)) as node:
            return await node.export(file, fresh=fresh)

    quiet()
    done = asyncio.run(work())
    if as_json:
        answer(
            {
                "file": str(file),
                "stick": done.number,
                "notices": done.notices,
                "receipts": done.receipts,
                "asks": done.asks,
                "unknown_streams": done.unknown,
            }
        )
        return Exit.HELD
    say(
        f"{style(f'stick {done.number}', bold=True)}  {count(done.notices, 'notice')},"
        f" {count(done.receipts, 'signed receipt')}   {file}"
    )
    for stream in done.unknown:
        note(f"  {stream}: the hub must first say where it stands; what waits goes along with the next stick")
    note(f"next, on the carrier: halong outbox import {file.name} --dir CARRIER")
    return Exit.HELD


@outbox.command(
    "import",
    cls=Command,
    short_help="At the carrier: hand it to the hub.",
    examples=[
        "halong outbox import /media/stick/out.stick --dir carrier",
        "halong outbox import out.stick --dir carrier --json",
    ],
)
@click.argument("file", type=READABLE)
@dir_option
@json_option
def import_(file: Path, folder: Path, as_json: bool) -> int:
    """Hand what a node without network gave along in FILE to the hub; doing it again is harmless."""
    from adapters.configuration import load_node_config
    from adapters.stick.carrier import Handed
    from adapters.stick.offline import open_carrier
    from broker.progress import progress
    from broker.telemetry import quiet

    async def work() -> Handed:
        async with open_carrier(load_node_config(folder)) as carrier:
            with progress("lines") as tell:
                return await carrier.take(file, lambda done: tell(done, None))

    quiet()
    with stick_at(file):
        done = asyncio.run(work())
    if as_json:
        answer(
            {
                "stick": done.number,
                "notices": done.notices,
                "refused": done.refused,
                "receipts": done.receipts,
            }
        )
        return Exit.HELD
    say(
        f"{style(f'stick {done.number}', bold=True)}  the hub has {count(done.notices, 'notice')}"
        f" and {count(done.receipts, 'receipt')} of it"
        + (f"; {style(f'{done.refused} refused', fg='red')}" if done.refused else "")
    )
    note("next: halong feed export back.stick, and back to the node with it")
    return Exit.HELD


@contextmanager
def stick_at(file: Path) -> Iterator[None]:
    """Tell of a stick that cannot be taken: which file, and what to do next."""
    try:
        yield
    except (BadStick, StickMissing) as error:
        next_step = (
            "take in that one first, or have it written again: halong feed export FILE --again"
            if isinstance(error, StickMissing)
            else "nothing was taken from it; a stick that is lost or damaged is simply written again"
        )
        raise from_error(error, where=f"{file}: {error.field}", next_step=next_step) from None


def count(number: int, what: str) -> str:
    """Return a number of things in words."""
    if number != 1:
        what = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{number:,} {what}"
