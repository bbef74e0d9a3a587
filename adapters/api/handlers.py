"""The operations of the local API: from a request that was read to an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from adapters.api import parameters, shapes
from adapters.api.about import About
from adapters.api.receiving import Receiving
from adapters.api.routes import Route
from adapters.api.sending import Sending
from adapters.sending.progress import Stage
from broker.bounded_http import read_body, read_json
from broker.core.errors import NotCanonical, TooMany
from broker.core.limits import MOST_REQUEST_BYTES
from broker.core.model import Status

BODY_SECONDS = 30.0
BODIES_AT_ONCE = 8

PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that was read: its parameters by their names, and its body."""

    values: dict[str, Any]
    body: bytes


class Handlers:
    """Has a method for each operation of `routes`.

    Args:
        sending: Answers what is about notices of ours.
        receiving: Answers what is about deliveries.
        about: Answers what is about the node.
        body_seconds: How long a body may take.
    """

    def __init__(
        self, sending: Sending, receiving: Receiving, about: About, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._sending = sending
        self._receiving = receiving
        self._about = about
        self._body_seconds = body_seconds
        self._bodies = 0

    def of(self, route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return what answers requests to a route."""
        answer: Callable[[Ask], Awaitable[Any]] = getattr(self, f"_{_snake(route.name)}")

        async def handle(request: web.Request) -> web.Response:
            values = parameters.read(request, route.parameters)
            body = b"" if route.body is None else await self._body(request)
            found = await answer(Ask(values, body))
            if isinstance(found, msgspec.Struct):
                data, media_type = msgspec.json.encode(found), "application/json"
            else:
                assert isinstance(route.answer, str)
                data, media_type = found, route.answer
            charset = "utf-8" if media_type.startswith("text/") else None
            return web.Response(
                status=route.status, body=data, content_type=media_type, charset=charset, headers=PAGE_HEADERS
            )

        return handle

    async def _body(self, request: web.Request) -> bytes:
        if request.content_type != "application/json":
            raise NotCanonical("a body is JSON: `Content-Type: application/json`", field="Content-Type")
        if self._bodies >= BODIES_AT_ONCE:
            raise TooMany(f"{BODIES_AT_ONCE} requests with a body are under way")
        self._bodies += 1
        try:
            return await read_body(request, self._body_seconds, MOST_REQUEST_BYTES)
        finally:
            self._bodies -= 1

    # --- notices of ours --------------------------------------------------------------------------

    async def _publish_notices(self, ask: Ask) -> shapes.Published:
        given = read_json(ask.body, object)
        notices = given if isinstance(given, list) else [given]
        if not 0 < len(notices) <= shapes.MOST_NOTICES:
            raise NotCanonical(f"a request has 1 to {shapes.MOST_NOTICES} notices", field="body")
        return await self._sending.publish(notices, ask.values["Idempotency-Key"])

    async def _list_notices(self, ask: Ask) -> shapes.NoticeStates:
        values = ask.values
        return self._sending.notices(values["after"], values["limit"], values["source"])

    async def _get_notice(self, ask: Ask) -> shapes.NoticeState:
        stage = Stage[ask.values["stage"].upper()]
        return await self._sending.notice(ask.values["id"], stage, ask.values["wait"])

    async def _preview_notice(self, ask: Ask) -> shapes.Preview:
        return await self._sending.preview(read_json(ask.body, object))

    # --- what was delivered -----------------------------------------------------------------------

    async def _read_deliveries(self, ask: Ask) -> shapes.Deliveries:
        values = ask.values
        statuses = frozenset(Status[each] for each in values["status"])
        return await self._receiving.deliveries(values["after"], values["limit"], statuses, values["wait"])

    async def _get_delivery(self, ask: Ask) -> shapes.Delivery:
        return await self._receiving.delivery(_id(ask))

    async def _get_page(self, ask: Ask) -> bytes:
        return (await self._receiving.page(_id(ask), ask.values["language"])).encode()

    async def _acknowledge_delivery(self, ask: Ask) -> shapes.ReadReceipt:
        return await self._receiving.read(_id(ask))

    async def _give_feedback(self, ask: Ask) -> shapes.Answered:
        return await self._receiving.answer(read_json(ask.body, shapes.NewAnswer))

    async def _list_feedback_due(self, _ask: Ask) -> shapes.FeedbackDues:
        return self._receiving.feedback_due()

    # --- the node ---------------------------------------------------------------------------------

    async def _list_types(self, _ask: Ask) -> shapes.NoticeTypes:
        return self._about.types()

    async def _get_type(self, ask: Ask) -> bytes:
        return msgspec.json.encode(self._about.type(ask.values["name"]))

    async def _get_status(self, _ask: Ask) -> shapes.NodeStatus:
        return self._about.status()


def _id(ask: Ask) -> bytes:
    return bytes.fromhex(ask.values["id"])


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
