"""`halong key show`, `halong key make`: the ids and fingerprints by which people know keys."""

from __future__ import annotations

from pathlib import Path

import click

from broker.commands.key.folders import dir_option, keys_of
from broker.core.keys import Algorithm, PublicKey, spki_digest
from broker.directory.joining import grouped
from broker.keyring import KeyPlace, make_signer, open_signer
from broker.keyring.secret import Ask
from broker.passphrases import asker, passphrase_option
from broker.terminal import Command, answer, json_option, note, say, style, table

TRANSPORT = "transport"
ALGORITHMS = {"ed25519": Algorithm.ED25519, "p256": Algorithm.ESP256}


@click.command(
    "show",
    cls=Command,
    examples=[
        "halong key show --dir vn",
        "halong key show 'pkcs11:token=halong;object=sign?module-path=/usr/lib/softhsm/libsofthsm2.so'",
    ],
)
@click.argument("place", required=False)
@dir_option
@passphrase_option
@json_option
def show(place: str | None, folder: Path, passphrase_fd: int | None, as_json: bool) -> None:
    """Show the keys of a folder, or the one at PLACE: what for, of which kind, under which fingerprint.

    The fingerprint is of the public part: it can be read out to anybody, and is what two people compare.
    """
    if place is not None:
        whose, uses, ask = "", [("", KeyPlace(place))], asker(passphrase_fd)
    else:
        keys = keys_of(folder)
        whose, uses, ask = keys.owner, list(keys.uses), keys.ask(passphrase_fd)
    found = [_seen(use, each, folder if place is None else Path(), ask) for use, each in uses]
    if as_json:
        answer({"owner": whose or None, "keys": found})
        return
    if whose:
        say(style(whose, bold=True))
    for line in table([(row["use"], row["algorithm"], row["fingerprint"], row["place"]) for row in found]):
        say(line)


def _seen(use: str, place: KeyPlace, root: Path, ask: Ask) -> dict[str, str]:
    public = open_signer(place, root, ask).public
    id_ = spki_digest(public) if use == TRANSPORT else public.id
    return {
        "use": use,
        "algorithm": public.algorithm.value,
        "id": id_.hex(),
        "fingerprint": grouped(id_),
        "place": place.shown,
    }


@click.command(
    "make",
    cls=Command,
    examples=[
        "halong key make file:/media/stick/root-1.pem --encrypted",
        "halong key make 'pkcs11:token=halong;object=sign?module-path=/usr/lib/softhsm/libsofthsm2.so'",
    ],
)
@click.argument("place")
@click.option(
    "--kind",
    type=click.Choice(sorted(ALGORITHMS)),
    help="P-256 on a token, Ed25519 in a file, if it is not said.",
)
@click.option("--encrypted", is_flag=True, help="A file, under a passphrase that is asked for.")
@passphrase_option
@json_option
def make(place: str, kind: str | None, encrypted: bool, passphrase_fd: int | None, as_json: bool) -> None:
    """Make a private key at PLACE, where there is none: in a file, or on a token, which it never leaves."""
    where = KeyPlace(place)
    algorithm = ALGORITHMS[kind or ("ed25519" if where.token is None else "p256")]
    public = make_signer(where, algorithm, ask=asker(passphrase_fd), encrypted=encrypted).public
    if as_json:
        answer(_public(public, where))
        return
    say(f"{style('made', fg='green')} a key of {algorithm.value}: {where.shown}")
    say(f"  fingerprint   {grouped(public.id)}")
    if where.token is None and not encrypted:
        note("it is not encrypted: whoever reads the file has the key")


def _public(public: PublicKey, place: KeyPlace) -> dict[str, str]:
    return {
        "algorithm": public.algorithm.value,
        "public": public.raw.hex(),
        "id": public.id.hex(),
        "fingerprint": grouped(public.id),
        "place": place.shown,
    }
