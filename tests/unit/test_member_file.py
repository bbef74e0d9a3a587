"""A member's entry as a file: read as it was written, and refused at its place otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.directory import Member, MemberClass, MemberKey, Revocation, TransportKey, Use
from broker.core.errors import BadConfiguration, WeakKey
from broker.core.keys import Algorithm, sealing_public_key
from broker.core.model import Region
from broker.directory.member_file import member_text, parse_member
from tests.ceremony import member, private

NAME = "members/vn.toml"
ENTRY = replace(member("vn"), keys=member("vn").keys[:1], accessions={("jp-vn-2026", 1): bytes(32)})
VN_SIGN = private("vn-sign").public.raw
SMALL_ORDER = bytes([1]).ljust(32, b"\0")


def rewrite(old: str, new: str) -> bytes:
    text = member_text(ENTRY)
    assert old in text
    return text.replace(old, new).encode()


def more(entry: bytes) -> bytes:
    return member_text(ENTRY).encode() + entry


def key_entry(use: str, public: bytes, algorithm: str) -> bytes:
    return (
        f'\n[[key]]\nuse = "{use}"\nalgorithm = "{algorithm}"\npublic = "{public.hex()}"\n'
        "valid_from = 2026-01-01T00:00:00Z\n"
    ).encode()


REFUSED = [
    ("too long", b"#" * 300_000, ""),
    ("not TOML", b"id", ""),
    ("an unknown class", rewrite('"customs"', '"army"'), "class"),
    ("an unknown region", rewrite("asia-pacific", "asia"), "regions"),
    ("an unknown use", rewrite('"sign"', '"all"'), "key 1, use"),
    ("a use that the algorithm does not have", rewrite('"sign"', '"seal"'),
     "key 1, algorithm"),
    ("a key of another length", rewrite('public = "', 'public = "00'),
     "key 1, public"),
    ("a time without offset", rewrite("00.000Z", "00.000"),
     "key 1, valid_from"),
    ("a time finer than a millisecond", rewrite("00.000Z", "00.0001Z"),
     "key 1, valid_from"),
    ("a time before all keys", rewrite("2026-01-01T", "1926-01-01T"),
     "key 1, valid_from"),
    ("a time that no record can hold", rewrite("2026-01-01T", "9999-12-31T"),
     "key 1, valid_from"),
    ("keys that are no tables", b"key = [1]", "key"),
    ("an empty list of keys", b"key = []", "key"),
    ("a countersignature for a key that does not sign",
     more(key_entry("directory", VN_SIGN, "Ed25519") + b"pq_required_from = 2026-01-01T00:00:00Z\n"),
     "key 3, pq_required_from"),
    ("an end before the start", rewrite('use = "sign"',
     'use = "sign"\nvalid_until = 2026-01-01T00:00:00Z'), "key 1, valid_until"),
    ("a revocation without reason", rewrite('use = "sign"',
     'use = "sign"\nrevoked_at = 2026-02-01T00:00:00Z'), "key 1, reason"),
    ("a reason without revocation", rewrite('use = "sign"',
     'use = "sign"\nreason = "superseded"'), "key 1, revoked_at"),
    ("an unknown line in a key", rewrite('use = "sign"', 'use = "sign"\ncolour = 1'),
     "key 1, colour"),
    ("an accession to no version", rewrite("jp-vn-2026/1", "jp-vn-2026"),
     "accessions, jp-vn-2026"),
    ("an accession to no agreement", rewrite("jp-vn-2026/1", "JP VN/1"),
     "accessions, JP VN/1"),
    ("an accession to no digest", rewrite('"jp-vn-2026/1" = "', '"jp-vn-2026/1" = "z'),
     "accessions, jp-vn-2026/1"),
    ("a weak key", more(key_entry("sign", SMALL_ORDER, "Ed25519")), "key 3, public"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "place"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_an_entry_that_is_none_is_refused_and_the_place_named(data: bytes, place: str) -> None:
    with pytest.raises((BadConfiguration, WeakKey)) as caught:
        parse_member(data, NAME)
    assert caught.value.field == f"{NAME}: {place}".removesuffix(": ")


def test_a_weak_key_is_refused_at_registration_by_its_own_code() -> None:
    with pytest.raises(WeakKey):
        parse_member(more(key_entry("sign", SMALL_ORDER, "Ed25519")), NAME)


times = st.integers(0, 253_000_000_000_000)


@st.composite
def lives(draw: st.DrawFn) -> tuple[int, int | None, int | None, Revocation | None]:
    start = draw(times)
    end = draw(st.none() | st.integers(start + 1, start + 10_000_000_000))
    revoked_at, reason = draw(st.just((None, None)) | st.tuples(times, st.sampled_from(Revocation)))
    return start, end, revoked_at, reason


KEYS = {
    Use.SIGN: [private(f"{n}", a).public for n in range(2) for a in list(Algorithm)[:3]],
    Use.DIRECTORY: [private("directory").public],
    Use.SEAL: [sealing_public_key(bytes(32))],
}


@st.composite
def any_key(draw: st.DrawFn) -> MemberKey:
    use = draw(st.sampled_from(list(KEYS)))
    public = draw(st.sampled_from(KEYS[use]))
    required = draw(st.none() | times) if use is Use.SIGN else None
    return MemberKey(public.id, use, public, *draw(lives()), required)


texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
members = st.builds(
    Member,
    id=st.sampled_from(["vn", "rilo-ap"]),
    name=texts,
    member_class=st.sampled_from(MemberClass),
    regions=st.lists(st.sampled_from(Region), unique=True, min_size=1, max_size=6).map(tuple),
    keys=st.lists(any_key(), min_size=1, max_size=3).map(tuple),
    transport_keys=st.lists(
        st.builds(lambda id_, life: TransportKey(id_, *life), st.binary(min_size=32, max_size=32), lives()),
        max_size=2,
    ).map(tuple),
    accessions=st.dictionaries(
        st.tuples(st.sampled_from(["jp-vn-2026", "nl-vn"]), st.integers(1, 999_999)),
        st.binary(min_size=32, max_size=32),
        max_size=3,
    ),
)


@given(members)
def test_a_member_is_read_as_it_was_written(value: Member) -> None:
    assert parse_member(member_text(value).encode(), "member") == value
