"""Checkpoints are shown to witnesses outside: what each answer leads to, and over HTTP to a real witness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
from aiohttp import web

from adapters.witness.judging import Submission
from broker.configuration import OutsideWitness
from broker.core.cosignature import Cosigner
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, PrivateKey
from broker.core.note import LogKey
from broker.core.policy import Policy
from broker.core.signed_note import Line, split_note
from broker.log import Partition
from broker.log.topics import AUDIT_COSIGNATURES
from broker.services.cosignatures import Cosignatures
from broker.services.pushing import (
    FIRST_SECONDS,
    LONGEST_SECONDS,
    LOOK_SECONDS,
    MOST_ANSWER_BYTES,
    Answer,
    Denied,
    Pusher,
    Unreached,
)
from broker.web.api import Services
from broker.web.outside import MOST_WITNESSES, outside_pushers, post
from tests.unit.test_web_witnesses import listening
from tests.witnesses import asked, grow, witness_node, witnesses
from tests.world import World

OUTSIDE = Cosigner("witness.example/w1", PrivateKey.from_seed(Algorithm.ED25519, b"\5" * 32))
STRANGER = Cosigner("witness.example/w1", PrivateKey.from_seed(Algorithm.ED25519, b"\6" * 32))


class Scripted:
    """A witness that answers as it is told, and keeps what it was shown."""

    def __init__(self, *answers: Answer | Callable[[Submission], Answer]) -> None:
        self.answers: Iterator[Answer | Callable[[Submission], Answer]] = iter(answers)
        self.shown: list[Submission] = []

    async def __call__(self, body: bytes) -> Answer:
        self.shown.append(Submission.read(body))
        answer = next(self.answers)
        return answer if isinstance(answer, Answer) else answer(self.shown[-1])


def cosigns(by: Cosigner = OUTSIDE, also: bytes = b"") -> Callable[[Submission], Answer]:
    def answer(submission: Submission) -> Answer:
        line = by.cosign(split_note(submission.note)[0], 1_790_000_000_000)
        return Answer(200, also + line.text.encode())

    return answer


def cosigns_another_tree(_: Submission) -> Answer:
    """A line by the witness's own key, over what was not shown to it."""
    return Answer(200, OUTSIDE.cosign(b"another tree\n", 1_790_000_000_000).text.encode())


def pusher(world: World, ask: Scripted, **more: Callable[..., object]) -> Pusher:
    return Pusher(OUTSIDE.key, ask, world.cosignatures, world.ledger, world.metrics, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def logged(folder: Path) -> AsyncIterator[World]:
    """A log with something to cosign."""
    async with World(folder, "vn", "jp") as world:
        world.agree("vn", "jp")
        await grow(world, witnesses(world, folder))
        await asked(world)
        yield world


def services(world: World | None) -> Services:
    """What the hub has of services, as far as witnesses outside need any."""
    parts = SimpleNamespace(cosignatures=None, ledger=None, metrics=None)
    if world is not None:
        parts = SimpleNamespace(cosignatures=world.cosignatures, ledger=world.ledger, metrics=world.metrics)
    return cast("Services", parts)


async def given(world: World) -> int:
    return (await world.log.ends([AUDIT_COSIGNATURES])).get(Partition(AUDIT_COSIGNATURES), 0)


async def test_a_cosignature_is_kept_beside_those_of_members_and_counts_for_none_of_them(
    tmp_path: Path,
) -> None:
    async with logged(tmp_path) as world:
        ask = Scripted(cosigns())
        each = pusher(world, ask)
        assert await each.step()
        assert not await each.step(), "it has cosigned this one"
        assert (ask.shown[0].old, ask.shown[0].path) == (0, ())
        note = world.cosignatures.asked()
        assert note is not None
        policy = (
            f"log {world.log_signer.vkey}\nwitness outside {OUTSIDE.key.vkey}\nquorum outside\n"
        ).encode()
        assert Policy.parse(policy).check(note).tree.size == world.ledger.size
        assert world.cosignatures.cosigned(1) is None
        assert await given(world) == 1


async def test_what_another_process_of_the_hub_got_is_not_asked_for_again(tmp_path: Path) -> None:
    async with logged(tmp_path) as world:
        await pusher(world, Scripted(cosigns())).step()
        other = Cosignatures(world.log, world.ledger, world.directory, world.clock, world.metrics)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            task = group.create_task(other.run())
            while (now := other.asked_now()) is None or not other.is_given(OUTSIDE.key, now):
                await world.log.wait(await world.log.ends(["*"]), 0.005)
            task.cancel()
        none = Scripted()
        second = Pusher(OUTSIDE.key, none, other, world.ledger, world.metrics)
        assert not await second.step()
        assert none.shown == []


async def test_after_a_conflict_the_path_begins_where_the_witness_is(tmp_path: Path) -> None:
    async with logged(tmp_path) as world:
        size = world.ledger.size
        ask = Scripted(Answer(409, b"3\n"), cosigns())
        assert await pusher(world, ask).step()
        path = world.ledger.consistency(3, size)
        assert path is not None
        assert (ask.shown[1].old, ask.shown[1].path) == (3, tuple(path))


async def test_the_next_goes_on_from_what_was_cosigned(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        ask = Scripted(cosigns(), cosigns())
        each = pusher(world, ask)
        sizes = []
        for _ in range(2):
            await grow(world, nodes)
            await asked(world)
            assert await each.step()
            sizes.append(world.ledger.size)
        assert [shown.old for shown in ask.shown] == [0, sizes[0]]


@pytest.mark.parametrize(
    ("answers", "failure"),
    [
        ([Answer(400, b"")], Denied),
        ([Answer(403, b"")], Denied),
        ([Answer(404, b"")], Denied),
        ([Answer(422, b"")], Denied),
        ([Answer(409, b"1\n"), Answer(422, b"")], Denied),
        ([Answer(409, b"1000000\n")], Denied),  # it has seen more than this log has
        ([cosigns(STRANGER)], Denied),
        ([cosigns_another_tree], Denied),
        ([Answer(200, b"")], Denied),
        ([Answer(200, b"\xe2\x80\x94 witness.example/w1 AAAA\n")], Denied),
        ([cosigns(also=Line(*STRANGER.key.lines_of([STRANGER.cosign(b"x", 1)])[0]).text.encode())], None),
        ([Answer(409, b"")], Unreached),
        ([Answer(409, b"-1\n")], Unreached),
        ([Answer(409, b"9" * 30)], Unreached),
        ([Answer(409, b"1\n"), Answer(409, b"2\n")], Unreached),
        ([Answer(301, b"")], Unreached),
        ([Answer(429, b"")], Unreached),
        ([Answer(500, b"")], Unreached),
        ([Answer(503, b"")], Unreached),
    ],
)
async def test_every_other_answer_is_tried_again_or_shown_to_people_and_nothing_is_kept(
    tmp_path: Path,
    answers: list[Answer | Callable[[Submission], Answer]],
    failure: type[Exception] | None,
) -> None:
    async with logged(tmp_path) as world:
        ask = Scripted(*answers)
        each = pusher(world, ask)
        if failure is None:
            assert await each.step()
        else:
            with pytest.raises(failure):
                await each.step()
        assert len(ask.shown) == len(answers)
        assert await given(world) == (failure is None)


async def test_waits_grow_up_to_a_bound_and_a_denial_is_shown_until_it_cosigns(tmp_path: Path) -> None:
    class Enough(Exception):
        """The test has seen enough."""

    waits: list[float] = []
    denied: list[bytes] = []
    fails = 12

    async with logged(tmp_path) as world:

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            denied.append(
                next(x for x in world.metrics.render().split(b"\n") if b"outside_denies{" in x)[-3:]
            )
            if len(waits) > fails:
                raise Enough

        ask = Scripted(*[Answer(422, b"")] * fails, cosigns())
        with pytest.raises(Enough):
            await pusher(world, ask, sleep=sleep, chance=lambda: 1.0).run()
        assert waits[0] == 2 * FIRST_SECONDS
        assert waits == [*sorted(waits[:fails]), LOOK_SECONDS]
        assert waits[fails - 1] == LONGEST_SECONDS
        assert denied == [b"1.0"] * fails + [b"0.0"]


# --- over HTTP ------------------------------------------------------------------------------------------


@pytest.mark.sockets
async def test_a_witness_that_listens_cosigns_what_it_is_shown(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        jp = witness_node(world, "jp", tmp_path)
        nodes = {"vn": witness_node(world, "vn", tmp_path), "jp": jp}
        key = jp.witness._cosigner.key
        async with listening(jp) as url, aiohttp.ClientSession() as session:

            async def ask(body: bytes) -> Answer:
                return await post(session, f"{url}/add-checkpoint", body)

            each = Pusher(key, ask, world.cosignatures, world.ledger, world.metrics)
            for _ in range(3):
                await grow(world, nodes)
                await asked(world)
                assert await each.step()
                latest = jp.witness.latest()
                assert latest is not None
                assert latest.size == world.ledger.size
            # A process that was just started knows nothing of what was cosigned.
            await grow(world, nodes)
            await asked(world)
            assert await Pusher(key, ask, world.cosignatures, world.ledger, world.metrics).step()


@pytest.mark.sockets
async def test_the_hub_shows_its_witnesses_its_checkpoints_by_itself(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        jp = witness_node(world, "jp", tmp_path)
        await grow(world, {"jp": jp, "vn": witness_node(world, "vn", tmp_path)})
        await asked(world)
        async with listening(jp) as url:
            setting = OutsideWitness(url=f"{url}/", key=jp.witness.vkey)
            ((name, run),) = outside_pushers([setting], services(world))
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                task = group.create_task(_run(run))
                while not await given(world):
                    await world.log.wait(await world.log.ends(["*"]), 0.005)
                task.cancel()
            assert name == f"witness {jp.witness._cosigner.key.name}"


async def _run(run: Callable[[], Awaitable[None]]) -> None:
    await run()


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.sockets
async def test_no_answer_takes_more_than_its_bound_and_no_other_address_is_followed() -> None:
    asked_for: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked_for.append(request.path)
        if request.path == "/large":
            return web.Response(body=b"x" * (MOST_ANSWER_BYTES + 1))
        if request.path == "/cut":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with answering(handler) as url, aiohttp.ClientSession() as session:
        assert (await post(session, f"{url}/moved", b"old 0\n\n")).status == 307
        for path in ("large", "cut"):
            with pytest.raises(Unreached):
                await post(session, f"{url}/{path}", b"old 0\n\n")
        assert "/elsewhere" not in asked_for
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Unreached):
            await post(session, url, b"")


def test_settings_that_cannot_be_used_are_refused() -> None:
    vkey = OUTSIDE.key.vkey
    log = LogKey("halong-test/log", OUTSIDE.key.public).vkey

    def made(*settings: tuple[str, str]) -> int:
        witnesses_ = [OutsideWitness(url=url, key=key) for url, key in settings]
        return len(list(outside_pushers(witnesses_, services(None))))

    for url in (
        "witness.example",
        "ftp://w.example",
        "https://",
        "https://u@w.example",
        "https://w/?a",
        "https://w/#a",
        "http://[x",
    ):
        with pytest.raises(BadConfiguration):
            made((url, vkey))
    for key in ("", "x", log):
        with pytest.raises(BadConfiguration):
            made(("https://w.example", key))
    keys = [PrivateKey.from_seed(Algorithm.ED25519, bytes([n]) * 32) for n in range(MOST_WITNESSES + 1)]
    many = [("https://w.example", Cosigner(f"w{n}", key).key.vkey) for n, key in enumerate(keys)]
    made(*many[1:])
    with pytest.raises(BadConfiguration):
        made(*many)
    with pytest.raises(BadConfiguration):
        made(*[("https://w.example", vkey)] * 2)
