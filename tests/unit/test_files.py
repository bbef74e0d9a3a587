"""Files appear whole or not at all, and only where a plain file may stand."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from broker.core.errors import BadConfiguration
from broker.files import write_whole, written


def test_a_pipe_that_stands_there_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "stick"
    os.mkfifo(pipe)

    with pytest.raises(BadConfiguration, match="no plain file"), written(pipe) as file:
        file.write(b"a stick")

    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_what_fails_half_way_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_bytes(b"before")

    def fails() -> None:
        with written(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()

    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"backup": b"before"}


def test_writers_at_the_same_moment_disturb_neither_one_another_nor_who_reads(tmp_path: Path) -> None:
    path = tmp_path / "timestamp.json"
    contents = [bytes([letter]) * 4096 for letter in b"abcd"]
    write_whole(path, contents[0])

    def write_all() -> None:
        for content in contents:
            write_whole(path, content)

    with ThreadPoolExecutor() as pool:
        writing = [pool.submit(write_all) for _ in range(4)]
        while not all(each.done() for each in writing):
            assert path.read_bytes() in contents
        for each in writing:
            each.result()
    assert list(tmp_path.iterdir()) == [path]
