"""A terminal for stories: commands are typed as in the manual, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from broker.demo.processes import Farm, Service, halong

SECONDS = 90


class Said(NamedTuple):
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs commands in one folder; services run until the farm ends.

    Args:
        folder: Where everything is.
        farm: Ends what was started.
    """

    def __init__(self, folder: Path, farm: Farm) -> None:
        self.folder = folder
        self.farm = farm

    def __call__(self, line: str, *more: str, **environment: str) -> Said:
        """Type a line and wait for its end; `more` are words that contain spaces."""
        done = subprocess.run(
            halong(*line.split()[1:], *more),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, "NO_COLOR": "1", **environment},
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def ok(self, line: str, *more: str) -> Said:
        """Type a line that must hold."""
        said = self(line, *more)
        assert said.code == 0, f"{line}\n{said.out}\n{said.err}"
        return said

    def run(self, line: str) -> Service:
        """Type a line that runs until it is ended, and wait until it says that it is ready."""
        folder = self.folder / line.split()[-1]
        service = self.farm.add(Service(folder.name, halong(*line.split()[1:-1], str(folder)), folder))
        service.start()
        service.await_ready()
        return service

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; fail when it takes too long."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < deadline, "it does not come"
            time.sleep(0.1)
