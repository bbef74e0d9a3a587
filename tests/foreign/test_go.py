"""Go's own note and tlog packages, which serve its checksum database, verify our log."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.commands.log_files import export
from broker.core.cosignature import Cosigner
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.note import LogSigner
from broker.core.policy import witness_name
from broker.core.signed_note import Line, merged, split_note
from broker.core.tiles import ENTRIES, TiledTree, entries_of, parse_path, tile_at
from broker.log import open_log
from tests.foreign.programs import program
from tests.leaves import Leaves
from tests.witnesses import cosigned as everybody_cosigned
from tests.witnesses import grow, witnesses
from tests.world import World

pytestmark = pytest.mark.sockets

LEAVES = [b"\x03" + bytes([number]) * 32 for number in range(70)]
TREE = Tree(map(leaf_hash, LEAVES))
LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))

Claims = list[dict[str, Any]]
Verify = Callable[..., list[str]]

EXPORTED = 70_000
"""Leaves of a tree with three levels of tiles."""
PROOFS = 1_000
SAVED = (1, 255, 256, 257, 4_000, 65_535, 65_536, 69_999)


@pytest.fixture(scope="module")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """Ask the Go program: an empty string for each claim and proof that holds, else what does not."""
    go = program("go", "see go.dev/doc/install, 1.24 or later")
    built = tmp_path_factory.mktemp("go") / "verify"
    source = Path(__file__).parent / "go"
    build = [go, "build", "-mod=readonly", "-buildvcs=false", "-o", str(built), "."]
    subprocess.run(build, cwd=source, check=True, timeout=300)

    def ask(claims: Claims, *exports: dict[str, Any], log: str = LOG.vkey) -> list[str]:
        question = {"VKey": log, "Cases": claims, "Exports": exports}
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


def test_go_verifies_our_checkpoints_and_proofs(verify: Verify) -> None:
    claims = [
        claim(index, size, old)
        for size in (1, 2, 3, 7, 8, 33, 64, 70)
        for index in {0, size // 2, size - 1}
        for old in {1, (size + 1) // 2, size}
    ]
    assert set(verify(claims)) == {""}


def test_go_refuses_what_was_altered(verify: Verify) -> None:
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


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Leaves]:
    """The export of a log, and what is in it."""
    folder = tmp_path_factory.mktemp("export")

    async def make() -> Leaves:
        async with open_log(f"sqlite://{folder}/log.db") as log:
            leaves = Leaves(log)
            await leaves.grow(EXPORTED)
            note = LOG.sign_checkpoint(EXPORTED, leaves.tree.root(), 1_790_000_000_000)
            await export(log, LOG.key, note, folder / "out", [], lambda _read, _of: None)
            return leaves

    return folder / "out", asyncio.run(make())


def test_go_makes_and_verifies_proofs_from_our_exported_tiles(
    verify: Verify, exported: tuple[Path, Leaves]
) -> None:
    out, leaves = exported
    indexes = [random.Random(EXPORTED).randrange(EXPORTED) for _ in range(PROOFS)]
    saved = [LOG.sign_checkpoint(size, leaves.tree.root(size)) for size in SAVED]

    found = verify([], {"Folder": str(out), "Indexes": indexes, "Saved": saved})

    assert found == [""] * (PROOFS + len(SAVED))


def test_go_verifies_the_proofs_that_we_make_from_our_exported_tiles(
    verify: Verify, exported: tuple[Path, Leaves]
) -> None:
    out, leaves = exported
    tree = TiledTree(EXPORTED, lambda tile: (out / tile.path).read_bytes())
    checkpoint = (out / "checkpoint").read_bytes()

    def proof(index: int, old: int) -> dict[str, Any]:
        bundle = tile_at(EXPORTED, ENTRIES, index // 256)
        assert bundle is not None
        return {
            "Checkpoint": checkpoint,
            "Leaf": entries_of((out / bundle.path).read_bytes(), bundle.width)[index % 256],
            "Index": index,
            "Path": tree.inclusion_path(index),
            "Old": LOG.sign_checkpoint(old, leaves.tree.root(old)),
            "Growth": tree.consistency_path(old),
        }

    chance = random.Random(PROOFS)
    claims = [proof(chance.randrange(EXPORTED), chance.randint(1, EXPORTED)) for _ in range(PROOFS)]
    assert verify(claims) == [""] * PROOFS


def test_go_refuses_altered_tiles_and_another_past(
    verify: Verify, exported: tuple[Path, Leaves], tmp_path: Path
) -> None:
    out, leaves = exported
    index = 40_000
    fork = LOG.sign_checkpoint(4_000, leaves.tree.root(4_001))
    # In each what the proof of the leaf needs: its neighbour's hash, not its own; and the entry itself.
    for path, place in (
        ("tile/0/156", index % 256 ^ 1),
        ("tile/1/000", index // 256 ^ 1),
        ("tile/2/000.p/1", 0),
        ("tile/entries/156", index % 256),
    ):
        there = tmp_path / path.replace("/", "-")
        shutil.copytree(out, there)
        data = bytearray((there / path).read_bytes())
        data[place * (len(data) // parse_path(path).width) + 5] ^= 1
        (there / path).write_bytes(bytes(data))
        found = verify([], {"Folder": str(there), "Indexes": [index], "Saved": [fork]})
        assert "" not in found, path


def cosigner(member: str, seed: int) -> Cosigner:
    key = PrivateKey.from_seed(Algorithm.ED25519, bytes([seed]) * 32)
    return Cosigner(witness_name("halong-test", member), key)


CHECKPOINT = LOG.sign_checkpoint(70, TREE.root(70), 1_790_000_000_000)
TEXT, _ = split_note(CHECKPOINT)
COSIGNERS = [cosigner(member, seed) for seed, member in enumerate(("br", "jp", "nl"), start=40)]
VKEYS = [each.key.vkey for each in COSIGNERS]


def cosigned(*by: Cosigner, text: bytes = TEXT) -> bytes:
    return merged(CHECKPOINT, [each.cosign(text, 1_790_000_100_000) for each in by])


def test_go_verifies_cosignatures_by_a_verifier_of_its_own(verify: Verify) -> None:
    claims: Claims = [
        {"Checkpoint": cosigned(*COSIGNERS[:count]), "Witnesses": VKEYS[:count]} for count in range(4)
    ]
    # Those that Go is not told of are passed over.
    claims.append({"Checkpoint": cosigned(*COSIGNERS), "Witnesses": VKEYS[1:2]})
    assert set(verify(claims)) == {""}


def test_go_refuses_cosignatures_that_are_none(verify: Verify) -> None:
    namesake = cosigner("nl", 50)
    key = COSIGNERS[2].key
    altered: Claims = [
        {"Checkpoint": cosigned(*COSIGNERS[:2]), "Witnesses": VKEYS},
        {"Checkpoint": cosigned(*COSIGNERS[:2], namesake), "Witnesses": VKEYS},
        {"Checkpoint": cosigned(*COSIGNERS, text=TEXT.replace(b"70", b"71")), "Witnesses": VKEYS},
        {"Checkpoint": merged(cosigned(), [Line(key.name, key.key_id, bytes(72))]), "Witnesses": VKEYS[2:]},
        {"Checkpoint": cosigned(*COSIGNERS), "Witnesses": [LOG.vkey]},
        {"Checkpoint": cosigned(*COSIGNERS), "Witnesses": [VKEYS[0].replace("+", "+0", 1)]},
    ]
    assert "" not in verify(altered)


async def test_go_verifies_what_a_running_network_cosigned(verify: Verify, tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp")
        nodes = witnesses(world, tmp_path)
        await grow(world, nodes)
        await everybody_cosigned(world, nodes)
        note = nodes["nl"].node.store.fact("cosigned_note")
        vkeys = [each.witness.vkey for each in nodes.values()]
    claims: Claims = [{"Checkpoint": note, "Witnesses": vkeys}]
    assert verify(claims, log=world.log_signer.vkey) == [""]
    assert verify(claims) != [""]
