"""The directory that is in force now, kept up to date from its source.

Decides when a version comes into force: after its members have inboxes and its files are in the
log, so that no decision names a version of which the log knows nothing.  Whether files are valid is
the source's business; a version that the source refuses, or does not give, leaves the last one in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from broker.aside import Aside, Stalled
from broker.core.directory import Directory
from broker.core.errors import BadConfiguration
from broker.core.records import directory_id
from broker.directory import Source
from broker.log import Log, Partition, Record
from broker.log.topics import DIRECTORY, hub_topics
from broker.telemetry import logger_of

READ_AT_ONCE = 1024
LOOK_SECONDS = 30.0
"""How long the source may take: its folder may lie on a network."""

log_line = logger_of("directory")


class CurrentDirectory:
    """Holds the version in force.

    Args:
        source: Where versions come from.
        log: Where topics are created and the files of each version are recorded.
        seconds: How often the source is looked at.
        ends_at: Tells until when the version that the source loaded last counts; None for ever.
    """

    def __init__(
        self,
        source: Source,
        log: Log,
        *,
        seconds: float = 2.0,
        ends_at: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._source = source
        self._aside = Aside("the directory", LOOK_SECONDS)
        self._log = log
        self._seconds = seconds
        self._ends_at = ends_at
        self._value: Directory | None = None
        self._files: Mapping[str, bytes] = {}
        self._recorded: set[bytes] | None = None
        self._watchers: list[Callable[[Directory], None]] = []

    @property
    def value(self) -> Directory:
        """The version in force.  Take it once for each thing that is decided."""
        if self._value is None:
            raise RuntimeError("refresh() first")
        return self._value

    def ends_at(self) -> int | None:
        """Return until when the version in force is vouched for, None if it counts for ever.

        Nothing is decided under one whose time is over: it may be one that somebody froze.
        """
        return self._ends_at()

    def watch(self, watcher: Callable[[Directory], None]) -> None:
        """Call `watcher` with each version that comes into force from now on."""
        self._watchers.append(watcher)

    async def refresh(self) -> bool:
        """Put the source's version into force if it is another, and say whether it was.

        Raises:
            BadConfiguration: The source cannot be used, or topics are there with other partitions.
            LogUnavailable: The log did not take the topics or the files.
            Stalled: The source does not answer.
        """
        directory = await self._aside.call(self._source.load)
        files = self._source.files()
        if self._value is not None and directory.version == self._value.version:
            # What vouches for the same version anew is a file, too.
            if files is not self._files:
                await self._record(files)
                self._files = files
            return False
        await self._log.create(hub_topics(directory.members))
        await self._record(files)
        self._value, self._files = directory, files
        log_line.info("directory.in-force", version=directory.version.hex(), members=len(directory.members))
        for watcher in self._watchers:
            watcher(directory)
        return True

    async def run(self) -> None:
        """Look at the source again and again."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.refresh()
            except (BadConfiguration, Stalled) as error:
                log_line.warning("directory.refused", code=error.code, field=error.field)

    async def _record(self, files: Mapping[str, bytes]) -> None:
        partition = Partition(DIRECTORY)
        if self._recorded is None:
            self._recorded = set()
            start = 0
            while found := await self._log.read(partition, start, READ_AT_ONCE):
                self._recorded |= {stored.key for stored in found}
                start = found[-1].offset + 1
        added = {
            directory_id(role, data): role.encode() + b"\0" + data for role, data in sorted(files.items())
        }
        records = [Record(partition, key, value) for key, value in added.items() if key not in self._recorded]
        if records:
            await self._log.append(records)
            self._recorded |= added.keys()
