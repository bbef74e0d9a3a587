"""Notice types: what each slot's bytes mean, and which types and schemas are known.

Decides whether a slot's value is in its one encoding, and how values become slots.  Leaves to `slots`
how a type falls into slots, to `notice_json` how values look in JSON, and to code lists and labels in
`schemas` what the values mean to people.

Source: docs/formats.md, "Slots"; docs/catalogue.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from broker.core.avro_types import Mismatch
from broker.core.codec import Codec, Schema, check_schema, schema_digest
from broker.core.errors import BadConfiguration, BadSlot, NotCanonical, UnknownSchema, UnknownType
from broker.core.header import is_name
from broker.core.limits import MOST_SLOT_BYTES
from broker.core.model import Slot
from broker.core.slots import check_text, expanded, slot_of, slot_schemas


class NoticeType:
    """One notice type under one schema.

    Args:
        name: As the header has it: `drug-parcel`.
        schema: An Avro record; each of its fields is marked with its slot.

    Raises:
        BadConfiguration: The name or the schema is none that can be used.
    """

    __slots__ = ("_codecs", "_fields", "_names", "_required", "digest", "name", "schema")

    def __init__(self, name: str, schema: Schema) -> None:
        if not is_name(name):
            raise BadConfiguration("not a notice type's name", field=name[:64])
        check_schema(schema)
        self.name = name
        self.schema = schema
        self.digest = schema_digest(schema)
        self._codecs = {slot: Codec(one, text=check_text) for slot, one in slot_schemas(schema).items()}
        whole = expanded(schema)["fields"]
        self._fields = {slot: tuple(field for field in whole if slot_of(field) is slot) for slot in Slot}
        self._names = {
            slot: tuple(field["name"] for field in fields) for slot, fields in self._fields.items()
        }
        self._required = {
            slot: next((field["name"] for field in fields if not _may_be_null(field["type"])), None)
            for slot, fields in self._fields.items()
        }

    def __repr__(self) -> str:
        return f"NoticeType({self.name!r}, schema {self.digest.hex()[:8]})"

    def fields(self, slot: Slot) -> tuple[Mapping[str, Any], ...]:
        """Return the slot's fields in order, with their docs and marks, and types written out."""
        return self._fields[slot]

    def encode_slots(self, values: Mapping[str, Any]) -> dict[Slot, bytes]:
        """Return the value of each slot; empty where every field is null or there is none.

        Raises:
            BadSlot: A value does not fit; `field` is the path to it.
        """
        for name in values:
            if not any(name in names for names in self._names.values()):
                raise BadSlot("no such field", field=str(name)[:64])
        return {slot: self._encode(slot, values) for slot in Slot}

    def _encode(self, slot: Slot, values: Mapping[str, Any]) -> bytes:
        own = {name: values.get(name) for name in self._names[slot]}
        if all(value is None for value in own.values()) and self._required[slot] is None:
            return b""
        try:
            data = self._codecs[slot].encode(own)
        except Mismatch as mismatch:
            raise BadSlot(str(mismatch), field=mismatch.field) from None
        if len(data) > MOST_SLOT_BYTES:
            raise BadSlot(f"more than {MOST_SLOT_BYTES} bytes", field=slot.label)
        return data

    def decode_slot(self, slot: Slot, value: bytes) -> dict[str, Any]:
        """Return the fields of a slot, every one of them, from the one encoding that they have.

        Raises:
            BadSlot: It has another encoding, is empty or not against the rule, or holds unwanted text.
        """
        if not value:
            if self._required[slot] is not None:
                raise BadSlot("empty although a field cannot be null", field=self._required[slot])
            return dict.fromkeys(self._names[slot])
        try:
            fields: dict[str, Any] = self._codecs[slot].decode(value)
        except NotCanonical as error:
            raise BadSlot(str(error), field=error.field or slot.label) from None
        if all(one is None for one in fields.values()):
            raise BadSlot("not empty although every field is null", field=slot.label)
        return fields


def _may_be_null(kind: Any) -> bool:
    return kind == "null" or isinstance(kind, list)


class Catalogue:
    """The notice types that a station knows, each under every schema that it knows of it.

    Args:
        types: Of several schemas of one type the last is the current one.
    """

    __slots__ = ("_types",)

    def __init__(self, types: Iterable[NoticeType]) -> None:
        self._types: dict[str, dict[bytes, NoticeType]] = {}
        for one in types:
            known = self._types.setdefault(one.name, {})
            known.pop(one.digest, None)
            known[one.digest] = one

    def __iter__(self) -> Iterator[NoticeType]:
        for known in self._types.values():
            yield from known.values()

    def find(self, notice_type: str, digest: bytes) -> NoticeType:
        """Return the type under the schema that `digest` names.

        Raises:
            UnknownType: No such type is known.
            UnknownSchema: The type is, but not under this schema.
        """
        known = self._types.get(notice_type)
        if known is None:
            raise UnknownType("no such notice type", field="notice_type")
        found = known.get(digest)
        if found is None:
            raise UnknownSchema("the type is not known under this schema", field="schema")
        return found

    def current(self, notice_type: str) -> NoticeType:
        """Return the type under the schema that statements are written with now.

        Raises:
            UnknownType: No such type is known.
        """
        known = self._types.get(notice_type)
        if known is None:
            raise UnknownType("no such notice type", field="notice_type")
        return next(reversed(known.values()))
