"""How a log ended: what one node shows of it, and what all bring together."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from adapters.log_seen import LogSeen, seen_of_log, written
from adapters.receiving.incoming import Incoming
from adapters.store import Store
from broker.core.cosignature import CosignatureKey, Cosigner
from broker.core.errors import BadSuccession, NotFound
from broker.core.keys import Algorithm, PrivateKey
from broker.core.note import LogKey, LogSigner
from broker.core.policy import Policy, network_policy, witness_name
from broker.core.signed_note import merged, split_note
from broker.core.succession import end_of, name_after
from broker.core.wire import read
from tests.nodes import TestNode
from tests.unit.test_cli_commands import Terminal, at, network
from tests.witnesses import cosigned, witnesses
from tests.world import World

__all__ = ["at", "network"]

LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))
AT = 1_790_000_000_000
WITNESSES = {
    name: Cosigner(
        witness_name("halong-test", name), PrivateKey.from_seed(Algorithm.ED25519, bytes([n]) * 32)
    )
    for n, name in enumerate(("jp", "vn"), start=7)
}


def note(size: int, *cosigned: str, root: bytes = bytes(32), at: int = AT) -> bytes:
    shown = LOG.sign_checkpoint(size, root, at)
    return merged(shown, [WITNESSES[name].cosign(split_note(shown)[0], AT) for name in cosigned])


def test_an_end_is_the_same_in_whatever_order_its_checkpoints_come() -> None:
    kept = [note(70), note(90, "jp"), note(90, "vn"), note(80), note(80)]
    both = Policy.parse(
        network_policy(LOG.key, {name: [each.key] for name, each in WITNESSES.items()}, 2).encode()
    )
    for order in permutations(kept):
        end = end_of(LOG.key, order)
        assert [head.size for head in end.heads] == [70, 80, 90]
        assert both.check(end.ends[-1]).tree.size == 90


def test_a_tree_of_which_the_log_said_two_times_keeps_one_of_them() -> None:
    (kept,) = end_of(LOG.key, [note(90, "jp"), note(90, "vn", at=AT + 60_000)]).ends
    assert LOG.key.signed_at(kept) == AT


def test_two_trees_of_one_size_are_no_end() -> None:
    with pytest.raises(BadSuccession, match="two trees of one size"):
        end_of(LOG.key, [note(90), note(90, root=bytes(range(32)))])


def test_nothing_is_no_end() -> None:
    with pytest.raises(BadSuccession):
        end_of(LOG.key, [])


def test_an_end_is_kept_by_more_of_the_same_log_alone() -> None:
    earlier = end_of(LOG.key, [note(70), note(90)])
    end_of(LOG.key, [note(70), note(80), note(90)]).check_keeps(earlier)
    # Whoever has another key can sign the very same trees.
    other = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))
    signed = [other.sign_checkpoint(head.size, head.root, AT) for head in earlier.heads]
    for other_end in (end_of(other.key, signed), end_of(LOG.key, [note(70)]), end_of(LOG.key, [note(90)])):
        with pytest.raises(BadSuccession):
            other_end.check_keeps(earlier)


def test_a_checkpoint_of_another_log_is_none_of_the_end() -> None:
    other = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))
    with pytest.raises(BadSuccession):
        end_of(LOG.key, [note(70), other.sign_checkpoint(90, bytes(32))])


@pytest.mark.parametrize(
    ("name", "next_"),
    [
        ("x/log", "x/log-2"),
        ("x/log-2", "x/log-3"),
        ("x/log-9", "x/log-10"),
        ("x-2/log", "x-2/log-2"),
        ("x/log-0", "x/log-0-2"),
        ("x/log-1", "x/log-1-2"),
        ("x/log-02", "x/log-02-2"),
        ("x/log-٣", "x/log-٣-2"),
    ],
)  # fmt: skip
def test_every_name_has_one_name_after_it(name: str, next_: str) -> None:
    assert name_after(name) == next_


async def test_a_node_shows_the_largest_tree_that_it_saw(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        with pytest.raises(NotFound):
            seen_of_log(jp.store, world.log_signer.key)
        vn.enqueue(place="a place")
        await vn.sends()
        await jp.receives()
        seen = seen_of_log(jp.store, world.log_signer.key)
        tree = jp.snapshot().tree_size
        sent = read(written("jp", seen), LogSeen)
        vn.close()
        jp.close()
    assert seen.heads[-1].size == tree
    assert end_of(LogKey.parse(sent.log_key), [each.encode() for each in sent.ends]) == seen


async def test_a_witness_shows_its_own_cosignature(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        nodes["vn"].node.enqueue(place="a place")
        await nodes["vn"].node.sends()
        await nodes["jp"].node.receives()
        await cosigned(world, nodes)
        seen = seen_of_log(nodes["jp"].node.store, world.log_signer.key)
        policy = Policy.parse(
            network_policy(
                world.log_signer.key, {"jp": [CosignatureKey.parse(nodes["jp"].witness.vkey)]}
            ).encode()
        )
        assert policy.check(seen.ends[-1]).times
        for each in nodes.values():
            each.node.close()


def test_a_store_that_does_not_hold_what_the_log_signed_shows_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "node.db") as store:
        Incoming(store).see("feed", LOG.key.open_checkpoint(note(90)), note(90), AT)
        store.run("INSERT INTO witnessed VALUES (?, 90, ?, ?)", LOG.key.name, bytes(32), note(90))
        assert seen_of_log(store, LOG.key).heads[-1].size == 90
        forked = note(90, root=bytes(range(32)))
        store.run("UPDATE witnessed SET note = ?", forked)
        with pytest.raises(BadSuccession):
            seen_of_log(store, LOG.key)


def test_what_a_quorum_cosigned_is_shown_beside_what_is_larger(tmp_path: Path) -> None:
    with Store.open(tmp_path / "node.db") as store:
        Incoming(store).see("feed", LOG.key.open_checkpoint(note(90)), note(90), AT)
        store.remember(cosigned_note=note(80, "jp", "vn"))
        assert seen_of_log(store, LOG.key).ends == (note(80, "jp", "vn"), note(90))


def test_what_a_node_saw_is_written_at_the_terminal(network: Terminal, tmp_path: Path) -> None:
    signer = LogSigner("halong-test/log", PrivateKey.from_pem((tmp_path / "hub/keys/log.pem").read_bytes()))
    with Store.open(tmp_path / "vn/node.db") as store:
        shown = signer.sign_checkpoint(12, bytes(32), AT)
        Incoming(store).see("feed", signer.key.open_checkpoint(shown), shown, AT)
    said = network("member seen -o vn-seen.json --json --dir vn")
    assert said.code == 0
    assert said.json == {
        "member": "vn", "log": "halong-test/log", "seen": [{"size": 12, "root": "00" * 32}]
    }  # fmt: skip
    sent = read((tmp_path / "vn-seen.json").read_bytes(), LogSeen)
    assert (sent.member, sent.log_key, sent.ends) == ("vn", signer.vkey, [shown.decode()])
    assert "12 leaves" in network("member seen --dir vn").out
    assert network("member seen --dir jp").code != 0
