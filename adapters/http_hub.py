"""The hub over HTTP: mutual TLS, the hub's key pinned, answers of known shapes only.

Decides what a failure means: `Unavailable` for everything that may pass, else the error of the code that
the hub answered with.  Whether the peer is the hub is decided by `pinning`, before one byte of HTTP is sent;
what an answer says is not judged here.

Paths and shapes: docs/protocol.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from adapters.hub import plain
from adapters.pinning import pinned_context
from broker.core.error_codes import error_of
from broker.core.errors import (
    BadProof,
    HalongError,
    NotCanonical,
    TooMany,
    Unavailable,
)
from broker.core.limits import MOST_REQUEST_STATEMENTS
from broker.core.model import Region
from broker.core.signed_note import MOST_NOTE_BYTES
from broker.core.wire import (
    NOT_HERE,
    Consistency,
    DirectoryFiles,
    DirectoryTaken,
    Feed,
    HeadAnswer,
    Outcomes,
    Problem,
    Publication,
    Receipts,
    Statements,
    StatementStatus,
    Statuses,
    StreamPosition,
    read,
)

__all__ = ["HttpHub", "NotHere", "NotThere", "WrongHub", "pinned_context"]

T = TypeVar("T")

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
MOST_ANSWER_BYTES = 64 * 1024 * 1024
MOST_RETRY_AFTER_SECONDS = 60.0
MOST_SIZE_DIGITS = 12
OUR_FAULT = (404, 400, 403, 413)

Sleep = Callable[[float], Awaitable[None]]


class WrongHub(Unavailable):
    """Whoever answers at the hub's address does not hold the hub's key."""


class NotHere(Unavailable):
    """This address does not answer, or not this question; another may."""


class HttpHub:
    """A `Hub` that is reached over HTTP.  Use it as a context: it opens connections when first asked.

    A hub that is spread may have several addresses.  Each kind of question stays with the address that
    answered it last, and goes on to the next when that one fails: whatever is asked or sent may be
    repeated.  All have the one pinned key.

    Args:
        url: The hub's address, `https://hub.example:8443`, or several with spaces between them.
        seen: The size of the largest tree that the hub has shown before.  Each question says what has been
            seen, so that a process of the hub that is behind another catches up before it answers.
        context: The TLS context, see `pinned_context`.
        sleep: Waits out what the hub asked to wait.
        seconds: How long an answer may take; a feed may take its wait besides.
    """

    def __init__(
        self,
        url: str,
        context: ssl.SSLContext,
        *,
        seen: int = 0,
        sleep: Sleep = asyncio.sleep,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._urls = [each.rstrip("/") for each in url.split() or [""]]
        self._at: dict[str, int] = {}
        self._seen = seen
        self._context = context
        self._sleep = sleep
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None
        self._wait_first = 0.0
        self.told_at: int | None = None
        """What the hub's clock said with its last answer, to the second."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context, limit=16, keepalive_timeout=30.0),
            # How long an answer may take is bounded around each request, by what was asked.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=8192,
            max_field_size=8192,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
        """Hand over encoded envelopes in the order of their numbers."""
        return await self._ask("POST", "/v1/notices", Outcomes, Publication(list(envelopes)))

    async def statement(self, statement: bytes) -> StatementStatus | None:
        """Tell how far one's own statement has come; None if the hub does not know it."""
        path = f"/v1/statements/{statement.hex()}?seen={self._seen}"
        try:
            status = await self._ask("GET", path, StatementStatus)
        except NotThere:
            return None
        self._see(status.checkpoint)
        return status

    async def statements(self, statements: Sequence[bytes]) -> Sequence[StatementStatus | None]:
        """Tell the same of several."""
        asked = Statements([each.hex() for each in statements[:MOST_REQUEST_STATEMENTS]])
        answer = await self._ask("POST", f"/v1/statements?seen={self._seen}", Statuses, asked)
        for status in answer.statuses:
            self._see(status.checkpoint)
        return answer.statuses

    async def stream(self, region: Region, stream: str) -> StreamPosition:
        """Tell the last admitted statement of one's own stream."""
        return await self._ask("GET", f"/v1/streams/{region.slug}/{quote(stream, safe='')}", StreamPosition)

    async def feed(self, after: int, limit: int, wait: float) -> Feed:
        """Return what comes after a place; wait up to `wait` seconds for it."""
        path = f"/v1/feed?after={after}&limit={limit}&wait={wait:g}&seen={self._seen}"
        feed = await self._ask("GET", path, Feed, patience=wait)
        self._see(feed.checkpoint)
        return feed

    async def receipts(self, receipts: Sequence[bytes]) -> None:
        """Hand over encoded signed receipts."""
        await self._bytes(
            "POST", "/v1/receipts", msgspec.json.encode(Receipts(list(receipts))), limit=MOST_NOTE_BYTES
        )

    async def head(self) -> HeadAnswer:
        """Return the newest head of one's own inbox."""
        answer = await self._ask("GET", f"/v1/head?seen={self._seen}", HeadAnswer)
        self._see(answer.checkpoint)
        return answer

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the path that shows that the tree of `new` leaves continues that of `old`.

        Raises:
            BadProof: The hub has no tree of that size.
        """
        path = f"/v1/consistency?from={old}&to={new}&seen={new}"
        try:
            return (await self._ask("GET", path, Consistency)).path
        except NotThere:
            raise BadProof("the log is smaller than it was", field="checkpoint") from None

    async def checkpoint(self) -> bytes | None:
        """Return the latest checkpoint, or None before the first."""
        return await self._note(f"/v1/checkpoint?seen={self._seen}")

    async def proof(self, leaf: str, *, cose: bool = False) -> bytes | None:
        """Return the proof that the log has a leaf, named by its index or a statement's id; None without."""
        form = "cose" if cose else "tlog-proof"
        return await self._note(f"/log/proof/{quote(leaf, safe='')}?form={form}&seen={self._seen}")

    async def asked(self) -> bytes | None:
        """Return the checkpoint that members are asked to cosign now; None before the first."""
        return await self._note(f"/log/asked?seen={self._seen}")

    async def cosigned(self, least: int) -> bytes | None:
        """Return the newest checkpoint that so many members have cosigned; None if there is none of late."""
        return await self._note(f"/log/cosigned?least={least}&seen={self._seen}")

    async def cosign(self, note: bytes) -> None:
        """Hand over a checkpoint's text with a line of our own."""
        await self._bytes("POST", "/log/cosignatures", note, limit=MOST_NOTE_BYTES)

    async def _note(self, path: str) -> bytes | None:
        try:
            return await self._bytes("GET", path, limit=MOST_NOTE_BYTES)
        except NotThere:
            return None

    async def directory_timestamp(self) -> bytes:
        """Return the timestamp of the signed directory as it is now."""
        return await self._bytes("GET", "/v1/directory/timestamp", limit=MOST_NOTE_BYTES)

    async def directory(self, known: bytes) -> DirectoryFiles:
        """Return the newest version, without what the known one has."""
        return await self._ask("GET", f"/v1/directory?known={known.hex()}", DirectoryFiles)

    async def past_directory(self, version: bytes, known: bytes) -> DirectoryFiles | None:
        """Return a past version, without what the known one has; None if the hub does not know it."""
        path = f"/v1/directory/versions/{version.hex()}?known={known.hex()}"
        try:
            return await self._ask("GET", path, DirectoryFiles)
        except NotThere:
            return None

    async def change_directory(self, change: bytes) -> bytes:
        """Hand over a signed change of the member's own role; return the version that has it."""
        answer = await self._bytes("POST", "/v1/directory", change, limit=MOST_NOTE_BYTES)
        return bytes.fromhex(self._read(answer, "/v1/directory", DirectoryTaken).version)

    def _see(self, note: bytes | None) -> None:
        """Take note of the size that a checkpoint names; whether it is right is judged by whoever asked."""
        size = b"" if note is None else note[:MOST_NOTE_BYTES].partition(b"\n")[2].partition(b"\n")[0]
        if size.isdigit() and len(size) <= MOST_SIZE_DIGITS:
            self._seen = max(self._seen, int(size))

    async def _ask(
        self,
        method: str,
        path: str,
        shape: type[T],
        body: msgspec.Struct | None = None,
        *,
        patience: float = 0.0,
    ) -> T:
        data = None if body is None else msgspec.json.encode(body)
        answer = await self._bytes(method, path, data, patience=patience, limit=MOST_ANSWER_BYTES)
        return self._read(answer, path, shape)

    @staticmethod
    def _read(answer: bytes, path: str, shape: type[T]) -> T:
        try:
            return read(answer, shape)
        except NotCanonical:
            raise Unavailable("the hub's answer is not of its shape", field=path.partition("?")[0]) from None

    async def _bytes(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        *,
        patience: float = 0.0,
        limit: int,
    ) -> bytes:
        question = partial(self._ask_one, method, path, data, patience=patience, limit=limit)
        for _ in self._urls[1:]:
            with contextlib.suppress(NotHere):
                return await question()
        return await question()

    async def _ask_one(
        self, method: str, path: str, data: bytes | None, *, patience: float, limit: int
    ) -> bytes:
        """Ask the address at which this kind of question is; when it fails, the next is asked from now on."""
        kind = path.partition("?")[0].split("/")[2]
        at = self._at.get(kind, 0)
        try:
            return await self._attempt(self._urls[at], method, path, data, patience=patience, limit=limit)
        except NotThere:
            raise
        except Unavailable:
            # Several questions may fail together: the address is left once.
            if self._at.get(kind, 0) == at:
                self._at[kind] = (at + 1) % len(self._urls)
            raise

    async def _attempt(
        self, url: str, method: str, path: str, data: bytes | None, *, patience: float, limit: int
    ) -> bytes:
        if self._session is None:
            raise RuntimeError("enter the client first")
        if self._wait_first:
            seconds, self._wait_first = self._wait_first, 0.0
            await self._sleep(seconds)
        try:
            async with (
                asyncio.timeout(self._seconds + patience),
                self._session.request(
                    method,
                    url + path,
                    data=data,
                    headers={"Content-Type": "application/json"} if data is not None else None,
                    allow_redirects=False,
                ) as response,
            ):
                answer = await _read(response, limit)
                self.told_at = _date(response)
                if response.status >= 300:
                    raise self._problem(response, answer)
                return answer
        except aiohttp.ClientConnectorCertificateError:
            raise WrongHub(
                "the key of whoever answers is not the hub's pinned key", field="hub.pin"
            ) from None
        except TimeoutError:
            raise Unavailable("the hub did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            # Text of the library may quote addresses and data: the kind alone is told.
            raise NotHere(f"the hub is out of reach: {type(error).__name__}") from None

    def _problem(self, response: aiohttp.ClientResponse, answer: bytes) -> HalongError:
        try:
            problem = read(answer, Problem)
        except NotCanonical:
            problem = Problem(code="", message="")
        if response.status == 404 and problem.code not in CODED_404:
            return NotThere("the hub knows no such thing")
        error = error_of(problem.code)
        if response.status == 429 or error is TooMany:
            self._wait_first = _retry_after(response)
            return TooMany("the hub asks to send more slowly")
        if response.status in OUR_FAULT and error is not None:
            return error("the hub refused the request", field=plain(problem.field))
        if problem.code == NOT_HERE:
            return NotHere("this address of the hub does not answer that")
        self._wait_first = _retry_after(response) if "Retry-After" in response.headers else 0.0
        return Unavailable(f"the hub answered {response.status}")


CODED_404 = ("not-yours", "not-member")


class NotThere(Unavailable):
    """The hub knows no such thing (yet)."""


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    parts = []
    size = 0
    async for part in response.content.iter_chunked(65536):
        size += len(part)
        if size > limit:
            raise Unavailable("the hub's answer is too large")
        parts.append(part)
    return b"".join(parts)


def _date(response: aiohttp.ClientResponse) -> int | None:
    try:
        return int(parsedate_to_datetime(response.headers.get("Date", "")).timestamp()) * 1000
    except (ValueError, OverflowError):
        return None


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Return the seconds that the hub asks to wait, never more than a minute: it may be wrong."""
    try:
        seconds = float(response.headers.get("Retry-After", "1"))
    except ValueError:
        seconds = 1.0
    return min(max(seconds, 0.0), MOST_RETRY_AFTER_SECONDS)
