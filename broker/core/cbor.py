"""Deterministic CBOR, as much of it as a closed form needs: reading heads, and telling what is canonical.

Decides whether bytes are one item in its one encoding, without making a value of it: no tag is ever
interpreted, nothing is allocated for what a length claims.  Writing is left to the cbor2 library.

Source: RFC 8949 sections 3 and 4.2.1.
"""

from __future__ import annotations

import struct
from math import isnan
from typing import Any

import cbor2

from broker.core.errors import NotCanonical

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, OTHER = range(8)

_LEAST = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}
_MOST_DEPTH = 16
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}


def encode(value: Any) -> bytes:
    """Return the one encoding of a value made of integers, bytes, text, lists, and maps with integer keys.

    The library sorts keys by length first, as RFC 7049 did.  For keys of one sign, which is all that we
    write, that is the order of RFC 8949 too.
    """
    return cbor2.dumps(value, canonical=True)


def bstr(data: bytes) -> bytes:
    """Return `data` as a byte string."""
    size = len(data)
    if size < 24:
        return bytes((0x40 | size,)) + data
    if size < 1 << 8:
        return bytes((0x58, size)) + data
    return (b"\x59" + size.to_bytes(2, "big") if size < 1 << 16 else b"\x5a" + size.to_bytes(4, "big")) + data


def text(value: str) -> bytes:
    """Return `value` as a text string: what `bstr` returns, of the next major type."""
    string = bstr(value.encode())
    return bytes((string[0] | 0x20,)) + string[1:]


def read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the major type, the argument, and the place after an item's head.

    Raises:
        NotCanonical: There is none, its length is open, or it is in more bytes than it needs.
    """
    if at >= len(data):
        raise NotCanonical("CBOR ends too early")
    major, info = data[at] >> 5, data[at] & 0x1F
    at += 1
    if info < 24:
        return major, info, at
    if info > 27:
        raise NotCanonical("CBOR of open length, or not well-formed")
    end = at + (1 << info - 24)
    argument = int.from_bytes(data[at:end], "big")
    if end > len(data):
        raise NotCanonical("CBOR ends too early")
    if argument < _LEAST[info] and major != OTHER:
        raise NotCanonical("a CBOR head in more bytes than it needs")
    return major, argument, end


def check_canonical(data: bytes) -> None:
    """Let bytes pass that are exactly one item, in its one encoding, nested at most 16 deep.

    Raises:
        NotCanonical: They are not.
    """
    if _end_of_item(data, 0, 0) != len(data):
        raise NotCanonical("bytes are left after the CBOR item")


def _end_of_item(data: bytes, start: int, depth: int) -> int:
    if depth > _MOST_DEPTH:
        raise NotCanonical("CBOR nested too deeply")
    major, argument, at = read_head(data, start)
    if major in {BYTES, TEXT}:
        return _end_of_string(data, at, at + argument, is_text=major == TEXT)
    if major == MAP:
        return _end_of_map(data, at, argument, depth)
    if major == OTHER:
        _check_other(data[start:at], argument)
    # No count can cost more than the bytes weigh: every item takes at least one.
    for _ in range({ARRAY: argument, TAG: 1}.get(major, 0)):
        at = _end_of_item(data, at, depth + 1)
    return at


def _end_of_string(data: bytes, at: int, end: int, *, is_text: bool) -> int:
    if end > len(data):
        raise NotCanonical("CBOR ends too early")
    if is_text:
        try:
            data[at:end].decode()
        except UnicodeDecodeError:
            raise NotCanonical("CBOR text that is not UTF-8") from None
    return end


def _end_of_map(data: bytes, at: int, pairs: int, depth: int) -> int:
    last = b""
    for _ in range(pairs):
        after = _end_of_item(data, at, depth + 1)
        key = data[at:after]
        # Bytewise order; equal keys would be two values of one name.
        if key <= last:
            raise NotCanonical("a CBOR map whose keys are not in order")
        last = key
        at = _end_of_item(data, after, depth + 1)
    return at


def _check_other(head: bytes, argument: int) -> None:
    """Simple values and floats: a float has the shortest form that keeps its value."""
    info = head[0] & 0x1F
    if info == 24 and argument < 32:
        raise NotCanonical("a CBOR simple value in more bytes than it needs")
    if info in {26, 27}:
        (value,) = struct.unpack(_FLOATS[info], head[1:])
        try:
            shorter = struct.unpack(_FLOATS[info - 1], struct.pack(_FLOATS[info - 1], value))[0]
        except OverflowError:
            return
        if shorter == value or isnan(value):
            raise NotCanonical("a CBOR float in more bytes than it needs")
