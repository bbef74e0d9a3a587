"""The types of Avro, each as a function that reads and one that writes; `codec` is the door to them.

Decides for each type which bytes are its one encoding.  Leaves to `codec` which schemas are allowed.

A reader takes the bytes and a place, and returns the value and the place after it; where the bytes
end too early it may raise IndexError.  A writer appends to a bytearray.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from functools import lru_cache
from operator import attrgetter
from typing import Any

Read = Callable[[bytes, int], tuple[Any, int]]
Write = Callable[[bytearray, Any], None]


class Mismatch(ValueError):
    """A value, or bytes, are not of the schema."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.steps: list[str] = []

    @property
    def field(self) -> str | None:
        """The path to the place: `items.2.value`."""
        return ".".join(reversed(self.steps)) or None


@dataclass(frozen=True, slots=True)
class Type:
    """A type that is ready for use.

    `least` is how many bytes its shortest encoding has.  `form` says what it is made of, for `avro_code`;
    a type without one is read and written by these functions there, too.
    """

    read: Read
    write: Write
    least: int
    form: tuple[Any, ...] = ()


# --- numbers, bytes, text ---------------------------------------------------------------------------


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Read a zig-zag varint of at most 64 bits, in the fewest bytes."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at
    value = byte & 0x7F
    shift = 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise Mismatch("a number of more than 64 bits")
    if byte == 0:
        raise Mismatch("a number in more bytes than it needs")
    if value >> 64:
        raise Mismatch("a number of more than 64 bits")
    return (value >> 1) ^ -(value & 1), at


@lru_cache(maxsize=4_096)  # times and lengths repeat: a batch is decided at one time
def varint(value: int) -> bytes:
    """Return a zig-zag varint; the caller has checked the range."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_long(out: bytearray, value: int) -> None:
    """Append a zig-zag varint; the caller has checked the range."""
    out += varint(value)


def number(low: int, high: int) -> Type:
    """A whole number between `low` and `high`, both allowed."""
    whole = (low, high) == (-(1 << 63), (1 << 63) - 1)

    def read(data: bytes, at: int) -> tuple[int, int]:
        value, at = read_long(data, at)
        if not low <= value <= high:
            raise Mismatch(f"not between {low} and {high}")
        return value, at

    def write(out: bytearray, value: Any) -> None:
        if type(value) is not int:
            raise Mismatch("not a whole number")
        if not low <= value <= high:
            raise Mismatch(f"not between {low} and {high}")
        write_long(out, value)

    return Type(read_long if whole else read, write, 1, ("number", low, high))


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Read bytes with their length before them."""
    size = data[at]
    if size < 0x80 and not size & 1:
        at += 1
        size >>= 1
    else:
        size, at = read_long(data, at)
        if size < 0:
            raise Mismatch("a length below zero")
    end = at + size
    if end > len(data):
        raise Mismatch("ends too early")
    return data[at:end], end


def _write_bytes(out: bytearray, value: Any) -> None:
    if not isinstance(value, bytes):
        raise Mismatch("not bytes")
    write_long(out, len(value))
    out += value


def string(text: Callable[[str], None] | None) -> Type:
    """Text in UTF-8; `text` raises ValueError for what is not wanted."""

    def read(data: bytes, at: int) -> tuple[str, int]:
        raw, at = read_bytes(data, at)
        try:
            value = raw.decode()
        except UnicodeDecodeError:
            raise Mismatch("not UTF-8") from None
        if text is not None:
            try:
                text(value)
            except ValueError as error:
                raise Mismatch(str(error)) from None
        return value, at

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, str):
            raise Mismatch("not text")
        if text is not None:
            try:
                text(value)
            except ValueError as error:
                raise Mismatch(str(error)) from None
        try:
            raw = value.encode()
        except UnicodeEncodeError:
            raise Mismatch("not Unicode text") from None
        write_long(out, len(raw))
        out += raw

    return Type(read, write, 1, ("string", text))


def fixed(size: int) -> Type:
    """Exactly `size` bytes."""

    def read(data: bytes, at: int) -> tuple[bytes, int]:
        end = at + size
        if end > len(data):
            raise Mismatch("ends too early")
        return data[at:end], end

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, bytes) or len(value) != size:
            raise Mismatch(f"not {size} bytes")
        out += value

    return Type(read, write, size, ("fixed", size))


def _read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    byte = data[at]
    if byte > 1:
        raise Mismatch("neither true nor false")
    return byte == 1, at + 1


def _write_boolean(out: bytearray, value: Any) -> None:
    if not isinstance(value, bool):
        raise Mismatch("neither true nor false")
    out.append(value)


def _read_null(_data: bytes, at: int) -> tuple[None, int]:
    return None, at


def _write_null(_out: bytearray, value: Any) -> None:
    if value is not None:
        raise Mismatch("not null")


NULL = Type(_read_null, _write_null, 0)
BOOLEAN = Type(_read_boolean, _write_boolean, 1)
BYTES = Type(read_bytes, _write_bytes, 1, ("bytes",))


def decimal(precision: int, scale: int) -> Type:
    """Unscaled big-endian two's complement in the fewest bytes, as `BigInteger.toByteArray` makes it."""
    limit = 10**precision
    exact = Context(prec=precision, traps=[Inexact, InvalidOperation, Overflow])

    def read(data: bytes, at: int) -> tuple[Decimal, int]:
        raw, at = read_bytes(data, at)
        value = int.from_bytes(raw, "big", signed=True)
        if raw != _two_complement(value):
            raise Mismatch("a decimal in more or fewer bytes than it needs")
        if not -limit < value < limit:
            raise Mismatch(f"more than {precision} digits")
        return Decimal(value).scaleb(-scale, exact), at

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, Decimal) or not value.is_finite():
            raise Mismatch("not a decimal number")
        # Judged by its size before it becomes an integer: 1e999999 would take a million digits.
        if value and value.adjusted() + scale >= precision:
            raise Mismatch(f"more than {precision} digits")
        try:
            unscaled = int(value.scaleb(scale, exact).to_integral_exact(context=exact))
        except (Inexact, InvalidOperation, Overflow):
            raise Mismatch(f"more than {scale} decimal places") from None
        _write_bytes(out, _two_complement(unscaled))

    return Type(read, write, 2)


def _two_complement(value: int) -> bytes:
    bits = (value if value >= 0 else ~value).bit_length()
    return value.to_bytes(bits // 8 + 1, "big", signed=True)


# --- types with names -------------------------------------------------------------------------------


def enum(symbols: Sequence[str], members: Sequence[Any]) -> Type:
    """One of `symbols`; in Python, the member at its place."""
    places = {member: place for place, member in enumerate(members)}

    def read(data: bytes, at: int) -> tuple[Any, int]:
        place, at = read_long(data, at)
        if not 0 <= place < len(members):
            raise Mismatch("an index outside of the enum")
        return members[place], at

    def write(out: bytearray, value: Any) -> None:
        try:
            write_long(out, places[value])
        except (KeyError, TypeError):
            raise Mismatch(f"not one of the {len(symbols)} symbols") from None

    return Type(read, write, 1, ("enum", tuple(members)))


def record(names: Sequence[str], types: Sequence[Type], made_of: type | None) -> Type:
    """Fields one after the other; in Python a `made_of`, or a dict."""
    reads = [kind.read for kind in types]
    writes = [kind.write for kind in types]
    parts = _parts_of_dict(names) if made_of is None else _parts_of(made_of, names)

    def build(values: list[Any]) -> Any:
        return dict(zip(names, values, strict=True)) if made_of is None else made_of(*values)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        values: list[Any] = []
        try:
            for one in reads:
                value, at = one(data, at)
                values.append(value)
        except Mismatch as mismatch:
            mismatch.steps.append(names[len(values)])
            raise
        return build(values), at

    def write(out: bytearray, value: Any) -> None:
        done = 0
        all_parts = parts(value)
        try:
            for one, part in zip(writes, all_parts, strict=True):
                one(out, part)
                done += 1
        except Mismatch as mismatch:
            found = Mismatch("missing") if all_parts[done] is None else mismatch
            found.steps.append(names[done])
            raise found from None

    least = sum(kind.least for kind in types)
    return Type(read, write, least, ("record", tuple(names), tuple(types), made_of))


def _parts_of_dict(names: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    known = frozenset(names)

    def parts(value: Any) -> Sequence[Any]:
        if not isinstance(value, Mapping):
            raise Mismatch("not an object")
        for key in value.keys() - known:
            mismatch = Mismatch("no such field")
            mismatch.steps.append(str(key)[:64])
            raise mismatch
        return [value.get(name) for name in names]

    return parts


def _parts_of(made_of: type, names: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    get = attrgetter(*names)
    single = len(names) == 1

    def parts(value: Any) -> Sequence[Any]:
        if not isinstance(value, made_of):
            raise Mismatch(f"not a {made_of.__name__}")
        return (get(value),) if single else get(value)

    return parts


def array(items: Type, *, tuples: bool) -> Type:
    """Items in one block; in Python a tuple or a list."""
    one, put = items.read, items.write

    def read(data: bytes, at: int) -> tuple[Any, int]:
        count, at = read_long(data, at)
        if count == 0:
            return () if tuples else [], at
        if count < 0:
            raise Mismatch("an array's block with a size")
        values: list[Any] = []
        try:
            # No count can cost more than the bytes weigh: every item takes at least one.
            for _ in range(count):
                value, at = one(data, at)
                values.append(value)
        except Mismatch as mismatch:
            mismatch.steps.append(str(len(values)))
            raise
        if data[at] != 0:
            raise Mismatch("an array in several blocks")
        return (tuple(values) if tuples else values), at + 1

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, (tuple, list)):
            raise Mismatch("not a list")
        if value:
            write_long(out, len(value))
            for place, item in enumerate(value):
                try:
                    put(out, item)
                except Mismatch as mismatch:
                    mismatch.steps.append(str(place))
                    raise
        out.append(0)

    return Type(read, write, 1, ("array", items, tuples))


def nullable(other: Type) -> Type:
    """The union of null and `other`."""
    one, put = other.read, other.write

    def read(data: bytes, at: int) -> tuple[Any, int]:
        byte = data[at]
        if byte == 0:
            return None, at + 1
        if byte != 2:
            raise Mismatch("an index outside of the union")
        return one(data, at + 1)

    def write(out: bytearray, value: Any) -> None:
        if value is None:
            out.append(0)
        else:
            out.append(2)
            put(out, value)

    return Type(read, write, 1, ("nullable", other))
