"""What waits together is signed once; each notice of it still proves itself alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.sending import signing
from broker.core.model import Envelope
from broker.core.notice import open_envelope, read_envelope
from broker.core.records import decode, encode
from broker.core.sign1 import Sign1, parse_signature
from broker.core.wire import Outcome
from tests.crash import Crash, CrashPoints
from tests.nodes import TestNode
from tests.unit.test_outbox import Seen, numbers, places
from tests.world import NETWORK, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp")
    async with world:
        yield world


def signatures(envelopes: list[bytes]) -> list[Sign1]:
    return [parse_signature(decode(Envelope, each).signature) for each in envelopes]


def batches(envelopes: list[bytes]) -> list[tuple[int, int]]:
    """The size of the batch and the place in it, (1, 0) for what was signed by itself."""
    return [
        (1, 0) if each.proof is None else (each.proof.size, each.proof.index)
        for each in signatures(envelopes)
    ]


async def test_what_waits_together_bears_one_signature_and_each_notice_proves_itself(
    world: World, tmp_path: Path
) -> None:
    hub = Seen()
    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    for number in range(5):
        node.enqueue(place=f"place {number}")
    await node.sends()
    assert batches(hub.handed) == [(5, 0), (5, 1), (5, 2), (5, 3), (5, 4)]
    assert len({each.signature for each in signatures(hub.handed)}) == 1
    # A receiver that has but one of them needs none of the others.
    keys, at = world.source.load(), world.clock.now()
    for each in hub.handed:
        open_envelope(read_envelope(each), keys, world.catalogue, NETWORK, at, complete=True)
    jp = TestNode(world, "jp", tmp_path)
    await jp.receives()
    assert len(jp.files()) == 5
    assert jp.alarms() == node.alarms() == []


async def test_one_alone_is_signed_by_itself(world: World, tmp_path: Path) -> None:
    hub = Seen()
    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    for _ in range(2):
        node.enqueue()
        await node.sends()
    assert batches(hub.handed) == [(1, 0), (1, 0)]


async def test_what_cannot_be_signed_is_no_leaf_of_the_batch(world: World, tmp_path: Path) -> None:
    hub = Seen()
    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    node.enqueue(place="first")
    node.enqueue({"effective_until": "2026-09-21T15:00:00Z"})
    node.enqueue(place="third")
    world.clock.move(86_400_000)
    await node.sends()
    assert [state for state, _ in node.states()] == ["proven", "refused", "proven"]
    assert batches(hub.handed) == [(2, 0), (2, 1)]
    assert numbers(hub.handed) == [1, 2]


async def test_more_than_fit_are_several_batches_in_one_chain(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "AT_ONCE", 3)
    hub = Seen()
    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    for number in range(7):
        node.enqueue(place=f"place {number}")
    await node.sends()
    assert batches(hub.handed) == [(3, 0), (3, 1), (3, 2), (3, 0), (3, 1), (3, 2), (1, 0)]
    assert numbers(hub.handed) == list(range(1, 8))
    assert await places(world) == [f"place {number}" for number in range(7)]


async def test_a_batch_is_countersigned_once_where_the_directory_asks_for_it(
    world: World, tmp_path: Path
) -> None:
    world.countersign("vn")
    hub = Seen()
    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    for _ in range(3):
        node.enqueue()
    await node.sends()
    assert node.states() == [("proven", None)] * 3
    seconds = {each.countersignature for each in signatures(hub.handed)}
    assert len(seconds) == 1
    assert None not in seconds


async def test_a_proof_of_the_next_batch_is_refused_and_the_rest_waits(world: World, tmp_path: Path) -> None:
    """One who can change what a node sends gains nothing by mixing batches that the node did sign."""
    hub = Seen()
    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    for _ in range(2):
        node.enqueue()
        node.enqueue()
        await node.node.outbox._signing.sign(node.draft().region)
    region = node.draft().region
    first, second, third, _ = (decode(Envelope, each.envelope) for each in node.outgoing.unsent(region, 9))
    mixed = replace(first, signature=third.signature)
    outcomes: list[Outcome] = (await node.local.publish([encode(mixed), encode(second)])).results
    assert [(each.status, each.code) for each in outcomes] == [
        ("refused", "bad-signature"),
        ("not-attempted", "not-attempted"),
    ]
    await node.sends()
    assert node.states() == [("proven", None)] * 4


async def test_a_node_that_dies_between_numbers_and_signature_skips_the_numbers(
    world: World, tmp_path: Path
) -> None:
    reserved = point = 0
    while not reserved:
        point += 1
        points = CrashPoints(None)
        node = TestNode(world, "vn", tmp_path, points=points)
        region = node.draft().region
        if point == 1:
            node.enqueue(place="first")
            node.enqueue(place="second")
        node.outgoing.stream(region)
        points.passed.clear()
        points.crash_at = point
        with pytest.raises(Crash):
            await node.node.outbox._signing.sign(region)
        reserved = node.outgoing.stream(region).reserved
        node.close()
    hub = Seen()
    node = TestNode(world, "vn", tmp_path, wrap=hub.wrap)
    assert reserved == 2
    assert node.states() == [("waiting", None)] * 2
    await node.sends()
    assert numbers(hub.handed) == [3, 4]
    assert batches(hub.handed) == [(2, 0), (2, 1)]
