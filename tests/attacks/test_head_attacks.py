"""The hub lies about what it put into an inbox, or says nothing of it; the unmodified node is alarmed.

What is cut after the decision leaves no hole if it was the last of its lane, or all of it: only the head,
which the hub has to write into its log every hour, tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.receiving.heads import OVERDUE_MS, SETTLE_MS, STALL_MS, check_arrived, check_head
from broker.core.errors import BadHead, Unavailable
from broker.core.keys import Algorithm, PrivateKey
from broker.core.model import Head
from broker.core.note import LogSigner
from broker.core.records import EMPTY_CHAIN
from broker.core.timely import COVERED_WITHIN_MS
from broker.core.wire import HeadAnswer
from tests.attacks.test_evil_hub import follow, honest, make, notice
from tests.evil_hub import EvilHub
from tests.nodes import TestNode
from tests.world import NETWORK, NOW

Lie = Callable[[EvilHub], object]


@dataclass(frozen=True, slots=True)
class Row:
    """A lie, after one head was right over three deliveries, and the alarm that it ends in."""

    name: str
    code: str
    event: str
    lie: Lie


def it(code: str, event: str, lie: Lie) -> Row:
    return Row(f"it {lie.__name__.replace('_', ' ')}", code, event, lie)


def cuts_the_last_of_a_lane(hub: EvilHub) -> None:
    honest(hub, 2)
    hub.says()
    hub.items.pop()


def cuts_all_of_a_lane_while_another_goes_on(hub: EvilHub) -> None:
    hub.deliver(notice(hub, "nl"))
    hub.says()
    honest(hub, 1)
    del hub.items[3]


def counts_fewer_than_it_delivered(hub: EvilHub) -> None:
    honest(hub, 2)
    hub.says(count=4)


def signs_a_smaller_head_than_before(hub: EvilHub) -> None:
    hub.says(count=2, size=2)


def counts_fewer_in_a_larger_tree(hub: EvilHub) -> None:
    hub.says(count=2)


def chains_other_deliveries(hub: EvilHub) -> None:
    honest(hub, 1)
    hub.says(chain=b"x" * 32)


def shows_anothers_head(hub: EvilHub) -> None:
    hub.says(member="nl")


def speaks_of_what_is_to_come(hub: EvilHub) -> None:
    hub.says(size=hub.tree.size + 1)


def dates_it_forward(hub: EvilHub) -> None:
    hub.says(at=hub.world.clock.now() + COVERED_WITHIN_MS + 1000)


def makes_up_a_path(hub: EvilHub) -> None:
    hub.says()
    hub.head_path = [b"x" * 32]


def shows_what_is_no_head(hub: EvilHub) -> None:
    hub.shown = b"\xff", 0


def shows_it_under_anothers_checkpoint(hub: EvilHub) -> None:
    hub.says()
    hub.signer = LogSigner(f"{NETWORK}/log", PrivateKey.generate(Algorithm.ED25519))


def shows_it_in_another_tree(hub: EvilHub) -> None:
    hub.tree = type(hub.tree)()
    for _ in range(9):
        hub.log(b"\x03" + b"x" * 32)
    hub.says(deliveries=3)


def withholds_every_further_one(hub: EvilHub) -> None:
    hub.world.clock.move(OVERDUE_MS)


ROWS = (
    it("missing-delivery", "head.missing", cuts_the_last_of_a_lane),
    it("missing-delivery", "head.missing", cuts_all_of_a_lane_while_another_goes_on),
    it("bad-head", "head.bad", counts_fewer_than_it_delivered),
    it("bad-head", "head.bad", signs_a_smaller_head_than_before),
    it("bad-head", "head.bad", counts_fewer_in_a_larger_tree),
    it("bad-head", "head.bad", chains_other_deliveries),
    it("bad-head", "head.bad", shows_anothers_head),
    it("bad-head", "head.bad", speaks_of_what_is_to_come),
    it("bad-head", "head.bad", dates_it_forward),
    it("bad-proof", "head.bad", makes_up_a_path),
    it("bad-proof", "head.bad", shows_it_under_anothers_checkpoint),
    it("bad-proof", "head.bad", shows_it_in_another_tree),
    it("not-canonical", "head.bad", shows_what_is_no_head),
    it("head-overdue", "head.overdue", withholds_every_further_one),
)


async def agreeing(tmp_path: Path) -> tuple[EvilHub, TestNode]:
    """A node that has three deliveries, and found a head right."""
    hub, node = make(tmp_path, "jp")
    honest(hub, 3)
    hub.says()
    assert await follow(node) is None
    assert await node.node.heads.step()
    assert node.node.heads.kept().deliveries == 3
    return hub, node


async def test_a_head_of_a_smaller_tree_is_a_lie_also_where_nothing_came_since(tmp_path: Path) -> None:
    hub, node = await agreeing(tmp_path)
    hub.log(b"\x03" + bytes(32))
    hub.says()
    assert await node.node.heads.step()
    hub.says(size=node.node.heads.kept().size - 1)
    assert not await node.node.heads.step()
    assert node.alarms() == [("head.bad", "bad-head")]


async def test_a_head_that_takes_back_a_delivery_is_refused_by_itself(tmp_path: Path) -> None:
    """Before anybody looks at what arrived, which may be the hub's word, too."""
    hub, node = await agreeing(tmp_path)
    hub.says(count=2)
    note, answer = hub.checkpoint_note(), await hub.head()
    assert note is not None
    assert answer is not None
    key = hub.signer.key
    with pytest.raises(BadHead) as refused:
        check_head(answer, "jp", key.open_checkpoint(note), key, node.node.heads.kept())
    assert refused.value.field == "deliveries"


def test_a_head_that_counts_fewer_than_arrived_is_told_from_one_that_chains_others() -> None:
    head = Head(bytes(16), "jp", 9, 2, EMPTY_CHAIN, NOW)
    for count, chain, field in ((3, EMPTY_CHAIN, "deliveries"), (2, b"x" * 32, "chain")):
        with pytest.raises(BadHead) as refused:
            check_arrived(head, count, chain)
        assert refused.value.field == field
    check_arrived(head, 2, EMPTY_CHAIN)


@pytest.mark.parametrize("row", ROWS, ids=lambda each: each.name)
async def test_a_lie_about_an_inbox_is_an_alarm(tmp_path: Path, row: Row) -> None:
    hub, node = await agreeing(tmp_path)
    row.lie(hub)
    await follow(node)
    await node.node.heads.step()
    hub.world.clock.move(SETTLE_MS)
    await node.node.heads.step()
    assert [each for each in node.alarms() if each[0].startswith("head.")] == [(row.event, row.code)]
    assert node.node.heads.kept().deliveries == 3


async def test_what_is_still_under_way_is_no_alarm_and_a_hub_that_goes_on_agrees(tmp_path: Path) -> None:
    hub, node = await agreeing(tmp_path)
    # A tree is signed once.
    hub.signed_at = NOW
    honest(hub, 2)
    hub.says()
    assert not await node.node.heads.step()
    hub.world.clock.move(SETTLE_MS - 1)
    assert not await node.node.heads.step()
    assert await follow(node) is None
    assert await node.node.heads.step()
    assert node.node.heads.kept().deliveries == 5
    hub.world.clock.move(SETTLE_MS)
    hub.says()
    assert await node.node.heads.step()
    assert node.alarms() == []


async def test_that_more_is_coming_is_believed_for_an_hour(tmp_path: Path) -> None:
    hub, node = await agreeing(tmp_path)
    honest(hub, 1)
    hub.says()
    hub.items.pop()
    node.store.remember(behind=1)
    assert not await node.node.heads.step()
    hub.world.clock.move(STALL_MS - 1)
    assert not await node.node.heads.step()
    assert node.alarms() == []
    hub.world.clock.move(1)
    assert not await node.node.heads.step()
    assert node.alarms() == [("head.missing", "missing-delivery")]


async def test_a_hub_that_never_showed_a_head_is_noticed_and_one_that_is_away_is_not(tmp_path: Path) -> None:
    hub, node = make(tmp_path, "jp")
    hub.signed_at = NOW
    honest(hub, 1)
    assert await follow(node) is None
    assert not await node.node.heads.step()
    hub.world.clock.move(OVERDUE_MS)
    # Nothing of it was heard since: that is told elsewhere.
    assert not await node.node.heads.step()
    assert node.alarms() == []
    assert await follow(node) is None
    assert not await node.node.heads.step()
    assert node.alarms() == [("head.overdue", "head-overdue")]


async def test_a_hub_that_answers_all_but_heads_is_noticed(tmp_path: Path) -> None:
    hub, node = await agreeing(tmp_path)
    hub.signed_at = NOW

    async def away() -> HeadAnswer:
        raise Unavailable("not now")

    hub.head = away  # type: ignore[method-assign]
    hub.world.clock.move(OVERDUE_MS)
    assert await follow(node) is None
    with pytest.raises(Unavailable):
        await node.node.heads.step()
    assert node.alarms() == [("head.overdue", "head-overdue")]


async def test_the_same_head_shown_again_is_right_and_counts_for_no_other_day(tmp_path: Path) -> None:
    _, node = await agreeing(tmp_path)
    before = node.node.heads.kept()
    assert await node.node.heads.step()
    assert node.node.heads.kept() == before
    assert node.store.fact("head_at") == NOW
