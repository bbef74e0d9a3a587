"""Whatever is done to a stick: nothing else is taken in, nothing by half, and the right one still counts.

Two kinds of hands: those that only damage, and those that write a whole stick again, with count and digest.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.stick.carrier import Carrier
from broker.core.errors import BadStick, HalongError, StickMissing
from broker.core.model import Region
from broker.core.wire import HeadAnswer, Outcome, Outcomes, StatementStatus, StreamPosition
from tests.nodes import TestNode
from tests.sticks import OfflineNode
from tests.world import NETWORK, World

Tree = Any
SEEDS = st.integers(0, 1 << 32)
PLACE = "SELECT 1 FROM deliveries WHERE place = ? AND state = 'delivered'"


class Case:
    """A node that waits for what comes back, the stick that does, and others that it might be swapped for.

    `files` are what the channel has after the right stick.
    """

    def __init__(
        self,
        world: World,
        folder: Path,
        out: bytes,
        back: bytes,
        others: tuple[bytes, ...],
        files: dict[str, bytes],
    ) -> None:
        self.world = world
        self.folder = folder
        self.out = out
        self.back = back
        self.others = others
        self.files = files
        lines = [json.loads(line) for line in back.splitlines()]
        self.places = [
            item["place"] for each in lines if each["is"] == "feed" for item in each["feed"]["items"]
        ]

    def __repr__(self) -> str:
        return "case"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Two notices went out, one came, and the stick with the answer is on its way."""
    folder = tmp_path_factory.mktemp("sticks")
    world = World(folder, "vn", "jp")
    world.agree("vn", "jp")
    world.agree("jp", "vn", name="other-way")

    async def play() -> Case:
        async with world:
            vn, jp = OfflineNode(world, "vn", folder), TestNode(world, "jp", folder)
            (folder / "other").mkdir()
            foreign = OfflineNode(world, "jp", folder / "other")
            vn.enqueue(place="Vinh")
            await vn.goes_round()
            older = vn.back.read_bytes()
            older_out = vn.out.read_bytes()
            vn.enqueue(place="Hue")
            for place in ("Kobe", "Nara", "Otsu"):
                jp.enqueue(place=place)
            await jp.sends()
            # First, so that no other stick shows a larger log: after that one, only a later stick counts.
            await foreign.exports()
            await foreign.carries()
            await vn.exports()
            await vn.carries()
            others = (older, older_out, foreign.back.read_bytes(), foreign.out.read_bytes())
            vn.close()
            shutil.copytree(vn.folder, folder / "before")
            after = OfflineNode(world, "vn", folder)
            assert (await after.imports()).deliveries == 3
            after.close()
            return Case(
                world,
                folder / "before",
                vn.out.read_bytes(),
                vn.back.read_bytes(),
                others,
                contents(vn.inbox),
            )

    return asyncio.run(play())


def contents(inbox: Path) -> dict[str, bytes]:
    return {str(path.relative_to(inbox)): path.read_bytes() for path in inbox.rglob("*") if path.is_file()}


# --- what hands can do ---------------------------------------------------------------------------------


def places_in(tree: Tree, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, the inner ones too."""
    yield path
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from places_in(value, (*path, key))
    elif isinstance(tree, list):
        for at, value in enumerate(tree):
            yield from places_in(value, (*path, at))


def replaced(tree: Tree, path: Sequence[Any], change: Callable[[Tree], Tree]) -> Tree:
    if not path:
        return change(tree)
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = replaced(copy[path[0]], path[1:], change)
    return copy


def damaged(random: Random, stick: bytes) -> bytes:
    """The bytes after an accident: cut, flipped, doubled, missing, or something put between."""
    start = random.randrange(len(stick))
    end = min(len(stick), start + random.randint(1, 200))
    match random.randrange(6):
        case 0:
            return stick[:start]
        case 1:
            return stick[:start] + bytes([stick[start] ^ random.randint(1, 255)]) + stick[start + 1 :]
        case 2:
            return stick[:start] + stick[end:]
        case 3:
            return stick[:end] + stick[start:end] + stick[end:]
        case 4:
            return stick[start:]
        case _:
            return stick[:start] + random.randbytes(random.randint(1, 40)) + stick[start:]


def value(random: Random) -> Tree:
    """Something that may stand in JSON, and seldom where it is put."""
    text = "".join(chr(random.choice((random.randrange(128), random.randrange(0xD800)))) for _ in range(5))
    odd = [None, True, 0, 1, -1, 1 << 62, 1 << 70, 0.5, "", "AAAA", "../../x", "f" * 64, [], {}, [None], text]
    return random.choice(odd)


def rewritten(random: Random, stick: bytes, others: Sequence[bytes]) -> bytes:
    """A whole stick again, with its count and digest: lines moved, doubled, left out, borrowed, changed."""
    lines = [json.loads(line) for line in stick.splitlines()[:-1]]
    foreign = [json.loads(line) for other in others for line in other.splitlines()[:-1]]
    for _ in range(random.randint(1, 3)):
        at = random.randrange(max(len(lines), 1))
        kind = random.randrange(8) if lines else 0
        if kind == 0:
            lines.insert(at, random.choice(foreign))
        elif kind == 1:
            del lines[at]
        elif kind == 2:
            lines.insert(at, lines[at])
        elif kind == 3:
            lines.insert(random.randrange(len(lines)), lines.pop(at))
        elif kind == 4:
            lines[at] = random.choice(foreign)
        elif kind == 5 and (
            lists := [p for p in places_in(lines[at]) if isinstance(_at(lines[at], p), list)]
        ):
            path = random.choice(lists)
            lines[at] = replaced(
                lines[at], path, lambda found: random.sample(found, random.randint(0, len(found)))
            )
        else:
            path = random.choice(list(places_in(lines[at])))
            lines[at] = replaced(lines[at], path, lambda _: value(random))
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    end = {"is": "end", "lines": len(lines), "sha256": sha256(body).hexdigest()}
    return body + json.dumps(end).encode() + b"\n"


def _at(tree: Tree, path: Sequence[Any]) -> Tree:
    for key in path:
        tree = tree[key]
    return tree


# --- to the node ---------------------------------------------------------------------------------------


def state(node: OfflineNode) -> object:
    """All that counts in a store."""
    tables = ("deliveries", "drafts", "statements", "receipts", "lanes", "queue", "channels", "checkpoints")
    there = {name for (name,) in node.store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [node.store.rows(f"SELECT * FROM {name}") for name in tables if name in there]


def takes_in(case: Case, stick: bytes) -> None:
    """Give a node the stick, then the right one, and look at what became of both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(case.folder, folder / "vn")
        node = OfflineNode(case.world, "vn", folder)
        path = folder / "some.stick"
        path.write_bytes(stick)
        before = state(node)

        async def play() -> None:
            try:
                await node.imports(path)
            except (BadStick, StickMissing):
                assert state(node) == before, "a stick that was refused was taken in by half"
            except HalongError:
                pass
            # Nothing that came is other than what the right stick brings, and that one still counts.
            assert contents(node.inbox).items() <= case.files.items()
            path.write_bytes(case.back)
            await node.imports(path)
            # Places in the feed are the hub's word, with no proof: they alone can make the node pass over,
            # and what is passed over the hub's head counts.
            alarms = {event for event, _ in node.alarms()}
            missing = [each for each in case.places if not node.store.row(PLACE, each + 1)]
            assert (
                contents(node.inbox) == case.files
                or alarms & {"head.missing", "head.bad"}
                or ("feed.stopped" in alarms and node.incoming.place() > min(missing))
            )
            assert {each for each, _ in node.states()} <= {
                "proven",
                "refused",
                "signed",
                "accepted",
                "admitted",
            }

        try:
            asyncio.run(play())
        finally:
            node.close()


@settings(max_examples=30)
@given(seed=SEEDS)
def test_a_damaged_stick_is_none_and_leaves_no_trace(case: Case, seed: int) -> None:
    stick = damaged(Random(seed), case.back)
    if stick == case.back:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(case.folder, folder / "vn")
        node = OfflineNode(case.world, "vn", folder)
        (folder / "some.stick").write_bytes(stick)
        before = state(node)
        try:
            with pytest.raises(BadStick):
                asyncio.run(node.imports(folder / "some.stick"))
            assert state(node) == before
        finally:
            node.close()


@settings(max_examples=40)
@given(seed=SEEDS)
def test_whoever_writes_a_stick_again_brings_in_nothing_else_and_keeps_nothing_out(
    case: Case, seed: int
) -> None:
    takes_in(case, rewritten(Random(seed), case.back, case.others))


@pytest.mark.parametrize("number", range(4), ids=["older", "own, outward", "another's", "another's, outward"])
def test_another_stick_brings_nothing_else(case: Case, number: int) -> None:
    takes_in(case, case.others[number])


# --- to the hub ----------------------------------------------------------------------------------------


@dataclass
class Recorder:
    """A hub that takes everything and remembers it."""

    envelopes: list[bytes] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)

    async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
        self.envelopes += envelopes
        return Outcomes([Outcome("0" * 64, None, "accepted") for _ in envelopes])

    async def receipts(self, receipts: Sequence[bytes]) -> None:
        self.others += receipts

    async def statements(self, statements: Sequence[bytes]) -> list[StatementStatus | None]:
        return [None for _ in statements]

    async def stream(self, region: Region, stream: str) -> StreamPosition:
        return StreamPosition(0, None)

    async def head(self) -> HeadAnswer:
        return HeadAnswer()

    async def feed(self, after: int, limit: int, wait: float) -> Any:
        raise BadStick("far enough for this test", field="test")


def hands_over(stick: bytes) -> tuple[Recorder, HalongError | None]:
    hub = Recorder()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "some.stick"
        path.write_bytes(stick)
        carrier = Carrier(hub, Path(name) / "carrier", "vn", NETWORK)  # type: ignore[arg-type]

        async def play() -> HalongError | None:
            try:
                await carrier.take(path)
            except HalongError as error:
                return error
            # What was taken can be answered: nothing in it is found to be wrong only now.
            with pytest.raises(BadStick, match="far enough"):
                await carrier.bring(Path(name) / "back.stick", wait_seconds=0)
            return None

        return hub, asyncio.run(play())


@settings(max_examples=30)
@given(seed=SEEDS)
def test_of_a_damaged_stick_nothing_reaches_the_hub(case: Case, seed: int) -> None:
    stick = damaged(Random(seed), case.out)
    if stick == case.out:
        return
    hub, error = hands_over(stick)
    assert isinstance(error, BadStick)
    assert (hub.envelopes, hub.others) == ([], [])


@settings(max_examples=100)
@given(seed=SEEDS)
def test_of_a_stick_that_is_refused_nothing_reaches_the_hub(case: Case, seed: int) -> None:
    hub, error = hands_over(rewritten(Random(seed), case.out, case.others))
    if error is not None:
        assert error.code
        assert (hub.envelopes, hub.others) == ([], [])
