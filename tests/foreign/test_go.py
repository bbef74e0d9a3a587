"""Go's own note and tlog packages, which serve its checksum database, verify our log."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.note import LogSigner
from tests.foreign.programs import program

pytestmark = pytest.mark.sockets

LEAVES = [b"\x03" + bytes([number]) * 32 for number in range(70)]
TREE = Tree(map(leaf_hash, LEAVES))
LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))

Claims = list[dict[str, Any]]


@pytest.fixture(scope="module")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Claims], list[str]]:
    """Ask the Go program: an empty string for each claim that holds, else what does not."""
    go = program("go", "see go.dev/doc/install, 1.24 or later")
    built = tmp_path_factory.mktemp("go") / "verify"
    source = Path(__file__).parent / "go"
    build = [go, "build", "-mod=readonly", "-buildvcs=false", "-o", str(built), "."]
    subprocess.run(build, cwd=source, check=True, timeout=300)

    def ask(claims: Claims) -> list[str]:
        question = {"VKey": LOG.vkey, "Cases": claims}
        encoded = json.dumps(question, default=lambda raw: b64encode(raw).decode())
        answer = subprocess.run([built], input=encoded.encode(), stdout=-1, check=True, timeout=60).stdout
        answers: list[str] = json.loads(answer)
        return answers

    return ask


def claim(index: int, size: int, old: int) -> dict[str, Any]:
    """That this leaf is in the tree of `size`, which continues the tree of `old`."""
    return {
        # With its time, which is another's signature to whoever knows notes alone.
        "Checkpoint": LOG.sign_checkpoint(size, TREE.root(size), 1_790_000_000_000),
        "Leaf": LEAVES[index],
        "Index": index,
        "Path": TREE.inclusion_path(index, size),
        "Old": LOG.sign_checkpoint(old, TREE.root(old)),
        "Growth": TREE.consistency_path(old, size),
    }


def test_go_verifies_our_checkpoints_and_proofs(verify: Callable[[Claims], list[str]]) -> None:
    claims = [
        claim(index, size, old)
        for size in (1, 2, 3, 7, 8, 33, 64, 70)
        for index in {0, size // 2, size - 1}
        for old in {1, (size + 1) // 2, size}
    ]
    assert set(verify(claims)) == {""}


def test_go_refuses_what_was_altered(verify: Callable[[Claims], list[str]]) -> None:
    good = claim(40, 70, 33)
    signed = good["Checkpoint"]
    text, plain, timed = signed.rpartition(b"\n\n")[0], *signed.splitlines()[-2:]
    forged = plain[:-8] + b"AAAAAAA="
    altered: Claims = [
        {**good, "Leaf": LEAVES[41]},
        {**good, "Index": 41},
        {**good, "Path": good["Path"][:-1]},
        {**good, "Path": good["Path"][::-1]},
        {**good, "Growth": good["Growth"][1:]},
        {**good, "Old": LOG.sign_checkpoint(33, TREE.root(34))},
        {**good, "Checkpoint": signed.replace(b"\n70\n", b"\n71\n")},
        {**good, "Checkpoint": b"\n".join([text, b"", forged, timed, b""])},
        {**good, "Checkpoint": b"\n".join([text, b"", timed, b""])},
    ]
    assert "" not in verify(altered)
    assert verify([good]) == [""]
