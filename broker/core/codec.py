"""Avro binary for one schema, where every value has exactly one encoding.

Decides which schemas may be used at all, and whether bytes are the one encoding of a value.  Leaves
to others what a value means: `records` knows our records, `catalogue` the notices.

A reader is put together from the schema once, as one function for each type in it; it refuses while
it reads what a lax one lets pass: a number in more bytes than it needs, an array in several blocks,
an index outside of an enum or a union, bytes that are left.  So decoding never has to encode again to
compare.  A test compares both directions with fastavro and "encode again".

What is in order, which is nearly all, goes by code that is made from the schema at its first use
(`avro_code`); what that code does not take, the functions judge.

Source: Apache Avro 1.12 specification, "Binary encoding", "Schema declaration", "Logical types";
docs/formats.md, "One value, one encoding".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from broker.core import avro_code, avro_types
from broker.core.avro_types import Mismatch, Type
from broker.core.errors import BadConfiguration, NotCanonical

Schema = Mapping[str, Any]

LATEST = 253_402_300_799_999
"""The last millisecond of the year 9999; no time may be later."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MOST_NESTING = 16
MOST_FIXED_BYTES = 65_536
MOST_DIGITS = 38


@dataclass(frozen=True, slots=True)
class _Options:
    """What a codec was asked for; see `Codec`."""

    classes: Mapping[str, type] | None = None
    text: Callable[[str], None] | None = None
    any_time: bool = False


class Codec:
    """Encodes and decodes the values of one schema.

    Without `classes`, records are dicts, enums their symbols, arrays lists.

    Args:
        schema: A record's schema.
        classes: For named types of the schema, by their short names: a dataclass whose fields are the
            record's in order, or an IntEnum.  Arrays are then tuples.
        text: Raises ValueError for a string that is not wanted; called on every string in both directions.
        any_time: Let times outside of 0 … 253402300799999 pass, for a record that judges them by itself.

    Raises:
        BadConfiguration: `check_schema` refuses the schema.
    """

    __slots__ = ("_quick_read", "_quick_write", "_type", "schema")

    def __init__(
        self,
        schema: Schema,
        *,
        classes: Mapping[str, type] | None = None,
        text: Callable[[str], None] | None = None,
        any_time: bool = False,
    ) -> None:
        self.schema = schema
        self._type = _type_of(schema, _Options(classes, text, any_time))
        # Made at their first use: a command that shows its help needs none of them.
        self._quick_read: Callable[[bytes], Any] | None = None
        self._quick_write: Callable[[Any], bytes] | None = None

    def encode(self, value: Any) -> bytes:
        """Return the encoding of `value`.

        Raises:
            Mismatch: The value is not one of the schema; `field` is the path to where.
        """
        if self._quick_write is None:
            self._quick_write = avro_code.writer(self._type)
        try:
            return self._quick_write(value)
        except avro_code.GIVES_UP:
            return self.encode_carefully(value)

    def encode_carefully(self, value: Any) -> bytes:
        """Return what `encode` returns, by the functions that judge and explain."""
        out = bytearray()
        self._type.write(out, value)
        return bytes(out)

    def decode(self, data: bytes) -> Any:
        """Return the value that `data` is the one encoding of.

        Raises:
            NotCanonical: There is none.
        """
        if self._quick_read is None:
            self._quick_read = avro_code.reader(self._type)
        try:
            return self._quick_read(data)
        except avro_code.GIVES_UP:
            return self.decode_carefully(data)

    def decode_carefully(self, data: bytes) -> Any:
        """Return what `decode` returns, by the functions that judge and explain."""
        try:
            value, end = self._type.read(data, 0)
        except Mismatch as mismatch:
            raise NotCanonical(str(mismatch), field=mismatch.field) from None
        except IndexError:
            raise NotCanonical("ends too early") from None
        if end != len(data):
            raise NotCanonical(f"{len(data) - end} bytes are left")
        return value


def check_schema(schema: Schema) -> None:
    """Refuse a schema in which a value could have two encodings, or bytes could cost more than they weigh.

    Allowed are records, enums, fixed, arrays, the primitive types but float and double, unions of null
    and one other, and the logical types decimal (of bytes) and timestamp-millis (of long).

    Raises:
        BadConfiguration: Anything else is in it: floats, maps, recursion, other unions, arrays of items
            that take no bytes, names that are wrong, twice or unknown.
    """
    _type_of(schema, _Options())


def schema_digest(schema: Schema) -> bytes:
    """Return what names a schema: SHA-256 of its JSON without `doc`, keys sorted, without white space."""
    bare = json.dumps(_without_doc(schema), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(bare.encode()).digest()


def confluent_id(digest: bytes) -> int:
    """Return the number by which ordinary Kafka tools ask for the schema."""
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF


def _without_doc(node: Any) -> Any:
    match node:
        case Mapping():
            return {key: _without_doc(value) for key, value in node.items() if key != "doc"}
        case list() | tuple():
            return [_without_doc(item) for item in node]
        case _:
            return node


# --- from a schema to its type ----------------------------------------------------------------------


def _type_of(schema: Schema, options: _Options) -> Type:
    if not isinstance(schema, Mapping) or schema.get("type") != "record":
        raise BadConfiguration("the schema is not a record's")
    return _Maker(options).make(schema, "", ())


class _Maker:
    """Makes the types of one schema.

    A named type is known only once it is complete, so one that contains itself is an unknown name.
    """

    def __init__(self, options: _Options) -> None:
        self._options = options
        self._known: dict[str, Type] = {}
        long, times = avro_types.number(-(1 << 63), (1 << 63) - 1), avro_types.number(0, LATEST)
        self._times = long if options.any_time else times
        self._primitive = {
            "null": avro_types.NULL,
            "boolean": avro_types.BOOLEAN,
            "int": avro_types.number(-(1 << 31), (1 << 31) - 1),
            "long": long,
            "bytes": avro_types.BYTES,
            "string": avro_types.string(options.text),
        }

    def make(self, node: Any, namespace: str, path: tuple[str, ...]) -> Type:
        """Return the type that `node` describes; `path` says where it stands."""
        if len(path) > MOST_NESTING:
            raise _wrong("nested too deeply", path)
        match node:
            case str():
                return self._named(node, namespace, path)
            case ["null", other]:
                # A union in a union is refused before it is looked into: `path` would not count its depth.
                inner = None if isinstance(other, list) else self.make(other, namespace, path)
                if inner is None or inner.least == 0:
                    raise _wrong("a union is null and one other type that takes at least one byte", path)
                return avro_types.nullable(inner)
            case {"type": "record", "fields": list() as fields}:
                return self._record(node, fields, namespace, path)
            case {"type": "enum", "symbols": list() as symbols}:
                return self._enum(node, symbols, namespace, path)
            case {"type": "fixed", "size": int() as size}:
                if not 1 <= size <= MOST_FIXED_BYTES or "logicalType" in node:
                    raise _wrong("a fixed of no size, too large, or with a logical type", path)
                return self._define(node, namespace, path, avro_types.fixed(size))
            case {"type": "array", "items": items}:
                inner = self.make(items, namespace, (*path, "items"))
                if inner.least == 0:
                    raise _wrong("an array of items that may take no bytes", path)
                return avro_types.array(inner, tuples=self._options.classes is not None)
            case {"logicalType": _}:
                return self._logical(node, path)
            case {"type": str() as name} if name in self._primitive:
                return self._primitive[name]
            case _:
                raise _wrong("a type that is not allowed", path)

    def _logical(self, node: Schema, path: tuple[str, ...]) -> Type:
        match node:
            case {"type": "long", "logicalType": "timestamp-millis"}:
                return self._times
            case {"type": "bytes", "logicalType": "decimal", "precision": int() as digits}:
                scale = node.get("scale", 0)
                if not isinstance(scale, int) or not 0 <= scale <= digits <= MOST_DIGITS or digits < 1:
                    raise _wrong("a decimal of impossible precision or scale", path)
                return avro_types.decimal(digits, scale)
            case _:
                raise _wrong("a logical type that is not allowed", path)

    def _named(self, name: str, namespace: str, path: tuple[str, ...]) -> Type:
        found = self._primitive.get(name) or self._known.get(_full(name, namespace))
        if found is None:
            raise _wrong("a type that is not allowed, not defined before, or contains itself", path)
        return found

    def _record(self, node: Schema, fields: list[Any], namespace: str, path: tuple[str, ...]) -> Type:
        inside = _full_name(node, namespace, path).rpartition(".")[0]
        names, types = [], []
        for field in fields:
            if not isinstance(field, Mapping) or not _is_name(field.get("name")) or "type" not in field:
                raise _wrong("a field without a proper name or a type", path)
            names.append(field["name"])
            types.append(self.make(field["type"], inside, (*path, field["name"])))
        if len(set(names)) != len(names):
            raise _wrong("a field's name is there twice", path)
        made_of = (self._options.classes or {}).get(node["name"])
        return self._define(node, namespace, path, avro_types.record(names, types, made_of))

    def _enum(self, node: Schema, symbols: list[Any], namespace: str, path: tuple[str, ...]) -> Type:
        if not symbols or not all(map(_is_name, symbols)) or len(set(symbols)) != len(symbols):
            raise _wrong("an enum without symbols, or with improper or repeated ones", path)
        made_of = (self._options.classes or {}).get(str(node.get("name")))
        members = symbols if made_of is None else [getattr(made_of, symbol) for symbol in symbols]
        return self._define(node, namespace, path, avro_types.enum(symbols, members))

    def _define(self, node: Schema, namespace: str, path: tuple[str, ...], made: Type) -> Type:
        name = _full_name(node, namespace, path)
        if name in self._known:
            raise _wrong("a type's name is there twice", path)
        self._known[name] = made
        return made


def _full_name(node: Schema, namespace: str, path: tuple[str, ...]) -> str:
    name, own = node.get("name"), node.get("namespace", namespace)
    if (
        not _is_name(name)
        or not isinstance(own, str)
        or not all(map(_is_name, own.split(".") if own else ()))
    ):
        raise _wrong("a named type without a proper name", path)
    return _full(str(name), own)


def _full(name: str, namespace: str) -> str:
    return f"{namespace}.{name}" if namespace and "." not in name else name


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def _wrong(what: str, path: tuple[str, ...]) -> BadConfiguration:
    return BadConfiguration(f"schema: {what}", field=".".join(path) or None)
