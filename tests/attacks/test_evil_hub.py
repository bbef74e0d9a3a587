"""The hub lies, with the log's key in its hands; the unmodified node of a member refuses each lie.

A lie is `stopped` (the feed stands still and nothing is delivered), goes into `quarantine` (kept, rejected by
a signed receipt, and the feed goes on), or is `told` (harmless to the member, and an alarm).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from adapters.receiving.times import MOST_COVERED
from broker.core.catalogue import NoticeType
from broker.core.cosignature import MOST_SECONDS
from broker.core.errors import Refused, Unavailable
from broker.core.keys import Algorithm, PrivateKey, new_salt
from broker.core.model import (
    DecisionShare,
    Envelope,
    Event,
    Ground,
    KeyWrap,
    Onward,
    SealedSlot,
    Slot,
    Tlp,
)
from broker.core.note import LogSigner
from broker.core.records import decode, encode
from broker.core.slots import disclose, slot_digest
from broker.core.timely import COVERED_WITHIN_MS
from broker.core.wire import Covering, FeedItem, Inclusion
from tests.evil_hub import EvilHub, disclosed, sample
from tests.nodes import TestNode
from tests.world import DAY, NETWORK, NOW, SIGHTING, Content, World

Lie = Callable[[EvilHub], object]


@dataclass(frozen=True, slots=True)
class Row:
    """A lie and how it ends."""

    name: str
    code: str
    ends: str
    lie: Lie


def it(code: str, ends: str, lie: Lie) -> Row:
    """A row under the name that its lie has."""
    return Row(f"it {lie.__name__.replace('_', ' ')}", code, ends, lie)


def notice(hub: EvilHub, originator: str = "vn", **fields: object) -> bytes:
    """Return a signed notice with something in every slot."""
    return hub.world.compose(originator, sample(hub.world), **fields)


def honest(hub: EvilHub, count: int = 1) -> None:
    for _ in range(count):
        hub.deliver(notice(hub))


# --- deliveries that are proven, and wrong ------------------------------------------------------------


def shows_a_slot_that_was_not_agreed(hub: EvilHub) -> None:
    hub.deliver(notice(hub), slots=(Slot.FACTS, Slot.PERSONS))


def shows_a_slot_that_the_head_does_not_name(hub: EvilHub) -> None:
    hub.deliver(notice(hub), slots=(Slot.FACTS,), slots_shown=(Slot.FACTS, Slot.PERSONS))


def names_a_slot_that_it_does_not_show(hub: EvilHub) -> None:
    hub.deliver(notice(hub), slots_shown=())


def delivers_without_an_agreement(hub: EvilHub) -> None:
    hub.deliver(notice(hub, "nl"))


def delivers_past_the_addressees(hub: EvilHub) -> None:
    hub.deliver(notice(hub, addressees=("nl",)))


def delivers_our_own_notice_to_us(hub: EvilHub) -> None:
    hub.deliver(notice(hub, "jp"))


def names_another_agreement(hub: EvilHub) -> None:
    hub.deliver(notice(hub), grounds=(Ground("vn-jp", 2, b"x" * 32),))


def names_the_agreement_by_other_bytes(hub: EvilHub) -> None:
    share = next(iter(hub.some_share().shares.values()))
    hub.deliver(notice(hub), grounds=(replace(share.grounds[0], digest=b"x" * 32),))


def eases_an_obligation(hub: EvilHub) -> None:
    share = next(iter(hub.some_share().shares.values()))
    hub.deliver(notice(hub), obligations=replace(share.obligations, onward_third_country=Onward.ALLOW))


def swaps_the_content_of_two_notices(hub: EvilHub) -> None:
    hub.deliver(notice(hub), disclosures=disclosed(notice(hub), Slot.FACTS))


def swaps_the_values_of_two_slots(hub: EvilHub) -> None:
    envelope = notice(hub)
    facts, persons = disclosed(envelope, Slot.FACTS, Slot.PERSONS)
    hub.deliver(envelope, disclosures=[replace(facts, value=persons.value)])


def shows_slots_out_of_order(hub: EvilHub) -> None:
    envelope = notice(hub)
    hub.deliver(
        envelope,
        slots=(Slot.FACTS, Slot.IDENTIFIERS),
        disclosures=reversed(disclosed(envelope, Slot.FACTS, Slot.IDENTIFIERS)),
    )


def alters_the_header(hub: EvilHub) -> None:
    envelope = decode(Envelope, notice(hub))
    altered = replace(
        envelope, header=envelope.header.replace(b"customs-enforcement", b"customs-enforcemenu")
    )
    hub.deliver(encode(altered))


def alters_the_content_after_it_was_named(hub: EvilHub) -> None:
    hub.deliver(notice(hub), content=b"x" * 32)


def names_another_statement(hub: EvilHub) -> None:
    hub.deliver(notice(hub), statement=b"x" * 32)


def signs_in_the_originators_name(hub: EvilHub) -> None:
    hub.deliver(notice(hub, signer=PrivateKey.generate(Algorithm.ED25519)))


def brings_a_notice_from_another_network(hub: EvilHub) -> None:
    hub.deliver(notice(hub, network="halong-exercise"))


def backdates_to_before_the_key(hub: EvilHub) -> None:
    hub.deliver(notice(hub), decided_at=NOW - 2 * DAY)
    hub.covered = [(1, NOW - 2 * DAY)]


def dates_a_decision_back(hub: EvilHub) -> None:
    hub.deliver(notice(hub), decided_at=NOW - COVERED_WITHIN_MS - 1000)


def dates_a_decision_forward(hub: EvilHub) -> None:
    hub.deliver(notice(hub), decided_at=NOW + COVERED_WITHIN_MS + 1)


def dates_a_decision_back_beyond_an_earlier_checkpoint(hub: EvilHub) -> None:
    hub.deliver(notice(hub), decided_at=NOW - DAY)
    hub.covered = [(1, NOW - DAY + COVERED_WITHIN_MS + 1000)]


def speaks_for_a_member_that_is_none(hub: EvilHub) -> None:
    hub.world.people["xx"] = hub.world.people["vn"]
    hub.deliver(notice(hub, "xx"))


def makes_up_a_lane(hub: EvilHub) -> None:
    hub.deliver(notice(hub), lane="asia-pacific/vn-2")


def climbs_out_of_the_folder_by_a_lane(hub: EvilHub) -> None:
    hub.deliver(notice(hub), lane="../../../../outside/evil")


def serves_anothers_delivery(hub: EvilHub) -> None:
    hub.deliver(notice(hub), member="nl", sequence=7)


def breaks_a_header_rule(hub: EvilHub) -> None:
    hub.deliver(notice(hub, tlp=Tlp.RED))


def brings_a_type_that_nobody_knows(hub: EvilHub) -> None:
    unknown = NoticeType("unheard-of", {**SIGHTING.schema, "name": "UnheardOf"})
    hub.deliver(hub.world.compose("vn", Content(unknown, {"place": "x"})))


def brings_another_schema_of_the_type(hub: EvilHub) -> None:
    other = NoticeType("sighting", {**SIGHTING.schema, "name": "Sighted"})
    hub.deliver(hub.world.compose("vn", Content(other, {"place": "x"})))


def brings_a_value_that_is_none(hub: EvilHub) -> None:
    one = disclose(Slot.FACTS, b"\x02\x02\xff", new_salt())
    others = disclosed(notice(hub), *list(Slot)[1:])
    digests = tuple(slot_digest(each) for each in (one, *others))
    hub.deliver(notice(hub, slots=digests, disclosures=(one, *others)))


def brings_a_seal_that_nobody_made(hub: EvilHub) -> None:
    envelope = decode(Envelope, notice(hub))
    sealed = SealedSlot(Slot.PERSONS, bytes(12), bytes(272))
    facts = tuple(disclosed(encode(envelope), Slot.FACTS))
    changed = replace(envelope, disclosures=facts, sealed=(sealed,), wraps=(KeyWrap("jp", bytes(32), b"x"),))
    hub.deliver(encode(envelope), slots=(Slot.FACTS, Slot.PERSONS), content_shown=changed)


def brings_more_than_a_limit(hub: EvilHub) -> None:
    envelope = decode(Envelope, notice(hub))
    facts = disclosed(encode(envelope), Slot.FACTS)
    hub.deliver(encode(envelope), disclosures=[replace(facts[0], value=bytes(70_000))])


def brings_a_signature_that_is_none(hub: EvilHub) -> None:
    envelope = decode(Envelope, notice(hub))
    hub.deliver(encode(replace(envelope, signature=b"\x18\x00")))


# --- proofs and order ---------------------------------------------------------------------------------


def drops_a_delivery(hub: EvilHub) -> None:
    honest(hub, 3)
    del hub.items[1]


def drops_the_first_delivery(hub: EvilHub) -> None:
    honest(hub, 2)
    del hub.items[0]


def reorders_two_deliveries(hub: EvilHub) -> None:
    honest(hub, 2)
    first, second = hub.items
    hub.items = [
        FeedItem(0, second.delivery, second.index, []),
        FeedItem(1, first.delivery, first.index, []),
    ]


def gives_two_deliveries_one_number(hub: EvilHub) -> None:
    hub.deliver(notice(hub))
    hub.deliver(notice(hub), sequence=1)


def shows_a_path_of_another_leaf(hub: EvilHub) -> None:
    honest(hub, 3)
    one = hub.items[0]
    hub.items[0] = FeedItem(one.place, one.delivery, one.index, hub.tree.inclusion_path(1))


def shows_an_index_of_another_leaf(hub: EvilHub) -> None:
    honest(hub, 3)
    one = hub.items[0]
    hub.items[0] = FeedItem(one.place, one.delivery, 1, [])


def delivers_what_is_not_in_the_log(hub: EvilHub) -> None:
    honest(hub, 2)
    hub.deliver(notice(hub))
    hub.size = 2
    hub.items = [FeedItem(0, hub.items[2].delivery, 0, hub.tree.inclusion_path(0, 2))]


def shows_no_checkpoint(hub: EvilHub) -> None:
    honest(hub)
    hub.note = None


def shows_a_checkpoint_that_nobody_signed(hub: EvilHub) -> None:
    honest(hub)
    note = hub.checkpoint_note()
    assert note is not None
    hub.note = note.partition(b"\n\n")[0] + b"\n\n"


def shows_a_checkpoint_of_another_key(hub: EvilHub) -> None:
    honest(hub)
    hub.signer = LogSigner(f"{NETWORK}/log", PrivateKey.generate(Algorithm.ED25519))


def shows_a_checkpoint_of_another_log(hub: EvilHub) -> None:
    honest(hub)
    other = LogSigner("halong-other/log", PrivateKey.generate(Algorithm.ED25519))
    hub.note = other.sign_checkpoint(hub.tree.size, hub.tree.root())


def shows_a_garbled_checkpoint(hub: EvilHub) -> None:
    honest(hub)
    hub.note = b"\xff" * 100


def shows_a_checkpoint_without_a_time(hub: EvilHub) -> None:
    honest(hub)
    hub.note = hub.signer.sign_checkpoint(1, hub.tree.root())


def shows_a_checkpoint_of_two_times(hub: EvilHub) -> None:
    honest(hub)
    notes = [hub.signer.sign_checkpoint(1, hub.tree.root(), at) for at in (NOW, NOW - DAY)]
    hub.note = notes[0] + notes[1].splitlines(keepends=True)[-1]


def shows_a_time_that_was_signed_for_another_tree(hub: EvilHub) -> None:
    honest(hub, 2)
    notes = [hub.signer.sign_checkpoint(size, hub.tree.root(size), NOW) for size in (1, 2)]
    hub.note = notes[1].rpartition("— ".encode())[0] + notes[0].splitlines(keepends=True)[-1]


def shows_a_time_beyond_all_times(hub: EvilHub) -> None:
    honest(hub)
    hub.signed_at = (MOST_SECONDS + 1) * 1000


def lets_the_time_go_back(hub: EvilHub) -> None:
    honest(hub, 2)
    hub.covered = [(1, NOW + DAY)]


def brings_an_earlier_checkpoint_of_another_key(hub: EvilHub) -> None:
    honest(hub, 2)
    other = LogSigner(f"{NETWORK}/log", PrivateKey.generate(Algorithm.ED25519))
    note = other.sign_checkpoint(1, hub.tree.root(1), NOW)
    hub.covered = [Covering(note, hub.tree.consistency_path(1, 2))]


def brings_an_earlier_checkpoint_of_another_tree(hub: EvilHub) -> None:
    honest(hub, 2)
    note = hub.signer.sign_checkpoint(1, b"x" * 32, NOW)
    hub.covered = [Covering(note, hub.tree.consistency_path(1, 2))]


def brings_an_earlier_checkpoint_that_is_later(hub: EvilHub) -> None:
    honest(hub, 2)
    hub.size = 1
    hub.items = hub.items[:1]
    hub.covered = [Covering(hub.signer.sign_checkpoint(2, hub.tree.root(2), NOW), [])]


def brings_more_earlier_checkpoints_than_there_can_be(hub: EvilHub) -> None:
    honest(hub, 2)
    hub.covered = [(1, NOW)]
    hub.covered = list(hub.coverings() * (MOST_COVERED + 1))


def sends_bytes_that_are_no_delivery(hub: EvilHub) -> None:
    hub.deliver(notice(hub), extra=b"\0")


def sends_a_head_that_is_none(hub: EvilHub) -> None:
    hub.deliver(notice(hub), extra_in_head=b"\0")


def counts_beyond_all_numbers(hub: EvilHub) -> None:
    honest(hub)
    one = hub.items[0]
    hub.items[0] = FeedItem(1 << 70, one.delivery, one.index, [])


def decides_under_a_directory_of_its_own(hub: EvilHub) -> None:
    hub.deliver(notice(hub), directory=b"x" * 32)


# --- what harms nobody, and is told -----------------------------------------------------------------------


def shows_less_than_was_agreed(hub: EvilHub) -> None:
    hub.deliver(notice(hub), slots=())


ROWS = (
    it("not-agreed", "quarantine", shows_a_slot_that_was_not_agreed),
    it("bad-delivery", "quarantine", shows_a_slot_that_the_head_does_not_name),
    it("bad-delivery", "quarantine", names_a_slot_that_it_does_not_show),
    it("not-agreed", "quarantine", delivers_without_an_agreement),
    it("not-agreed", "quarantine", delivers_past_the_addressees),
    it("not-agreed", "quarantine", delivers_our_own_notice_to_us),
    it("not-agreed", "quarantine", names_another_agreement),
    it("not-agreed", "quarantine", names_the_agreement_by_other_bytes),
    it("not-agreed", "quarantine", eases_an_obligation),
    it("bad-disclosure", "quarantine", swaps_the_content_of_two_notices),
    it("bad-disclosure", "quarantine", swaps_the_values_of_two_slots),
    it("bad-envelope", "quarantine", shows_slots_out_of_order),
    it("bad-signature", "quarantine", alters_the_header),
    it("bad-delivery", "quarantine", alters_the_content_after_it_was_named),
    it("bad-delivery", "quarantine", names_another_statement),
    it("bad-signature", "quarantine", signs_in_the_originators_name),
    it("bad-signature", "quarantine", brings_a_notice_from_another_network),
    it("unknown-key", "quarantine", backdates_to_before_the_key),
    it("untimely", "quarantine", dates_a_decision_back),
    it("untimely", "quarantine", dates_a_decision_forward),
    it("untimely", "quarantine", dates_a_decision_back_beyond_an_earlier_checkpoint),
    it("unknown-key", "quarantine", speaks_for_a_member_that_is_none),
    it("bad-delivery", "quarantine", makes_up_a_lane),
    it("bad-delivery", "quarantine", climbs_out_of_the_folder_by_a_lane),
    it("bad-delivery", "quarantine", serves_anothers_delivery),
    it("bad-header", "quarantine", breaks_a_header_rule),
    it("unknown-type", "quarantine", brings_a_type_that_nobody_knows),
    it("unknown-schema", "quarantine", brings_another_schema_of_the_type),
    it("bad-slot", "quarantine", brings_a_value_that_is_none),
    it("bad-seal", "quarantine", brings_a_seal_that_nobody_made),
    it("too-large", "quarantine", brings_more_than_a_limit),
    it("not-canonical", "quarantine", brings_a_signature_that_is_none),
    it("lane-gap", "stopped", drops_a_delivery),
    it("lane-gap", "stopped", drops_the_first_delivery),
    it("lane-gap", "stopped", reorders_two_deliveries),
    it("lane-gap", "stopped", gives_two_deliveries_one_number),
    it("bad-proof", "stopped", shows_a_path_of_another_leaf),
    it("bad-proof", "stopped", shows_an_index_of_another_leaf),
    it("bad-proof", "stopped", delivers_what_is_not_in_the_log),
    it("bad-proof", "stopped", shows_no_checkpoint),
    it("bad-proof", "stopped", shows_a_checkpoint_that_nobody_signed),
    it("bad-proof", "stopped", shows_a_checkpoint_of_another_key),
    it("bad-proof", "stopped", shows_a_checkpoint_of_another_log),
    it("bad-proof", "stopped", shows_a_garbled_checkpoint),
    it("bad-proof", "stopped", shows_a_checkpoint_without_a_time),
    it("bad-proof", "stopped", shows_a_checkpoint_of_two_times),
    it("bad-proof", "stopped", shows_a_time_that_was_signed_for_another_tree),
    it("bad-proof", "stopped", shows_a_time_beyond_all_times),
    it("bad-proof", "stopped", lets_the_time_go_back),
    it("bad-proof", "stopped", brings_an_earlier_checkpoint_of_another_key),
    it("bad-proof", "stopped", brings_an_earlier_checkpoint_of_another_tree),
    it("bad-proof", "stopped", brings_an_earlier_checkpoint_that_is_later),
    it("bad-proof", "stopped", brings_more_earlier_checkpoints_than_there_can_be),
    it("not-canonical", "stopped", sends_bytes_that_are_no_delivery),
    it("not-canonical", "stopped", sends_a_head_that_is_none),
    it("bad-proof", "stopped", counts_beyond_all_numbers),
    it("unavailable", "stopped", decides_under_a_directory_of_its_own),
    it("not-agreed", "told", shows_less_than_was_agreed),
)


def ending(how: str) -> list[Row]:
    return [row for row in ROWS if row.ends == how]


def make(tmp_path: Path, member: str) -> tuple[EvilHub, TestNode]:
    """A node whose hub lies.  `vn` may show `jp` the facts, and `nl` gets nothing of anybody."""
    world = World(tmp_path, "vn", "jp", "nl")
    world.agree("vn", "jp", slots=["facts"])
    world.agree("jp", "vn", slots=["facts"])
    hubs: list[EvilHub] = []

    def wrap(_: object) -> EvilHub:
        hubs.append(EvilHub(world, member))
        return hubs[0]

    node = TestNode(world, member, tmp_path, wrap=wrap)
    return hubs[0], node


async def follow(node: TestNode) -> str | None:
    """Follow the feed as far as it goes, hand on what it had, and return the code of what stopped it."""
    try:
        while await node.node.runner.step(0):
            pass
    except (Refused, Unavailable) as error:
        return error.code
    finally:
        await node.hands_on()
    return None


@pytest.mark.parametrize("row", ending("quarantine"), ids=lambda each: each.name)
async def test_a_wrong_delivery_is_kept_from_everybody_rejected_and_passed(tmp_path: Path, row: Row) -> None:
    hub, node = make(tmp_path, "jp")
    row.lie(hub)
    hub.deliver(notice(hub))
    assert await follow(node) is None
    await node.receipts()

    (file,) = node.files()
    assert node.incoming.counts() == {"quarantined": 1, "delivered": 1}
    wrong, right = node.incoming.received()
    assert wrong.code == row.code
    assert file.name.endswith(f"{right.id.hex()[:16]}.json")
    assert node.alarms() == [("delivery.quarantined", row.code)]
    rejected, delivered = sorted(hub.receipts_taken, key=lambda receipt: -receipt.event)
    assert (rejected.event, rejected.code, rejected.deliveries) == (Event.REJECTED, row.code, (wrong.id,))
    assert (delivered.event, delivered.code, delivered.deliveries) == (Event.DELIVERED, None, (right.id,))
    assert sorted(path.name for path in node.inbox.rglob("*") if path.is_dir()) == ["asia-pacific", "vn"]


@pytest.mark.parametrize("row", ending("stopped"), ids=lambda each: each.name)
async def test_a_lie_about_order_or_proof_stops_the_feed(tmp_path: Path, row: Row) -> None:
    hub, node = make(tmp_path, "jp")
    row.lie(hub)
    for _ in range(2):
        assert await follow(node) == row.code
    assert all(state == "delivered" for state in node.incoming.counts())
    assert len(node.files()) <= 1
    assert len(node.files()) < len(hub.items) or not hub.items
    assert node.snapshot().held_code == row.code
    assert node.alarms() == [("feed.stopped", row.code)]


@pytest.mark.parametrize("row", ending("told"), ids=lambda each: each.name)
async def test_a_lie_that_harms_nobody_is_told(tmp_path: Path, row: Row) -> None:
    hub, node = make(tmp_path, "jp")
    row.lie(hub)
    assert await follow(node) is None
    assert len(node.files()) == 1
    assert node.alarms() == [("delivery.narrower", row.code)]


async def test_anothers_content_is_not_even_kept(tmp_path: Path) -> None:
    hub, node = make(tmp_path, "jp")
    serves_anothers_delivery(hub)
    await follow(node)
    (kept,) = node.incoming.received()
    assert b"Hai Phong" in hub.items[0].delivery
    assert b"Hai Phong" not in kept.content
    node.close()
    assert b"Hai Phong" not in b"".join(path.read_bytes() for path in node.path.parent.glob("node.db*"))


async def test_a_log_that_shrinks_is_noticed(tmp_path: Path) -> None:
    hub, node = make(tmp_path, "jp")
    honest(hub, 3)
    assert await follow(node) is None
    hub.size = 2
    assert await follow(node) == "bad-proof"
    assert node.alarms() == [("feed.stopped", "bad-proof")]


async def test_a_log_that_is_another_at_the_same_size_is_noticed(tmp_path: Path) -> None:
    hub, node = make(tmp_path, "jp")
    honest(hub, 3)
    assert await follow(node) is None
    hub.note = hub.signer.sign_checkpoint(3, b"x" * 32)
    assert await follow(node) == "bad-proof"


async def test_a_time_that_goes_back_from_what_was_shown_is_noticed(tmp_path: Path) -> None:
    """Whoever has shown a checkpoint of today takes nothing in with yesterday's date any more."""
    hub, node = make(tmp_path, "jp")
    honest(hub, 3)
    assert await follow(node) is None
    for back in (1000, DAY):
        hub.items = hub.items[:3]
        hub.deliver(notice(hub), decided_at=NOW - back, sequence=4)
        hub.signed_at = NOW - back
        assert await follow(node) == "bad-proof"
    hub.signed_at = None
    # Nor is there an earlier checkpoint that is later than what was shown of a larger tree.
    hub.covered = [(2, NOW + 1000)]
    assert await follow(node) == "bad-proof"
    # One of another tree at a size that was seen is not looked at for its time.
    hub.covered = [Covering(hub.signer.sign_checkpoint(3, b"x" * 32, NOW), [])]
    assert await follow(node) == "bad-proof"
    assert node.incoming.counts() == {"delivered": 3}


async def test_what_the_log_took_in_long_ago_comes_with_the_checkpoint_of_then(tmp_path: Path) -> None:
    hub, node = make(tmp_path, "jp")
    honest(hub, 2)
    hub.world.clock.move(DAY)
    honest(hub, 1)
    hub.covered = [(2, NOW + 5000)]
    assert await follow(node) is None
    assert node.incoming.counts() == {"delivered": 3}


async def test_the_feed_goes_on_where_it_stood_when_the_hub_tells_the_truth_again(tmp_path: Path) -> None:
    hub, node = make(tmp_path, "jp")
    honest(hub, 3)
    whole = list(hub.items)
    del hub.items[1]
    assert await follow(node) == "lane-gap"
    hub.items = whole
    assert await follow(node) is None
    assert len(node.files()) == 3
    assert node.snapshot().held is None


# --- lies about our own statements ------------------------------------------------------------------------


def another_statement(hub: EvilHub) -> None:
    hub.decision["statement"] = b"x" * 32


def another_signature(hub: EvilHub) -> None:
    hub.decision["signature"] = b"x" * 32


def another_key(hub: EvilHub) -> None:
    hub.decision["key"] = b"x" * 32


def no_place_for_the_statement(hub: EvilHub) -> None:
    hub.status["statement_inclusion"] = Inclusion(0, [b"x" * 32])


def no_place_for_the_decision(hub: EvilHub) -> None:
    hub.status["decision_inclusion"] = Inclusion(0, [b"x" * 32])


def no_checkpoint_for_it(hub: EvilHub) -> None:
    hub.status["checkpoint"] = None


def no_decision_in_it(hub: EvilHub) -> None:
    hub.status["decision"] = None


def a_checkpoint_of_another_key(hub: EvilHub) -> None:
    hub.signer = LogSigner(f"{NETWORK}/log", PrivateKey.generate(Algorithm.ED25519))


def a_decision_that_is_dated_back(hub: EvilHub) -> None:
    hub.decision["decided_at"] = NOW - COVERED_WITHIN_MS - 1000


def a_decision_under_a_checkpoint_without_a_time(hub: EvilHub) -> None:
    hub.timeless = True


def a_decision_that_is_none(hub: EvilHub) -> None:
    hub.status["decision"] = b"\xff"


DECISION_ROWS = (
    Row("the decision is about another statement", "bad-proof", "unproven", another_statement),
    Row("the decision is about another signature", "bad-proof", "unproven", another_signature),
    Row("the decision names another key", "bad-proof", "unproven", another_key),
    Row("the statement is not in the log", "bad-proof", "unproven", no_place_for_the_statement),
    Row("the decision is not in the log", "bad-proof", "unproven", no_place_for_the_decision),
    Row("there is no checkpoint for the decision", "bad-proof", "unproven", no_checkpoint_for_it),
    Row("there is no decision", "bad-proof", "unproven", no_decision_in_it),
    Row("the decision's checkpoint is of another key", "bad-proof", "unproven", a_checkpoint_of_another_key),
    Row("the decision is dated back", "untimely", "unproven", a_decision_that_is_dated_back),
    Row("its checkpoint has no time", "bad-proof", "unproven", a_decision_under_a_checkpoint_without_a_time),
    Row("the decision is none", "not-canonical", "unproven", a_decision_that_is_none),
)


@pytest.mark.parametrize("row", DECISION_ROWS, ids=lambda each: each.name)
async def test_a_lie_about_our_statement_is_no_proof_and_holds_up_no_other(tmp_path: Path, row: Row) -> None:
    hub, node = make(tmp_path, "vn")
    node.enqueue()
    row.lie(hub)
    await node.node.outbox.step()
    await node.node.outbox.step()
    assert node.states() == [("accepted", None)]
    assert node.alarms() == [("proof.bad", row.code)]

    hub.decision, hub.status, hub.signer, hub.timeless = {}, {}, hub.world.log_signer, False
    node.enqueue()
    await node.node.outbox.step()
    await node.node.outbox.step()
    assert node.states() == [("proven", None)] * 2


async def test_a_decision_under_an_unknown_directory_waits(tmp_path: Path) -> None:
    hub, node = make(tmp_path, "vn")
    node.enqueue()
    hub.decision["directory"] = b"x" * 32
    await node.node.outbox.step()
    await node.node.outbox.step()
    assert node.states() == [("accepted", None)]
    assert node.alarms() == [("directory.unknown", "unavailable")]


@pytest.mark.parametrize(
    ("slots", "event"),
    [
        (None, "decision.narrower"),
        ((), "decision.narrower"),
        ((Slot.FACTS, Slot.PERSONS), "decision.wider"),
    ],
)
async def test_a_decision_that_differs_from_our_own_is_told(
    tmp_path: Path, slots: tuple[Slot, ...] | None, event: str
) -> None:
    hub, node = make(tmp_path, "vn")
    node.enqueue()
    hub.shares = () if slots is None else (DecisionShare("jp", slots, (), b"d" * 32),)
    await node.node.outbox.step()
    await node.node.outbox.step()
    assert node.states() == [("proven", None)]
    assert node.alarms() == [(event, "not-agreed")]
