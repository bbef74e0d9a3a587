"""The file of the embedded log: made for its owner alone, and held by one process alone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from broker.log import LogUnavailable


def make_private(path: Path) -> None:
    """Make the file if it is not there, for its owner alone: it holds notices in clear.

    SQLite gives its journals the same mode.  One that is there is left as it is.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise LogUnavailable(f"{path} cannot be opened: {error.strerror}", field=str(path)) from None


def take_lock(path: Path) -> IO[str]:
    """Take the lock that makes this the only process with the file open to write."""
    try:
        lock = path.with_name(path.name + ".lock").open("a")
    except OSError as error:
        raise LogUnavailable(f"{path} cannot be opened: {error.strerror}", field=str(path)) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise LogUnavailable(
            f"{path} is open in another process; stop that one first, or spread the hub over several "
            "processes on Kafka (kafka://host:port)",
            field=str(path),
        ) from None
    return lock
