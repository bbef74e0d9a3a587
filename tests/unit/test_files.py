"""Files appear whole or not at all, and only where a plain file may stand."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from broker.core.errors import BadConfiguration
from broker.files import written


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
