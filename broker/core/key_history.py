"""What a member's newer entry must keep of the one before: keys are added and ended, never taken back.

Past decisions are judged by past keys, so the history stays whole; and whoever has got hold of a member's
directory key must not be able to make a revoked key count again, or to do away with the countersignature
that the member had asked for.  Asked wherever an entry is about to be taken over.

Decides what may change between two entries.  Whether one entry is right by itself is decided in `directory`.
"""

from __future__ import annotations

from broker.core.directory import Member, MemberKey, Revocation, TransportKey, Use
from broker.core.errors import BadConfiguration

FOR_EVER = 1 << 62


def check_kept(before: Member, after: Member) -> None:
    """Let an entry pass that keeps what the one before it had said.

    Raises:
        BadConfiguration: Naming the member, and what was taken back.
    """
    where = f"members/{after.id}"
    fresh = {key.id: key for key in _keys(after)}
    for key in _keys(before):
        found = fresh.get(key.id)
        named = f"key {key.id.hex()[:16]} of {before.id}"
        # 1. The history is whole, and says of each key when it began and what it is for.
        if found is None:
            raise BadConfiguration(f"the {named} is no longer in its history", field=where)
        if (found.valid_from, _use(found)) != (key.valid_from, _use(key)):
            raise BadConfiguration(f"the {named} has another beginning or use", field=where)
        # 2. What ended stays ended; a theft may turn out to have been earlier, never later.
        if _ends(found) > _ends(key):
            raise BadConfiguration(f"the {named} had ended, and would count again", field=where)
        if key.reason is not None and found.reason is None:
            raise BadConfiguration(f"the {named} was revoked, and would not be", field=where)
        # 3. What a theft puts in doubt stays in doubt.
        if _doubtful_from(found) > _doubtful_from(key):
            raise BadConfiguration(f"the {named} was stolen, and would not be, or later", field=where)
    # 4. What every signature needs is not done away with by other keys.
    if _pq_from(after) > _pq_from(before):
        raise BadConfiguration(f"{before.id} would need no countersignature any more", field=where)


def _keys(member: Member) -> tuple[MemberKey | TransportKey, ...]:
    return (*member.keys, *member.transport_keys)


def _use(key: MemberKey | TransportKey) -> Use:
    return key.use if isinstance(key, MemberKey) else Use.TRANSPORT


def _doubtful_from(key: MemberKey | TransportKey) -> int:
    if key.reason is not Revocation.COMPROMISED or key.revoked_at is None:
        return FOR_EVER
    return key.revoked_at


def _ends(key: MemberKey | TransportKey) -> int:
    ends = [end for end in (key.valid_until, key.revoked_at) if end is not None]
    return min(ends, default=FOR_EVER)


def _pq_from(member: Member) -> int:
    starts = [key.pq_required_from for key in member.keys if key.pq_required_from is not None]
    return min(starts, default=FOR_EVER)
