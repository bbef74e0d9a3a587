"""Deterministic CBOR, held against RFC 8949's own examples and the cbor2 library."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.cbor import bstr, check_canonical, encode
from broker.core.errors import NotCanonical

# Integer keys of one sign, so that both rules of order agree; see `encode`.
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.binary(max_size=40)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(0, 1 << 40), inner, max_size=4)
        | st.builds(cbor2.CBORTag, st.integers(60_000, 70_000), inner)
    ),
    max_leaves=10,
)


@given(values)
def test_what_a_library_writes_canonically_is_canonical(value: object) -> None:
    check_canonical(cbor2.dumps(value, canonical=True))


@given(values, st.data())
def test_changed_bytes_are_refused_or_are_what_the_library_would_write(
    value: object, data: st.DataObject
) -> None:
    raw = bytearray(cbor2.dumps(value, canonical=True))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    try:
        check_canonical(bytes(raw))
    except NotCanonical:
        return
    # The library makes dates and other things of some tags; to us each is a tag.
    if not any(0xC0 <= byte <= 0xDB for byte in raw):
        assert sorted(cbor2.dumps(cbor2.loads(bytes(raw)), canonical=True)) == sorted(raw)


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 65_535, 65_536])
def test_a_byte_string_is_what_the_library_writes(size: int) -> None:
    assert bstr(bytes(size)) == encode(bytes(size))


CANONICAL = {
    "zero": "00",
    "the largest number": "1bffffffffffffffff",
    "the smallest number": "3bffffffffffffffff",
    "an empty map": "a0",
    "keys in bytewise order, not by length": "a31818012002626161f6",
    "a half float": "f93c00",
    "a float": "fa47c35000",
    "a double": "fb3ff199999999999a",
    "the one not-a-number": "f97e00",
    "infinity": "f97c00",
    "a simple value": "f8ff",
    "undefined": "f7",
    "a tag": "c11a514b67b0",
}
REFUSED = {
    "nothing": "",
    "a number in two bytes that needs one": "1817",
    "a number in three bytes that needs two": "1900ff",
    "a number in five bytes that needs three": "1a0000ffff",
    "a number in nine bytes that needs five": "1b00000000ffffffff",
    "a length in two bytes that needs one": "580100",
    "a tag in two bytes that needs one": "d81200",
    "a number that ends too early": "19ff",
    "a string that ends too early": "41",
    "text that is not UTF-8": "61ff",
    "an open array": "9fff",
    "an open string": "5f4100ff",
    "a break by itself": "ff",
    "a reserved head": "1c",
    "an array that ends too early": "8200",
    "an array of more items than there are bytes": "9bffffffffffffffff",
    "a map that ends too early": "a100",
    "text that ends too early": "6261",
    "a length that ends too early": "59ff",
    "a key twice": "a200000001",
    "keys not in order": "a201000000",
    "a simple value in two bytes that needs one": "f818",
    "a float that is a half": "fa3f800000",
    "a double that is a float": "fb40f86a0000000000",
    "another not-a-number": "fa7fc00001",
    "a byte left": "0000",
    "two items": "8080",
}


@pytest.mark.parametrize("data", CANONICAL.values(), ids=CANONICAL)
def test_the_one_encoding_passes(data: str) -> None:
    check_canonical(bytes.fromhex(data))


@pytest.mark.parametrize(("why", "data"), REFUSED.items(), ids=REFUSED)
def test_any_other_encoding_is_refused(why: str, data: str) -> None:
    with pytest.raises(NotCanonical, match="ends too early" if "ends too early" in why else None):
        check_canonical(bytes.fromhex(data))


def test_nesting_has_an_end() -> None:
    check_canonical(b"\x81" * 16 + b"\x00")
    with pytest.raises(NotCanonical, match="too deeply"):
        check_canonical(b"\x81" * 8_000)
