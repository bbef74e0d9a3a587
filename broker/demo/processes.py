"""The demo's processes: started, watched and ended by their ids, never by a name.

Each writes what it has to say into its own folder.  Whoever starts some uses a `Farm` as a context: at its
end, however that comes, every process that it started is gone.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from broker.core.errors import Unavailable

READY_SECONDS = 120.0
"""Many times what a start takes, after a kill on a cluster, too: a busy machine is slow."""

END_SECONDS = 10.0
COMMAND_SECONDS = 300.0
LOOK_SECONDS = 0.05
LAST_LINES = 4
READY = "ready"


class NotReady(Unavailable):
    """A process ended, or did not say that it is ready in time."""


def halong(*arguments: str) -> list[str]:
    """Return the command line of a `halong` command under this very interpreter."""
    return [sys.executable, "-m", "broker.cli", *arguments]


PORTS = range(15_000, 32_000)
"""Below those that the system gives to outgoing connections, which would take one away before it is used."""


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody listens on now, each another."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise NotReady("no port is free", field="port")


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    return free_ports(1)[0]


class Service:
    """A process that runs until it is ended."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, None when it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def started(self) -> bool:
        """Tell whether the process should run: it was started, and nobody has ended it."""
        return self._process is not None

    def start(self) -> None:
        """Start the process; `await_ready` says when it can be used."""
        with (self.folder / "output.txt").open("wb") as output, (self.folder / "log.jsonl").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own arguments
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=log, env=environment()
            )

    def await_ready(self) -> None:
        """Return once the process has said that it is ready.

        Raises:
            NotReady: It ended, or took too long.
        """
        until = time.monotonic() + READY_SECONDS
        output = self.folder / "output.txt"
        while not output.read_text(encoding="utf-8").startswith(READY):
            if self.pid is None:
                raise NotReady(f"{self.name} ended before it was ready{self._said()}", field=self.name)
            if time.monotonic() > until:
                raise NotReady(f"{self.name} was not ready after {READY_SECONDS:.0f} s", field=self.name)
            time.sleep(LOOK_SECONDS)

    def _said(self) -> str:
        """Return the last that the process said of itself, which is why it ended."""
        said = (self.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[-LAST_LINES:]
        return "".join(f"\n  {line}" for line in said)

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask_to_end(self) -> None:
        """Ask the process to end; `end` waits for it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def end(self) -> None:
        """End the process, if need be by force, and wait until it is gone."""
        self.ask_to_end()
        if self._process is not None:
            try:
                self._process.wait(END_SECONDS)
                self._process = None
            except subprocess.TimeoutExpired:
                self.kill()


class Farm:
    """All services of a demo; on leaving, none of them is left."""

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}

    def add(self, service: Service) -> Service:
        """Take a service under the farm's care."""
        self.services[service.name] = service
        return service

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for service in self.services.values():
                service.ask_to_end()
            for service in self.services.values():
                service.end()
        finally:
            # Also when somebody is too impatient to wait.
            for service in self.services.values():
                service.kill()


def ask(*arguments: str) -> Any:
    """Run a `halong` command that answers in JSON, and return its answer.

    Raises:
        NotReady: It failed, or took too long; names the command.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, our own arguments
            halong(*arguments, "--json"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            env=environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotReady(f"halong {arguments[0]} took too long", field=arguments[-1]) from None
    if not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotReady(
            f"halong {arguments[0]} failed: {said[0] if said else 'no reason given'}", field=arguments[-1]
        )
    return json.loads(done.stdout)


def environment() -> dict[str, str]:
    """Return the environment of the demo's processes: ours, without what would colour their words."""
    return {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
