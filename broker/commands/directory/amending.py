"""`halong directory amend`: the next root, or the next list of members with the same members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from broker.clock import SystemClock
from broker.commands.directory.finishing import finish
from broker.commands.directory.making import holder
from broker.commands.directory.options import dir_option, key_option
from broker.commands.secretariat import Holder, load_secretariat, newest_of
from broker.core.errors import BadConfiguration
from broker.core.keys import PublicKey
from broker.directory.building import NetworkTerms, delegations_of, root_change, targets_change
from broker.directory.versions import Delegation
from broker.passphrases import asker, passphrase_option
from broker.terminal import Command, confirm, json_option, note, yes_option


@click.command(
    "amend",
    cls=Command,
    examples=[
        "halong directory amend targets --dir secretariat --key a.pem --key b.pem      # renews it",
        "halong directory amend root --remove 'd524 50ed' --root-key 'Ms Mai=public:3a…' --key root-1.pem",
    ],
)
@click.argument("role", type=click.Choice(["root", "targets"]))
@click.option("--remove", "gone", multiple=True, help="root: the beginning of a key's fingerprint.")
@click.option("--root-key", "roots", multiple=True, help="root: [NAME=]PLACE of a further holder's key.")
@click.option("--secretariat-key", "secretaries", multiple=True, help="root: the same for the secretariat.")
@click.option("--hub-key", help="root: the hub's next online key, public:HEX, for the present one.")
@click.option("--root-threshold", type=click.IntRange(1, 16), help="root: how many must sign from now on.")
@click.option("--secretariat-threshold", type=click.IntRange(1, 16), help="The same for the secretariat.")
@key_option
@dir_option
@passphrase_option
@yes_option
@json_option
def amend(
    role: str, gone: Sequence[str], roots: Sequence[str], secretaries: Sequence[str], hub_key: str | None,
    root_threshold: int | None, secretariat_threshold: int | None, keys: Sequence[str], folder: Path,
    passphrase_fd: int | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make the next root, with other keys or the same; or the list of members anew, before it ends.

    A root must be signed by enough holders of the one before, and by enough of its own.  When the secretariat
    changes, it signs the list of members anew (`halong directory amend targets`), and the hub takes both.
    """
    version = newest_of(load_secretariat(folder)).version
    now = SystemClock().now()
    if role == "targets":
        change = targets_change(version, delegations_of(version), now)
    else:
        ask = asker(passphrase_fd)
        fresh = [holder(each, ask, encrypted=False) for each in roots]
        further = [holder(each, ask, encrypted=False) for each in secretaries]
        terms = _without(NetworkTerms.of(version), gone)
        terms = replace(
            terms,
            root=_delegation(terms.root, fresh, root_threshold),
            targets=_delegation(terms.targets, further, secretariat_threshold),
            holders={**terms.holders, **{each.public: each.name for each in (*fresh, *further)}},
        )
        if hub_key is not None:
            public = holder(hub_key, ask, encrypted=False).public
            terms = replace(
                terms, online=Delegation((public,), 1), holders={**terms.holders, public: "the hub"}
            )
        change = root_change(terms, version.terms.number + 1, now)
    confirm(f"Make and sign the next {role}?", yes=yes)
    said = finish(change, folder, keys, passphrase_fd, as_json=as_json)
    if not as_json:
        note(said)


def _without(terms: NetworkTerms, gone: Sequence[str]) -> NetworkTerms:
    """Return the terms without the keys whose fingerprints begin so.

    Raises:
        BadConfiguration: None begins so, or several do.
    """
    removed: set[PublicKey] = set()
    for text in gone:
        wanted = text.replace(" ", "").lower()
        found = [key for key in (*terms.root.keys, *terms.targets.keys) if key.id.hex().startswith(wanted)]
        if len(found) != 1 or not wanted:
            raise BadConfiguration(f"names {len(found)} keys of root and secretariat", field="--remove")
        removed.add(found[0])
    return replace(
        terms,
        root=replace(terms.root, keys=tuple(key for key in terms.root.keys if key not in removed)),
        targets=replace(terms.targets, keys=tuple(key for key in terms.targets.keys if key not in removed)),
    )


def _delegation(before: Delegation, more: Sequence[Holder], threshold: int | None) -> Delegation:
    keys = (*before.keys, *(each.public for each in more))
    wanted = before.threshold if threshold is None else threshold
    if wanted > len(keys):
        raise BadConfiguration(f"{wanted} must sign, and there would be {len(keys)} keys", field="threshold")
    return Delegation(keys, wanted)
