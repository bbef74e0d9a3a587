"""A small simulated world: members with real keys, agreements, a hub on a real log, a clock that tests move.

::

    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp", types=["sighting"], slots=["facts"])
        await world.publish("vn", sighting(person="Ada"))
        (delivery,) = await world.deliveries("jp")

Everything is the hub's own code on a SQLite log; only the network is left out.  Nothing sleeps: `settle`
waits for the log to hold what follows from what was published.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from broker.core.agreement_text import parse_agreement
from broker.core.catalogue import Catalogue, NoticeType
from broker.core.clauses import Agreement
from broker.core.directory import Directory, Member, MemberClass, MemberKey, Revocation, TransportKey, Use
from broker.core.keys import Algorithm, PrivateKey, Signer, new_salt, spki_digest
from broker.core.model import (
    Act,
    Decision,
    Delivery,
    DeliveryHead,
    Disclosure,
    Envelope,
    Event,
    Handling,
    Header,
    Receipt,
    Refusal,
    Region,
    SignedReceipt,
    Slot,
    Status,
    Tlp,
)
from broker.core.note import LogSigner
from broker.core.notice import draft
from broker.core.notice_json import values_from_json
from broker.core.records import decode, delivery_id, encode, framed, partition_of, statement_id, unframe
from broker.core.signing import sign_header, sign_receipt
from broker.core.wire import FeedItem, Outcome
from broker.log import Log, Partition, Record, open_log
from broker.log.topics import DECISIONS, FOLLOWED, PARTITIONS_PER_REGION, REFUSALS, notices_topic
from broker.services.cosignatures import Cosignatures
from broker.services.current import CurrentDirectory
from broker.services.dispatcher import READER as DISPATCHER
from broker.services.dispatcher import Dispatcher
from broker.services.gateway import Gateway
from broker.services.heads import Heads
from broker.services.inbox import Inbox
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from broker.services.rate import Rate
from broker.services.refusals import Refusals
from broker.services.registry import Registry
from broker.services.sequencer import Sequencer
from schemas import load_catalogue
from tests.notices import NOTICES
from tests.recount import records

NETWORK = "halong-test"
NOW = 1_790_000_000_000
"""A moment of 2026 at which the world begins."""
DAY = 86_400_000
SECONDS = 20.0
"""How long a test waits for what must come; it never takes that long."""

SIGHTING = NoticeType(
    "sighting",
    {
        "type": "record",
        "name": "Sighting",
        "namespace": "halong.notice.v1",
        "fields": [
            {"name": name, "type": ["null", "string"], "sensitivity": slot.label}
            for name, slot in zip(("place", "plate", "firm", "person", "text", "photo"), Slot, strict=True)
        ],
    },
)
"""A notice type with one text in each slot."""


CATALOGUE = Catalogue([*load_catalogue(), SIGHTING])
"""The real notice types, and the sighting."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a notice says, before it has a header."""

    notice_type: NoticeType
    values: Mapping[str, Any]


def sighting(**values: str) -> Content:
    """A sighting somewhere, with whatever else is given: plate, firm, person, text, photo."""
    return Content(SIGHTING, {"place": "Hai Phong", **values})


def notice(name: str, **changes: Any) -> Content:
    """A complete notice of a real type from `tests.notices`, with the fields in `changes` changed."""
    notice_type = CATALOGUE.current(name)
    return Content(notice_type, values_from_json(notice_type, NOTICES[name](**changes)))


class MovableClock:
    """Tells the time that the test set."""

    def __init__(self, now: int = NOW) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def move(self, milliseconds: int) -> None:
        self._now += milliseconds


@dataclass(slots=True)
class Person:
    """A member with its private keys, and what it signed so far."""

    id: str
    signer: Signer
    transport: PrivateKey
    countersigner: PrivateKey | None = None
    witness: PrivateKey | None = None
    numbers: dict[tuple[Region, str], tuple[int, bytes | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """A notice that was published."""

    envelope: bytes
    header: Header
    statement: bytes
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery as its member's feed held it."""

    item: FeedItem
    raw: bytes
    id: bytes
    head: DeliveryHead
    envelope: Envelope
    values: Mapping[str, Any]


class WorldDirectory:
    """The source of the hub's directory: whatever the test made of it."""

    def __init__(self, log_key: str) -> None:
        self._log_key = log_key
        self.members: dict[str, Member] = {}
        self.agreements: dict[str, Agreement] = {}
        self._files: dict[str, bytes] = {}
        self._versions: dict[bytes, Directory] = {}

    def load(self) -> Directory:
        """Return the directory as it stands."""
        files = self.files()
        directory = Directory(
            version=hashlib.sha256(repr(sorted(files.items())).encode()).digest(),
            network=NETWORK,
            log_key=self._log_key,
            members=dict(self.members),
            agreements=tuple(self.agreements.values()),
        )
        return self._versions.setdefault(directory.version, directory)

    def at(self, version: bytes) -> Directory | None:
        """Return a version that was loaded before."""
        return self._versions.get(version)

    def files(self) -> Mapping[str, bytes]:
        """Return files that stand for members and agreements."""
        members = {f"members/{id_}": repr(member).encode() for id_, member in self.members.items()}
        return members | self._files

    def text_of(self, agreement: Agreement) -> bytes:
        """Return the bytes of an agreement."""
        return self._files[f"agreements/{agreement.name}"]

    def add_agreement(self, text: bytes) -> Agreement:
        """Add an agreement to which every party accedes."""
        agreement = parse_agreement(text)
        self.agreements[agreement.id] = agreement
        self._files[f"agreements/{agreement.name}"] = text
        for party in agreement.parties:
            member = self.members[party]
            accessions = {**member.accessions, (agreement.id, agreement.version): agreement.digest}
            self.members[party] = replace(member, accessions=accessions)
        return agreement


class World:
    """Members and a hub.  Use it as a context; the hub runs inside.

    Args:
        folder: Where the log is, on SQLite.
        members: The ids of the members.
        url: Where the log is, if not there.
        topic_settings: Of a cluster: settings of topics whose contents can be erased.
        rate: How many notices a member may send, at once and in a second.
        wrap: Put around the log that a service gets, by its name; the world looks at the log behind it.
    """

    def __init__(
        self,
        folder: Path,
        *members: str,
        url: str | None = None,
        topic_settings: Mapping[str, str] | None = None,
        rate: float = 1e6,
        wrap: Callable[[str, Log], Log] = lambda _service, log: log,
    ) -> None:
        self.url = url or f"sqlite://{folder.absolute()}/log.db"
        self._topic_settings = topic_settings
        self.clock = MovableClock()
        self.log_signer = LogSigner(f"{NETWORK}/log", PrivateKey.generate(Algorithm.ED25519))
        self.source = WorldDirectory(self.log_signer.vkey)
        self.catalogue = CATALOGUE
        self.people: dict[str, Person] = {}
        self.rate = rate
        self._wrap = wrap
        self.registry: Registry | None = None
        for member in members:
            self.join(member)

    # --- the hub --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._opened = open_log(self.url, topic_settings=self._topic_settings)
        self.log = await self._opened.__aenter__()
        self.metrics = Metrics()
        self.directory = CurrentDirectory(
            self.source, self._wrap("directory", self.log), ends_at=self.ends_at
        )
        self.refused = Refusals(self.log, self.clock)
        self.gateway = Gateway(
            self._wrap("gateway", self.log),
            self.directory,
            self.catalogue,
            self.clock,
            self.metrics,
            rate=Rate(self.rate, self.rate),
            refused=self.refused,
        )
        self.dispatcher = Dispatcher(
            self._wrap("dispatcher", self.log), self.directory, self.clock, self.metrics
        )
        self.sequencer = Sequencer(
            self._wrap("sequencer", self.log), self.log_signer, self.clock, self.metrics
        )
        self.ledger = Ledger(self._wrap("ledger", self.log), self.metrics)
        self.heads = Heads(self._wrap("heads", self.log), self.ledger, self.directory, self.clock)
        self.inbox = Inbox(self._wrap("inbox", self.log), self.ledger, self.clock, self.metrics)
        self.cosignatures = Cosignatures(
            self._wrap("cosignatures", self.log), self.ledger, self.directory, self.clock, self.metrics
        )
        try:
            await self.directory.refresh()
        except BaseException as error:
            await self._opened.__aexit__(type(error), error, error.__traceback__)
            raise
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self.tasks = {name: self._group.create_task(run()) for name, run in self.services().items()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self.tasks.values():
            task.cancel()
        try:
            # A failed assertion is shown as such; only when a service failed does the group speak.
            cancelled = isinstance(error, asyncio.CancelledError)
            await self._group.__aexit__(*((kind, error, trace) if cancelled else (None, None, None)))
        finally:
            await self._opened.__aexit__(None, None, None)

    def ends_at(self) -> int | None:
        """Return until when the directory counts: for ever, where nobody vouches for it."""
        return None

    def services(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Return what runs in the background."""
        return {
            "dispatcher": self.dispatcher.run,
            "sequencer": self.sequencer.run,
            "ledger": self.ledger.run,
            "cosignatures": self.cosignatures.run,
        }

    def stop_services(self) -> None:
        """Stop what runs in the background, so that a test can run one by itself."""
        for task in self.tasks.values():
            task.cancel()

    async def settle(self) -> None:
        """Return when everything that follows from what was published is in the log and published."""
        async with asyncio.timeout(SECONDS):
            while not await self._is_settled():
                # Also what grows no topic counts: a place that moved, a checkpoint that was read back.
                await self.log.wait(await self.log.ends(["*"]), 0.002)

    async def _is_settled(self) -> bool:
        if not self.url.startswith("sqlite:"):
            return await self._is_settled_by_count()
        notices = await self.log.ends(["notices.*"])
        dispatched = await self.log.places(DISPATCHER)
        if any(dispatched.get(partition, 0) < end for partition, end in notices.items()):
            return False
        # On this engine offsets have no gaps, so the ends add up to the number of records.
        return self.ledger.size == sum((await self.log.ends(FOLLOWED)).values())

    async def _is_settled_by_count(self) -> bool:
        before = await self.log.ends(FOLLOWED)
        written = await records(self.log, *FOLLOWED)
        # Topics are read one after the other: only where nothing came meanwhile is it one moment.
        if before != await self.log.ends(FOLLOWED):
            return False
        sent = {
            one.key for part, here in written.items() if part.topic.startswith("notices.") for one in here
        }
        decided = {unframe(Decision, one.value).statement for one in written[Partition(DECISIONS)]}
        refused = {unframe(Refusal, one.value).statement for one in written[Partition(REFUSALS)]}
        return sent <= decided | refused and self.ledger.size == sum(map(len, written.values()))

    # --- members and agreements -----------------------------------------------------------------

    def join(
        self, member: str, algorithm: Algorithm = Algorithm.ED25519, signer: Signer | None = None
    ) -> Person:
        """Add a member to the directory, with fresh keys, or the one for notices that it has on a token."""
        signer = signer or PrivateKey.generate(algorithm)
        person = Person(member, signer, PrivateKey.generate(Algorithm.ESP256))
        self.people[member] = person
        self.source.members[member] = Member(
            id=member,
            name=member.upper(),
            member_class=MemberClass.CUSTOMS,
            regions=(Region.ASIA_PACIFIC,),
            keys=(MemberKey(person.signer.public.id, Use.SIGN, person.signer.public, NOW - DAY),),
            transport_keys=(TransportKey(spki_digest(person.transport), NOW - DAY),),
        )
        return person

    def witness(self, member: str) -> PrivateKey:
        """Give the member a witness key, beside those that it has."""
        key = self.people[member].witness = PrivateKey.generate(Algorithm.ED25519)
        listed = MemberKey(key.public.id, Use.WITNESS, key.public, NOW - DAY)
        entry = self.source.members[member]
        self.source.members[member] = replace(entry, keys=(*entry.keys, listed))
        return key

    def countersign(self, member: str) -> PrivateKey:
        """Give the member an ML-DSA-65 key, with which it has to countersign from now on."""
        key = self.people[member].countersigner = PrivateKey.generate(Algorithm.ML_DSA_65)
        now = self.clock.now()
        second = MemberKey(key.public.id, Use.SIGN, key.public, now, pq_required_from=now)
        found = self.source.members[member]
        self.source.members[member] = replace(found, keys=(*found.keys, second))
        return key

    def revoke(self, member: str) -> None:
        """Revoke the member's keys, from now on."""
        found = self.source.members[member]
        end = {"revoked_at": self.clock.now(), "reason": Revocation.SUPERSEDED}
        self.source.members[member] = replace(
            found,
            keys=tuple(replace(key, **end) for key in found.keys),  # type: ignore[arg-type]
            transport_keys=tuple(replace(key, **end) for key in found.transport_keys),  # type: ignore[arg-type]
        )

    def agree(
        self,
        giver: str,
        receiver: str,
        *,
        types: Sequence[str] = ("sighting",),
        slots: Sequence[str] = ("facts",),
        name: str | None = None,
        more: str = "",
        grant: str = "",
    ) -> Agreement:
        """Let two members accede to an agreement; `more` and `grant` are TOML lines that are added."""
        text = f"""
            id = "{name or f"{giver}-{receiver}"}"
            version = 1
            nonce = "{new_salt().hex()}"
            title = "What {giver} gives {receiver}"
            parties = {list(dict.fromkeys((giver, receiver)))}
            in_force_from = 2020-01-01
            {more}
            [personal_data]
            enabled = true
            from = 2020-01-01
            legal_basis = "Article 1"
            [[grant]]
            from = "{giver}"
            to = "{receiver}"
            types = {list(types)}
            slots = {list(slots)}
            {grant}
            """
        return self.source.add_agreement(text.encode())

    # --- what members do ------------------------------------------------------------------------

    def compose(self, member: str, content: Content, **fields: Any) -> bytes:
        """Return an encoded envelope with the next number of the member's stream.

        `fields` are those of the header; also `signer`, `network`, `disclosures` in place of the right ones.
        """
        person = self.people[member]
        signer = fields.pop("signer", person.signer)
        network = fields.pop("network", NETWORK)
        digests, disclosures = draft(content.notice_type, content.values)
        disclosures = fields.pop("disclosures", disclosures)
        stream = (fields.get("region", Region.ASIA_PACIFIC), fields.get("stream", "main"))
        last, previous = person.numbers.get(stream, (0, None))
        header = Header(
            **{
                "profile": 1,
                "originator": member,
                "region": stream[0],
                "stream": stream[1],
                "sequence": last + 1,
                "previous": previous,
                "regions_concerned": (),
                "countries": ("JP", "VN"),
                "notice_type": content.notice_type.name,
                "schema": content.notice_type.digest,
                "status": Status.ACTUAL,
                "act": Act.ORIGINAL,
                "references": (),
                "tlp": Tlp.AMBER,
                "handling": Handling.H1,
                "purpose": "customs-enforcement",
                "subjects": (),
                "campaign": None,
                "addressees": (),
                "issued_at": self.clock.now(),
                "effective_until": None,
                "retain_until": None,
                "feedback_due": None,
                "slots": digests,
                "seals": None,
                **fields,
            }
        )
        data = encode(header)
        person.numbers[stream] = header.sequence, statement_id(data)
        return encode(Envelope(data, sign_header(data, network, signer), disclosures, (), ()))

    async def send(self, member: str, *envelopes: bytes) -> list[Outcome]:
        """Hand envelopes to the gateway in one request of the member."""
        await self.directory.refresh()
        return (await self.gateway.publish(member, envelopes)).results

    async def store(self, member: str, envelope: bytes) -> bytes:
        """Store an envelope as the gateway stores what it took, without asking it; return its statement."""
        header = decode(Header, decode(Envelope, envelope).header)
        statement = statement_id(decode(Envelope, envelope).header)
        number = partition_of(member, PARTITIONS_PER_REGION)
        partition = Partition(notices_topic(header.region), number)
        await self.log.append([Record(partition, statement, framed(Envelope, envelope))])
        return statement

    async def publish(self, member: str, content: Content, **fields: Any) -> Sent:
        """Compose a notice and hand it to the gateway."""
        envelope = self.compose(member, content, **fields)
        (outcome,) = await self.send(member, envelope)
        header = decode(Header, decode(Envelope, envelope).header)
        return Sent(envelope, header, statement_id(decode(Envelope, envelope).header), outcome)

    async def deliveries(self, member: str, after: int = 0) -> list[Received]:
        """Return what the member's feed holds once everything has settled."""
        await self.settle()
        received: list[Received] = []
        while True:
            feed = await self.inbox.feed(member, after, 1024, 0)
            received += map(self.received, feed.items)
            after = feed.next
            if not feed.items:
                return received

    def received(self, item: FeedItem) -> Received:
        """Read a feed item without judging it."""
        delivery = decode(Delivery, item.delivery)
        assert delivery.envelope is not None
        head = decode(DeliveryHead, delivery.head)
        values: dict[str, Any] = {}
        for one in delivery.envelope.disclosures:
            values |= self._type_of(delivery.envelope).decode_slot(one.slot, one.value)
        return Received(item, item.delivery, delivery_id(delivery.head), head, delivery.envelope, values)

    def _type_of(self, envelope: Envelope) -> NoticeType:
        header = decode(Header, envelope.header)
        return self.catalogue.find(header.notice_type, header.schema)

    def receipt(self, member: str, *deliveries: bytes, event: Event = Event.DELIVERED) -> SignedReceipt:
        """Return a signed receipt of the member for deliveries, by their ids."""
        receipt = Receipt(
            salt=new_salt(),
            member=member,
            deliveries=tuple(sorted(deliveries)),
            event=event,
            channel=None,
            code=None,
            at=self.clock.now(),
        )
        return sign_receipt(receipt, NETWORK, self.people[member].signer)


def counted(counter: Any) -> int:
    """Return what a counter of `Metrics` stands at, all its labels together."""
    return int(
        sum(
            sample.value
            for metric in counter.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        )
    )


def swapped(disclosures: Sequence[Disclosure], slot: Slot, value: bytes) -> tuple[Disclosure, ...]:
    """Return disclosures of which one says something else than was signed."""
    return tuple(replace(one, value=value) if one.slot is slot else one for one in disclosures)
