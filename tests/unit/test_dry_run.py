"""A dry run tells what dispatchers would have delivered, had other agreements been in force."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest

from broker.commands.replaying import Period, replay_log
from broker.core.dry_run import Change, Lane
from broker.core.index import Index
from broker.core.model import Act, Delivery, DeliveryHead, Envelope, Header, Obligations, Region, Slot
from broker.core.records import decode, unframe
from tests.recount import records
from tests.strategies import (
    DAY,
)
from tests.world import NOW as BEGIN
from tests.world import World, sighting

MEMBERS = ("jp", "nl", "vn", "za")
TYPES = ("sighting", "feedback", "lifecycle-order")
PHASES = 4


# --- two whole dispatchers ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Got:
    """What a member got of a statement."""

    slots: frozenset[Slot]
    obligations: Obligations


async def delivered(world: World) -> dict[tuple[bytes, str], Got]:
    found = {}
    for here in (await records(world.log, "inbox.*")).values():
        for stored in here:
            head = decode(DeliveryHead, unframe(Delivery, stored.value).head)
            found[head.statement, head.member] = Got(frozenset(head.slots), head.obligations)
    return found


def agree_somehow(random: Random, world: World, name: str) -> None:
    giver, receiver = random.sample(MEMBERS, 2)
    slots = random.sample([slot.label for slot in Slot], random.randint(1, 3))
    more, extra = "", ""
    if random.random() < 0.3:
        # The days on which the world's notices come are 21 to 24 September 2026.
        more = f"terminated_on = 2026-09-{random.choice((22, 23))}\nwind_down_days = {random.choice((1, 30))}"
    if random.random() < 0.3:
        extra += 'mode = "on-request"\n'
    if random.random() < 0.5:
        extra += f"retention_days = {random.choice((30, 365))}\n"
    if random.random() < 0.2:
        extra += 'countries = ["NL"]\n'
    types = random.sample(TYPES, random.randint(1, 3))
    world.agree(giver, receiver, name=name, types=types, slots=slots, more=more, grant=extra)


def change_somehow(random: Random, world: World) -> None:
    for _ in range(random.randint(1, 3)):
        name = random.choice(sorted(world.source.agreements))
        match random.choice(("new", "gone", "left")):
            case "gone" if len(world.source.agreements) > 1:
                del world.source.agreements[name]
            case "left":
                member = random.choice(sorted(world.source.agreements[name].parties))
                found = world.source.members[member]
                rest = {key: value for key, value in found.accessions.items() if key[0] != name}
                world.source.members[member] = replace(found, accessions=rest)
            case _:
                agree_somehow(random, world, f"later-{random.randrange(10**6)}")


def composed(random: Random, world: World, before: list[tuple[bytes, Header]]) -> bytes:
    """A notice that may refer to what was said in an earlier phase, or to the last one of its originator."""
    originator = random.choice(MEMBERS)
    act = random.choice((Act.ORIGINAL, Act.ORIGINAL, Act.REQUEST, *Act))
    _, own = world.people[originator].numbers.get((Region.ASIA_PACIFIC, "main"), (0, None))
    known = [statement for statement, _ in before] + ([] if own is None else [own])
    if not known and act is not Act.REQUEST:
        act = Act.ORIGINAL
    references = (
        random.sample(known, min(len(known), random.randint(1, 2))) if act is not Act.ORIGINAL else []
    )
    others = [each for each in MEMBERS if each != originator]
    return world.compose(
        originator,
        sighting(person="Ada"),
        notice_type=random.choice(TYPES),
        act=act,
        references=tuple(sorted(set(references))),
        countries=random.choice((("JP", "VN"), ("NL",))),
        addressees=tuple(sorted(random.sample(others, 2))) if random.random() < 0.2 else (),
        retain_until=random.choice((None, BEGIN + 90 * DAY)),
    )


async def two_worlds_and_a_dry_run(folder: Path, seed: int, notices: int) -> Counter[Change]:
    """Deliver one stream of notices in two worlds, and hold the dry run of the first against both.

    The second world is as the first until the period begins, and has other agreements from then on.
    """
    random = Random(seed)
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    begins = random.randrange(PHASES)
    headers: dict[bytes, Header] = {}
    async with World(folder / "a", *MEMBERS) as a:
        for number in range(random.randint(2, 6)):
            agree_somehow(random, a, f"agreement-{number}")
        b = World(folder / "b")
        b.people, b.source._log_key = a.people, a.source._log_key
        b.source.members, b.source.agreements = dict(a.source.members), dict(a.source.agreements)
        b.source._files = a.source._files
        async with b:
            for phase in range(PHASES):
                if phase == begins:
                    change_somehow(random, b)
                before = list(headers.items())
                for world in (a, b):
                    await world.directory.refresh()
                for _ in range(notices // PHASES):
                    envelope = composed(random, a, before)
                    for world in (a, b):
                        statement = (
                            await world.store("", envelope) if False else await _store(world, envelope)
                        )
                    headers[statement] = decode(Header, decode(Envelope, envelope).header)
                for world in (a, b):
                    await world.settle()
                    world.clock.move(DAY)
            period = Period(BEGIN + begins * DAY, BEGIN + 100 * DAY)
            old = Index(a.source.load())
            new = old.updated(b.source.load())
            outcome = await replay_log(a.log, old, new, period)
            real = [await delivered(world) for world in (a, b)]
    expected, changes = compared(headers, *real)
    assert {lane: row.changes for lane, row in outcome.rows.items()} == expected, seed
    began = PHASES - begins
    assert outcome.notices == notices // PHASES * began
    return changes


async def _store(world: World, envelope: bytes) -> bytes:
    return await world.store(decode(Header, decode(Envelope, envelope).header).originator, envelope)


def compared(
    headers: dict[bytes, Header], old: dict[tuple[bytes, str], Got], new: dict[tuple[bytes, str], Got]
) -> tuple[dict[Lane, Counter[Change]], Counter[Change]]:
    """What differs between two worlds, said in other words than those of the dry run."""
    lanes: dict[Lane, Counter[Change]] = {}
    total: Counter[Change] = Counter()
    for statement, member in old.keys() | new.keys():
        had, has = old.get((statement, member)), new.get((statement, member))
        if had == has:
            continue
        if had is None:
            change = Change.ADDED
        elif has is None:
            change = Change.REMOVED
        else:
            more, less = bool(has.slots - had.slots), bool(had.slots - has.slots)
            change = {
                (True, True): Change.EXCHANGED,
                (True, False): Change.WIDENED,
                (False, True): Change.NARROWED,
                (False, False): Change.TERMS,
            }[more, less]
        lane = Lane(headers[statement].originator, member, headers[statement].notice_type)
        lanes.setdefault(lane, Counter())[change] += 1
        total[change] += 1
    return lanes, total


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_dry_run_tells_what_two_dispatchers_deliver(tmp_path: Path, seed: int) -> None:
    assert await two_worlds_and_a_dry_run(tmp_path, seed, 40)
