"""Proofs as text (c2sp.org/tlog-proof): written, read and verified in one form."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.errors import BadProof
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.note import LogSigner, TreeHead
from broker.core.tlog_proof import MOST_PROOF_BYTES, TlogProof, check_proof, read_proof, write_proof

LEAVES = [b"\x03" + bytes([number]) * 32 for number in range(70)]
TREE = Tree(map(leaf_hash, LEAVES))
LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))
OTHER = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))


def proof(index: int, size: int, log: LogSigner = LOG) -> TlogProof:
    note = log.sign_checkpoint(size, TREE.root(size), 1_790_000_000_000)
    return TlogProof(index, tuple(TREE.inclusion_path(index, size)), note)


GOOD = proof(40, 70)
TEXT = write_proof(GOOD)


def test_a_proof_says_where_the_log_has_an_entry() -> None:
    for size in (1, 2, 33, 70):
        for index in {0, size - 1}:
            found = check_proof(write_proof(proof(index, size)), LOG.key, LEAVES[index])
            assert (found.index, found.tree) == (index, TreeHead(size, TREE.root(size)))


def test_it_is_what_the_specification_shows() -> None:
    lines = write_proof(replace(proof(2, 3), extra=b"x")).split(b"\n")

    assert lines[:3] == [b"c2sp.org/tlog-proof@v1", b"extra eA==", b"index 2"]
    assert lines[3:6] == [b64encode(TREE.inclusion_path(2, 3)[0]), b"", b"halong-test/log"]


@pytest.mark.parametrize("extra", [None, b"", b"anything"])
def test_what_was_written_is_read(extra: bytes | None) -> None:
    if extra == b"":
        with pytest.raises(BadProof):  # a line must not end in a space
            read_proof(write_proof(replace(GOOD, extra=extra)))
    else:
        assert read_proof(write_proof(replace(GOOD, extra=extra))) == replace(GOOD, extra=extra)


FIRST = b64encode(GOOD.path[0])
ALTERED = {
    "another format": TEXT.replace(b"@v1", b"@v2"),
    "no index": TEXT.replace(b"index 40\n", b""),
    "another index": TEXT.replace(b"index 40\n", b"index 41\n"),
    "an index that begins with zero": TEXT.replace(b"index 40\n", b"index 040\n"),
    "an index beyond": TEXT.replace(b"index 40\n", b"index 70\n"),
    "a hash less": TEXT.replace(FIRST + b"\n", b""),
    "a hash twice": TEXT.replace(FIRST, FIRST + b"\n" + FIRST),
    "a hash in another base64": TEXT.replace(FIRST, FIRST.rstrip(b"=")),
    "a short hash": TEXT.replace(FIRST, b64encode(bytes(31))),
    "a path without end": TEXT.replace(FIRST, b"\n".join([FIRST] * 64)),
    "two words besides": TEXT.replace(b"index", b"extra eA==\nextra eA==\nindex"),
    "a word besides in another base64": TEXT.replace(b"index", b"extra eB==\nindex"),
    "too much besides": TEXT.replace(b"index", b"extra " + b64encode(bytes(20_000)) + b"\nindex"),
    "carriage returns": TEXT.replace(b"\n", b"\r\n"),
    "no text": TEXT.replace(b"index", b"\xffindex"),
    "no checkpoint": TEXT.partition(b"\n\n")[0],
    "an empty line more": TEXT.replace(b"\n\n", b"\n\n\n", 1),
    "another log's checkpoint": write_proof(proof(40, 70, OTHER)),
    "another tree's checkpoint": write_proof(replace(GOOD, checkpoint=proof(40, 69).checkpoint)),
    "no end": TEXT + b"x" * MOST_PROOF_BYTES,
    "nothing": b"",
}


@pytest.mark.parametrize("data", ALTERED.values(), ids=ALTERED)
def test_an_altered_proof_is_refused(data: bytes) -> None:
    with pytest.raises(BadProof):
        check_proof(data, LOG.key, LEAVES[40])


@pytest.mark.parametrize(
    ("name", "why"), [("no end", "more than"), ("a path without end", "too long"), ("no checkpoint", "begin")]
)
def test_what_is_too_much_or_cut_is_not_looked_into(name: str, why: str) -> None:
    with pytest.raises(BadProof, match=why):
        read_proof(ALTERED[name])


def test_a_proof_of_another_entry_is_refused() -> None:
    with pytest.raises(BadProof, match="lead"):
        check_proof(TEXT, LOG.key, LEAVES[41])


@settings(max_examples=60)
@given(at=st.integers(0, len(TEXT) - 1), bit=st.integers(0, 7))
def test_what_is_read_is_written_alike(at: int, bit: int) -> None:
    flipped = bytearray(TEXT)
    flipped[at] ^= 1 << bit
    try:
        found = read_proof(bytes(flipped))
    except BadProof:
        return
    assert write_proof(found) == bytes(flipped)
