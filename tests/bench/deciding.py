"""Who gets a notice: our index beside Cedar, on the same questions."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cedarpy

from broker.core.agreements import Context
from broker.core.index import Index
from broker.core.notice import read_envelope
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import Setting
from tests.cedar import Oracle
from tests.strategies import Case
from tests.world import World, sighting

MEMBERS = 186
AGREEMENTS = 300
NOTICES = 100_000
CEDAR_NOTICES = 4
"""Each is more than a thousand questions, of a fifth of a millisecond or more."""


def network(setting: Setting) -> World:
    """Return 186 members under 300 agreements."""
    world = World(setting.fresh("network"), *(f"m{number}" for number in range(MEMBERS)))
    for number in range(AGREEMENTS):
        giver, receiver = number % MEMBERS, (number * 7 + 1 + number // MEMBERS) % MEMBERS
        if giver != receiver:
            world.agree(f"m{giver}", f"m{receiver}", name=f"agreement-{number}")
    return world


def rows(setting: Setting) -> Iterator[Row]:
    """Yield what a decision for all members costs."""
    world = network(setting)
    directory = world.source.load()
    index = Index(directory)
    headers = [read_envelope(world.compose(f"m{number}", sighting())).header for number in range(MEMBERS)]
    context = Context(world.clock.now(), {})
    count = setting.some(NOTICES)
    for header in headers:
        index.shares(header, context)
    started = time.perf_counter()
    for number in range(count):
        index.shares(headers[number % MEMBERS], context)
    ours = (time.perf_counter() - started) / count

    oracle = Oracle(directory)
    cases = [Case(directory, header, context) for header in headers[:CEDAR_NOTICES]]
    requests = oracle.requests(cases)
    started = time.perf_counter()
    results = cedarpy.is_authorized_batch(requests, oracle.policies, oracle.entities)
    theirs = (time.perf_counter() - started) / CEDAR_NOTICES
    assert oracle.found(cases, results) == [
        {member: share.slots for member, share in index.shares(case.header, context).items()}
        for case in cases
    ]
    asked = len(requests) // CEDAR_NOTICES
    yield Row(
        "decide",
        f"decided for {MEMBERS} members under {AGREEMENTS} agreements, a notice",
        Figure(ours * 1e6, "µs"),
        f"Cedar, parsed and warm, the same {asked:,} questions: {theirs * 1e3:,.0f} ms",
        theirs / ours,
        "x",
        Goal("ratio", least=400, said="≤ 100 µs, ≥ 400 × Cedar"),
    )
