"""Files that must be whole or not there, that only their owner may read, and that somebody else has sent."""

from __future__ import annotations

import os
from pathlib import Path

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
    half = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(file, "wb") as out:
        out.write(data.encode() if isinstance(data, str) else data)
        out.flush()
        os.fsync(out.fileno())
    half.replace(path)


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
