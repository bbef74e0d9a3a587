"""Which of the member's own statements are in doubt once a key turns out to have been in other hands.

Decides by the time at which the hub decided each, never by what a statement says of itself; one that is not
decided yet, as far as this node knows, is in doubt.
"""

from __future__ import annotations

from adapters.store import Store
from broker.core.model import Decision, Envelope, Header
from broker.core.records import decode


def doubtful_since(store: Store, key: bytes, since: int) -> list[str]:
    """Return the references of what stands, was signed with the key, and was decided at `since` or later."""
    rows = store.rows(
        "SELECT envelope, decision FROM statements WHERE key = ?"
        " AND state IN ('signed', 'accepted', 'admitted', 'proven') ORDER BY region, stream, sequence",
        key,
    )
    found = []
    for envelope, decision in rows:
        if decision is None or decode(Decision, decision).decided_at >= since:
            found.append(decode(Header, decode(Envelope, envelope).header).reference)
    return found
