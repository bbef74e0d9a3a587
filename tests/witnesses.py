"""Witnesses in the simulated world: nodes that cosign the world's log, and what stands behind it then.

::

    async with World(tmp_path, "vn", "jp", "nl") as world:
        nodes = witnesses(world, tmp_path)
        await cosigned(world, nodes)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.hub import Hub, LogHub
from adapters.witness.parts import Witnessing
from adapters.witness.rhythm import Rhythm
from adapters.witness.state import Witness
from broker.services.cosignatures import INTERVAL_MS
from tests.nodes import LocalHub, TestNode
from tests.world import World


@dataclass(frozen=True, slots=True)
class WitnessNode:
    """A member's node with its witness."""

    node: TestNode
    witness: Witness
    rhythm: Rhythm

    def facts(self, *names: str) -> list[Any]:
        """What the node remembers."""
        return [self.node.store.fact(name) for name in names]


def witness_node(
    world: World,
    member: str,
    folder: Path,
    wrap: Callable[[LocalHub], Any] = lambda hub: hub,
    quorum: int | None = None,
    **node: Any,
) -> WitnessNode:
    """Make a member's node, or make it anew on the same files; the member has a witness key from now on."""
    signer = world.people[member].witness or world.witness(member)
    made = TestNode(world, member, folder, wrap=wrap, **node)
    hub: Hub | LogHub = made.hub
    parts = Witnessing(hub, signer, quorum).made(made.node.equipment)  # type: ignore[arg-type]  # it is both
    witness = parts.rhythm._witness
    assert witness is not None
    return WitnessNode(made, witness, parts.rhythm)


def witnesses(world: World, folder: Path, **node: Any) -> Mapping[str, WitnessNode]:
    """Make the node of every member."""
    for member in world.people:
        if world.people[member].witness is None:
            world.witness(member)
    return {member: witness_node(world, member, folder, **node) for member in sorted(world.people)}


async def asked(world: World) -> None:
    """Let the interval end, after which what was published is to be cosigned."""
    await world.settle()
    world.clock.move(INTERVAL_MS)


async def cosigned(world: World, nodes: Mapping[str, WitnessNode]) -> None:
    """Let every node cosign what was published, and see that the others did."""
    await asked(world)
    for _ in range(2):
        for each in nodes.values():
            await each.rhythm.step()


async def grow(world: World, nodes: Mapping[str, WitnessNode], publisher: str = "vn") -> None:
    """Let a member publish, and every node take what is delivered to it."""
    nodes[publisher].node.enqueue(place="anywhere")
    await nodes[publisher].node.sends()
    for each in nodes.values():
        await each.node.receives()
