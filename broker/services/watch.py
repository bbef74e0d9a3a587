"""What an operator watches that no event tells: looked at now and then, and put into the metrics.

Decides nothing.  What cannot be looked at now keeps its last value; that the log does not answer is told by
readiness.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from broker.clock import Clock
from broker.core.directory import Directory
from broker.log import Log, LogUnavailable
from broker.services.current import CurrentDirectory
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics

LOOK_SECONDS = 5.0
DISPATCHER = "dispatcher"


class Watch:
    """Looks, again and again.

    Args:
        log: Where the dispatcher's places are; None where no dispatcher runs.
        ledger: Knows what waits; None where members are not answered.
        directory: The version in force.
        clock: Tells the time.
        metrics: Where everything goes.
        folder: Whose disk it is.
        file: The embedded log's file.
        certificates: When each certificate in use ends.
    """

    def __init__(
        self,
        log: Log | None,
        ledger: Ledger | None,
        directory: CurrentDirectory,
        clock: Clock,
        metrics: Metrics,
        *,
        folder: Path,
        file: Path | None = None,
        certificates: Mapping[str, int] | None = None,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._directory = directory
        self._clock = clock
        self._metrics = metrics
        self._folder = folder
        self._file = file
        self._version = b""
        for name, ends_at in (certificates or {}).items():
            metrics.certificate_expiry.labels(name).set(ends_at / 1000)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            # Readiness says so; everything is looked at again in a moment.
            with contextlib.suppress(LogUnavailable):
                await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once.

        Raises:
            LogUnavailable: The log did not answer.
        """
        self._look_at_disk()
        self._look_at_directory(self._directory.value)
        if self._ledger is not None:
            self._look_at_pace(self._ledger)
        if self._log is not None:
            await self._look_at_places(self._log)

    def _look_at_disk(self) -> None:
        self._metrics.disk_free.set(shutil.disk_usage(self._folder).free)
        if self._file is not None and self._file.exists():
            self._metrics.log_size.set(self._file.stat().st_size)

    def _look_at_directory(self, directory: Directory) -> None:
        self._metrics.directory_expiry.set((self._directory.ends_at() or 0) / 1000)
        if directory.version == self._version:
            return
        self._version = directory.version
        metrics, now = self._metrics, self._clock.now()
        metrics.directory_members.set(len(directory.members))
        metrics.directory_agreements.set(len(directory.agreements))
        metrics.directory_at.clear()
        metrics.directory_at.labels(directory.version.hex()[:12]).set(now / 1000)
        metrics.key_expiry.clear()
        for id_, member in directory.members.items():
            ends = [key.valid_until for key in member.keys if key.valid_at(now)]
            ends += [key.valid_until for key in member.transport_keys if key.valid_at(now)]
            first = min((end for end in ends if end is not None), default=None)
            if first is not None:
                metrics.key_expiry.labels(id_).set(first / 1000)

    def _look_at_pace(self, ledger: Ledger) -> None:
        metrics, now = self._metrics, self._clock.now()
        for region, at in ledger.pace.published.items():
            metrics.published_at.labels(region).set(at / 1000)
        count, oldest = ledger.pace.uncovered()
        metrics.uncovered.set(count)
        metrics.uncovered_seconds.set(_age(now, oldest))
        for member, waiting, since in ledger.pace.waiting():
            metrics.member_waiting.labels(member).set(waiting)
            metrics.member_waiting_seconds.labels(member).set(_age(now, since))

    async def _look_at_places(self, log: Log) -> None:
        ends = await log.ends(["notices.*"], settled=False)
        places = await log.places(DISPATCHER)
        for partition, end in ends.items():
            behind = self._metrics.behind.labels(partition.topic, str(partition.number))
            behind.set(max(end - places.get(partition, 0), 0))


def _age(now: int, since: int | None) -> float:
    return 0 if since is None else max(now - since, 0) / 1000
