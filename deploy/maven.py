"""What Maven Central has and this machine has not: Kafka's jars, PostgreSQL's programs.

Decides that it is fetched once, also when several ask at a time, and that what was cut off begins anew.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

FETCH_SECONDS = 600.0


class MavenMissing(Exception):
    """It cannot be fetched on this machine; the message says what is missing."""


def fetch(home: Path, there: Path, arguments: Sequence[str], unpack: Callable[[], None]) -> Path:
    """Return the folder `there`, with what Maven and `unpack` put into it the first time.

    Args:
        home: Where the lock is, and `there`.
        there: What is wanted; complete, or not there.
        arguments: Of `mvn`.
        unpack: Called when Maven is done.

    Raises:
        MavenMissing: Maven is not there, or could not fetch it.
    """
    if (there / "complete").exists():
        return there
    maven = shutil.which("mvn")
    if maven is None:
        raise MavenMissing("Maven")
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (there / "complete").exists():
            return there
        shutil.rmtree(there, ignore_errors=True)
        done = subprocess.run(  # noqa: S603  our own command line
            [maven, "-q", "-B", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
        if done.returncode:
            raise MavenMissing(f"Maven with access to Maven Central; it said: {done.stdout[-400:].strip()}")
        unpack()
        (there / "complete").touch()
    return there
