"""The paths of the local API, as values: what each takes and answers.

The application and the OpenAPI description are both made from this table, so neither can say what the other
does not.  What a path answers is in `handlers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from adapters.api import shapes
from adapters.sending.progress import Stage
from broker.core.errors import (
    HalongError,
    NotCanonical,
    NotFound,
    Refused,
    SourceReused,
    TooLarge,
    TooMany,
    Unavailable,
)

MOST_PLACE = 1 << 53
MOST_LIMIT = 500
MOST_WAIT_SECONDS = 60
DESCRIPTION = "/openapi.json"

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that a path takes beside a body; `schema` is judged by `parameters.read`.

    `default` is what counts where it is missing; `...` where it must be there.
    """

    name: str
    where: Literal["path", "query", "header"]
    schema: Schema
    doc: str
    default: Any = ...


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    `name` is the operation and its method in `handlers`.  `answer` is a shape, or the media type of what
    is none.  `many` says that the body may be one of its shape or a list of them.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    summary: str
    answer: type[Struct] | str
    doc: str = ""
    status: int = 200
    parameters: tuple[Parameter, ...] = ()
    body: type[Struct] | None = None
    many: bool = False
    refusals: tuple[type[HalongError], ...] = ()


def _whole(name: str, least: int, most: int, default: int, doc: str) -> Parameter:
    return Parameter(
        name,
        "query",
        {"type": "integer", "minimum": least, "maximum": most, "default": default},
        doc,
        default,
    )


AFTER = _whole("after", 0, MOST_PLACE, 0, "Go on after this one; 0 is the beginning.")
LIMIT = _whole("limit", 1, MOST_LIMIT, 100, "How many at most.")
WAIT = Parameter(
    "wait",
    "query",
    {"type": "number", "minimum": 0, "maximum": MOST_WAIT_SECONDS, "default": 0},
    "Seconds to wait for it if it is not there yet; the answer comes as soon as it is.",
    0.0,
)
NUMBER = Parameter(
    "id",
    "path",
    {"type": "integer", "minimum": 1, "maximum": MOST_PLACE},
    "The notice's number at this node.",
)
DELIVERY = Parameter(
    "id", "path", {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "The delivery's id: 64 hexadecimal digits."
)
STAGE = Parameter(
    "stage",
    "query",
    {"type": "string", "enum": [stage.label for stage in Stage], "default": Stage.PROVEN.label},
    "What to wait for.",
    Stage.PROVEN.label,
)
STATUS = Parameter(
    "status",
    "query",
    {
        "type": "array",
        "items": {"type": "string", "enum": ["ACTUAL", "EXERCISE", "TEST"]},
        "default": ["ACTUAL"],
    },
    "Live notices alone, unless exercises and tests are named.",
    ("ACTUAL",),
)
SOURCE = Parameter(
    "source",
    "query",
    {"type": "string", "minLength": 1, "maxLength": shapes.MOST_SOURCE, "pattern": "^[!-~]+$"},
    "Only the notice that was queued under this source.",
    None,
)
LANGUAGE = Parameter(
    "language", "query", {"type": "string", "enum": ["en", "vi"], "default": "en"}, "Seen first.", "en"
)
KEY = Parameter(
    "Idempotency-Key",
    "header",
    {"type": "string", "minLength": 1, "maxLength": shapes.MOST_SOURCE - 8, "pattern": "^[!-~]+$"},
    "Your name for this request: however often it is sent, its notices are sent once. The `source` of those "
    "that name none.",
    None,
)
NAME = Parameter(
    "name", "path", {"type": "string", "pattern": "^[a-z][a-z0-9-]{1,63}$"}, "The notice type's name."
)

ALWAYS: tuple[type[HalongError], ...] = (NotCanonical, Unavailable)
WITH_BODY: tuple[type[HalongError], ...] = (Refused, TooLarge, TooMany)

ROUTES = (
    Route(
        "POST", "/v1/notices", "publishNotices", "Queue notices; the node signs and sends them",
        shapes.Published,
        doc="One notice, or a list of up to 1,000, of which all are queued or none. The answer comes when "
        "they are durable here. With a `source` or an `Idempotency-Key` the request can be repeated safely; "
        "another notice under a source that was used is refused with `source-reused`.",
        status=202, parameters=(KEY,), body=shapes.NewNotice, many=True,
        refusals=(*WITH_BODY, SourceReused),
    ),
    Route(
        "GET", "/v1/notices", "listNotices", "How far notices have come", shapes.NoticeStates,
        parameters=(AFTER, LIMIT, SOURCE),
    ),
    Route(
        "GET", "/v1/notices/{id}", "getNotice", "How far one notice has come", shapes.NoticeState,
        doc="Waits for a stage if asked to: signed, durable at the hub, decided, proven, delivered to every "
        "receiver's node, acknowledged by every reader.",
        parameters=(NUMBER, STAGE, WAIT), refusals=(NotFound,),
    ),
    Route(
        "POST", "/v1/preview", "previewNotice", "Who would get a notice, and why others would not",
        shapes.Preview, doc="The hub's own function on this node's directory; nothing is queued.",
        body=shapes.NewNotice, refusals=WITH_BODY,
    ),
    Route(
        "GET", "/v1/deliveries", "readDeliveries", "What was delivered, in order", shapes.Deliveries,
        doc="Every delivery was verified by this node. Keep the answer's `place` with what you did and ask "
        "`after` it to go on: nothing is missed and nothing comes twice.",
        parameters=(AFTER, LIMIT, WAIT, STATUS),
    ),
    Route(
        "GET", "/v1/deliveries/{id}", "getDelivery", "One delivery", shapes.Delivery,
        parameters=(DELIVERY,), refusals=(NotFound,),
    ),
    Route(
        "GET", "/v1/deliveries/{id}/page", "getPage", "One delivery as a page for people", "text/html",
        doc="In two languages, complete in itself; it loads and runs nothing.",
        parameters=(DELIVERY, LANGUAGE), refusals=(NotFound,),
    ),
    Route(
        "POST", "/v1/deliveries/{id}/read", "acknowledgeDelivery", "Say that a delivery was read",
        shapes.ReadReceipt,
        doc="The node signs a receipt and sends it. Fetching a delivery says nothing: only this does.",
        status=202, parameters=(DELIVERY,), refusals=(NotFound,),
    ),
    Route(
        "POST", "/v1/feedback", "giveFeedback", "Answer a delivered notice", shapes.Answered,
        doc="Addressed to its originator under the agreements that brought it; answered once.",
        status=202, body=shapes.NewAnswer, refusals=WITH_BODY,
    ),
    Route(
        "GET", "/v1/feedback", "listFeedbackDue", "What this member owes feedback on", shapes.FeedbackDues,
    ),
    Route("GET", "/v1/types", "listTypes", "The notice types", shapes.NoticeTypes),
    Route(
        "GET", "/v1/types/{name}", "getType", "A notice type's content as JSON Schema",
        "application/schema+json", parameters=(NAME,), refusals=(NotFound,),
    ),
    Route("GET", "/v1/status", "getStatus", "How the node is", shapes.NodeStatus),
)  # fmt: skip
