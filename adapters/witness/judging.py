"""May this checkpoint be cosigned?  The rules of a witness, without any state of their own.

Decides from what was cosigned last, what the node has seen otherwise, and what is submitted; and with which
status a submission that may not is answered.  What is kept before anything is signed, in `state`.

Sources: c2sp.org/tlog-witness, add-checkpoint; RFC 9162 section 2.1.4.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

from broker.core.errors import BadProof, NotCanonical
from broker.core.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from broker.core.note import LogKey, TreeHead, read_checkpoint
from broker.core.signed_note import MOST_NOTE_BYTES, base64_of, split_note

MOST_PATH = 63
MOST_SUBMISSION_BYTES = MOST_NOTE_BYTES + 64 * 64
OLD = re.compile(r"old (0|[1-9][0-9]{0,17})")
EMPTY = TreeHead(0, EMPTY_ROOT)


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint, and the path from the tree of `old` leaves, which was cosigned last, to its tree."""

    old: int
    path: tuple[bytes, ...]
    note: bytes

    @classmethod
    def read(cls, body: bytes) -> Submission:
        """Return what the body of a request submits.

        Raises:
            NotCanonical: It is not of its form.
        """
        head, blank, note = body.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise NotCanonical("the size and the path are ASCII", field="old") from None
        old = OLD.fullmatch(first)
        if old is None or not blank:
            raise NotCanonical("begins with the old size, ends the path with an empty line", field="old")
        path = [base64_of(line) for line in lines]
        if len(path) > MOST_PATH:
            raise NotCanonical(f"a path has at most {MOST_PATH} hashes", field="path")
        hashes = tuple(each for each in path if each is not None and len(each) == HASH_BYTES)
        if len(hashes) != len(path):
            raise NotCanonical("each line of the path is a hash in base64", field="path")
        return cls(int(old[1]), hashes, note)

    @property
    def body(self) -> bytes:
        """The submission as `read` reads it."""
        lines = [f"old {self.old}", *(b64encode(each).decode() for each in self.path)]
        return "\n".join(lines).encode() + b"\n\n" + self.note


@dataclass(frozen=True, slots=True)
class Cosignable:
    """The checkpoint may be cosigned, once it is kept; `text` is what of the note is signed."""

    tree: TreeHead
    text: bytes


@dataclass(frozen=True, slots=True)
class Denied:
    """It may not.  `size` is that of the tree that was cosigned last, where the asker went by another.

    `forked` says that the log's own key signed what denies what it signed before: evidence.
    """

    status: int
    why: str
    size: int | None = None
    forked: bool = False


def judge(
    submission: Submission, log: LogKey, latest: TreeHead | None, root_at: Callable[[int], bytes | None]
) -> Cosignable | Denied:
    """Say whether a checkpoint may be cosigned.

    Args:
        submission: What was submitted.
        log: The pinned key of the one log that this witness knows.
        latest: The tree that was cosigned last, None before the first.
        root_at: The root that this node has seen for a size, from wherever.
    """
    # 1. Bytes that no signer would write are not even looked into.
    try:
        text, lines = split_note(submission.note)
    except BadProof as error:
        return Denied(400, str(error))
    # 2. The log is known …
    if text.partition(b"\n")[0] != log.name.encode():
        return Denied(404, "no log of this origin is known here")
    # 3. … and signed it; lines by its key that do not hold make the whole note false.
    try:
        log.check_signed(text, lines)
    except BadProof as error:
        return Denied(403, str(error))
    # 4. Only now is it read.
    try:
        _, tree = read_checkpoint(text)
    except BadProof as error:
        return Denied(400, str(error))
    if submission.old > tree.size:
        return Denied(400, "the old size is larger than the checkpoint's")
    known = latest or EMPTY
    seen = known.root if tree.size == known.size else root_at(tree.size)
    forked = tree.size > 0 and seen is not None and seen != tree.root
    # 5. The path begins at the tree that was cosigned last: what was cosigned never shrinks.
    if submission.old != known.size:
        return Denied(409, "another size was cosigned last", known.size, forked)
    # 6. A size has one root; two are two logs.
    if forked:
        return Denied(422, "another root was seen at this size", forked=True)
    # 7. The tree continues the one that was cosigned last.
    if not verify_consistency(known.size, tree.size, known.root, tree.root, submission.path):
        return Denied(422, "the path does not lead from the tree that was cosigned last")
    return Cosignable(tree, text)
