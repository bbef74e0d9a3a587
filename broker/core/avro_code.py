"""A reader and a writer made for one schema: the types of `avro_types` written out as straight code.

They know only what is in order.  Whatever is not, and whatever is rare, they give up on; `codec` then asks
the functions of `avro_types`, which judge it and say what is wrong and where.  So these decide nothing: what
they take, those take too, as the same value or the same bytes, and a test holds them against each other.

The code is made of numbers, of field names that are names by Avro's grammar, and of variables of its own:
nothing else of a schema, however hostile, gets into it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from broker.core.avro_types import Mismatch, Type, read_long, varint

GIVES_UP = (LookupError, TypeError, ValueError)
"""What the code raises for everything that it leaves to the careful functions."""

_ONE_BYTE = 64
"""Numbers from 0 to here are one byte, twice the number."""
_TWO_BYTES = 8_192
_WHOLE = (-(1 << 63), (1 << 63) - 1)


def reader(kind: Type) -> Callable[[bytes], Any]:
    """Return a function that reads a whole encoding of a record, or raises one of `GIVES_UP`."""
    maker = _Reader()
    read = maker.compiled(maker.record(kind))

    def whole(data: bytes) -> Any:
        value, end = read(data, 0)
        # What was cut short left `end` behind the last byte, and it only grows: one look is enough.
        if end != len(data):
            raise Mismatch("not a whole encoding")
        return value

    return whole


def writer(kind: Type) -> Callable[[Any], bytes]:
    """Return a function that writes a record, or raises one of `GIVES_UP`."""
    maker = _Writer()
    write = maker.compiled(maker.record(kind))

    def whole(value: Any) -> bytes:
        out = bytearray()
        write(out, value)
        return bytes(out)

    return whole


def read_size(data: bytes, at: int) -> tuple[int, int]:
    """Read a length or a count: a number that is not below zero."""
    size, at = read_long(data, at)
    if size < 0:
        raise Mismatch("below zero")
    return size, at


class _Maker(ABC):
    """Lines of code, one function for each record, and the values that they use by name."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {"Mismatch": Mismatch, "read_size": read_size}
        self._known |= {"read_long": read_long, "varint": varint}
        self._functions: dict[int, str] = {}
        self._lines: list[str] = []
        self._names = 0

    def compiled(self, name: str) -> Callable[..., Any]:
        """Return the function of this name, with all that it calls."""
        # Reviewed: the source is this module's own; see above what gets into it.
        exec(compile("\n".join(self._lines), "<avro>", "exec"), self._known)  # noqa: S102
        found: Callable[..., Any] = self._known[name]
        return found

    def record(self, kind: Type) -> str:
        """Return the name of the function for a record; one that is used often is written once."""
        if id(kind) not in self._functions:
            self._functions[id(kind)] = name = self._name()
            body = self._body(kind, name)
            self._lines += body
        return self._functions[id(kind)]

    @abstractmethod
    def _body(self, kind: Type, name: str) -> list[str]:
        """Return the function `name` for a record."""

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def _use(self, value: Any) -> str:
        name = self._name()
        self._known[name] = value
        return name


def _size(of: str) -> list[str]:
    """Return code that writes a length; nearly all take one byte or two."""
    return [
        f"size = {of}",
        f"if size < {_ONE_BYTE}: out.append(size << 1)",
        f"elif size < {_TWO_BYTES}: out.append((size << 1) & 127 | 128); out.append(size >> 6)",
        "else: out += varint(size)",
    ]


def _indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


class _Reader(_Maker):
    """`data` are the bytes, `at` is the place; each piece of code sets one variable and moves on."""

    def _body(self, kind: Type, name: str) -> list[str]:
        _, names, types, made_of = kind.form
        values = [self._name() for _ in names]
        lines = [line for value, one in zip(values, types, strict=True) for line in self._read(one, value)]
        if made_of is None:
            made = ", ".join(f"{key!r}: {value}" for key, value in zip(names, values, strict=True))
            made = f"{{{made}}}"
        else:
            made = f"{self._use(made_of)}({', '.join(values)})"
        return [f"def {name}(data, at):", *_indented([*lines, f"return {made}, at"])]

    def _read(self, kind: Type, into: str) -> list[str]:
        match kind.form:
            case ("number", low, high):
                return self._number(into, low, high)
            case ("bytes",):
                return [*self._size("end"), "end += at", f"{into} = data[at:end]", "at = end"]
            case ("string", text):
                lines = [*self._size("end"), "end += at", f"{into} = data[at:end].decode()", "at = end"]
                return lines if text is None else [*lines, f"{self._use(text)}({into})"]
            case ("fixed", size):
                return [f"{into} = data[at : at + {size}]", f"at += {size}"]
            case ("enum", members) if len(members) <= _ONE_BYTE:
                table = self._use({2 * place: member for place, member in enumerate(members)})
                return [f"{into} = {table}[data[at]]", "at += 1"]
            case ("nullable", other):
                return self._nullable(other, into)
            case ("array", items, tuples):
                return self._array(items, into, tuples=tuples)
            case ("record", *_):
                return [f"{into}, at = {self.record(kind)}(data, at)"]
            case _:
                return [f"{into}, at = {self._use(kind.read)}(data, at)"]

    def _number(self, into: str, low: int, high: int) -> list[str]:
        lines = [
            f"{into} = data[at]",
            f"if {into} < 128:",
            f"    {into} = ({into} >> 1) ^ -({into} & 1)",
            "    at += 1",
            "else:",
            f"    {into}, at = read_long(data, at)",
        ]
        if (low, high) != _WHOLE:
            lines += [f"if not {low} <= {into} <= {high}: raise Mismatch('range')"]
        return lines

    def _size(self, into: str) -> list[str]:
        # The lowest bit is a sign, the highest says that another byte follows.
        return [
            f"{into} = data[at]",
            f"if {into} & 129: {into}, at = read_size(data, at)",
            f"else: {into} >>= 1; at += 1",
        ]

    def _nullable(self, other: Type, into: str) -> list[str]:
        return [
            "end = data[at]",
            "at += 1",
            f"if end == 0: {into} = None",
            "elif end == 2:",
            *_indented(self._read(other, into)),
            "else: raise Mismatch('union')",
        ]

    def _array(self, items: Type, into: str, *, tuples: bool) -> list[str]:
        count, item = self._name(), self._name()
        match items.form:
            case ("fixed", size):
                place = self._name()
                each = f"data[{place} : {place} + {size}] for {place} in range(at, end, {size})"
                body = [f"end = at + {size} * {count}", f"{into} = [{each}]", "at = end"]
            case _:
                body = [f"{into} = []", f"for _ in range({count}):"]
                body += _indented([*self._read(items, item), f"{into}.append({item})"])
        return [
            *self._size(count),
            f"if {count}:",
            # No count costs more than the bytes weigh.
            f"    if {count} * {items.least} > len(data) - at: raise Mismatch('count')",
            *_indented(body),
            "    if data[at]: raise Mismatch('blocks')",
            "    at += 1",
            *([f"    {into} = tuple({into})"] if tuples else []),
            f"else: {into} = {'()' if tuples else '[]'}",
        ]


class _Writer(_Maker):
    """`out` takes the bytes; each piece of code appends what one variable holds."""

    def _body(self, kind: Type, name: str) -> list[str]:
        _, names, types, made_of = kind.form
        lines = []
        if made_of is None:
            lines += [f"if type(value) is not dict or len(value) != {len(names)}: raise Mismatch('object')"]
        else:
            lines += [f"if type(value) is not {self._use(made_of)}: raise Mismatch('object')"]
        for key, one in zip(names, types, strict=True):
            part = self._name()
            lines += [f"{part} = value[{key!r}]" if made_of is None else f"{part} = value.{key}"]
            lines += self._write(one, part)
        return [f"def {name}(out, value):", *_indented([*lines, "return"])]

    def _write(self, kind: Type, part: str) -> list[str]:
        match kind.form:
            case ("number", low, high):
                return [
                    f"if type({part}) is not int or not {low} <= {part} <= {high}: raise Mismatch('number')",
                    f"if 0 <= {part} < {_ONE_BYTE}: out.append({part} << 1)",
                    f"else: out += varint({part})",
                ]
            case ("bytes",):
                return self._bytes(part)
            case ("string", text):
                check = [] if text is None else [f"{self._use(text)}({part})"]
                refuse = f"if type({part}) is not str: raise Mismatch('text')"
                return [refuse, *check, f"{part} = {part}.encode()", *self._bytes(part)]
            case ("fixed", size):
                refuse = f"if type({part}) is not bytes or len({part}) != {size}: raise Mismatch('fixed')"
                return [refuse, f"out += {part}"]
            case ("enum", members) if len(members) <= _ONE_BYTE:
                table = self._use({member: 2 * place for place, member in enumerate(members)})
                return [f"out.append({table}[{part}])"]
            case ("nullable", other):
                inner = _indented(["out.append(2)", *self._write(other, part)])
                return [f"if {part} is None: out.append(0)", "else:", *inner]
            case ("array", items, _):
                return self._array(items, part)
            case ("record", *_):
                return [f"{self.record(kind)}(out, {part})"]
            case _:
                return [f"{self._use(kind.write)}(out, {part})"]

    def _bytes(self, part: str) -> list[str]:
        return [
            f"if type({part}) is not bytes: raise Mismatch('bytes')",
            *_size(f"len({part})"),
            f"out += {part}",
        ]

    def _array(self, items: Type, part: str) -> list[str]:
        item = self._name()
        return [
            f"if type({part}) is not tuple and type({part}) is not list: raise Mismatch('list')",
            f"if {part}:",
            *_indented(_size(f"len({part})")),
            f"    for {item} in {part}:",
            *_indented(_indented(self._write(items, item))),
            "out.append(0)",
        ]
