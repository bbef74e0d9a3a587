"""Proofs as text: that the log has a leaf, with all that a verifier needs beside the leaf and the log's key.

Decides what is a proof in its one form, and whether it shows that the log has an entry.  Whose cosignatures
the checkpoint bears, and what the entry means, is judged by others.

Source: c2sp.org/tlog-proof v1.  Stricter than it where it leaves a choice: base64 in its one encoding, and no
more hashes than a tree can be high.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from broker.core.cose_receipt import Included
from broker.core.errors import BadProof
from broker.core.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from broker.core.note import SIZE, LogKey
from broker.core.signed_note import MOST_NOTE_BYTES, base64_of

FIRST_LINE = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
MOST_PATH = 63
MOST_EXTRA_BYTES = 16 * 1024
MOST_PROOF_BYTES = MOST_NOTE_BYTES + 2 * MOST_EXTRA_BYTES

_EXTRA = re.compile(r"extra (\S+)")
_INDEX = re.compile(rf"index ({SIZE.pattern})")


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The parts of a proof; nothing in them has been checked.

    `checkpoint` is a signed note.  `extra` is anybody's: nobody has signed it.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def write_proof(proof: TlogProof) -> bytes:
    """Return the proof as text."""
    extra = [] if proof.extra is None else [f"extra {b64encode(proof.extra).decode()}"]
    hashes = [b64encode(node).decode() for node in proof.path]
    lines = [FIRST_LINE, *extra, f"index {proof.index}", *hashes, "", ""]
    return "\n".join(lines).encode() + proof.checkpoint


def read_proof(data: bytes) -> TlogProof:
    """Return the parts of a proof.

    Raises:
        BadProof: It is not in its one form.
    """
    # 1. Nothing is parsed that is too large, or no text.
    if len(data) > MOST_PROOF_BYTES:
        raise BadProof(f"a proof of more than {MOST_PROOF_BYTES} bytes", field="proof")
    above, blank, checkpoint = data.partition(b"\n\n")
    try:
        lines = above.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise BadProof("the proof is not text", field="proof") from None
    # 2. It says which format it is.
    if lines.pop(0) != FIRST_LINE or not blank:
        raise BadProof(f"the proof does not begin with {FIRST_LINE}", field="proof")
    # 3. Perhaps something besides, and the index, each in its one form.
    extra = None
    if lines and (besides := _EXTRA.fullmatch(lines[0])) is not None:
        extra = base64_of(besides[1])
        if extra is None or len(extra) > MOST_EXTRA_BYTES:
            raise BadProof("what goes besides is not in its one form, or too long", field="extra")
        del lines[0]
    index = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if index is None:
        raise BadProof("the proof names no index", field="index")
    # 4. The path: hashes, no more than a tree can be high.
    path = [base64_of(line) for line in lines]
    hashes = tuple(node for node in path if node is not None and len(node) == HASH_BYTES)
    if len(hashes) != len(path) or len(path) > MOST_PATH:
        raise BadProof("the path is not of hashes, or too long", field="path")
    return TlogProof(int(index[1]), hashes, checkpoint, extra)


def check_proof(data: bytes, key: LogKey, entry: bytes) -> Included:
    """Return where the log has an entry, if the proof shows that it does.

    Raises:
        BadProof: It is no proof, its checkpoint is not this log's, or it is not of this entry.
    """
    # 1. It is in its form.
    proof = read_proof(data)
    # 2. The log has signed its checkpoint.
    tree = key.open_checkpoint(proof.checkpoint)
    # 3. The path leads from the entry to it.
    if not verify_inclusion(leaf_hash(entry), proof.index, tree.size, proof.path, tree.root):
        raise BadProof("the proof does not lead to the checkpoint", field="path")
    return Included(tree, proof.index)
