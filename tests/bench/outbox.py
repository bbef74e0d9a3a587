"""The outbox: drafts composed, numbered, signed and kept, many under one signature against one at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from adapters.sending import signing
from broker.core.model import Region
from tests.bench.measure import Pair, by_turns
from tests.bench.rows import Figure, Row
from tests.bench.setting import Setting
from tests.nodes import TestNode
from tests.world import World

COUNT = 2_048
ROUNDS = 3
REGION = Region.ASIA_PACIFIC


def rows(setting: Setting) -> Iterator[Row]:
    """Yield what signing together gains, with one key and with a second one beside it."""
    together = signing.AT_ONCE
    count = setting.some(COUNT) // together * together or together
    for key, keys, hybrid in (
        ("outbox", "Ed25519", False),
        ("outbox-hybrid", "Ed25519 and ML-DSA-65", True),
    ):
        pair = asyncio.run(_signing(setting, count, hybrid=hybrid))
        yield Row(
            key,
            f"outbox, one core, signed by {keys} and kept, {together} at a time",
            Figure(count / pair.ours, "/s"),
            f"one at a time: {count / pair.baseline:,.0f}/s",
            pair.ratio,
            "x",
        )


async def _signing(setting: Setting, count: int, *, hybrid: bool) -> Pair:
    folder = setting.fresh("outbox")
    world = World(folder, "vn", "jp")
    world.agree("vn", "jp")
    if hybrid:
        world.countersign("vn")
    node = TestNode(world, "vn", folder)
    drafts = [node.draft() for _ in range(count)]
    together = signing.AT_ONCE

    async def signed(at_once: int) -> float:
        node.outgoing.enqueue(drafts, world.clock.now())
        signing.AT_ONCE = at_once
        started = time.perf_counter()
        while await node.node.outbox._signing.sign(REGION):
            pass
        return time.perf_counter() - started

    try:
        return await by_turns(lambda: signed(together), lambda: signed(1), ROUNDS)
    finally:
        signing.AT_ONCE = together
        node.close()
