"""Who would receive a notice, which parts of it, and why: before it is sent, and of the past.

Asks the same `decide` as the hub, on the directory that this node trusts.  The hub decides later, so a
change of agreements in between counts; nothing else can make the two differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.receiving.incoming import Incoming
from adapters.sending.compose import compose
from adapters.sending.draft import Draft
from broker.core.agreements import (
    FOLLOWING_ACTS,
    Clause,
    Context,
    Failed,
    Share,
    Withhold,
    decide,
    first_failure,
    given_slots,
)
from broker.core.catalogue import Catalogue
from broker.core.clauses import Grant
from broker.core.directory import Directory
from broker.core.index import Index
from broker.core.model import Header, Obligations, Slot


@dataclass(frozen=True, slots=True)
class Receiver:
    """What one member would get: slots under agreements, or nothing because of a clause.

    `agreements` are those under which it would get something, or that failed by the clause that decided;
    `grants` are the numbers of their grants that apply, as `agreement/version#number`; `failed` has the first
    clause that was not met for each agreement of the two.
    """

    member: str
    slots: tuple[str, ...]
    agreements: tuple[str, ...]
    reason: Clause | None = None
    grants: tuple[str, ...] = ()
    obligations: Obligations | None = None
    failed: tuple[Failed, ...] = ()

    @property
    def receives(self) -> bool:
        """Tell whether it would get anything."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class GrantAnswer:
    """What one grant says about the notice: the slots that it gives, or the first clause that fails."""

    agreement: str
    number: int
    grant: Grant
    slots: tuple[str, ...]
    clause: Clause | None


@dataclass(frozen=True, slots=True)
class Preview:
    """A notice as it would be decided at a time, and every other member, receivers first."""

    header: Header
    directory: Directory
    context: Context
    receivers: tuple[Receiver, ...]

    @property
    def reached(self) -> Sequence[Receiver]:
        """Those who would get something."""
        return [each for each in self.receivers if each.receives]

    def of(self, member: str) -> Receiver | None:
        """Return what one member would get, or None if there is no such other member."""
        return next((each for each in self.receivers if each.member == member), None)

    def grants_for(self, member: str) -> list[GrantAnswer]:
        """Return what each grant of each agreement with `member` says."""
        return [
            GrantAnswer(
                agreement=f"{agreement.id}/{agreement.version}",
                number=number,
                grant=grant,
                slots=_labels(given_slots(agreement, grant, self.context.at)),
                clause=first_failure(agreement, grant, self.header, member, self.directory, self.context),
            )
            for agreement in self.directory.agreements
            if {self.header.originator, member} <= agreement.parties
            for number, grant in enumerate(agreement.grants, 1)
        ]


def look_ahead(
    draft: Draft, member: str, catalogue: Catalogue, index: Index, incoming: Incoming, now: int
) -> Preview:
    """Return who would get what of the draft if the hub decided it at `now`.

    Raises:
        Refused: The outbox would refuse the draft, by this code.
    """
    composed = compose(draft, member, catalogue, index, incoming.known_references, issued_at=now, now=now)
    header = composed.header
    return explained(header, index.directory, Context(now, incoming.known_references(header, now)))


def explained(header: Header, directory: Directory, context: Context) -> Preview:
    """Return what `decide` says of a notice for every member but its originator."""
    empty = Preview(header, directory, context, ())
    receivers = [_receiver(empty, other) for other in directory.members if other != header.originator]
    receivers.sort(key=lambda receiver: (not receiver.receives, receiver.member))
    return Preview(header, directory, context, tuple(receivers))


def _receiver(notice: Preview, other: str) -> Receiver:
    match decide(notice.header, other, notice.directory, notice.context):
        case Share(slots=slots, grounds=grounds, obligations=obligations):
            return Receiver(
                member=other,
                slots=_labels(slots),
                agreements=tuple(f"{ground.agreement}/{ground.version}" for ground in grounds),
                grants=_applying(notice, other),
                obligations=obligations,
            )
        case Withhold(reason=reason, agreements=failed):
            named = tuple(_name(each) for each in failed if each.clause is reason)
            return Receiver(other, (), named, reason, failed=failed)


def _applying(notice: Preview, other: str) -> tuple[str, ...]:
    """Return the grants that apply; what follows an original goes where that went, by no grant of its own."""
    if notice.header.act in FOLLOWING_ACTS:
        return ()
    return tuple(
        f"{each.agreement}#{each.number}" for each in notice.grants_for(other) if each.clause is None
    )


def _labels(slots: frozenset[Slot]) -> tuple[str, ...]:
    return tuple(slot.label for slot in sorted(slots))


def _name(failed: Failed) -> str:
    return f"{failed.agreement.agreement}/{failed.agreement.version}"
