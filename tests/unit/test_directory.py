"""Which key of a member counts when, and which directories cannot exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import FrozenInstanceError, replace

import pytest

from broker.core.directory import (
    Directory,
    Member,
    MemberClass,
    MemberKey,
    Revocation,
    TransportKey,
    Use,
)
from broker.core.errors import BadConfiguration, WeakKey
from broker.core.keys import Algorithm, PrivateKey, PublicKey, spki_digest
from broker.core.model import Region

START, END = 1_000, 2_000


def key(name: str, use: Use = Use.SIGN, algorithm: Algorithm = Algorithm.ED25519) -> MemberKey:
    public = PrivateKey.from_seed(algorithm, name.encode().ljust(32, b"-")).public
    return MemberKey(public.id, use, public, START)


def member(id_: str, *keys: MemberKey, transport: Sequence[TransportKey] = ()) -> Member:
    return Member(id_, id_.upper(), MemberClass.CUSTOMS, (Region.EUROPE,), keys, tuple(transport))


def directory(*members: Member) -> Directory:
    return Directory(bytes(32), "halong-test", "", {each.id: each for each in members}, ())


@pytest.mark.parametrize(("at", "counts"), [(START - 1, False), (START, True), (END - 1, True), (END, False)])
def test_a_key_counts_from_its_first_millisecond_until_before_its_end(at: int, counts: bool) -> None:
    value = directory(member("vn", replace(key("a"), valid_until=END)))
    assert bool(value.signing_keys("vn", at)) is counts


@pytest.mark.parametrize("reason", list(Revocation))
def test_a_revoked_key_stops_at_the_time_of_its_revocation(reason: Revocation) -> None:
    revoked = replace(key("a"), revoked_at=1_500, reason=reason)
    value = directory(member("vn", revoked))
    assert value.signing_keys("vn", 1_499) == [revoked]
    assert value.signing_keys("vn", 1_500) == []


def test_only_a_compromised_key_puts_what_it_signed_in_doubt() -> None:
    superseded = replace(key("a"), revoked_at=1_500, reason=Revocation.SUPERSEDED)
    compromised = replace(superseded, reason=Revocation.COMPROMISED)
    assert [compromised.doubtful_at(at) for at in (1_499, 1_500, 9_000)] == [False, True, True]
    assert not superseded.doubtful_at(9_000)
    assert not key("a").doubtful_at(9_000)


def test_a_key_is_never_found_under_another_member() -> None:
    value = directory(member("vn", key("a")), member("jp", key("b")))
    assert [each.id for each in value.signing_keys("jp", START)] == [key("b").id]
    assert value.signing_keys("nl", START) == []


def test_a_key_serves_its_own_use_alone() -> None:
    value = directory(member("vn", key("a", Use.DIRECTORY), key("b", Use.SEAL), key("c")))
    assert [each.id for each in value.signing_keys("vn", START)] == [key("c").id]


def test_ml_dsa_keys_countersign_and_do_not_sign() -> None:
    lattice = key("pq", algorithm=Algorithm.ML_DSA_65)
    value = directory(member("vn", key("a"), lattice))
    assert value.signing_keys("vn", START) == [key("a")]
    assert value.countersign_keys("vn", START) == [lattice]
    assert value.countersign_keys("vn", START - 1) == []


def test_the_countersignature_is_required_from_its_date() -> None:
    value = directory(member("vn", replace(key("a"), pq_required_from=1_500)), member("jp", key("b")))
    assert [value.pq_required("vn", at) for at in (1_499, 1_500)] == [False, True]
    assert not value.pq_required("jp", 1_500)
    assert not value.pq_required("nl", 1_500)


def test_a_rotation_does_not_take_back_that_the_countersignature_is_required() -> None:
    old = replace(key("a"), valid_until=1_600, pq_required_from=1_500)
    value = directory(member("vn", old, replace(key("b"), valid_from=1_600)))
    assert value.pq_required("vn", 1_700)


def test_a_transport_key_names_its_member_while_it_counts() -> None:
    digest = spki_digest(key("tls").public)
    value = directory(member("vn", key("a"), transport=[TransportKey(digest, START, END)]))
    found = [value.member_of_transport_key(digest, at) for at in (START - 1, START, END - 1, END)]
    assert found == [None, "vn", "vn", None]
    assert value.member_of_transport_key(bytes(32), START) is None


def test_a_transport_key_that_was_revoked_opens_nothing() -> None:
    digest = spki_digest(key("tls").public)
    revoked = TransportKey(digest, START, None, 1_500, Revocation.COMPROMISED)
    value = directory(member("vn", transport=[revoked]))
    assert value.member_of_transport_key(digest, 1_500) is None


def tls(name: str) -> TransportKey:
    return TransportKey(spki_digest(key(name).public), START)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([member("vn", key("a")), member("jp", key("a"))], id="a key of two members"),
        pytest.param([member("vn", key("a"), key("a", Use.DIRECTORY))], id="a key with two uses"),
        pytest.param([member("vn", key("a"), key("a"))], id="a key that is listed twice"),
        pytest.param([member("vn", key("a"), transport=[tls("a")])], id="a key that signs and opens TLS"),
        pytest.param([member("vn", key("a")), member("jp", transport=[tls("a")])], id="across members, too"),
        pytest.param(
            [member("vn", transport=[tls("a")]), member("jp", transport=[tls("a")])], id="TLS of two"
        ),
        pytest.param([member("vn", replace(key("a"), id=key("b").id))], id="a key under another's id"),
        pytest.param([member("vn", key("a", Use.TRANSPORT))], id="a TLS key that is not given by its digest"),
    ],
)
def test_no_key_can_stand_in_for_another(members: list[Member]) -> None:
    with pytest.raises(BadConfiguration) as caught:
        directory(*members)
    assert caught.value.field is not None
    assert caught.value.field.startswith("members/")


@pytest.mark.parametrize(
    "public",
    [
        pytest.param(PublicKey(Algorithm.ED25519, bytes([1]).ljust(32, b"\0")), id="small order"),
        pytest.param(PublicKey(Algorithm.ESP256, b"\4" + bytes(63) + b"\1"), id="off the curve"),
    ],
)
def test_a_weak_key_is_in_no_directory(public: PublicKey) -> None:
    with pytest.raises(WeakKey) as caught:
        directory(member("vn", MemberKey(public.id, Use.SIGN, public, START)))
    assert caught.value.field == "members/vn"


def test_a_member_is_filed_under_its_own_name() -> None:
    with pytest.raises(BadConfiguration):
        Directory(bytes(32), "halong-test", "", {"jp": member("vn")}, ())


def test_nobody_is_a_member_and_one_that_left() -> None:
    with pytest.raises(BadConfiguration) as caught:
        replace(directory(member("vn", key("a"))), former={"vn": member("vn", key("b"))})
    assert caught.value.field == "former"


def test_a_directory_does_not_change_under_its_readers() -> None:
    members = {"vn": member("vn", key("a"))}
    value = Directory(bytes(32), "halong-test", "", members, ())
    members["jp"] = member("jp", key("b"))
    assert list(value.members) == ["vn"]
    with pytest.raises(TypeError):
        value.members["jp"] = members["jp"]  # type: ignore[index]  # that it cannot be done is the point
    with pytest.raises(FrozenInstanceError):
        value.network = "other"  # type: ignore[misc]  # that it cannot be done is the point
