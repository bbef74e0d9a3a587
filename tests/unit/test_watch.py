"""What an operator is shown of a hub: what waits, since when, and what ends when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from broker.core.model import Event
from broker.core.records import encode
from broker.services.ledger import Ledger
from broker.services.watch import Watch
from tests.world import DAY, NOW, World, sighting

HOUR = 3_600_000
HOUR_SECONDS = 3_600.0


class Watched:
    """A world and what its metrics show."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.watch = Watch(
            world.log,
            world.ledger,
            world.directory,
            world.clock,
            world.metrics,
            folder=folder,
            file=folder / "log.db",
            certificates={"hub.pem": NOW + DAY},
        )

    async def shows(self) -> dict[str, float]:
        """Look, and return every sample by its name and labels."""
        await self.watch.look()
        lines = self.world.metrics.render().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    async def gets(self, member: str) -> list[bytes]:
        """Let a member fetch its feed, and return the ids of its deliveries."""
        return [each.id for each in await self.world.deliveries(member)]

    async def receipts(self, member: str, *deliveries: bytes, event: Event = Event.DELIVERED) -> None:
        """Let a member send a receipt."""
        receipt = encode(self.world.receipt(member, *deliveries, event=event))
        await self.world.gateway.receive(member, [receipt])
        await self.world.settle()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    world = World(tmp_path, "vn", "jp", "nl")
    world.agree("vn", "jp")
    world.agree("vn", "nl")
    async with world:
        yield Watched(world, tmp_path)


async def test_a_delivery_waits_until_its_first_receipt(watched: Watched) -> None:
    await watched.world.publish("vn", sighting())
    first, *_ = await watched.gets("jp")
    watched.world.clock.move(HOUR)
    await watched.world.publish("vn", sighting(place="Hue"))
    _, second = await watched.gets("jp")

    shown = await watched.shows()
    assert shown['halong_member_waiting{member="jp"}'] == 2
    assert shown['halong_member_waiting_seconds{member="jp"}'] == HOUR_SECONDS

    await watched.receipts("jp", second)
    shown = await watched.shows()
    assert shown['halong_member_waiting{member="jp"}'] == 1
    assert shown['halong_member_waiting_seconds{member="jp"}'] == HOUR_SECONDS

    await watched.receipts("jp", first, event=Event.REJECTED)
    await watched.receipts("jp", first)
    shown = await watched.shows()
    assert shown['halong_member_waiting{member="jp"}'] == 0
    assert shown['halong_member_waiting_seconds{member="jp"}'] == 0
    assert shown['halong_member_waiting{member="nl"}'] == 2


async def test_what_waits_is_known_again_after_a_start(watched: Watched) -> None:
    await watched.world.publish("vn", sighting())
    (only,) = await watched.gets("jp")
    await watched.receipts("jp", only)

    ledger = Ledger(watched.world.log, watched.world.metrics)
    await ledger.statements.refresh(await watched.world.log.ends(["*"]))

    assert {member: waiting for member, waiting, _ in ledger.pace.waiting()} == {"jp": 0, "nl": 1}


async def test_nothing_waits_for_a_checkpoint_once_one_covers_it(watched: Watched) -> None:
    await watched.world.publish("vn", sighting())
    await watched.world.settle()

    shown = await watched.shows()

    assert (shown["halong_uncovered_decisions"], shown["halong_uncovered_seconds"]) == (0, 0)
    assert shown["halong_checkpoint_timestamp_seconds"] == NOW / 1000
    assert shown['halong_last_publication_timestamp_seconds{region="asia-pacific"}'] == NOW / 1000
    assert shown["halong_decided_seconds_count"] == 1
    assert shown["halong_covered_seconds_count"] == 1


async def test_a_regions_last_decision_is_known_whichever_was_read_first_the_leaf_or_the_decision(
    watched: Watched,
) -> None:
    await watched.world.publish("vn", sighting())
    await watched.world.settle()

    ledger = Ledger(watched.world.log, watched.world.metrics)
    await ledger.statements.refresh(await watched.world.log.ends(["*"]))
    assert ledger.pace.published == {}

    async with asyncio.TaskGroup() as group:
        following = group.create_task(ledger.run())
        await ledger.caught_up.wait()
        following.cancel()
    assert ledger.pace.published == {"asia-pacific": NOW}


async def test_what_the_dispatcher_has_not_decided_is_counted_by_partition(watched: Watched) -> None:
    await watched.world.settle()
    watched.world.tasks["dispatcher"].cancel()
    for place in ("Hue", "Da Nang"):
        await watched.world.publish("vn", sighting(place=place))

    shown = await watched.shows()

    behind = {name: value for name, value in shown.items() if "halong_dispatcher_behind" in name}
    assert len(behind) == 24
    assert sum(behind.values()) == 2
    assert max(behind.values()) == 2


async def test_a_member_that_asks_is_seen(watched: Watched) -> None:
    watched.world.clock.move(HOUR)
    await watched.world.inbox.feed("nl", 0, 10, 0)

    shown = await watched.shows()

    assert shown['halong_member_polled_timestamp_seconds{member="nl"}'] == (NOW + HOUR) / 1000
    assert 'halong_member_polled_timestamp_seconds{member="jp"}' not in shown


async def test_certificates_keys_room_and_directory_are_shown(watched: Watched) -> None:
    jp = watched.world.source.members["jp"]
    ends = NOW + 3 * DAY
    watched.world.source.members["jp"] = replace(jp, keys=(replace(jp.keys[0], valid_until=ends),))
    await watched.world.directory.refresh()

    shown = await watched.shows()

    assert shown['halong_certificate_expiry_timestamp_seconds{certificate="hub.pem"}'] == (NOW + DAY) / 1000
    assert shown['halong_member_key_expiry_timestamp_seconds{member="jp"}'] == ends / 1000
    assert 'halong_member_key_expiry_timestamp_seconds{member="nl"}' not in shown
    assert shown["halong_disk_free_bytes"] > 0
    assert shown["halong_log_bytes"] > 0
    assert (shown["halong_directory_members"], shown["halong_directory_agreements"]) == (3, 2)
    versions = [name for name in shown if name.startswith("halong_directory_timestamp_seconds")]
    assert versions == [
        f'halong_directory_timestamp_seconds{{version="{watched.world.directory.value.version.hex()[:12]}"}}'
    ]
