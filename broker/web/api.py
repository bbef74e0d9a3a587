"""The paths of the hub: docs/protocol.md.

Nothing but HTTP: who is asking (by key, on every request), whether the question has its shape, and which
status an error has.  What is answered is the services' business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from broker.bounded_http import read_body, read_json, sent
from broker.clock import Clock
from broker.configuration import Limits
from broker.core.errors import (
    BadConfiguration,
    HalongError,
    NotCanonical,
    NotMember,
    NotYours,
    TooLarge,
    TooMany,
    Unavailable,
)
from broker.core.limits import MOST_REQUEST_BYTES, MOST_REQUEST_STATEMENTS
from broker.core.model import Region
from broker.core.wire import (
    NOT_HERE,
    Consistency,
    Publication,
    Receipts,
    Statements,
    StatementStatus,
    Statuses,
)
from broker.log import LogUnavailable
from broker.services.cosignatures import Cosignatures
from broker.services.current import CurrentDirectory
from broker.services.gateway import Gateway
from broker.services.heads import Heads
from broker.services.inbox import MOST_ITEMS, Inbox
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from broker.services.refusals import STRANGER, Refusals, Refused
from broker.services.registry import Registry
from broker.services.tiles import Tiles
from broker.services.turns import Turns
from broker.telemetry import logger_of
from broker.web.connection import MEMBER, Connection, json_answer, problem
from broker.web.directory import DirectoryPaths
from broker.web.log import LogPaths
from broker.web.proofs import ProofPaths
from broker.web.witnessing import WitnessPaths

T = TypeVar("T")
Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUESTS_AT_ONCE = 8
"""Requests with a body that one member may have under way; each may hold `MOST_REQUEST_BYTES` of memory."""

QUESTIONS = 64
QUESTIONS_AT_ONCE = 4
"""Questions about statements that one member may have under way, and that read the log at a time."""

FEEDS = 4
"""Feeds of one member that may be open at once: its node, its successor, and a person who looks."""

MOST_PLACE = 1 << 40
FEED_ITEMS = 256
ID_BYTES = 32
REGIONS = {region.slug: region for region in Region}

STATUS: dict[type[HalongError], int] = {
    NotMember: 403,
    NotYours: 403,
    TooLarge: 413,
    TooMany: 429,
    Unavailable: 503,
}

log_line = logger_of("web")


@dataclass(frozen=True, slots=True)
class Services:
    """What this process answers with.

    A part that runs elsewhere is None.  Its paths answer 503 `not-here`, and never 404, which would be an
    answer: "the hub knows no such statement".  A node goes on to its next address; a front routes by path.
    """

    directory: CurrentDirectory
    clock: Clock
    metrics: Metrics
    limits: Limits
    refusals: Refusals
    gateway: Gateway | None = None
    inbox: Inbox | None = None
    ledger: Ledger | None = None
    heads: Heads | None = None
    registry: Registry | None = None
    cosignatures: Cosignatures | None = None
    tiles: Tiles | None = None


class Api:
    """The application that aiohttp serves."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._requests = Turns("requests", REQUESTS_AT_ONCE)
        self._questions = Turns("questions", QUESTIONS, QUESTIONS_AT_ONCE)
        self._feeds = Turns("feeds", FEEDS)

    def application(self) -> web.Application:
        """Return the application; paths of services that are not here say so."""
        app = web.Application(
            middlewares=[self._with_problems, self._with_identity], client_max_size=MOST_REQUEST_BYTES
        )
        here = self._services
        sent: dict[str, Answerer] = {"/v1/notices": self._publish, "/v1/receipts": self._receive}
        asked: dict[str, Answerer] = {
            "/v1/feed": self._feed,
            "/v1/statements/{id}": self._statement,
            "/v1/streams/{region}/{stream}": self._stream,
            "/v1/checkpoint": self._checkpoint,
            "/v1/consistency": self._consistency,
        }
        for path, answer in sent.items():
            app.router.add_post(path, answer if here.gateway is not None else self._elsewhere)
        app.router.add_post(
            "/v1/statements", self._statements if here.ledger is not None else self._elsewhere
        )
        if here.registry is not None:
            DirectoryPaths(here.registry, here.limits, self._requests).add_to(app)
        if here.tiles is not None:
            shown = bytes if here.cosignatures is None else here.cosignatures.shown
            LogPaths(here.tiles, lambda: here.directory.value.log_key, shown).add_to(app)
        else:
            app.router.add_get("/log/{path:checkpoint|vkey|tile/.+}", self._elsewhere)
        if here.cosignatures is not None:
            WitnessPaths(here.cosignatures, here.limits, self._requests, self._ledger).add_to(app)
        else:
            app.router.add_route("*", "/log/{path:asked|cosigned|cosignatures}", self._elsewhere)
        if here.ledger is not None:
            shown = bytes if here.cosignatures is None else here.cosignatures.shown
            ProofPaths(lambda: here.directory.value.log_key, shown, self._ledger).add_to(app)
        else:
            app.router.add_get("/log/{path:proof/.+}", self._elsewhere)
        for path, answer in asked.items():
            app.router.add_get(path, answer if here.ledger is not None else self._elsewhere)
        app.router.add_get("/v1/head", self._head if here.heads is not None else self._elsewhere)
        return app

    # --- around every request -----------------------------------------------------------------------

    @web.middleware
    async def _with_problems(self, request: web.Request, handler: Answerer) -> web.StreamResponse:
        try:
            answer = await handler(request)
        except HalongError as error:
            answer = self._problem(request, error)
        except web.HTTPRequestEntityTooLarge:
            answer = problem(413, TooLarge.code, f"a request has at most {MOST_REQUEST_BYTES} bytes")
        except web.HTTPException as error:
            answer = problem(error.status, "not-supported", "there is no such thing here")
        self._services.metrics.requests.labels(str(answer.status)).inc()
        return answer

    def _problem(self, request: web.Request, error: HalongError) -> web.Response:
        if isinstance(error, LogUnavailable | BadConfiguration):
            # Ours; what it says of files and machines here is for the operator.
            log_line.error("request.failed", code=error.code, exc_info=error)
            return problem(503, Unavailable.code, "the hub cannot do this now; try the same again")
        status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 400)
        retry_after = None
        if status == 429:
            gateway, peer = self._services.gateway, request.get(MEMBER, "")
            retry_after = gateway.seconds_until(peer) if gateway is not None and peer else 1
        return problem(status, error.code, str(error), field_name=error.field, retry_after=retry_after)

    @web.middleware
    async def _with_identity(self, request: web.Request, handler: Answerer) -> web.StreamResponse:
        """Let members in, and nobody else; judged anew for every request, whatever the last one was.

        Raises:
            NotMember: The key that the peer holds belongs to no member now.
        """
        connection = request.protocol
        key = connection.key if isinstance(connection, Connection) else b""
        services = self._services
        member = services.directory.value.member_of_transport_key(key, services.clock.now())
        if member is None:
            await self._record(Refused(STRANGER, NotMember.code, key.ljust(32, b"\0")))
            raise NotMember("the key of the certificate belongs to no member")
        request[MEMBER] = member
        return await handler(request)

    async def _record(self, refused: Refused) -> None:
        self._services.metrics.refusals.labels("gateway", refused.code).inc()
        await self._services.refusals.record(refused)

    async def _elsewhere(self, _request: web.Request) -> web.Response:
        return problem(503, NOT_HERE, "another process of the hub answers this")

    # --- what members send --------------------------------------------------------------------------

    async def _publish(self, request: web.Request) -> web.Response:
        gateway = self._services.gateway
        assert gateway is not None
        async with self._requests.of(request[MEMBER]):
            publication = await self._body(request, Publication)
            return json_answer(await gateway.publish(request[MEMBER], publication.envelopes))

    async def _receive(self, request: web.Request) -> web.Response:
        gateway = self._services.gateway
        assert gateway is not None
        async with self._requests.of(request[MEMBER]):
            receipts = await self._body(request, Receipts)
            await gateway.receive(request[MEMBER], receipts.receipts)
            return web.Response(status=204)

    async def _body(self, request: web.Request, shape: type[T]) -> T:
        """Return the body in its shape.

        Raises:
            NotCanonical: It is not of that shape, or compressed.
            TooLarge: It says that it is too large.
            Unavailable: It did not come in time.
        """
        body = await read_body(request, self._services.limits.body_seconds, MOST_REQUEST_BYTES)
        return read_json(body, shape)

    # --- what members ask ---------------------------------------------------------------------------

    async def _feed(self, request: web.Request) -> web.Response:
        inbox = self._services.inbox
        assert inbox is not None
        # Until the member has taken the answer: one that asks and does not read must not fill the memory.
        async with self._feeds.of(request[MEMBER]):
            await self._ledger(request)
            feed = await inbox.feed(
                request[MEMBER],
                after=int(_number(request, "after", 0, MOST_PLACE)),
                limit=max(1, int(_number(request, "limit", FEED_ITEMS, MOST_ITEMS))),
                seconds=_number(request, "wait", 0, self._services.limits.poll_seconds),
            )
            return await sent(request, json_answer(feed))

    async def _statement(self, request: web.Request) -> web.Response:
        async with self._questions.of(request[MEMBER]):
            (status,) = await self._statuses(request, [request.match_info["id"]])
            return json_answer(status)

    async def _statements(self, request: web.Request) -> web.Response:
        async with self._requests.of(request[MEMBER]), self._questions.of(request[MEMBER]):
            asked = (await self._body(request, Statements)).statements
            if len(asked) > MOST_REQUEST_STATEMENTS:
                raise TooLarge(
                    f"at most {MOST_REQUEST_STATEMENTS} statements in one request", field="statements"
                )
            return json_answer(Statuses(await self._statuses(request, asked)))

    async def _statuses(self, request: web.Request, asked: Sequence[str]) -> list[StatementStatus]:
        ledger, ids, member = await self._ledger(request), [_id(each) for each in asked], request[MEMBER]
        told = []
        for id_, status in zip(ids, await ledger.statements.statuses(member, ids), strict=True):
            if isinstance(status, NotYours):
                await self._record(Refused(member, status.code, id_, id_))
                raise status
            told.append(status)
        return told

    async def _stream(self, request: web.Request) -> web.Response:
        ledger = await self._ledger(request)
        await ledger.renew()
        region = REGIONS.get(request.match_info["region"])
        if region is None:
            raise NotCanonical("no such region", field="region")
        return json_answer(ledger.statements.stream(request[MEMBER], region, request.match_info["stream"]))

    async def _ledger(self, request: web.Request) -> Ledger:
        """Return the ledger, as far as the member has seen the log at any process of the hub."""
        ledger = self._services.ledger
        assert ledger is not None
        await ledger.reach(int(_number(request, "seen", 0, MOST_PLACE)))
        return ledger

    async def _consistency(self, request: web.Request) -> web.Response:
        ledger = await self._ledger(request)
        old, new = (int(_number(request, name, 0, MOST_PLACE)) for name in ("from", "to"))
        path = ledger.consistency(old, new)
        if path is None:
            raise web.HTTPNotFound
        return json_answer(Consistency(path))

    async def _head(self, request: web.Request) -> web.Response:
        heads = self._services.heads
        assert heads is not None
        await self._ledger(request)
        return json_answer(heads.answer(request[MEMBER]))

    async def _checkpoint(self, request: web.Request) -> web.Response:
        ledger = await self._ledger(request)
        if ledger.published is None:
            raise web.HTTPNotFound
        return web.Response(body=ledger.published.note, content_type="text/plain", charset="utf-8")


def _number(request: web.Request, name: str, otherwise: float, most: float) -> float:
    """Return a number of the query, at most `most`.

    Raises:
        NotCanonical: It is no number of digits, or negative.
    """
    text = request.query.get(name)
    if text is None:
        return otherwise
    whole, dot, rest = text.partition(".")
    if not (whole.isascii() and whole.isdecimal() and len(text) <= 20) or (dot and not rest.isdecimal()):
        raise NotCanonical("not a number", field=name)
    return min(float(text), most)


def _id(text: str) -> bytes:
    """Return an id that was written in hexadecimal.

    Raises:
        NotCanonical: It is none.
    """
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != ID_BYTES or found.hex() != text:
        raise NotCanonical("an id is 64 hexadecimal digits in lower case", field="statement")
    return found
