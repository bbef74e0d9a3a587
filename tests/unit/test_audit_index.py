"""The index is what the topics say, however it came about, and is thrown away at any doubt."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from broker.audit import base
from broker.audit.base import Base, Doubted
from broker.audit.building import AuditIndex
from broker.audit.forgetting import Forgetting
from broker.audit.gaps import gaps
from broker.audit.life import life
from broker.audit.members import standings
from broker.audit.sharing import search
from broker.core.errors import BadConfiguration, NotCanonical
from broker.core.keys import Algorithm, PrivateKey
from broker.core.model import Decision, Delivery, DeliveryHead, Envelope, Leaf
from broker.core.note import LogKey, LogSigner
from broker.core.records import decode, frame, unframe
from broker.log import Log, Partition, Stored, open_log
from broker.log.topics import AUDIT_LEAVES
from tests.audit_day import Day, live, make_day
from tests.crash import Crash
from tests.unit.test_erasure import erased, order
from tests.world import CATALOGUE, World, sighting

NUMBERED = {
    "facts": "SELECT s.id, f.text FROM facts f JOIN statement s ON s.n = f.rowid",
    "told": "SELECT t.id, r.id FROM told t JOIN reading r ON r.n = t.reading",
    "ground": (
        "SELECT g.agreement, g.originator, g.decided_at, d.id, g.member, g.version FROM ground g"
        " JOIN delivery d ON d.n = g.delivery"
    ),
    "receipt": (
        "SELECT d.id, r.event, r.at, r.id, r.channel, r.code FROM receipt r"
        " JOIN delivery d ON d.n = r.delivery"
    ),
}
"""Tables that name a row by its number, which is of no meaning."""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return make_day(tmp_path_factory.mktemp("day"))


class CutLog:
    """A log of which each partition is seen as far as the cut says, and goes on when the cut moves."""

    def __init__(self, log: Log, chance: Random, counts: Mapping[Partition, int]) -> None:
        self._log = log
        self._chance = chance
        self.counts = counts

    async def ends(self, topics: Sequence[str], *, settled: bool = True) -> Mapping[Partition, int]:
        found = await self._log.ends(topics, settled=settled)
        return {each: min(end, self.counts.get(each, end)) for each, end in found.items()}

    async def read(self, partition: Partition, start: int, limit: int) -> Sequence[Stored]:
        return await self._log.read(partition, start, self._chance.randint(1, limit))


def rows_of(index: AuditIndex) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that is in an index, by table, without numbers that are of no meaning."""
    names = [name for (name,) in index.base.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {}
    for name in names:
        if name.startswith("facts_"):
            continue
        columns = [row[1] for row in index.base.rows(f"PRAGMA table_info({name})")]
        keyed = [each for each in columns if each != "n" or name in ("leaf", "subtree")]
        query = NUMBERED.get(name, f"SELECT {', '.join(keyed)} FROM {name}")
        found[name] = sorted(index.base.rows(query), key=repr)
    return found


def opened(day: Day, path: Path) -> AuditIndex:
    return AuditIndex(path, LogKey.parse(day.key), CATALOGUE)


async def built(day: Day, path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What an index has that is made at once."""
    index = opened(day, path)
    async with open_log(day.url, read_only=True) as log:
        await index.refresh(log)
    try:
        return rows_of(index)
    finally:
        index.close()


async def moments(log: Log) -> list[Mapping[Partition, int]]:
    """Moments of the log, as far as its leaves tell: how far each partition was at each of them."""
    end = (await log.ends([AUDIT_LEAVES]))[Partition(AUDIT_LEAVES)]
    found: list[dict[Partition, int]] = [dict.fromkeys(await log.ends(["*"]), 0)]
    for stored in await log.read(Partition(AUDIT_LEAVES), 0, end):
        leaf = unframe(Leaf, stored.value)
        step = {
            Partition(leaf.topic, leaf.partition): leaf.offset + 1,
            Partition(AUDIT_LEAVES): leaf.index + 1,
        }
        found.append({**found[-1], **step})
    return found


@pytest.mark.sockets
@pytest.mark.parametrize("seed", range(6))
async def test_an_index_that_went_on_at_random_moments_is_one_that_was_made_at_once(
    day: Day, tmp_path: Path, seed: int
) -> None:
    chance = Random(seed)
    whole = await built(day, tmp_path / "whole.index")
    async with open_log(day.url, read_only=True) as log:
        # Leaves may come in another order than records are written, so not all of these were: of those that
        # were not, a decision may lack its deliveries; the dispatcher writes both at once.
        points = [each for each in await moments(log) if await _is_whole(log, each)]
        assert len(points) > 10
        chosen = sorted(chance.sample(range(len(points)), min(5, len(points))))
        for point in [points[each] for each in chosen] + [{}]:
            index = opened(day, tmp_path / "cut.index")
            await index.refresh(CutLog(log, chance, point))  # type: ignore[arg-type]
            found = rows_of(index)
            index.close()
    assert found == whole


async def _is_whole(log: Log, point: Mapping[Partition, int]) -> bool:
    """Is every decision there with its deliveries and its statement, and every delivery decided?"""
    seen: dict[bytes, set[str]] = {}
    decided = {}
    for partition, end in point.items():
        for stored in await log.read(partition, 0, end) if end else ():
            if partition.topic.startswith("inbox."):
                head = decode(DeliveryHead, unframe(Delivery, stored.value).head)
                seen.setdefault(head.statement, set()).add(head.member)
            elif partition.topic == "decisions":
                decision = unframe(Decision, stored.value)
                decided[decision.statement] = {share.member for share in decision.shares}
    return {key: value for key, value in decided.items() if value} == seen


class Dying:
    """Counts what is written into an index, and dies at the chosen write and at all after it."""

    def __init__(self, index: AuditIndex, at: int) -> None:
        self.writes = 0
        self._at = at
        connection = index.base._connection
        base = index.base

        def counted(function: Any) -> Any:
            def call(*arguments: Any) -> Any:
                self.writes += 1
                if self.writes >= self._at:
                    raise Crash
                return function(*arguments)

            return call

        base.run = counted(base.run)  # type: ignore[method-assign]
        base.run_many = counted(base.run_many)  # type: ignore[method-assign]
        base.add = counted(base.add)  # type: ignore[method-assign]
        self._connection = connection

    def die(self) -> None:
        """End as a process ends: what was not committed is not there."""
        self._connection.close()


@pytest.mark.sockets
async def test_killed_at_every_write_it_goes_on_and_is_the_same(day: Day, tmp_path: Path) -> None:
    whole = await built(day, tmp_path / "whole.index")
    async with open_log(day.url, read_only=True) as log:
        index = opened(day, tmp_path / "count.index")
        counted = Dying(index, 1 << 60)
        await index.refresh(log)
        index.close()
        for at in range(1, counted.writes + 1):
            path = tmp_path / "killed.index"
            index = opened(day, path)
            dying = Dying(index, at)
            with pytest.raises(Crash):
                await index.refresh(log)
            dying.die()
            index = opened(day, path)
            await index.refresh(log)
            assert rows_of(index) == whole, at
            index.close()
            path.unlink()


# --- doubts -------------------------------------------------------------------------------------------


def damage(path: Path, at: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(content)


def sql(path: Path, *statements: str) -> None:
    file = sqlite3.connect(path)
    with file:
        for each in statements:
            file.execute(each)
    file.close()


FORGETS = "DELETE FROM skipped"
"""So that an index that is not made anew is seen to be another."""

DOUBTS = {
    "it is cut off": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "its first page is garbled": lambda path: damage(path, 100, b"\xff" * 2000),
    "it is no database": lambda path: path.write_bytes(b"nothing" * 100),
    "it is empty": lambda path: path.write_bytes(b""),
    "it is of another format": lambda path: sql(path, "PRAGMA user_version = 999"),
    "it is of other notice types": lambda path: sql(
        path, "UPDATE about SET value = 'x' WHERE name = 'schemas'"
    ),
    "it is of another log": lambda path: sql(path, "UPDATE about SET value = 'x' WHERE name = 'log'"),
    "it is ahead of the log": lambda path: sql(
        path, "UPDATE place SET next = next + 1 WHERE topic = 'decisions'", FORGETS
    ),
    "it was made from a topic that is not there": lambda path: sql(
        path, "INSERT INTO place VALUES ('inbox.zz', 0, 1)", FORGETS
    ),
    "its last leaf is another": lambda path: sql(
        path, "UPDATE leaf SET entry = zeroblob(33) WHERE n = (SELECT max(n) FROM leaf)", FORGETS
    ),
    "its last leaf stands elsewhere": lambda path: sql(
        path, "UPDATE leaf SET at = at - 1 WHERE n = (SELECT max(n) FROM leaf)", FORGETS
    ),
    "a leaf is missing": lambda path: sql(
        path, "DELETE FROM leaf WHERE n = (SELECT max(n) - 1 FROM leaf)", FORGETS
    ),
    "a table is missing": lambda path: sql(path, "DROP TABLE receipt", "DELETE FROM place"),
}  # fmt: skip


QUICK = ("it is ahead of the log", "its last leaf is another")


@pytest.mark.parametrize(
    "doubt", [each if each in QUICK else pytest.param(each, marks=pytest.mark.sockets) for each in DOUBTS]
)
async def test_an_index_in_doubt_is_made_anew(day: Day, tmp_path: Path, doubt: str) -> None:
    path = tmp_path / "audit.index"
    whole = await built(day, path)
    DOUBTS[doubt](path)
    assert await built(day, path) == whole


async def test_a_file_that_is_no_index_is_let_be(day: Day, tmp_path: Path) -> None:
    other = tmp_path / "accounts.index"
    sql(other, "CREATE TABLE accounts (name TEXT)", "PRAGMA application_id = 7")
    with pytest.raises(BadConfiguration):
        opened(day, other)
    with pytest.raises(BadConfiguration):
        opened(day, tmp_path / "log.db")
    assert not (tmp_path / "log.db").exists()
    assert b"accounts" in other.read_bytes()


async def test_an_index_is_its_owner_s_alone_and_one_asks_at_a_time(
    day: Day, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.index"
    first = opened(day, path)
    assert path.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(base, "BUSY_SECONDS", 0.05)
    with pytest.raises(base.IndexUnavailable):
        opened(day, path)
    first.close()
    opened(day, path).close()


class AlteredLog(CutLog):
    """A log whose records of one topic somebody changed."""

    def __init__(self, log: Log, topic: str, change: Any) -> None:
        super().__init__(log, Random(0), {})
        self._topic = topic
        self._change = change

    async def read(self, partition: Partition, start: int, limit: int) -> Sequence[Stored]:
        found = await self._log.read(partition, start, limit)
        return [self._change(each) for each in found] if partition.topic == self._topic else found


async def test_leaves_that_are_not_numbered_one_by_one_are_said_so(day: Day, tmp_path: Path) -> None:
    def moved(stored: Stored) -> Stored:
        leaf = unframe(Leaf, stored.value)
        value = frame(Leaf(leaf.index + 1, leaf.entry, leaf.topic, leaf.partition, leaf.offset))
        return Stored(stored.partition, stored.offset, stored.key, value)

    index = opened(day, tmp_path / "audit.index")
    async with open_log(day.url, read_only=True) as log:
        with pytest.raises(NotCanonical):
            await index.refresh(AlteredLog(log, AUDIT_LEAVES, moved))  # type: ignore[arg-type]
    index.close()


@pytest.mark.sockets
@pytest.mark.parametrize("topic", ["inbox.jp", "decisions", "reads", "receipts", "refusals", "erasures"])
async def test_a_record_that_cannot_be_read_is_a_finding_and_hides_no_other(
    day: Day, tmp_path: Path, topic: str
) -> None:
    def garbled(stored: Stored) -> Stored:
        value = stored.value if stored.offset else stored.value[:5] + b"\xff"
        return Stored(stored.partition, stored.offset, stored.key, value)

    index = opened(day, tmp_path / "audit.index")
    async with open_log(day.url, read_only=True) as log:
        await index.refresh(AlteredLog(log, topic, garbled))  # type: ignore[arg-type]
    found = [each for each in gaps(index, day.now) if each.kind == "unreadable"]
    assert [each.where for each in found] == [f"{topic}/0 at 0"]
    assert life(index, day.statements["parcel"].hex()).stages
    index.close()


async def findings(day: Day, path: Path, topic: str, change: Callable[[Stored], Stored]) -> list[str]:
    """What an index finds unreadable in a log of which one topic is changed, and its facts of `first`."""
    index = opened(day, path)
    async with open_log(day.url, read_only=True) as log:
        await index.refresh(AlteredLog(log, topic, change))  # type: ignore[arg-type]
    found = [each.where for each in gaps(index, day.now) if each.kind == "unreadable"]
    found += [str(each) for each in search(index, "forged").statements]
    index.close()
    return found


async def test_facts_that_were_not_signed_are_a_finding_and_found_by_no_word(
    day: Day, tmp_path: Path
) -> None:
    topic = "notices.asia-pacific"
    places: list[str] = []

    def forged(stored: Stored) -> Stored:
        envelope = unframe(Envelope, stored.value)
        shown = [
            replace(each, value=each.value.replace("Phòng".encode(), b"forged"))
            for each in envelope.disclosures
        ]
        if shown != list(envelope.disclosures):
            places.append(f"{topic}/{stored.partition.number} at {stored.offset}")
        return replace(stored, value=frame(replace(envelope, disclosures=tuple(shown))))

    assert await findings(day, tmp_path / "audit.index", topic, forged) == places
    assert len(places) == 1


async def test_a_second_decision_and_one_about_nothing_are_findings(day: Day, tmp_path: Path) -> None:
    first: list[bytes] = []

    def again(stored: Stored) -> Stored:
        first.append(stored.value)
        return replace(stored, value=first[0]) if stored.offset == 1 else stored

    def of_nothing(stored: Stored) -> Stored:
        other = replace(unframe(Decision, stored.value), statement=bytes(32))
        return replace(stored, value=frame(other)) if stored.offset == 1 else stored

    for change in (again, of_nothing):
        path = tmp_path / f"{change.__name__}.index"
        assert await findings(day, path, "decisions", change) == ["decisions/0 at 1"]


async def test_another_log_s_key_is_another_index(day: Day, tmp_path: Path) -> None:
    path = tmp_path / "audit.index"
    await built(day, path)
    key = LogSigner(LogKey.parse(day.key).name, PrivateKey.generate(Algorithm.ED25519)).key
    index = AuditIndex(path, key, CATALOGUE)
    assert index.leaves.size == 0
    index.close()


def test_a_question_to_a_damaged_index_is_a_doubt(day: Day, tmp_path: Path) -> None:
    path = tmp_path / "audit.index"
    asyncio.run(built(day, path))
    index = opened(day, path)
    about = index._about
    index.close()
    file = Base.open(path, about)
    file.run("DROP TABLE refers")
    with pytest.raises(Doubted):
        file.rows("SELECT * FROM refers")
    file.close()


@pytest.mark.sockets
async def test_what_the_hub_erases_goes_from_the_index_which_is_then_one_made_anew(tmp_path: Path) -> None:
    canary = "Canaryplace"
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp", slots=["facts", "persons"])
        first = await world.publish("vn", sighting(place=canary))
        other = await world.publish("vn", sighting(place="Hue"))
        await world.deliveries("jp")
        await world.settle()
        index = AuditIndex(tmp_path / "audit.index", world.log_signer.key, CATALOGUE)
        await index.refresh(world.log)
        assert search(index, canary).count == 1
        assert files_with(tmp_path / "audit.index", canary) != []

        order(world, tmp_path, first.statement)
        await erased(world, tmp_path)
        await index.refresh(world.log)

        assert search(index, canary).count == 0
        assert [each.statement for each in search(index, "hue").statements] == [other.statement]
        assert files_with(tmp_path / "audit.index", canary) == []
        assert life(index, first.statement.hex()).stages[-1].what == "erased"
        before = rows_of(index)
        index.begin_anew()
        await index.refresh(world.log)
        assert rows_of(index) == before
        assert not any(gaps(index, world.clock.now()))
        index.close()


@pytest.mark.sockets
async def test_what_is_erased_goes_from_the_index_before_anybody_asks_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BUSY_SECONDS", 0.05)
    canaries = ("Canaryone", "Canarytwo")
    path = tmp_path / "audit.index"
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp", slots=["facts", "persons"])
        sent = [await world.publish("vn", sighting(place=each)) for each in (*canaries, "Hue")]
        await world.settle()
        await Forgetting(path, world.log).step()
        assert not path.exists(), "where there is no index, none is made"
        index = AuditIndex(path, world.log_signer.key, CATALOGUE)
        await index.refresh(world.log)

        order(world, tmp_path, sent[0].statement)
        await erased(world, tmp_path)
        forgetting = Forgetting(path, world.log)
        await forgetting.step()
        assert search(index, canaries[0]).count == 1, "who asks is not disturbed; it is tried again"
        index.close()
        await forgetting.step()
        assert files_with(path, canaries[0]) == []

        order(world, tmp_path, sent[1].statement)
        await erased(world, tmp_path)
        await forgetting.step()
        assert files_with(path, canaries[1]) == []

        index = AuditIndex(path, world.log_signer.key, CATALOGUE)
        await index.refresh(world.log)
        assert search(index, "hue").count == 1
        assert [search(index, each).count for each in canaries] == [0, 0]
        before = rows_of(index)
        index.begin_anew()
        await index.refresh(world.log)
        assert rows_of(index) == before
        index.close()


@pytest.mark.sockets
async def test_what_is_no_index_loses_nothing_and_what_is_in_doubt_goes(tmp_path: Path) -> None:
    path = tmp_path / "audit.index"
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp", slots=["facts"])
        first = await world.publish("vn", sighting(place="Hue"))
        order(world, tmp_path, first.statement)
        await erased(world, tmp_path)
        sql(path, "CREATE TABLE mine (x)")
        await Forgetting(path, world.log).step()
        assert path.exists()
        path.write_bytes(b"no database at all" * 100)
        await Forgetting(path, world.log).step()
        assert not path.exists()


def files_with(path: Path, text: str) -> list[str]:
    return [each.name for each in path.parent.glob(f"{path.name}*") if text.encode() in each.read_bytes()]


@pytest.mark.kafka
@pytest.mark.sockets
async def test_on_a_cluster_the_index_says_what_happened_there(kafka_url: str, tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl", url=kafka_url) as world:
        said = await live(world)
        index = AuditIndex(tmp_path / "audit.index", world.log_signer.key, CATALOGUE)
        await index.refresh(world.log)
        for statement in said.values():
            assert all(stage.proved is not None for stage in life(index, statement.hex()).stages)
        assert {stage.what for stage in life(index, said["first"].hex()).stages} >= {"received", "acted on"}
        assert {each.member: each.delivered for each in standings(index, 0)} == {"jp": 7, "nl": 5, "vn": 2}
        before = rows_of(index)
        index.begin_anew()
        await index.refresh(world.log)
        assert rows_of(index) == before
        index.close()
