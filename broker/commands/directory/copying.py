"""`halong directory copy | take`: the directory of the day as one file, to take away from the hub."""

from __future__ import annotations

from pathlib import Path

import click

from broker.commands.directory.options import dir_option
from broker.commands.held import held_at
from broker.commands.secretariat import first_root_of, load_secretariat, newest_of
from broker.directory.admission import as_text, written
from broker.directory.continuity import check_newest_follows
from broker.directory.handing import State, handed_to, read_state
from broker.directory.joining import MOST_BYTES
from broker.directory.layout import is_name
from broker.directory.loading import load_newest
from broker.directory.roles import TIMESTAMP_NAME
from broker.files import read_sent, write_whole
from broker.terminal import READABLE, Command, answer, json_option, note, say, style


@click.command(
    "copy",
    cls=Command,
    examples=[
        "halong directory copy -o directory.json --dir hub",
        "halong directory copy -o d.json --dir hub --json",
    ],
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where it goes."
)
@dir_option
@json_option
def copy(output: Path, folder: Path, as_json: bool) -> None:
    """Write the directory in force into one file, which `halong directory take` takes elsewhere."""
    held = held_at(folder)
    newest = held.version_in_force
    state = State(network=held.network, files=as_text(handed_to(None, newest, held.files)))
    write_whole(output, written(state))
    if as_json:
        answer({"file": str(output), "number": newest.version.number})
        return
    say(f"{style('copied', fg='green')} version {newest.version.number} of the directory to {output}")


@click.command(
    "take",
    cls=Command,
    examples=[
        "halong directory take directory.json --dir secretariat",
        "halong directory take directory.json",
    ],
)
@click.argument("file", type=READABLE)
@dir_option
@json_option
def take(file: Path, folder: Path, as_json: bool) -> None:
    """Bring the secretariat's copy of the directory up to date with FILE, from `halong directory copy`."""
    secretariat = load_secretariat(folder)
    layout = secretariat.layout
    sent = {
        name: data
        for name, data in read_state(read_sent(file, MOST_BYTES), secretariat.network).items()
        if is_name(name)
    }
    # 1. It is genuine, and follows from the root that this secretariat made.
    newest = load_newest(sent, first_root_of(secretariat, sent))
    # 2. It takes back nothing of what is here.
    if TIMESTAMP_NAME in layout:
        check_newest_follows(newest_of(secretariat), newest)
    layout.add(sent)
    if as_json:
        answer({"number": newest.version.number, "members": sorted(newest.version.listings)})
        return
    members = len(newest.version.listings)
    say(f"{style('up to date', fg='green')} version {newest.version.number}, {members} members")
    note("next: halong directory show, halong member approve REQUEST")
