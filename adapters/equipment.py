"""What the working parts of a node share: its store, its hub, and whom and what it trusts."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.alarms import Alarms
from adapters.directories import Directories
from adapters.hub import Hub
from adapters.identity import Identity
from adapters.patience import Patience
from adapters.receiving.incoming import Incoming
from adapters.sending.outgoing import Outgoing
from adapters.store import Store
from broker.clock import Clock
from broker.core.catalogue import Catalogue
from broker.core.note import LogKey


@dataclass(frozen=True, slots=True)
class Equipment:
    """Handed to every part as it is.

    Args:
        store: The node's store.
        hub: The hub.
        directories: The directory as this node trusts it.
        catalogue: The notice types.
        identity: Who signs.
        log_key: The pinned key of the hub's log.
        clock: Tells the time.
        patience: How long to wait after what.
    """

    store: Store
    hub: Hub
    directories: Directories
    catalogue: Catalogue
    identity: Identity
    log_key: LogKey
    clock: Clock
    patience: Patience

    @property
    def outgoing(self) -> Outgoing:
        """The sending half of the store."""
        return Outgoing(self.store)

    @property
    def incoming(self) -> Incoming:
        """The receiving half of the store."""
        return Incoming(self.store)

    @property
    def alarms(self) -> Alarms:
        """What a person at the node must hear of."""
        return Alarms(self.store, self.clock)
