"""The statement side and the hub's records against the vectors, which another implementation wrote."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core import records
from broker.core.codec import Codec, check_schema, confluent_id, schema_digest
from broker.core.directory import Directory, Member, MemberClass
from broker.core.errors import NotCanonical, Refused, WeakKey
from broker.core.keys import Algorithm, PublicKey, check_registrable, sealing_public_key
from broker.core.merkle import leaf_hash
from broker.core.model import (
    Decision,
    Delivery,
    DeliveryHead,
    Envelope,
    Erasure,
    Head,
    Header,
    Leaf,
    Read,
    Refusal,
    Region,
    SignedReceipt,
    Slot,
    SlotKeys,
)
from broker.core.notice import draft, open_envelope, read_envelope
from broker.core.redaction import redact
from broker.core.sign1 import parse_signature
from broker.core.signing import key_named, open_receipt, sign_batch, sign_header, sign_receipt, to_be_signed
from broker.core.slots import slot_digest, slot_schemas
from tests.vectors.material import (
    AT,
    CATALOGUE,
    NETWORK,
    PRIVATE,
    PUBLIC,
    SAMPLE,
    VECTORS,
    keyring,
    member_key,
    refused,
    seed_of,
)

CLEAR = VECTORS["clear"]
RECORDS = {
    "decision": Decision,
    "receipt": SignedReceipt,
    "head": Head,
    "refusal": Refusal,
    "read": Read,
    "erasure": Erasure,
    "delivery": Delivery,
}


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def clear_envelope(signature: bytes) -> bytes:
    envelope = records.decode(Envelope, raw(CLEAR["envelope"]))
    return records.encode(
        Envelope(envelope.header, signature, envelope.disclosures, envelope.sealed, envelope.wraps)
    )


# --- schemas and records ------------------------------------------------------------------------------


@pytest.mark.parametrize(("cls", "name"), records.FILES.items(), ids=records.FILES.values())
def test_a_record_has_the_schema_of_the_vectors(cls: type, name: str) -> None:
    schema = VECTORS["records"][name]
    check_schema(schema)
    assert records.SCHEMAS[cls] == schema
    assert records.DIGESTS[cls].hex() == VECTORS["record_digests"][name]
    assert confluent_id(records.DIGESTS[cls]) == VECTORS["confluent_ids"][name]


@pytest.mark.parametrize(("name", "cls"), RECORDS.items(), ids=RECORDS)
def test_a_record_of_the_hub_has_the_bytes_and_the_leaf_of_the_vectors(name: str, cls: type) -> None:
    data = raw(VECTORS[name]["bytes"])
    record: Any = records.decode(cls, data)
    value = records.frame(record)

    assert records.encode(record) == data
    assert records.unframe(cls, value) == record
    assert records.class_of(value) is cls
    assert records.leaf_entry(record).hex() == VECTORS[name]["leaf_entry"]
    assert records.leaf_entry_of(value).hex() == VECTORS[name]["leaf_entry"]


def test_a_header_has_the_bytes_of_the_vectors() -> None:
    for name in ("clear", "everything"):
        vector, data = VECTORS[name]["header"], raw(VECTORS[name]["header_bytes"])
        header = records.decode(Header, data)
        assert records.encode(header) == data
        assert Codec(VECTORS["records"]["header"]).encode({**vector, **as_bytes(vector)}) == data
        assert header.originator == vector["originator"]
        assert header.region is Region[vector["region"]]
        assert records.statement_id(data).hex() == VECTORS[name]["statement_id"]
    assert records.decode(Header, raw(CLEAR["header_bytes"])).reference == CLEAR["reference"]


def as_bytes(header: dict[str, Any]) -> dict[str, Any]:
    """Digests of a vector's header as bytes."""
    return {
        **{name: header[name] and raw(header[name]) for name in ("previous", "schema", "seals")},
        **{name: [raw(one) for one in header[name]] for name in ("references", "slots")},
    }


def test_an_envelope_has_the_bytes_and_names_of_the_vectors() -> None:
    data = raw(CLEAR["envelope"])
    envelope = records.decode(Envelope, data)

    assert records.encode(envelope) == data
    assert records.frame(envelope).hex() == CLEAR["kafka_value"]
    assert records.leaf_entry(envelope).hex() == CLEAR["leaf_entry"]
    assert records.leaf_entry_of(records.frame(envelope)).hex() == CLEAR["leaf_entry"]
    assert leaf_hash(records.leaf_entry(envelope)).hex() == CLEAR["leaf_hash"]
    facts, proofs = redact(envelope, frozenset({Slot.FACTS}), "jp")
    assert records.encode(facts).hex() == CLEAR["redacted_to_facts"]
    assert proofs == ()


def test_a_value_of_another_record_or_cut_short_is_refused() -> None:
    envelope = records.frame(records.decode(Envelope, raw(CLEAR["envelope"])))
    leaf = records.frame(Leaf(0, bytes(33), "notices.europe", 0, 0))

    with pytest.raises(NotCanonical, match="not a topic's value of Decision"):
        records.unframe(Decision, envelope)
    for value in (b"", b"\0\0\0\0\0", leaf):
        with pytest.raises(NotCanonical, match="has a leaf"):
            records.leaf_entry_of(value)
    for end in (5, 6, 40):
        with pytest.raises(NotCanonical, match="too early"):
            records.leaf_entry_of(envelope[:end])


def test_a_delivery_is_named_by_its_head_and_outlives_its_content() -> None:
    vector = VECTORS["delivery"]
    whole, erased = (records.decode(Delivery, raw(vector[name])) for name in ("bytes", "erased"))
    head = records.decode(DeliveryHead, whole.head)

    assert whole.head == erased.head == raw(vector["head_bytes"])
    assert erased.envelope is None
    assert records.delivery_id(whole.head).hex() == vector["delivery_id"]
    assert records.record_id(head).hex() == vector["delivery_id"]
    assert records.leaf_entry(erased).hex() == vector["leaf_entry"]
    assert whole.envelope is not None
    assert records.content_digest(whole.envelope) == head.content
    assert records.content_digest(records.encode(whole.envelope)) == head.content


def test_names_of_decisions_and_files_are_those_of_the_vectors() -> None:
    decision = records.decode(Decision, raw(VECTORS["decision"]["bytes"]))
    file = VECTORS["directory_leaf"]

    assert records.record_id(decision).hex() == VECTORS["decision"]["id"]
    assert records.directory_leaf_entry(file["role"], raw(file["file_bytes"])).hex() == file["leaf_entry"]


def test_members_have_the_partitions_of_the_vectors() -> None:
    for member, partitions in VECTORS["partition_of"].items():
        for count, partition in partitions.items():
            assert records.partition_of(member, int(count)) == partition


# --- slots --------------------------------------------------------------------------------------------


def test_the_sample_type_falls_into_the_slots_of_the_vectors() -> None:
    assert SAMPLE.digest.hex() == VECTORS["notice_schema_digest"]
    assert schema_digest({**VECTORS["notice_schema"], "doc": "another"}) == SAMPLE.digest
    assert {slot.label: schema for slot, schema in slot_schemas(SAMPLE.schema).items()} == VECTORS[
        "slot_schemas"
    ]
    assert [slot.label for slot in Slot] == VECTORS["slots"]


def test_values_become_the_slots_and_digests_of_the_vectors() -> None:
    arrived = read_envelope(raw(CLEAR["envelope"]))
    values: dict[str, Any] = {}
    for slot in Slot:
        value = raw(CLEAR["slot_values"].get(slot.label, ""))
        values |= SAMPLE.decode_slot(slot, value)
    digests, disclosures = draft(SAMPLE, values, [raw(salt) for salt in CLEAR["salts"]])

    assert digests == arrived.header.slots
    assert disclosures == arrived.envelope.disclosures
    assert [slot_digest(one).hex() for one in disclosures] == CLEAR["header"]["slots"]


# --- keys and signatures ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VECTORS["keys"])
def test_a_key_has_the_id_of_the_vectors(name: str) -> None:
    vector = VECTORS["keys"][name]
    check_registrable(PUBLIC[name])
    assert PUBLIC[name].id.hex() == vector["id"]
    if PUBLIC[name].algorithm is Algorithm.MLKEM768_X25519:
        assert sealing_public_key(seed_of(vector["name"])) == PUBLIC[name]
    else:
        assert PRIVATE[name].public == PUBLIC[name]


@pytest.mark.parametrize("public", VECTORS["weak_ed25519_keys"]["public"])
def test_a_weak_key_is_not_registered(public: str) -> None:
    with pytest.raises(WeakKey):
        check_registrable(PublicKey.of_raw(raw(public)))


def test_a_single_signature_is_the_bytes_of_the_vectors() -> None:
    header, signature = raw(CLEAR["header_bytes"]), raw(CLEAR["signature"])

    assert sign_header(header, NETWORK, PRIVATE["vn_ed25519"]) == signature
    assert sign_header(header, NETWORK, PRIVATE["vn_p256"]).hex() == VECTORS["esp256"]["signature"]
    assert parse_signature(signature).protected.hex() == CLEAR["protected"]
    assert to_be_signed(header, signature).hex() == CLEAR["sig_structure"]


@pytest.mark.parametrize(("name", "key"), [("batch", "vn_ed25519"), ("esp256_batch", "vn_p256")])
def test_batch_signatures_are_the_bytes_of_the_vectors(name: str, key: str) -> None:
    headers = [raw(header) for header in VECTORS["batch"]["headers"]]
    signatures = sign_batch(headers, NETWORK, PRIVATE[key])

    assert [signature.hex() for signature in signatures] == VECTORS[name]["signatures"]
    for header, signature in zip(headers, signatures, strict=True):
        assert to_be_signed(header, signature).endswith(b"\x58\x20" + raw(VECTORS["batch"]["root"]))


def test_a_hybrid_signature_begins_with_the_bytes_of_the_vectors() -> None:
    """ML-DSA signs with chance, so the second signature is verified instead."""
    header = raw(CLEAR["header_bytes"])
    ours = parse_signature(sign_header(header, NETWORK, PRIVATE["vn_ed25519"], PRIVATE["vn_mldsa65"]))
    theirs = parse_signature(raw(VECTORS["hybrid"]["signature"]))

    assert (ours.protected, ours.signature) == (theirs.protected, theirs.signature)
    assert ours.countersignature is not None
    assert theirs.countersignature is not None
    assert ours.countersignature.protected == theirs.countersignature.protected


def signed_envelopes() -> dict[str, tuple[bytes, str, bool]]:
    """Every way to sign, as (envelope, key, is the countersignature required)."""
    envelope = records.decode(Envelope, raw(CLEAR["envelope"]))
    header = raw(CLEAR["header_bytes"])
    other = records.encode(records.decode(Header, header))
    ed25519, esp256, ml_dsa = (PRIVATE[name] for name in ("vn_ed25519", "vn_p256", "vn_mldsa65"))
    hybrid = [sign_batch([header, other], NETWORK, key, ml_dsa)[1] for key in (ed25519, esp256)]
    return {
        "clear": (raw(CLEAR["envelope"]), "vn_ed25519", False),
        "everything": (raw(VECTORS["everything"]["envelope"]), "vn_ed25519", False),
        "sealed": (raw(VECTORS["sealed"]["envelope"]), "vn_ed25519", False),
        "esp256": (clear_envelope(raw(VECTORS["esp256"]["signature"])), "vn_p256", False),
        "hybrid": (clear_envelope(raw(VECTORS["hybrid"]["signature"])), "vn_ed25519", True),
        "hybrid, not required": (clear_envelope(raw(VECTORS["hybrid"]["signature"])), "vn_ed25519", False),
        "our hybrid": (
            clear_envelope(sign_header(envelope.header, NETWORK, esp256, ml_dsa)),
            "vn_p256",
            True,
        ),
        "our hybrid batch": (clear_envelope(hybrid[0]), "vn_ed25519", True),
        "our hybrid batch by ESP256": (clear_envelope(hybrid[1]), "vn_p256", True),
    }


@pytest.mark.parametrize(("data", "key", "pq"), signed_envelopes().values(), ids=signed_envelopes())
@pytest.mark.parametrize("complete", [True, False])
def test_a_proper_envelope_opens(data: bytes, key: str, pq: bool, complete: bool) -> None:
    arrived = read_envelope(data)
    notice = open_envelope(arrived, keyring(key, pq=pq), CATALOGUE, NETWORK, AT, complete=complete)

    assert arrived.raw == data
    assert notice.key == member_key(key)
    assert key_named(notice.envelope.signature, [member_key("jp_ed25519"), notice.key]) == notice.key
    assert notice.values[Slot.FACTS]["hs_code"]
    assert set(notice.values) == {one.slot for one in notice.envelope.disclosures}


def test_what_is_left_of_an_envelope_opens_at_later_stations() -> None:
    notice = open_envelope(
        read_envelope(raw(CLEAR["redacted_to_facts"])), keyring(), CATALOGUE, NETWORK, AT, complete=False
    )
    assert set(notice.values) == {Slot.FACTS}


@pytest.mark.parametrize("name", ["batch", "esp256_batch", "hybrid_batch"])
def test_every_notice_of_a_batch_proves_itself_alone(name: str) -> None:
    """The vectors have headers and signatures of batches, not envelopes."""
    headers = [raw(header) for header in VECTORS["batch"]["headers"]]
    if name == "hybrid_batch":
        signed = [(headers[2], raw(VECTORS[name]["signature_of_the_third"]))]
    else:
        signed = list(zip(headers, map(raw, VECTORS[name]["signatures"]), strict=True))
    key = "vn_p256" if name == "esp256_batch" else "vn_ed25519"
    for header, signature in signed:
        arrived = read_envelope(records.encode(Envelope(header, signature, (), (), ())))
        held = keyring(key, pq=name == "hybrid_batch")
        assert open_envelope(arrived, held, CATALOGUE, NETWORK, AT, complete=False).key == member_key(key)


def test_a_directory_is_a_keyring() -> None:
    keys = (member_key("vn_ed25519"), member_key("vn_mldsa65"))
    vn = Member("vn", "Viet Nam", MemberClass.CUSTOMS, (Region.ASIA_PACIFIC,), keys)
    directory = Directory(bytes(32), NETWORK, "", {"vn": vn}, ())
    notice = open_envelope(
        read_envelope(raw(CLEAR["envelope"])), directory, CATALOGUE, NETWORK, AT, complete=True
    )
    assert notice.key == keys[0]


def test_a_receipt_is_the_bytes_of_the_vectors_and_opens() -> None:
    signed = records.decode(SignedReceipt, raw(VECTORS["receipt"]["bytes"]))
    receipt = open_receipt(signed, keyring("jp_ed25519"), NETWORK, AT)

    assert signed == SignedReceipt(raw(VECTORS["receipt"]["receipt"]), raw(VECTORS["receipt"]["signature"]))
    assert receipt.member == "jp"
    assert sign_receipt(receipt, NETWORK, PRIVATE["jp_ed25519"]) == signed


def test_the_keys_of_sealed_slots_have_the_bytes_of_the_vectors() -> None:
    sealed = VECTORS["sealed"]
    data = raw(sealed["slot_keys_jp"])
    keys = records.decode(SlotKeys, data)

    assert records.encode(keys) == data
    assert {one.slot.name: one.key.hex() for one in keys.keys}.items() <= sealed["content_keys"].items()


# --- refused ------------------------------------------------------------------------------------------


def open_refused(case: dict[str, Any], *, complete: bool) -> None:
    held = keyring(case.get("key", "vn_ed25519"), pq=case.get("pq", False))
    open_envelope(read_envelope(raw(case["envelope"])), held, CATALOGUE, NETWORK, AT, complete=complete)


@pytest.mark.parametrize("case", refused("envelope"), ids=lambda case: case["why"])
def test_the_gateway_refuses_with_the_code_of_the_vectors(case: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        open_refused(case, complete=True)
    assert caught.value.code == case["code"]


@pytest.mark.parametrize(
    "case", [case for case in refused("envelope") if "at" not in case], ids=lambda case: case["why"]
)
def test_later_stations_refuse_with_the_code_of_the_vectors(case: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        open_refused(case, complete=False)
    assert caught.value.code == case["code"]


def test_every_refused_case_is_an_envelope_or_a_delivery() -> None:
    assert len(refused("envelope")) + len(refused("delivery")) == len(VECTORS["refused"]) == 102
