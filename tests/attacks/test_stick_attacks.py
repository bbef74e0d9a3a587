"""Attacks with sticks: what somebody changed on the way is refused by the code that it has online, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from adapters.stick.file import Content, Fed, Head, Notices, Stood, Told, open_stick, write_stick
from broker.core.errors import Refused
from broker.core.keys import Algorithm, PrivateKey
from broker.core.model import Delivery, DeliveryHead, Envelope
from broker.core.note import LogSigner
from broker.core.records import decode, encode
from broker.core.wire import FeedItem, Inclusion, StreamPosition
from tests.nodes import TestNode
from tests.sticks import OfflineNode
from tests.world import NETWORK, World

Lines: TypeAlias = list[Content]


@dataclass(frozen=True, slots=True)
class Row:
    """What is changed on a stick that goes back to the node, and the code that comes of it."""

    name: str
    code: str
    change: Callable[[Head, Lines, World], tuple[Head, Lines]]


def fed(change: Callable[[FeedItem], FeedItem]) -> Callable[[Head, Lines, World], tuple[Head, Lines]]:
    """Change every delivery."""

    def changed(head: Head, lines: Lines, _: World) -> tuple[Head, Lines]:
        return head, [
            Fed(
                line.after,
                msgspec.structs.replace(line.feed, items=[change(each) for each in line.feed.items]),
            )
            if isinstance(line, Fed)
            else line
            for line in lines
        ]

    return changed


def told(**fields: object) -> Callable[[Head, Lines, World], tuple[Head, Lines]]:
    """Change what is said about every statement."""

    def changed(head: Head, lines: Lines, _: World) -> tuple[Head, Lines]:
        return head, [
            Told([msgspec.structs.replace(each, **fields) for each in line.statements])
            if isinstance(line, Told)
            else line
            for line in lines
        ]

    return changed


def of_another_log(head: Head, lines: Lines, world: World) -> tuple[Head, Lines]:
    """Checkpoints of the same size and root, signed by a key that is not the pinned one."""
    signer = LogSigner(f"{NETWORK}/log", PrivateKey.generate(Algorithm.ED25519))

    def forged(feed: Fed) -> Fed:
        published = world.ledger.published
        assert published is not None
        note = signer.sign_checkpoint(published.size, published.root)
        return Fed(feed.after, msgspec.structs.replace(feed.feed, checkpoint=note))

    return head, [forged(line) if isinstance(line, Fed) else line for line in lines]


def altered(item: FeedItem) -> FeedItem:
    """Another text in the envelope, under the head that the log has."""
    delivery = decode(Delivery, item.delivery)
    assert delivery.envelope is not None
    first, *rest = delivery.envelope.disclosures
    value = first.value.replace(b"Kobe", b"Nara")
    assert value != first.value
    envelope = replace(delivery.envelope, disclosures=(replace(first, value=value), *rest))
    return msgspec.structs.replace(item, delivery=encode(replace(delivery, envelope=envelope)))


def to_another(item: FeedItem) -> FeedItem:
    """Another member in the head: its id is then none that the log has."""
    delivery = decode(Delivery, item.delivery)
    head = encode(replace(decode(DeliveryHead, delivery.head), member="jp"))
    return msgspec.structs.replace(item, delivery=encode(replace(delivery, head=head)))


def dropped(head: Head, lines: Lines, _: World) -> tuple[Head, Lines]:
    """The first delivery is taken out, the second stays."""
    return head, [
        Fed(line.after, msgspec.structs.replace(line.feed, items=line.feed.items[1:]))
        if isinstance(line, Fed)
        else line
        for line in lines
    ]


def of_the_other_way(head: Head, lines: Lines, _: World) -> tuple[Head, Lines]:
    return head, [Notices("asia-pacific/main", [b"x"]), *lines]


ROWS = (
    Row("a checkpoint by another key", "bad-proof", of_another_log),
    Row("a delivery whose content was changed", "bad-delivery", fed(altered)),
    Row("a delivery whose head was changed", "bad-proof", fed(to_another)),
    Row(
        "a delivery that is none",
        "not-canonical",
        fed(lambda item: msgspec.structs.replace(item, delivery=b"nothing")),
    ),
    Row(
        "a path that leads elsewhere",
        "bad-proof",
        fed(lambda item: msgspec.structs.replace(item, path=[bytes(32), *item.path])),
    ),
    Row("a delivery that was taken out", "lane-gap", dropped),
    Row("a proof of another place", "bad-proof", told(decision_inclusion=Inclusion(0, []))),
    Row("a decision that was made up", "not-canonical", told(decision=b"nothing")),
    Row(
        "another network",
        "bad-stick",
        lambda head, lines, _: (msgspec.structs.replace(head, network="halong-live"), lines),
    ),
    Row(
        "another member",
        "bad-stick",
        lambda head, lines, _: (msgspec.structs.replace(head, member="jp"), lines),
    ),
    Row(
        "another conversation",
        "bad-stick",
        lambda head, lines, _: (msgspec.structs.replace(head, conversation="0" * 16), lines),
    ),
    Row("a line that goes to the hub", "bad-stick", of_the_other_way),
    Row(
        "a feed that begins later",
        "stick-missing",
        lambda head, lines, _: (msgspec.structs.replace(head, after=head.after + 1, part=2), lines),
    ),
)


def written(path: Path, head: Head, lines: Sequence[Content]) -> None:
    """Write a stick that is whole: whoever alters one can count and hash, too."""
    with write_stick(path) as write:
        write(head)
        for line in lines:
            write(line)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_stick_that_was_altered_brings_nothing_in(tmp_path: Path, row: Row) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        world.agree("jp", "vn", name="other-way")
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue(place="Hue")
        for _ in range(2):
            jp.enqueue(place="Kobe")
        await jp.sends()
        await vn.exports()
        await vn.carries()
        with open_stick(vn.back, "feed") as (head, lines):
            written(vn.back, *row.change(head, list(lines), world))

        codes = {code for _, code in vn.alarms()}
        try:
            imported = await vn.imports()
        except Refused as error:
            codes.add(error.code)
        else:
            if imported.stopped is not None:
                codes.add(imported.stopped.code)
        codes |= {code for _, code in vn.alarms()}

        assert row.code in codes
        assert all("Nara" not in path.read_text() for path in vn.files())
        await vn.exports()


async def test_a_stick_to_the_hub_that_was_altered_reaches_nobody(tmp_path: Path) -> None:
    """The gateway looks at every byte of it; the carrier has no key to sign anything else."""
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue(place="Kobe")
        await vn.exports()

        def forged(envelope: bytes) -> bytes:
            found = decode(Envelope, envelope)
            header = found.header.replace(b"customs-enforcement", b"customs-enforcemen1")
            assert header != found.header
            return encode(replace(found, header=header))

        with open_stick(vn.out, "outbox") as (head, lines):
            changed = [
                Notices(line.stream, [forged(each) for each in line.envelopes])
                if isinstance(line, Notices)
                else line
                for line in lines
            ]
            written(vn.out, head, changed)
        handed, _ = await vn.carries()
        await vn.imports()
        await jp.receives()

        assert (handed.notices, handed.refused) == (0, 1)
        assert jp.files() == []
        assert vn.states() == [("signed", None)]
        assert (await vn.goes_round()).proven == 1


async def test_a_stream_that_a_stick_sets_back_signs_no_number_twice(tmp_path: Path) -> None:
    """A liar says that the hub has nothing of the stream; the store knows what it gave out."""
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, jp = OfflineNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        vn.enqueue(place="Kobe")
        await vn.exports()
        await vn.carries()
        with open_stick(vn.back, "feed") as (head, lines):
            changed = [
                Stood(line.stream, StreamPosition(0, None)) if isinstance(line, Stood) else line
                for line in lines
                if not isinstance(line, Told)
            ]
            written(vn.back, head, changed)
        await vn.imports()
        vn.enqueue(place="Nara")
        await vn.goes_round()
        await jp.receives()

        assert [state for state, _ in vn.states()] == ["proven", "proven"]
        assert len(jp.files()) == 2
