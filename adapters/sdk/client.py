"""The SDK's client: publish, follow and answer notices through the node of this machine.

The node signs, proves, verifies and remembers; the client is thin, and everything that it does can be done
again: a notice with a `source` is sent once, a feed goes on from its last place.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from adapters.api import shapes
from adapters.patience import FIRST_SECONDS, Patience
from adapters.sdk.transport import ANSWER_SECONDS, Transport
from adapters.sdk.values import Deliveries, Delivery, Sent, as_new, has_come
from adapters.typed import TypedNotice
from broker.core.errors import BadConfiguration, TooMany, Unavailable
from broker.local_token import read_token

POLL_SECONDS = 25.0
PAGE = 100
LONGEST_WAIT_SECONDS = 30.0

T = TypeVar("T")

Notice = TypedNotice | shapes.NewNotice | dict[str, Any]


class Client:
    """A node's local API.  Use it as a context.

    Args:
        url: Where it is: `http://127.0.0.1:8446`.
        token: What is in the node's `api.token`.
        seconds: How long an answer may take.
    """

    def __init__(self, url: str, token: str, *, seconds: float = ANSWER_SECONDS) -> None:
        self._transport = Transport(url, token, seconds=seconds)
        self._patience = Patience(longest_seconds=LONGEST_WAIT_SECONDS)

    @classmethod
    def of_node(cls, folder: Path | str, *, seconds: float = ANSWER_SECONDS) -> Self:
        """Return the client of the node in a folder of this machine.

        Raises:
            BadConfiguration: There is no node, it has no local API, or its token cannot be read.
        """
        return cls(*where(Path(folder)), seconds=seconds)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    # --- sending ------------------------------------------------------------------------------------

    async def publish(self, notice: Notice, **header: Any) -> Sent:
        """Queue a notice, durably; the node signs and sends it.

        `header` are the fields beside the content (`countries`, `subjects`, `addressees`, `tlp`, …); with a
        `source`, the same notice is sent once however often this is called.

        Raises:
            Refused: It cannot be signed; the class says why, `field` what for.
            SourceReused: Another notice was published under this source.
            Unavailable: The node is out of reach.
        """
        (sent,) = await self.publish_all([as_new(notice, header)])
        return sent

    async def publish_all(self, notices: Iterable[Notice], *, key: str | None = None) -> list[Sent]:
        """Queue up to 1,000 notices in one durable step, all or none; raises as `publish`.

        `key` names the request: those that name no source themselves are then sent once, too.
        """
        told = [as_new(each, {}) for each in notices]
        if not told:
            return []
        # What a broken connection leaves in doubt is asked again: under one name it is done once.
        key = key or secrets.token_hex(16)
        answer = await self._again(
            lambda: self._transport.ask(
                "POST", "/v1/notices", shapes.Published, body=told, headers={"Idempotency-Key": key}
            )
        )
        return [Sent(each, self._look) for each in answer.notices]

    async def preview(self, notice: Notice, **header: Any) -> list[shapes.Receiver]:
        """Return who would get a notice now, receivers first, and why others would not."""
        told = as_new(notice, header)
        return (await self._transport.ask("POST", "/v1/preview", shapes.Preview, body=told)).receivers

    async def notice(self, id_: int) -> shapes.NoticeState:
        """Return how far a notice of ours has come."""
        return await self._look(id_, "queued", 0.0)

    async def notices(
        self, *, after: int = 0, limit: int = PAGE, source: str | None = None
    ) -> list[shapes.NoticeState]:
        """Return how far our notices have come, in the order in which they were queued."""
        query: dict[str, str | int | float | list[str]] = {"after": after, "limit": limit}
        if source is not None:
            query["source"] = source
        return (await self._transport.ask("GET", "/v1/notices", shapes.NoticeStates, query=query)).notices

    # --- receiving ----------------------------------------------------------------------------------

    async def feed(
        self, after: int = 0, *, statuses: Sequence[str] = ("ACTUAL",), follow: bool = True
    ) -> AsyncIterator[Delivery]:
        """Yield what was delivered after a place, in order; go on for ever, or to the end without `follow`.

        Keep each delivery's `place` with what you did about it, and begin there the next time.  While the
        node is out of reach it is asked again, later and later.

        Raises:
            Refused: The node does not answer this client: the token is wrong, or a parameter.
        """
        failures = 0
        while True:
            seconds = POLL_SECONDS if follow else 0.0
            try:
                page = await self.deliveries(after, wait=seconds, statuses=statuses)
            except (Unavailable, TooMany):
                if not follow:
                    raise
                failures += 1
                await self._patience.after_failure(failures)
                continue
            failures = 0
            for delivery in page.deliveries:
                yield delivery
            after = page.place
            if not follow and not page.more:
                return

    async def deliveries(
        self, after: int = 0, *, limit: int = PAGE, wait: float = 0.0, statuses: Sequence[str] = ("ACTUAL",)
    ) -> Deliveries:
        """Return one page of what was delivered after a place, and where to go on."""
        query: dict[str, str | int | float | list[str]] = {
            "after": after, "limit": limit, "wait": wait, "status": list(statuses),
        }  # fmt: skip
        return await self._transport.ask("GET", "/v1/deliveries", Deliveries, query=query, patience=wait)

    async def delivery(self, id_: str) -> Delivery:
        """Return one delivery."""
        return await self._transport.ask("GET", f"/v1/deliveries/{id_}", Delivery)

    async def page(self, delivery: Delivery | str, language: str = "en") -> str:
        """Return a delivery as an HTML page for people."""
        path = f"/v1/deliveries/{_id(delivery)}/page"
        return (await self._transport.text("GET", path, query={"language": language})).decode()

    async def read(self, delivery: Delivery | str) -> None:
        """Say that a delivery was read: the node signs a receipt.  Saying it again changes nothing."""
        path = f"/v1/deliveries/{_id(delivery)}/read"
        await self._again(lambda: self._transport.ask("POST", path, shapes.ReadReceipt))

    async def feedback(
        self, to: Delivery | str, notice: Notice, *, tlp: str | None = None, again: bool = False
    ) -> Sent | None:
        """Answer a delivered notice with what was found; None if it was answered before.

        Raises:
            Refused: There is no such notice here, or no agreement carries the answer back.
        """
        content = notice.to_json() if isinstance(notice, TypedNotice) else notice
        body: dict[str, Any] = {"to": _id(to), "notice": content, "again": again}
        if tlp is not None:
            body["tlp"] = tlp
        answer = await self._transport.ask("POST", "/v1/feedback", shapes.Answered, body=body)
        if answer.id is None:
            return None
        return Sent(shapes.Queued(id=answer.id, known=False), self._look)

    async def feedback_due(self) -> list[shapes.FeedbackDue]:
        """Return what this member owes feedback on, the longest overdue first."""
        return (await self._transport.ask("GET", "/v1/feedback", shapes.FeedbackDues)).due

    # --- the node -----------------------------------------------------------------------------------

    async def status(self) -> shapes.NodeStatus:
        """Return how the node is."""
        return await self._transport.ask("GET", "/v1/status", shapes.NodeStatus)

    async def _look(self, id_: int, stage: str, seconds: float) -> shapes.NoticeState:
        """Ask how far a notice has come, in as many questions as the time takes."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            left = max(end - asyncio.get_running_loop().time(), 0.0)
            wait = round(min(left, POLL_SECONDS), 3)
            state = await self._transport.ask(
                "GET", f"/v1/notices/{id_}", shapes.NoticeState, query={"stage": stage, "wait": wait},
                patience=wait,
            )  # fmt: skip
            if left <= POLL_SECONDS or state.stage == "refused" or has_come(state, stage):
                return state

    async def _again(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask what may be asked twice; once more if the first answer was lost."""
        try:
            return await ask()
        except Unavailable:
            await asyncio.sleep(FIRST_SECONDS)
            return await ask()


def where(folder: Path) -> tuple[str, str]:
    """Return the address and the token of the node in a folder; raises as `Client.of_node`."""
    # A program that names the address needs nothing of the node's own.
    from adapters.configuration import MEMBER_FILE, load_node_config

    config = load_node_config(folder)
    if config.api is None:
        raise BadConfiguration("has no [api]: add it, and start the node again", field=MEMBER_FILE)
    return f"http://127.0.0.1:{config.api.port}", read_token(folder)


def _id(delivery: Delivery | str) -> str:
    return delivery if isinstance(delivery, str) else delivery.delivery
