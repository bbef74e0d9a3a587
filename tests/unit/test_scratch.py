"""What grows with the log stays out of memory, and reads as if it were there."""

from __future__ import annotations

import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.merkle import Frontier, Tree, leaf_hash
from broker.log import scratch
from broker.log.scratch import Scratch


@given(st.lists(st.binary(max_size=40)), st.data())
def test_a_column_reads_as_the_bytes_that_were_added(parts: list[bytes], data: st.DataObject) -> None:
    column, plain = Scratch().column(16), bytearray()
    for part in parts:
        column += part
        plain += part
        start = data.draw(st.integers(0, len(plain)))
        stop = data.draw(st.integers(0, len(plain) + 9))
        assert column[start:stop] == plain[start:stop]
    assert len(column) == len(plain)


@given(st.sets(st.integers(-(2**63), 2**63 - 1)), st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_found_where_they_were_added(found: set[int], wanted: int) -> None:
    ordered, numbers = sorted(found), Scratch().numbers(3)
    for each in ordered:
        numbers.append(each)
    assert list(numbers) == ordered
    assert [numbers.place_of(each) for each in ordered] == list(range(len(ordered)))
    assert numbers.place_of(wanted) == sum(each < wanted for each in ordered)
    with pytest.raises(IndexError):
        numbers[len(ordered)]


def test_a_map_answers_as_a_dict_does_in_memory_and_on_disk(tmp_path: Path) -> None:
    kept = Scratch(tmp_path)
    one, two = kept.map(10), kept.map(10)
    plain = {sha256(b"%d" % number).digest(): b"%d" % number for number in range(3000)}
    for key, value in plain.items():
        one.put(key, value)
    for key in list(plain)[::7]:
        plain[key] += b" again"
        one.put(key, plain[key])
    assert {key: one.get(key) for key in plain} == plain
    assert all(key in one for key in plain)
    assert one.get(b"another") is two.get(next(iter(plain))) is None
    assert len(one._recent) < 10 + 2 * scratch.MOVED_AT_ONCE


def test_nothing_is_left_in_the_folder_while_it_is_used_and_after(tmp_path: Path) -> None:
    gc.collect()
    before = open_files()
    kept = Scratch(tmp_path)
    column, found = kept.column(16), kept.map(0)
    column += bytes(100)
    for number in range(scratch.MOVED_AT_ONCE):
        found.put(b"%d" % number, b"")
    assert not found._recent
    assert list(tmp_path.iterdir()) == []
    del kept, column, found
    gc.collect()
    assert open_files() == before


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def files_of_at_most(count: int) -> Iterator[None]:
    """Let no file of this process grow past so many bytes: writing to it fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_memory_and_no_answer(tmp_path: Path) -> None:
    kept = Scratch(tmp_path)
    column, found = kept.column(16), kept.map(0)
    plain = {sha256(b"%d" % number).digest(): b"%d" % number for number in range(5000)}
    with files_of_at_most(0):
        for key, value in plain.items():
            column += key
            found.put(key, value)
        assert column[0 : len(column)] == b"".join(plain)
        assert {key: found.get(key) for key in plain} == plain
    # There is room again: what waited is written.
    column += b""
    found.put(b"last", b"")
    for number in range(2 * scratch.MOVED_AT_ONCE):
        found.put(b"%d" % number, b"")
    assert len(column._tail) < 32
    assert len(found._recent) < 2 * scratch.MOVED_AT_ONCE
    assert column[0 : len(column)] == b"".join(plain)
    assert {key: found.get(key) for key in plain} == plain


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_tree_on_disk_and_a_frontier_have_the_roots_of_one_in_memory(steps: list[int]) -> None:
    kept, whole, frontier = Scratch(), Tree(), Frontier()
    spilled = Tree(level=lambda: kept.column(64))
    for step, count in enumerate(steps):
        leaves = [leaf_hash(b"%d %d" % (step, number)) for number in range(count)]
        for tree in (whole, spilled, frontier):
            tree.extend(leaves)
        assert whole.root() == spilled.root() == frontier.root()
        assert whole.size == spilled.size == frontier.size
    for index in range(whole.size):
        assert spilled.inclusion_path(index) == whole.inclusion_path(index)
        assert spilled.root(index) == whole.root(index)
