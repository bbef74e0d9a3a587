"""A change travels as a file: signed in any order, merged from any copies, described before it is signed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.directory import MemberKey, Revocation, Use
from broker.core.errors import BadConfiguration, DirectoryMalformed
from broker.core.keys import Algorithm
from broker.directory.building import member_change, root_change, targets_change
from broker.directory.change import Change
from broker.directory.preview import describe, say_needs
from broker.directory.signers import needs_of
from broker.directory.versions import Delegation
from tests.ceremony import (
    AGREEMENT,
    NOW,
    ONLINE,
    ROOTS,
    SECRETARIAT,
    START,
    SignedNetwork,
    active,
    member,
    private,
    publics,
    signed,
    spare,
    terms,
)

TOKEN = private("root-token", Algorithm.ESP256)
ALL = (*ROOTS, TOKEN)


@cache
def unsigned() -> Change:
    """A root with a sixth key, on a token."""
    return root_change(terms(root=Delegation(publics(ALL), 3)), 1, NOW)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> SignedNetwork:
    """JP and VN, with an agreement that both acceded to."""
    made = SignedNetwork(tmp_path_factory.mktemp("network") / "hub")
    made.join("jp", "vn")
    made.accede(AGREEMENT.encode(), "jp", "vn")
    return made


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_signatures_in_any_order_on_any_copies_make_the_same_change(data: st.DataObject) -> None:
    copies = data.draw(st.lists(st.lists(st.sampled_from(ALL), max_size=3), min_size=1, max_size=4))
    made = [signed(unsigned(), *keys) for keys in copies]
    order = data.draw(st.permutations(made))
    stepwise = unsigned()
    for each in order:
        stepwise = Change.read(stepwise.merge(each).write())

    at_once = made[0].merge(*made[1:])
    assert stepwise == at_once == signed(unsigned(), *(key for keys in copies for key in keys))
    assert stepwise.metadata(publics(ALL)) == at_once.metadata(publics(ALL))


def test_a_change_survives_the_way() -> None:
    change = signed(unsigned(), ROOTS[0], TOKEN)
    assert Change.read(change.write()) == change


def test_whoever_forges_a_copy_takes_no_signature_away() -> None:
    genuine = signed(unsigned(), ROOTS[0])
    forged = replace(genuine, claims=frozenset({(ROOTS[0].public.id.hex(), "00" * 64)}))
    for first, second in permutations((genuine, forged)):
        assert first.merge(second).signed_by(publics(ROOTS)) == publics(ROOTS[:1])


def test_copies_of_two_changes_do_not_merge() -> None:
    other = root_change(terms(), 2, NOW)
    with pytest.raises(BadConfiguration, match="what is signed differs"):
        unsigned().merge(other)


def test_signatures_without_end_do_not_merge() -> None:
    many = [replace(unsigned(), claims=frozenset({("00" * 32, f"{number:064x}")})) for number in range(257)]
    with pytest.raises(BadConfiguration, match="more than 256 signatures"):
        many[0].merge(*many[1:])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("no JSON", lambda data: data[:-9]),
        ("another kind of file", lambda data: data.replace(b"directory-change/1", b"directory-change/9")),
        ("a field more", lambda data: data.replace(b'"role"', b'"more": 1, "role"')),
        ("the hub's own role", lambda data: data.replace(b'"root"', b'"snapshot"', 1)),
        ("nobody's role", lambda data: data.replace(b'"root"', b'"member-_"', 1)),
        ("another role's shape", lambda data: data.replace(b'"root"', b'"targets"', 1)),
        (
            "a file that is not what its digest names",
            lambda data: data.replace(b'"files": {}', b'"files": {"' + b"0" * 64 + b'": "x"}'),
        ),
        ("longer than any", lambda data: data + b" " * (16 * 1024 * 1024)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_change_is_refused(name: str, spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(DirectoryMalformed):
        Change.read(spoil(unsigned().write()))


def test_a_file_that_the_role_does_not_list_does_not_travel(network: SignedNetwork) -> None:
    change = member_change(network.version, network.members["vn"], NOW)
    with pytest.raises(DirectoryMalformed, match="does not list"):
        Change.of(change.role, change.signed, {**change.files, "00" * 32: b"x"})


def test_a_file_that_travels_is_what_its_digest_names(network: SignedNetwork) -> None:
    data = member_change(network.version, network.members["vn"], NOW).write()
    with pytest.raises(DirectoryMalformed, match="not the one that its digest names"):
        Change.read(data.replace(b"Customs of vn", b"Customs of VN"))


def test_a_change_of_nobody_s_role_is_none(network: SignedNetwork) -> None:
    change = member_change(network.version, network.members["vn"], NOW)
    with pytest.raises(DirectoryMalformed, match="of root, targets or a member's role"):
        Change.of("member-_", change.signed, {})


def test_a_change_says_the_same_in_any_layout_of_its_file(network: SignedNetwork) -> None:
    change = signed(member_change(network.version, network.members["vn"], NOW), active("vn"), spare("vn"))
    assert Change.read(msgspec.json.format(change.write(), indent=0)) == change


def test_it_is_said_who_must_still_sign(network: SignedNetwork) -> None:
    change = targets_change(network.version, {}, NOW).sign(SECRETARIAT[1])
    (need,) = needs_of(change, network.version)
    assert (need.missing, need.signed, need.waiting) == (
        1,
        publics(SECRETARIAT[1:2]),
        publics((SECRETARIAT[0], SECRETARIAT[2])),
    )
    (line,) = say_needs([need], network.version.terms.holders)
    assert line.startswith("of the secretariat, 2 of 3 must sign; signed by secretariat 2 (")
    assert "; 1 more of secretariat 1 (" in line
    (line,) = say_needs(needs_of(change.sign(SECRETARIAT[0]), network.version), {})
    assert line.endswith(": enough")


def test_a_root_is_signed_by_the_root_before_and_by_its_own(network: SignedNetwork) -> None:
    fresh = tuple(private(f"fresh-{number}") for number in range(3))
    change = root_change(terms(root=Delegation(publics(fresh), 2)), 2, NOW)
    before, own = needs_of(signed(change, *ROOTS[:3], fresh[0]), network.version)
    assert (before.whose, before.missing) == ("the root before", 0)
    assert (own.whose, own.missing, own.waiting) == ("this root", 1, publics(fresh[1:]))


def test_who_comes_with_the_secretariat_s_file_is_signed_by_the_keys_that_it_names(
    network: SignedNetwork,
) -> None:
    role = signed(member_change(None, member("nl"), NOW), active("nl"))
    targets = targets_change(network.version, {"nl": publics((active("nl"),))}, NOW)
    (need,) = needs_of(role, network.version, [targets, role])
    assert (need.whose, need.missing) == ("nl", 0)
    for together in ([], [targets_change(network.version, {}, NOW)]):
        with pytest.raises(BadConfiguration, match="does not name it"):
            needs_of(role, network.version, together)


def test_a_first_change_of_the_secretariat_needs_a_root() -> None:
    with pytest.raises(BadConfiguration, match="does not name it"):
        needs_of(targets_change(None, {}, NOW), None)


def test_what_changes_is_said_before_anybody_signs(network: SignedNetwork) -> None:
    said = describe(
        targets_change(
            network.version, {"vn": publics((private("x"),)), "nl": publics((private("y"),))}, NOW
        ),
        network.version,
    )
    assert said[0].startswith("targets 3: valid until 20")
    text = "\n".join(said)
    assert "jp is no longer a member" in text
    assert "nl becomes a member; its files may be signed with " in text
    assert "vn signs its files: from now on also key " in text
    assert "vn signs its files: no longer key " in text


def test_a_member_s_change_is_said_key_by_key(network: SignedNetwork) -> None:
    before = network.members["vn"]
    sign = before.keys[0]
    fresh = private("vn-next", Algorithm.ESP256).public
    ended = replace(
        sign, valid_until=NOW, revoked_at=NOW, reason=Revocation.COMPROMISED, pq_required_from=NOW
    )
    entry = replace(
        before, name="Customs", keys=(ended, *before.keys[1:], MemberKey(fresh.id, Use.SIGN, fresh, START))
    )
    change = member_change(network.version, entry, NOW, leave=[("jp-vn-2026", 1)])
    text = "\n".join(describe(change, network.version))
    for line in (
        "vn is now called Customs",
        " counts until 2026-09-21 14:13:20 UTC",
        " is revoked as compromised since 2026-09-21 14:13:20 UTC",
        "every notice must be countersigned from 2026-09-21 14:13:20 UTC",
        " counts from 2026-01-01 00:00:00 UTC",
        "leaves jp-vn-2026/1",
    ):
        assert line in text
    assert "directory key" not in text, "what stays is not said"


def test_what_a_member_accedes_to_is_said_with_its_digest(network: SignedNetwork) -> None:
    text = AGREEMENT.replace("version = 1", "version = 2").encode()
    said = describe(
        member_change(network.version, network.members["vn"], NOW, accede=[text]), network.version
    )
    assert any(line.startswith("accedes to jp-vn-2026/2, whose text has SHA-256 ") for line in said)


def test_a_first_role_is_said_whole() -> None:
    text = "\n".join(describe(member_change(None, member("nl"), NOW), None))
    assert "nl is Customs of nl, customs, in asia-pacific" in text
    assert text.count("the directory key ") == 2
    assert "the transport key " in text


def test_a_first_root_is_said_whole_and_a_next_one_by_what_is_other(network: SignedNetwork) -> None:
    first = describe(root_change(terms(), 1, NOW), None)
    assert "the network is halong-test" in first
    assert "root keys: 3 of 5 must sign" in first
    next_ = describe(
        root_change(terms(online=Delegation((private("next").public,), 1)), 2, NOW), network.version
    )
    assert len(next_) == 3
    assert next_[1].startswith("keys of the hub: from now on also key ")
    assert next_[2].startswith("keys of the hub: no longer the hub (")
    assert describe(root_change(terms(), 2, NOW), network.version)[1:] == ("nothing else changes",)
    renamed = terms(holders={ONLINE.public: "the second hub"})
    assert any(
        "is now held by the second hub" in line
        for line in describe(root_change(renamed, 2, NOW), network.version)
    )


def test_who_is_no_party_accedes_to_nothing(network: SignedNetwork) -> None:
    with pytest.raises(BadConfiguration, match="is not a party"):
        member_change(network.version, member("nl"), NOW, accede=[AGREEMENT.encode()])


def test_nobody_leaves_what_it_is_not_in(network: SignedNetwork) -> None:
    with pytest.raises(BadConfiguration, match="has not acceded"):
        member_change(network.version, network.members["vn"], NOW, leave=[("jp-vn-2026", 2)])


def test_other_bytes_of_the_same_version_are_another_version(network: SignedNetwork) -> None:
    text = AGREEMENT.replace('"Agreement"', '"Treaty"').encode()
    with pytest.raises(BadConfiguration, match="or make it version 2"):
        member_change(network.version, network.members["vn"], NOW, accede=[text])


def test_a_change_lands_where_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    path.write_bytes(unsigned().write())
    assert Change.read(path.read_bytes()) == unsigned()
