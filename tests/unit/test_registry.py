"""What the hub hands out of its directory and takes; and nothing goes on once nobody vouches for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from broker.core.directory import MemberKey, Revocation, Use
from broker.core.errors import DirectoryExpired, DirectoryMixed, HalongError
from broker.directory.building import delegations_of, member_change, targets_change
from broker.directory.change import Change
from broker.directory.repository import Repository
from broker.directory.roles import file_name
from broker.services.registry import CHANGES_AT_ONCE, Registry
from tests.ceremony import HOUR, SECRETARIAT, private, signed
from tests.signed_world import SignedWorld, change_of, local_node
from tests.unit.test_stick_directory import TEXT
from tests.world import DAY, SECONDS, sighting

OTHER = TEXT.replace(b"vn-jp-2026", b"jp-th-2026").replace(b'"vn"', b'"th"')
Make = Callable[[SignedWorld], Change]


@dataclass(frozen=True, slots=True)
class Row:
    """A change that vn hands over, and how it is refused."""

    name: str
    code: str
    make: Make


def of_another(world: SignedWorld) -> Change:
    return change_of(world.network, "jp", accede=[TEXT])


def of_the_secretariat(world: SignedWorld) -> Change:
    version = world.network.version
    return signed(targets_change(version, delegations_of(version), world.network.now), *SECRETARIAT[:2])


def with_another_file(world: SignedWorld) -> Change:
    change = change_of(world.network, "vn", accede=[TEXT])
    return replace(change, files={**change.files, sha256(b"more").hexdigest(): b"more"})


def unsigned(world: SignedWorld) -> Change:
    network = world.network
    return member_change(network.version, network.members["vn"], network.now, accede=[TEXT])


def not_the_next(world: SignedWorld) -> Change:
    change = change_of(world.network, "vn", accede=[TEXT])
    world.network.change(world.network.members["vn"])
    return change


ROWS = [
    Row("of another member", "not-yours", of_another),
    Row("of the secretariat", "not-yours", of_the_secretariat),
    Row("with a file that it does not list", "directory-malformed", with_another_file),
    Row("without a signature", "directory-unsigned", unsigned),
    Row("that is not the next", "bad-configuration", not_the_next),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_change_is_refused(row: Row, tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        change = row.make(world)
        before = world.network.repository.newest()
        with pytest.raises(HalongError) as caught:
            await world.registry.take("vn", change.write())
        assert caught.value.code == row.code
        assert world.network.repository.newest() == before


async def test_a_member_that_changes_its_role_all_the_time_is_slowed_down(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        codes = []
        for _ in range(CHANGES_AT_ONCE + 1):
            with pytest.raises(HalongError) as caught:
                await world.registry.take("vn", b"{}")
            codes.append(caught.value.code)
        assert codes == ["directory-malformed"] * CHANGES_AT_ONCE + ["too-many"]


async def test_an_agreement_of_others_is_handed_out_to_its_parties_alone(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp", "th") as world:
        await world.accede(OTHER, "jp", "th")
        name = file_name(sha256(OTHER).hexdigest())
        for member in ("vn", "jp", "th"):
            answer = await world.registry.newest(member, b"")
            assert (name in answer.files) == (member != "vn")
            past = await world.registry.past(member, bytes.fromhex(answer.version), b"")
            assert past is not None
            assert (name in past.files) == (member != "vn")


async def test_a_hub_without_a_directory_hands_out_none(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn") as world:
        elsewhere = Repository(tmp_path / "elsewhere")
        registry = Registry(elsewhere, world.signed, world.directory, world.clock, None)
        with pytest.raises(DirectoryMixed):
            await registry.timestamp()
        assert not registry.takes_changes
        assert not await registry.renew()


async def test_nothing_is_decided_once_nobody_vouches_for_the_directory(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        await world.accede(TEXT, "vn", "jp")
        world.clock.move(DAY)
        paused = asyncio.Event()

        async def pause(_seconds: float) -> None:
            paused.set()
            await asyncio.sleep(0)

        world.dispatcher._sleep = pause
        await world.store("vn", world.compose("vn", sighting()))
        with pytest.raises(DirectoryExpired):
            world.dispatcher._check_vouched()
        # It met the notice, and waits.
        async with asyncio.timeout(SECONDS):
            await paused.wait()
        assert sum((await world.log.ends(["decisions"])).values()) == 0
        await world.registry.renew()
        await world.directory.refresh()
        assert len(await world.deliveries("jp")) == 1


async def test_a_node_takes_in_and_sends_nothing_once_nobody_vouches_for_the_directory(
    tmp_path: Path,
) -> None:
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        await world.accede(TEXT, "vn", "jp")
        with local_node(world, "vn", tmp_path) as vn, local_node(world, "jp", tmp_path) as jp:
            await vn.refresher.refresh()
            await jp.refresher.refresh()
            await vn.sends(place="in time")
            world.clock.move(DAY)
            with pytest.raises(DirectoryExpired):
                await vn.sends(place="too late")
            with pytest.raises(DirectoryExpired):
                await jp.receives()


async def test_what_a_member_said_before_it_was_suspended_is_judged_by_its_keys_of_then(
    tmp_path: Path,
) -> None:
    """It comes back with fresh keys; what it says now by an old one is refused."""
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        await world.accede(TEXT, "vn", "jp")
        network, old = world.network, world.people["vn"].signer
        with local_node(world, "vn", tmp_path) as vn, local_node(world, "jp", tmp_path) as jp:
            await vn.refresher.refresh()
            await jp.refresher.refresh()
            await vn.sends(place="before")
            then = world.clock.now()
            network.suspend("vn")
            await jp.refresher.refresh()
            world.clock.move(HOUR)
            fresh = private("vn-fresh")
            key = MemberKey(fresh.public.id, Use.SIGN, fresh.public, network.now)
            entry = network.members["vn"]
            given_up = replace(entry.keys[0], revoked_at=network.now, reason=Revocation.SUPERSEDED)
            network.join(replace(entry, keys=(given_up, *entry.keys[1:], key)))
            await jp.refresher.refresh()
            await world.directory.refresh()

            assert await jp.receives() == 1
            directory = world.directory.value
            assert [each.id for each in directory.signing_keys("vn", then)] == [old.public.id]
            assert [each.id for each in directory.signing_keys("vn", network.now)] == [key.id]
            sent = await world.publish("vn", sighting())
            assert sent.outcome.code == "bad-signature"


async def test_what_was_decided_long_after_a_version_was_over_is_taken_by_nobody(tmp_path: Path) -> None:
    """The hub goes on deciding under the version in which jp had acceded."""
    async with SignedWorld(tmp_path, "vn", "jp") as world:
        await world.accede(TEXT, "vn", "jp")
        with local_node(world, "vn", tmp_path) as vn, local_node(world, "jp", tmp_path) as jp:
            world.network.leave("jp", "vn-jp-2026", 1)
            await vn.refresher.refresh()
            await jp.refresher.refresh()
            world.clock.move(11 * 60_000)
            vn.enqueue(place="under the old one")
            await vn.node.outbox.step()
            await world.settle()
            await vn.node.outbox.step()
            assert ("proof.bad", "directory-rolled-back") in vn.alarms()
            assert await jp.receives() == 0
            assert ("delivery.quarantined", "directory-rolled-back") in jp.alarms()
