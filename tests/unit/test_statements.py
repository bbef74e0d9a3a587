from __future__ import annotations

from pathlib import Path

import pytest

from broker.core.merkle import leaf_hash, verify_inclusion
from broker.core.model import Decision, Event, Leaf, Region
from broker.core.note import LogKey
from broker.core.records import decode, encode, leaf_entry
from broker.core.wire import StatementStatus
from broker.log import Partition
from broker.log.scratch import Map
from broker.log.topics import notices_topic
from tests.world import World, sighting


async def status(world: World, statement: bytes) -> StatementStatus:
    await world.settle()
    return await world.ledger.statements.status("vn", statement)


async def test_the_originator_gets_the_decision_with_both_proofs(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        sent = await world.publish("vn", sighting())

        found = await status(world, sent.statement)

        assert (found.durable, found.decided, found.refused, found.deliveries) == (True, True, None, 1)
        assert found.reference == sent.outcome.reference
        assert found.decision is not None
        decision = decode(Decision, found.decision)
        assert decision.statement == sent.statement
        assert found.checkpoint is not None
        size, root = LogKey.parse(world.log_signer.vkey).open_checkpoint(found.checkpoint)
        for inclusion, entry in (
            (found.statement_inclusion, b"\x01" + sent.statement),
            (found.decision_inclusion, leaf_entry(decision)),
        ):
            assert inclusion is not None
            assert verify_inclusion(leaf_hash(entry), inclusion.index, size, inclusion.path, root)


async def test_of_a_statement_that_is_not_known_nothing_holds(tmp_path: Path) -> None:
    async with World(tmp_path, "vn") as world:
        found = await status(world, bytes(32))

        assert (found.durable, found.decided, found.refused) == (False, False, None)


async def test_a_refusal_names_the_last_number_of_the_stream(tmp_path: Path) -> None:
    async with World(tmp_path, "vn") as world:
        first = await world.publish("vn", sighting())
        second = await world.publish("vn", sighting(), previous=None)

        found = await status(world, second.statement)

        assert (found.decided, found.refused) == (False, "out-of-order")
        assert found.last is not None
        assert (found.last.sequence, found.last.statement) == (1, first.statement.hex())


async def test_the_last_of_a_stream_is_told_to_its_owner(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        await world.publish("vn", sighting())
        last = await world.publish("vn", sighting(), sequence=9)
        await world.settle()

        statements = world.ledger.statements
        assert statements.stream("vn", Region.ASIA_PACIFIC, "main").sequence == 9
        assert statements.stream("vn", Region.ASIA_PACIFIC, "main").statement == last.statement.hex()
        assert statements.stream("vn", Region.EUROPE, "main").sequence == 0
        assert statements.stream("jp", Region.ASIA_PACIFIC, "main").statement is None


async def test_receipts_are_counted_once_for_each_delivery_and_event(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        world.agree("vn", "nl")
        sent = await world.publish("vn", sighting())
        (jp,), (nl,) = await world.deliveries("jp"), await world.deliveries("nl")

        for event in (Event.ACCEPTED, Event.DELIVERED, Event.DELIVERED):
            await world.gateway.receive("jp", [encode(world.receipt("jp", jp.id, event=event))])
        await world.gateway.receive("nl", [encode(world.receipt("nl", nl.id))])

        assert (await status(world, sent.statement)).receipts == {"accepted": 1, "delivered": 2}


async def test_nobody_receipts_what_went_to_another(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        sent = await world.publish("vn", sighting())
        (jp,) = await world.deliveries("jp")

        await world.gateway.receive("nl", [encode(world.receipt("nl", jp.id, bytes(32)))])

        assert (await status(world, sent.statement)).receipts == {}


async def test_everything_is_found_again_after_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp")
    async with world:
        sent = await world.publish("vn", sighting())
        (jp,) = await world.deliveries("jp")
        await world.gateway.receive("jp", [encode(world.receipt("jp", jp.id))])
        before = await status(world, sent.statement)
    async with world:
        after = await status(world, sent.statement)

        assert after.decision == before.decision
        assert after.receipts == before.receipts == {"delivered": 1}
        assert world.ledger.statements.stream("vn", Region.ASIA_PACIFIC, "main").sequence == 1


@pytest.mark.parametrize("count", [10, 400])
async def test_each_repeat_of_a_statement_costs_the_same_and_all_its_places_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Anybody may send what it signed again and again: no repeat is more work than the one before."""
    written: list[int] = []
    put = Map.put

    def noted(self: Map, key: bytes, value: bytes) -> None:
        written[-1] += len(key) + len(value)
        put(self, key, value)

    async with World(tmp_path, "vn") as world:
        statements, partition = world.ledger.statements, Partition(notices_topic(Region.ASIA_PACIFIC), 3)
        monkeypatch.setattr(Map, "put", noted)
        for offset in range(count):
            written.append(0)
            leaf = Leaf(offset, b"\x01" + bytes(32), *partition, offset)
            statements.note_leaf(leaf, partition)
        found = statements.whereabouts(bytes(32))
        assert found is not None
        assert (found.leaf, found.partition, found.offsets) == (0, partition, tuple(range(count)))
        assert max(written[1:]) <= 2 * min(written[1:])
        assert statements.came_again == {bytes(32)}
