"""`halong directory init`: the keys of a network, its first root, and an empty list of members."""

from __future__ import annotations

from pathlib import Path

import click

from broker.clock import SystemClock
from broker.commands.secretariat import Holder, change_path, make_secretariat
from broker.configuration import HUB_FILE, load_hub_config
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, PublicKey
from broker.directory.handing import read_hub_card
from broker.directory.joining import MOST_BYTES, grouped
from broker.files import read_sent
from broker.keyring import KeyPlace, NoSuchKey, make_signer, open_signer
from broker.keyring.secret import Ask
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
    table,
    yes_option,
)

ROOTS, ROOT_THRESHOLD = 5, 3
SECRETARIES, SECRETARY_THRESHOLD = 3, 2
PUBLIC = "public:"
LOSS = """\
What these keys mean:
  root         {roots}. Lost for {lost} of {count} holders, the network can never again change its root or its
               secretariat, and has to begin anew: every member joins again.
  secretariat  {secretaries}. They say which keys speak for a member, and nothing else: a lost one is
               replaced by the root.
  members      Whoever loses all keys is listed anew by the secretariat, and goes on. What was sealed to the
               lost keys stays sealed for ever, in every archive: nobody here can open it. Keep `halong key
               backup` of a member's keys in a safe.
"""


@click.command(
    "init",
    cls=Command,
    examples=[
        "halong directory init secretariat --hub hub/hub.json",
        'halong directory init s --hub hub.json --root-key "Ms Lan=file:/media/a/root.pem" --root-key …',
    ],
)
@click.argument("folder", type=FOLDER)
@click.option(
    "--hub", "card_file", type=READABLE, required=True, help="What `halong init hub` wrote: hub.json."
)
@click.option(
    "--root-key", "roots", multiple=True, help="[NAME=]PLACE of a holder's key; made where there is none."
)
@click.option("--root-threshold", type=click.IntRange(1, 16), default=ROOT_THRESHOLD, show_default=True)
@click.option("--secretariat-key", "secretaries", multiple=True, help="The same for the secretariat.")
@click.option(
    "--secretariat-threshold", type=click.IntRange(1, 16), default=SECRETARY_THRESHOLD, show_default=True
)
@click.option("--encrypted", is_flag=True, help="Files that are made, each under a passphrase.")
@passphrase_option
@yes_option
@json_option
def init(
    folder: Path, card_file: Path, roots: tuple[str, ...], root_threshold: int, secretaries: tuple[str, ...],
    secretariat_threshold: int, encrypted: bool, passphrase_fd: int | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Begin a network's directory in FOLDER: make the keys of root and secretariat, sign the first root.

    Without --root-key there are five keys in files, of which three must sign, and three of the secretariat,
    of which two must.  A PLACE is a file, a pkcs11: URI, or public:HEX of a key made elsewhere by its holder.
    """
    card = read_hub_card(read_sent(card_file, MOST_BYTES))
    roots = roots or _files(folder, "root", ROOTS)
    secretaries = secretaries or _files(folder, "secretariat", SECRETARIES)
    for what, places, threshold in (
        ("--root-key", roots, root_threshold),
        ("--secretariat-key", secretaries, secretariat_threshold),
    ):
        if threshold > len(places):
            raise BadConfiguration(f"{threshold} must sign, and there are {len(places)} keys", field=what)
    note(f"the directory of {style(card.network, bold=True)}")
    for line in table(
        [
            ("root", f"{root_threshold} of {len(roots)} must sign"),
            ("secretariat", f"{secretariat_threshold} of {len(secretaries)} must sign"),
            ("log key", card.log_key),
            ("hub", f"key {grouped(card.online_key.id)}"),
        ]
    ):
        note(line)
    count = f"{root_threshold} of {len(roots)} must sign"
    lost = len(roots) - root_threshold + 1
    two = f"{secretariat_threshold} of {len(secretaries)} must sign"
    note(LOSS.format(roots=count, lost=lost, count=len(roots), secretaries=two))
    confirm("Make it?", yes=yes)
    ask = asker(passphrase_fd)
    held = [holder(each, ask, encrypted=encrypted) for each in (*roots, *secretaries)]
    # The hub is on this machine if what it tells of itself still lies in its folder.
    here = card_file.parent
    hub = load_hub_config(here) if (here / HUB_FILE).exists() else None
    changes = make_secretariat(
        folder,
        card,
        held[: len(roots)],
        held[len(roots) :],
        SystemClock().now(),
        thresholds=(root_threshold, secretariat_threshold),
        hub=None if hub is None else hub.path(hub.directory),
    )
    paths = [str(change_path(folder, each)) for each in changes]
    if as_json:
        keys = [{"holder": each.name, "fingerprint": grouped(each.public.id)} for each in held]
        answer({"folder": str(folder), "network": card.network, "changes": paths, "keys": keys})
        return
    say(f"{style('made', fg='green')} the directory of {card.network} in {folder}")
    for line in table([(each.name, grouped(each.public.id)) for each in held]):
        say(line)
    note(f"next: halong hub take {' '.join(paths)} --dir HUB")
    note("then give each holder the file with its key, and delete it here")


def _files(folder: Path, whose: str, count: int) -> tuple[str, ...]:
    return tuple(f"{whose}-{number}={folder}/keys/{whose}-{number}.pem" for number in range(1, count + 1))


def holder(text: str, ask: Ask, *, encrypted: bool) -> Holder:
    """Return who holds the key at [NAME=]PLACE, which is made where there is none.

    Raises:
        BadConfiguration: It is no place, or no key.
    """
    name, equals, place = text.partition("=")
    # What stands before the first sign of equality is a name, unless it is part of a place.
    if not equals or ":" in name or "/" in name:
        name, place = "", text
    if place.startswith(PUBLIC):
        try:
            public = PublicKey.of_raw(bytes.fromhex(place.removeprefix(PUBLIC)))
        except ValueError:
            raise BadConfiguration(
                "public: has a key in hexadecimal behind it", field=name or PUBLIC
            ) from None
        return Holder(name or grouped(public.id)[:19], public)
    where = KeyPlace(place)
    try:
        signer = open_signer(where, ask=ask)
    except NoSuchKey:
        algorithm = Algorithm.ED25519 if where.token is None else Algorithm.ESP256
        signer = make_signer(where, algorithm, ask=ask, encrypted=encrypted)
    return Holder(name or where.shown, signer.public, signer)
