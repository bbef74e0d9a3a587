"""Continuity: before a tree is used, the hub shows that it continues what was seen.

A hub that was restored from an old backup has forgotten what it showed; once its log has grown again it is as
long as before, and only the proof of consistency tells the two apart.  Decides when that proof is asked for:
whenever deliveries come under another tree, after every start and failure, and now and then besides.

Source: RFC 9162 section 2.1.4; docs/formats.md, "The log".
"""

from __future__ import annotations

from adapters.hub import Hub
from adapters.receiving.incoming import Incoming
from broker.clock import Clock
from broker.core.errors import BadProof
from broker.core.merkle import verify_consistency
from broker.core.note import TreeHead

ASK_MS = 10_000
"""Trees that carry no delivery are held against what was seen at least so often."""


class Continuity:
    """Holds each tree of the feed against the largest that was seen.

    Args:
        incoming: Knows what was seen.
        hub: Shows the proof.
        clock: Tells the time.
    """

    def __init__(self, incoming: Incoming, hub: Hub, clock: Clock) -> None:
        self._incoming = incoming
        self._hub = hub
        self._clock = clock
        self._asked_at: int | None = None

    def doubt(self) -> None:
        """Ask with the next tree, whatever it carries."""
        self._asked_at = None

    async def check(self, tree: TreeHead, *, used: bool) -> None:
        """Let a tree pass that continues, or is continued by, the largest tree that was seen.

        `used` says that something is to be taken that it proves.

        Raises:
            BadProof: The hub does not show it: its log is not the one that it was.
            Unavailable: The hub does not answer now.
        """
        seen = self._incoming.largest_tree()
        if seen is None or seen == tree:
            return
        now = self._clock.now()
        lately = self._asked_at is not None and 0 <= now - self._asked_at < ASK_MS
        if lately and not used:
            return
        old, new = sorted((seen, tree), key=lambda each: each.size)
        path = await self._hub.consistency(old.size, new.size)
        # What comes by stick cannot be asked for; it is held against what the hub shows later.
        if path is not None and not verify_consistency(old.size, new.size, old.root, new.root, path):
            raise BadProof("the log does not continue what was seen of it", field="checkpoint")
        self._asked_at = now
