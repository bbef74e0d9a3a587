"""How long a node waits for the signed directory of a network as large as is aimed at, over mutual TLS."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median

from broker.core.index import Index
from broker.core.keys import Algorithm
from broker.directory.building import delegations_of, member_change, targets_change
from tests.bench.network import COMMUNITIES, MEMBERS, PAIRS, PARTIES
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import Setting
from tests.ceremony import SECRETARIAT, active, member, private, publics, signed, spare
from tests.served import Served, served
from tests.signed_world import SignedWorld, change_of, signed_node
from tests.world import Person

TIMES = 50
COLD_TIMES = 3
TICK_SECONDS = 0.002

TEXT = """\
id = "{name}"
version = 1
nonce = "00112233445566778899aabbccddeeff"
title = "Agreement {name}"
parties = [{parties}]
in_force_from = 2020-01-01

[[grant]]
from = "*"
to = "*"
types = ["drug-parcel", "hazardous-waste", "sighting"]
slots = ["facts", "identifiers"]
"""


class Large(SignedWorld):
    """186 members, 50 communities of 33 and 250 agreements of two, all acceded to."""

    def __init__(self, folder: Path, *, members: int = MEMBERS) -> None:
        super().__init__(folder)
        ids = [f"m{number}" for number in range(members)]
        texts: dict[str, list[bytes]] = {id_: [] for id_ in ids}
        for number in range(COMMUNITIES + PAIRS):
            size = min(PARTIES, members) if number < COMMUNITIES else 2
            parties = sorted({ids[(number * 7 + each * 5) % members] for each in range(size)})
            quoted = ", ".join(f'"{each}"' for each in parties)
            text = TEXT.format(name=f"agreement-{number}", parties=quoted).encode()
            for each in parties:
                texts[each].append(text)
        network, roles = self.network, []
        delegations = delegations_of(network.version)
        for id_ in ids:
            network.members[id_] = entry = member(id_)
            delegations[id_] = publics((active(id_), spare(id_)))
            change = member_change(network.version, entry, network.now, accede=texts[id_])
            roles.append(signed(change, active(id_)))
        targets = targets_change(network.version, delegations, network.now)
        network.take(signed(targets, *SECRETARIAT[:2]), *roles)
        # The others are not asked for anything.
        self.people["m0"] = Person("m0", private("m0-sign"), private("m0-tls", Algorithm.ESP256))


def rows(setting: Setting) -> Iterator[Row]:
    """Yield how long a cold start, a look at nothing new, and a change take."""
    yield from asyncio.run(_rows(setting))


async def _rows(setting: Setting) -> list[Row]:
    folder = setting.fresh("directory")
    async with served(folder, kind=Large) as hub:
        assert isinstance(hub.world, SignedWorld)
        whole = await hub.world.registry.newest("m0", b"")
        size = sum(map(len, whole.files.values()))
        cold = [await _cold(hub, folder) for _ in range(COLD_TIMES)]
        nothing, taken, stall = await _running(hub, folder)
    there = f"{MEMBERS} members, {COMMUNITIES + PAIRS} agreements"
    return [
        Row(
            "directory-cold",
            f"a node's directory from nothing, over mTLS; {there}",
            Figure(median(cold), "s"),
            f"{len(whole.files)} files, {size / 1000:,.0f} kB in one answer",
            goal=Goal("value", most=3.0, said="< 3 s"),
        ),
        Row(
            "directory-nothing-new",
            "refresh with nothing new",
            Figure(nothing * 1000, "ms"),
            goal=Goal("value", most=50.0, said="< 50 ms"),
        ),
        Row(
            "directory-change",
            "a member's change until the hub decides under it",
            Figure(taken, "s"),
            f"the hub's loop stood still for at most {stall * 1000:.0f} ms",
            goal=Goal("value", most=2.0, said="< 2 s"),
        ),
    ]


async def _cold(hub: Served, folder: Path) -> float:
    async with signed_node(hub, "m0", folder) as node:
        started = time.perf_counter()
        await node.refresher.refresh()
        await node.node.directories.newest()
        found = time.perf_counter() - started
    shutil.rmtree(folder / "m0")
    return found


async def _running(hub: Served, folder: Path) -> tuple[float, float, float]:
    world = hub.world
    assert isinstance(world, SignedWorld)
    async with signed_node(hub, "m0", folder) as node:
        await node.refresher.refresh()
        looks = []
        for _ in range(TIMES):
            started = time.perf_counter()
            await node.refresher.refresh()
            looks.append(time.perf_counter() - started)
        index = Index(world.directory.value)
        change = change_of(world.network, "m0", leave=[next(iter(_accessions(world)))])
        gaps: list[float] = []
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(_tick(gaps))
            started = time.perf_counter()
            await node.hub.change_directory(change.write())
            index = index.updated(world.directory.value)
            taken = time.perf_counter() - started
            ticking.cancel()
    return median(looks), taken, max(gaps)


def _accessions(world: SignedWorld) -> list[tuple[str, int]]:
    return list(world.directory.value.members["m0"].accessions)


async def _tick(gaps: list[float]) -> None:
    """Note how late the loop comes back, again and again."""
    with suppress(asyncio.CancelledError):
        while True:
            started = time.perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            gaps.append(time.perf_counter() - started - TICK_SECONDS)
