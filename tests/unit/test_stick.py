"""A node without network: notices go out and come in by sticks, and everything proves itself as online."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from adapters.stick.carrier import STATE_FILE, Carrier
from adapters.stick.file import Counted, End, Fed, Head, Notices, Settled, open_stick, write_stick
from broker.core.errors import BadSignature, BadStick, StickMissing, Unavailable
from broker.core.model import Event
from broker.core.wire import Feed, HeadAnswer, Outcome, Outcomes, StatementStatus
from tests.crash import Crash, CrashPoints
from tests.nodes import LocalHub, OtherHub, TestNode
from tests.sticks import OfflineNode
from tests.world import DAY, NETWORK, World, sighting


def agree(world: World) -> None:
    world.agree("vn", "jp")
    world.agree("jp", "vn", slots=["facts", "identifiers"], name="other-way")


async def test_a_notice_goes_out_and_one_comes_in_by_two_sticks(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue(place="Hai Phong")
        jp.enqueue(place="Kobe")
        await jp.sends()

        exported = await vn.exports()
        handed, fetched = await vn.carries()
        imported = await vn.imports()
        await jp.receives()

        assert (exported.number, exported.notices, exported.unknown) == (1, 1, ())
        assert (handed.notices, handed.refused) == (1, 0)
        assert (fetched.deliveries, fetched.proven) == (1, 1)
        assert (imported.proven, imported.deliveries, imported.stopped) == (1, 1, None)
        assert vn.states() == [("proven", None)]
        assert len(vn.files()) == len(jp.files()) == 1
        assert vn.alarms() == []


async def test_receipts_go_along_with_the_next_stick(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        number = jp.enqueue()
        await jp.sends()
        await vn.goes_round()
        assert vn.incoming.receipts_waiting() == 1

        await vn.goes_round()

        assert vn.incoming.receipts_waiting() == 0
        queued = jp.outgoing.queued(number)
        assert queued is not None
        assert queued.statement is not None
        await world.settle()
        status = await world.ledger.statements.status("jp", queued.statement)
        assert status.receipts == {Event.DELIVERED.name.lower(): 1}


async def test_a_day_offline_is_made_up_for_by_one_stick_each_way(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        await vn.goes_round()
        for hour in range(24):
            for node in (vn, jp):
                drafts = [node.draft(place=f"{hour} {number}") for number in range(5)]
                node.outgoing.enqueue(drafts, world.clock.now())
            world.clock.move(DAY // 24)
        await jp.sends()

        imported = await vn.goes_round()
        await jp.receives()

        assert (imported.proven, imported.deliveries) == (120, 120)
        assert len(vn.files()) == len(jp.files()) == 120
        assert vn.alarms() == []


async def test_a_stick_that_is_taken_in_twice_changes_nothing(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue()
        jp.enqueue()
        await jp.sends()
        await vn.exports()
        await vn.carrier().take(vn.out)
        await vn.carries()
        first = await vn.imports()

        second = await vn.imports()
        await jp.receives()

        assert (first.proven, first.deliveries) == (1, 1)
        assert (second.proven, second.deliveries, second.stopped) == (0, 0, None)
        assert len(jp.files()) == 1
        assert vn.alarms() == []


class GrowingHub(LocalHub):
    """The log grows after every answer of the feed, by what is none of the member's business."""

    async def feed(self, after: int, limit: int, wait: float) -> Feed:
        answer = await super().feed(after, limit, wait)
        await self.world.publish("nl", sighting())
        await self.world.settle()
        return answer


async def test_a_stick_that_was_written_while_the_log_grew_may_be_taken_in_twice(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        jp.enqueue()
        await jp.sends()
        await vn.exports()
        carrier = Carrier(GrowingHub(world, "vn"), vn.folder / "carrier", "vn", NETWORK)
        await carrier.take(vn.out)
        await carrier.bring(vn.back, wait_seconds=0)
        first = await vn.imports()

        second = await vn.imports()

        assert (first.deliveries, first.stopped) == (1, None)
        assert (second.deliveries, second.stopped) == (0, None)
        assert vn.alarms() == []


@pytest.mark.parametrize("lost", ["out", "back"])
async def test_a_stick_that_is_lost_is_made_up_for_by_the_next(tmp_path: Path, lost: str) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue()
        jp.enqueue()
        await jp.sends()
        await vn.exports()
        if lost == "back":
            await vn.carries()

        vn.enqueue()
        imported = await vn.goes_round()
        await jp.receives()

        assert (imported.proven, imported.deliveries) == (2, 1)
        assert len(jp.files()) == 2
        assert vn.alarms() == []


async def test_a_feed_that_goes_on_on_another_stick_wants_the_one_before_first(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        await vn.exports()
        jp.enqueue()
        await jp.sends()
        await vn.carries()
        jp.enqueue()
        await jp.sends()
        await world.settle()
        later = vn.folder / "later.stick"
        await vn.carrier().bring(later, wait_seconds=0)

        with pytest.raises(StickMissing) as refused:
            await vn.imports(later)
        assert refused.value.field == "stick 1"
        assert "part 1" in str(refused.value)
        await vn.imports()
        await vn.imports(later)

        assert len(vn.files()) == 2


async def test_what_one_stick_cannot_hold_is_no_hole_and_is_proven_whole_with_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        for number in range(3):
            jp.enqueue(place=str(number))
        await jp.sends()
        monkeypatch.setattr("adapters.stick.carrier.A_FEED", 1)
        for each in ("carrier", "node"):
            monkeypatch.setattr(f"adapters.stick.{each}.MOST_FEED_BYTES", 1)
        await vn.exports()
        await vn.carries()
        parts = [vn.folder / f"{number}.stick" for number in range(4)]
        vn.back.rename(parts[0])
        for part in parts[1:]:
            await vn.carrier().bring(part, wait_seconds=0)

        whole = [await vn.imports(part) for part in parts]

        assert [(each.deliveries, each.behind, each.whole_to) for each in whole] == [
            (1, 2, 0),
            (1, 1, 0),
            (1, 0, 3),
            (0, 0, 3),
        ]
        for part in parts:
            assert (await vn.imports(part)).whole_to == 3
        assert vn.alarms() == []


async def test_what_one_stick_said_of_the_inbox_counts_for_no_other(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        sticks = OfflineNode(world, "vn", tmp_path).sticks
        sticks.hear(Counted(HeadAnswer(b"head", None, b"note")))
        sticks.hear(Fed(0, Feed([], 0, 0, b"note")))
        assert (await sticks.head()).head == b"head"

        sticks.begin()

        assert await sticks.head() == HeadAnswer()
        assert await sticks.checkpoint() is None


async def test_a_stick_that_comes_after_a_later_one_is_not_handed_over(tmp_path: Path) -> None:
    """The later one holds all that it holds; what goes back must answer the later one."""
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn = OfflineNode(world, "vn", tmp_path)
        vn.enqueue()
        older = vn.folder / "older.stick"
        await vn.exports(older)
        vn.enqueue()
        await vn.exports()
        await vn.carrier().take(vn.out)

        with pytest.raises(BadStick) as refused:
            await vn.carrier().take(older)

        assert refused.value.field == "number"
        await world.settle()
        await vn.carrier().bring(vn.back, wait_seconds=0)
        assert (await vn.imports()).proven == 2


async def test_a_refused_notice_is_told_and_those_after_it_are_signed_again(tmp_path: Path) -> None:
    """The hub's clock stands at another place by then: one has expired on its way, the others have not."""
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue({"effective_until": "2026-09-22T00:00:00Z"})
        vn.enqueue()
        await vn.exports()
        world.clock.move(10 * DAY)

        handed, _ = await vn.carries()
        await vn.imports()
        await vn.goes_round()
        await jp.receives()

        assert handed.refused == 1
        assert vn.states() == [("refused", "expired"), ("proven", None)]
        assert len(jp.files()) == 1


async def test_a_node_that_wrote_before_asks_first_where_its_stream_stands(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        online = TestNode(world, "vn", tmp_path)
        online.enqueue()
        await online.sends()
        online.close()
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue()

        exported = await vn.exports()
        assert (exported.notices, exported.unknown) == (0, ("asia-pacific/main",))
        await vn.carries()
        await vn.imports()
        assert (await vn.goes_round()).proven == 1
        await jp.receives()

        assert len(jp.files()) == 2
        assert vn.alarms() == []


async def test_a_node_that_was_set_back_is_found_out_by_the_carrier_and_sends_nothing_twice(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue(place="first")
        await vn.goes_round()
        vn.close()
        shutil.copy(vn.path, tmp_path / "backup.db")
        vn = OfflineNode(world, "vn", tmp_path)
        vn.enqueue(place="second")
        await vn.goes_round()
        vn.close()
        shutil.copy(tmp_path / "backup.db", vn.path)
        vn = OfflineNode(world, "vn", tmp_path)
        vn.enqueue(place="third")

        await vn.exports()
        with pytest.raises(BadStick) as refused:
            await vn.carrier().take(vn.out)
        assert refused.value.field == "number"
        vn.close()
        vn = OfflineNode(world, "vn", tmp_path)
        exported = await vn.exports(fresh=True)
        assert exported.notices == 0
        await vn.carries()
        await vn.imports()
        await vn.goes_round()
        await jp.receives()

        assert len(jp.files()) == 3
        assert ("stream.left", "out-of-order") in vn.alarms()
        assert world.metrics.refusals.collect()[0].samples == []


async def test_a_restored_node_that_begins_anew_sends_nothing_again_that_waited_in_its_backup(
    tmp_path: Path,
) -> None:
    """What waited when the backup was made was signed and sent since; the hub proves that it has it."""
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue(place="first")
        await vn.goes_round()
        vn.enqueue(place="waits in the backup")
        vn.close()
        shutil.copy(vn.path, tmp_path / "backup.db")
        vn = OfflineNode(world, "vn", tmp_path)
        await vn.goes_round()
        vn.enqueue(place="not in the backup")
        await vn.goes_round()
        vn.close()
        shutil.copy(tmp_path / "backup.db", vn.path)
        vn = OfflineNode(world, "vn", tmp_path)
        vn.enqueue(place="afterwards")

        exported = await vn.exports(fresh=True)
        assert (exported.notices, len(exported.unknown)) == (0, 1)
        await vn.carries()
        await vn.imports()
        await vn.goes_round()
        await jp.receives()

        assert [state for state, _ in vn.states()] == ["proven"] * 3
        assert len(jp.files()) == 4


async def test_an_answer_to_a_stick_that_the_store_never_made_is_refused(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn = OfflineNode(world, "vn", tmp_path)
        await vn.goes_round()
        await vn.exports()
        await vn.carries()
        vn.store.remember(stick_number=1)

        with pytest.raises(BadStick) as refused:
            await vn.imports()

        assert refused.value.field == "number"


async def test_a_carrier_that_the_hub_does_not_answer_is_sent_again(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue()
        await vn.exports()
        carrier = vn.carrier()
        carrier._hub.online = False  # type: ignore[attr-defined]
        with pytest.raises(Unavailable):
            await carrier.take(vn.out)
        with pytest.raises(StickMissing):
            await carrier.bring(vn.back, wait_seconds=0)
        assert not vn.back.exists()

        await vn.carries()

        assert (await vn.imports()).proven == 1
        await jp.receives()
        assert len(jp.files()) == 1


class Partial(OtherHub):
    """Answers about the first notice alone; says of the rest what it is told to say."""

    rest: Sequence[Outcome] = ()

    async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
        first = (await super().publish(envelopes[:1])).results
        return Outcomes([*first, *self.rest])


@pytest.mark.parametrize(
    "rest",
    [
        (),
        (Outcome(None, None, "not-attempted"),),
        (Outcome(None, None, "not-attempted", "too-many"),),
        (Outcome(None, None, "refused", "not-yet-valid"),),
    ],
)
async def test_a_stick_of_which_the_hub_did_not_take_all_is_handed_over_again(
    tmp_path: Path, rest: Sequence[Outcome]
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue(place="first")
        vn.enqueue(place="second")
        await vn.exports()
        carrier = vn.carrier()
        carrier._hub = hub = Partial(LocalHub(world, "vn"))
        hub.rest = rest
        with pytest.raises(Unavailable):
            await carrier.take(vn.out)
        assert not (vn.folder / "carrier" / STATE_FILE).exists()

        await vn.carries()

        assert (await vn.imports()).proven == 2
        await jp.receives()
        assert len(jp.files()) == 2


class Telling(OtherHub):
    """Answers at once about `most` statements, whatever it is asked; more than asked, if that is more."""

    most = 1

    async def statements(self, statements: Sequence[bytes]) -> Sequence[StatementStatus | None]:
        told = list(await super().statements(statements))
        return [*told, *(None for _ in range(self.most - len(told)))][: self.most]


@pytest.mark.parametrize("most", [0, 1, 9])
async def test_a_carrier_asks_on_about_what_the_hub_left_out_and_brings_nothing_of_another_number(
    tmp_path: Path, most: int
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn = OfflineNode(world, "vn", tmp_path)
        vn.enqueue(place="first")
        vn.enqueue(place="second")
        await vn.exports()
        await vn.carrier().take(vn.out)
        await world.settle()
        carrier = vn.carrier()
        carrier._hub = hub = Telling(LocalHub(world, "vn"))
        hub.most = most

        if most == 1:
            assert (await carrier.bring(vn.back, wait_seconds=0)).proven == 2
        else:
            with pytest.raises(Unavailable):
                await carrier.bring(vn.back, wait_seconds=0)
        assert vn.back.exists() is (most == 1)


async def test_a_refused_receipt_of_many_is_found_by_asking_about_each(tmp_path: Path) -> None:
    """One that was refused does not keep those that were taken waiting, whatever their order."""
    async with World(tmp_path, "vn") as world:
        sticks = OfflineNode(world, "vn", tmp_path).sticks
        taken, refused = sha256(b"taken").hexdigest(), sha256(b"refused").hexdigest()
        sticks.hear(Settled([taken], {refused: "bad-signature"}))

        with pytest.raises(BadStick):
            await sticks.receipts([b"taken", b"refused"])
        await sticks.receipts([b"taken"])
        with pytest.raises(BadSignature):
            await sticks.receipts([b"refused"])


async def _life(world: World, folder: Path, points: CrashPoints | None) -> OfflineNode:
    """Everything that a node and its carrier do, to its end."""
    vn = OfflineNode(world, "vn", folder, points=points)
    try:
        await vn.exports()
        await vn.carrier(points).take(vn.out)
        await world.settle()
        await vn.carrier(points).bring(vn.back, wait_seconds=0)
        await vn.imports()
        await vn.exports()
    except BaseException:
        vn.close()
        raise
    return vn


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.soak)])
async def test_node_and_carrier_may_die_at_every_call(tmp_path: Path, stride: int) -> None:
    """Wherever it was cut, the same steps once more lose nothing and double nothing."""
    points = CrashPoints()
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        jp = TestNode(world, "jp", tmp_path)
        jp.enqueue()
        await jp.sends()
        (tmp_path / "quiet").mkdir()
        vn = OfflineNode(world, "vn", tmp_path / "quiet")
        vn.enqueue()
        vn.close()
        (await _life(world, tmp_path / "quiet", points)).close()
        arrived = 1
        for crash_at in range(1, len(points.passed) + 1, stride):
            folder = tmp_path / f"cut{crash_at}"
            folder.mkdir()
            vn = OfflineNode(world, "vn", folder)
            vn.enqueue(place=str(crash_at))
            vn.close()
            try:
                (await _life(world, folder, CrashPoints(crash_at))).close()
            except* Crash:
                pass

            vn = await _life(world, folder, None)

            arrived += 1
            assert vn.states() == [("proven", None)], points.passed[crash_at - 1]
            assert len(vn.files()) == 1
            assert vn.alarms() == []
            vn.close()
        await jp.receives()
        assert len(jp.files()) == arrived


Change = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\n",
        lambda data: data + data,
        lambda data: data.replace(b'"is":"end"', b'"is":"eternal"'),
        lambda data: data.replace(b'"number":1', b'"number":2'),
        lambda data: b"\n".join(data.splitlines()[1:]) + b"\n",
        lambda data: b"[" * 100_000 + data,
        lambda data: b"\xff" + data,
    ],
)
async def test_a_stick_that_is_not_whole_is_none(tmp_path: Path, change: Change) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        vn = OfflineNode(world, "vn", tmp_path)
        await vn.exports()
        await vn.carries()
        vn.back.write_bytes(change(vn.back.read_bytes()))

        with pytest.raises(BadStick):
            await vn.imports()


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bit_of_a_stick_can_be_turned_unnoticed(tmp_path: Path, place: float, bit: int) -> None:
    path, whole = tmp_path / "a.stick", tmp_path / "whole.stick"
    if not whole.exists():
        with write_stick(whole) as write:
            write(Head(kind="outbox", network="n", member="vn", conversation="c", number=1, after=0))
            write(Notices("asia-pacific/main", [b"one", b"two"]))
    data = bytearray(whole.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(bytes(data))

    with pytest.raises(BadStick), open_stick(path, "outbox") as (_, lines):
        list(lines)


HEAD = Head(kind="outbox", network="n", member="vn", conversation="c", number=1, after=0)
LINE = Notices("asia-pacific/main", [b"one"])
FED = Fed(0, Feed([], 0))


@pytest.mark.parametrize(
    "lines",
    [
        (LINE,),
        (End(0, ""),),
        (structs.replace(HEAD, kind="feed"), LINE),
        (structs.replace(HEAD, number=0), LINE),
        (structs.replace(HEAD, part=0), LINE),
        (structs.replace(HEAD, after=-1), LINE),
        (HEAD, HEAD, LINE),
        (HEAD, End(1, ""), LINE),
    ],
)
def test_a_whole_stick_that_has_what_none_has_is_refused(tmp_path: Path, lines: Sequence[Any]) -> None:
    """Whoever alters a stick can count its lines and write their digest, too."""
    path = tmp_path / "a.stick"
    with write_stick(path) as write:
        for line in lines:
            write(line)

    with pytest.raises(BadStick), open_stick(path, "outbox") as (_, found):
        list(found)


@pytest.mark.parametrize(
    ("line", "said"), [(HEAD, "only at an end"), (End(1, ""), "only at an end"), (FED, "the other way")]
)
def test_a_line_in_the_wrong_place_is_said_to_be_one(tmp_path: Path, line: Any, said: str) -> None:
    path = tmp_path / "a.stick"
    with write_stick(path) as write:
        for each in (HEAD, line, LINE):
            write(each)

    with pytest.raises(BadStick, match=said) as refused, open_stick(path, "outbox"):
        pass
    assert refused.value.field == "line 2"


def test_of_a_stick_with_a_line_that_nobody_could_use_nothing_is_given_out(tmp_path: Path) -> None:
    path = tmp_path / "a.stick"
    odd = Notices("asia-pacific/main", [b"another"])
    with write_stick(path) as write:
        for each in (HEAD, LINE, LINE, odd):
            write(each)
    given: list[Any] = []

    def check(line: Any) -> None:
        if line == odd:
            raise BadStick("not this one", field="notices")

    with pytest.raises(BadStick, match="not this one"), open_stick(path, "outbox", check) as (_, lines):
        given += lines
    assert given == []
    with open_stick(path, "outbox") as (_, lines):
        assert list(lines) == [LINE, LINE, odd]


@pytest.mark.parametrize(
    ("bound", "most"), [("MOST_LINE_BYTES", 150), ("MOST_LINES", 4), ("MOST_BYTES", 500)]
)
def test_a_stick_is_neither_written_nor_read_past_its_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    path = tmp_path / "a.stick"
    line = Notices("asia-pacific/main", [b"x" * 100])

    def written() -> None:
        with write_stick(path) as write:
            write(HEAD)
            for _ in range(4):
                write(line)

    written()
    monkeypatch.setattr(f"adapters.stick.file.{bound}", most)
    with pytest.raises(BadStick, match="longer than"), open_stick(path, "outbox"):
        pass
    path.unlink()
    with pytest.raises(BadStick, match="more than one stick"):
        written()
    assert list(tmp_path.iterdir()) == []


async def test_a_stick_is_taken_by_whom_it_is_for_alone(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        vn, jp = OfflineNode(world, "vn", tmp_path), OfflineNode(world, "jp", tmp_path)
        await vn.exports()
        await vn.carries()
        await jp.exports()

        for taking in (
            lambda: jp.carrier().take(vn.out),
            lambda: jp.imports(vn.back),
            lambda: vn.carrier().take(vn.back),
            lambda: vn.imports(vn.out),
        ):
            with pytest.raises(BadStick):
                await taking()
        assert not (jp.folder / "carrier" / STATE_FILE).exists()


def test_a_stick_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    head = Head(kind="outbox", network="n", member="vn", conversation="c", number=1, after=0)
    path = tmp_path / "a.stick"
    too_much = [bytes(30 << 20)]
    with pytest.raises(BadStick), write_stick(path) as write:  # noqa: PT012 (the file is there by then)
        write(head)
        write(Notices("asia-pacific/main", too_much))
    assert list(tmp_path.iterdir()) == []

    with write_stick(path) as write:
        write(head)
        write(Notices("asia-pacific/main", [b"one"]))

    with open_stick(path, "outbox") as (found, lines):
        assert (found, list(lines)) == (head, [Notices("asia-pacific/main", [b"one"])])
    assert path.stat().st_mode & 0o077 == 0
