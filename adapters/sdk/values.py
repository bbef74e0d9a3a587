"""What the SDK hands out: a notice that was sent, and a delivery that came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, get_args

import msgspec

from adapters.api import shapes
from adapters.notices import CLASSES
from adapters.typed import TypedNotice
from broker.core.error_codes import error_of
from broker.core.errors import HalongError, Refused, Unavailable
from broker.core.wire import json_shape

STAGES = tuple(each for each in get_args(shapes.Stage) if each != "refused")
FINAL = STAGES[-1]


@json_shape
class Delivery(shapes.Delivery, frozen=True, kw_only=True):
    """A notice that was delivered to this member; its node verified it.

    Fields are those of the API.  Keep `place` with what you did about it: it is where to go on.
    """

    @property
    def id(self) -> str:
        """The delivery's id."""
        return self.delivery

    @property
    def notice(self) -> TypedNotice | None:
        """What it says, as its class; None if this version has no such class, or another version of it.

        A field of a slot that was withheld is `WITHHELD`.  The plain values are in `content`.
        """
        kind = CLASSES.get(self.type)
        try:
            return None if kind is None else kind.from_json(self.content, self.slots)
        except msgspec.ValidationError:
            return None

    @property
    def due_at(self) -> datetime | None:
        """By when feedback is owed, if it is."""
        due = self.obligations.feedback_due
        return None if due is None else datetime.fromisoformat(due)


@json_shape
class Deliveries(shapes.Shape, frozen=True, kw_only=True):
    """What came after a place."""

    deliveries: list[Delivery]
    place: int
    more: bool


class Sent:
    """A notice that is in the node's queue.

    Args:
        queued: What the node answered.
        look: Asks how far it has come: until a stage, for some seconds.
    """

    def __init__(
        self, queued: shapes.Queued, look: Callable[[int, str, float], Awaitable[shapes.NoticeState]]
    ) -> None:
        self.id = queued.id
        self.known = queued.known
        self.source = queued.source
        self._look = look

    def __repr__(self) -> str:
        return f"Sent(id={self.id}, known={self.known})"

    async def state(self) -> shapes.NoticeState:
        """Return how far it has come."""
        return await self._look(self.id, FINAL, 0.0)

    async def wait(self, stage: str = "proven", seconds: float = 60.0) -> shapes.NoticeState:
        """Return when the notice has come to a stage.

        Stages are queued, signed, durable, decided, proven, delivered and acknowledged, in this order.
        A notice that nobody gets is as far as it comes when it is proven.

        Raises:
            Refused: It was refused; the class is that of its code.
            Unavailable: It has not come so far in time; nothing is lost, wait again.
            ValueError: There is no such stage.
        """
        if stage not in STAGES:
            raise ValueError(f"a stage is one of {', '.join(STAGES)}")
        state = await self._look(self.id, stage, seconds)
        if state.stage == "refused":
            kind = error_of(state.code or "") or Refused
            raise (kind if issubclass(kind, HalongError) else Refused)("was refused", field=state.field)
        if not has_come(state, stage):
            raise Unavailable(f"is {state.stage} and not {stage} after {seconds:g} seconds")
        return state


def has_come(state: shapes.NoticeState, stage: str) -> bool:
    """Say whether a notice has come to a stage, or as far as it can."""
    nobody = state.receivers == 0 and state.stage == "proven"
    return nobody or (state.stage in STAGES and STAGES.index(state.stage) >= STAGES.index(stage))


def as_new(notice: TypedNotice | shapes.NewNotice | dict[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    """Return a notice as the API takes it.

    `notice` is a typed one with its header beside it, or a whole one: a `NewNotice`, or a JSON object.
    """
    if isinstance(notice, TypedNotice):
        told: dict[str, Any] = {"type": notice.TYPE, "notice": notice.to_json()}
    else:
        told = msgspec.to_builtins(notice)
    for name, value in header.items():
        if value is not None:
            told[name] = _plain(value)
    return told


def _plain(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("a time needs its offset from UTC")
    return value.isoformat(timespec="milliseconds")
