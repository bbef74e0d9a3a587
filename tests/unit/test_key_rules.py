"""Which key counts when, at every station: the log's time decides, whatever a statement says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broker.core.directory import Member, MemberKey, Revocation, Use
from broker.core.errors import BadConfiguration, BadSignature, Untimely
from broker.core.key_history import check_kept
from broker.core.keys import Algorithm, PrivateKey
from broker.core.model import Checkpoint, Decision, Envelope, Receipt, Refusal, SignedReceipt
from broker.core.records import decode, encode, unframe
from broker.core.signing import sign_header, sign_receipt
from broker.core.timely import COVERED_WITHIN_MS, check_timely
from broker.log import Partition
from broker.log.topics import AUDIT_CHECKPOINTS, DECISIONS, REFUSALS
from broker.services.dispatcher import Dispatcher
from broker.services.log_time import HOLD_MS
from tests.nodes import TestNode
from tests.world import DAY, NETWORK, NOW, World, sighting

HOUR = 3_600_000


def signing_key(private: PrivateKey, **life: Any) -> MemberKey:
    return MemberKey(private.public.id, Use.SIGN, private.public, **{"valid_from": NOW - DAY, **life})


def give_keys(world: World, member: str, *keys: MemberKey) -> None:
    """Let the member have just these keys for signatures."""
    world.source.members[member] = replace(world.source.members[member], keys=keys)


def countersigned(world: World, envelope: bytes, second: PrivateKey) -> bytes:
    """The same notice with both signatures of `vn`."""
    found = decode(Envelope, envelope)
    signer = world.people["vn"].signer
    return encode(replace(found, signature=sign_header(found.header, NETWORK, signer, second)))


async def decisions(world: World) -> list[Decision]:
    return [unframe(Decision, each.value) for each in await world.log.read(Partition(DECISIONS), 0, 100)]


async def checkpoints(world: World) -> list[Checkpoint]:
    found = await world.log.read(Partition(AUDIT_CHECKPOINTS), 0, 1000)
    return [unframe(Checkpoint, each.value) for each in found]


async def refusals(world: World) -> list[str]:
    return [unframe(Refusal, each.value).code for each in await world.log.read(Partition(REFUSALS), 0, 100)]


class WithoutDispatcher(World):
    """A world in which nothing is decided until a test does it."""

    def services(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        return {name: run for name, run in super().services().items() if name != "dispatcher"}

    async def decide(self) -> None:
        """Let a dispatcher decide all there is."""
        await self.directory.refresh()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.dispatcher.run())
            await self.settle()
            running.cancel()


# --- time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [-COVERED_WITHIN_MS, 0, COVERED_WITHIN_MS])
def test_a_decision_is_near_the_checkpoint_that_first_covers_it(away: int) -> None:
    check_timely(NOW + away, NOW)
    with pytest.raises(Untimely):
        check_timely(NOW + away + (1 if away >= 0 else -1) * (COVERED_WITHIN_MS + 1), NOW)


async def test_a_node_that_was_away_for_days_believes_what_the_log_took_in_then(tmp_path: Path) -> None:
    """Long after, the checkpoint of then goes along, in feeds and with the proofs of one's own."""
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        for day in range(3):
            vn.enqueue(place=f"day {day}")
            await vn.node.outbox.step()
            await world.settle()
            world.clock.move(DAY)
        await world.publish("vn", sighting(), stream="other")
        await world.settle()

        feed = await world.inbox.feed("jp", 0, 100, 0)
        assert len(feed.covered) == 3
        assert (await world.inbox.feed("jp", feed.items[-1].place, 100, 0)).covered == []
        await jp.receives()
        await vn.sends()

        assert jp.incoming.counts() == {"delivered": 4}
        assert {state for state, _ in vn.states()} == {"proven"}
        assert jp.alarms() == vn.alarms() == []


async def test_the_time_of_the_log_never_goes_back_and_decisions_follow_it(tmp_path: Path) -> None:
    """A clock that was an hour ahead, and is put right, makes neither checkpoints nor decisions go back."""
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        jp = TestNode(world, "jp", tmp_path)
        world.clock.move(HOUR)
        await world.publish("vn", sighting())
        await jp.receives()
        world.clock.move(-HOUR)
        await world.publish("vn", sighting())
        await jp.receives()

        times = [each.signed_at for each in await checkpoints(world)]
        assert times == sorted(times)
        assert [each.decided_at for each in await decisions(world)] == [NOW + HOUR, NOW + HOUR]
        assert jp.incoming.counts() == {"delivered": 2}


async def test_nothing_more_is_decided_while_no_checkpoint_follows(tmp_path: Path) -> None:
    """What would be decided meanwhile, every receiver would refuse; undecided it can wait."""
    paused = asyncio.Event()

    async def pause(_: float) -> None:
        paused.set()
        await asyncio.sleep(0)

    class Stopped(World):
        def services(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
            return {
                "dispatcher": Dispatcher(self.log, self.directory, self.clock, self.metrics, sleep=pause).run
            }

    async with Stopped(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        await world.publish("vn", sighting())
        async with asyncio.timeout(10):
            while not await decisions(world):
                await world.log.wait(await world.log.ends([DECISIONS]), 0.05)
            world.clock.move(HOLD_MS + 1)
            await world.publish("vn", sighting())
            await paused.wait()
            assert len(await decisions(world)) == 1
            async with asyncio.TaskGroup() as group:
                covering = group.create_task(world.sequencer.run())
                while len(await decisions(world)) < 2:
                    await world.log.wait(await world.log.ends([DECISIONS]), 0.05)
                covering.cancel()


async def test_a_revoked_key_counts_until_its_revocation_by_the_time_of_the_decision(tmp_path: Path) -> None:
    """Whatever time the statement claims; and what was decided before stands for ever."""
    async with WithoutDispatcher(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        jp = TestNode(world, "jp", tmp_path)
        await world.publish("vn", sighting(), issued_at=NOW + 60_000)
        await world.decide()
        await world.publish("vn", sighting(), issued_at=NOW - DAY)
        jp.source.load()
        world.clock.move(1)
        world.revoke("vn")
        await world.decide()
        # The node sees the first only now, when the key is long revoked.
        world.clock.move(DAY)
        await jp.receives()

        assert len(await decisions(world)) == 1
        assert await refusals(world) == ["unknown-key"]
        assert jp.incoming.counts() == {"delivered": 1}


# --- key ids do not resolve across members --------------------------------------------------------------


async def test_a_key_of_another_member_opens_nothing_at_any_station(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        world.agree("nl", "jp")
        theirs = world.people["nl"].signer
        # At the gateway: nl's key under vn's name …
        outcome = (await world.publish("vn", sighting(), signer=theirs)).outcome
        assert (outcome.status, outcome.code) == ("refused", "bad-signature")
        # … and in a receipt of vn's.
        receipt = world.receipt("vn", bytes(32))
        with pytest.raises(BadSignature):
            await world.gateway.receive("vn", [encode(sign_receipt_of(receipt, theirs))])
        # At the dispatcher, were a gateway to let it pass.
        await world.store("vn", world.compose("vn", sighting(), sequence=2, previous=None, signer=theirs))
        await world.settle()
        assert await decisions(world) == []
        assert await refusals(world) == ["bad-signature", "bad-signature", "unknown-key"]


def sign_receipt_of(signed: SignedReceipt, signer: PrivateKey) -> SignedReceipt:
    return sign_receipt(decode(Receipt, signed.receipt), NETWORK, signer)


# --- the countersignature ----------------------------------------------------------------------------


async def test_the_countersignature_is_asked_for_at_the_gateway(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        second = world.countersign("vn")
        envelope = world.compose("vn", sighting())
        (refused,) = await world.send("vn", envelope)
        assert (refused.status, refused.code) == ("refused", "bad-signature")
        (accepted,) = await world.send("vn", countersigned(world, envelope, second))
        assert accepted.status == "accepted"


async def test_the_countersignature_is_asked_for_at_the_dispatcher(tmp_path: Path) -> None:
    """At the time of the decision: the gateway may have looked before it was required."""
    async with WithoutDispatcher(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        envelope = world.compose("vn", sighting())
        (accepted,) = await world.send("vn", envelope)
        assert accepted.status == "accepted"
        second = world.countersign("vn")
        await world.decide()
        assert await decisions(world) == []
        assert await refusals(world) == ["bad-signature"]
        # With it the next is decided, unless its key has ended meanwhile.
        (accepted,) = await world.send(
            "vn", countersigned(world, world.compose("vn", sighting(), previous=None), second)
        )
        assert accepted.status == "accepted"
        first, key = world.source.members["vn"].keys
        give_keys(
            world, "vn", first, replace(key, revoked_at=world.clock.now(), reason=Revocation.SUPERSEDED)
        )
        await world.decide()
        assert await decisions(world) == []
        assert await refusals(world) == ["bad-signature"] * 2


async def test_the_countersignature_is_asked_for_by_the_receiving_node(tmp_path: Path) -> None:
    """Were the hub to pass on a notice without it."""
    async with WithoutDispatcher(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        jp = TestNode(world, "jp", tmp_path)
        await world.publish("vn", sighting())
        before = world.source.load()
        world.countersign("vn")
        honest = world.source.load
        required = honest()
        # The hub decides by a directory that does not ask for it, and names the one that does.
        world.source.load = lambda: replace(  # type: ignore[method-assign]
            before, version=required.version, members={**before.members}
        )
        await world.decide()
        world.source.load = honest  # type: ignore[method-assign]
        await jp.receives()
        (wrong,) = jp.incoming.received()
        assert (wrong.state, wrong.code) == ("quarantined", "bad-signature")


# --- rotation ----------------------------------------------------------------------------------------


OLD, FRESH, LATTICE = (
    signing_key(PrivateKey.generate(algorithm))
    for algorithm in (Algorithm.ED25519, Algorithm.ESP256, Algorithm.ML_DSA_65)
)
WITH_PQ = replace(LATTICE, pq_required_from=NOW)
STOLEN = replace(OLD, revoked_at=NOW, reason=Revocation.COMPROMISED)


def entry(world: World, *keys: MemberKey) -> Member:
    return replace(world.source.members["vn"], keys=keys)


def test_a_rotation_takes_nothing_back(tmp_path: Path) -> None:
    world = World(tmp_path, "vn")
    check_kept(entry(world, OLD), entry(world, replace(OLD, valid_until=NOW), FRESH))
    check_kept(entry(world, OLD), entry(world, STOLEN, FRESH))
    check_kept(entry(world, STOLEN), entry(world, replace(STOLEN, revoked_at=NOW - HOUR)))
    check_kept(entry(world, OLD, WITH_PQ), entry(world, OLD, replace(WITH_PQ, pq_required_from=NOW - 1)))
    check_kept(
        entry(world, OLD, WITH_PQ),
        entry(world, replace(OLD, pq_required_from=NOW), replace(LATTICE, valid_until=NOW)),
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param([OLD], [FRESH], "no longer in its history", id="a key is gone from the history"),
        pytest.param([OLD], [replace(OLD, valid_from=NOW)], "beginning", id="a key began at another time"),
        pytest.param([OLD], [replace(OLD, use=Use.DIRECTORY)], "use", id="a key has another use"),
        pytest.param([STOLEN], [OLD], "count again", id="a revoked key counts again"),
        pytest.param(
            [STOLEN],
            [replace(STOLEN, reason=Revocation.SUPERSEDED)],
            "was stolen",
            id="nothing that a stolen key signed is in doubt any more",
        ),
        pytest.param(
            [replace(STOLEN, valid_until=NOW + HOUR)],
            [replace(STOLEN, revoked_at=NOW + 1, valid_until=NOW)],
            "was stolen",
            id="less of what a stolen key signed is in doubt",
        ),
        pytest.param(
            [STOLEN], [replace(STOLEN, revoked_at=NOW + 1)], "count again", id="it was stolen later than said"
        ),
        pytest.param(
            [STOLEN], [replace(OLD, valid_until=NOW)], "would not be", id="it is no longer said to be stolen"
        ),
        pytest.param(
            [replace(STOLEN, reason=Revocation.SUPERSEDED)],
            [replace(OLD, valid_until=NOW)],
            "was revoked",
            id="it is no longer said to be replaced",
        ),
        pytest.param(
            [replace(OLD, valid_until=NOW)],
            [replace(OLD, valid_until=NOW + 1)],
            "count again",
            id="an ended key goes on",
        ),
        pytest.param([OLD, WITH_PQ], [OLD, LATTICE], "no countersignature", id="it is not required any more"),
        pytest.param(
            [OLD, WITH_PQ],
            [OLD, replace(WITH_PQ, pq_required_from=NOW + 1)],
            "no countersignature",
            id="it is required later",
        ),
    ],
)
def test_a_rotation_is_no_way_to_take_something_back(
    tmp_path: Path, before: list[MemberKey], after: list[MemberKey], said: str
) -> None:
    world = World(tmp_path, "vn")
    with pytest.raises(BadConfiguration, match=said):
        check_kept(entry(world, *before), entry(world, *after))


def test_the_key_of_a_transport_is_kept_like_any_other(tmp_path: Path) -> None:
    world = World(tmp_path, "vn")
    before = world.source.members["vn"]
    with pytest.raises(BadConfiguration, match="history"):
        check_kept(before, replace(before, transport_keys=()))
