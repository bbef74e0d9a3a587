"""Writes a log of very many records quickly: real ones, signed, with their leaves and checkpoints.

What the services of a hub would write in a day or a year is written here without them, as fast as it is
encoded: notices of several members with their decisions, deliveries, reads, receipts, refusals and feedback.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

from broker.core.catalogue import Catalogue
from broker.core.keys import Algorithm, PrivateKey, new_salt
from broker.core.merkle import Frontier, leaf_hash
from broker.core.model import (
    Act,
    Checkpoint,
    Decision,
    DecisionShare,
    Delivery,
    DeliveryHead,
    Envelope,
    Event,
    Ground,
    Handling,
    Header,
    Leaf,
    Obligations,
    Onward,
    Read,
    Readable,
    Receipt,
    Refusal,
    Region,
    Slot,
    Station,
    Status,
    Tlp,
)
from broker.core.note import LogSigner
from broker.core.notice import draft
from broker.core.notice_json import values_from_json
from broker.core.records import (
    content_digest,
    delivery_id,
    encode,
    encode_content,
    encode_delivery,
    frame,
    framed,
    leaf_entry_of,
    named_frame,
    partition_of,
    statement_id,
)
from broker.core.signing import sign_header, sign_receipt
from broker.log import Log, Partition, Record
from broker.log.topics import (
    AUDIT_CHECKPOINTS,
    AUDIT_LEAVES,
    DECISIONS,
    PARTITIONS_PER_REGION,
    READS,
    RECEIPTS,
    REFUSALS,
    hub_topics,
    inbox_topic,
    notices_topic,
)
from schemas import load_catalogue
from tests.notices import NOTICES

NETWORK = "halong-soak"
START = 1_760_000_000_000
STEP_MS = 700
MEMBERS = ("vn", "jp", "nl", "br", "us", "ke", "sa", "au")
FAN_OUT = 4
TOGETHER = 64
"""So many deliveries are in one read and one receipt."""
ANSWERED = 8
"""One notice of so many is answered by one of its receivers."""
REFUSED = 50
APPENDED_AT_ONCE = 8_192
CHECKPOINT_EACH = 4_096


@dataclass(slots=True)
class _Stream:
    sequence: int = 0
    previous: bytes | None = None


@dataclass(slots=True)
class _Inbox:
    lanes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    waiting: list[bytes] = field(default_factory=list)


class ManyRecords:
    """Makes records.

    Args:
        seed: What chance begins with.
    """

    def __init__(self, seed: int = 1) -> None:
        self._chance = Random(seed)
        self._key = PrivateKey.from_seed(Algorithm.ED25519, bytes(31) + b"\1")
        self.signer = LogSigner(f"{NETWORK}/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(31) + b"\2"))
        self.catalogue = Catalogue(load_catalogue())
        self._streams: dict[str, _Stream] = defaultdict(_Stream)
        self._inboxes: dict[str, _Inbox] = defaultdict(_Inbox)
        self._values = {
            name: values_from_json(self.catalogue.current(name), NOTICES[name]())
            for name in ("drug-parcel", "hazardous-waste", "feedback")
        }
        self.now = START
        self.notices = 0

    async def write(self, log: Log, count: int) -> None:
        """Write so many records that have leaves, the leaves, and the checkpoints."""
        await log.create(hub_topics(MEMBERS))
        offsets: dict[Partition, int] = defaultdict(int)
        tree = Frontier()
        batch: list[Record] = []
        leaves: list[Record] = []
        for record in self._records(count):
            entry = leaf_entry_of(record.value)
            index = tree.size
            place = record.partition
            leaf = Leaf(index, entry, place.topic, place.number, offsets[place])
            offsets[place] += 1
            tree.extend((leaf_hash(entry),))
            batch.append(record)
            leaves.append(Record(Partition(AUDIT_LEAVES), b"%d" % index, frame(leaf)))
            if tree.size % CHECKPOINT_EACH == 0 or tree.size == count:
                note = self.signer.sign_checkpoint(tree.size, tree.root(), self.now)
                checkpoint = Checkpoint(tree.size, tree.root(), note, self.now, ())
                leaves.append(Record(Partition(AUDIT_CHECKPOINTS), b"%d" % tree.size, frame(checkpoint)))
            if len(batch) >= APPENDED_AT_ONCE or tree.size == count:
                await log.append(batch)
                await log.append(leaves)
                batch, leaves = [], []

    def _records(self, count: int) -> Iterator[Record]:
        written = 0
        while True:
            for record in self._notice():
                yield record
                written += 1
                if written == count:
                    return

    def _notice(self) -> Iterator[Record]:
        self.now += STEP_MS
        originator = self._chance.choice(MEMBERS)
        receivers = self._chance.sample([each for each in MEMBERS if each != originator], FAN_OUT)
        kind = self._chance.choice(("drug-parcel", "hazardous-waste"))
        statement = yield from self._published(originator, kind, sorted(receivers))
        self.notices += 1
        if self.notices % ANSWERED == 0:
            yield from self._published(receivers[0], "feedback", [originator], (statement,))
        if self.notices % REFUSED == 0:
            refusal = Refusal(
                new_salt(), Station.GATEWAY, originator, None, new_salt() * 2, "bad-signature", 1, self.now
            )
            yield Record(Partition(REFUSALS), *named_frame(refusal))

    def _published(
        self, originator: str, kind: str, receivers: list[str], references: tuple[bytes, ...] = ()
    ) -> Iterator[Record]:
        envelope, header, statement = self._envelope(originator, kind, references)
        data = encode(envelope)
        place = Partition(notices_topic(header.region), partition_of(originator, PARTITIONS_PER_REGION))
        yield Record(place, statement, framed(Envelope, data))
        facts = tuple(each for each in envelope.disclosures if each.slot is Slot.FACTS)
        cut = encode(Envelope(envelope.header, envelope.signature, facts, (), ()))
        content, digest = encode_content(cut, ()), content_digest(cut)
        shares = []
        for member in receivers:
            ground = Ground(f"{min(originator, member)}-{max(originator, member)}", 1, bytes(32))
            id_, record = self._delivery(member, originator, statement, ground, content, digest)
            shares.append(DecisionShare(member, (Slot.FACTS,), (ground,), id_))
            yield record
        decision = Decision(
            salt=new_salt(),
            statement=statement,
            signature=sha256(envelope.signature).digest(),
            key=self._key.public.id,
            directory=bytes(32),
            decided_at=self.now,
            shares=tuple(shares),
        )
        yield Record(Partition(DECISIONS), *named_frame(decision))
        for member in receivers:
            yield from self._taken(member)
        return statement

    def _envelope(
        self, originator: str, kind: str, references: tuple[bytes, ...]
    ) -> tuple[Envelope, Header, bytes]:
        notice_type = self.catalogue.current(kind)
        digests, disclosures = draft(notice_type, self._values[kind])
        stream = self._streams[originator]
        stream.sequence += 1
        header = Header(
            profile=1,
            originator=originator,
            region=Region.ASIA_PACIFIC,
            stream="main",
            sequence=stream.sequence,
            previous=stream.previous,
            regions_concerned=(),
            countries=("JP", "VN"),
            notice_type=kind,
            schema=notice_type.digest,
            status=Status.ACTUAL,
            act=Act.FEEDBACK if references else Act.ORIGINAL,
            references=references,
            tlp=Tlp.AMBER,
            handling=Handling.H1,
            purpose="customs-enforcement",
            subjects=(),
            campaign=None,
            addressees=(),
            issued_at=self.now,
            effective_until=None,
            retain_until=None,
            feedback_due=None,
            slots=digests,
            seals=None,
        )
        data = encode(header)
        stream.previous = statement_id(data)
        envelope = Envelope(data, sign_header(data, NETWORK, self._key), disclosures, (), ())
        return envelope, header, stream.previous

    def _delivery(
        self, member: str, originator: str, statement: bytes, ground: Ground, content: bytes, digest: bytes
    ) -> tuple[bytes, Record]:
        inbox = self._inboxes[member]
        lane = f"{Region.ASIA_PACIFIC.slug}/{originator}"
        inbox.lanes[lane] += 1
        strict = (Onward.DENY, Onward.DENY, Onward.DENY)
        head = encode(
            DeliveryHead(
                salt=new_salt(),
                member=member,
                lane=lane,
                sequence=inbox.lanes[lane],
                statement=statement,
                slots=(Slot.FACTS,),
                content=digest,
                grounds=(ground,),
                directory=bytes(32),
                obligations=Obligations(None, self.now + 72 * 3_600_000, Handling.H1, *strict),
                decided_at=self.now,
            )
        )
        id_ = delivery_id(head)
        inbox.waiting.append(id_)
        value = framed(Delivery, encode_delivery(head, content))
        return id_, Record(Partition(inbox_topic(member)), id_, value)

    def _taken(self, member: str) -> Iterator[Record]:
        inbox = self._inboxes[member]
        # One of them has been away for a while.
        if len(inbox.waiting) < TOGETHER or member == "au":
            return
        ids, inbox.waiting = tuple(sorted(inbox.waiting)), []
        read = Read(new_salt(), member, Readable.INBOX, ids, None, self.now + 100)
        yield Record(Partition(READS), *named_frame(read))
        receipt = Receipt(new_salt(), member, ids, Event.DELIVERED, "folder", None, self.now + 400)
        signed = sign_receipt(receipt, NETWORK, self._key)
        yield Record(Partition(RECEIPTS), *named_frame(signed))
