"""Asking the local API: one request, one answer, and the error class of each code.

Decides what a failure means to a program: the class of `broker.core.errors` that has the answer's code, or
`Unavailable` for everything that may pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from adapters.api.shapes import Problem
from broker.core.error_codes import error_of
from broker.core.errors import BadConfiguration, HalongError, NotCanonical, Unavailable
from broker.core.wire import read

T = TypeVar("T")

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
MOST_ANSWER_BYTES = 64 << 20
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Query = Mapping[str, str | int | float | list[str]]


class Transport:
    """Connections to one node.  Use it as a context: it opens them when first asked.

    Args:
        url: Where the local API is: `http://127.0.0.1:8446`.
        token: What is in the node's `api.token`.
        seconds: How long an answer may take; one that is waited for may take that besides.
    """

    def __init__(self, url: str, token: str, *, seconds: float = ANSWER_SECONDS) -> None:
        parts = urlsplit(url)
        # The token must not leave the machine in the clear.
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise BadConfiguration("not an address of this machine, so it must be https", field="url")
        self._url = url.rstrip("/")
        self._token = token
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self,
        method: str,
        path: str,
        shape: type[T],
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        patience: float = 0.0,
    ) -> T:
        """Return the answer in its shape.

        Raises:
            Refused: The class of the code that the node answered with.
            Unavailable: The node is out of reach, or cannot do it now.
        """
        data = None if body is None else msgspec.json.encode(body)
        answer = await self.text(method, path, query=query, data=data, headers=headers, patience=patience)
        try:
            return read(answer, shape)
        except NotCanonical:
            raise Unavailable("the answer is not of its shape: is this a node of another version?") from None

    async def text(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float = 0.0,
    ) -> bytes:
        """Return the bytes of an answer; raises as `ask`."""
        if self._session is None:
            raise RuntimeError("enter the client first: `async with Client(…) as client`")
        sent = dict(headers or {})
        if data is not None:
            sent["Content-Type"] = "application/json"
        try:
            async with (
                asyncio.timeout(self._seconds + patience),
                self._session.request(
                    method, self._url + path, params=query, data=data, headers=sent, allow_redirects=False
                ) as response,
            ):
                answer = bytearray()
                async for part in response.content.iter_any():
                    answer += part
                    if len(answer) > MOST_ANSWER_BYTES:
                        raise Unavailable("the answer is too large; ask for less")
                if response.status >= 300:
                    raise _error(response.status, bytes(answer))
                return bytes(answer)
        except TimeoutError:
            raise Unavailable("the node did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(
                f"the node's API is out of reach ({type(error).__name__}): "
                "does `halong member` run, with [api] in its settings?"
            ) from None


def _error(status: int, answer: bytes) -> HalongError:
    try:
        told: Any = read(answer, Problem)
    except NotCanonical:
        return Unavailable(f"the answer is {status}, and no problem of a node's API")
    return (error_of(told.code) or Unavailable)(told.detail, field=told.field)
