"""Who gets a notice: our index beside Cedar, on the same questions; and an index that follows a change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from statistics import median

import cedarpy

from broker.core.agreements import Context
from broker.core.directory import Directory
from broker.core.index import Index
from tests.bench.network import COMMUNITIES, MEMBERS, PAIRS, dense_network, members, notices
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import Setting
from tests.cedar import Oracle
from tests.strategies import NOW, Case, digest, directory
from tests.world import World

NOTICES = 100_000
KINDS = 2_000
CEDAR_NOTICES = 4
"""Each is more than a thousand questions, of a fifth of a millisecond or more."""
CHANGES = 40


def network(setting: Setting) -> World:
    """Return a world of 186 members under as many agreements, all of two."""
    world = World(setting.fresh("network"), *members())
    for number in range(COMMUNITIES + PAIRS):
        giver, receiver = number % MEMBERS, (number * 7 + 1 + number // MEMBERS) % MEMBERS
        if giver != receiver:
            world.agree(f"m{giver}", f"m{receiver}", name=f"agreement-{number}")
    return world


def rows(setting: Setting) -> Iterator[Row]:
    """Yield what a decision for all members costs, and a change of one agreement."""
    value = dense_network()
    index = Index(value)
    headers = notices(Random(2), KINDS)
    context = Context(NOW, {})
    reached = sum(len(index.shares(header, context)) for header in headers) / KINDS
    count = setting.some(NOTICES)
    started = time.perf_counter()
    for number in range(count):
        index.shares(headers[number % KINDS], context)
    ours = (time.perf_counter() - started) / count

    oracle = Oracle(value)
    cases = [Case(value, header, context) for header in headers[:CEDAR_NOTICES]]
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
        f"decided for {MEMBERS} members under {COMMUNITIES + PAIRS} agreements, {reached:.0f} of whom get it",
        Figure(ours * 1e6, "µs"),
        f"Cedar, parsed and warm, the same {asked:,} questions: {theirs * 1e3:,.0f} ms",
        theirs / ours,
        "x",
        Goal("ratio", least=400, said="≤ 100 µs, ≥ 400 × Cedar"),
    )
    yield from _changes(index)


def _changes(index: Index) -> Iterator[Row]:
    """Yield what it costs to follow a change of one agreement, of a community or of two."""
    anew, after = [], []
    for number in range(CHANGES):
        changed = _changed(index.directory, number)
        started = time.perf_counter()
        updated = index.updated(changed)
        between = time.perf_counter()
        fresh = Index(changed)
        anew.append(time.perf_counter() - between)
        after.append(between - started)
        assert updated._compiled == fresh._compiled
    yield Row(
        "decide-change",
        f"the index after a change of one of {COMMUNITIES + PAIRS} agreements, the slowest of {CHANGES}",
        Figure(max(after) * 1e3, "ms"),
        f"made anew: {median(anew) * 1e3:.3g} ms",
        max(after) / median(anew),
        "%",
        Goal("value", most=50, said="< 50 ms"),
    )


def _changed(value: Directory, number: int) -> Directory:
    """Return the directory with another text of one agreement, everything in it read anew."""
    agreements = [replace(each) for each in value.agreements]
    place = number * 7 % len(agreements)
    agreements[place] = replace(
        agreements[place],
        version=2,
        digest=digest(f"changed {number}"),
        grants=agreements[place].grants[:1],
    )
    return directory(*agreements, members=members())
