"""A stored log is counted and verified by reading alone, and whatever was done to it afterwards is found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from broker.commands.recount import Recount, recount
from broker.core.keys import Algorithm, PrivateKey
from broker.core.model import Checkpoint, Decision, Delivery, Leaf
from broker.core.note import LogKey, LogSigner
from broker.core.records import encode, frame, unframe
from broker.core.timely import COVERED_WITHIN_MS
from broker.log import Batch, Log, Partition, Record, Stored, Topic, open_log
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES, DECISIONS
from tests.world import World, sighting

NOTICES = 5

Change = Callable[[Sequence[Stored]], Sequence[Stored]]


class AlteredLog:
    """A log whose stored records somebody has changed behind the hub's back."""

    def __init__(self, log: Log, topic: str, change: Change) -> None:
        self._log = log
        self._topic = topic
        self._change = change

    async def read(self, partition: Partition, start: int, limit: int) -> Sequence[Stored]:
        found = await self._log.read(partition, start, limit)
        return self._change(found) if partition.topic == self._topic else found

    async def ends(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        return await self._log.ends(topics)

    async def wait(self, ends: Mapping[Partition, int], seconds: float) -> None:
        await self._log.wait(ends, seconds)

    async def create(self, topics: Sequence[Topic]) -> None:
        raise AssertionError("a recount writes nothing")

    async def append(self, records: Sequence[Record]) -> Sequence[int]:
        raise AssertionError("a recount writes nothing")

    def follow(
        self, reader: str, topics: Sequence[str], *, sole: bool = False, limit: int = 1024
    ) -> AsyncIterator[Batch]:
        raise AssertionError("a recount writes nothing")

    async def close(self) -> None:
        await self._log.close()


@pytest.fixture
async def signed(tmp_path: Path) -> tuple[str, LogSigner]:
    """A log that a hub has written, and who signed it."""
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp", types=["sighting"], slots=["facts"])
        world.agree("vn", "nl", types=["sighting"], slots=["facts", "entities"])
        await world.directory.refresh()
        for number in range(NOTICES):
            await world.publish("vn", sighting(place=f"Hai Phong {number}"))
        await world.settle()
        return world.url, world.log_signer


@pytest.fixture
def stored(signed: tuple[str, LogSigner]) -> tuple[str, str]:
    """The same, and the log's public key."""
    return signed[0], signed[1].vkey


async def count(url: str, key: str, topic: str = "", change: Change = list) -> Recount:
    async with open_log(url, read_only=True) as log:
        return await recount(AlteredLog(log, topic, change), LogKey.parse(key))


async def test_an_honest_log_is_counted_and_verified(stored: tuple[str, str]) -> None:
    counted = await count(*stored)

    assert counted.findings == []
    assert counted.verified
    assert (counted.published, counted.delivered, counted.refused) == (NOTICES, 2 * NOTICES, 0)
    assert counted.members == {"jp": NOTICES, "nl": NOTICES}
    assert counted.leaves >= 4 * NOTICES
    assert counted.waiting == 0


async def test_a_receipt_that_was_sent_again_counts_once(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        await world.publish("vn", sighting())
        await world.settle()
        (delivery,) = await world.deliveries("jp")
        receipt = encode(world.receipt("jp", delivery.id))
        for _ in range(2):
            await world.gateway.receive("jp", [receipt])
        await world.settle()
        url, key = world.url, world.log_signer.vkey

    assert (await count(url, key)).receipts == {"delivered": 1}


async def test_a_log_without_checkpoints_is_not_verified(stored: tuple[str, str]) -> None:
    counted = await count(*stored, AUDIT_CHECKPOINTS, lambda _found: [])

    assert not counted.verified
    assert counted.leaves == counted.published == counted.delivered == 0
    assert counted.waiting > 0


def _dropped(found: Sequence[Stored]) -> Sequence[Stored]:
    return [each for each in found if each.offset != 1]


def _swapped(found: Sequence[Stored]) -> Sequence[Stored]:
    if len(found) < 3:
        return found
    first, second, *rest = found
    return [replace(first, value=second.value), replace(second, value=first.value), *rest]


def _other_slots(found: Sequence[Stored]) -> Sequence[Stored]:
    """A delivery with another head: as if something else had been delivered."""
    changed = []
    for each in found:
        delivery = unframe(Delivery, each.value)
        head = bytes([delivery.head[0], delivery.head[1] ^ 1]) + delivery.head[2:]
        changed.append(replace(each, value=frame(replace(delivery, head=head))))
    return changed


def _nobody(found: Sequence[Stored]) -> Sequence[Stored]:
    """Decisions that say that nobody got anything."""
    return [replace(each, value=frame(replace(unframe(Decision, each.value), shares=()))) for each in found]


def _other_entry(found: Sequence[Stored]) -> Sequence[Stored]:
    changed = []
    for each in found:
        leaf = unframe(Leaf, each.value)
        entry = leaf.entry[:-1] + bytes([leaf.entry[-1] ^ 1]) if leaf.index == 3 else leaf.entry
        changed.append(replace(each, value=frame(replace(leaf, entry=entry))))
    return changed


def _moved(found: Sequence[Stored]) -> Sequence[Stored]:
    """Two leaves that name one record."""
    leaves = [unframe(Leaf, each.value) for each in found]
    places = [(leaf.topic, leaf.partition, leaf.offset) for leaf in leaves]
    last = places.index(places[-1])
    topic, partition, offset = next(place for place in places[:last] if place[0] == places[last][0])
    changed = replace(leaves[last], topic=topic, partition=partition, offset=offset)
    return [*found[:last], replace(found[last], value=frame(changed)), *found[last + 1 :]]


def _other_size(found: Sequence[Stored]) -> Sequence[Stored]:
    last = unframe(Checkpoint, found[-1].value)
    return [*found[:-1], replace(found[-1], value=frame(replace(last, size=last.size - 1)))]


def _forged(found: Sequence[Stored]) -> Sequence[Stored]:
    """The last checkpoint, over another root, signed by somebody else in the log's name."""
    last = unframe(Checkpoint, found[-1].value)
    forger = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, b"\7" * 32))
    root = bytes(32)
    forged = replace(last, root=root, note=forger.sign_checkpoint(last.size, root))
    return [*found[:-1], replace(found[-1], value=frame(forged))]


def _garbled(found: Sequence[Stored]) -> Sequence[Stored]:
    return [replace(each, value=each.value + b"\0") for each in found]


@pytest.mark.parametrize(
    ("done", "topic", "change", "said"),
    [
        ("a delivery is taken away", "inbox.jp", _dropped, "gone"),
        ("deliveries change their order", "inbox.jp", _swapped, "not the one that its leaf names"),
        ("a delivery becomes another", "inbox.nl", _other_slots, "not the one that its leaf names"),
        ("a decision is taken away", DECISIONS, _dropped, "nothing decided the delivery"),
        ("decisions become others", DECISIONS, _nobody, "not the one that its leaf names"),
        ("a decision is no record any more", DECISIONS, _garbled, ""),
        ("a leaf is taken away", AUDIT_LEAVES, _dropped, "stands where leaf"),
        ("a leaf becomes another", AUDIT_LEAVES, _other_entry, "another root"),
        ("a leaf names a record that has one", AUDIT_LEAVES, _moved, "has a leaf already"),
        ("leaves are no records any more", AUDIT_LEAVES, _garbled, ""),
        ("a checkpoint says another size", AUDIT_CHECKPOINTS, _other_size, "another size or root"),
        ("a checkpoint is forged", AUDIT_CHECKPOINTS, _forged, "log's key"),
        ("checkpoints come in another order", AUDIT_CHECKPOINTS, lambda found: found[::-1], "shrank"),
    ],
)  # fmt: skip
async def test_what_was_done_to_a_stored_log_is_found(
    stored: tuple[str, str], done: str, topic: str, change: Change, said: str
) -> None:
    counted = await count(*stored, topic, change)

    assert not counted.verified, done
    assert any(said in finding.what for finding in counted.findings), counted.findings


def _signed_later(signer: LogSigner, by: int, count: int = 1_000) -> Change:
    """The first checkpoints, validly signed some time later, as if the log had come to it only then."""

    def change(found: Sequence[Stored]) -> Sequence[Stored]:
        changed = []
        for each in found[:count]:
            checkpoint = unframe(Checkpoint, each.value)
            at = checkpoint.signed_at + by
            note = signer.sign_checkpoint(checkpoint.size, checkpoint.root, at)
            changed.append(replace(each, value=frame(replace(checkpoint, note=note, signed_at=at))))
        return [*changed, *found[count:]]

    return change


@pytest.mark.parametrize("sign", [1, -1])
async def test_a_decision_that_the_log_took_in_at_another_time_is_found_by_its_code(
    signed: tuple[str, LogSigner], sign: int
) -> None:
    url, signer = signed
    near = _signed_later(signer, sign * (COVERED_WITHIN_MS - 1000))
    counted = await count(url, signer.vkey, AUDIT_CHECKPOINTS, near)
    assert counted.verified, counted.findings

    far = _signed_later(signer, sign * (COVERED_WITHIN_MS + 1000))
    counted = await count(url, signer.vkey, AUDIT_CHECKPOINTS, far)
    assert {finding.code for finding in counted.findings} == {"untimely"}
    assert len(counted.findings) == counted.published == NOTICES


async def test_a_time_that_goes_back_or_is_another_than_the_signed_one_is_found(
    signed: tuple[str, LogSigner],
) -> None:
    def other(found: Sequence[Stored]) -> Sequence[Stored]:
        checkpoint = unframe(Checkpoint, found[0].value)
        changed = replace(checkpoint, signed_at=checkpoint.signed_at + 1000)
        return [replace(found[0], value=frame(changed)), *found[1:]]

    def timeless(found: Sequence[Stored]) -> Sequence[Stored]:
        checkpoint = unframe(Checkpoint, found[0].value)
        note = signer.sign_checkpoint(checkpoint.size, checkpoint.root)
        return [replace(found[0], value=frame(replace(checkpoint, note=note))), *found[1:]]

    url, signer = signed
    back = _signed_later(signer, 2000, count=1)
    for change, said in ((back, "went back"), (other, "another time"), (timeless, "one time of the log")):
        counted = await count(url, signer.vkey, AUDIT_CHECKPOINTS, change)
        assert any(said in finding.what for finding in counted.findings), counted.findings


async def test_another_log_s_key_verifies_nothing(stored: tuple[str, str]) -> None:
    url, _ = stored
    other = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, b"\7" * 32)).vkey

    counted = await count(url, other)

    assert not counted.verified
    assert counted.checkpoints == 0
