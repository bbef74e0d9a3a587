"""Who would receive a notice, which parts of it, and why: before it is sent.

Asks the same `decide` as the hub, on the directory that this node trusts.  The hub decides later, so a
change of agreements in between counts; nothing else can make the two differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.compose import compose
from adapters.draft import Draft
from adapters.incoming import Incoming
from broker.core.agreements import Clause, Context, Share, Withhold, decide
from broker.core.catalogue import Catalogue
from broker.core.index import Index


@dataclass(frozen=True, slots=True)
class Receiver:
    """What one member would get: slots under agreements, or nothing because of a clause."""

    member: str
    slots: tuple[str, ...]
    agreements: tuple[str, ...]
    reason: Clause | None = None

    @property
    def receives(self) -> bool:
        """Tell whether it would get anything."""
        return self.reason is None


def preview(
    draft: Draft, member: str, catalogue: Catalogue, index: Index, incoming: Incoming, now: int
) -> list[Receiver]:
    """Return every other member, receivers first.

    Raises:
        Refused: The outbox would refuse the draft, by this code.
    """
    composed = compose(draft, member, catalogue, index, incoming.known_references, issued_at=now, now=now)
    context = Context(at=now, references=incoming.known_references(composed.header, now))
    receivers: list[Receiver] = []
    for other in sorted(index.directory.members):
        if other == member:
            continue
        match decide(composed.header, other, index.directory, context):
            case Share(slots=slots, grounds=grounds):
                receivers.append(
                    Receiver(
                        other,
                        tuple(slot.label for slot in sorted(slots)),
                        tuple(f"{ground.agreement}/{ground.version}" for ground in grounds),
                    )
                )
            case Withhold(reason=reason, agreements=agreements):
                named = tuple(
                    f"{failed.agreement.agreement}/{failed.agreement.version}"
                    for failed in agreements
                    if failed.clause is reason
                )
                receivers.append(Receiver(other, (), named, reason))
    return sorted(receivers, key=lambda receiver: (not receiver.receives, receiver.member))
