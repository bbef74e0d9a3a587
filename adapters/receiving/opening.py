"""Deliveries as items for channels: made where they are checked, and opened again from the store.

Decides that an `Item` exists only of what passed the checks: what the runner has just checked is kept for a
while, all else is read from the store and goes through the same checks once more, so a store that somebody
has changed hands on nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from adapters.channels import Item
from adapters.equipment import Equipment
from adapters.receiving.checks import Checked, check_delivery, check_ours, prove_delivery
from broker.core.directory import Directory
from broker.core.doubt import doubtful_since
from broker.core.errors import BadProof
from broker.core.further_terms import further_terms
from broker.core.note import TreeHead
from broker.core.wire import FeedItem
from schemas.shown import ProofLine

MOST_KEPT_BYTES = 2 << 20
"""As delivered; opened they take about seven times as much."""


class Opening:
    """Opens deliveries of this node.

    Args:
        equipment: What the node works with.
        most_kept_bytes: How much of what was just checked is kept.
    """

    def __init__(self, equipment: Equipment, most_kept_bytes: int = MOST_KEPT_BYTES) -> None:
        self._incoming = equipment.incoming
        self._directories = equipment.directories
        self._catalogue = equipment.catalogue
        self._member = equipment.identity.member
        self._log = equipment.log_key.name
        self._kept: OrderedDict[bytes, tuple[Item, int]] = OrderedDict()
        self._bytes = 0
        self._most = most_kept_bytes

    def keep(self, checked: Checked, directory: Directory) -> None:
        """Keep what was just checked, so that channels that are up to date need not open it again."""
        item = self._item(checked, directory)
        if item is None or item.id in self._kept:
            return
        size = len(checked.proven.item.delivery)
        self._kept[item.id] = item, size
        self._bytes += size
        while self._bytes > self._most:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= dropped

    async def open(self, delivery: bytes) -> Item | None:
        """Return a delivery that this node recorded; None if its content is erased.

        Raises:
            Unavailable: The store, or a version of the directory, is out of reach.
            Refused: What the store holds is not what was checked.
        """
        item = await self._open(delivery)
        if item is None:
            return None
        # By the newest directory: that a key was stolen may have come out since.
        newest = (await self._directories.newest()).directory
        header = item.notice.header
        since = doubtful_since(newest, header.originator, item.notice.key.id, item.head.decided_at)
        return item if since is None else replace(item, doubtful_since=since)

    async def _open(self, delivery: bytes) -> Item | None:
        if delivery in self._kept:
            return self._kept[delivery][0]
        stored = self._incoming.delivery(delivery)
        if stored is None:
            raise BadProof("the store holds no such delivery", field="delivery")
        root = self._incoming.root_at(stored.size)
        if root is None:
            raise BadProof("the store holds no checkpoint of this size", field="checkpoint")
        proven = prove_delivery(
            FeedItem(stored.place - 1, stored.content, stored.leaf, list(stored.path)),
            TreeHead(stored.size, root),
        )
        if proven.id != delivery:
            raise BadProof("the store holds another delivery under this id", field="delivery")
        check_ours(proven, self._member, lambda _lane: stored.sequence)
        index = await self._directories.at(proven.head.directory)
        checked = check_delivery(
            proven, self._member, index.directory, self._catalogue, self._incoming.known_references
        )
        return self._item(checked, index.directory)

    def _item(self, checked: Checked, directory: Directory) -> Item | None:
        proven = checked.proven
        if checked.notice is None:
            return None
        return Item(
            proven.id,
            proven.head,
            checked.notice,
            ProofLine(self._log, proven.item.index, proven.tree.size, proven.tree.root),
            {id_: member.name for id_, member in directory.members.items()},
            further=further_terms(checked.notice.header, self._member, proven.head.grounds, directory),
        )
