"""`halong key backup`, `halong key restore`: the private keys of a folder in one file under a passphrase.

The file is the container of `broker.backup.sealed`.  Keys on tokens are not in it: they never leave them.
"""

from __future__ import annotations

from pathlib import Path

import click

from broker.backup.folder import files_under, write_keys
from broker.backup.sealed import MOST_BYTES, seal, unseal
from broker.commands.key.folders import dir_option, keys_of
from broker.core.errors import BadConfiguration
from broker.files import read_sent, written
from broker.passphrases import asker, passphrase_option
from broker.terminal import READABLE, Command, answer, confirm, json_option, note, say, style, yes_option


@click.command(
    "backup",
    cls=Command,
    examples=[
        "halong key backup -o vn-keys.halong --dir vn",
        "halong key backup -o keys.halong --passphrase-fd 3",
    ],
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where it goes."
)
@dir_option
@passphrase_option
@json_option
def backup(output: Path, folder: Path, passphrase_fd: int | None, as_json: bool) -> None:
    """Copy the private keys of a hub or node into one file, sealed under a passphrase.

    Keep the file and the passphrase in two places.  Who has both is the member; who has neither when the
    machine is lost must be listed anew by the secretariat, and what was sealed to the lost keys stays sealed.
    """
    keys = keys_of(folder)
    names = sorted(path.as_posix() for path in files_under(folder, keys.contents.secret))
    on_tokens = [place.shown for _, place in keys.uses if place.token is not None]
    if output.exists():
        raise BadConfiguration("is there already, and a backup replaces none", field=str(output))
    said = asker(passphrase_fd)("passphrase for the copy")
    if said is None:
        raise click.UsageError("the copy is sealed: give --passphrase-fd, or type a passphrase on a terminal")
    sealed = seal({name: (folder / name).read_bytes() for name in names}, said.text)
    with written(output) as out:
        out.write(sealed)
    if as_json:
        answer(
            {
                "file": str(output),
                "keys": names,
                "not_in_it": on_tokens,
                "outside": list(keys.contents.outside),
            }
        )
        return
    say(f"{style('sealed', fg='green')} {len(names)} files of {keys.owner} into {output}")
    for name in names:
        say(f"  {name}")
    for place in on_tokens:
        note(f"not in it: {place}; a key on a token has a copy only if the token makes one")
    for each in keys.contents.outside:
        note(f"not in it: {each}, which is outside of the folder")


@click.command(
    "restore",
    cls=Command,
    examples=[
        "halong key restore vn-keys.halong --dir vn",
        "halong key restore vn-keys.halong --dir vn --yes",
    ],
)
@click.argument("file", type=READABLE)
@dir_option
@passphrase_option
@yes_option
@json_option
def restore(file: Path, folder: Path, passphrase_fd: int | None, yes: bool, as_json: bool) -> None:
    """Put the keys that `halong key backup` sealed into FILE back into a folder that has lost them.

    A key that is there is never replaced: move it away first, if it is really the wrong one.
    """
    data = read_sent(file, MOST_BYTES)
    said = asker(passphrase_fd)("passphrase of the copy")
    if said is None:
        raise click.UsageError(
            "the copy is sealed: give --passphrase-fd, or type its passphrase on a terminal"
        )
    keys = unseal(data, said.text)
    names = sorted(keys)
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise BadConfiguration(
            "there is a key already, and keys are not overwritten", field=str(folder / there[0])
        )
    for name in names:
        note(f"  {name}")
    confirm(f"Put them into {folder}?", yes=yes)
    write_keys(folder, keys)
    if as_json:
        answer({"folder": str(folder), "keys": names})
        return
    say(f"{style('restored', fg='green')} {len(names)} files into {folder}")
    note(f"next: halong doctor --dir {folder}")
