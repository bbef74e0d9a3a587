"""Witnesses over HTTP: the node's own client at the hub, and whoever asks a node's witness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from adapters.witness.judging import Submission
from adapters.witness.server import MOST_CONNECTIONS, WitnessServer
from broker.core.cosignature import Cosigner
from broker.core.errors import BadConfiguration, Stale, UnknownKey
from broker.core.keys import Algorithm, PrivateKey
from broker.core.note import LogSigner
from broker.core.policy import witness_name
from broker.core.signed_note import MOST_SIGNATURES, Line, merged, split_note
from tests.served import Served, served, until
from tests.unit.test_web import client
from tests.witnesses import WitnessNode, asked, cosigned, grow, witness_node, witnesses
from tests.world import NETWORK, World

pytestmark = pytest.mark.sockets


def cosigner(hub: Served, member: str) -> Cosigner:
    return cosigner_of(hub.world, member)


def cosigner_of(world: World, member: str) -> Cosigner:
    key = world.people[member].witness
    assert key is not None
    return Cosigner(witness_name(NETWORK, member), key)


async def test_members_are_asked_give_their_cosignatures_and_see_those_of_others(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub, client(hub, "vn") as vn, client(hub, "jp") as jp:
        hub.world.agree("vn", "jp")
        for member in ("vn", "jp"):
            hub.world.witness(member)
        await hub.world.directory.refresh()
        assert await vn.asked() is None
        assert await vn.cosigned(1) is None
        await hub.world.settle()
        await asked(hub.world)
        note = await vn.asked()
        assert note is not None
        text, lines = split_note(note)
        given = []
        for member, session in (("vn", vn), ("jp", jp)):
            line = cosigner(hub, member).cosign(text, hub.world.clock.now())
            given.append(line)
            await session.cosign(text + b"\n" + line.text.encode())
            assert await session.asked() == merged(note, given)
        assert await vn.cosigned(2) == merged(note, given)
        assert await vn.cosigned(3) is None
        with pytest.raises(UnknownKey):
            await jp.cosign(text + b"\n" + given[0].text.encode())
        with pytest.raises(Stale):
            await jp.cosign(b"x" + text + b"\n" + given[1].text.encode())
        shown = await hub.ask("GET", "/log/cosigned?least=x")
        assert (shown.status, shown.json["field"]) == (400, "least")
        assert len(lines) >= 2


@asynccontextmanager
async def listening(node: WitnessNode) -> AsyncIterator[str]:
    """Let a node's witness listen; gives its address."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(WitnessServer(node.witness, "127.0.0.1", 0).run(port.set_result))
        try:
            yield f"http://127.0.0.1:{await port}"
        finally:
            task.cancel()


async def test_whoever_can_reach_a_witness_speaks_add_checkpoint_with_it(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world, aiohttp.ClientSession() as session:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        jp, log = nodes["jp"], world.log_signer
        await grow(world, nodes)
        async with listening(jp) as url:

            async def add(body: bytes) -> tuple[int, str, str]:
                async with session.post(f"{url}/add-checkpoint", data=body) as answer:
                    return answer.status, answer.content_type, await answer.text()

            async def latest(name: str) -> tuple[int, bytes]:
                origin = sha256(name.encode()).hexdigest()
                async with session.get(f"{url}/{origin}/checkpoint") as answer:
                    return answer.status, await answer.read()

            assert await latest(log.key.name) == (404, b"nothing of this log was cosigned\n")
            published = world.ledger.published
            assert published is not None
            note, size = published.note, published.size
            status, kind, line = await add(Submission(0, (), note).body)
            assert (status, kind) == (200, "text/plain")
            text, lines = split_note(note + line.encode())
            assert jp.witness._cosigner.key.cosigned_at(text, lines) == world.clock.now() // 1000 * 1000
            assert await latest(log.key.name) == (200, note + line.encode())
            assert (await latest("another/log"))[0] == 404

            await grow(world, nodes)
            published = world.ledger.published
            later, path = published.note, world.ledger.consistency(size, published.size)
            other = LogSigner("other/log", PrivateKey.generate(Algorithm.ED25519))
            # At a size that the node has seen in its feed.
            fork = log.sign_checkpoint(jp.node.incoming.largest_seen(), bytes(32), world.clock.now())
            impostor = LogSigner(log.key.name, PrivateKey.generate(Algorithm.ED25519))
            assert path is not None
            expected = {
                b"": 400,
                Submission(size + 100, (), later).body: 400,
                Submission(size, tuple(path), other.sign_checkpoint(1, bytes(32))).body: 404,
                Submission(size, tuple(path), impostor.sign_checkpoint(99, bytes(32))).body: 403,
                Submission(size, (bytes(32),), later).body: 422,
                Submission(size, tuple(path), fork).body: 422,
                b"x" * 1_000_000: 413,
            }
            for body, wanted in expected.items():
                assert (await add(body))[0] == wanted
            assert ("log.forked", "bad-proof") in jp.node.alarms()
            assert await add(Submission(0, (), later).body) == (409, "text/x.tlog.size", f"{size}\n")
            assert (await add(Submission(size, tuple(path), later).body))[0] == 200
            jp.node.local.online = False
            again = Submission(published.size, (), later).body
            assert (await add(again))[0] == 200, "what it has seen itself needs no hub"


async def test_what_whoever_submits_adds_to_a_note_is_not_shown_as_seen_by_the_witness(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        assert world.ledger.published is not None
        note, log = world.ledger.published.note, world.log_signer.key
        _, own = split_note(note)
        false = [Line(cosigner_of(world, "vn").key.name, cosigner_of(world, "vn").key.key_id, bytes(72))]
        many = [Line(f"spam{number}", bytes(4), b"x") for number in range(MOST_SIGNATURES - len(own) - 1)]

        line = await nodes["jp"].witness.add(Submission(0, (), merged(note, [*false, *many])))

        assert isinstance(line, Line)
        shown = nodes["jp"].witness.latest_note()
        assert shown == merged(note, [line])
        assert log.open_checkpoint(shown) == nodes["jp"].witness.latest()


async def test_a_flood_of_connections_is_bounded(tmp_path: Path) -> None:
    async with World(tmp_path, "vn") as world:
        node = witness_node(world, "vn", tmp_path)
        async with listening(node) as url:
            port = int(url.rpartition(":")[2])
            open_ = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS + 8)]
            gone: set[int] = set()

            async def see(number: int) -> None:
                # One that was cut ends; the others wait for what they ask.
                await open_[number][0].read(1)
                gone.add(number)

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(see(number)) for number in range(len(open_))]
                await until(lambda: len(gone) >= 8)
                assert len(gone) == 8
                for task in tasks:
                    task.cancel()
            for _, writer in open_:
                writer.transport.abort()


async def test_an_address_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    async with World(tmp_path, "vn") as world:
        node = witness_node(world, "vn", tmp_path)
        with pytest.raises(BadConfiguration, match="listened"):
            await WitnessServer(node.witness, "192.0.2.1", 0).run()


async def test_two_at_a_time_are_cosigned_one_after_the_other(tmp_path: Path) -> None:
    """The race of the specification: the smaller tree must not come after the larger."""
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        await cosigned(world, nodes)
        jp = nodes["jp"]
        start = jp.witness.latest()
        assert start is not None
        notes = []
        for _ in range(2):
            await grow(world, nodes)
            assert world.ledger.published is not None
            notes.append(world.ledger.published)
        submissions = [
            Submission(start.size, tuple(world.ledger.consistency(start.size, each.size) or ()), each.note)
            for each in notes
        ]
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(jp.witness.add(each)) for each in (*submissions, *submissions[::-1])]
        latest = jp.witness.latest()
        assert latest is not None
        given = [
            size
            for answer, size in zip(
                answers, [notes[0].size, notes[1].size, notes[1].size, notes[0].size], strict=True
            )
            if isinstance(answer.result(), tuple)
        ]
        assert given == [latest.size], "one of them; for all others another size is the last by then"
