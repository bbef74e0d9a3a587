"""What the node's local API and its clients say to each other: JSON objects.

Only shapes; the OpenAPI description is made from them, so each field says here what it means.  The content
of a notice is described by its type (`schemas.json_schema`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from broker.core.wire import json_shape

MOST_NOTICES = 1000
MOST_SOURCE = 200

Region = Literal[
    "americas-caribbean",
    "europe",
    "east-southern-africa",
    "west-central-africa",
    "north-africa-middle-east",
    "asia-pacific",
]
Status = Literal["ACTUAL", "EXERCISE", "TEST"]
Act = Literal[
    "ORIGINAL",
    "UPDATE",
    "CORRECTION",
    "CANCEL",
    "RECALL",
    "CONFIRMATION",
    "FEEDBACK",
    "REQUEST",
    "ANSWER",
    "REISSUE",
]
Tlp = Literal["CLEAR", "GREEN", "AMBER", "AMBER_STRICT", "RED"]
Handling = Literal["H0", "H1", "H2", "H3"]
SlotState = Literal["shown", "none", "withheld", "sealed"]
Stage = Literal[
    "queued", "signed", "durable", "decided", "proven", "delivered", "acknowledged", "refused"
]  # fmt: skip

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, examples=["2026-11-25T02:00:00.000Z"])]
TimeIn = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$",
        extra_json_schema={"format": "date-time"},
        examples=["2026-12-31T17:00:00+07:00"],
    ),
]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="64 hexadecimal digits.")]
Country = Annotated[str, Meta(pattern="^[A-Z]{2}$", examples=["JP"])]
Subject = Annotated[str, Meta(pattern="^[a-z]{2,8}:[A-Za-z0-9.-]{1,32}$", examples=["hs:8516"])]
Member = Annotated[
    str, Meta(pattern="^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=31, examples=["jp"])
]
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{1,63}$")]
Source = Annotated[str, Meta(min_length=1, max_length=MOST_SOURCE, pattern="^[!-~]+$")]

MOST_ITEMS = Meta(max_length=64)


class Shape(Struct, frozen=True, kw_only=True):
    """A JSON object; unknown fields of an answer are ignored by clients."""


# --- what is published ----------------------------------------------------------------------------------


class NewNotice(Shape, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A notice to be signed and sent: its type, its content, and who may have it."""

    type: Annotated[str, Meta(description="The notice type, as in `/v1/types`.", examples=["drug-parcel"])]
    notice: Annotated[dict[str, Any], Meta(description="What it says, by its type.")]
    region: Annotated[Region | UnsetType, Meta(description="It leads in this region; by default ours.")] = (
        UNSET
    )
    regions_concerned: Annotated[
        Annotated[list[Region], MOST_ITEMS] | UnsetType, Meta(description="Other regions that it concerns.")
    ] = UNSET
    countries: Annotated[
        Annotated[list[Country], MOST_ITEMS] | UnsetType, Meta(description="Countries that it concerns.")
    ] = UNSET
    subjects: Annotated[
        Annotated[list[Subject], MOST_ITEMS] | UnsetType,
        Meta(description="What agreements may choose by, such as `hs:8516`."),
    ] = UNSET
    addressees: Annotated[
        Annotated[list[Member], MOST_ITEMS] | UnsetType,
        Meta(description="Members that it is for; none: whoever the agreements allow."),
    ] = UNSET
    partial: Annotated[
        bool | UnsetType, Meta(description="Send it although no agreement carries it to some addressee.")
    ] = UNSET
    tlp: Annotated[Tlp | UnsetType, Meta(description="Traffic light; by default that of the type.")] = UNSET
    handling: Annotated[Handling | UnsetType, Meta(description="Handling code; by default H1.")] = UNSET
    status: Annotated[Status | UnsetType, Meta(description="By default ACTUAL.")] = UNSET
    act: Annotated[Act | UnsetType, Meta(description="By default ORIGINAL.")] = UNSET
    references: Annotated[
        Annotated[list[Digest], MOST_ITEMS] | UnsetType, Meta(description="Statements that it refers to.")
    ] = UNSET
    purpose: Annotated[Name | UnsetType, Meta(description="By default customs-enforcement.")] = UNSET
    campaign: Annotated[Name | UnsetType | None, Meta(description="The operation that it belongs to.")] = (
        UNSET
    )
    effective_until: Annotated[
        TimeIn | UnsetType | None, Meta(description="After this it has no effect.")
    ] = UNSET
    retain_until: Annotated[TimeIn | UnsetType | None, Meta(description="Receivers delete it then.")] = UNSET
    feedback_due: Annotated[TimeIn | UnsetType | None, Meta(description="Receivers answer by then.")] = UNSET
    source: Annotated[
        Source | UnsetType, Meta(description="Your own name for it; of one name only one is ever sent.")
    ] = UNSET


class Queued(Shape, frozen=True):
    """A notice that is durably in this node's queue."""

    id: Annotated[int, Meta(description="Its number at this node, for `/v1/notices/{id}`.")]
    known: Annotated[bool, Meta(description="It had been queued before under the same source.")]
    source: str | None = None


class Published(Shape, frozen=True):
    """One for each notice, in their order."""

    notices: list[Queued]


class Receiver(Shape, frozen=True):
    """What one member would get."""

    member: str
    slots: Annotated[list[str], Meta(description="Empty: nothing, or the header alone.")]
    agreements: Annotated[list[str], Meta(description="By which, or whose clause keeps it away.")]
    receives: bool
    reason: Annotated[str | None, Meta(description="The clause because of which it gets nothing.")] = None


class Preview(Shape, frozen=True):
    """Who would get the notice now, receivers first; nothing was queued."""

    receivers: list[Receiver]


class NoticeState(Shape, frozen=True):
    """How far a notice has come.

    Counts are those of the hub's last answer, at `asked_at`: signed receipts of the receivers' nodes, never
    whose.
    """

    id: int
    type: str
    stage: Annotated[
        Stage,
        Meta(
            description="queued, signed here, durable at the hub, decided by it, proven to be in its log, "
            "delivered to every receiver's node, acknowledged by every reader; or refused."
        ),
    ]
    queued_at: Time
    source: str | None = None
    code: Annotated[str | None, Meta(description="Why it was refused.")] = None
    field: Annotated[str | None, Meta(description="What it was refused for.")] = None
    statement: Annotated[str | None, Meta(description="The id of the signed statement.")] = None
    reference: Annotated[str | None, Meta(examples=["halong:vn/asia-pacific/main/123"])] = None
    receivers: Annotated[int | None, Meta(description="How many members get it; null until proven.")] = None
    delivered: Annotated[int, Meta(description="How many receivers' nodes have checked and taken it.")] = 0
    acknowledged: Annotated[int, Meta(description="How many receivers have said that it was read.")] = 0
    rejected: Annotated[int, Meta(description="How many receivers' nodes found it wrong.")] = 0
    asked_at: Time | None = None


class NoticeStates(Shape, frozen=True):
    """Notices of this node in the order in which they were queued."""

    notices: list[NoticeState]


# --- what is received -----------------------------------------------------------------------------------


class Ground(Shape, frozen=True):
    """An agreement under which it was delivered."""

    agreement: str
    version: int
    digest: str


class Onward(Shape, frozen=True):
    """To whom it may be passed on."""

    domestic: str
    community: str
    third_country: str


class AtTheEnd(Shape, frozen=True):
    """What becomes of it once an agreement is over and wound down; `on` is null while no end is agreed."""

    agreement: str
    version: int
    rule: Annotated[str, Meta(examples=["erase", "keep-until-retention"])]
    on: Time | None


class InWords(Shape, frozen=True):
    """What is owed, one sentence each."""

    en: list[str]
    vi: list[str]


class Obligations(Shape, frozen=True):
    """What is owed for it.  Use in court and what becomes of it at the end are in the agreements."""

    retain_until: Time | None
    feedback_due: Time | None
    handling: str
    onward: Onward
    evidentiary_use: Annotated[str | None, Meta(examples=["DENY", "CONSENT", "ALLOW"])]
    on_termination: list[AtTheEnd]
    in_words: InWords


class LogEntry(Shape, frozen=True):
    """Where the hub's log has it."""

    name: str
    leaf: int
    size: int


class Delivery(Shape, frozen=True):
    """A notice that was delivered to this member and passed every check.

    `notice` holds the fields of the slots that are shown; what the others hold is not known here.
    """

    place: Annotated[int, Meta(description="Ask for what comes `after` this place to go on.")]
    delivery: Annotated[str, Meta(description="The delivery's id; the same delivery always has the same.")]
    statement: str
    reference: str
    type: str
    status: Status
    act: str
    originator: str
    lane: str
    sequence: int
    issued_at: Time
    decided_at: Time
    doubtful_since: Annotated[
        Time | None,
        Meta(description="If not null, its key was stolen by then: somebody else may have written it."),
    ]
    taken_at: Time
    region: str
    regions_concerned: list[str]
    countries: list[str]
    tlp: str
    handling: str
    purpose: str
    subjects: list[str]
    campaign: str | None
    addressees: list[str]
    references: list[str]
    effective_until: Time | None
    retain_until: Time | None
    feedback_due: Time | None
    slots: Annotated[
        dict[str, SlotState], Meta(description="What you have of each slot; none: there is nothing in it.")
    ]
    content: dict[str, Any] = field(name="notice")
    grounds: list[Ground]
    obligations: Obligations
    directory: str
    log: LogEntry


class Deliveries(Shape, frozen=True):
    """What came after a place, in the order of places.

    `place` is where to go on, also past what was not asked for; `more` says that there is more already.
    """

    deliveries: list[Delivery]
    place: int
    more: bool


class ReadReceipt(Shape, frozen=True):
    """A receipt that this node owes the hub, or has given already."""

    delivery: str
    known: Annotated[bool, Meta(description="It was owed or given before.")]


# --- feedback -------------------------------------------------------------------------------------------


class NewAnswer(Shape, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The answer to a notice that was delivered here."""

    to: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            description="The notice: its reference, or the id of its delivery or statement.",
        ),
    ]
    notice: Annotated[dict[str, Any], Meta(description="What was found, in the form of `feedback`.")]
    tlp: Annotated[Tlp | UnsetType, Meta(description="By default that of the notice.")] = UNSET
    again: Annotated[bool | UnsetType, Meta(description="Answer once more what was answered before.")] = UNSET


class Answered(Shape, frozen=True):
    """The answer's place in the queue."""

    id: Annotated[int | None, Meta(description="Its number at this node; null if it was given before.")]
    known: Annotated[bool, Meta(description="It was given before; nothing was queued.")]


class FeedbackDue(Shape, frozen=True):
    """A notice that this member owes feedback on."""

    reference: str
    delivery: str
    type: str
    originator: str
    due_at: Time
    overdue: bool


class FeedbackDues(Shape, frozen=True):
    """The longest overdue first."""

    due: list[FeedbackDue]


# --- the node -------------------------------------------------------------------------------------------


class NoticeTypeName(Shape, frozen=True):
    """A notice type that can be published."""

    name: str
    title: str
    schema: Annotated[str, Meta(description="The digest of its Avro schema.")]


class NoticeTypes(Shape, frozen=True):
    """The notice types that this node knows."""

    types: list[NoticeTypeName]


class NodeStatus(Shape, frozen=True):
    """How the node is."""

    member: str
    network: str
    version: str
    notices: Annotated[dict[str, int], Meta(description="How many notices have come to which stage.")]
    deliveries: Annotated[
        dict[str, int],
        Meta(
            description="How many deliveries are checked (right, and no channel has them yet), delivered (a "
            "channel has them), accepted (right, and for no channel), erased, or quarantined (wrong)."
        ),
    ]
    place: Annotated[int, Meta(description="The place of the latest delivery.")]
    receipts_waiting: int
    behind: Annotated[int, Meta(description="How many deliveries waited at the hub when it was asked last.")]
    reached_at: Annotated[Time | None, Meta(description="When the hub was reached last.")]
    held: Annotated[str | None, Meta(description="The code because of which the feed stands still.")]
    whole_to: Annotated[int, Meta(description="Nothing is missing up to this place, by the hub's head.")]
    whole_at: Annotated[Time | None, Meta(description="When the hub wrote that head; null before the first.")]
    alarms: int


class Problem(Shape, frozen=True, omit_defaults=True):
    """Every answer that is not a success (RFC 9457), with the stable code of what is wrong."""

    type: Annotated[str, Meta(examples=["halong:error/bad-slot"])]
    title: str
    status: int
    code: Annotated[str, Meta(examples=["bad-slot"])]
    detail: str
    field: Annotated[str | None, Meta(examples=["notice.declared_goods.0.value"])] = None


for _shape in Shape.__subclasses__():
    json_shape(_shape)
