"""The folder in which the secretariat works: what it trusts, where the directory is, and what it changes.

No private key needs to be in it: commands are told where each is, and it may be on a stick or a token that
comes for the moment of signing.  The commands that people type are `directory` and `member`; the demo and
tests use the same functions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from broker.core.errors import BadConfiguration, DirectoryPin
from broker.core.keys import PublicKey, Signer
from broker.directory.admission import Applicant, Invitation, as_text
from broker.directory.building import (
    NetworkTerms,
    delegations_of,
    directory_keys,
    root_change,
    targets_change,
)
from broker.directory.change import Change
from broker.directory.handing import HubCard, handed_to
from broker.directory.layout import Layout
from broker.directory.loading import load_newest
from broker.directory.roles import ROOT, metadata_name
from broker.directory.shapes import encoded, file_of
from broker.directory.versions import Delegation, Newest
from broker.files import make_private_folder, write_whole
from broker.settings_file import load_settings

SECRETARIAT_FILE = "secretariat.toml"
COPY = Path("directory")

SECRETARIAT_TOML = """\
# The secretariat of the network {network}: who is a member.  Paths are relative to this file.

network = "{network}"

# SHA-256 of what the first root says: nothing that does not follow from it is believed.
first_root = "{first_root}"

# The directory in force: the hub's own folder if it is on this machine, else the copy that
# `halong directory take` brings up to date.
directory = "{directory}"
"""


class Secretariat(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of `secretariat.toml`."""

    network: str
    first_root: str
    directory: Path = COPY
    root: Path = Path()

    @property
    def layout(self) -> Layout:
        """The files of the directory."""
        return Layout(self.root / self.directory)


@dataclass(frozen=True, slots=True)
class Holder:
    """A key of the root or of the secretariat: who holds it, and what signs with it if that is here."""

    name: str
    public: PublicKey
    signer: Signer | None = field(default=None, repr=False)


def load_secretariat(folder: Path) -> Secretariat:
    """Return the settings of the secretariat in `folder`.

    Raises:
        BadConfiguration: The file cannot be used; names it, and the key.
    """
    return load_settings(folder / SECRETARIAT_FILE, Secretariat, "halong directory init")


def first_root_of(secretariat: Secretariat, files: Mapping[str, bytes]) -> bytes:
    """Return the first root, if it is the one that this secretariat made.

    Raises:
        BadConfiguration: There is none.
        DirectoryPin: It is another.
    """
    data = files.get(metadata_name(ROOT, 1))
    if data is None:
        raise BadConfiguration(
            "there is no directory yet: `halong hub take` makes it; elsewhere `halong directory take`",
            field=str(secretariat.root / secretariat.directory),
        )
    if sha256(encoded(file_of(ROOT, data).signed)).hexdigest() != secretariat.first_root:
        raise DirectoryPin("the first root is not the one that this secretariat made", field="root")
    return data


def newest_of(secretariat: Secretariat) -> Newest:
    """Return the version in force.

    Raises:
        BadConfiguration: There is none yet.
        UnfitDirectory: It is not genuine.
    """
    layout = secretariat.layout
    return load_newest(layout, first_root_of(secretariat, layout))


def make_secretariat(
    folder: Path,
    card: HubCard,
    roots: Sequence[Holder],
    secretaries: Sequence[Holder],
    at: int,
    *,
    thresholds: tuple[int, int] = (3, 2),
    hub: Path | None = None,
) -> list[Change]:
    """Make the secretariat's folder, and the network's first root and list of members, signed by who is here.

    Args:
        folder: The folder.
        card: What the hub told of itself.
        roots: Who holds the root's keys.
        secretaries: Who holds the secretariat's.
        at: Now.
        thresholds: How many of the ones and of the others must sign.
        hub: The hub's folder for the directory, if it is on this machine.

    Raises:
        BadConfiguration: There is a secretariat already; nothing was changed.
    """
    if (folder / SECRETARIAT_FILE).exists():
        raise BadConfiguration("there is a secretariat here already", field=str(folder))
    terms = NetworkTerms(
        network=card.network,
        log_key=card.log_key,
        root=Delegation(tuple(each.public for each in roots), thresholds[0]),
        targets=Delegation(tuple(each.public for each in secretaries), thresholds[1]),
        online=Delegation((card.online_key,), 1),
        holders={each.public: each.name for each in (*roots, *secretaries)} | {card.online_key: "the hub"},
    )
    root = signed(root_change(terms, 1, at), roots)
    targets = signed(targets_change(None, {}, at), secretaries)
    make_private_folder(folder)
    for change in (root, targets):
        write_whole(change_path(folder, change), change.write())
    text = SECRETARIAT_TOML.format(
        network=card.network,
        first_root=sha256(root.signed).hexdigest(),
        directory=COPY if hub is None else os.path.relpath(hub, folder),
    )
    write_whole(folder / SECRETARIAT_FILE, text)
    return [root, targets]


def signed(change: Change, holders: Sequence[Holder]) -> Change:
    """Return the change with the signatures of those who are here."""
    for each in holders:
        if each.signer is not None:
            change = change.sign(each.signer)
    return change


def change_path(folder: Path, change: Change) -> Path:
    """Return where a change lies on its way: by its role and number."""
    return folder / f"{change.role}-{change.number}.json"


def invite(
    secretariat: Secretariat, member: str, name: str, member_class: str, regions: list[str]
) -> Invitation:
    """Return an invitation for a member, new or one that lost its keys."""
    newest = newest_of(secretariat)
    files = handed_to(member, newest, secretariat.layout)
    return Invitation(
        network=secretariat.network,
        member=member,
        name=name,
        member_class=member_class,
        regions=regions,
        files=as_text(files),
    )


def approve(newest: Newest, applicants: Sequence[Applicant], at: int) -> Change:
    """Return the next list of members, which lets these sign with the keys that they proved.

    Raises:
        BadConfiguration: It would be the list in force: they may sign with these keys already.
    """
    delegations = delegations_of(newest.version)
    for each in applicants:
        delegations[each.member.id] = directory_keys(each.member)
    if {id_: set(keys) for id_, keys in delegations.items()} == {
        id_: set(keys) for id_, keys in delegations_of(newest.version).items()
    }:
        raise BadConfiguration("nothing changes: the directory names these keys already", field="request")
    return targets_change(newest.version, delegations, at)


def suspend(newest: Newest, member: str, at: int) -> Change:
    """Return the next list of members, without this one.

    Raises:
        BadConfiguration: It is no member.
    """
    delegations = delegations_of(newest.version)
    if delegations.pop(member, None) is None:
        raise BadConfiguration(f"{member} is no member", field="member")
    return targets_change(newest.version, delegations, at)
