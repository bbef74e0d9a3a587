"""Whatever is taken is taken under a tree that is proved to continue what was seen; else the feed stops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.http_hub import HttpHub, pinned_context
from adapters.receiving.checks import check_included
from adapters.receiving.continuity import ASK_MS
from broker.core.errors import BadProof
from broker.core.merkle import leaf_hash, verify_consistency
from broker.core.note import LogKey, TreeHead
from broker.core.wire import Inclusion
from tests.nodes import LocalHub, OtherHub, TestNode
from tests.served import HOST, served
from tests.world import World, sighting


class Asked(OtherHub):
    """Counts proofs of consistency, and may bend them."""

    def __init__(self, hub: LocalHub, bend: Callable[[list[bytes]], list[bytes]] = list) -> None:
        super().__init__(hub)
        self.asked: list[tuple[int, int]] = []
        self.bend = bend

    async def consistency(self, old: int, new: int) -> list[bytes] | None:
        self.asked.append((old, new))
        return self.bend(await super().consistency(old, new) or [])


async def grow(world: World, publisher: TestNode) -> None:
    publisher.enqueue(place="anywhere")
    await publisher.sends()
    await world.settle()


def test_what_has_no_path_is_in_no_tree() -> None:
    with pytest.raises(BadProof):
        check_included(b"entry", None, TreeHead(1, leaf_hash(b"entry")))
    check_included(b"entry", Inclusion(0, []), TreeHead(1, leaf_hash(b"entry")))


async def test_it_is_asked_for_whatever_is_taken_and_now_and_then_besides(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        vn = TestNode(world, "vn", tmp_path)
        hubs: dict[str, Asked] = {}

        def wrap(hub: LocalHub) -> Asked:
            return hubs.setdefault(hub.member, Asked(hub))

        jp, nl = (TestNode(world, member, tmp_path, wrap=wrap) for member in ("jp", "nl"))
        await grow(world, vn)
        await jp.receives()
        await nl.receives()
        assert hubs["jp"].asked == hubs["nl"].asked == [], "there is nothing to compare the first tree with"

        for _ in range(3):
            await grow(world, vn)
            await jp.receives()
            await nl.receives()
        assert len(hubs["jp"].asked) >= 3, "for each tree that brought a delivery"
        assert len(hubs["nl"].asked) == 1, "once for trees that brought nothing"

        world.clock.move(ASK_MS)
        await grow(world, vn)
        await nl.receives()
        assert len(hubs["nl"].asked) == 2
        for node in (vn, jp, nl):
            node.close()


@pytest.mark.parametrize(
    "bend",
    [
        lambda path: path[:-1],
        lambda path: [*path, bytes(32)],
        lambda path: [bytes(32), *path[1:]],
        lambda _path: [],
    ],
)
async def test_a_path_that_does_not_lead_from_what_was_seen_stops_the_feed(
    tmp_path: Path, bend: Callable[[list[bytes]], list[bytes]]
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn = TestNode(world, "vn", tmp_path)
        jp = TestNode(world, "jp", tmp_path, wrap=lambda hub: Asked(hub, bend))
        await grow(world, vn)
        await jp.receives()
        before = jp.files()
        await grow(world, vn)

        refusal = await jp.refusal()

        assert refusal is not None
        assert refusal.code == "bad-proof"
        assert jp.files() == before
        assert jp.alarms() == [("feed.stopped", "bad-proof")]
        vn.close()
        jp.close()


@pytest.mark.sockets
async def test_the_hub_proves_it_over_http_and_has_no_proof_of_more_than_it_has(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub:
        world = hub.world
        context = pinned_context(
            hub.pin, tmp_path / "jp.pem", tmp_path / "jp.key", tmp_path / "authority.pem"
        )
        async with HttpHub(f"https://{HOST}:{hub.port}", context) as jp:
            trees = []
            for _ in range(2):
                await world.publish("vn", sighting())
                await world.settle()
                note = await jp.checkpoint()
                assert note is not None
                trees.append(LogKey.parse(world.log_signer.vkey).open_checkpoint(note))
            old, new = trees

            path = await jp.consistency(old.size, new.size)

            assert verify_consistency(old.size, new.size, old.root, new.root, path)
            with pytest.raises(BadProof, match="smaller"):
                await jp.consistency(old.size, new.size + 1000)
