"""What a member, or somebody who would be one, may try on the hub, and the code that it gets.

Each row is one attack on a small world in which `vn` shares facts with `jp`; it returns the code that the
hub answered with.  After each, `jp` has nothing that the attack should not have given it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pytest

from broker.core.errors import HalongError, Refused
from broker.core.keys import Algorithm, PrivateKey
from broker.core.limits import MOST_ENVELOPE_BYTES
from broker.core.model import Act, Disclosure, Envelope, KeyWrap, Refusal, SealedSlot, Slot, Station
from broker.core.notice import draft
from broker.core.records import decode, encode, unframe
from broker.core.slots import slot_digest
from broker.log import Partition
from broker.log.topics import RECEIPTS, REFUSALS
from tests.world import DAY, SIGHTING, Content, World, sighting, swapped

Attack: TypeAlias = Callable[[World], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Row:
    """An attack and its answer."""

    name: str
    code: str
    attack: Attack


async def first_code(world: World, *envelopes: bytes, peer: str = "vn") -> str | None:
    """Return the code of the first envelope of a request."""
    return (await world.send(peer, *envelopes))[0].code


async def refused_later(world: World, envelope: bytes) -> str | None:
    """Return the code of the dispatcher for an envelope that the gateway takes."""
    (outcome,) = await world.send("vn", envelope)
    assert outcome.status == "accepted", outcome
    assert outcome.statement is not None
    await world.settle()
    status = await world.ledger.statements.status("vn", bytes.fromhex(outcome.statement))
    assert not status.decided
    return status.refused


def code_of(error: HalongError) -> str:
    return error.code


def changed(envelope: bytes, **parts: object) -> bytes:
    return encode(replace(decode(Envelope, envelope), **parts))  # type: ignore[arg-type]


def signed_value(world: World, slot: Slot, value: bytes) -> bytes:
    """A notice whose originator signed a slot value that is none."""
    digests, disclosures = draft(SIGHTING, sighting().values)
    false = swapped(disclosures, slot, value)
    digests = tuple(slot_digest(one) for one in false)
    return world.compose("vn", sighting(), disclosures=false, slots=digests)


# --- bytes ------------------------------------------------------------------------------------------


async def send_too_much(world: World) -> str | None:
    return await first_code(world, bytes(MOST_ENVELOPE_BYTES + 1))


async def send_a_huge_slot(world: World) -> str | None:
    envelope = decode(Envelope, world.compose("vn", sighting()))
    huge = swapped(envelope.disclosures, Slot.FACTS, bytes(64 * 1024 + 1))
    return await first_code(world, encode(replace(envelope, disclosures=huge)))


async def send_too_many_at_once(world: World) -> str | None:
    try:
        await world.send("vn", *[b""] * 1025)
    except Refused as error:
        return code_of(error)
    return None


async def send_nothing(world: World) -> str | None:
    return await first_code(world, b"")


async def send_a_byte_more(world: World) -> str | None:
    return await first_code(world, world.compose("vn", sighting()) + b"\0")


async def send_slots_in_another_order(world: World) -> str | None:
    envelope = world.compose("vn", sighting())
    return await first_code(
        world, changed(envelope, disclosures=decode(Envelope, envelope).disclosures[::-1])
    )


async def break_a_rule_of_the_header(world: World) -> str | None:
    return await first_code(world, world.compose("vn", sighting(), addressees=("vn",)))


# --- who --------------------------------------------------------------------------------------------


async def speak_for_another(world: World) -> str | None:
    return await first_code(world, world.compose("vn", sighting()), peer="jp")


async def sign_for_another(world: World) -> str | None:
    forged = world.compose("vn", sighting(), signer=world.people["jp"].signer)
    return await first_code(world, forged)


async def sign_with_a_key_that_nobody_knows(world: World) -> str | None:
    forged = world.compose("vn", sighting(), signer=PrivateKey.generate(Algorithm.ED25519))
    return await first_code(world, forged)


async def sign_after_the_key_was_revoked(world: World) -> str | None:
    world.revoke("vn")
    return await first_code(world, world.compose("vn", sighting()))


async def send_beyond_the_rate_with_a_revoked_key(world: World) -> str | None:
    """Who has no key that counts is told so before its rate is looked at."""
    world.gateway._rate = type(world.gateway._rate)(per_second=1, burst=0)
    world.revoke("vn")
    return await first_code(world, world.compose("vn", sighting()))


async def sign_for_another_network(world: World) -> str | None:
    return await first_code(world, world.compose("vn", sighting(), network="halong-exercise"))


async def change_a_byte_of_the_header(world: World) -> str | None:
    envelope = decode(Envelope, world.compose("vn", sighting(), subjects=("hs:2939",)))
    header = envelope.header.replace(b"hs:2939", b"hs:2940")
    return await first_code(world, encode(replace(envelope, header=header)))


async def send_faster_than_the_rate(world: World) -> str | None:
    world.gateway._rate = type(world.gateway._rate)(per_second=1, burst=1)
    first, second = world.compose("vn", sighting()), world.compose("vn", sighting())
    outcomes = await world.send("vn", first, second)
    assert outcomes[0].status == "accepted"
    assert outcomes[1].status == "not-attempted", "its number is not lost"
    return outcomes[1].code


async def send_again_although_the_rate_is_used_up(world: World) -> str | None:
    world.gateway._rate = type(world.gateway._rate)(per_second=1, burst=1)
    await world.send("vn", world.compose("vn", sighting()))
    try:
        await world.send("vn", world.compose("vn", sighting()))
    except Refused as error:
        assert world.gateway.seconds_until("vn") == 1
        return code_of(error)
    return None


# --- when -------------------------------------------------------------------------------------------


async def date_it_ahead(world: World) -> str | None:
    ahead = world.clock.now() + 5 * 60_000 + 1
    return await first_code(world, world.compose("vn", sighting(), issued_at=ahead))


async def send_what_has_ended(world: World) -> str | None:
    envelope = world.compose("vn", sighting(), effective_until=world.clock.now() + 1)
    world.clock.move(1)
    return await first_code(world, envelope)


# --- what -------------------------------------------------------------------------------------------


async def send_an_unknown_type(world: World) -> str | None:
    return await first_code(world, world.compose("vn", sighting(), notice_type="horoscope"))


async def send_an_unknown_schema(world: World) -> str | None:
    return await first_code(world, world.compose("vn", sighting(), schema=bytes(32)))


async def leave_a_slot_out(world: World) -> str | None:
    envelope = world.compose("vn", sighting())
    return await first_code(world, changed(envelope, disclosures=decode(Envelope, envelope).disclosures[1:]))


async def swap_a_slot(world: World) -> str | None:
    envelope = world.compose("vn", sighting(), disclosures=())
    _, others = draft(SIGHTING, sighting(person="Eve").values)
    return await first_code(world, changed(envelope, disclosures=others))


async def sign_a_value_of_no_type(world: World) -> str | None:
    return await first_code(world, signed_value(world, Slot.FACTS, b"\x02\x04ab\0"))


async def sign_a_text_that_turns_around(world: World) -> str | None:
    text = "\u202eevil".encode()
    return await first_code(world, signed_value(world, Slot.FACTS, b"\x02" + bytes([2 * len(text)]) + text))


async def wrap_keys_for_nothing_sealed(world: World) -> str | None:
    envelope = world.compose("vn", sighting())
    return await first_code(world, changed(envelope, wraps=(KeyWrap("jp", bytes(32), bytes(1200)),)))


async def seal_a_slot(world: World) -> str | None:
    envelope = world.compose("vn", sighting(), seals=bytes(32))
    sealed = SealedSlot(Slot.PERSONS, bytes(12), bytes(272))
    kept = tuple(one for one in decode(Envelope, envelope).disclosures if one.slot is not Slot.PERSONS)
    return await first_code(world, changed(envelope, disclosures=kept, sealed=(sealed,)))


async def order_an_erasure(world: World) -> str | None:
    return await first_code(world, world.compose("vn", sighting(), act=Act.ERASURE, references=(bytes(32),)))


# --- numbers ----------------------------------------------------------------------------------------


async def go_on_after_a_refusal(world: World) -> str | None:
    bad = world.compose("vn", sighting(), issued_at=world.clock.now() + DAY)
    outcomes = await world.send("vn", bad, world.compose("vn", sighting()))
    return outcomes[1].code


async def go_on_after_what_cannot_be_read(world: World) -> str | None:
    outcomes = await world.send("vn", b"", world.compose("vn", sighting()))
    return outcomes[1].code


async def say_two_things_under_one_number(world: World) -> str | None:
    await world.publish("vn", sighting(place="Hai Phong"))
    return await refused_later(
        world, world.compose("vn", sighting(place="Da Nang"), sequence=1, previous=None)
    )


async def go_back_to_a_number_that_was_passed_over(world: World) -> str | None:
    first = await world.publish("vn", sighting(), sequence=1)
    await world.publish("vn", sighting(), sequence=5)
    return await refused_later(world, world.compose("vn", sighting(), sequence=3, previous=first.statement))


async def leave_one_out(world: World) -> str | None:
    first = await world.publish("vn", sighting())
    await world.publish("vn", sighting())
    return await refused_later(world, world.compose("vn", sighting(), previous=first.statement))


async def forget_the_previous_one(world: World) -> str | None:
    await world.publish("vn", sighting())
    return await refused_later(world, world.compose("vn", sighting(), previous=None))


async def have_the_key_revoked_between_gateway_and_dispatcher(world: World) -> str | None:
    # The gateway had stored it before; the dispatcher comes to it after.
    envelope = world.compose("vn", sighting())
    world.revoke("vn")
    await world.directory.refresh()
    statement = await world.store("vn", envelope)
    await world.settle()
    return (await world.ledger.statements.status("vn", statement)).refused


# --- what others said -------------------------------------------------------------------------------


async def read_the_life_of_anothers_statement(world: World) -> str | None:
    sent = await world.publish("vn", sighting())
    await world.settle()
    try:
        await world.ledger.statements.status("jp", sent.statement)
    except Refused as error:
        return code_of(error)
    return None


async def receipt(world: World, data: bytes, peer: str = "jp") -> str | None:
    try:
        await world.gateway.receive(peer, [data])
    except Refused as error:
        return code_of(error)
    return None


async def receipt_for_another(world: World) -> str | None:
    return await receipt(world, encode(world.receipt("vn", bytes(32))))


async def receipt_signed_by_another(world: World) -> str | None:
    other = world.receipt("vn", bytes(32))
    return await receipt(world, encode(replace(world.receipt("jp", bytes(32)), signature=other.signature)))


async def receipt_after_the_key_was_revoked(world: World) -> str | None:
    signed = world.receipt("jp", bytes(32))
    world.revoke("jp")
    await world.directory.refresh()
    return await receipt(world, encode(signed))


async def receipts_beyond_the_rate(world: World) -> str | None:
    world.gateway._rate = type(world.gateway._rate)(per_second=1, burst=1)
    assert await receipt(world, encode(world.receipt("jp", bytes(32)))) is None
    (outcome,) = await world.send("jp", world.compose("jp", sighting()))
    assert outcome.status == "accepted", "notices have a rate of their own"
    return await receipt(world, encode(world.receipt("jp", bytes(32))))


async def receipt_of_too_many(world: World) -> str | None:
    ids = [number.to_bytes(32, "big") for number in range(1025)]
    return await receipt(world, encode(world.receipt("jp", *ids)))


async def receipt_of_nothing(world: World) -> str | None:
    return await receipt(world, encode(world.receipt("jp")))


async def receipt_with_a_byte_more(world: World) -> str | None:
    return await receipt(world, encode(world.receipt("jp", bytes(32))) + b"\0")


async def receipt_that_is_too_large(world: World) -> str | None:
    return await receipt(world, bytes(65 * 1024))


async def receipts_that_are_too_many(world: World) -> str | None:
    try:
        await world.gateway.receive("jp", [b""] * 257)
    except Refused as error:
        return code_of(error)
    return None


ROWS = (
    Row("more bytes than an envelope may have", "too-large", send_too_much),
    Row("more bytes than a slot may have", "too-large", send_a_huge_slot),
    Row("more notices than a request may have", "too-large", send_too_many_at_once),
    Row("nothing at all", "not-canonical", send_nothing),
    Row("a byte after the envelope", "not-canonical", send_a_byte_more),
    Row("slots in another order", "bad-envelope", send_slots_in_another_order),
    Row("a header addressed to its originator", "bad-header", break_a_rule_of_the_header),
    Row("a member hands in what another signed", "not-yours", speak_for_another),
    Row("a member signs for another", "bad-signature", sign_for_another),
    Row("a key that nobody knows", "bad-signature", sign_with_a_key_that_nobody_knows),
    Row("a key that was revoked", "unknown-key", sign_after_the_key_was_revoked),
    Row("a key that was revoked, beyond the rate", "unknown-key", send_beyond_the_rate_with_a_revoked_key),
    Row("a signature made for another network", "bad-signature", sign_for_another_network),
    Row("a header changed after signing", "bad-signature", change_a_byte_of_the_header),
    Row("a request that runs into the rate", "too-many", send_faster_than_the_rate),
    Row("a request beyond the rate", "too-many", send_again_although_the_rate_is_used_up),
    Row("a notice of the future", "not-yet-valid", date_it_ahead),
    Row("a notice past its end", "expired", send_what_has_ended),
    Row("a type that is not in the catalogue", "unknown-type", send_an_unknown_type),
    Row("a schema that is not in the catalogue", "unknown-schema", send_an_unknown_schema),
    Row("a slot left out", "incomplete", leave_a_slot_out),
    Row("slots of another notice", "bad-disclosure", swap_a_slot),
    Row("a signed value that is none", "bad-slot", sign_a_value_of_no_type),
    Row("a signed text that turns its direction", "bad-slot", sign_a_text_that_turns_around),
    Row("keys wrapped although nothing is sealed", "bad-seal", wrap_keys_for_nothing_sealed),
    Row("a sealed slot, which no node can open yet", "not-supported", seal_a_slot),
    Row("an order to erase, which nobody can keep yet", "not-supported", order_an_erasure),
    Row("a notice behind one that was refused", "not-attempted", go_on_after_a_refusal),
    Row("a notice behind bytes that cannot be read", "not-attempted", go_on_after_what_cannot_be_read),
    Row("two statements under one number", "equivocation", say_two_things_under_one_number),
    Row("a number that was passed over", "stale", go_back_to_a_number_that_was_passed_over),
    Row("a statement that leaves one out", "out-of-order", leave_one_out),
    Row("a statement that claims to be the first", "out-of-order", forget_the_previous_one),
    Row("a key revoked on the way", "unknown-key", have_the_key_revoked_between_gateway_and_dispatcher),
    Row("a look at another's statement", "not-yours", read_the_life_of_anothers_statement),
    Row("a receipt in another's name", "not-yours", receipt_for_another),
    Row("a receipt signed by another", "bad-signature", receipt_signed_by_another),
    Row("a receipt by a revoked key", "unknown-key", receipt_after_the_key_was_revoked),
    Row("receipts beyond the rate", "too-many", receipts_beyond_the_rate),
    Row("a receipt of more deliveries than one may have", "not-canonical", receipt_of_too_many),
    Row("a receipt of nothing", "not-canonical", receipt_of_nothing),
    Row("a byte after the receipt", "not-canonical", receipt_with_a_byte_more),
    Row("more bytes than a receipt may have", "too-large", receipt_that_is_too_large),
    Row("more receipts than a request may have", "too-large", receipts_that_are_too_many),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_it_is_refused_with_its_code(row: Row, tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp", slots=["facts"])
        await world.directory.refresh()

        assert await row.attack(world) == row.code


async def test_nothing_that_was_refused_reaches_anybody(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp", slots=["facts"])
        good = await world.publish("vn", sighting())

        await say_two_things_under_one_number(world)
        await sign_for_another(world)
        await swap_a_slot(world)
        received = await world.deliveries("jp")

        assert received[0].head.statement == good.statement
        assert {one.values["place"] for one in received} == {"Hai Phong"}
        assert not any(await world.log.read(Partition(RECEIPTS), 0, 10))


async def test_a_refusal_is_recorded_with_its_peer_code_and_statement(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        envelope = world.compose("vn", sighting())
        await world.send("jp", envelope)

        (stored,) = await world.log.read(Partition(REFUSALS), 0, 10)
        refusal = unframe(Refusal, stored.value)

        assert (refusal.station, refusal.peer, refusal.code) == (Station.GATEWAY, "jp", "not-yours")
        assert refusal.statement is not None
        assert refusal.count == 1


def test_the_type_of_the_world_has_every_slot() -> None:
    content = Content(SIGHTING, {"place": "x"})
    digests, disclosures = draft(content.notice_type, content.values)
    assert len(digests) == len(disclosures) == len(Slot)
    assert all(isinstance(one, Disclosure) for one in disclosures)
