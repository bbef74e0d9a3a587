"""The witness: each status of tlog-witness, and that a tree is kept before it is cosigned."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.witness.judging import MOST_PATH, Cosignable, Denied, Submission, judge
from broker.core.errors import NotCanonical
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.note import LogSigner, TreeHead
from broker.core.signed_note import Line, merged

LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))
OTHER = LogSigner("other/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))
AT = 1_790_000_000_000


def tree(*changed: int, size: int = 40) -> Tree:
    """A tree of 40 leaves, of which some are changed."""
    return Tree(leaf_hash(b"%d%s" % (number, b"!" * (number in changed))) for number in range(size))


TREE = tree()
FORK = tree(7)
SEEN = TreeHead(20, TREE.root(20))


def note(size: int, of: Tree = TREE, log: LogSigner = LOG) -> bytes:
    return log.sign_checkpoint(size, of.root(size), AT)


def submission(size: int, old: int = 20, of: Tree = TREE, path: Sequence[bytes] | None = None) -> Submission:
    return Submission(old, tuple(of.consistency_path(old, size) if path is None else path), note(size, of))


def judged(submitted: Submission, latest: TreeHead | None = SEEN, **roots: bytes) -> Cosignable | Denied:
    return judge(submitted, LOG.key, latest, lambda size: roots.get(f"at_{size}"))


def status(submitted: Submission, latest: TreeHead | None = SEEN, **roots: bytes) -> int:
    found = judged(submitted, latest, **roots)
    return found.status if isinstance(found, Denied) else 200


def test_a_tree_that_continues_the_last_may_be_cosigned() -> None:
    for size in range(20, 41):
        assert status(submission(size)) == 200
    assert judged(submission(31)) == Cosignable(
        TreeHead(31, TREE.root(31)), note(31).partition(b"\n\n")[0] + b"\n"
    )


def test_the_first_tree_needs_no_path() -> None:
    assert status(submission(31, 0), None) == 200
    assert status(submission(0, 0), None) == 200


def test_the_tree_that_was_cosigned_last_may_be_cosigned_again() -> None:
    """The node may have been cut after it kept it."""
    assert status(submission(20)) == 200


NAMESAKE = LogSigner(LOG.key.name, PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))
ZERO = LOG.sign_checkpoint(0, bytes(32), AT)
SIGNED = note(31)
FALSE = Line(LOG.key.name, LOG.key.key_id, bytes(64))


@pytest.mark.parametrize(
    ("name", "submitted", "latest", "expected"),
    [
        ("no note at all", replace(submission(31), note=b"x"), SEEN, 400),
        ("another log", replace(submission(31), note=note(31, log=OTHER)), SEEN, 404),
        ("a namesake by another key", replace(submission(31), note=note(31, log=NAMESAKE)), SEEN, 403),
        ("a false line by the log's key", replace(submission(31), note=merged(SIGNED, [FALSE])), SEEN, 403),
        ("an extension line", None, SEEN, 400),
        ("an old size above the checkpoint's", submission(15, 20, path=()), SEEN, 400),
        ("the size before the last", submission(31, 19), SEEN, 409),
        ("a size after the last", submission(31, 21), SEEN, 409),
        ("nothing known, something claimed", submission(31, 20), None, 409),
        ("a smaller tree", submission(15, 10), SEEN, 409),
        ("an empty tree with another root", Submission(0, (), ZERO), None, 422),
        ("another root at the last size", submission(20, 20, FORK), SEEN, 422),
        ("a path where none is needed", submission(31, 0, path=[bytes(32)]), None, 422),
        ("a path at the same size", submission(20, 20, path=[bytes(32)]), SEEN, 422),
        ("no path", submission(31, path=()), SEEN, 422),
        ("a path too short", submission(31, path=TREE.consistency_path(20, 31)[:-1]), SEEN, 422),
        ("a path of another tree", submission(31, path=TREE.consistency_path(20, 32)), SEEN, 422),
        ("a fork with its own path", submission(31, 20, FORK), SEEN, 422),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_whatever_does_not_continue_the_last_has_its_status(
    name: str, submitted: Submission | None, latest: TreeHead | None, expected: int
) -> None:
    if submitted is None:
        text = SIGNED.partition(b"\n\n")[0] + b"\nextension\n"
        signed = Line(LOG.key.name, LOG.key.key_id, LOG._signer.sign(text))
        submitted = replace(submission(31), note=text + b"\n" + signed.text.encode())
    assert status(submitted, latest) == expected


def test_a_conflict_tells_the_size_that_was_cosigned_last() -> None:
    found = judged(submission(31, 5))
    assert isinstance(found, Denied)
    assert found.size == 20


def test_two_roots_under_the_logs_key_are_evidence_whatever_else_is_wrong() -> None:
    for submitted in (submission(20, 20, FORK), submission(20, 3, FORK), submission(31, 20, FORK)):
        found = judged(submitted, at_31=TREE.root(31))
        assert isinstance(found, Denied)
        assert found.forked
    found = judged(submission(31, path=()))
    assert isinstance(found, Denied)
    assert not found.forked, "a path that anybody can make up proves nothing of the log"


def test_a_submission_comes_back_as_it_was_written() -> None:
    submitted = submission(31)
    assert submitted.path
    assert Submission.read(submitted.body) == submitted
    assert Submission.read(submission(31, 0).body).path == ()


HASH = b64encode(bytes(32))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        SIGNED,
        b"old 20\n" + SIGNED,
        b"old 020\n\n" + SIGNED,
        b"old -1\n\n" + SIGNED,
        b"old  20\n\n" + SIGNED,
        b"Old 20\n\n" + SIGNED,
        b"old 20\r\n\n" + SIGNED,
        "old ٢\n\n".encode() + SIGNED,
        b"old 20\n" + HASH[:-4] + b"\n\n" + SIGNED,
        b"old 20\n" + HASH[:-2] + b"B=\n\n" + SIGNED,
        b"old 20\n" + HASH + b" \n\n" + SIGNED,
        b"old 20\n" + (HASH + b"\n") * (MOST_PATH + 1) + b"\n" + SIGNED,
        b"old 20\n" + HASH,
    ],
)
def test_a_submission_in_any_other_form_is_refused(body: bytes) -> None:
    with pytest.raises(NotCanonical):
        Submission.read(body)
