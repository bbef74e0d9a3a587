"""`halong directory show | sign | merge`: what is in force, what a change changes, and who signs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from broker.commands.directory.options import dir_option, key_option
from broker.commands.held import Held, held_at
from broker.core.errors import BadConfiguration
from broker.directory.building import directory_keys
from broker.directory.change import MOST_CHANGE_BYTES, Change
from broker.directory.preview import describe, key_name, say_needs, short_id
from broker.directory.roles import ROOT, SNAPSHOT, TARGETS
from broker.directory.signers import Need, needs_of
from broker.files import read_sent, write_whole
from broker.keyring import KeyPlace, open_signer
from broker.passphrases import asker, passphrase_option
from broker.terminal import (
    READABLE,
    Command,
    answer,
    clean,
    confirm,
    json_option,
    note,
    say,
    style,
    table,
    yes_option,
)


@click.command(
    "show",
    cls=Command,
    examples=["halong directory show --dir hub", "halong directory show targets-2.json --dir secretariat"],
)
@click.argument("files", type=READABLE, nargs=-1)
@dir_option
@json_option
def show(files: tuple[Path, ...], folder: Path, as_json: bool) -> None:
    """Show the directory in force, or what the changes in FILES would change and who must still sign them."""
    held = held_at(folder)
    if files:
        changes = [read_change(each) for each in files]
        if as_json:
            answer({"changes": [as_json_of(each, held, changes) for each in changes]})
            return
        for each in changes:
            preview(each, held, changes, say_line=say)
        return
    version = held.version_in_force.version
    if as_json:
        answer(_version_as_json(held))
        return
    terms, at = version.terms, datetime.fromtimestamp(held.version_in_force.expires_at // 1000, UTC)
    until = f"vouched for until {at:%Y-%m-%d %H:%M} UTC"
    say(f"{style(terms.network, bold=True)}  version {version.number}, {until}")
    for role, words in ((ROOT, "root"), (TARGETS, "secretariat"), (SNAPSHOT, "hub")):
        found = terms.roles[role]
        names = ", ".join(key_name(key, terms.holders) for key in found.keys)
        say(clean(f"  {words}: {found.threshold} of {len(found.keys)}: {names}"))
    rows = [
        (
            id_,
            clean(listing.member.name),
            listing.member.member_class.value,
            ", ".join(short_id(key.id) for key in version.delegations[id_].keys),
            ", ".join(f"{name}/{number}" for name, number in sorted(listing.accessions)) or "no agreement",
        )
        for id_, listing in sorted(version.listings.items())
    ]
    for line in table(rows):
        say(line)
    if not rows:
        say("  no member yet")


def _version_as_json(held: Held) -> object:
    newest = held.version_in_force
    version = newest.version
    return {
        "network": version.terms.network,
        "version": version.directory.version.hex(),
        "number": version.number,
        "expires_at": newest.expires_at,
        "roles": {
            role: {"threshold": each.threshold, "keys": [key.id.hex() for key in each.keys]}
            for role, each in version.terms.roles.items()
        },
        "members": {
            id_: {
                "name": listing.member.name,
                "class": listing.member.member_class.value,
                "directory_keys": [key.id.hex() for key in version.delegations[id_].keys],
                "in_use": [key.id.hex() for key in directory_keys(listing.member)],
                "agreements": [f"{name}/{number}" for name, number in sorted(listing.accessions)],
            }
            for id_, listing in sorted(version.listings.items())
        },
    }


@click.command(
    "sign",
    cls=Command,
    examples=[
        "halong directory sign targets-2.json --key file:/media/stick/secretariat-2.pem --dir secretariat",
        "halong directory sign root-2.json --key 'pkcs11:token=r;object=root?module-path=/usr/lib/p11.so'",
    ],
)
@click.argument("files", type=READABLE, nargs=-1, required=True)
@key_option
@dir_option
@passphrase_option
@yes_option
@json_option
def sign(
    files: tuple[Path, ...], keys: tuple[str, ...], folder: Path, passphrase_fd: int | None, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Sign the changes in FILES with the keys at --key, after showing what each of them changes.

    The signature is written into the file, which goes on to whoever must sign next, or to the hub.
    """
    held, changes = held_at(folder), [read_change(each) for each in files]
    for each in changes:
        preview(each, held, changes)
    confirm("Sign?" if len(changes) == 1 else f"Sign all {len(changes)}?", yes=yes)
    signers = [open_signer(KeyPlace(each), ask=asker(passphrase_fd)) for each in keys]
    made = []
    for path, change in zip(files, changes, strict=True):
        asked = {key for need in needs(change, held, changes) for key in need.keys}
        able = [signer for signer in signers if signer.public in asked]
        if not able:
            raise BadConfiguration(
                f"none of these keys is asked for under {change.role} {change.number}", field=str(path)
            )
        for signer in able:
            change = change.sign(signer)
        write_whole(path, change.write())
        made.append(change)
    if as_json:
        answer({"changes": [as_json_of(each, held, made) for each in made]})
        return
    for path, change in zip(files, made, strict=True):
        say(f"{style('signed', fg='green')} {path}")
        say_missing(change, held, made)


@click.command(
    "merge",
    cls=Command,
    examples=[
        "halong directory merge from-a.json from-b.json -o targets-2.json",
        "halong directory merge root-2.json received/root-2.json -o root-2.json",
    ],
)
@click.argument("files", type=READABLE, nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where it goes."
)
@dir_option
@json_option
def merge(files: tuple[Path, ...], output: Path, folder: Path, as_json: bool) -> None:
    """Put the signatures of several copies of one change together."""
    first, *others = [read_change(each) for each in files]
    merged, held = first.merge(*others), held_at(folder)
    write_whole(output, merged.write())
    if as_json:
        answer({"file": str(output), "changes": [as_json_of(merged, held, [merged])]})
        return
    say(f"{style('merged', fg='green')} {len(files)} copies into {output}")
    say_missing(merged, held, [merged])


def read_change(path: Path) -> Change:
    """Return the change in a file that may come from anybody.

    Raises:
        DirectoryMalformed: It is none.
    """
    return Change.read(read_sent(path, MOST_CHANGE_BYTES))


def needs(change: Change, held: Held, together: Sequence[Change]) -> tuple[Need, ...]:
    """Return whose signatures a change needs, by the directory that is here and by what comes with it."""
    before = None if held.newest is None else held.newest.version
    return needs_of(change, before, together)


def preview(
    change: Change, held: Held, together: Sequence[Change], *, say_line: Callable[[str], None] = note
) -> None:
    """Say what a change would change, and who has signed it and who must still."""
    before = None if held.newest is None else held.newest.version
    first, *rest = describe(change, before, held.files)
    say_line(style(clean(first), bold=True))
    for line in (*rest, *say_needs(needs(change, held, together), _holders(held, together))):
        say_line(f"  {clean(line)}")


def say_missing(change: Change, held: Held, together: Sequence[Change]) -> None:
    """Say who must still sign a change, or that it can come into force."""
    for line in say_needs(needs(change, held, together), _holders(held, together)):
        say(f"  {clean(line)}")


def _holders(held: Held, together: Sequence[Change]) -> dict[str, str]:
    holders = dict(held.holders)
    for change in together:
        if change.role == ROOT:
            holders |= change.shape.holders
    return holders


def as_json_of(change: Change, held: Held, together: Sequence[Change]) -> dict[str, object]:
    """Return what a change would change, and who must still sign it, for `--json`."""
    before = None if held.newest is None else held.newest.version
    found = needs(change, held, together)
    return {
        "role": change.role,
        "number": change.number,
        "changes": list(describe(change, before, held.files)),
        "complete": not any(need.missing for need in found),
        "needs": [
            {
                "whose": need.whose,
                "threshold": need.threshold,
                "signed": [key.id.hex() for key in need.signed],
                "waiting": [key.id.hex() for key in need.waiting],
            }
            for need in found
        ],
    }
