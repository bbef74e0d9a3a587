"""What goes along of the signed directory on a stick to a node: the newest version, and those that are named.

A decision names the version under which it was made, and the node may have seen none near it.
So each version that something on the stick names goes along before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapters.hub import DirectoryHub
from adapters.stick.file import Listed
from broker.core.errors import NotCanonical
from broker.core.model import Decision, Delivery, DeliveryHead
from broker.core.records import decode
from broker.core.wire import Feed, StatementStatus


class Listing:
    """What of the directory goes along.

    Args:
        directories: Who hands it out; None where nothing of it goes along.
        known: The version that the node has.
        lines: What goes first.
    """

    def __init__(self, directories: DirectoryHub | None, known: bytes, lines: Sequence[Listed]) -> None:
        self._directories = directories
        self._known = known
        self.lines = lines
        self._there = {known.hex(), *(each.files.version for each in lines)}

    async def of_statuses(self, statuses: Iterable[StatementStatus]) -> list[Listed]:
        """Return the versions that decisions name and that do not go along yet.

        Raises:
            Unavailable: The hub cannot answer now.
        """
        return await self._lines(
            _version_of(Decision, each.decision) for each in statuses if each.decision is not None
        )

    async def of_feed(self, feed: Feed) -> list[Listed]:
        """Return the versions that deliveries name and that do not go along yet.

        Raises:
            Unavailable: The hub cannot answer now.
        """
        return await self._lines(_version_of(DeliveryHead, _head(each.delivery)) for each in feed.items)

    async def _lines(self, versions: Iterable[str]) -> list[Listed]:
        if self._directories is None:
            return []
        lines = []
        for version in dict.fromkeys(versions):
            if version and version not in self._there:
                self._there.add(version)
                files = await self._directories.past_directory(bytes.fromhex(version), self._known)
                if files is not None:
                    lines.append(Listed(files=files, newest=False))
        return lines


def _head(delivery: bytes) -> bytes:
    try:
        return decode(Delivery, delivery).head
    except NotCanonical:
        return b""


def _version_of(kind: type[Decision | DeliveryHead], record: bytes) -> str:
    """Return the version that a record names, nothing for one that is none: the node will say so."""
    try:
        return decode(kind, record).directory.hex()
    except NotCanonical:
        return ""
