"""Progress: how far a notice has come, in counts, asked for as long as somebody watches."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from adapters.sending.progress import LATEST_MS, WATCH_MS, Progress, Stage, Watching
from adapters.store import Store
from broker.core.errors import Unavailable
from broker.core.wire import StatementStatus
from tests.nodes import LocalHub, OtherHub, TestNode
from tests.world import World


def progress(node: TestNode, id_: int) -> Progress:
    queued = node.outgoing.queued(id_)
    assert queued is not None
    (found,) = Watching(node.store).progress([queued])
    return found


class AskedHub(OtherHub):
    """Counts the questions, and answers them with what the test says instead of the receipts."""

    def __init__(self, hub: LocalHub) -> None:
        super().__init__(hub)
        self.asked = 0
        self.told: dict[str, int] | None = None
        self.knows = True

    async def statement(self, statement: bytes) -> StatementStatus | None:  # what `statements` asks for each
        self.asked += 1
        status = await super().statement(statement)
        assert status is not None
        if not self.knows:
            return None
        return status if self.told is None else msgspec.structs.replace(status, receipts=self.told)


def asked(world: World, folder: Path) -> tuple[TestNode, AskedHub]:
    node = TestNode(world, "vn", folder, wrap=AskedHub)
    assert isinstance(node.hub, AskedHub)
    return node, node.hub


async def sent(world: World, node: TestNode) -> int:
    id_ = node.enqueue()
    await node.sends()
    return id_


async def test_stages_come_in_their_order(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        world.agree("vn", "nl")
        vn, jp, nl = (TestNode(world, name, tmp_path) for name in ("vn", "jp", "nl"))
        id_ = vn.enqueue()
        stages = [progress(vn, id_).stage]
        await vn.sends()
        Watching(vn.store).watch([id_], world.clock.now())
        stages.append(progress(vn, id_).stage)
        for node in (jp, nl):
            await node.receives()
            await node.receipts()
            await world.settle()
            world.clock.move(1000)
            await vn.node.following.step()
            stages.append(progress(vn, id_).stage)

        assert stages == [Stage.QUEUED, Stage.PROVEN, Stage.PROVEN, Stage.DELIVERED]
        assert progress(vn, id_).receivers == 2
        for node in (vn, jp, nl):
            node.close()


async def test_nothing_is_asked_that_nobody_watches_and_nothing_for_longer_than_somebody_does(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, hub = asked(world, tmp_path)
        id_ = await sent(world, vn)
        before = hub.asked

        assert not await vn.node.following.step()
        Watching(vn.store).watch([id_], world.clock.now())
        assert await vn.node.following.step()
        assert not await vn.node.following.step()
        world.clock.move(WATCH_MS + 1)
        assert not await vn.node.following.step()
        assert hub.asked == before + 1
        vn.close()


async def test_the_longer_it_takes_the_more_seldom_the_hub_is_asked(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, hub = asked(world, tmp_path)
        id_ = await sent(world, vn)
        before = hub.asked

        hour = 3_600_000
        for _ in range(0, hour, 500):
            Watching(vn.store).watch([id_], world.clock.now())
            await vn.node.following.step()
            world.clock.move(500)

        assert hour / LATEST_MS < hub.asked - before < 4 * hour / LATEST_MS
        vn.close()


async def test_what_all_have_read_is_not_asked_for_any_more(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, hub = asked(world, tmp_path)
        id_ = await sent(world, vn)
        hub.told = {"delivered": 1, "read": 1}
        Watching(vn.store).watch([id_], world.clock.now())
        await vn.node.following.step()
        world.clock.move(5000)

        assert progress(vn, id_).stage is Stage.ACKNOWLEDGED
        assert not await vn.node.following.step()
        vn.close()


async def test_a_hub_can_say_what_it_likes_and_nothing_but_the_counts_changes(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, hub = asked(world, tmp_path)
        id_ = await sent(world, vn)
        watching = Watching(vn.store)
        for told in ({"delivered": -5}, {"delivered": 1 << 62, "read": -(1 << 62)}, {"x\x1b[0m": 3}, {}):
            hub.told = told
            watching.watch([id_], world.clock.now())
            world.clock.move(1000)
            await vn.node.following.step()
            found = progress(vn, id_)
            assert (found.receivers, found.queued.state) == (1, "proven")
            assert found.counts.delivered >= 0
            assert found.counts.acknowledged == 0
        hub.knows = False
        world.clock.move(1000)
        await vn.node.following.step()
        assert progress(vn, id_).stage is Stage.PROVEN
        vn.close()


async def test_a_hub_out_of_reach_is_asked_again_and_the_counts_stay(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn = TestNode(world, "vn", tmp_path)
        id_ = await sent(world, vn)
        Watching(vn.store).watch([id_], world.clock.now())
        vn.local.online = False
        with pytest.raises(Unavailable):
            await vn.node.following.step()
        vn.local.online = True

        assert await vn.node.following.step()
        vn.close()


async def test_a_refused_notice_comes_no_further(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        vn = TestNode(world, "vn", tmp_path)
        id_ = vn.enqueue({"addressees": ["jp"]})
        await vn.sends()

        found = progress(vn, id_)

        assert (found.stage, found.label, found.queued.code) == (None, "refused", "addressee-unreached")
        assert found.reached(Stage.ACKNOWLEDGED)
        vn.close()


def test_asking_what_is_due_costs_the_same_however_much_was_said(tmp_path: Path) -> None:
    def steps(statements: int) -> int:
        """Return how many steps SQLite takes, in tens."""
        taken: list[None] = []
        with Store.open(tmp_path / f"{statements}.db") as store:
            with store.write():
                store.run_many(
                    "INSERT INTO drafts (id, region, draft, queued_at, state)"
                    " VALUES (?, 1, x'7b7d', 0, 'proven')",
                    [(number,) for number in range(1, statements + 1)],
                )
                store.run_many(
                    "INSERT INTO statements (id, draft, region, stream, sequence, envelope, key, state,"
                    " changed_at) VALUES (?, ?, 1, 'main', ?, x'', x'', 'proven', 0)",
                    [(b"%d" % number, number, number) for number in range(1, statements + 1)],
                )
            watching = Watching(store)
            watching.watch([1], 0)
            store._connection.set_progress_handler(lambda: taken.append(None), 10)
            assert [draft for draft, _ in watching.due(1, 10)] == [1]
            store._connection.set_progress_handler(None, 0)
        return len(taken)

    assert steps(2_000) == steps(20)
