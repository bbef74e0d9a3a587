"""Reaches witnesses outside of the network over HTTP: one POST at a time, bounded in time and size.

Nothing but HTTP; what is shown and what an answer means is decided in `services.pushing`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

import aiohttp

from broker.configuration import HUB_FILE, OutsideWitness
from broker.core.cosignature import CosignatureKey
from broker.core.errors import BadConfiguration
from broker.services.cosignatures import Cosignatures
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from broker.services.pushing import MOST_ANSWER_BYTES, Answer, Pusher, Unreached
from broker.web.api import Services

MOST_WITNESSES = 16
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 20.0
FIELD = f"{HUB_FILE}: witnesses"


def outside_pushers(
    witnesses: Sequence[OutsideWitness], services: Services
) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """Yield what shows each witness of the settings the log's checkpoints, by a name.

    Raises:
        BadConfiguration: An address or a key cannot be used, or there are too many.
    """
    if len(witnesses) > MOST_WITNESSES:
        raise BadConfiguration(f"at most {MOST_WITNESSES} witnesses", field=FIELD)
    keys = [CosignatureKey.parse(each.key) for each in witnesses]
    if len({each.name for each in keys}) < len(keys):
        raise BadConfiguration("two witnesses of one name", field=FIELD)
    urls = [_address(each.url) for each in witnesses]
    # Whoever collects the members' cosignatures collects these.
    if services.cosignatures is not None and services.ledger is not None:
        for key, url in zip(keys, urls, strict=True):
            cosignatures, ledger, metrics = services.cosignatures, services.ledger, services.metrics
            yield f"witness {key.name}", partial(_push, url, key, cosignatures, ledger, metrics)


async def _push(
    url: str, key: CosignatureKey, cosignatures: Cosignatures, ledger: Ledger, metrics: Metrics
) -> None:
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def ask(body: bytes) -> Answer:
            return await post(session, url, body)

        await Pusher(key, ask, cosignatures, ledger, metrics).run()


async def post(session: aiohttp.ClientSession, url: str, body: bytes) -> Answer:
    """Return the answer to a submission; no other address is followed.

    Raises:
        Unreached: None came, or one that is too large.
    """
    try:
        async with session.post(url, data=body, allow_redirects=False) as answer:
            found = bytearray()
            async for part in answer.content.iter_any():
                found += part
                if len(found) > MOST_ANSWER_BYTES:
                    raise Unreached("the answer is too large", field="witnesses")
            return Answer(answer.status, bytes(found))
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise Unreached("the witness did not answer", field="witnesses") from None


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise BadConfiguration("an address such as https://witness.example/halong", field=FIELD)
    return f"{url.rstrip('/')}/add-checkpoint"
