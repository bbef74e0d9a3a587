"""The webhook channel: each notice is posted as JSON to an HTTPS address of the member's.

Signed by the Standard Webhooks specification 1.0.0 (standardwebhooks.com): the headers `webhook-id`,
`webhook-timestamp` and `webhook-signature`, HMAC-SHA256 over `id.timestamp.body`; the id is that of the
delivery, so a repeat has the same.  Or by a client certificate, or both.

Any 2xx is delivered.  An answer about the notice (most of 4xx) is permanent; one about the address, the way
or the load (3xx, 401, 403, 404, 405, 407, 408, 421, 425, 429, 5xx) is not now, and `Retry-After` is honoured.
Redirects are not followed: a notice goes only where the configuration says.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path

import aiohttp
import msgspec

from adapters.channels import LIVE_ALONE, ChannelRefused, ChannelUnavailable, Item
from adapters.receiving.shown import shown
from broker.clock import Clock
from broker.core.errors import BadConfiguration
from broker.core.model import Status

CONNECT_SECONDS = 10.0
NOT_ABOUT_THE_NOTICE = frozenset({401, 403, 404, 405, 407, 408, 421, 425, 429})
PREFIX = "whsec_"
LEAST_SECRET_BYTES = 24


class WebhookChannel:
    """Posts deliveries.

    Args:
        url: Where to.
        clock: Tells the time of each attempt.
        secrets: What signs; the first is the newest, others are there while they are exchanged.
        context: TLS, with the client's certificate if there is one.
        statuses: What is taken.
        name: The name in receipts.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        secrets: Sequence[bytes] = (),
        context: ssl.SSLContext | None = None,
        statuses: frozenset[Status] = LIVE_ALONE,
        name: str = "webhook",
    ) -> None:
        self.name = name
        self.statuses = statuses
        self._url = url
        self._clock = clock
        self._secrets = secrets
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, item: Item) -> None:
        """Return when the other side has answered 2xx.

        Raises:
            ChannelUnavailable: It is out of reach, or asks for later.
            ChannelRefused: It will not take this one.
        """
        body = msgspec.json.encode(shown(item))
        headers = {"Content-Type": "application/json"}
        if self._secrets:
            headers |= signed_headers(self._secrets, item.id.hex(), self._clock.now() // 1000, body)
        try:
            async with self._opened().post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
                retry_after = response.headers.get("Retry-After")
        except aiohttp.ClientConnectorCertificateError:
            raise ChannelUnavailable(
                "the server's certificate is not valid", field=self.name, answer="certificate"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ChannelUnavailable(
                f"out of reach: {type(error).__name__}", field=self.name, answer="unreachable"
            ) from None
        if 200 <= status < 300:
            return
        answer = f"http-{status}"
        if 400 <= status < 500 and status not in NOT_ABOUT_THE_NOTICE:
            raise ChannelRefused(f"answered {status}", field=self.name, answer=answer)
        raise ChannelUnavailable(
            f"answered {status}",
            field=self.name,
            answer=answer,
            retry_after_seconds=seconds_of(retry_after, self._clock.now()),
        )

    async def close(self) -> None:
        """Close the connections; the next delivery opens another."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def check(self) -> str:
        """Say that the address answers; nothing is posted.

        Raises:
            ChannelUnavailable: It is out of reach, or its certificate is not valid.
        """
        try:
            async with self._opened().options(self._url, allow_redirects=False) as response:
                return f"{self._url} answers ({response.status} to OPTIONS); nothing was posted"
        except aiohttp.ClientConnectorCertificateError:
            raise ChannelUnavailable("the server's certificate is not valid", field=self.name) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ChannelUnavailable(f"out of reach: {type(error).__name__}", field=self.name) from None
        finally:
            await self.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._context or True, limit=1),
                # The worker bounds the whole; here only what an answer cannot excuse.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            )
        return self._session


def signed_headers(secrets: Sequence[bytes], id_: str, at: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign `body`; `at` is in seconds."""
    signed = f"{id_}.{at}.".encode() + body
    digests = (base64.b64encode(hmac.digest(secret, signed, sha256)).decode() for secret in secrets)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{digest}" for digest in digests),
    }


def load_secrets(path: Path) -> tuple[bytes, ...]:
    """Return the secrets in a file, one a line as `whsec_` and base64, the newest first.

    Raises:
        BadConfiguration: There is none, or one is too short.
    """
    try:
        lines = path.read_text(encoding="ascii").split()
        secrets = tuple(base64.b64decode(line.removeprefix(PREFIX), validate=True) for line in lines)
    except OSError as error:
        raise BadConfiguration(f"the secret cannot be read: {error.strerror}", field=str(path)) from None
    except (UnicodeDecodeError, binascii.Error):
        raise BadConfiguration("is not whsec_ and base64 on each line", field=str(path)) from None
    if not secrets or any(len(secret) < LEAST_SECRET_BYTES for secret in secrets):
        raise BadConfiguration(f"needs a secret of at least {LEAST_SECRET_BYTES} bytes", field=str(path))
    return secrets


def seconds_of(retry_after: str | None, now: int) -> float:
    """Return how long `Retry-After` asks for: seconds, or until a date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after[:9])
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - datetime.fromtimestamp(now / 1000, UTC)).total_seconds(), 0.0)
