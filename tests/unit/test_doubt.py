"""What a stolen key puts in doubt, and who is told: found in the hub's log, shown at every receiver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.channels.folder import page_of
from broker.commands.doubted import doubted
from broker.core.directory import Revocation
from broker.core.doubt import Doubtful, doubtful_since, in_doubt
from broker.core.model import Decision, DecisionShare, Envelope, Header, Slot
from broker.core.records import decode
from schemas.rendering import text
from schemas.view import view
from tests.nodes import TestNode
from tests.world import DAY, NOW, World, sighting

HOUR = 3_600_000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """`vn` publishes at four times, an hour apart; nobody gets the last."""
    world = World(tmp_path, "vn", "jp", "nl")
    world.agree("vn", "jp")
    world.agree("vn", "nl")
    world.agree("nl", "jp")
    async with world:
        for hour in range(3):
            # What it claims of its own time says nothing.
            addressees = () if hour else ("jp",)
            await world.publish("vn", sighting(), issued_at=NOW - DAY + hour, addressees=addressees)
            await world.publish("nl", sighting())
            await world.settle()
            world.clock.move(HOUR)
        await world.publish("vn", sighting(), addressees=("zz",))
        await world.settle()
        yield world


def steal(world: World, member: str, since: int) -> bytes:
    """The member's key turns out to have been stolen; return its id."""
    found = world.source.members[member]
    (key,) = found.keys
    stolen = replace(key, revoked_at=since, reason=Revocation.COMPROMISED)
    world.source.members[member] = replace(found, keys=(stolen,))
    return key.id


async def test_the_log_tells_what_was_decided_since_a_key_was_stolen_and_who_has_it(world: World) -> None:
    key = world.people["vn"].signer.public.id
    told: list[tuple[int, int]] = []
    found = await doubted(world.log, "vn", key, NOW + HOUR, lambda read, of: told.append((read, of)))

    assert [(each.reference.rsplit("/", 1)[-1], each.decided_at) for each in found] == [
        ("2", NOW + HOUR),
        ("3", NOW + 2 * HOUR),
        ("4", NOW + 3 * HOUR),
    ]
    assert [each.members for each in found] == [("jp", "nl"), ("jp", "nl"), ()]
    assert told[-1][0] == told[-1][1] > 0
    assert len(await doubted(world.log, "vn", key, 0)) == 4
    assert await doubted(world.log, "vn", key, NOW + 9 * HOUR) == []


async def test_a_key_of_another_member_puts_nothing_in_doubt(world: World) -> None:
    assert await doubted(world.log, "nl", world.people["vn"].signer.public.id, 0) == []
    assert await doubted(world.log, "jp", world.people["jp"].signer.public.id, 0) == []


times = st.integers(0, 100)


@given(times, times, st.sampled_from(["vn", "nl"]), st.sampled_from([b"k" * 32, b"o" * 32]))
def test_in_doubt_is_what_that_key_of_that_member_signed_and_was_decided_since(
    decided_at: int, since: int, member: str, key: bytes
) -> None:
    header = decode(Header, decode(Envelope, ENVELOPE).header)
    share = DecisionShare("jp", (Slot.FACTS,), (), b"d" * 32)
    decision = Decision(b"s" * 16, b"t" * 32, b"g" * 32, b"k" * 32, b"v" * 32, decided_at, (share,))
    expected = member == "vn" and key == b"k" * 32 and decided_at >= since
    found = in_doubt(decision, header, member, key, since)
    assert (found is not None) == expected
    if found is not None:
        assert found == Doubtful(b"t" * 32, header.reference, "sighting", decided_at, ("jp",))


async def test_receivers_see_what_is_in_doubt_and_what_stands(world: World, tmp_path: Path) -> None:
    jp = TestNode(world, "jp", tmp_path)
    await jp.receives()
    before = [await jp.node.opening.open(each.id) for each in jp.incoming.received()]
    assert not any(item.doubtful_since for item in before if item is not None)

    steal(world, "vn", NOW + HOUR)
    world.clock.move(DAY)
    seen: dict[tuple[str, int], Any] = {}
    for each in jp.incoming.received():
        item = await jp.node.opening.open(each.id)
        assert item is not None
        seen[item.notice.header.originator, item.head.decided_at - NOW] = item
    doubtful = {name for name, item in seen.items() if item.doubtful_since == NOW + HOUR}
    assert doubtful == {("vn", HOUR), ("vn", 2 * HOUR)}
    assert all(item.doubtful_since is None for name, item in seen.items() if name not in doubtful)
    for language in ("en", "vi"):
        pages = {name: text(view(page_of(item), language)) for name, item in seen.items()}
        marked = {name for name, page in pages.items() if "***" in page}
        assert marked == doubtful


async def test_whose_key_was_merely_replaced_is_not_doubted(world: World) -> None:
    key = steal(world, "vn", NOW)
    directory = world.source.load()
    assert doubtful_since(directory, "vn", key, NOW) == NOW
    assert doubtful_since(directory, "vn", key, NOW - 1) is None
    assert doubtful_since(directory, "nl", key, NOW) is None
    assert doubtful_since(directory, "zz", key, NOW) is None
    found = world.source.members["vn"]
    superseded = tuple(replace(each, reason=Revocation.SUPERSEDED) for each in found.keys)
    world.source.members["vn"] = replace(found, keys=superseded)
    assert doubtful_since(world.source.load(), "vn", key, NOW) is None


WORLD = World(Path(), "vn")
ENVELOPE = WORLD.compose("vn", sighting())
