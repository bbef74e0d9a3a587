"""The demo's day into a member's own systems by every channel at once, while the member's node is killed.

The node is a process of its own, ended by kill -9 at seeded moments in the middle of handing on.  Nothing is
lost, in any channel; where exactly once is said, nothing is doubled; elsewhere a repeat has the same id.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from adapters.channels.places import Places
from adapters.configuration import MEMBER_FILE
from adapters.member_folder import open_folder
from adapters.status import snapshot
from broker.clock import SystemClock
from broker.demo import day, expected
from broker.demo.processes import Farm
from broker.demo.setting import CAST, Setting, build
from tests.counterparts import KINDS, Counterpart, counterpart
from tests.faults import chance
from tests.faults.table import Row, record

SECONDS = 90.0
RECEIVER = "nl"
SENDERS = [role.id for role in CAST if role.id != RECEIVER]


async def until(holds: Callable[[], bool]) -> None:
    """Look until something holds."""
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 - other processes have no events
            await asyncio.sleep(0.01)


def handed(setting: Setting) -> int:
    """How many deliveries the channels have, all together."""
    with open_folder(setting.member(RECEIVER)) as node:
        return sum(place.handed for place in Places(node.store).all())


def is_done(setting: Setting, due: int) -> bool:
    with open_folder(setting.member(RECEIVER)) as node:
        now = snapshot(node.store)
    return sum(now.received.values()) == due and all(each.behind == 0 for each in now.channels)


def is_published(setting: Setting) -> bool:
    for member in SENDERS:
        with open_folder(setting.member(member)) as node:
            sent = snapshot(node.store).sent
        if not sent or any(sent.get(state) for state in ("waiting", "signed", "accepted", "admitted")):
            return False
    return True


def owed(setting: Setting) -> set[str]:
    """The statements that the receiver must get: from what was signed and agreed, nothing of the hub's."""
    with ExitStack() as stack:
        sent = expected.sent([stack.enter_context(open_folder(setting.member(each))) for each in SENDERS])
    return {one.arrived.statement.hex() for one in sent if RECEIVER in one.shares}


async def play(
    folder: Path, sides: Mapping[str, Counterpart], kills: int, seed: int
) -> tuple[Setting, set[str]]:
    """Publish the day while the receiver is away, then kill it again and again until it has all."""
    moments = random.Random(seed)
    setting = build(folder, "sqlite:///log.db", (), SystemClock().now())
    member_toml = setting.member(RECEIVER) / MEMBER_FILE
    with member_toml.open("a") as file:
        for name, side in sides.items():
            file.write(f'\n[channels.{name}]\nkind = "{side.kind}"\n{side.settings}')
    with Farm() as farm:
        for service in setting.services():
            farm.add(service)
        for name in ("hub", *SENDERS):
            farm.services[name].start()
        await asyncio.to_thread(farm.services["hub"].await_ready)
        day.write_exports(setting)
        rest = [day.waste(setting, 2), *(day.trends(setting, part) for part in (2, 3))]
        exports = [*day.morning(setting), day.declarations(setting, None, None), *rest]
        for export in exports:
            await asyncio.to_thread(export.publish, setting)
        await until(lambda: is_published(setting))
        due = owed(setting)
        total = len(due) * (len(sides) + 1)
        receiver = farm.services[RECEIVER]
        receiver.start()
        for threshold in sorted(moments.sample(range(total // 10, total * 9 // 10), kills)):
            await until(lambda threshold=threshold: handed(setting) >= threshold)  # type: ignore[misc]
            receiver.kill()
            receiver.start()
        await until(lambda: is_done(setting, len(due)))
    return setting, due


@pytest.mark.sockets
@pytest.mark.kafka
async def test_every_channel_has_all_of_the_day_however_often_the_node_is_killed(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await day_by_every_channel(tmp_path, request, kills=4)


@pytest.mark.soak
@pytest.mark.sockets
@pytest.mark.kafka
async def test_every_channel_has_all_of_the_day_under_many_kills(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await day_by_every_channel(tmp_path, request, kills=chance.scaled(30))


async def day_by_every_channel(tmp_path: Path, request: pytest.FixtureRequest, kills: int) -> None:
    seed = chance.seed()
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        sides: dict[str, Counterpart] = {}
        for kind in KINDS:
            folder = tmp_path / kind
            folder.mkdir()
            sides[kind.replace("folder", "second")] = await stack.enter_async_context(
                counterpart(kind, folder, request.getfixturevalue)
            )
        setting, due = await play(tmp_path / "demo", sides, kills, seed)
        with open_folder(setting.member(RECEIVER)) as node:
            ids = dict(node.store.rows("SELECT lower(hex(id)), lower(hex(statement)) FROM deliveries"))
            now = snapshot(node.store)
        assert set(ids.values()) == due
        assert now.received == {"delivered": len(due)}
        assert [letters for each in now.channels if (letters := each.dead_letters)] == []
        repeats: Counter[str] = Counter()
        for name, side in sides.items():
            arrived = [each.delivery for each in await side.arrived()]
            assert set(arrived) == set(ids), name
            repeats[name] = len(arrived) - len(ids)
            found = Row(
                name=f"member's node killed while it hands on by {side.kind}: {name}",
                engine="sqlite",
                kills=kills,
                notices=len(due),
                deliveries=len(ids),
                lost=0,
                doubled=repeats[name] if side.exact else 0,
                over_delivered=0,
                out_of_order=0,
                seed=seed,
                seconds=round(time.monotonic() - started, 1),
            )
            record(found)
        print(f"{len(due)} deliveries, {kills} kills; repeats {dict(repeats)}")
        assert {name: repeats[name] for name, side in sides.items() if side.exact} == {
            name: 0 for name, side in sides.items() if side.exact
        }
        inbox = [each["statement"] for each in expected.inbox(setting.member(RECEIVER))]
        assert sorted(inbox) == sorted(due)
