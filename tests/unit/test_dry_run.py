"""A dry run tells what dispatchers would have delivered, had other agreements been in force."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from broker.commands.replaying import Period, replay_log
from broker.core.agreements import FOLLOWING_ACTS
from broker.core.clauses import Terms
from broker.core.directory import Directory
from broker.core.dry_run import Change, Lane, Outcome, Past, Replay, change_of
from broker.core.index import Index
from broker.core.model import Act, Delivery, DeliveryHead, Envelope, Header, Obligations, Slot
from broker.core.records import decode, unframe
from tests.faults.chance import scaled, seed
from tests.recount import records
from tests.strategies import DAY, NOW, agreement, digest, directory, grant, header, reference, share
from tests.world import NOW as BEGIN
from tests.world import World, sighting

MEMBERS = ("jp", "nl", "vn", "za")
TYPES = ("sighting", "feedback", "lifecycle-order")
PHASES = 4
TELLING = 1
"""A seed by which much depends on what was said before."""


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
        match random.choice(("new", "gone", "left", "terms", "parts")):
            case "gone" if len(world.source.agreements) > 1:
                del world.source.agreements[name]
            case "terms":
                found = world.source.agreements[name]
                terms = Terms(retention_days=random.choice((10, 20)))
                grants = tuple(replace(each, terms=terms) for each in found.grants)
                world.source.agreements[name] = replace(found, grants=grants)
            case "parts":
                found = world.source.agreements[name]
                slots = frozenset(random.sample(list(Slot), 2))
                grants = tuple(replace(each, slots=slots) for each in found.grants)
                world.source.agreements[name] = replace(found, grants=grants)
            case "left":
                member = random.choice(sorted(world.source.agreements[name].parties))
                there = world.source.members[member]
                rest = {key: value for key, value in there.accessions.items() if key[0] != name}
                world.source.members[member] = replace(there, accessions=rest)
            case _:
                agree_somehow(random, world, f"later-{random.randrange(10**6)}")


def composed(random: Random, world: World, before: list[tuple[bytes, Header]]) -> bytes:
    """A notice that may refer to what was said in an earlier phase."""
    originator = random.choice(MEMBERS)
    act = random.choice((Act.ORIGINAL, Act.ORIGINAL, Act.REQUEST, *Act))
    notice_type = random.choice(TYPES)
    known = [(statement, said) for statement, said in before if said.act is not Act.RECALL]
    if act in FOLLOWING_ACTS:
        # Of their own statements alone; others' would reach nobody.
        known = [(statement, said) for statement, said in known if said.originator == originator]
    references = [statement for statement, _ in random.sample(known, min(len(known), random.randint(1, 2)))]
    if act is Act.ORIGINAL or not references:
        act, references = random.choice((Act.ORIGINAL, Act.REQUEST)), []
    if act in FOLLOWING_ACTS:
        notice_type = random.choice(("lifecycle-order", dict(known)[references[0]].notice_type))
    others = [each for each in MEMBERS if each != originator]
    return world.compose(
        originator,
        sighting(person="Ada"),
        notice_type=notice_type,
        act=act,
        references=tuple(sorted(set(references))),
        countries=random.choice((("JP", "VN"), ("NL",))),
        addressees=tuple(sorted(random.sample(others, 2))) if random.random() < 0.2 else (),
        retain_until=random.choice((None, BEGIN + 90 * DAY)),
    )


async def two_worlds_and_a_dry_run(folder: Path, chosen: int, notices: int) -> Counter[Change]:
    """Deliver one stream of notices in two worlds, and hold the dry run of the first against both.

    The second world is as the first until the period begins, and has other agreements from then on.
    """
    random = Random(chosen)
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
    assert {lane: row.changes for lane, row in outcome.rows.items()} == expected, chosen
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


async def test_a_dry_run_tells_what_two_dispatchers_deliver(tmp_path: Path) -> None:
    assert await two_worlds_and_a_dry_run(tmp_path, TELLING, 60)


@pytest.mark.soak
async def test_dry_runs_tell_what_two_dispatchers_deliver_and_all_changes_occur(tmp_path: Path) -> None:
    first, changes = seed(), Counter[Change]()
    for number in range(first, first + scaled(100)):
        changes += await two_worlds_and_a_dry_run(tmp_path / str(number), number, 80)
    print(", ".join(f"{change.value} {count:,}" for change, count in changes.items()))
    assert changes.keys() == set(Change)


@pytest.mark.soak
async def test_a_dry_run_that_never_looks_back_is_told_from_dispatchers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replay, "looks_back", lambda _self, _past: False)
    with pytest.raises(AssertionError):
        await two_worlds_and_a_dry_run(tmp_path, TELLING, 60)


# --- one statement and another ------------------------------------------------------------------------------


def test_how_a_delivery_changes_is_told_by_its_parts_and_its_terms() -> None:
    facts, both, other = share(Slot.FACTS), share(Slot.FACTS, Slot.PERSONS), share(Slot.PERSONS)
    terms = replace(facts, obligations=replace(facts.obligations, retain_until=NOW))
    assert change_of(None, None) is None
    assert change_of(facts, replace(facts, grounds=(agreement().ground,))) is None
    assert change_of(None, facts) is Change.ADDED
    assert change_of(facts, None) is Change.REMOVED
    assert change_of(facts, both) is Change.WIDENED
    assert change_of(both, facts) is Change.NARROWED
    assert change_of(facts, other) is Change.EXCHANGED
    assert change_of(facts, terms) is Change.TERMS


def past(number: int = 0, decided_at: int = NOW, **fields: Any) -> Past:
    return Past(digest(f"statement {number}"), header(sequence=number + 1, **fields), decided_at, number)


def replayed(*statements: Past, old: Directory, new: Directory, **more: Any) -> Outcome:
    known = {each.statement: each for each in statements}
    index = Index(old)
    replay = Replay(index, index.updated(new), past=known.get, **more)
    for each in statements:
        replay.add(each)
    return replay.outcome()


GIVES = agreement(grant("vn", "jp"))


def test_what_was_said_before_the_period_went_where_it_really_went_on_both_sides() -> None:
    earlier = reference(shares={"nl": share(Slot.FACTS, Slot.PERSONS)})
    recall = past(act=Act.RECALL, references=(earlier.statement,))
    told = replayed(recall, old=directory(GIVES), new=directory(), before={earlier.statement: earlier}.get)
    assert told.rows == {}
    assert told.before == told.after == {Lane("vn", "nl", "drug-parcel"): 1}


def test_what_was_decided_later_was_not_known() -> None:
    late = past(number=5)
    early = past(number=3, act=Act.RECALL, references=(late.statement,))
    told = replayed(early, late, old=directory(), new=directory(GIVES))
    assert [row.changes for row in told.rows.values()] == [{Change.ADDED: 1}]


def test_of_a_stranger_nothing_is_delivered_and_nothing_taken_back() -> None:
    said = past()
    back = past(1, act=Act.RECALL, references=(said.statement,))
    told = replayed(said, back, old=directory(GIVES), new=directory(GIVES, members=("jp", "nl")))
    assert [row.changes for row in told.rows.values()] == [{Change.REMOVED: 2}]


def test_a_period_is_judged_as_if_it_came_later() -> None:
    year = 365 * DAY
    later = replace(GIVES, in_force_at=NOW + year)
    said = past(retain_until=NOW + DAY)
    old, new = directory(), directory(later)
    assert replayed(said, old=old, new=new).rows == {}
    told = replayed(said, old=old, new=new, later_by=year)
    assert [row.changes for row in told.rows.values()] == [{Change.ADDED: 1}]
    # What the notice itself asks for comes as much later: nothing looks stricter than it was.
    days = agreement(grant("vn", "jp", terms=Terms(retention_days=2)))
    assert replayed(said, old=directory(GIVES), new=directory(days), later_by=year).rows == {}


def test_a_row_names_parts_and_a_few_notices() -> None:
    wide = agreement(grant("vn", "jp", Slot.ENTITIES))
    told = replayed(*(past(each) for each in range(5)), old=directory(GIVES), new=directory(wide))
    (row,) = told.rows.values()
    assert (row.changes, row.gained, row.lost) == (
        {Change.EXCHANGED: 5}, {Slot.ENTITIES: 5}, {Slot.FACTS: 5},
    )  # fmt: skip
    assert row.examples == [f"halong:vn/asia-pacific/main/{number}" for number in (1, 2, 3)]
    assert (told.notices, told.changed) == (5, 5)
