"""Go's own note and tlog packages verify our proofs as text."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from broker.core.cose_receipt import with_root_signed
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.note import LogSigner
from broker.core.tlog_proof import TlogProof, write_proof
from tests.foreign.programs import program

pytestmark = pytest.mark.sockets

LEAVES = [b"\x03" + bytes([number]) * 32 for number in range(70)]
TREE = Tree(map(leaf_hash, LEAVES))
LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))


def proof(index: int, size: int) -> bytes:
    """As the hub hands it out: the checkpoint bears its time, and the line for receipts."""
    root = TREE.root(size)
    note = with_root_signed(LOG, LOG.sign_checkpoint(size, root, 1_790_000_000_000), root)
    return write_proof(TlogProof(index, tuple(TREE.inclusion_path(index, size)), note))


def test_go_verifies_proofs_as_text_and_refuses_altered_ones(tmp_path: Path) -> None:
    go = program("go", "see go.dev/doc/install, 1.24 or later")
    built = tmp_path / "verify"
    build = [go, "build", "-mod=readonly", "-buildvcs=false", "-o", str(built), "./proof"]
    subprocess.run(build, cwd=Path(__file__).parent / "go", check=True, timeout=300)
    places = [(index, size) for size in (1, 2, 33, 70) for index in range(size)]
    good = [(proof(*each), LEAVES[each[0]]) for each in places]
    text = proof(40, 70)
    altered = [
        (text, LEAVES[41]),
        (text.replace(b"index 40\n", b"index 41\n"), LEAVES[40]),
        (text.replace(b"\n70\n", b"\n71\n"), LEAVES[40]),
        (text.replace(b"@v1", b"@v2"), LEAVES[40]),
    ]

    question = {"VKey": LOG.vkey, "Cases": [{"Proof": a, "Leaf": b} for a, b in good + altered]}
    encoded = json.dumps(question, default=lambda raw: b64encode(raw).decode())
    answer = subprocess.run([built], input=encoded.encode(), stdout=-1, check=True, timeout=60).stdout

    answers = json.loads(answer)
    assert set(answers[: len(good)]) == {""}
    assert "" not in answers[len(good) :]
