"""A mail server that fails at every stage loses nothing, and doubles only what it took and never answered."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.channels import ChannelUnavailable
from adapters.channels.mail import MailChannel
from tests.contract.test_channels import close, goes_on, place_of, publish
from tests.counterparts import DROP, Mail
from tests.nodes import TestNode
from tests.world import SECONDS, World

pytestmark = pytest.mark.sockets

ANSWERS = [DROP, "421 too many", "451 not now", "550 never", "nonsense"]
"""What a server may do at a stage instead of going on."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp", slots=["facts", "persons"])
    async with world:
        yield world


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Mail]:
    folder = tmp_path / "side"
    folder.mkdir()
    post = Mail(folder)
    async with post.serving():
        yield post


def letters(node: TestNode) -> list[tuple[str, ...]]:
    return node.store.rows("SELECT code FROM letters")


@pytest.mark.parametrize("stage", ["EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT"])
async def test_whatever_a_server_does_before_it_has_seen_the_mail_nothing_is_lost_doubled_or_dead(
    world: World, tmp_path: Path, post: Mail, stage: str
) -> None:
    post.faults[stage] = list(ANSWERS)
    node = TestNode(world, "jp", tmp_path, channels=[post.channel()])
    places = await publish(world, 3)
    await node.receives()
    await goes_on(node, post, 3)
    assert post.faults[stage] == []
    assert [place_of(each.said) for each in await post.arrived()] == places
    assert letters(node) == []
    assert node.snapshot().received == {"delivered": 3}
    await close(node)


async def test_a_connection_that_breaks_before_the_mail_is_over_loses_and_doubles_nothing(
    world: World, tmp_path: Path, post: Mail
) -> None:
    post.faults["DATA"] = [DROP, "421 too many", "451 not now", "nonsense"]
    node = TestNode(world, "jp", tmp_path, channels=[post.channel()])
    places = await publish(world, 3)
    await node.receives()
    await goes_on(node, post, 3)
    assert post.faults["DATA"] == []
    assert [place_of(each.said) for each in await post.arrived()] == places
    assert letters(node) == []
    await close(node)


async def test_a_mail_that_was_taken_and_never_answered_comes_again_under_the_same_message_id(
    world: World, tmp_path: Path, post: Mail
) -> None:
    post.faults["TAKEN"] = [DROP, DROP]
    node = TestNode(world, "jp", tmp_path, channels=[post.channel()])
    places = await publish(world, 3)
    await node.receives()
    await goes_on(node, post, 5)
    assert [place_of(each.said) for each in await post.arrived()] == [places[0], places[0], *places]
    assert len({mail["Message-ID"] for mail in post.mails}) == 3
    assert len({mail["Message-ID"] for mail in post.mails[:3]}) == 1
    assert letters(node) == []
    assert node.snapshot().received == {"delivered": 3}
    await close(node)


@pytest.mark.parametrize("answer", [*ANSWERS, "250 more to say"])
async def test_how_a_server_takes_leave_changes_nothing(
    world: World, tmp_path: Path, post: Mail, answer: str
) -> None:
    post.faults["QUIT"] = [answer]
    channel = post.channel()
    assert isinstance(channel, MailChannel)
    node = TestNode(world, "jp", tmp_path, channels=[channel])
    await publish(world, 1)
    await node.receives()
    await channel.close()
    assert post.faults["QUIT"] == []
    await publish(world, 1)
    await node.receives()
    assert [place_of(each.said) for each in await post.arrived()] == ["place 000", "place 000"]
    assert len({mail["Message-ID"] for mail in post.mails}) == 2
    assert node.snapshot().received == {"delivered": 2}
    await close(node)


async def test_a_server_that_hangs_up_after_each_mail_is_no_failing_one(
    world: World, tmp_path: Path, post: Mail
) -> None:
    """One failure would be a dead letter here."""
    channel = post.channel()
    node = TestNode(world, "jp", tmp_path, channels=[channel])
    for count in (1, 2, 3):
        await publish(world, 1)
        await node.receives()
        assert len(await post.arrived()) == count
        assert isinstance(channel, MailChannel)
        assert channel._smtp is not None
        assert channel._smtp.transport is not None
        # What the client sees of it: the connection is gone.
        channel._smtp.transport.abort()  # type: ignore[attr-defined]
        async with asyncio.timeout(SECONDS):
            while channel._smtp.is_connected:  # noqa: ASYNC110 - the library has no event for it
                await asyncio.sleep(0)
    assert [each.failures for each in node.snapshot().channels] == [0]
    await close(node)


async def test_a_server_that_looks_long_at_a_mail_is_waited_for_and_has_it_once(
    world: World, tmp_path: Path, post: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.channels.mail.STEP_SECONDS", 1.0)
    post.looks_seconds = 1.5
    node = TestNode(world, "jp", tmp_path, channels=[post.channel()])
    places = await publish(world, 1)
    await node.receives()
    await goes_on(node, post, 1)
    assert [place_of(each.said) for each in await post.arrived()] == places
    assert node.snapshot().received == {"delivered": 1}
    await close(node)


async def test_a_server_that_is_not_there_is_out_of_reach(world: World, tmp_path: Path, post: Mail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        post.settings = re.sub(r"port = \d+", f"port = {listener.getsockname()[1]}", post.settings)
    channel = post.channel()
    assert isinstance(channel, MailChannel)
    with pytest.raises(ChannelUnavailable):
        await channel.check()
