"""The exec channel: a command of the member's for each notice.

The command gets the JSON of `shown` on its standard input, and in its environment what routes it: no content.
Exit code 0 is delivered, 75 (`EX_TEMPFAIL` of sysexits.h) is not now; any other is a failure that is tried
some times again, then the notice is a dead letter.  There is no shell: nothing that a notice says is ever
read as a command.  What the command prints is dropped, for it may be content.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from adapters.channels import LIVE_ALONE, ChannelRefused, ChannelUnavailable, Item
from adapters.channels.thread import OneAtATime
from adapters.receiving.shown import shown
from broker.core.errors import BadConfiguration
from broker.core.model import Status

TEMPORARY = 75
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class ExecChannel:
    """Runs a command for each delivery.

    Args:
        command: Program and arguments.
        folder: Where it runs.
        attempts: How often it may fail with one delivery.
        statuses: What is taken.
        name: The name in receipts.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        attempts: int = 3,
        statuses: frozenset[Status] = LIVE_ALONE,
        name: str = "exec",
    ) -> None:
        self.name = name
        self.statuses = statuses
        self._command = command
        self._folder = folder
        self._attempts = attempts
        self._failed = (0, 0)
        self._thread = OneAtATime(name)

    async def deliver(self, item: Item) -> None:
        """Return when the command has ended well.

        Raises:
            ChannelUnavailable: Not now, or it failed and may yet do better.
            ChannelRefused: It failed too often with this delivery.
        """
        code = await self._run(msgspec.json.encode(shown(item)), environment_of(item))
        if code == 0:
            return
        answer = f"exit-{code}" if code > 0 else f"signal-{-code}"
        if code != TEMPORARY:
            number, failures = self._failed
            failures = failures + 1 if number == item.number else 1
            self._failed = item.number, failures
            if failures >= self._attempts:
                raise ChannelRefused("the command failed with it", field=self.name, answer=answer)
        raise ChannelUnavailable("the command failed", field=self.name, answer=answer)

    async def _run(self, data: bytes, environment: Mapping[str, str]) -> int:
        # Started in one step: were this awaited, a cut in between would leave a process that nobody knows.
        process = self._start(data, environment)
        try:
            return await self._thread.run(process.wait)
        finally:
            # Too late, or the node stops.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _start(self, data: bytes, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        try:
            # A file in memory, not a pipe: whoever holds a pipe and does not read it holds up the writer, and
            # what left the command's group (`setsid`) does not end with it.
            with os.fdopen(os.memfd_create("delivery"), "w+b") as given:
                given.write(data)
                given.seek(0)
                return subprocess.Popen(  # noqa: S603 - the member's own command, without a shell
                    self._command,
                    cwd=self._folder,
                    env=environment,
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    # A group of its own, so that what the command started ends with it.
                    start_new_session=True,
                )
        except OSError as error:
            raise ChannelUnavailable(
                f"the command cannot be run: {error.strerror}", field=self.name, answer="not-run"
            ) from None

    async def check(self) -> str:
        """Say which program would run.

        Raises:
            BadConfiguration: There is none.
        """
        program = self._command[0]
        path = shutil.which(program if os.sep not in program else str(self._folder / program))
        if path is None:
            raise BadConfiguration("the command is not there, or may not be run", field=program)
        return f"{path} would run"


def environment_of(item: Item) -> dict[str, str]:
    """Return the command's environment: what routes a delivery, nothing of its content."""
    header = item.notice.header
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
        "HALONG_DELIVERY": item.id.hex(),
        "HALONG_REFERENCE": item.notice.reference,
        "HALONG_TYPE": header.notice_type,
        "HALONG_STATUS": header.status.name,
        "HALONG_ACT": header.act.name,
        "HALONG_TLP": header.tlp.name,
        "HALONG_ORIGINATOR": header.originator,
    }
