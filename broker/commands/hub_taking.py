"""`halong hub take`: changes of the directory come into force, and who asked to join is welcomed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from broker.clock import SystemClock
from broker.passphrases import asker, passphrase_option
from broker.terminal import (
    FOLDER,
    READABLE,
    Command,
    answer,
    confirm,
    json_option,
    note,
    say,
    style,
    yes_option,
)


@click.command(
    "take",
    cls=Command,
    examples=[
        "halong hub take secretariat/root-1.json secretariat/targets-1.json --dir hub",
        "halong hub take vn/join-request.json secretariat/targets-2.json --dir hub",
    ],
)
@click.argument("files", type=READABLE, nargs=-1, required=True)
@click.option(
    "--dir",
    "folder",
    type=FOLDER,
    default=Path(),
    envvar="HALONG_DIR",
    help="The hub's folder; this one, or $HALONG_DIR.",
)
@passphrase_option
@yes_option
@json_option
def take(files: Sequence[Path], folder: Path, passphrase_fd: int | None, yes: bool, as_json: bool) -> None:
    """Put signed changes of the directory into force, all of them or none, and welcome who asked to join.

    FILES are changes that enough people have signed, and join requests that the secretariat approved, in any
    order; what needs each other comes together.  A hub that runs takes it up by itself.
    """
    from broker.commands import hub_take
    from broker.commands.directory.signing import preview
    from broker.commands.held import held_at
    from broker.configuration import load_hub_config
    from broker.core.errors import BadConfiguration
    from broker.directory.admission import kind_of_file, read_join_request
    from broker.directory.change import Change
    from broker.directory.joining import MOST_BYTES, fingerprint
    from broker.files import read_sent

    config, held = load_hub_config(folder), held_at(folder)
    listed = {} if held.newest is None else held.newest.version.directory.known
    changes, applicants = [], []
    for path in files:
        data = read_sent(path, MOST_BYTES)
        match kind_of_file(data):
            case "directory-change/1":
                changes.append(Change.read(data))
            case "join-request/2":
                applicants.append(read_join_request(data, config.network, listed))
            case _:
                raise BadConfiguration("is no change of a directory and no join request", field=str(path))
    coming = hub_take.changes_of(held.newest, changes, applicants)
    for each in coming:
        preview(each, held, coming)
    for applicant in (each for each in applicants if each.csr):
        note(f"{style(applicant.member.id, bold=True)} gets a certificate and a welcome")
    confirm("Put it into force?", yes=yes)
    file = config.keys.passphrase_file
    ask = asker(passphrase_fd, None if file is None else config.path(file))
    taken = hub_take.take(folder, changes, applicants, SystemClock().now(), ask)
    version = taken.newest.version
    welcomes = {member: str(path) for member, path in taken.welcomes}
    if as_json:
        answer({"number": version.number, "version": version.directory.version.hex(), "welcomes": welcomes})
        return
    say(f"{style('in force', fg='green')} version {version.number} of the directory")
    for member, path in taken.welcomes:
        say(f"  welcome of {member}   {path}   {fingerprint(path.read_bytes())}")
    if welcomes:
        note("next: send each member its welcome; it runs `halong member join`")
