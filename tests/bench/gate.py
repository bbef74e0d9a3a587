"""The gateway, everything checked and stored, and what of it is the signature.

In seconds of a processor, ours and the baseline's: what one core does, whatever others do on the machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from broker.core import signing
from broker.core.model import Envelope
from broker.core.notice import Arrived, read_envelope
from broker.core.records import framed
from broker.core.sign1 import check_form
from tests.bench.measure import Pair, by_turns
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import BATCH, BareFile, Setting, envelopes, signed_together
from tests.world import NETWORK, Content, World, notice, sighting

COUNT = 4_096
FORMS_READ = 32
"""Fewer than the forms of signatures that are kept, so that reading them is not counted."""


def rows(setting: Setting) -> Iterator[Row]:
    """Yield what the gateway does in a second, and how much cheaper a batch's signature is."""
    count = setting.some(COUNT) // BATCH * BATCH
    kinds: list[tuple[str, str, Content, bool, float | None]] = [
        ("gateway-single", "small notices, signed singly", sighting(person="a person"), False, 1_500),
        (
            "gateway-batch",
            f"small notices, signed {BATCH} at a time",
            sighting(person="a person"),
            True,
            2_500,
        ),
        (
            "gateway-real",
            f"drug parcels of 1.7 KB, signed {BATCH} at a time",
            notice("drug-parcel"),
            True,
            None,
        ),
    ]
    for key, what, content, together, least in kinds:
        pair = asyncio.run(_passing(setting, content, count, together=together))
        yield Row(
            key,
            f"gateway, one core, all checked and stored: {what}",
            Figure(count / pair.ours, "/s"),
            f"bare append of the same: {count / pair.baseline:,.0f}/s",
            pair.ratio,
            goal=None if least is None else Goal("value", least, said=f"≥ {least:,.0f}/s"),
        )
    pair = _verifying(setting, count)
    yield Row(
        "batch-signature",
        f"signature of one of {BATCH}, verified",
        Figure(pair.ours / count * 1e6, "µs"),
        f"one signed singly: {pair.baseline / count * 1e6:.1f} µs",
        pair.ratio,
        "x",
        Goal("ratio", least=10, said="≥ 10 × cheaper"),
    )


async def _passing(setting: Setting, content: Content, count: int, *, together: bool) -> Pair:
    folder = setting.fresh("gateway")
    async with World(folder, "m0") as world:
        world.stop_services()
        given = envelopes(world, count, content)
        given = signed_together(world, given) if together else given
        values = [framed(Envelope, each) for each in given]
        bare = BareFile(folder)

        async def ours() -> float:
            # A batch is new to a gateway once.
            signing._covers_batch.cache_clear()
            started = time.process_time()
            for start in range(0, count, BATCH):
                outcomes = await world.gateway.publish("m0", given[start : start + BATCH])
                assert outcomes.results[-1].status == "accepted"
            return time.process_time() - started

        async def baseline() -> float:
            started = time.process_time()
            bare.append(values)
            return time.process_time() - started

        pair = await by_turns(ours, baseline)
        bare.close()
    return pair


def _verifying(setting: Setting, count: int) -> Pair:
    """Time what a gateway asks of a signature whose form it has read: whether it covers the header."""
    world = World(setting.fresh("signatures"), "m0")
    directory, at = world.source.load(), world.clock.now()
    keys = directory.signing_keys("m0", at)
    singly = [read_envelope(each) for each in envelopes(world, count)]
    together = [read_envelope(each) for each in signed_together(world, [each.raw for each in singly])]

    async def verifying(given: Sequence[Arrived]) -> float:
        signing._covers_batch.cache_clear()
        taken = 0.0
        for start in range(0, len(given), FORMS_READ):
            part = given[start : start + FORMS_READ]
            for each in part:
                check_form(each.envelope.signature)
            started = time.process_time()
            for each in part:
                signing.verify_header(
                    each.envelope.header, each.header, each.envelope.signature, keys, (),
                    pq_required=False, network=NETWORK,
                )  # fmt: skip
            taken += time.process_time() - started
        return taken

    return asyncio.run(by_turns(lambda: verifying(together), lambda: verifying(singly)))
