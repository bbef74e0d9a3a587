"""Which agreement and which member `accede` and `leave` are about, and what the member holds under it.

Decides what is refused before anything is worked out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.commands.agreement.places import Place, agreement_named, member_named
from broker.terminal import Exit, Stopped, note

if TYPE_CHECKING:
    from broker.core.agreements import Agreement


def agreement_and_bytes(place: Place, named: str) -> tuple[Agreement, bytes]:
    """Return an agreement with its very bytes.

    Raises:
        Stopped: There is none of that name, or its bytes are not here.
        BadConfiguration: The file is no agreement.
    """
    from hashlib import sha256

    from broker.core.agreements import parse_agreement
    from broker.core.strict_toml import MOST_FILE_BYTES
    from broker.files import read_sent

    path = Path(named)
    if path.is_file():
        text = read_sent(path, MOST_FILE_BYTES)
        return parse_agreement(text, str(path)), text
    found = agreement_named(place.directory, named)
    for text in place.source.files().values():
        if sha256(text).digest() == found.digest:
            return found, text
    raise Stopped(
        "its file is not in this copy of the directory",
        code="file",
        where=found.name,
        next_step="name the file itself",
        exit_code=Exit.USAGE,
    )


def whose(place: Place, member: str | None) -> str:
    """Return whose accession it is: the member that was named, or the node's own."""
    if member is not None:
        return member_named(place.directory, member)
    if place.member is None:
        raise click.UsageError("at a hub name the member: --member vn")
    return member_named(place.directory, place.member)


def check_party(agreement: Agreement, member: str, place: Place) -> None:
    """Let a member pass that is a party; say which parties are no members."""
    if member not in agreement.parties:
        raise Stopped(
            f"{member} is no party of it",
            code="usage",
            where=agreement.name,
            next_step=f"its parties are {', '.join(sorted(agreement.parties))}",
            exit_code=Exit.USAGE,
        )
    known = sorted(agreement.parties - place.directory.members.keys())
    if known:
        note(f"{', '.join(known)} is no member of this network: no grant to or from it counts until it joins")


def held_under(place: Place, agreement: Agreement) -> int | None:
    """Return how many deliveries this node holds under the agreement, whatever its version; None at a hub."""
    if place.member is None:
        return None
    from adapters.member_folder import open_folder
    from broker.core.model import Delivery, DeliveryHead
    from broker.core.records import decode

    count, after = 0, 0
    with open_folder(place.folder, to_read=True) as node:
        while received := node.incoming.received(after=after, limit=500):
            after = received[-1].place
            for each in received:
                if each.state in ("erased", "quarantined"):
                    continue
                head = decode(DeliveryHead, decode(Delivery, each.content).head)
                count += any(ground.agreement == agreement.id for ground in head.grounds)
    return count
