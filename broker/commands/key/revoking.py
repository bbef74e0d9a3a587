"""`halong key revoke`: a key counts no more, and what it signed since somebody else had it is in doubt."""

from __future__ import annotations

from pathlib import Path

import click

from adapters.commands.options import ask_for, dir_option
from adapters.configuration import NodeConfig, load_node_config
from adapters.key_changes import Ending, hand_over, listed_key, revoked, standing_of
from adapters.sending.doubtful import doubtful_since
from adapters.store import Store
from broker.clock import SystemClock
from broker.commands.key.moments import moment_option, said_moment
from broker.core.directory import MemberKey, Revocation, Use
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm
from broker.directory.preview import describe, say_needs
from broker.directory.signers import needs_of
from broker.keyring import KeyPlace, open_signer
from broker.passphrases import passphrase_option
from broker.terminal import Command, answer, clean, confirm, json_option, note, say, style, yes_option

REASONS = {each.value: each for each in Revocation}
SHOWN = 20


@click.command(
    "revoke",
    cls=Command,
    short_help="Let a key count no more.",
    examples=[
        "halong key revoke '9f3a 11c2' --reason compromised --since 2026-11-20T08:00Z --dir vn",
        "halong key revoke 9f3a11c2 --reason superseded --dir vn",
    ],
)
@click.argument("key_id", metavar="FINGERPRINT")
@click.option("--reason", type=click.Choice(sorted(REASONS)), required=True)
@moment_option
@click.option("--key", help="A key for the directory that signs this; the one of the settings.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to carry to the hub."
)
@dir_option
@passphrase_option
@yes_option
@json_option
def revoke(
    key_id: str, reason: str, since: str | None, key: str | None, output: Path | None, folder: Path,
    passphrase_fd: int | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Let the key of this FINGERPRINT, of which its beginning is enough, count no more.

    superseded: another took its place, and all that was decided before stands.  compromised: somebody else
    may have had it since then; what it signed from there on is in doubt, and is listed here.
    """
    config, now = load_node_config(folder), SystemClock().now()
    standing, ask = standing_of(config, SystemClock()), ask_for(config, passphrase_fd)
    found, ending = listed_key(standing.member, key_id), Ending(REASONS[reason], said_moment(since, now))
    if isinstance(found, MemberKey) and found.use is Use.DIRECTORY:
        raise BadConfiguration(
            "a key for the directory ends when another takes its place: `halong key rotate directory "
            f"--reason {reason}`",
            field="key",
        )
    where = config.keys.directory if key is None else KeyPlace(key)
    signer = open_signer(where, config.root if key is None else Path(), ask)
    change = standing.change(revoked(standing.member, found, ending), now, [signer])
    for line in (*describe(change, standing.version), *say_needs(needs_of(change, standing.version), {})):
        note(f"  {clean(line)}")
    compromised = ending.reason is Revocation.COMPROMISED
    doubtful = _signed_since(config, found.id, ending.since) if compromised else []
    if compromised:
        note(f"{len(doubtful):,} of our statements are in doubt: signed with this key since then")
        for reference in doubtful[:SHOWN]:
            note(f"  {reference}")
        if len(doubtful) > SHOWN:
            note(f"  and {len(doubtful) - SHOWN:,} more: --json lists them all")
    if not _others(standing.member.keys, found, now):
        note("no other key for notices is listed: until one is, nothing of ours is taken")
    confirm("Revoke it?", yes=yes)
    path = hand_over(standing, change, output)
    if as_json:
        answer({"key": found.id.hex(), "signed": str(path), "doubtful": doubtful})
        return
    say(f"{style('signed', fg='green')} {path}")
    note("next: nothing: the node hands it to the hub" if output is None else "next: carry it to the hub")


def _others(keys: tuple[MemberKey, ...], found: object, now: int) -> bool:
    return any(
        each is not found
        and each.use is Use.SIGN
        and each.public.algorithm is not Algorithm.ML_DSA_65
        and each.valid_at(now)
        for each in keys
    )


def _signed_since(config: NodeConfig, key: bytes, since: int) -> list[str]:
    """Return the references of what this node signed with the key since then, as far as its store knows."""
    if not config.store_path.exists():
        return []
    with Store.open_to_read(config.store_path) as store:
        return doubtful_since(store, key, since)
