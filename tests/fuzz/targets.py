"""What is fuzzed: everything that decodes bytes which somebody else wrote.

A target takes bytes and either refuses them by one of our errors, or returns what its answer encodes to.
Whatever else happens (another exception, other bytes, memory without bound, no end) is a defect.
Where a format has one encoding, `again` is that encoding; where it has many (TOML, JSON, PEM), it is None.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cbor2
import msgspec

from adapters.importing.map_file import parse_map
from adapters.inspecting import read_file
from adapters.sending.draft import Draft
from adapters.stick.file import Asked, Counted, Head, Notices, read_line
from broker.core import cbor, records, sign1
from broker.core.agreement_text import parse_agreement
from broker.core.catalogue import NoticeType
from broker.core.cose_receipt import check_inclusion_receipt, inclusion_receipt, with_root_signed
from broker.core.delivery import open_delivery
from broker.core.errors import BadProof, HalongError
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import (
    Decision,
    Delivery,
    DeliveryHead,
    Envelope,
    Header,
    Receipt,
    Refusal,
    Region,
    SignedReceipt,
    Slot,
)
from broker.core.note import LogKey, LogSigner
from broker.core.notice import open_envelope, read_envelope
from broker.core.notice_json import values_from_json, values_to_json
from broker.core.tlog_proof import TlogProof, read_proof, write_proof
from broker.core.wire import (
    Feed,
    FeedItem,
    HeadAnswer,
    Inclusion,
    Outcome,
    Outcomes,
    Problem,
    Publication,
    Receipts,
    StatementStatus,
    Wire,
    read,
)
from broker.directory.admission import read_join_request, read_welcome
from broker.directory.certificates import read_certificate, read_request
from broker.directory.member_file import member_text, parse_member
from broker.evidence.archive import read_case, write_case
from broker.evidence.case import Case, Logged, Manifest, case_of, files_of
from schemas import load_catalogue
from tests.attacks.envelopes import HONEST, NOW, PLAIN
from tests.fuzz.joining import APPLICATION, AUTHORITY, CSR, TRANSPORT_KEY, WELCOME
from tests.fuzz.joining import NETWORK as JOINED
from tests.vectors.material import AT, CATALOGUE, NETWORK, PRIVATE, SAMPLE, VECTORS, keyring

ROOT = Path(__file__).parents[2]
LOGGED = b"\x01" + bytes(32)
"""The entry of a leaf."""


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder: `again` returns the one encoding of what it decoded, or None where there are many."""

    name: str
    again: Callable[[bytes], bytes | None]
    seeds: tuple[bytes, ...]


def attempt(target: Target, data: bytes) -> bool:
    """Try one input; tell whether it was accepted.

    Raises:
        AssertionError: It was accepted, and encodes differently.
    """
    try:
        again = target.again(data)
    except HalongError:
        return False
    assert again is None or again == data, f"{target.name} accepts what encodes differently"
    return True


def _hex(*path: str | int) -> bytes:
    found: Any = VECTORS
    for step in path:
        found = found[step]
    return bytes.fromhex(found)


def _refused(kind: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(case[kind]) for case in VECTORS["refused"] if isinstance(case.get(kind), str))


ENVELOPES = (
    _hex("clear", "envelope"),
    _hex("sealed", "envelope"),
    _hex("everything", "envelope"),
    records.encode(HONEST),
    *_refused("envelope"),
)
DELIVERIES = (_hex("delivery", "bytes"), _hex("delivery", "erased"), *_refused("delivery"))
SIGNATURES = (
    _hex("clear", "signature"),
    _hex("esp256", "signature"),
    _hex("hybrid", "signature"),
    *(bytes.fromhex(each) for each in VECTORS["batch"]["signatures"]),
    _hex("hybrid_batch", "signature_of_the_third"),
)
RECORDS: dict[type, tuple[bytes, ...]] = {
    Header: (_hex("clear", "header_bytes"), _hex("everything", "header_bytes")),
    Envelope: ENVELOPES,
    DeliveryHead: (_hex("delivery", "head_bytes"),),
    Delivery: DELIVERIES,
    Decision: (_hex("decision", "bytes"),),
    SignedReceipt: (_hex("receipt", "bytes"),),
    Receipt: (records.decode(SignedReceipt, _hex("receipt", "bytes")).receipt,),
    Refusal: (_hex("refusal", "bytes"),),
}


# --- formats with one encoding ----------------------------------------------------------------------------


def _record(cls: type, data: bytes) -> bytes:
    return records.encode(records.decode(cls, data))


def _framed(data: bytes) -> bytes | None:
    cls = records.class_of(data)
    return None if cls is None else records.frame(records.unframe(cls, data))


def _envelope(data: bytes) -> bytes:
    arrived = read_envelope(data)
    assert records.encode(arrived.header) == arrived.envelope.header, "the header encodes differently"
    open_envelope(arrived, keyring(), CATALOGUE, NETWORK, AT, complete=True)
    return records.encode(arrived.envelope)


def _opened_delivery(data: bytes) -> bytes:
    delivery = records.decode(Delivery, data)
    open_delivery(delivery, "jp", keyring(), CATALOGUE, NETWORK)
    return records.encode(delivery)


def _signature(data: bytes) -> bytes:
    sign1.check_form(data)
    parts = sign1.parse_signature(data)
    return sign1.assembled(parts.protected, parts.signature, parts.countersignature, parts.proof)


def _canonical_cbor(data: bytes) -> bytes | None:
    cbor.check_canonical(data)
    # cbor2 has an opinion of its own on what tags and floats mean; ours is on the form alone.
    if any(byte >> 5 == cbor.TAG or 0xF9 <= byte <= 0xFB for byte in data):
        return None
    return cbor2.dumps(cbor2.loads(data), canonical=True)


def _slot(notice_type: NoticeType, slot: Slot, data: bytes) -> bytes:
    values = notice_type.decode_slot(slot, data)
    return notice_type.encode_slots(_whole(notice_type, slot) | values)[slot]


def _whole(notice_type: NoticeType, slot: Slot) -> dict[str, Any]:
    """Return what the other slots need: only required facts, which live in the facts."""
    return {} if slot is Slot.FACTS else FACTS[notice_type.name]


SIGNER = LogSigner("halong-fuzz/log", PRIVATE["vn_ed25519"])
LOG_KEY = LogKey.parse(SIGNER.vkey)


def _checkpoint(data: bytes) -> bytes:
    head = LOG_KEY.open_checkpoint(data)
    with suppress(BadProof):
        LOG_KEY.signed_at(data)
    # Other signatures may follow ours (c2sp.org/signed-note); what ours covers comes first.
    own = SIGNER.sign_checkpoint(head.size, head.root)
    body = own[: own.index(b"\n\n") + 2]
    return body + data[len(body) :]


def _cose_receipt(data: bytes) -> bytes:
    found = check_inclusion_receipt(data, SIGNER.key, LOGGED)
    tree = Tree([bytes(32), leaf_hash(LOGGED)])
    # The size is not signed; all else is as the log's own words make it.
    rooted = with_root_signed(SIGNER, SIGNER.sign_checkpoint(2, tree.root()), tree.root())
    again = inclusion_receipt(SIGNER.key, rooted, found.index, tree.inclusion_path(1))
    return data if len(data) == len(again) and found.tree.root == tree.root() else again


def _tlog_proof(data: bytes) -> bytes:
    return write_proof(read_proof(data))


def _evidence(data: bytes) -> bytes:
    files = read_case(data)
    return write_case({**files, **files_of(case_of(files))})


def _verifier_key(data: bytes) -> bytes:
    return LogKey.parse(data.decode("latin-1")).vkey.encode("latin-1")


# --- formats with many ------------------------------------------------------------------------------------


def _read(reader: Callable[[bytes], object], data: bytes) -> None:
    reader(data)


def _member(data: bytes) -> None:
    member = parse_member(data, "members/vn.toml")
    assert parse_member(member_text(member).encode(), "members/vn.toml") == member


def _draft_of(obj: object) -> Draft:
    return Draft.from_json(obj, KNOWN, member="vn", region=Region.ASIA_PACIFIC, at=NOW)


def _draft(data: bytes) -> None:
    obj = read(data, object)
    draft = _draft_of(obj)
    assert Draft.from_stored(draft.to_json()) == draft


def _notice_json(notice_type: NoticeType, data: bytes) -> None:
    obj = read(data, object)
    values = values_from_json(notice_type, obj)
    assert values_from_json(notice_type, values_to_json(notice_type, values)) == values


KNOWN = load_catalogue()
TYPES = {each.name: each for each in KNOWN}
NOTICES = {
    path.stem: json.loads(path.read_bytes())
    for path in sorted((ROOT / "deploy/examples/notices").glob("*.json"))
}
FACTS: dict[str, dict[str, Any]] = {}


def _texts(pattern: str) -> tuple[bytes, ...]:
    found = tuple(path.read_bytes() for path in sorted(ROOT.glob(pattern)))
    assert found, f"no seeds in {pattern}"
    return found


def _slot_targets() -> Iterator[Target]:
    for notice in NOTICES.values():
        notice_type = TYPES[notice["type"]]
        values = _draft_of(notice).values(notice_type)
        facts = {field["name"] for field in notice_type.fields(Slot.FACTS)}
        FACTS[notice_type.name] = {name: value for name, value in values.items() if name in facts}
        for slot, value in notice_type.encode_slots(values).items():
            if value:
                name = f"slot {notice_type.name} {slot.label}"
                yield Target(name, partial(_slot, notice_type, slot), (value,))


def _targets() -> Iterator[Target]:
    for cls, seeds in RECORDS.items():
        yield Target(f"record {cls.__name__}", partial(_record, cls), seeds)
    framed = tuple(
        records.framed(cls, data) for cls, seeds in RECORDS.items() for data in seeds if cls is not Receipt
    )
    yield Target("framed record", _framed, framed)
    yield Target("envelope", _envelope, ENVELOPES)
    yield Target("delivery", _opened_delivery, DELIVERIES)
    yield Target("signature", _signature, SIGNATURES)
    yield Target(
        "CBOR", _canonical_cbor, (*SIGNATURES, *(cbor.encode(each) for each in ([1, "a"], {1: b"x"})))
    )
    yield from _slot_targets()
    note = SIGNER.sign_checkpoint(70_000, bytes(range(32)))
    timed = SIGNER.sign_checkpoint(70_000, bytes(range(32)), 1_790_000_000_000)
    yield Target("checkpoint", _checkpoint, (note, timed, SIGNER.sign_checkpoint(0, bytes(32))))
    tree = Tree([bytes(32), leaf_hash(LOGGED)])
    rooted = with_root_signed(SIGNER, SIGNER.sign_checkpoint(2, tree.root()), tree.root())
    receipt = inclusion_receipt(SIGNER.key, rooted, 1, tree.inclusion_path(1))
    yield Target("COSE receipt", _cose_receipt, (receipt,))
    proof = TlogProof(1, tuple(tree.inclusion_path(1)), rooted)
    yield Target("tlog-proof", _tlog_proof, tuple(map(write_proof, (proof, replace(proof, extra=b"x")))))
    manifest = Manifest(1, "halong-fuzz", "halong:vn/europe/main/1", "0" * 64, "1" * 64)
    case = Case(manifest, SIGNER.vkey, rooted, ENVELOPES[0], {}, statement=Logged(b"", write_proof(proof)))
    yield Target("evidence", _evidence, (write_case(files_of(case)),))
    yield Target("verifier key", _verifier_key, (SIGNER.vkey.encode(),))
    yield Target("file to inspect", partial(_read, read_file), (*ENVELOPES[:3], *DELIVERIES[:2]))
    agreements = _texts("broker/demo/scenario/agreements/*.toml")
    yield Target("agreement", partial(_read, lambda data: parse_agreement(data, "agreement")), agreements)
    members = tuple(member_text(each).encode() for each in PLAIN.members.values())
    yield Target("member file", _member, members)
    yield Target(
        "map", partial(_read, lambda data: parse_map(data, "map")), _texts("deploy/examples/maps/*.toml")
    )
    notices = tuple(json.dumps(each).encode() for each in NOTICES.values())
    yield Target("draft", _draft, notices)
    sample = json.dumps({"hs_code": "293311", "net_mass_g": 1250, "item_id": "RB1", "consignee": "Ada"})
    yield Target("notice JSON", partial(_notice_json, SAMPLE), (sample.encode(),))
    yield from _wire_targets()
    yield from _joining_targets()


def _wire_targets() -> Iterator[Target]:
    inclusion = Inclusion(3, [bytes(32)])
    said: tuple[Wire, ...] = (
        Publication([ENVELOPES[0]]),
        Outcomes([Outcome("00" * 32, "asia-pacific/main/1", "refused", "stale", "sequence")]),
        StatementStatus(
            "00" * 32, "r", durable=True, decided=True, receipts={"jp": 1}, decision_inclusion=inclusion
        ),
        Feed([FeedItem(7, DELIVERIES[0], 3, [bytes(32)])], 8, 0, b"note"),
        Receipts([RECORDS[SignedReceipt][0]]),
        Problem("stale", "too old", "sequence"),
    )
    for each in said:
        shape = type(each)
        yield Target(
            f"JSON {shape.__name__}", partial(_read, partial(read, shape=shape)), (msgspec.json.encode(each),)
        )
    head = Head(kind="outbox", network=NETWORK, member="vn", conversation="00", number=1, after=0)
    lines = (
        head,
        Notices("asia-pacific/main", [ENVELOPES[0]]),
        Asked(["00" * 32], ["asia-pacific/main"]),
        Counted(HeadAnswer(b"head", inclusion, b"note")),
    )
    yield Target("stick line", partial(_read, read_line), tuple(map(msgspec.json.encode, lines)))


def _joining_targets() -> Iterator[Target]:
    yield Target("certificate request", partial(_read, read_request), (CSR,))
    yield Target("certificate", partial(_read, read_certificate), (AUTHORITY,))
    yield Target(
        "join request", partial(_read, lambda data: read_join_request(data, JOINED, {})), (APPLICATION,)
    )
    yield Target("welcome", partial(_read, lambda data: read_welcome(data, "vn", TRANSPORT_KEY)), (WELCOME,))


TARGETS = {target.name: target for target in _targets()}
