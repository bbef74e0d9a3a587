"""The values that flow: frozen, slotted, one class a record of profile 1; nothing here checks anything.

Names and order of fields are those of `schemas/records`; digests, salts and keys are `bytes`, times integers
(UTC milliseconds).  Bytes become these values in `codec`, and are judged in `header`, `notice`, `delivery`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property


class Region(IntEnum):
    """The six regions of the WCO, in the order of the schema."""

    AMERICAS_CARIBBEAN = 0
    EUROPE = 1
    EAST_SOUTHERN_AFRICA = 2
    WEST_CENTRAL_AFRICA = 3
    NORTH_AFRICA_MIDDLE_EAST = 4
    ASIA_PACIFIC = 5

    @cached_property
    def slug(self) -> str:
        """The name in topics, lanes and references: `asia-pacific`."""
        return self.name.lower().replace("_", "-")


class Status(IntEnum):
    """Whether a notice is meant; exercises and tests never mix with live traffic."""

    ACTUAL = 0
    EXERCISE = 1
    TEST = 2


class Act(IntEnum):
    """What a statement does to the statements that it refers to."""

    ORIGINAL = 0
    UPDATE = 1
    CORRECTION = 2
    CANCEL = 3
    RECALL = 4
    ERASURE = 5
    CONFIRMATION = 6
    FEEDBACK = 7
    REQUEST = 8
    ANSWER = 9
    REISSUE = 10


class Tlp(IntEnum):
    """Traffic Light Protocol 2.0, from open to closed."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4


class Handling(IntEnum):
    """Handling codes, from open to restricted."""

    H0 = 0
    H1 = 1
    H2 = 2
    H3 = 3


class Slot(IntEnum):
    """The six parts of a notice that are shown or withheld as a whole."""

    FACTS = 0
    IDENTIFIERS = 1
    ENTITIES = 2
    PERSONS = 3
    INTELLIGENCE = 4
    ATTACHMENTS = 5

    @property
    def label(self) -> str:
        """The name in schemas and agreements: `facts`."""
        return self.name.lower()


class Onward(IntEnum):
    """May the receiver pass it on, from strict to free."""

    DENY = 0
    CONSENT = 1
    NOTIFY = 2
    ALLOW_UNLESS_VETO = 3
    ALLOW = 4


class Event(IntEnum):
    """What a member says happened to a delivery."""

    ACCEPTED = 0
    DELIVERED = 1
    READ = 2
    REJECTED = 3
    WITHDRAWN = 4
    ERASED = 5


class Station(IntEnum):
    """Who refused."""

    GATEWAY = 0
    DISPATCHER = 1


class Readable(IntEnum):
    """What was read."""

    INBOX = 0
    STATEMENT = 1
    AUDIT = 2
    ATTACHMENT = 3


class ErasureGround(IntEnum):
    """Why contents were erased."""

    RETENTION = 0
    ORDER = 1
    TERMINATION = 2


@dataclass(frozen=True, slots=True)
class Header:
    """What is signed, and what agreements judge; visible to the hub and to every receiver."""

    profile: int
    originator: str
    region: Region
    stream: str
    sequence: int
    previous: bytes | None
    regions_concerned: tuple[Region, ...]
    countries: tuple[str, ...]
    notice_type: str
    schema: bytes
    status: Status
    act: Act
    references: tuple[bytes, ...]
    tlp: Tlp
    handling: Handling
    purpose: str
    subjects: tuple[str, ...]
    campaign: str | None
    addressees: tuple[str, ...]
    issued_at: int
    effective_until: int | None
    retain_until: int | None
    feedback_due: int | None
    slots: tuple[bytes, ...]
    seals: bytes | None

    @property
    def reference(self) -> str:
        """What people quote: `halong:vn/asia-pacific/main/17`."""
        return f"halong:{self.originator}/{self.region.slug}/{self.stream}/{self.sequence}"


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One slot's value with the salt that hides it in its digest."""

    slot: Slot
    salt: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class SealedSlot:
    """One slot encrypted under a key of its own."""

    slot: Slot
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class KeyWrap:
    """The keys of one recipient's sealed slots, encrypted to it."""

    member: str
    key: bytes
    sealed_keys: bytes


@dataclass(frozen=True, slots=True)
class SlotKey:
    """The key of one sealed slot."""

    slot: Slot
    key: bytes


@dataclass(frozen=True, slots=True)
class SlotKeys:
    """The plaintext of a `KeyWrap`."""

    keys: tuple[SlotKey, ...]


@dataclass(frozen=True, slots=True)
class Envelope:
    """A notice as it travels: nothing in it has been checked."""

    header: bytes
    signature: bytes
    disclosures: tuple[Disclosure, ...]
    sealed: tuple[SealedSlot, ...]
    wraps: tuple[KeyWrap, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """The agreement under which something is shared, by the digest of its very bytes."""

    agreement: str
    version: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Obligations:
    """What the receiver owes for what it got."""

    retain_until: int | None
    feedback_due: int | None
    handling: Handling
    onward_domestic: Onward
    onward_community: Onward
    onward_third_country: Onward


@dataclass(frozen=True, slots=True)
class DeliveryHead:
    """What was delivered to whom under which agreements; it outlives the content."""

    salt: bytes
    member: str
    lane: str
    sequence: int
    statement: bytes
    slots: tuple[Slot, ...]
    content: bytes
    grounds: tuple[Ground, ...]
    directory: bytes
    obligations: Obligations
    decided_at: int


@dataclass(frozen=True, slots=True)
class Proof:
    """An inclusion proof (RFC 9162 section 2.1.3) of one sealed slot or wrap."""

    size: int
    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A head as bytes, and the redacted envelope until it is erased."""

    head: bytes
    envelope: Envelope | None
    proofs: tuple[Proof, ...]


@dataclass(frozen=True, slots=True)
class DecisionShare:
    """One member's part of a decision."""

    member: str
    slots: tuple[Slot, ...]
    grounds: tuple[Ground, ...]
    delivery: bytes


@dataclass(frozen=True, slots=True)
class Decision:
    """The statement is admitted, and this is who gets which slots of it."""

    salt: bytes
    statement: bytes
    signature: bytes
    key: bytes
    directory: bytes
    decided_at: int
    shares: tuple[DecisionShare, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What happened to some deliveries, said by the member that got them."""

    salt: bytes
    member: str
    deliveries: tuple[bytes, ...]
    event: Event
    channel: str | None
    code: str | None
    at: int


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt as bytes, and the member's signature."""

    receipt: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something was refused; `count` stands for how many of the same kind."""

    salt: bytes
    station: Station
    peer: str
    statement: bytes | None
    content: bytes
    code: str
    count: int
    at: int


@dataclass(frozen=True, slots=True)
class Read:
    """An answer that contained contents or headers."""

    salt: bytes
    reader: str
    what: Readable
    ids: tuple[bytes, ...]
    reason: str | None
    at: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """The contents of a statement are gone."""

    salt: bytes
    statement: bytes
    ground: ErasureGround
    order: bytes | None
    at: int


@dataclass(frozen=True, slots=True)
class Head:
    """At tree size `size` the member had been sent `deliveries` deliveries with this chain."""

    salt: bytes
    member: str
    size: int
    deliveries: int
    chain: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf of the audit log; topic, partition and offset are hints."""

    index: int
    entry: bytes
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class TopicPosition:
    """How far the sequencer had read a partition: the next offset."""

    topic: str
    partition: int
    next: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed tree head (C2SP tlog-checkpoint) and the positions that changed since the last."""

    size: int
    root: bytes
    note: bytes
    signed_at: int
    positions: tuple[TopicPosition, ...]
