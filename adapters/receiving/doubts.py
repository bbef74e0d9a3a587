"""Which deliveries are in doubt: signed with a key that was stolen by the time of their decision.

Decided anew by the newest directory of this node whenever it is shown: that a key was stolen comes out later.

Source: `broker.core.doubt`.
"""

from __future__ import annotations

from adapters.configuration import NodeConfig
from adapters.node import directory_source
from broker.core.doubt import compromised_since
from broker.core.errors import HalongError
from broker.core.model import Delivery, DeliveryHead, Header
from broker.core.records import decode
from broker.core.signing import key_named


class Doubts:
    """Tells of deliveries whether they are in doubt; of none while the node has no directory.

    Args:
        config: Of the node.
    """

    def __init__(self, config: NodeConfig) -> None:
        try:
            self._members = directory_source(config).load().members
        except HalongError:
            self._members = {}
        # Nearly always nobody's key was stolen, and nothing has to be read again.
        self._any = any(
            compromised_since(key) is not None for each in self._members.values() for key in each.keys
        )

    def since(self, delivery: Delivery) -> int | None:
        """Return since when the key of a delivery was stolen, if it was decided since then.

        Raises:
            Refused: The delivery is none, or its signature is of no form that exists.
        """
        if not self._any or delivery.envelope is None:
            return None
        found = self._members.get(decode(Header, delivery.envelope.header).originator)
        key = key_named(delivery.envelope.signature, found.keys) if found is not None else None
        decided_at = decode(DeliveryHead, delivery.head).decided_at
        return key.revoked_at if key is not None and key.doubtful_at(decided_at) else None
