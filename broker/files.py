"""Files that must be whole or not there, that only their owner may read, and that somebody else has sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO

from broker.core.errors import BadConfiguration


def make_private_folder(path: Path) -> None:
    """Make a folder that only its owner may enter."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)


def write_key(path: Path, pem: bytes) -> None:
    """Write a private key that only its owner may read; one that is there is never overwritten.

    Raises:
        BadConfiguration: There is one already.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadConfiguration(
            "there is a key already, and keys are not overwritten", field=str(path)
        ) from None
    with os.fdopen(file, "wb") as out:
        out.write(pem)
        out.flush()
        os.fsync(out.fileno())


def write_whole(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    """Write a file so that nobody ever sees half of it; one that is there is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = _half(path)
    file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(file, "wb") as out:
        out.write(data.encode() if isinstance(data, str) else data)
        out.flush()
        os.fsync(out.fileno())
    half.replace(path)


def _half(path: Path) -> Path:
    """Return where a file is written before it gets its name, for this writer alone.

    Its process's id would not do: of containers that share a folder each may be number 1.
    """
    return path.with_name(f".{path.name}.{token_hex(8)}")


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write, for its owner alone; it is at `path` once it is whole and on the disk.

    Raises:
        BadConfiguration: What stands at `path` is no plain file, and would be replaced.
    """
    if path.exists() and not path.is_file():
        raise BadConfiguration("there is something that is no plain file", field=str(path))
    half = _half(path)
    file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(file, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in the folder are on disk, as their contents are."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def read_sent(path: Path, most: int) -> bytes:
    """Read a file that may come from anybody, and not more of it than it may have.

    Raises:
        BadConfiguration: It is longer.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise BadConfiguration(f"longer than {most} bytes", field=str(path))
    return data
