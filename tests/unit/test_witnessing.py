"""Witnesses at work: what members cosign, what a quorum stands behind, and which alarms sound."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.witness.judging import Denied, Submission
from adapters.witness.rhythm import OVERDUE_MS
from broker.core.cosignature import CosignatureKey, Cosigner
from broker.core.directory import MemberKey, Use
from broker.core.errors import BadProof, Refused, Stale, TooLarge, Unavailable, UnknownKey
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.policy import witness_name
from broker.core.signed_note import MOST_SIGNATURES, Line, split_note
from broker.log import Partition
from broker.log.topics import AUDIT_COSIGNATURES
from broker.services.cosignatures import KEPT
from tests.crash import Crash, CrashPoints
from tests.nodes import LocalHub, OtherHub
from tests.witnesses import asked, cosigned, grow, witness_node, witnesses
from tests.world import NETWORK, SECONDS, World


async def test_what_most_members_have_cosigned_covers_what_was_delivered(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        assert nodes["jp"].node.files(), "the delivery waited for no cosignature"
        await cosigned(world, nodes)

        size = world.ledger.size
        for each in nodes.values():
            assert each.facts("cosigned_quorum", "cosigned_size", "uncovered_since") == [2, size, None]
            assert each.node.alarms() == []
        note = nodes["jp"].node.store.fact("cosigned_note")
        assert {line.name for line in split_note(note)[1]} == {
            world.log_signer.key.name,
            *(witness_name(NETWORK, member) for member in nodes),
        }
        assert world.cosignatures.shown(world.ledger.published.note) == world.cosignatures.asked()  # type: ignore[union-attr]


def metric(world: World, name: str) -> float:
    lines = world.metrics.render().decode().splitlines()
    (found,) = [line for line in lines if line.startswith(name + " ")]
    return float(found.rpartition(" ")[2])


async def test_the_hub_tells_how_far_most_members_follow_and_witnesses_outside_are_none(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        await asked(world)
        newest = world.cosignatures.asked_now()
        assert newest is not None

        async def told(at: int) -> bool:
            # Whoever follows reads it in a moment.
            await world.settle()
            async with asyncio.timeout(SECONDS):
                while at / 1000 != metric(world, "halong_cosigned_timestamp_seconds"):
                    await world.log.wait(await world.log.ends(["*"]), 0.005)
            return True

        outside = CosignatureKey("outside.example", PrivateKey.generate(Algorithm.ED25519).public)
        await world.cosignatures.keep(outside, newest, Line("outside.example", b"abcd", bytes(72)))
        await nodes["vn"].rhythm.step()
        assert await told(0), "one member of three, and one who is none"
        await nodes["jp"].rhythm.step()
        assert await told(newest.checkpoint.signed_at)


async def test_all_are_asked_to_cosign_the_same_tree_however_busy_the_log_is(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        assert world.cosignatures.asked() is None, "its interval is not over"
        size = world.ledger.size
        await asked(world)
        for member in ("vn", "jp"):
            await nodes[member].rhythm.step()
            # The log grows between one and the other.
            await grow(world, nodes)
        await nodes["nl"].rhythm.step()
        assert nodes["nl"].facts("cosigned_size") == [size]
        assert world.ledger.size > size


async def test_a_node_that_cosigned_a_tree_says_it_once(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        for _ in range(3):
            await cosigned(world, nodes)
        assert (await world.log.ends([AUDIT_COSIGNATURES]))[Partition(AUDIT_COSIGNATURES)] == 2


async def test_without_a_witness_key_a_node_sees_what_others_cosigned(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        nodes = {member: witness_node(world, member, tmp_path) for member in ("vn", "nl")}
        jp = witness_node(world, "jp", tmp_path)
        jp.rhythm._witness = None
        await grow(world, {**nodes, "jp": jp})
        await cosigned(world, {**nodes, "jp": jp})
        await jp.rhythm.step()
        assert jp.facts("cosigned_size") == [world.ledger.size]


async def test_where_nobody_is_a_witness_nothing_is_missed(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        jp = witness_node(world, "jp", tmp_path)
        entry = world.source.members["jp"]
        world.source.members["jp"] = type(entry)(
            entry.id, entry.name, entry.member_class, entry.regions, entry.keys[:1], entry.transport_keys
        )
        vn = witness_node(world, "vn", tmp_path)
        jp.rhythm._witness = None
        world.source.members["vn"] = type(entry)(
            "vn", "VN", entry.member_class, entry.regions, world.source.members["vn"].keys[:1],
            world.source.members["vn"].transport_keys, world.source.members["vn"].accessions,
        )  # fmt: skip
        await grow(world, {"vn": vn, "jp": jp})
        world.clock.move(2 * OVERDUE_MS)
        await jp.rhythm.step()
        assert jp.facts("cosigned_quorum", "uncovered_since") == [0, None]
        assert jp.node.alarms() == []


async def test_a_delivery_that_no_quorum_covers_for_minutes_is_an_alarm_until_one_does(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        taken_at = world.clock.now()
        jp = nodes["jp"]
        await asked(world)
        await jp.rhythm.step()
        assert jp.node.alarms() == []
        world.clock.move(OVERDUE_MS)
        for _ in range(3):
            await jp.rhythm.step()
        assert jp.node.alarms() == [("log.uncovered", "not-cosigned")]
        assert jp.node.snapshot().alarms[0].count == 1, "it sounds once, and stays to be seen"
        (since,) = jp.facts("uncovered_since")
        assert since is not None
        assert since <= taken_at

        await cosigned(world, nodes)
        await jp.rhythm.step()
        assert jp.facts("uncovered_since") == [None]


async def test_a_witness_whose_store_was_restored_cosigns_under_another_key_alone(tmp_path: Path) -> None:
    """It has forgotten what it cosigned since the backup: under the old key that could be another history."""
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        await cosigned(world, nodes)
        jp = nodes["jp"]
        before = jp.witness.latest()
        await grow(world, nodes)
        await asked(world)
        jp.node.store.remember(restored_at=world.clock.now())
        with pytest.raises(Unavailable, match="another key"):
            await jp.rhythm.step()
        assert jp.witness.latest() == before

        world.clock.move(1_000)
        jp.node.close()
        new = PrivateKey.generate(Algorithm.ED25519)
        world.people["jp"].witness = new
        listed = MemberKey(new.public.id, Use.WITNESS, new.public, world.clock.now())
        entry = world.source.members["jp"]
        world.source.members["jp"] = replace(entry, keys=(*entry.keys, listed))
        await world.directory.refresh()
        jp = witness_node(world, "jp", tmp_path)
        await jp.rhythm.step()
        assert jp.witness.latest() != before


class Silent(OtherHub):
    """A hub that answers everything but what others cosigned."""

    def __init__(self, hub: LocalHub, error: type[Unavailable | Refused]) -> None:
        super().__init__(hub)
        self._error = error

    async def cosigned(self, least: int) -> bytes | None:
        raise self._error("not now")


@pytest.mark.parametrize("error", [Unavailable, Refused])
async def test_a_hub_that_does_not_say_what_was_cosigned_is_not_covered_by_that(
    tmp_path: Path, error: type[Unavailable | Refused]
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn = witness_node(world, "vn", tmp_path)
        jp = witness_node(world, "jp", tmp_path, wrap=lambda hub: Silent(hub, error))
        await grow(world, {"vn": vn, "jp": jp})
        await asked(world)
        world.clock.move(OVERDUE_MS)
        with pytest.raises(error):
            await jp.rhythm.step()
        assert jp.node.alarms() == [], "a hub that does not answer at all hides nothing"

        await jp.node.receives()
        with pytest.raises(error):
            await jp.rhythm.step()
        assert jp.node.alarms() == [("log.uncovered", "not-cosigned")]


class Split(OtherHub):
    """A hub that shows one member a log of its own: same key, same size, another leaf."""

    def __init__(self, hub: LocalHub) -> None:
        super().__init__(hub)
        self.lies = False

    def _tree(self) -> Tree:
        size = self.world.ledger.size
        whole = [self.world.ledger._tree.leaf(n) for n in range(size)]
        return Tree([leaf_hash(b"another"), *whole[1:]])

    async def asked(self) -> bytes | None:
        honest = await super().asked()
        if not self.lies or honest is None:
            return honest
        size, _ = self.world.log_signer.key.open_checkpoint(honest)
        return self.world.log_signer.sign_checkpoint(size, self._tree().root(size), self.world.clock.now())

    async def consistency(self, old: int, new: int) -> list[bytes] | None:
        return self._tree().consistency_path(old, new) if self.lies else await super().consistency(old, new)


async def test_a_history_that_denies_what_was_seen_is_not_cosigned_and_kept_as_evidence(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        hubs: list[Split] = []

        def wrap(hub: LocalHub) -> Split:
            hubs.append(Split(hub))
            return hubs[-1]

        vn = witness_node(world, "vn", tmp_path)
        jp = witness_node(world, "jp", tmp_path, wrap=wrap)
        nodes = {"vn": vn, "jp": jp}
        await grow(world, nodes)
        await cosigned(world, nodes)
        before = jp.witness.latest()
        await grow(world, nodes)
        await asked(world)
        hubs[0].lies = True
        with pytest.raises(BadProof):
            await jp.rhythm.step()
        assert jp.witness.latest() == before
        assert ("log.forked", "bad-proof") in jp.node.alarms()
        ((kept, shown),) = jp.node.store.rows("SELECT kept, shown FROM contradictions")
        key = world.log_signer.key
        assert key.open_checkpoint(kept) == before
        assert key.open_checkpoint(shown) != before


async def test_another_history_is_an_alarm_also_where_it_is_cosigned_and_smaller_than_what_was(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        forged: list[bytes] = []

        class Forging(OtherHub):
            async def cosigned(self, least: int) -> bytes | None:
                return forged[-1] if forged else await super().cosigned(least)

        nodes = {member: witness_node(world, member, tmp_path, wrap=Forging) for member in ("vn", "jp")}
        await grow(world, nodes)
        await cosigned(world, nodes)
        seen = nodes["jp"].witness.latest()
        assert seen is not None
        await grow(world, nodes)
        await cosigned(world, nodes)
        note = world.log_signer.sign_checkpoint(seen.size, b"x" * 32, world.clock.now())
        text, _ = split_note(note)
        forged.append(note + "".join(line(world, member, text) for member in nodes).encode())
        with pytest.raises(BadProof):
            await nodes["jp"].rhythm.step()
        assert ("log.forked", "bad-proof") in nodes["jp"].node.alarms()


async def test_a_hub_that_shrank_is_an_alarm(tmp_path: Path) -> None:
    """It was restored from a backup: what it asks to be cosigned is smaller than what was."""
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")

        notes: list[bytes | None] = [None]

        class Older(OtherHub):
            async def asked(self) -> bytes | None:
                return notes[-1] or await super().asked()

            async def checkpoint(self) -> bytes | None:
                return notes[-1] or await super().checkpoint()

        nodes = {member: witness_node(world, member, tmp_path, wrap=Older) for member in ("vn", "jp")}
        await grow(world, nodes)
        await cosigned(world, nodes)
        old = await nodes["jp"].node.hub.checkpoint()
        await grow(world, nodes)
        await cosigned(world, nodes)
        notes.append(old)
        await nodes["jp"].rhythm.step()
        assert nodes["jp"].node.alarms() == [], "a process of the hub may be behind"
        await nodes["jp"].rhythm.step()
        assert nodes["jp"].node.alarms() == [("log.rolled-back", "bad-proof")]


async def test_what_was_kept_when_the_node_was_cut_is_cosigned_after_it_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        await asked(world)
        jp, note = nodes["jp"], world.cosignatures.asked()
        assert note is not None
        tree = world.log_signer.key.open_checkpoint(note)
        jp.node.close()
        crashes = 0
        for crash_at in range(1, 100):
            points = CrashPoints(crash_at)
            cut = witness_node(world, "jp", tmp_path, points=points)
            cut.rhythm._hub = cut.node.local
            signed: list[bytes] = []

            def sign(data: bytes, signed: list[bytes] = signed, cut: object = cut) -> bytes:
                signed.append(data)
                # Whatever is signed is on the disk already.
                assert cut.witness.latest() == tree  # type: ignore[attr-defined]
                return world.people["jp"].witness.sign(data)  # type: ignore[union-attr]

            key = world.people["jp"].witness
            assert key is not None
            cut.witness._cosigner._signer = type(
                "Watched", (), {"public": key.public, "sign": staticmethod(sign)}
            )()
            try:
                await cut.rhythm.step()
            except Crash:
                crashes += 1
            else:
                break
            finally:
                cut.node.close()
        assert crashes > 3
        assert signed
        fork = world.log_signer.sign_checkpoint(tree.size, bytes(32), world.clock.now())
        again = witness_node(world, "jp", tmp_path)
        refused = await again.witness.add(Submission(tree.size, (), fork))
        assert isinstance(refused, Denied)
        assert (refused.status, refused.forked) == (422, True)


def line(world: World, member: str, text: bytes) -> str:
    key = world.people[member].witness
    assert key is not None
    return Cosigner(witness_name(NETWORK, member), key).cosign(text, world.clock.now()).text


async def test_the_hub_takes_a_members_own_cosignatures_of_what_it_asks_for_alone(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        await asked(world)
        await world.directory.refresh()
        note = world.cosignatures.asked()
        assert note is not None
        text, _ = split_note(note)
        key = world.people["jp"].witness
        assert key is not None
        stranger = Cosigner(witness_name(NETWORK, "jp"), PrivateKey.generate(Algorithm.ED25519))
        false = Line(
            witness_name(NETWORK, "jp"), Cosigner(witness_name(NETWORK, "jp"), key).key.key_id, bytes(72)
        )
        other = text.replace(NETWORK.encode(), b"other")
        refusals: dict[bytes, type[Refused]] = {
            text + b"\n" + b"x" * 9000: TooLarge,
            text: BadProof,
            other + b"\n" + line(world, "jp", other).encode(): Stale,
            text + b"\n" + line(world, "vn", text).encode(): UnknownKey,
            text + b"\n" + stranger.cosign(text, world.clock.now()).text.encode(): UnknownKey,
            text + b"\n" + false.text.encode(): BadProof,
        }
        for body, error in refusals.items():
            with pytest.raises(error):
                await world.cosignatures.take("jp", body)
        assert world.cosignatures.cosigned(1) is None
        for _ in range(2):
            await world.cosignatures.take("jp", text + b"\n" + line(world, "jp", text).encode())
        assert (await world.log.ends([AUDIT_COSIGNATURES]))[Partition(AUDIT_COSIGNATURES)] == 1
        assert world.cosignatures.cosigned(1) is not None
        assert world.cosignatures.cosigned(2) is None


async def test_a_member_with_many_keys_does_not_crowd_out_the_quorum(tmp_path: Path) -> None:
    """A note has room for a hundred lines, and a member lists as many keys as it likes."""
    async with World(tmp_path, "vn", "jp") as world:
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        await asked(world)
        keys = [world.witness("jp") for _ in range(MOST_SIGNATURES)]
        await world.directory.refresh()
        note = world.cosignatures.asked()
        assert note is not None
        text, _ = split_note(note)
        for key in keys:
            line_of = Cosigner(witness_name(NETWORK, "jp"), key).cosign(text, world.clock.now())
            await world.cosignatures.take("jp", text + b"\n" + line_of.text.encode())
        await world.cosignatures.take("vn", text + b"\n" + line(world, "vn", text).encode())

        shown = world.cosignatures.cosigned(2)

        assert shown is not None
        cosigned_by = (await nodes["vn"].rhythm.policy()).check(shown).times
        assert "member/vn" in cosigned_by
        assert any(name.startswith("member/jp") for name in cosigned_by)


async def test_what_was_given_is_shown_again_after_the_hub_was_started_anew(tmp_path: Path) -> None:
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp")
    async with world:
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        await cosigned(world, nodes)
        shown = world.cosignatures.cosigned(2)
        assert shown is not None
    async with world:
        await world.settle()
        while world.cosignatures.cosigned(2) is None:
            world.cosignatures.asked()
            await world.log.wait(await world.log.ends(["*"]), 0.005)
        assert world.cosignatures.cosigned(2) == shown


async def test_the_hub_keeps_no_more_than_what_is_of_late(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        for _ in range(3):
            await grow(world, nodes)
            await cosigned(world, nodes)
        for n in range(2 * KEPT):
            world.cosignatures._give("vn", b"x\n%d\nx\n\n" % n + Line("x", b"1234", b"5").text.encode())
        assert len(world.cosignatures._given) == KEPT
