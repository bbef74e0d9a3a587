"""A stolen key at the terminal: what it puts in doubt, in the hub's log and at a receiver."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from broker.core.directory import MemberKey, Use
from broker.core.keys import PrivateKey
from broker.core.notice_json import time_to_json
from broker.demo.network import Network
from broker.terminal import Exit
from tests.networks import copied, make
from tests.nodes import TestNode
from tests.unit.test_cli_commands import Terminal, at, network
from tests.world import DAY, NOW, World, sighting

__all__ = ["at", "network"]

HOUR = 3_600_000
SINCE = time_to_json(NOW + HOUR // 2)


async def publish(folder: Path, key: PrivateKey) -> None:
    """Two notices of `vn`, an hour apart, signed with the key; `jp` has taken both."""
    world = World(folder / "hub", "vn", "jp")
    world.people["vn"].signer = key
    entry = MemberKey(key.public.id, Use.SIGN, key.public, NOW - DAY)
    world.source.members["vn"] = replace(world.source.members["vn"], keys=(entry,))
    world.agree("vn", "jp")
    async with world:
        for _ in range(2):
            await world.publish("vn", sighting())
            await world.settle()
            world.clock.move(HOUR)
        jp = TestNode(world, "jp", folder)
        await jp.receives()
        jp.close()
        (first, _) = [each.delivery for each in (await world.inbox.feed("jp", 0, 9, 0)).items]
        (folder / "first.delivery").write_bytes(first)
        (folder / "second.delivery").write_bytes(_)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A network in which both notices were published and taken; not to be changed."""
    made = make(tmp_path_factory.mktemp("published"), "vn", "jp", at=NOW - DAY)
    asyncio.run(publish(made.folder, signing_key(made.folder)))
    return made


def signing_key(folder: Path) -> PrivateKey:
    return PrivateKey.from_pem((folder / "vn/keys/sign.pem").read_bytes())


@pytest.fixture
def stolen(at: Terminal, published: Network, tmp_path: Path) -> str:
    """The id of the key that was stolen half an hour after the first notice."""
    made = copied(published, tmp_path)
    name = signing_key(tmp_path).public.id.hex()
    revoke = f"key revoke {name[:16]} --reason compromised --since {SINCE} --dir vn -o revoked.json --yes"
    assert at(revoke).code == Exit.HELD
    assert at("hub take revoked.json --dir hub --yes").code == Exit.HELD
    made.welcome(["jp"])
    return name


def test_the_audit_lists_what_is_in_doubt_and_who_has_it(at: Terminal, stolen: str) -> None:
    found = at(f"audit doubt hub --member vn --key {stolen[:8]} --json")
    assert found.code == 0, found.err
    (one,) = found.json["statements"]
    assert one["reference"] == "halong:vn/asia-pacific/main/2"
    assert one["delivered_to"] == ["jp"]
    assert found.json["key"] == stolen
    said = at(f"audit doubt hub --member vn --key {stolen[:8]} --since all")
    assert said.code == 0
    assert "vn/asia-pacific/main/1" in said.out
    assert "2 statements in doubt" in said.out


@pytest.mark.parametrize(
    "line",
    [
        "--member vn --key 00000000",
        "--member jp --key {key}",
        "--member zz --key {key}",
        "--member vn --key ''",
        "--member vn --key {key} --since yesterday",
    ],
)
def test_what_is_no_key_of_that_member_is_said_so(at: Terminal, stolen: str, line: str) -> None:
    said = at(f"audit doubt hub {line.format(key=stolen)}")
    assert said.code == Exit.USAGE


def test_a_key_that_nobody_stole_needs_a_time(network: Terminal, tmp_path: Path) -> None:
    key = signing_key(tmp_path).public.id.hex()
    said = network(f"audit doubt hub --member vn --key {key}")
    assert said.code == Exit.USAGE
    assert "--since" in said.err


def test_the_feed_and_a_file_show_at_the_receiver_what_is_in_doubt(at: Terminal, stolen: str) -> None:
    first, second = at("feed --dir jp --json").json["items"]
    assert first["doubtful_since"] is None
    assert second["doubtful_since"] == SINCE
    assert at("feed --dir jp").out.count("in doubt") == 1
    assert at("inspect first.delivery --dir jp --json").json["doubtful_since"] is None
    assert at("inspect second.delivery --dir jp --json").json["doubtful_since"] is not None
    assert "in doubt" in at("inspect second.delivery --dir jp").out
    assert at("inspect second.delivery --json").json["doubtful_since"] is None
