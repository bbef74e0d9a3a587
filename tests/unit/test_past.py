"""A notice of the past is explained as it was decided: at the hub for all, at a node as far as it knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

from adapters.past import Past, Undecided, past_at_node
from broker.commands.agreement.past_at_hub import past_at_hub
from broker.core.model import Slot
from tests.nodes import TestNode
from tests.unit.test_preview import MEMBERS, any_agreement, any_draft
from tests.world import World, sighting


def tell(_done: int, _of: int | None) -> None:
    """Nobody watches."""


async def test_every_delivery_and_every_non_delivery_is_explained_as_the_log_shows_it(tmp_path: Path) -> None:
    random = Random(11)
    compared = withheld = received = 0
    async with World(tmp_path, *MEMBERS) as world:
        nodes = {member: TestNode(world, member, tmp_path) for member in MEMBERS}
        known: list[bytes] = []
        for day in range(4):
            # Agreements come while notices flow: each is explained on the directory of its day.
            for number in range(2):
                world.source.add_agreement(any_agreement(random, 2 * day + number))
            for node in nodes.values():
                await node.receives()
            for member, node in nodes.items():
                draft = any_draft(random, node, known)
                if draft is not None:
                    node.outgoing.enqueue([draft], world.clock.now())
                    await node.sends()
                    known += [
                        each for (each,) in node.store.rows("SELECT id FROM statements") if each not in known
                    ]
                assert node.alarms() == [], member
        for node in nodes.values():
            await node.receives()
        for statement in known:
            past = await past_at_hub(world.log, statement.hex(), tell)
            assert isinstance(past, Past)
            by_name = await past_at_hub(world.log, past.header.reference, tell)
            assert by_name == past
            directory = world.source.at(past.directory)
            assert directory is not None
            said = past.explained(directory)
            assert past.otherwise(said) == []
            assert {each.member for each in said.receivers} == set(MEMBERS) - {past.header.originator}
            withheld += sum(not each.receives for each in said.receivers)
            compared += len(said.reached)
            # The originator's node tells the same, a receiver's its own part.
            own = nodes[past.header.originator]
            at_home = past_at_node(own.store, own.incoming, statement)
            assert isinstance(at_home, Past)
            assert at_home.shown == past.shown
            assert at_home.otherwise(at_home.explained(directory)) == []
            for member in past.shown:
                node = nodes[member]
                there = past_at_node(node.store, node.incoming, statement)
                assert isinstance(there, Past)
                assert there.about == member
                assert there.shown == {member: past.shown[member]}
                assert there.otherwise(there.explained(directory)) == []
                received += 1
            for member in set(MEMBERS) - past.shown.keys() - {past.header.originator}:
                assert past_at_node(nodes[member].store, nodes[member].incoming, statement) is None
    assert min(compared, withheld, received) > 3


async def test_a_hub_that_gave_what_no_agreement_says_is_told_of(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp", types=["sighting"], slots=["facts"])
        node = TestNode(world, "vn", tmp_path)
        node.enqueue(place="Hai Phong")
        await node.sends()
        past = await past_at_hub(world.log, "vn/asia-pacific/main/1", tell)
        assert isinstance(past, Past)
        directory = world.source.at(past.directory)
        assert directory is not None
        said = past.explained(directory)
        assert past.otherwise(said) == []
        for shown, who in (
            ({"jp": frozenset({Slot.FACTS, Slot.PERSONS})}, ["jp"]),
            ({"jp": frozenset({Slot.FACTS}), "nl": frozenset({Slot.FACTS})}, ["nl"]),
            ({}, ["jp"]),
        ):
            assert replace(past, shown=shown).otherwise(said) == who


async def test_what_is_not_known_or_not_admitted_is_told_apart(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        node = TestNode(world, "vn", tmp_path)
        node.enqueue(place="Hai Phong")
        for named in ("vn/asia-pacific/main/9", "vn/nowhere/main/1", "00" * 32, "nonsense", ""):
            assert await past_at_hub(world.log, named, tell) is None
        assert past_at_node(node.store, node.incoming, bytes(32)) is None
        # What comes under a number below the last is refused; the hub tells by which code.
        for sequence in (7, 3):
            envelope = world.compose("vn", sighting(place="Hai Phong"), sequence=sequence, previous=None)
            statement = await world.store("vn", envelope)
            await world.settle()
        found = await past_at_hub(world.log, statement.hex(), tell)
        assert isinstance(found, Undecided)
        assert found.code == "stale"
