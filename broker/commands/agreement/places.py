"""Where the commands of agreements look: the directory of a hub's or a node's folder, or a file.

Decides what kind of folder it is, and which agreement a name means.  The members' side is imported only for a
node's folder.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.terminal import FOLDER, Exit, Stopped

if TYPE_CHECKING:
    from broker.core.agreements import Agreement
    from broker.core.directory import Directory
    from broker.directory.signed import SignedDirectory

HUB_FILE = "hub.toml"
MEMBER_FILE = "member.toml"

some_dir_option = click.option(
    "--dir", "folder", type=FOLDER, envvar="HALONG_DIR", help="The folder of a hub or node; or $HALONG_DIR."
)
dir_option = click.option(
    "--dir",
    "folder",
    type=FOLDER,
    default=Path(),
    envvar="HALONG_DIR",
    help="The folder of a hub or node; this one, or $HALONG_DIR.",
)


@dataclass(frozen=True)
class Place:
    """A hub's or node's folder; `member` is whose node it is, None for the hub."""

    folder: Path
    source: SignedDirectory
    member: str | None

    @cached_property
    def directory(self) -> Directory:
        """The newest directory.

        Raises:
            BadConfiguration: It cannot be used.
        """
        return self.source.load()

    @property
    def names(self) -> Mapping[str, str]:
        """The names of members by their ids."""
        return {id_: member.name for id_, member in self.directory.members.items()}


def open_place(folder: Path) -> Place:
    """Return the folder's directory.

    Raises:
        Stopped: It is neither a hub's nor a node's.
        BadConfiguration: Its settings cannot be used.
    """
    if (folder / HUB_FILE).exists():
        from broker.clock import SystemClock
        from broker.configuration import load_hub_config
        from broker.directory.sources import source_in

        hub = load_hub_config(folder)
        return Place(folder, source_in(hub.path(hub.directory), SystemClock()), None)
    if (folder / MEMBER_FILE).exists():
        from adapters.configuration import load_node_config
        from adapters.node import directory_source

        config = load_node_config(folder)
        return Place(folder, directory_source(config), config.member)
    raise Stopped(
        "neither a hub nor a node is here",
        code="bad-configuration",
        where=str(folder),
        next_step="name a folder that `halong init` made: --dir FOLDER",
        exit_code=Exit.USAGE,
    )


def find_agreement(named: str, folder: Path | None) -> tuple[Agreement, Mapping[str, str]]:
    """Return the agreement in a file, or of a name in a folder's directory, and the names of members.

    Raises:
        Stopped: There is none.
        BadConfiguration: The file is none.
    """
    from broker.core.agreements import parse_agreement
    from broker.core.strict_toml import MOST_FILE_BYTES
    from broker.files import read_sent

    path = Path(named)
    if path.is_file():
        names = {} if folder is None else open_place(folder).names
        return parse_agreement(read_sent(path, MOST_FILE_BYTES), str(path)), names
    if folder is None:
        raise Stopped(
            "there is no such file",
            code="file",
            where=named,
            next_step="name a file, or an agreement and --dir FOLDER",
            exit_code=Exit.USAGE,
        )
    place = open_place(folder)
    return agreement_named(place.directory, named), place.names


def agreement_named(directory: Directory, named: str) -> Agreement:
    """Return the agreement `id/version`, or the latest version of `id`.

    Raises:
        Stopped: There is none.
    """
    id_, _, version = named.partition("/")
    found = [each for each in directory.agreements if each.id == id_ and version in ("", str(each.version))]
    if found:
        return max(found, key=lambda each: each.version)
    known = sorted(each.name for each in directory.agreements)
    near = difflib.get_close_matches(named, [*known, *(each.id for each in directory.agreements)], n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise Stopped(
        "no agreement of this name is in the directory",
        code="usage",
        where=named,
        next_step=f"{meant}there are {', '.join(known) or 'none'}",
        exit_code=Exit.USAGE,
    )


def member_named(directory: Directory, named: str) -> str:
    """Return a member's id, whatever its letters' case.

    Raises:
        Stopped: There is no such member.
    """
    member = named.lower()
    if member in directory.members:
        return member
    near = difflib.get_close_matches(member, directory.members, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise Stopped(
        "no member of this name is in the directory",
        code="usage",
        where=named,
        next_step=f"{meant}there are {', '.join(sorted(directory.members))}",
        exit_code=Exit.USAGE,
    )
