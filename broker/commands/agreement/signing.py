"""Signing what accedes or leaves: the member's own role in a signed directory, with its key for that.

Decides that a person sees what changes and who must sign before the key is opened, and that one change waits
at a time.  What is signed is made by `broker.directory.building`; the node hands it to the hub
(`adapters.directory`), or a file carries it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from adapters.configuration import load_node_config
from adapters.directory.own import CHANGE_FILE, carry, intend, intended
from broker.clock import SystemClock
from broker.commands.agreement.places import Place
from broker.core.errors import BadConfiguration
from broker.directory.building import member_change
from broker.directory.change import Change
from broker.directory.preview import describe, say_needs
from broker.directory.signers import needs_of
from broker.directory.versions import Version
from broker.files import write_whole
from broker.keyring import KeyPlace, open_signer
from broker.keyring.secret import Ask
from broker.terminal import clean, confirm, note


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change of the member's own role that nobody has signed, and the version that it follows."""

    member: str
    version: Version
    change: Change
    lines: tuple[str, ...]


def prepare(
    place: Place, member: str, *, accede: Collection[bytes] = (), leave: Collection[tuple[str, int]] = ()
) -> Prepared:
    """Return the member's next role.

    Raises:
        BadConfiguration: The directory does not list the member, or the change makes no sense in it.
        UnfitDirectory: The directory cannot be used as it is.
    """
    source = place.source
    source.load()
    newest = source.newest
    listing = None if newest is None else newest.version.listings.get(member)
    if newest is None or listing is None:
        raise BadConfiguration("the directory does not list this member", field=member)
    version = newest.version
    change = member_change(version, listing.member, SystemClock().now(), accede=accede, leave=leave)
    needs = say_needs(needs_of(change, version), {})
    return Prepared(member, version, change, (*describe(change, version, source.files()), *needs))


def sign(
    place: Place, prepared: Prepared, key: str | None, output: Path | None, ask: Ask, *, yes: bool
) -> Path:
    """Sign it after a yes, and return the file in which it waits for the hub.

    Args:
        place: The node's folder.
        prepared: What is signed.
        key: Where the key is, if not where the settings say.
        output: A file that travels; None lets the node hand it over.
        ask: Says the passphrase or PIN of the key.
        yes: Nobody need be asked.

    Raises:
        BadConfiguration: Another change waits, or the key is none of the member's for the directory.
        Stopped: The person said no.
    """
    config = load_node_config(place.folder)
    copy = config.path(config.directory)
    if intended(copy) is not None:
        raise BadConfiguration(
            "a change that was signed before waits for the hub: let the node run until it is taken",
            field=str(copy / CHANGE_FILE),
        )
    for line in prepared.lines:
        note(f"  {clean(line)}")
    confirm("Sign it?", yes=yes)
    where = config.keys.directory if key is None else KeyPlace(key)
    signer = open_signer(where, config.root if key is None else Path(), ask)
    allowed = prepared.version.delegations[prepared.member].keys
    if signer.public not in allowed:
        raise BadConfiguration(
            f"is not one of the keys that sign for {prepared.member} in the directory", field=where.shown
        )
    change = prepared.change.sign(signer)
    if output is not None:
        carry(copy, change)
        write_whole(output, change.write())
        return output
    intend(copy, change)
    return copy / CHANGE_FILE
