"""The two directories of a dry run: what a person named, and what it is to be changed by.

Decides what OLD and NEW mean, and how a directory looks with an agreement put in or taken out, acceded to or
left.
Nothing is written anywhere: the changed directory is a value that is gone with the command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from broker.clock import SystemClock
from broker.commands.agreement.places import HUB_FILE, MEMBER_FILE, Place, member_named, open_place
from broker.core.agreements import parse_agreement
from broker.core.clauses import Agreement
from broker.core.directory import Directory
from broker.core.strict_toml import MOST_FILE_BYTES
from broker.directory.layout import Layout
from broker.directory.roles import ROOT
from broker.directory.sources import source_in
from broker.files import read_sent
from broker.moments import NOW, time_of
from broker.terminal import Exit, Stopped

HOUR = 3_600_000
DAY = 24 * HOUR
WORDS = "now, a day such as 2026-10-01, a version (64 hexadecimal digits) or a folder"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The changes that a person asks for, as they were typed."""

    add: Sequence[Path] = ()
    without: Sequence[str] = ()
    accede: Sequence[tuple[str, str]] = ()
    leave: Sequence[tuple[str, str]] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.without or self.accede or self.leave)

    @property
    def words(self) -> str:
        """What is changed, in words."""
        parts = [f"with {path}" for path in self.add]
        parts += [f"without {name}" for name in self.without]
        parts += [f"{name} acceded to by {member}" for member, name in self.accede]
        parts += [f"{name} left by {member}" for member, name in self.leave]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Trial:
    """A changed directory, the agreements that came in, and what a person should know about it."""

    directory: Directory
    added: tuple[Agreement, ...]
    remarks: tuple[str, ...]


def changed(directory: Directory, wanted: Wanted) -> Trial:
    """Return the directory as it would be.

    Raises:
        Stopped: What is to be taken out, acceded to or left is not there.
        BadConfiguration: A file is no agreement.
    """
    agreements = {each.name: each for each in directory.agreements}
    members = dict(directory.members)
    remarks: list[str] = []

    def list_with(member: str, agreement: Agreement, *, listed: bool = True) -> None:
        found = members[member]
        key = (agreement.id, agreement.version)
        rest = {each: digest for each, digest in found.accessions.items() if each != key}
        if listed:
            rest[key] = agreement.digest
        members[member] = replace(found, accessions=rest)

    for name in wanted.without:
        for agreement in named(agreements, name):
            del agreements[agreement.name]
    added = [parse_agreement(read_sent(path, MOST_FILE_BYTES), str(path)) for path in wanted.add]
    for agreement in added:
        remarks += _beside(agreements, agreement)
        agreements[agreement.name] = agreement
        for party in sorted(agreement.parties):
            if party in members:
                list_with(party, agreement)
            else:
                remarks.append(f"{party} is party to {agreement.name}, but no member here")
    for wants, listed in ((wanted.accede, True), (wanted.leave, False)):
        for who, name in wants:
            member = member_named(directory, who)
            for agreement in named(agreements, name):
                if member not in agreement.parties:
                    remarks.append(f"{member} is no party to {agreement.name}: listing it changes nothing")
                list_with(member, agreement, listed=listed)
    version = sha256(repr((directory.version, sorted(agreements), wanted)).encode()).digest()
    return Trial(
        replace(directory, version=version, members=members, agreements=tuple(agreements.values())),
        tuple(added),
        tuple(remarks),
    )


def named(agreements: dict[str, Agreement], name: str) -> list[Agreement]:
    """Return the agreement `id/version`, or every version of `id`.

    Raises:
        Stopped: There is none.
    """
    found = [each for each in agreements.values() if name in (each.id, each.name)]
    if not found:
        raise Stopped(
            "no agreement of this name is in the directory",
            code="usage",
            where=name,
            next_step=f"there are {', '.join(sorted(agreements)) or 'none'}",
            exit_code=Exit.USAGE,
        )
    return found


def _beside(agreements: dict[str, Agreement], added: Agreement) -> Iterator[str]:
    if added.name in agreements:
        same = agreements[added.name].digest == added.digest
        yield f"{added.name} is there already{'' if same else ': its other text is tried in its place'}"
    for other in agreements.values():
        if other.id == added.id and other.version != added.version:
            yield f"{other.name} goes on counting beside it; to try it alone, add --without {other.name}"


# --- what people type ---------------------------------------------------------------------------------


def directory_named(text: str, place: Place, in_force: Callable[[int], bytes | None]) -> Directory:
    """Return the directory that a person means by OLD or NEW.

    Args:
        text: What was typed.
        place: The folder of `--dir`.
        in_force: Returns the version under which decisions were made at a time, if any were.

    Raises:
        Stopped: There is none.
        BadConfiguration: A folder's directory cannot be used.
    """
    if text == NOW:
        return place.directory
    path = Path(text)
    if path.is_dir():
        return _of_folder(path)
    version = bytes.fromhex(text) if re.fullmatch("[0-9a-f]{64}", text) else None
    if version is None and (at := time_of(text)) is not None:
        version = in_force(at)
        if version is None:
            raise _unknown("nothing was decided before this time, so no directory is known of it", text)
    if version is None:
        raise _unknown("this is no directory", text)
    found = place.source.at(version)
    if found is None:
        raise _unknown("this version is not held here", version.hex())
    return found


def _of_folder(path: Path) -> Directory:
    if (path / HUB_FILE).exists() or (path / MEMBER_FILE).exists():
        return open_place(path).directory
    if Layout(path).numbers(ROOT):
        return source_in(path, SystemClock()).load()
    raise _unknown("this folder holds no directory, and is no hub's or node's", str(path))


def _unknown(what: str, where: str) -> Stopped:
    return Stopped(what, code="usage", where=where, next_step=f"possible are {WORDS}", exit_code=Exit.USAGE)
