"""Reading a whole feed, and asking one that has nothing: over HTTP with mutual TLS, everything verified."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from statistics import median

from adapters.http_hub import HttpHub, pinned_context
from adapters.receiving.checks import prove_delivery
from broker.core.note import LogKey
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import Setting, envelopes, signed_together
from tests.served import HOST, served

OBJECTS = 5_200
AT_ONCE = 1024
POLLS = 50


def rows(setting: Setting) -> Iterator[Row]:
    """Yield how long all of a feed takes, and an empty answer."""
    all_of_it, proved, empty = asyncio.run(_reading(setting))
    yield Row(
        "feed-all",
        f"feed of {OBJECTS:,} objects, all of it",
        Figure(all_of_it, "s"),
        f"with every path verified: {proved:.2f} s; TAXII servers: 14 to 159 s",
        goal=Goal("value", most=0.5, said="< 0.5 s"),
    )
    yield Row(
        "feed-empty",
        "feed with nothing in it, an answer",
        Figure(empty * 1e3, "ms"),
        goal=Goal("value", most=5, said="< 5 ms"),
    )


async def _reading(setting: Setting) -> tuple[float, float, float]:
    folder = setting.fresh("feed")
    async with served(folder, "m0", "m1") as here:
        here.world.agree("m0", "m1", slots=["facts", "persons"])
        await here.world.directory.refresh()
        given = signed_together(here.world, envelopes(here.world, (OBJECTS // 64 + 1) * 64))[:OBJECTS]
        for start in range(0, OBJECTS, AT_ONCE):
            await here.world.send("m0", *given[start : start + AT_ONCE])
        await here.world.settle()
        context = pinned_context(here.pin, folder / "m1.pem", folder / "m1.key", folder / "authority.pem")
        key = LogKey.parse(here.world.log_signer.vkey)
        async with HttpHub(f"https://{HOST}:{here.port}", context) as hub:
            await hub.feed(1 << 30, 1, 0)
            times = [await _all_of_it(hub, None) for _ in range(3)]
            proved = [await _all_of_it(hub, key) for _ in range(3)]
            polls = []
            for _ in range(POLLS):
                started = time.perf_counter()
                feed = await hub.feed(1 << 30, 1, 0)
                polls.append(time.perf_counter() - started)
                assert not feed.items
    return median(times), median(proved), median(polls)


async def _all_of_it(hub: HttpHub, key: LogKey | None) -> float:
    started, place, count = time.perf_counter(), 0, 0
    while count < OBJECTS:
        feed = await hub.feed(place, AT_ONCE, 0)
        assert feed.items
        assert feed.checkpoint is not None
        count += len(feed.items)
        place = feed.next
        if key is not None:
            tree = key.open_checkpoint(feed.checkpoint)
            for item in feed.items:
                prove_delivery(item, tree)
    return time.perf_counter() - started
