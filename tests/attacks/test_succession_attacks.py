"""Attacks on the way from one log to the next: by whoever writes the hub's disk, and by too few of the root.

Each row starts from a network whose log was set back and that goes on with its second one.  One reader has
seen that, another comes after; neither takes a log, or an end of the first, that not enough have signed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from broker.core.cosignature import Cosigner
from broker.core.directory import MemberKey, Use
from broker.core.errors import DirectoryMalformed, NotCosigned, UnfitDirectory
from broker.core.keys import PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.note import LogSigner
from broker.core.policy import Policy, network_policy, witness_name
from broker.core.signed_note import merged, split_note
from broker.core.succession import EndedLog
from broker.directory.building import NetworkTerms, root_change
from broker.directory.change import Change
from broker.directory.layout import Layout
from broker.directory.loading import load_newest, load_version
from broker.directory.preview import describe
from broker.directory.roles import ROOT, metadata_name
from broker.directory.shapes import MOST_ENDED, MOST_ENDS, encoded
from tests.attacks.directories import Attacker
from tests.ceremony import LOG, NOW, ROOTS, START, SignedNetwork, member, private, publics, signed, terms

FIRST = LogSigner("halong-test/log", LOG)
SECOND = LogSigner("halong-test/log-2", private("log-2"))
THIRD = LogSigner("halong-test/log-3", private("log-3"))
OTHER_SECOND = LogSigner("halong-test/log-2", private("log-2-again"))
FOREIGN = LogSigner("other/log", LOG)
WITNESS = Cosigner(witness_name("halong-test", "vn"), private("vn-witness"))
ENOUGH = ROOTS[:3]

Ends = tuple[LogSigner, list[bytes]]


def tree_of(word: str) -> Tree:
    return Tree(leaf_hash(b"\x01" + sha256(f"{word}-{n}".encode()).digest()) for n in range(300))


SEEN, FORKED = tree_of("leaf"), tree_of("other")


def note(size: int, log: LogSigner = FIRST, tree: Tree = SEEN) -> bytes:
    """A checkpoint of a log, cosigned by a witness."""
    shown = log.sign_checkpoint(size, tree.root(size), NOW)
    return merged(shown, [WITNESS.cosign(split_note(shown)[0], NOW)])


OF_FIRST: Ends = (FIRST, [note(100), note(260), note(300)])
"""The hub was set back to 100 leaves; members had seen checkpoints of 260 and 300."""
OF_SECOND: Ends = (SECOND, [note(40, SECOND)])


def next_root(number: int, log: LogSigner, *ended: Ends, keys: tuple[PrivateKey, ...] = ENOUGH) -> Change:
    """A root that names a log and the ends of others, whether or not they fit, signed by these keys."""
    said = json.loads(root_change(terms(), number, NOW).signed)
    said["log_key"] = log.vkey
    if ended:
        said["ended"] = [{"log_key": of.vkey, "ends": [each.decode() for each in ends]} for of, ends in ended]
    return signed(Change.of(ROOT, encoded(said), {}), *keys)


@dataclass(frozen=True, slots=True)
class Row:
    """What the third root says, and the code with which everybody refuses it."""

    name: str
    code: str
    log: LogSigner
    ended: tuple[Ends, ...]
    keys: tuple[PrivateKey, ...] = ENOUGH


def first_ends(*notes: bytes) -> tuple[Ends, ...]:
    return ((FIRST, list(notes)),)


ROWS = [
    # --- who signs
    Row("a third log that two of five signed", "directory-unsigned", THIRD, (OF_FIRST, OF_SECOND), ROOTS[:2]),
    Row("a longer end that two of five signed", "directory-unsigned", SECOND, (OF_FIRST,), ROOTS[:2]),
    # --- what follows
    Row("another log without any end", "bad-succession", THIRD, ()),
    Row("another log, and nothing of the one before", "bad-succession", THIRD, (OF_FIRST,)),
    Row("another log, and nothing of the first", "bad-succession", THIRD, (OF_SECOND,)),
    Row("the first log once more", "bad-succession", FIRST, ()),
    Row("another second log", "bad-succession", OTHER_SECOND, (OF_FIRST,)),
    Row("the end of another second log", "bad-succession", THIRD,
        (OF_FIRST, (OTHER_SECOND, [note(40, OTHER_SECOND)]))),
    Row("a name that was passed over", "bad-succession", LogSigner("halong-test/log-4", private("log-3")),
        (OF_FIRST, OF_SECOND)),
    Row("the key of the first log", "bad-succession", LogSigner("halong-test/log-3", LOG),
        (OF_FIRST, OF_SECOND)),
    Row("the end of another network's log", "bad-succession", SECOND, ((FOREIGN, [note(300, FOREIGN)]),)),
    # --- the end
    Row("the end is gone", "bad-succession", SECOND, ()),
    Row("the end is shorter", "bad-succession", SECOND, first_ends(note(100), note(260))),
    Row("a checkpoint of the end is left out", "bad-succession", SECOND, first_ends(note(100), note(300))),
    Row("the hub would have had more", "bad-succession", SECOND, first_ends(note(260), note(300))),
    Row("the hub would have had less", "bad-succession", SECOND,
        first_ends(note(40), note(100), note(260), note(300))),
    Row("the end is of another history", "bad-succession", SECOND,
        first_ends(note(100), note(260), note(300, tree=FORKED))),
    Row("two ends of one size", "bad-succession", SECOND,
        first_ends(note(100), note(260), note(300), note(300, tree=FORKED))),
    Row("a further end that the log did not sign", "bad-succession", SECOND,
        first_ends(note(100), note(260), note(300).replace(b"\n300\n", b"\n301\n"))),
    Row("an end by another key of that name", "bad-succession", SECOND,
        first_ends(note(100), note(260), note(300, LogSigner(FIRST.key.name, private("evil"))))),
]  # fmt: skip


def beyond(network: SignedNetwork) -> SignedNetwork:
    """The network after its log was set back: its second root names the second log."""
    network.take(next_root(2, SECOND, OF_FIRST))
    return network


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> SignedNetwork:
    network = SignedNetwork(tmp_path_factory.mktemp("succession") / "hub")
    network.join("jp", "vn")
    return beyond(network)


@pytest.fixture
def network(genuine: SignedNetwork, tmp_path: Path) -> SignedNetwork:
    shutil.copytree(genuine.path, tmp_path / "hub")
    return genuine.at(tmp_path / "hub")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_nobody_takes_another_log_or_end(row: Row, network: SignedNetwork) -> None:
    change = next_root(3, row.log, *row.ended, keys=row.keys)
    with pytest.raises(UnfitDirectory) as at_hub:
        network.take(change)
    assert at_hub.value.code == row.code

    before = network.source(reader="vn")
    before.load()
    attacker = Attacker(network)
    attacker.put(ROOT, change.metadata(publics(row.keys)), 3)
    attacker.publish()

    for source in (before, network.source(reader="vn")):
        with pytest.raises(UnfitDirectory) as refused:
            source.load()
        assert refused.value.code == row.code


def test_a_root_of_before_the_succession_is_not_shown_again(network: SignedNetwork) -> None:
    before = network.source(reader="vn")
    before.load()
    attacker = Attacker(network)
    first = Layout(network.path)[metadata_name(ROOT, 1)]
    attacker.put(ROOT, first, 1)
    attacker.publish()
    with pytest.raises(UnfitDirectory) as refused:
        before.load()
    assert refused.value.code == "directory-rolled-back"


def test_every_reader_knows_both_logs_and_what_is_missing(network: SignedNetwork) -> None:
    second_root = Layout(network.path)[metadata_name(ROOT, 2)]
    for root in (network.root, second_root):
        terms_ = load_newest(Layout(network.path), root, reader="vn").version.terms
        assert terms_.log_key == SECOND.vkey
        assert terms_.succession.logs == (FIRST.key, SECOND.key)
        (ended,) = terms_.succession.ended
        assert [head.size for head in ended.heads] == [100, 260, 300]
        assert ended.missing == range(100, 300)
        assert terms_.succession.of_name(FIRST.key.name) == FIRST.key
        assert terms_.succession.of_name(FOREIGN.key.name) is None


def test_a_version_of_before_names_the_first_log_for_ever(network: SignedNetwork) -> None:
    past = load_version(Layout(network.path), network.version.number - 1, network.root)
    assert past.directory.log_key == FIRST.vkey
    assert past.terms.succession.ended == ()


def test_the_end_keeps_its_cosignatures(network: SignedNetwork) -> None:
    (ended,) = network.version.terms.succession.ended
    policy = Policy.parse(network_policy(FIRST.key, {"vn": [WITNESS.key]}).encode())
    assert [policy.check(each).tree for each in ended.ends] == list(ended.heads)
    with pytest.raises(NotCosigned):
        policy.check(FIRST.sign_checkpoint(300, SEEN.root(300), NOW))


def test_a_root_for_another_reason_keeps_the_end(network: SignedNetwork) -> None:
    kept = NetworkTerms.of(network.version)
    network.take(signed(root_change(kept, 3, NOW), *ENOUGH))
    assert network.version.terms.succession.logs == (FIRST.key, SECOND.key)
    assert network.source(reader="jp").load().log_key == SECOND.vkey


def test_an_end_gains_what_a_member_shows_later(network: SignedNetwork) -> None:
    kept = NetworkTerms.of(network.version)
    longer = EndedLog(FIRST.key, (note(100), note(200), note(260), note(280), note(300)))
    change = signed(root_change(replace(kept, ended=(longer,)), 3, NOW), *ENOUGH)
    assert any(
        "is shown by checkpoints of 100, 200, 260, 280, 300 leaves" in line
        for line in describe(change, network.version)
    )
    network.take(change)
    assert network.version.terms.succession.ended == (longer,)


def test_a_third_log_follows_the_second(network: SignedNetwork) -> None:
    network.take(next_root(3, THIRD, OF_FIRST, OF_SECOND))
    found = network.source(reader="vn").load()
    assert found.log_key == THIRD.vkey
    assert network.version.terms.succession.logs == (FIRST.key, SECOND.key, THIRD.key)


def test_no_member_has_the_key_of_a_log_that_ended(network: SignedNetwork) -> None:
    taken = member("nl", more=[MemberKey(LOG.public.id, Use.SIGN, LOG.public, START)])
    with pytest.raises(DirectoryMalformed, match="a key of the network's own"):
        network.join(taken)


def test_who_signs_a_succession_is_shown_both_logs_and_what_is_lost(tmp_path: Path) -> None:
    network = SignedNetwork(tmp_path / "hub")
    lines = describe(next_root(2, SECOND, OF_FIRST), network.version)
    assert f"the log's key is {SECOND.vkey}" in lines
    root = SEEN.root(300).hex()
    assert f"the log halong-test/log ends with 300 leaves, root {root}" in lines
    assert "of these the hub still has the first 100, and lacks 200" in lines
    assert describe(next_root(3, SECOND, OF_FIRST), beyond(network).version)[1:] == ("nothing else changes",)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.code == "bad-succession"], ids=lambda row: row.name
)
def test_who_is_asked_to_sign_no_succession_is_told(row: Row, network: SignedNetwork) -> None:
    lines = describe(next_root(3, row.log, *row.ended), network.version)
    assert any("nobody will take this" in line for line in lines)


BEYOND_BOUNDS: dict[str, Callable[[], Change]] = {
    "no checkpoint": lambda: next_root(3, SECOND, (FIRST, [])),
    "too many checkpoints": lambda: next_root(3, SECOND, (FIRST, [note(n) for n in range(1, MOST_ENDS + 2)])),
    "too many logs": lambda: next_root(3, SECOND, *[OF_FIRST] * (MOST_ENDED + 1)),
    "a checkpoint that is too long": lambda: next_root(3, SECOND, (FIRST, [note(100) + b"x" * 32_768])),
}


@pytest.mark.parametrize("case", BEYOND_BOUNDS)
def test_an_end_beyond_its_bounds_is_none(case: str) -> None:
    with pytest.raises(DirectoryMalformed):
        BEYOND_BOUNDS[case]()
