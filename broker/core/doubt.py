"""What a stolen key puts in doubt: statements that somebody else may have signed.

A key that was compromised was out of its holder's hands since `revoked_at`.  What was decided before stands.
What was decided since, and was signed by that key, may be another's work: it is not taken back, since nobody
can tell which of it is false, but everybody who has it is told.

Decides by the key, the member that holds it, and the time of the logged decision; never by the time that a
statement claims, and never by a key's id alone: ids do not resolve across members.
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.directory import Directory, MemberKey, Revocation
from broker.core.model import Decision, Header


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A statement in doubt, when it was decided, and who was given it."""

    statement: bytes
    reference: str
    notice_type: str
    decided_at: int
    members: tuple[str, ...]


def find_key(directory: Directory, member: str, key: bytes) -> MemberKey | None:
    """Return a key of the member by its id, whatever became of it, or of the member."""
    found = directory.known.get(member)
    return next((each for each in found.keys if each.id == key), None) if found is not None else None


def compromised_since(key: MemberKey) -> int | None:
    """Return since when the key was out of its holder's hands, None if it never was."""
    return key.revoked_at if key.reason is Revocation.COMPROMISED else None


def doubtful_since(directory: Directory, member: str, key: bytes, decided_at: int) -> int | None:
    """Return since when the key by which a member signed was stolen, if the decision was not before that.

    `directory` is the newest one: a theft is often found out long after.
    """
    found = find_key(directory, member, key)
    return found.revoked_at if found is not None and found.doubtful_at(decided_at) else None


def in_doubt(decision: Decision, header: Header, member: str, key: bytes, since: int) -> Doubtful | None:
    """Return what a key that was stolen at `since` puts in doubt of a decision, if anything."""
    if (header.originator, decision.key) != (member, key) or decision.decided_at < since:
        return None
    return Doubtful(
        statement=decision.statement,
        reference=header.reference,
        notice_type=header.notice_type,
        decided_at=decision.decided_at,
        members=tuple(share.member for share in decision.shares),
    )
