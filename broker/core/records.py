"""The records of profile 1 as bytes, and the names by which they are quoted.

Decides what a record's one encoding is, and how each is identified: by a hash over a label of its own,
so that no two kinds of thing can ever have one name.  Leaves to others what a record means.

The schemas are the files in `schemas/records`; the classes are those of `model`.

Source: docs/formats.md, "Names", "The hub's records", "The log".
"""

from __future__ import annotations

import json
from enum import IntEnum
from hashlib import sha256
from importlib.resources import files
from typing import Any, TypeVar

from broker.core import model
from broker.core.avro_types import Mismatch, read_bytes, read_long, write_long
from broker.core.codec import Codec, confluent_id, schema_digest
from broker.core.errors import NotCanonical
from broker.core.model import (
    Checkpoint,
    Decision,
    Delivery,
    DeliveryHead,
    Disclosure,
    Envelope,
    Erasure,
    Head,
    Header,
    KeyWrap,
    Leaf,
    Proof,
    Read,
    Receipt,
    Refusal,
    SealedSlot,
    SignedReceipt,
    SlotKeys,
)

T = TypeVar("T")

FILES: dict[type, str] = {
    Header: "header",
    Disclosure: "disclosure",
    SealedSlot: "sealed_slot",
    KeyWrap: "key_wrap",
    SlotKeys: "slot_keys",
    Envelope: "envelope",
    DeliveryHead: "delivery_head",
    Delivery: "delivery",
    Decision: "decision",
    Receipt: "receipt",
    SignedReceipt: "signed_receipt",
    Refusal: "refusal",
    Read: "read",
    Erasure: "erasure",
    Head: "head",
    Leaf: "leaf",
    Checkpoint: "checkpoint",
}
"""Every record and its schema's file."""

KINDS: dict[type, bytes] = {
    Decision: b"decision",
    DeliveryHead: b"delivery",
    SignedReceipt: b"receipt",
    Refusal: b"refusal",
    Read: b"read",
    Erasure: b"erasure",
    Head: b"head",
}

LEAF_TYPES: dict[type, int] = {
    Envelope: 1,
    Decision: 2,
    Delivery: 3,
    SignedReceipt: 4,
    Refusal: 5,
    Read: 7,
    Erasure: 8,
    Head: 9,
}
DIRECTORY_LEAF = 6

_CLASSES: dict[str, type] = {
    **{
        name: value
        for name, value in vars(model).items()
        if isinstance(value, type) and (issubclass(value, IntEnum) or hasattr(value, "__dataclass_fields__"))
    },
    "Share": model.DecisionShare,
}


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((files("schemas") / "records" / f"{name}.avsc").read_bytes())
    return schema


SCHEMAS: dict[type, dict[str, Any]] = {cls: _schema(name) for cls, name in FILES.items()}
DIGESTS: dict[type, bytes] = {cls: schema_digest(schema) for cls, schema in SCHEMAS.items()}
_CODECS: dict[type, Codec] = {
    # A time out of range is a broken rule of the header (`bad-header`), not of its encoding.
    cls: Codec(schema, classes=_CLASSES, any_time=cls is Header)
    for cls, schema in SCHEMAS.items()
}
_PREFIXES: dict[type, bytes] = {
    cls: b"\0" + confluent_id(digest).to_bytes(4, "big") for cls, digest in DIGESTS.items()
}
_OF_PREFIX: dict[bytes, type] = {prefix: cls for cls, prefix in _PREFIXES.items()}


def encode(record: Any) -> bytes:
    """Return the one encoding of a record."""
    return _CODECS[type(record)].encode(record)


def decode(cls: type[T], data: bytes) -> T:
    """Return the record that `data` is the one encoding of.

    Raises:
        NotCanonical: There is none.
    """
    value: T = _CODECS[cls].decode(data)
    return value


def encode_content(envelope: bytes, proofs: tuple[Proof, ...]) -> bytes:
    """Return what follows the head in a delivery: made once for all who get the same."""
    # The second branch of the union, the record as it stands, and the proofs, which stand last.
    return b"\x02" + envelope + encode(Delivery(b"", None, proofs))[2:]


def encode_delivery(head: bytes, content: bytes) -> bytes:
    """Return the encoding of a delivery whose content is encoded already."""
    out = bytearray()
    write_long(out, len(head))
    return bytes(out) + head + content


def frame(record: Any) -> bytes:
    """Return a record as a value of a Kafka topic, which ordinary tools decode with our schemas."""
    return framed(type(record), encode(record))


def framed(cls: type, data: bytes) -> bytes:
    """Return the topic's value of an encoded record."""
    return _PREFIXES[cls] + data


def named_frame(record: Any) -> tuple[bytes, bytes]:
    """Return a record's name and its value of a topic: what `record_id` and `frame` return."""
    cls, data = type(record), encode(record)
    return _named(KINDS[cls], data), framed(cls, data)


def unframe(cls: type[T], value: bytes) -> T:
    """Return the record in a topic's value.

    Raises:
        NotCanonical: It is another record's, or not in its one encoding.
    """
    return decode(cls, unframed(cls, value))


def unframed(cls: type, value: bytes) -> bytes:
    """Return the encoded record in a topic's value.

    Raises:
        NotCanonical: The value does not begin as this record's do.
    """
    if not value.startswith(_PREFIXES[cls]):
        raise NotCanonical(f"not a topic's value of {cls.__name__}")
    return value[5:]


def class_of(value: bytes) -> type | None:
    """Return the class of the record in a topic's value, or None if it begins as none of ours."""
    return _OF_PREFIX.get(value[:5])


# What a decision says about which statement, and when: behind the prefix and a salt stand four digests.
_STATEMENT = slice(5 + 16, 5 + 16 + 32)
_DECIDED_AT = 5 + 16 + 4 * 32


def decided(value: bytes) -> tuple[bytes, int]:
    """Return the statement of the decision in a topic's value, and `decided_at`; no more of it is read.

    Raises:
        NotCanonical: It is no decision.
    """
    try:
        if class_of(value) is Decision:
            return value[_STATEMENT], read_long(value, _DECIDED_AT)[0]
    except (Mismatch, IndexError):
        pass
    raise NotCanonical("not a topic's value of a decision")


def header_of(value: bytes) -> Header:
    """Return the header of the envelope in a topic's value; nothing else of it is read.

    Raises:
        NotCanonical: It is no envelope, or the header is not in its one encoding.
    """
    try:
        if class_of(value) is Envelope:
            return decode(Header, read_bytes(value, 5)[0])
    except (Mismatch, IndexError):
        pass
    raise NotCanonical("not a topic's value of an envelope")


# --- identities ---------------------------------------------------------------------------------------


def _named(label: bytes, data: bytes) -> bytes:
    return sha256(b"halong/" + label + b"/1\0" + data).digest()


def statement_id(header: bytes) -> bytes:
    """Return the name of a statement: of its header's bytes, whatever the signature looks like."""
    return _named(b"statement", header)


def record_id(record: Any) -> bytes:
    """Return the name of a record of the hub; of a delivery, by its head alone."""
    if isinstance(record, Delivery):
        return delivery_id(record.head)
    return _named(KINDS[type(record)], encode(record))


def delivery_id(head: bytes) -> bytes:
    """Return the name of a delivery, by its head's bytes; it outlives the content."""
    return _named(b"delivery", head)


def directory_id(role: str, data: bytes) -> bytes:
    """Return the name of a file of the directory."""
    return _named(b"directory", role.encode() + b"\0" + data)


def content_digest(envelope: Envelope | bytes) -> bytes:
    """Return the digest of an envelope, given as a record or encoded, as it is delivered."""
    return _named(b"content", envelope if isinstance(envelope, bytes) else encode(envelope))


EMPTY_CHAIN = bytes(32)
"""The chain of a member to which nothing was delivered."""


def chained(chain: bytes, delivery: bytes) -> bytes:
    """Return the chain of a `Head` after one more delivery."""
    return _named(b"head", chain + delivery)


def leaf_entry(record: Any) -> bytes:
    """Return a record's entry in the transparency log: leaf type and name, 33 bytes."""
    leaf_type = bytes((LEAF_TYPES[type(record)],))
    if isinstance(record, Envelope):
        return leaf_type + statement_id(record.header)
    return leaf_type + record_id(record)


def leaf_entry_of(value: bytes) -> bytes:
    """Return the entry in the transparency log of the record in a topic's value.

    Only as much as names the record is read, so it is cheap; the hub wrote what it reads here.

    Raises:
        NotCanonical: It is no record that has a leaf.
    """
    cls = class_of(value)
    if cls not in LEAF_TYPES:
        raise NotCanonical("not a topic's value of a record that has a leaf")
    leaf_type = bytes((LEAF_TYPES[cls],))
    if cls is not Envelope and cls is not Delivery:
        return leaf_type + _named(KINDS[cls], value[5:])
    try:
        # Both begin with the bytes that name them: the header, the head.
        first, _ = read_bytes(value, 5)
    except (Mismatch, IndexError):
        raise NotCanonical("ends too early") from None
    return leaf_type + (statement_id(first) if cls is Envelope else delivery_id(first))


def directory_leaf_entry(role: str, data: bytes) -> bytes:
    """Return the entry in the transparency log of a file of the directory."""
    return bytes((DIRECTORY_LEAF,)) + directory_id(role, data)


def partition_of(originator: str, partitions: int) -> int:
    """Return the partition of a member's statements, the same on every engine."""
    return int.from_bytes(_named(b"partition", originator.encode())[:4], "big") % partitions
