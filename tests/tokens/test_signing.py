"""Keys on a real token, SoftHSM: they sign, are lost and found, and never sign as another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from broker.clock import SystemClock
from broker.commands.hub_folder import HubPlan, make_hub
from broker.configuration import load_hub_config
from broker.core.errors import BadConfiguration, KeyLocked, KeyUnavailable
from broker.core.keys import Algorithm, PrivateKey, PublicKey
from broker.core.model import Envelope
from broker.core.note import LogKey, LogSigner
from broker.core.records import decode
from broker.core.sign1 import parse_signature
from broker.core.signing import key_named
from broker.hub import Ports, run_hub
from broker.keyring import Elsewhere, make_signer, open_signer
from broker.keyring.place import KeyPlace, token_place
from broker.keyring.secret import Secret
from tests.ceremony import ONLINE, begin
from tests.nodes import TestNode
from tests.softhsm import PIN, Tokens
from tests.unit.test_outbox import Seen, numbers, places
from tests.world import NETWORK, SECONDS, World

pytestmark = pytest.mark.sockets


@pytest.mark.parametrize("algorithm", [Algorithm.ESP256, Algorithm.ED25519])
def test_a_key_is_made_on_the_token_and_signs_in_our_one_form(tokens: Tokens, algorithm: Algorithm) -> None:
    place = tokens.place("sign")
    made = make_signer(place, algorithm)
    opened = open_signer(place)
    assert opened.public == made.public
    assert made.public.algorithm is algorithm
    for number in range(20):
        data = b"notice %d" % number
        assert made.public.verify(opened.sign(data), data)
    with pytest.raises(BadConfiguration, match="not overwritten"):
        make_signer(place, algorithm)


def test_a_lost_session_is_opened_again_and_two_keys_never_sign_for_each_other(tokens: Tokens) -> None:
    one, two = (make_signer(tokens.place(name), Algorithm.ESP256) for name in ("one", "two"))
    for _ in range(3):
        pkcs11.lib(str(tokens.hsm.module)).reinitialize()
        for signer in (two, one):
            assert signer.public.verify(signer.sign(b"data"), b"data")


def test_a_token_that_is_taken_out_is_waited_for_and_signs_again(tokens: Tokens) -> None:
    signer = make_signer(tokens.place("sign"), Algorithm.ESP256)
    assert isinstance(signer, Elsewhere)
    signer.ready()
    tokens.take_out()
    for attempt in (signer.ready, lambda: signer.sign(b"data"), lambda: open_signer(tokens.place("sign"))):
        with pytest.raises(KeyUnavailable, match="the token is not there"):
            attempt()
    tokens.put_in()
    signer.ready()
    assert signer.public.verify(signer.sign(b"data"), b"data")


def test_another_key_at_the_same_place_does_not_sign(tokens: Tokens, tmp_path: Path) -> None:
    signer = make_signer(tokens.place("sign"), Algorithm.ESP256)
    tokens.take_out()
    tokens.hsm.make_token("halong", PIN)
    other = make_signer(tokens.place("sign"), Algorithm.ESP256)
    assert other.public != signer.public
    with pytest.raises(KeyUnavailable, match="another key is at this place"):
        signer.sign(b"data")


def test_a_pin_that_was_refused_is_not_tried_again_from_a_file(tokens: Tokens) -> None:
    make_signer(tokens.place("sign"), Algorithm.ESP256)
    tokens.pin_file.write_text("wrong horse\n")
    tokens.begin()
    with pytest.raises(KeyLocked, match="refuses the PIN"):
        open_signer(tokens.place("sign"))
    # Also not the right one: who starts again and again must not lock the token.
    tokens.pin_file.write_text(PIN)
    for _ in range(3):
        with pytest.raises(KeyLocked, match="type it once on a terminal"):
            open_signer(tokens.place("sign"))
    open_signer(tokens.without_pin("sign"), ask=lambda _: Secret(PIN, typed=True))
    tokens.begin()
    assert open_signer(tokens.place("sign")).sign(b"data")


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("pkcs11:token=halong;object=none", "no such private key"),
        ("pkcs11:token=halong;object=sign;id=%00", "no such private key"),
        ("pkcs11:serial=none;object=sign", "the token is not there"),
    ],
)
def test_a_key_that_is_not_there_is_named_without_its_pin(tokens: Tokens, place: str, what: str) -> None:
    make_signer(tokens.place("sign"), Algorithm.ESP256)
    name = f"{place}?module-path={tokens.hsm.module}&pin-source=file:{tokens.pin_file}"
    with pytest.raises((BadConfiguration, KeyUnavailable), match=what) as refused:
        open_signer(KeyPlace(name))
    assert refused.value.field == place


def test_a_module_or_a_pin_that_is_not_there_is_said_to_be_so(tokens: Tokens) -> None:
    with pytest.raises(BadConfiguration, match="no such module"):
        open_signer(token_place("halong", "sign", Path("/nowhere/lib.so")))
    with pytest.raises(BadConfiguration, match="nobody is there to say it"):
        open_signer(tokens.without_pin("sign"))
    with pytest.raises(BadConfiguration, match="pin-source is"):
        open_signer(token_place("halong", "sign", tokens.hsm.module, "|cat /etc/pin"))


def test_a_token_signs_the_log_s_checkpoints(tokens: Tokens) -> None:
    signer = LogSigner("halong-test/log", make_signer(tokens.place("log"), Algorithm.ED25519))
    note = signer.sign_checkpoint(
        0, bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), 1
    )
    assert LogKey.parse(signer.vkey).open_checkpoint(note).size == 0


# --- a node with its key on a token -------------------------------------------------------------------


@pytest.fixture
async def world(tmp_path: Path, tokens: Tokens) -> AsyncIterator[World]:
    world = World(tmp_path, "jp")
    signer = await asyncio.to_thread(make_signer, tokens.place("sign"), Algorithm.ESP256)
    world.join("vn", signer=signer)
    world.agree("vn", "jp")
    world.agree("jp", "vn")
    async with world:
        yield world


def signature_of(envelope: bytes) -> bytes:
    return decode(Envelope, envelope).signature


async def test_a_node_s_notices_and_receipts_are_signed_on_its_token_and_receivers_verify_them(
    world: World, tmp_path: Path
) -> None:
    seen = Seen()
    vn, jp = TestNode(world, "vn", tmp_path, wrap=seen.wrap), TestNode(world, "jp", tmp_path)
    for number in range(5):
        vn.enqueue(place=f"place {number}")
    await vn.sends()
    vn.enqueue(place="alone")
    await vn.sends()
    await jp.receives()
    assert len(jp.files()) == 6
    assert jp.alarms() == vn.alarms() == []
    assert len({parse_signature(each).signature for each in map(signature_of, seen.handed)}) == 2
    assert all(key_named(each, world.source.members["vn"].keys) for each in map(signature_of, seen.handed))
    jp.enqueue(place="back")
    await jp.sends()
    await vn.receives()
    await vn.receipts()
    assert vn.incoming.unsent_receipts(9) == []
    assert vn.alarms() == []


async def test_a_node_whose_token_is_taken_out_waits_and_signs_nothing_twice(
    world: World, tokens: Tokens, tmp_path: Path
) -> None:
    seen = Seen()
    node = TestNode(world, "vn", tmp_path, wrap=seen.wrap)
    node.enqueue(place="before")
    await node.sends()
    tokens.take_out()
    node.enqueue(place="meanwhile")
    for _ in range(3):
        with pytest.raises(KeyUnavailable):
            await node.node.outbox.step()
    assert node.states() == [("proven", None), ("waiting", None)]
    tokens.put_in()
    await node.sends()
    assert node.states() == [("proven", None)] * 2
    # No number was given out while there was no key.
    assert numbers(seen.handed) == [1, 2]
    assert await places(world) == ["before", "meanwhile"]
    assert node.alarms() == []


async def test_a_token_that_does_not_answer_holds_up_nothing_else(world: World, tmp_path: Path) -> None:
    node = TestNode(world, "vn", tmp_path)
    held = threading.Event()
    signer = world.people["vn"].signer

    class Slow:
        public: PublicKey = signer.public

        def ready(self) -> None:
            held.wait(10)

        def sign(self, data: bytes) -> bytes:
            return signer.sign(data)

    identity = replace(node.identity, signer=Slow())
    waiting = asyncio.ensure_future(identity.ready())
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    held.set()
    await waiting
    assert signer.public.verify(await identity.signed(lambda: signer.sign(b"data")), b"data")
    assert not isinstance(PrivateKey.generate(Algorithm.ED25519), Elsewhere)
    assert node.identity.network == NETWORK


# --- a hub with its log's key on a token --------------------------------------------------------------


async def logged(lines: list[EventDict], event: str) -> None:
    while not any(line["event"] == event for line in lines):  # noqa: ASYNC110 - a log line wakes nobody
        await asyncio.sleep(0.01)


async def test_a_hub_waits_for_the_token_with_its_log_s_key_and_signs_checkpoints_with_it(
    tokens: Tokens, tmp_path: Path
) -> None:
    folder = tmp_path / "hub"
    plan = HubPlan(network=NETWORK, host="127.0.0.1", port=0, name="127.0.0.1", health_port=0)
    now = SystemClock().now()
    make_hub(folder, plan, now)
    place = tokens.place("log")
    verifier = LogSigner(f"{NETWORK}/log", make_signer(place, Algorithm.ED25519)).vkey
    settings = (folder / "hub.toml").read_text()
    (folder / "hub.toml").write_text(settings.replace('"keys/log.pem"', f'"{place}"'))
    (folder / "keys/online.pem").write_bytes(ONLINE.to_pem())
    begin(folder / "directory", now, network=NETWORK, log_key=verifier)
    tokens.take_out()
    ready: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
    with capture_logs() as lines:
        async with asyncio.TaskGroup() as group, asyncio.timeout(SECONDS):
            hub = group.create_task(run_hub(load_hub_config(folder), ready=ready.set_result))
            await logged(lines, "key.waits")
            tokens.put_in()
            await ready
            await logged(lines, "checkpoint.signed")
            hub.cancel()
    assert str(tokens.pin_file) not in str(lines)
