"""What whoever has a stick takes out of the feed on it is missing by the hub's head, which comes along.

A delivery proves itself, and a hole in a lane shows.  The end of a feed, all of a lane, and the place at
which something stands prove nothing: only the head, which the hub wrote into its log, counts them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pytest
from msgspec import structs

from adapters.receiving.heads import OVERDUE_MS
from adapters.stick.file import Content, Counted, Fed, Settled, open_stick, write_stick
from adapters.stick.node import Imported
from broker.core.keys import Algorithm, PrivateKey, new_salt
from broker.core.merkle import leaf_hash
from broker.core.model import Head
from broker.core.note import LogSigner
from broker.core.records import decode, encode, record_id
from broker.core.wire import FeedItem, HeadAnswer, Inclusion
from broker.services.heads import EVERY_MS
from tests.nodes import TestNode
from tests.sticks import OfflineNode
from tests.world import NETWORK, World

Lines: TypeAlias = list[Content]
MINUTE_MS = 60_000
PLACES = 5
"""The first came with the stick before; of the others, the second is the one of its lane."""


class Case:
    """A node that took one stick, found the head on it right, and waits for the next, which is written."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.vn = OfflineNode(world, "vn", folder)
        self.senders = {each: TestNode(world, each, folder) for each in ("jp", "nl")}
        self.first = HeadAnswer()

    async def send(self, *senders: str) -> None:
        for number, each in enumerate(senders):
            self.senders[each].enqueue(place=f"{each} {number}")
            await self.senders[each].sends()

    async def bring(self, *, later: int) -> None:
        """Let time pass, and write the stick that goes back."""
        self.world.clock.move(later)
        await self.vn.exports()
        await self.vn.carries()

    async def begin(self) -> None:
        await self.send("jp")
        await self.bring(later=0)
        imported = await self.vn.imports()
        assert (imported.whole_to, imported.head) == (1, None)
        self.first = counted(self.lines())
        await self.send("jp", "nl", "jp", "jp")
        await self.bring(later=OVERDUE_MS + MINUTE_MS)

    def lines(self) -> Lines:
        with open_stick(self.vn.back, "feed") as (_, lines):
            return list(lines)

    async def imports(self, lines: Sequence[Content]) -> Imported:
        """Take in the stick with other lines: whoever alters one can count and hash, too."""
        with open_stick(self.vn.back, "feed") as (head, _):
            pass
        altered = self.vn.folder / "altered.stick"
        with write_stick(altered) as write:
            write(head)
            for line in lines:
                write(line)
        return await self.vn.imports(altered)


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    """A world in which two members send to a third, which has no network."""
    async with World(tmp_path, "vn", "jp", "nl") as world:
        for each in ("jp", "nl"):
            world.agree(each, "vn", name=each)
        yield Case(world, tmp_path)


def counted(lines: Lines) -> HeadAnswer:
    (found,) = [line.answer for line in lines if isinstance(line, Counted)]
    return found


Alter = Callable[[Case, Lines], Lines]


@dataclass(frozen=True, slots=True)
class Row:
    """What is changed on the second stick, and the code and perhaps the field that come of it."""

    name: str
    code: str
    alter: Alter
    field: str | None = None


def fed(change: Callable[[Sequence[FeedItem]], Sequence[FeedItem]], **fields: int) -> Alter:
    """Change what the answers of the feed have in them."""

    def altered(_: Case, lines: Lines) -> Lines:
        return [
            Fed(line.after, structs.replace(line.feed, items=list(change(line.feed.items)), **fields))
            if isinstance(line, Fed)
            else line
            for line in lines
        ]

    return altered


def shown(answer: Callable[[Case, HeadAnswer], HeadAnswer]) -> Alter:
    """Show another head."""

    def altered(case: Case, lines: Lines) -> Lines:
        return [Counted(answer(case, line.answer)) if isinstance(line, Counted) else line for line in lines]

    return altered


def without(*kinds: type[Content]) -> Alter:
    return lambda _, lines: [line for line in lines if not isinstance(line, kinds)]


def ending_early(_: Case, lines: Lines) -> Lines:
    """The first answer of the feed alone, which says that another one comes."""
    first = next(line for line in lines if isinstance(line, Fed))
    items = first.feed.items[:2]
    feed = structs.replace(first.feed, items=items, next=items[-1].place + 1, behind=2)
    return [*without(Fed)(_, lines), Fed(first.after, feed)]


def ending_with_what_is_known(_: Case, lines: Lines) -> Lines:
    """The last one is taken out, and an answer of before is put behind the others."""
    altered = fed(lambda items: items[:-1])(_, lines)
    first = next(line for line in altered if isinstance(line, Fed))
    known = structs.replace(first.feed, items=[], next=1)
    return [*altered, Fed(0, known)]


def swapped(_: Case, lines: Lines) -> Lines:
    """Two deliveries of different lanes are said to stand at each other's places."""

    def exchange(items: Sequence[FeedItem]) -> Sequence[FeedItem]:
        if not items:
            return items
        first, second, *rest = items
        return [
            structs.replace(first, place=second.place),
            structs.replace(second, place=first.place),
            *rest,
        ]

    return fed(exchange)(_, lines)


def too_far(_: Case, lines: Lines) -> Lines:
    """Every delivery is said to stand where the feed will not come to for long."""
    return fed(lambda items: [structs.replace(each, place=each.place + 99) for each in items])(_, lines)


def old_with_a_fresh_path(case: Case, _: HeadAnswer) -> HeadAnswer:
    """What the log's own tiles give to everybody: the proof of a leaf of before, under the newest tree."""
    assert case.first.inclusion is not None
    published = case.world.ledger.published
    assert published is not None
    inclusion = case.world.ledger.inclusion(case.first.inclusion.index, published.size)
    return HeadAnswer(case.first.head, inclusion, published.note)


def made_up(_: Case, answer: HeadAnswer) -> HeadAnswer:
    assert answer.head is not None
    head = replace(decode(Head, answer.head), salt=new_salt(), deliveries=1)
    return structs.replace(answer, head=encode(head))


def of_another_log(case: Case, answer: HeadAnswer) -> HeadAnswer:
    """A log in which the head is the only leaf, signed by a key that is not the pinned one."""
    assert answer.head is not None
    signer = LogSigner(f"{NETWORK}/log", PrivateKey.generate(Algorithm.ED25519))
    root = leaf_hash(b"\x09" + record_id(decode(Head, answer.head)))
    note = signer.sign_checkpoint(1, root, case.world.clock.now())
    return HeadAnswer(answer.head, Inclusion(0, []), note)


ROWS = (
    Row("the last delivery is held back", "missing-delivery", fed(lambda items: items[:-1])),
    Row(
        "the last is held back, and said to come", "missing-delivery", fed(lambda items: items[:-1], behind=9)
    ),
    Row(
        "all of a lane is left out in the middle",
        "missing-delivery",
        fed(lambda items: [*items[:1], *items[2:]]),
    ),
    Row("one is left out in the middle of a lane", "lane-gap", fed(lambda items: [*items[:2], *items[3:]])),
    Row("the feed ends before the head", "missing-delivery", ending_early),
    Row("the feed ends with what is known", "missing-delivery", ending_with_what_is_known),
    Row("there is no feed", "missing-delivery", without(Fed)),
    Row(
        "the last is held back, under the head of before",
        "head-overdue",
        lambda case, lines: shown(lambda *_: case.first)(case, fed(lambda items: items[:-1])(case, lines)),
    ),
    Row("the head of before, which comes again", "head-overdue", shown(lambda case, _: case.first)),
    Row("there is no head", "head-overdue", without(Counted)),
    Row("there is neither feed nor head", "head-overdue", without(Fed, Counted)),
    Row(
        "there is nothing but what was settled",
        "head-overdue",
        lambda _, lines: [line for line in lines if isinstance(line, Settled)],
    ),
    Row(
        "another member's head",
        "bad-head",
        shown(lambda case, _: case.world.heads.answer("jp")),
        "member",
    ),
    Row("a head that is not in the log", "bad-proof", shown(made_up)),
    Row(
        "a head without its path",
        "bad-proof",
        shown(lambda _, answer: structs.replace(answer, inclusion=None)),
    ),
    Row(
        "a head without a checkpoint",
        "bad-proof",
        shown(lambda _, answer: structs.replace(answer, checkpoint=None)),
    ),
    Row("a head in another log", "bad-proof", shown(of_another_log)),
    Row(
        "a head that is none", "not-canonical", shown(lambda _, answer: structs.replace(answer, head=b"\xff"))
    ),
)


def codes(imported: Imported) -> set[str]:
    return {each.code for each in (imported.stopped, imported.head) if each is not None}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_stick_with_another_feed_or_head_is_an_alarm_and_one_that_is_written_again_counts(
    case: Case, row: Row
) -> None:
    await case.begin()

    imported = await case.imports(row.alter(case, case.lines()))

    assert row.code in codes(imported)
    assert row.code in {code for _, code in case.vn.alarms()}
    assert row.field is None or (imported.head is not None and imported.head.field == row.field)
    assert imported.whole_to == 1

    # Its trees may be smaller than what was seen by now, so it is written again.
    await case.vn.carrier().bring(case.vn.back, wait_seconds=0, again=True)
    right = await case.vn.imports()
    assert (codes(right), right.whole_to) == (set(), PLACES)
    assert len(case.vn.files()) == PLACES


async def test_the_stick_that_nobody_altered_is_no_alarm(case: Case) -> None:
    await case.begin()

    imported = await case.imports(case.lines())

    assert (codes(imported), imported.whole_to, case.vn.alarms()) == (set(), PLACES, [])


@pytest.mark.parametrize(
    ("show", "code"),
    [(lambda case, _: case.first, "bad-proof"), (old_with_a_fresh_path, "bad-head")],
    ids=["as it came", "under the newest tree"],
)
async def test_a_head_that_a_later_one_followed_is_taken_back_by_nobody(
    case: Case, show: Callable[[Case, HeadAnswer], HeadAnswer], code: str
) -> None:
    await case.begin()
    await case.vn.imports()
    await case.send("jp")
    await case.bring(later=EVERY_MS)
    held_back = fed(lambda items: items[:-1])(case, case.lines())

    imported = await case.imports(shown(show)(case, held_back))

    assert codes(imported) == {code}
    assert ("head.bad", code) in case.vn.alarms()
    assert imported.whole_to == PLACES


async def test_the_log_s_own_time_tells_that_a_head_was_taken_off_a_stick_that_another_followed(
    case: Case,
) -> None:
    """It answers an older stick than the last, of which the node does not know any more when it was made."""
    await case.begin()
    await case.vn.exports(case.vn.folder / "another.stick")

    imported = await case.imports(without(Counted)(case, case.lines()))

    assert codes(imported) == {"head-overdue"}


async def test_what_is_held_back_under_the_last_head_is_not_said_to_be_whole_and_comes_in_the_end(
    case: Case,
) -> None:
    """Within the hour nothing tells; the place and the time that are shown say no more than is proved."""
    await case.send("jp")
    await case.bring(later=0)
    before = await case.vn.imports()
    await case.send("jp", "nl", "jp")
    await case.bring(later=EVERY_MS // 2)
    without_nl = fed(lambda items: [*items[:1], *items[2:]])

    imported = await case.imports(without_nl(case, case.lines()))

    assert (codes(imported), imported.deliveries) == (set(), 2)
    assert (imported.whole_to, imported.whole_at) == (1, before.whole_at)

    await case.bring(later=EVERY_MS)
    found = await case.vn.imports()
    await case.bring(later=0)
    after = await case.vn.imports()

    assert (codes(found), found.whole_to) == ({"missing-delivery"}, 1)
    assert (codes(after), after.whole_to, len(case.vn.files())) == (set(), 4, 4)


@pytest.mark.parametrize(
    ("alter", "code"), [(swapped, "bad-head"), (too_far, "missing-delivery")], ids=["swapped", "too far"]
)
async def test_a_place_that_is_not_the_hub_s_is_an_alarm_once_it_keeps_something_out(
    case: Case, alter: Alter, code: str
) -> None:
    await case.begin()
    await case.imports(alter(case, case.lines()))
    await case.send("nl")
    await case.bring(later=EVERY_MS)

    imported = await case.vn.imports()

    assert codes(imported) == {code}
