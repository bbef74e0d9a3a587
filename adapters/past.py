"""A notice of the past, with all that was decided about it, as this node's store knows it.

Decides what a node can tell: of its own notices all, of those that it received its own part.  What follows
from it is computed by `adapters.preview`, on the version of the directory that the decision names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.preview import Preview, explained
from adapters.receiving.incoming import Incoming
from adapters.store import Store
from broker.core.agreements import Context, Reference
from broker.core.directory import Directory
from broker.core.model import Decision, Delivery, DeliveryHead, Envelope, Header, Slot
from broker.core.records import decode


@dataclass(frozen=True, slots=True)
class Past:
    """A statement and its decision.

    Args:
        statement: Its id.
        header: What was signed.
        directory: The version of the directory that the decision names.
        decided_at: When it was decided.
        references: What was known of what it refers to.
        shown: Which slots the log shows for whom.
        about: Whom `shown` is about; None is everybody, so that who is not in it got nothing.
    """

    statement: bytes
    header: Header
    directory: bytes
    decided_at: int
    references: Mapping[bytes, Reference]
    shown: Mapping[str, frozenset[Slot]]
    about: str | None = None

    def explained(self, directory: Directory) -> Preview:
        """Return what the agreements say of it, on the version of the directory that it names."""
        return explained(self.header, directory, Context(self.decided_at, self.references))

    def otherwise(self, said: Preview) -> list[str]:
        """Return for whom the log shows something else than the agreements say."""
        return [
            each.member
            for each in said.receivers
            if self.about in (None, each.member)
            and (sorted(self.shown[each.member]) if each.member in self.shown else None)
            != ([Slot[label.upper()] for label in each.slots] if each.receives else None)
        ]


@dataclass(frozen=True, slots=True)
class Undecided:
    """A statement about which nothing was decided: `code` is why it was refused, None if it still waits."""

    code: str | None


def past_at_node(store: Store, incoming: Incoming, statement: bytes) -> Past | Undecided | None:
    """Return what the node's store knows of a statement; None if it does not know it."""
    row = store.row("SELECT envelope, decision, code FROM statements WHERE id = ?", statement)
    if row is not None:
        header = decode(Header, decode(Envelope, row[0]).header)
        if row[1] is None:
            return Undecided(row[2])
        decision = decode(Decision, row[1])
        return Past(
            statement,
            header,
            decision.directory,
            decision.decided_at,
            incoming.known_references(header, decision.decided_at),
            {share.member: frozenset(share.slots) for share in decision.shares},
        )
    found = store.row("SELECT record FROM deliveries WHERE statement = ?", statement)
    if found is None:
        return None
    delivery = decode(Delivery, found[0])
    head = decode(DeliveryHead, delivery.head)
    if delivery.envelope is None:
        return Undecided("erased")
    header = decode(Header, delivery.envelope.header)
    return Past(
        statement,
        header,
        head.directory,
        head.decided_at,
        incoming.known_references(header, head.decided_at),
        {head.member: frozenset(head.slots)},
        head.member,
    )
