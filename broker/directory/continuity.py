"""Whether a version of the signed directory may follow another, and is true to the member that reads it.

Decides what a version must not take back, and what a member compares with what it knows of itself.  TUF's
client sees some of it from its own cache; these rules need two `Version`s alone.

Source: the TUF specification 1.0.31, section 5.5.5 (roll-back of roles); design part 4 for the others.
"""

from __future__ import annotations

from collections.abc import Collection

from broker.core.errors import (
    BadConfiguration,
    DirectoryEquivocation,
    DirectoryMixed,
    DirectoryPin,
    DirectoryRolledBack,
    DirectoryWithheld,
)
from broker.core.key_history import check_kept
from broker.core.keys import PublicKey
from broker.directory.roles import SNAPSHOT, role_of_member
from broker.directory.versions import Line, Newest, Version


def check_follows(before: Version, after: Version) -> None:
    """Refuse a version that is older than the one before, in anything.

    Raises:
        DirectoryRolledBack: The snapshot, a role or a member's history of keys is older, or a role is gone.
        DirectoryEquivocation: A snapshot or role has other content under the same number.
    """
    # 1. One number, one snapshot.
    if after.number < before.number:
        raise DirectoryRolledBack("the snapshot is older than one that was seen", field=SNAPSHOT)
    if after.number == before.number and after.directory.version != before.directory.version:
        raise DirectoryEquivocation("there are two snapshots of one number", field=SNAPSHOT)
    # 2. No role is older or gone; one number of a role is one file.
    for role, line in before.lines.items():
        found = after.lines.get(role)
        if found is None:
            raise DirectoryRolledBack(f"{role}: is gone from the snapshot", field=role)
        if found.number < line.number:
            raise DirectoryRolledBack(f"{role}: older than one that was seen", field=role)
        if found.number == line.number and found != line:
            raise DirectoryEquivocation(f"{role}: there are two files of one number", field=role)
    # 3. No member takes back what it had said of its keys, nor whoever got hold of the key that signs for it;
    #    that it left, or comes back, is no way to.
    found_now = after.known
    for id_, earlier in before.known.items():
        listing = found_now.get(id_)
        if listing is None:
            raise DirectoryRolledBack(f"{id_}: what it said of its keys is gone", field=role_of_member(id_))
        if earlier is not listing:
            try:
                check_kept(earlier.member, listing.member)
            except BadConfiguration as error:
                raise DirectoryRolledBack(str(error), field=error.field) from None


def check_newest_follows(before: Newest, after: Newest) -> None:
    """Refuse a timestamp, or the version that it names, that is older than the one before.

    Raises:
        DirectoryRolledBack: Something is older.
        DirectoryEquivocation: Something has other content under the same number.
    """
    if after.number < before.number:
        raise DirectoryRolledBack("the timestamp is older than one that was seen", field="timestamp")
    check_follows(before.version, after.version)


def check_past(past: Version, before: Version | None, after: Version | None) -> None:
    """Refuse a past version that does not stand between its neighbours, the next ones that are known.

    A key of the hub's that was given up long ago could still sign such a version; what it could not sign are
    members' roles.

    Raises:
        DirectoryMixed: A role is older than in the version before, newer than in the one after, or another.
    """
    try:
        if before is not None:
            check_follows(before, past)
        if after is not None:
            check_follows(past, after)
    except (DirectoryRolledBack, DirectoryEquivocation) as error:
        raise DirectoryMixed(
            f"a past version does not stand between its neighbours: {error}", field=error.field
        ) from None


def check_own(version: Version, member: str, keys: Collection[PublicKey], signed: Line | None) -> None:
    """Refuse a version that is not true to the member that reads it.

    Args:
        version: The version.
        member: Who reads.
        keys: The member's own keys for the directory, as it has pinned them.
        signed: The role that the member signed last, if it remembers one.

    Raises:
        DirectoryPin: The member's files may be signed by others, or it is no member.
        DirectoryWithheld: Its role is older than what it signed, or another.
    """
    # 1. Exactly its own keys may sign for it.
    delegation = version.delegations.get(member)
    if delegation is None or set(delegation.keys) != set(keys):
        raise DirectoryPin(
            "the directory delegates this member's files to other keys than its own", field=member
        )
    # 2. Its role is what it signed last, or newer.
    line = version.lines[role_of_member(member)]
    if signed is not None and (
        line.number < signed.number or (line.number == signed.number and line != signed)
    ):
        raise DirectoryWithheld("the directory has not what this member signed last", field=member)
