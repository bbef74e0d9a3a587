"""A change that was just made: signed by who is here, written where it waits for the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from broker.commands.directory.signing import as_json_of, needs, read_change, say_missing
from broker.commands.held import Held, held_at
from broker.commands.secretariat import change_path
from broker.core.errors import BadConfiguration
from broker.directory.change import Change
from broker.directory.roles import ROOT, TARGETS
from broker.files import write_whole
from broker.keyring import KeyPlace, open_signer
from broker.passphrases import asker
from broker.terminal import answer, say, style


def finish(
    change: Change, folder: Path, keys: Sequence[str], descriptor: int | None, *, as_json: bool
) -> str:
    """Sign a change, write it into the folder, and say who must still sign it; return what comes next.

    Raises:
        BadConfiguration: A key has no say in it, or another change of its number is under way.
    """
    held, path = held_at(folder), change_path(folder, change)
    if path.exists():
        raise BadConfiguration(
            f"another change number {change.number} is under way: bring it to an end, or delete the file",
            field=str(path),
        )
    together = [change, *_root_under_way(change, held, folder)]
    asked = {key for need in needs(change, held, together) for key in need.keys}
    ask = asker(descriptor)
    for place in keys:
        signer = open_signer(KeyPlace(place), ask=ask)
        if signer.public not in asked:
            raise BadConfiguration("this key is not asked for here", field=KeyPlace(place).shown)
        change = change.sign(signer)
    write_whole(path, change.write())
    if as_json:
        answer({"file": str(path), **as_json_of(change, held, together)})
        return ""
    say(f"{style('written', fg='green')} {path}")
    say_missing(change, held, together)
    if any(need.missing for need in needs(change, held, together)):
        return f"next: the others run `halong directory sign {path.name}`; then the hub takes it"
    return f"next: halong hub take {path} --dir HUB"


def _root_under_way(change: Change, held: Held, folder: Path) -> list[Change]:
    """Return the next root that waits in the folder: it says who signs what comes with it."""
    if change.role != TARGETS or held.newest is None:
        return []
    path = folder / f"{ROOT}-{held.newest.version.terms.number + 1}.json"
    return [read_change(path)] if path.exists() else []
