"""COSE receipts: one form, one signature for all leaves of a tree, and nothing that was altered passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core import cbor
from broker.core.cose_receipt import (
    MOST_RECEIPT_BYTES,
    check_growth_receipt,
    check_inclusion_receipt,
    growth_receipt,
    inclusion_receipt,
    protected_of,
    root_signature,
    with_root_signed,
)
from broker.core.errors import BadProof
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.note import LogSigner, TreeHead
from broker.core.sign1 import signed_bytes

LEAVES = [b"\x03" + bytes([number]) * 32 for number in range(70)]
TREE = Tree(map(leaf_hash, LEAVES))
PRIVATE = PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32)))
LOG = LogSigner("halong-test/log", PRIVATE)
OTHER = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))
AT = 1_790_000_000_000


def note(size: int, log: LogSigner = LOG) -> bytes:
    root = TREE.root(size)
    return with_root_signed(log, log.sign_checkpoint(size, root, AT), root)


def included(index: int, size: int) -> bytes:
    return inclusion_receipt(LOG.key, note(size), index, TREE.inclusion_path(index, size))


def grown(old: int, size: int) -> bytes:
    return growth_receipt(LOG.key, note(size), old, TREE.consistency_path(old, size))


def head(size: int) -> TreeHead:
    return TreeHead(size, TREE.root(size))


def test_a_receipt_says_where_the_log_has_an_entry() -> None:
    for size in (1, 2, 3, 33, 64, 70):
        for index in {0, size // 2, size - 1}:
            found = check_inclusion_receipt(included(index, size), LOG.key, LEAVES[index])
            assert (found.index, found.tree) == (index, head(size))


def test_a_receipt_says_that_a_tree_continues_another() -> None:
    for old, size in ((1, 2), (2, 3), (33, 64), (64, 70), (70, 70)):
        check_growth_receipt(grown(old, size), LOG.key, head(old), head(size))


def test_one_signature_serves_every_leaf_and_every_earlier_tree() -> None:
    signatures = {cbor2.loads(each).value[3] for each in (included(0, 70), included(69, 70), grown(33, 70))}

    assert signatures == {root_signature(LOG.key, note(70))}


def test_it_is_what_the_specification_shows() -> None:
    """RFC 9942: tag 18, alg and vds protected, the proof under 396 and -1 as a byte string, no payload."""
    tagged = cbor2.loads(included(17, 20))
    protected, unprotected, payload, _ = tagged.value
    ((label, (proof,)),) = unprotected[396].items()

    assert tagged.tag == 18
    assert cbor2.loads(protected) == {1: -8, 4: LOG.key.public.id, 15: {1: "halong-test/log"}, 395: 1}
    assert (label, payload) == (-1, None)
    assert cbor2.loads(proof) == [20, 17, TREE.inclusion_path(17, 20)]
    cbor.check_canonical(included(17, 20))
    assert cbor2.loads(cbor2.loads(grown(17, 20)).value[1][396][-2][0]) == [
        17,
        20,
        TREE.consistency_path(17, 20),
    ]


def test_notes_with_the_line_are_the_same_checkpoint_to_whoever_does_not_know_it() -> None:
    assert LOG.key.open_checkpoint(note(70)) == head(70)
    assert LOG.key.signed_at(note(70)) == AT
    assert note(70).startswith(LOG.sign_checkpoint(70, TREE.root(70), AT))


@dataclass(frozen=True)
class Parts:
    """A receipt that anybody may put together."""

    protected: bytes = protected_of(LOG.key)
    kind: int = -1
    proof: Any = (70, 17, TREE.inclusion_path(17))
    payload: bytes | None = None
    signature: bytes = root_signature(LOG.key, note(70))
    more: bool = False

    def assembled(self) -> bytes:
        proofs = [cbor2.dumps(list(self.proof))] * (1 + self.more)
        parts = [self.protected, {396: {self.kind: proofs}}, self.payload, self.signature]
        return cbor2.dumps(cbor2.CBORTag(18, parts))


PATH = TREE.inclusion_path(17)
ALTERED = {
    "another log's key": Parts(protected=protected_of(OTHER.key)),
    "another algorithm": Parts(protected=protected_of(LOG.key).replace(b"\x01\x27", b"\x01\x32", 1)),
    "a proof of another kind": Parts(kind=-2),
    "two proofs": Parts(more=True),
    "a payload": Parts(payload=TREE.root(70)),
    "another index": Parts(proof=(70, 18, PATH)),
    "another size": Parts(proof=(60, 17, PATH)),
    "an index beyond": Parts(proof=(70, 70, PATH)),
    "a path that is too short": Parts(proof=(70, 17, PATH[:-1])),
    "a path that is too long": Parts(proof=(70, 17, [*PATH, bytes(32)])),
    "a path without end": Parts(proof=(70, 17, [bytes(32)] * 64)),
    "a path of other lengths": Parts(proof=(70, 17, [PATH[0][:-1], *PATH[1:]])),
    "a proof of four": Parts(proof=(70, 17, PATH, 0)),
    "a proof of text": Parts(proof=("70", 17, PATH)),
    "another signature": Parts(signature=root_signature(LOG.key, note(69))),
    "a short signature": Parts(signature=bytes(63)),
}


def test_the_untouched_parts_pass() -> None:
    assert Parts().assembled() == included(17, 70)


@pytest.mark.parametrize("parts", ALTERED.values(), ids=ALTERED)
def test_an_altered_receipt_is_refused(parts: Parts) -> None:
    with pytest.raises(BadProof):
        check_inclusion_receipt(parts.assembled(), LOG.key, LEAVES[17])


@settings(max_examples=60)
@given(at=st.integers(min_value=0, max_value=len(included(17, 70)) - 1), bit=st.integers(0, 7))
def test_no_bit_of_a_receipt_can_be_changed_but_its_size(at: int, bit: int) -> None:
    flipped = bytearray(included(17, 70))
    flipped[at] ^= 1 << bit
    try:
        found = check_inclusion_receipt(bytes(flipped), LOG.key, LEAVES[17])
    except BadProof:
        return
    # Sizes to which the same path leads by the same way are not told apart; see the module.
    assert found.tree.root == TREE.root(70)
    assert found.tree.size != 70


def test_a_receipt_of_another_entry_or_of_any_length_is_refused() -> None:
    receipt = included(17, 70)
    for other in (receipt + b"\0", receipt[:-1], receipt[:40], b"", receipt + bytes(8192)):
        with pytest.raises(BadProof):
            check_inclusion_receipt(other, LOG.key, LEAVES[17])
    with pytest.raises(BadProof):
        check_inclusion_receipt(receipt, LOG.key, LEAVES[18])


def test_a_receipt_is_in_its_one_form() -> None:
    receipt = included(17, 70)
    proof = receipt.index(b"\x83\x18\x46\x11")
    for at, byte in ((proof, 0x84), (proof - 2, 0x78), (receipt.index(b"\xf6\x58\x40"), 0xF7)):
        with pytest.raises(BadProof, match=r"form|payload"):
            check_inclusion_receipt(receipt[:at] + bytes([byte]) + receipt[at + 1 :], LOG.key, LEAVES[17])
    path = len(TREE.inclusion_path(17, 70))
    for one, other in (
        (b"\x83\x18\x46\x11", b"\x83\x38\x46\x11"),
        (b"\x46\x11" + bytes([0x80 | path]), b"\x46\x11" + bytes([0x7F + path])),
        (b"\x58\x20" + PATH[-1], b"\x78\x20" + PATH[-1]),  # the same hash, as a text
    ):
        with pytest.raises(BadProof, match="form"):
            check_inclusion_receipt(receipt.replace(one, other), LOG.key, LEAVES[17])
    with pytest.raises(BadProof, match="more than"):
        check_inclusion_receipt(receipt + bytes(MOST_RECEIPT_BYTES), LOG.key, LEAVES[17])


def test_a_receipt_of_growth_names_the_trees_that_it_is_about() -> None:
    other = grown(33, 70).replace(b"\x83\x18\x21\x18\x46", b"\x83\x18\x20\x18\x46")
    with pytest.raises(BadProof, match="other trees"):
        check_growth_receipt(other, LOG.key, head(33), head(70))


def test_a_receipt_of_growth_is_refused_between_other_trees() -> None:
    receipt = grown(33, 70)
    forged = TreeHead(33, bytes(32))
    for old, tree in (
        (head(32), head(70)),
        (forged, head(70)),
        (head(33), head(69)),
        (head(33), TreeHead(70, bytes(32))),
    ):
        with pytest.raises(BadProof):
            check_growth_receipt(receipt, LOG.key, old, tree)
    with pytest.raises(BadProof, match="cover"):
        check_growth_receipt(receipt[:-1] + bytes([receipt[-1] ^ 1]), LOG.key, head(33), head(70))


def test_no_receipt_is_made_from_a_note_that_does_not_bear_the_logs_word_on_its_root() -> None:
    plain = LOG.sign_checkpoint(70, TREE.root(70), AT)
    wrong_root = with_root_signed(LOG, plain, TREE.root(69))
    twice = with_root_signed(LOG, wrong_root, TREE.root(70))
    for unfit in (plain, wrong_root, twice, note(70, OTHER), b"no note"):
        with pytest.raises(BadProof):
            inclusion_receipt(LOG.key, unfit, 17, PATH)


def test_what_is_signed_for_receipts_is_no_checkpoint() -> None:
    assert signed_bytes(protected_of(LOG.key), TREE.root(70))[:1] not in (b"h", b"c")
