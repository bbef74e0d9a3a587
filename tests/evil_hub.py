"""A hub that lies: it holds the log's key and the network's certificate, and says what a test tells it.

It keeps a tree of its own and signs whatever checkpoint it likes, so every lie comes with a valid proof
unless the proof is the lie.  `Hub` as the node's code knows it; the node is unmodified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from broker.core.agreements import Context, Reference, Share, decide
from broker.core.keys import new_salt
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import (
    Decision,
    DecisionShare,
    Delivery,
    DeliveryHead,
    Disclosure,
    Envelope,
    Head,
    Header,
    Receipt,
    Region,
    SignedReceipt,
    Slot,
)
from broker.core.note import LogSigner
from broker.core.records import (
    EMPTY_CHAIN,
    chained,
    content_digest,
    decode,
    delivery_id,
    encode,
    leaf_entry,
    record_id,
    statement_id,
)
from broker.core.redaction import redact
from broker.core.wire import (
    Covering,
    Feed,
    FeedItem,
    HeadAnswer,
    Inclusion,
    Outcome,
    Outcomes,
    StatementStatus,
    StreamPosition,
)
from tests.world import World, sighting


@dataclass(slots=True)
class Held:
    """A statement that was handed over, and what the hub will say about it."""

    envelope: Envelope
    index: int
    changes: dict[str, Any] = field(default_factory=dict)


class EvilHub:
    """One member's hub.

    Args:
        world: The members and agreements; its own hub does not run.
        member: Whose node asks.
    """

    def __init__(self, world: World, member: str) -> None:
        self.world = world
        self.member = member
        self.directory = world.source.load()
        self.signer: LogSigner = world.log_signer
        self.tree = Tree()
        self.items: list[FeedItem] = []
        self.receipts_taken: list[Receipt] = []
        self.held: dict[bytes, Held] = {}
        self.lanes: dict[tuple[str, str], int] = {}
        self.references: dict[bytes, Reference] = {}
        self.note: bytes | str | None = "honest"
        self.size: int | None = None
        self.signed_at: int | None = None
        self.timeless = False
        self.covered: list[tuple[int, int] | Covering] = []
        self.decision: dict[str, Any] = {}
        self.status: dict[str, Any] = {}
        self.shares: tuple[DecisionShare, ...] | None = None
        self.shown: tuple[bytes, int] | None = None
        self.head_path: list[bytes] | None = None

    # --- what it can be told ----------------------------------------------------------------------

    def deliver(self, envelope: bytes, *, member: str | None = None, **changes: Any) -> FeedItem:
        """Log a delivery of a notice and put it into the feed.

        `changes` are fields of the head; also `slots_shown` (instead of those of the head),
        `disclosures` and `content_shown` (instead of what was agreed),
        `extra` and `extra_in_head` (bytes that do not belong there).
        """
        member = member or self.member
        whole = decode(Envelope, envelope)
        header = decode(Header, whole.header)
        at = changes.get("decided_at", self.world.clock.now())
        verdict = decide(header, member, self.directory, Context(at, self.references))
        agreed = verdict if isinstance(verdict, Share) else None
        slots = tuple(changes.get("slots", sorted(agreed.slots) if agreed else tuple(Slot)))
        redacted, proofs = redact(whole, frozenset(changes.pop("slots_shown", slots)), member)
        if (disclosures := changes.pop("disclosures", None)) is not None:
            redacted = replace(redacted, disclosures=tuple(disclosures))
        redacted = changes.pop("content_shown", redacted)
        extra_in_head = changes.pop("extra_in_head", b"")
        extra = changes.pop("extra", b"")
        lane = changes.get("lane", f"{header.region.slug}/{header.originator}")
        self.lanes[member, lane] = self.lanes.get((member, lane), 0) + 1
        fallback = next(iter(self.some_share().shares.values()))
        head = DeliveryHead(
            **{
                "salt": new_salt(),
                "member": member,
                "lane": lane,
                "sequence": self.lanes[member, lane],
                "statement": statement_id(whole.header),
                "slots": slots,
                "content": content_digest(redacted),
                "grounds": agreed.grounds if agreed else fallback.grounds,
                "directory": self.directory.version,
                "obligations": agreed.obligations if agreed else fallback.obligations,
                "decided_at": at,
                **changes,
            }
        )
        delivery = Delivery(encode(head) + extra_in_head, redacted, proofs)
        index = self.log(b"\x03" + delivery_id(delivery.head))
        item = FeedItem(len(self.items), encode(delivery) + extra, index, [])
        self.items.append(item)
        return item

    def log(self, entry: bytes) -> int:
        """Append an entry and return its index."""
        self.tree.append(leaf_hash(entry))
        return self.tree.size - 1

    def some_share(self) -> Reference:
        """Return any share that the agreements of the world give to the member, as a reference."""
        envelope = decode(Envelope, self.world.compose("vn", sample(self.world), stream="unsent"))
        header = decode(Header, envelope.header)
        now = self.world.clock.now()
        verdict = decide(header, self.member, self.directory, Context(now, {}))
        if not isinstance(verdict, Share):
            verdict = decide(header, "jp", self.directory, Context(now, {}))
        assert isinstance(verdict, Share)
        name = statement_id(envelope.header)
        return Reference(name, "vn", header.notice_type, header.act, now, {self.member: verdict})

    # --- Hub --------------------------------------------------------------------------------------

    def checkpoint_note(self) -> bytes | None:
        """Return the checkpoint that it shows now."""
        if self.note != "honest":
            assert not isinstance(self.note, str)
            return self.note
        size = self.tree.size if self.size is None else self.size
        at = self.world.clock.now() if self.signed_at is None else self.signed_at
        return self.signer.sign_checkpoint(size, self.tree.root(size), None if self.timeless else at)

    def coverings(self) -> list[Covering]:
        """Return the earlier checkpoints that go along: sizes and times, or whatever it was told."""
        return [
            Covering(
                self.signer.sign_checkpoint(each[0], self.tree.root(each[0]), each[1]),
                self.tree.consistency_path(each[0], self.tree.size),
            )
            if isinstance(each, tuple)
            else each
            for each in self.covered
        ]

    async def feed(self, after: int, limit: int, wait: float) -> Feed:
        shown = []
        for item in self.items:
            if item.place >= after:
                path = item.path or self.tree.inclusion_path(item.index)
                shown.append(FeedItem(item.place, item.delivery, item.index, path))
        return Feed(shown[:limit], after + len(shown), 0, self.checkpoint_note(), self.coverings())

    def says(self, count: int | None = None, chain: bytes | None = None, **changes: Any) -> None:
        """Log a head of the member's inbox, and show it from now on: of the first `count` items, if told."""
        own = [decode(Delivery, each.delivery).head for each in self.items[:count]]
        told = EMPTY_CHAIN
        for each in own:
            told = chained(told, delivery_id(each))
        head = Head(
            **{
                "salt": new_salt(),
                "member": self.member,
                "size": self.tree.size,
                "deliveries": len(own),
                "chain": told if chain is None else chain,
                "at": self.world.clock.now(),
                **changes,
            }
        )
        self.shown = encode(head), self.log(leaf_entry(head))

    async def head(self) -> HeadAnswer:
        if self.shown is None:
            return HeadAnswer(checkpoint=self.checkpoint_note())
        data, index = self.shown
        path = self.tree.inclusion_path(index) if self.head_path is None else self.head_path
        return HeadAnswer(data, Inclusion(index, path), self.checkpoint_note())

    async def consistency(self, old: int, new: int) -> list[bytes] | None:
        return self.tree.consistency_path(old, new)

    async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
        results = []
        for data in envelopes:
            envelope = decode(Envelope, data)
            name = statement_id(envelope.header)
            self.held[name] = Held(envelope, self.log(leaf_entry(envelope)))
            results.append(Outcome(name.hex(), decode(Header, envelope.header).reference, "accepted"))
        return Outcomes(results)

    async def statements(self, statements: Sequence[bytes]) -> Sequence[StatementStatus | None]:
        return [await self.statement(each) for each in statements]

    async def statement(self, statement: bytes) -> StatementStatus | None:
        held = self.held[statement]
        header = decode(Header, held.envelope.header)
        decision = Decision(
            **{
                "salt": new_salt(),
                "statement": statement,
                "signature": sha256(held.envelope.signature).digest(),
                "key": self.world.people[self.member].signer.public.id,
                "directory": self.directory.version,
                "decided_at": self.world.clock.now(),
                "shares": self._shares(header),
                **self.decision,
            }
        )
        index = self.log(b"\x02" + record_id(decision))
        status = {
            "statement": statement.hex(),
            "reference": header.reference,
            "durable": True,
            "decided": True,
            "decision": encode(decision),
            "statement_inclusion": Inclusion(held.index, self.tree.inclusion_path(held.index)),
            "decision_inclusion": Inclusion(index, self.tree.inclusion_path(index)),
            "checkpoint": self.checkpoint_note(),
            **self.status,
        }
        return StatementStatus(**status)

    def _shares(self, header: Header) -> tuple[DecisionShare, ...]:
        if self.shares is not None:
            return self.shares
        shares = []
        for member in sorted(self.directory.members):
            verdict = decide(header, member, self.directory, Context(self.world.clock.now(), {}))
            if isinstance(verdict, Share):
                slots = tuple(sorted(verdict.slots))
                shares.append(DecisionShare(member, slots, verdict.grounds, new_salt() * 2))
        return tuple(shares)

    async def stream(self, region: Region, stream: str) -> StreamPosition:
        return StreamPosition(0, None)

    async def receipts(self, receipts: Sequence[bytes]) -> None:
        self.receipts_taken += [decode(Receipt, decode(SignedReceipt, each).receipt) for each in receipts]

    async def checkpoint(self) -> bytes | None:
        return self.checkpoint_note()


def sample(world: World) -> Any:
    """Return a notice's content with something in every slot."""
    return sighting(plate="29A", firm="Acme", person="Ada", text="seen twice", photo="a1")


def disclosed(envelope: bytes, *slots: Slot) -> list[Disclosure]:
    """Return an envelope's own disclosures of these slots."""
    return [one for one in decode(Envelope, envelope).disclosures if one.slot in slots]
