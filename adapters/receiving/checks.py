"""What a node checks of its hub: nothing that the hub says is believed because the hub says it.

Decides whether a checkpoint, a delivery and a decision are what they claim to be, and are no more than the
agreements allow.  What happens to what fails is decided in `runner` and `outbox`.

Source: docs/formats.md, "The hub's records" and "The log"; RFC 9162 section 2.1.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from broker.core.agreements import Context, Reference, Share, decide
from broker.core.catalogue import Catalogue
from broker.core.delivery import open_delivery
from broker.core.directory import Directory
from broker.core.errors import BadDelivery, BadProof, LaneGap, NotAgreed
from broker.core.index import Index
from broker.core.merkle import leaf_hash, verify_inclusion
from broker.core.model import (
    Act,
    Decision,
    Delivery,
    DeliveryHead,
    Envelope,
    Handling,
    Header,
    Obligations,
    Onward,
)
from broker.core.note import LogKey, TreeHead
from broker.core.notice import Notice
from broker.core.records import decode, delivery_id, record_id, statement_id
from broker.core.wire import FeedItem, Inclusion, StatementStatus

NOTHING_OWED = Obligations(None, None, Handling.H0, Onward.ALLOW, Onward.ALLOW, Onward.ALLOW)
STATEMENT_LEAF = b"\x01"
DECISION_LEAF = b"\x02"
DELIVERY_LEAF = b"\x03"


def check_checkpoint(
    note: bytes | None, log_key: LogKey, last: TreeHead | None, root_at: Callable[[int], bytes | None]
) -> TreeHead:
    """Return the tree of a checkpoint that continues what was seen before.

    Args:
        note: The signed note.
        log_key: The pinned key of the log.
        last: The tree that was seen last, from where this one comes.
        root_at: The root that was seen for a size, from wherever.

    Raises:
        BadProof: It is not of this log, or denies what the log has shown.
    """
    # 1. There is one, and the log's key has signed it.
    if note is None:
        raise BadProof("there is no checkpoint", field="checkpoint")
    head = log_key.open_checkpoint(note)
    # 2. The log only grows.
    if last is not None and head.size < last.size:
        raise BadProof("the log is smaller than it was", field="checkpoint")
    # 3. A size has one root; two are two logs.
    known = root_at(head.size)
    if known is not None and known != head.root:
        raise BadProof("the log has another root at a size that was seen", field="checkpoint")
    return head


def check_included(entry: bytes, inclusion: Inclusion | None, tree: TreeHead) -> None:
    """Let an entry pass that the tree contains.

    Raises:
        BadProof: The path does not lead from the entry to the root.
    """
    if inclusion is None or not verify_inclusion(
        leaf_hash(entry), inclusion.index, tree.size, inclusion.path, tree.root
    ):
        raise BadProof("the inclusion path does not lead to the checkpoint", field="path")


@dataclass(frozen=True, slots=True)
class Proven:
    """A delivery that the hub cannot deny any more; whether it is right is not known yet."""

    id: bytes
    head: DeliveryHead
    delivery: Delivery
    item: FeedItem
    tree: TreeHead


def prove_delivery(item: FeedItem, tree: TreeHead) -> Proven:
    """Return the delivery in a feed item if the log contains it.

    Raises:
        NotCanonical: It is no delivery at all.
        BadProof: The path does not lead from it to the checkpoint.
    """
    # 1. The record has its one encoding, so one delivery cannot have two names.
    delivery = decode(Delivery, item.delivery)
    # 2. The log contains it, so the hub cannot take it back.
    name = delivery_id(delivery.head)
    check_included(DELIVERY_LEAF + name, Inclusion(item.index, item.path), tree)
    # 3. Only now is the head read.
    return Proven(name, decode(DeliveryHead, delivery.head), delivery, item, tree)


@dataclass(frozen=True, slots=True)
class Checked:
    """A delivery that is ours, next, genuine and agreed.

    `notice` is None if the content was erased before it was fetched.  `narrower` says that the agreements
    would have allowed more slots.
    """

    proven: Proven
    notice: Notice | None
    learned: Reference | None
    narrower: bool


def check_ours(proven: Proven, member: str, next_in_lane: Callable[[str], int]) -> None:
    """Let a delivery pass that is for `member` and next in its lane.

    Raises:
        BadDelivery: It is another member's.
        LaneGap: Something before it is missing, or it stands where another stood.
    """
    # 1. It is for us: another member's content is not even looked at.
    if proven.head.member != member:
        raise BadDelivery("the delivery is another member's", field="member")
    # 2. Nothing is missing before it, and it takes no other's place.
    if proven.head.sequence != next_in_lane(proven.head.lane):
        raise LaneGap("the lane's sequence has a hole or a repeat", field="sequence")


def check_delivery(
    proven: Proven,
    member: str,
    directory: Directory,
    catalogue: Catalogue,
    references: Callable[[Header, int], Mapping[bytes, Reference]],
) -> Checked:
    """Return the delivery with its notice, if all that it says holds.

    Args:
        proven: A delivery that passed `check_ours`.
        member: Who we are.
        directory: The directory at the version that the head names.
        catalogue: The notice types.
        references: What we know of the statements that a header refers to, as of a time.

    Raises:
        BadDelivery: It is not what its head names, or stands in another lane.
        NotAgreed: The agreements allow less, or on other terms.
        Refused: The notice itself does not hold; see `broker.core.delivery`.
    """
    head = proven.head
    # 1. The notice is the originator's, and the content is what the head names.
    notice = open_delivery(proven.delivery, member, directory, catalogue, directory.network).notice
    if notice is None:
        return Checked(proven, None, None, narrower=False)
    header = notice.header
    # 2. The lane is the originator's in that region: a lane made up for one delivery would hide a hole.
    if head.lane != f"{header.region.slug}/{header.originator}":
        raise BadDelivery("the lane is not the originator's", field="lane")
    # 3. The agreements, computed again with the directory of the decision, share this with us …
    context = Context(at=head.decided_at, references=references(header, head.decided_at))
    verdict = decide(header, member, directory, context)
    if not isinstance(verdict, Share):
        raise NotAgreed("no agreement shares this notice with us", field="grounds")
    # 4. … with no more slots …
    if not verdict.slots.issuperset(head.slots):
        raise NotAgreed("the delivery shows slots that no agreement grants", field="slots")
    # 5. … on the grounds that the head names, by the digests of their very bytes …
    if head.grounds != verdict.grounds:
        raise NotAgreed("the delivery names other agreements than those that apply", field="grounds")
    # 6. … and under exactly the obligations that follow from them.
    if head.obligations != verdict.obligations:
        raise NotAgreed("the obligations are not those of the agreements", field="obligations")
    learned = Reference(
        statement=head.statement,
        originator=header.originator,
        notice_type=header.notice_type,
        act=header.act,
        decided_at=head.decided_at,
        shares={member: Share(frozenset(head.slots), head.grounds, head.obligations)},
    )
    return Checked(proven, notice, learned, narrower=verdict.slots != frozenset(head.slots))


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What the hub decided about a statement of ours, proven, and how it compares with our own answer.

    `narrower` and `wider` are the members that were given less, and more, than the agreements say.
    """

    decision: Decision
    learned: Reference
    narrower: tuple[str, ...]
    wider: tuple[str, ...]


def check_statement(
    status: StatementStatus, envelope: Envelope, key: bytes, tree: TreeHead, *, sent: bool = True
) -> Decision:
    """Return the hub's decision about our statement, if the log contains both.

    Args:
        status: What the hub answered.
        envelope: What we sent.
        key: The id of the key by which we signed it.
        tree: The tree of the answer's checkpoint.
        sent: The envelope has the signature under which it was sent.

    Raises:
        BadProof: The log contains one of them not, or the decision is about something else.
        NotCanonical: The decision is no decision at all.
    """
    if status.decision is None:
        raise BadProof("there is no decision", field="decision")
    # 1. The log contains our statement.
    statement = statement_id(envelope.header)
    check_included(STATEMENT_LEAF + statement, status.statement_inclusion, tree)
    # 2. The log contains the decision.
    decision = decode(Decision, status.decision)
    check_included(DECISION_LEAF + record_id(decision), status.decision_inclusion, tree)
    # 3. It is about our statement, as we signed it: the same signature, by the same key.
    if decision.statement != statement:
        raise BadProof("the decision is about another statement", field="statement")
    if sent and decision.signature != sha256(envelope.signature).digest():
        raise BadProof("the decision is about another signature", field="signature")
    if decision.key != key:
        raise BadProof("the decision names another key", field="key")
    return decision


def compare_decision(
    decision: Decision, header: Header, index: Index, references: Mapping[bytes, Reference]
) -> Confirmed:
    """Return how a proven decision compares with what the agreements say.

    `index` is of the directory version that the decision names.  Where an agreement winds down, what a third
    party said keeps a case open for whoever was given it; that we are not told, so it is not held against the
    hub.
    """
    ours = index.shares(header, Context(at=decision.decided_at, references=references))
    theirs = {share.member: share for share in decision.shares}
    narrower = []
    wider = []
    shares = {}
    for member in sorted(ours.keys() | theirs.keys()):
        agreed = ours.get(member)
        given = frozenset(theirs[member].slots) if member in theirs else None
        if agreed is not None and (given is None or given < agreed.slots):
            narrower.append(member)
        if given is not None and (agreed is None or not given <= agreed.slots):
            told = _as_open_cases(decision, header, member, index, references)
            most = decide(header, member, index.directory, told)
            if isinstance(most, Share) and given <= most.slots:
                agreed = most
            else:
                wider.append(member)
        if given is not None and agreed is not None:
            shares[member] = Share(given, theirs[member].grounds, agreed.obligations)
    learned = Reference(
        statement=decision.statement,
        originator=header.originator,
        notice_type=header.notice_type,
        act=header.act,
        decided_at=decision.decided_at,
        shares=shares,
    )
    return Confirmed(decision, learned, tuple(narrower), tuple(wider))


def _as_open_cases(
    decision: Decision, header: Header, member: str, index: Index, references: Mapping[bytes, Reference]
) -> Context:
    """Return what we know, and that the member was given whatever we cannot know that it was not."""
    at = decision.decided_at
    ended = tuple(
        each.ground
        for each in index.directory.agreements
        if {header.originator, member} <= each.parties
        and each.terminated_at is not None
        and each.terminated_at <= at
    )
    told = dict(references)
    if ended:
        given = {member: Share(frozenset(), ended, NOTHING_OWED)}
        for statement in header.references:
            known = references.get(statement)
            if known is None:
                told[statement] = Reference(statement, "", header.notice_type, Act.ORIGINAL, 0, given)
            elif known.originator not in (header.originator, member):
                told[statement] = replace(known, shares={**known.shares, **given})
    return Context(at, told)
