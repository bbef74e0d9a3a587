"""The directory as this node trusts it: the newest version, and any past one that a decision names.

Decides how often the source is looked at, and that a version which cannot be used leaves the last good one
in force.  Whether files are valid is the source's business (`broker.directory`); where versions come from
that are not here, the keeper's (`adapters.directory`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from broker.aside import Aside, Stalled
from broker.clock import Clock
from broker.core.directory import Directory
from broker.core.errors import BadConfiguration, BadHeader, Unavailable, WeakKey
from broker.core.index import Index
from broker.core.model import Region
from broker.telemetry import logger_of

KEPT_VERSIONS = 16
REFRESH_MS = 5_000
LOOK_SECONDS = 30.0
"""How long the source may take: its folder may lie on a network."""

log_line = logger_of("directory")


class DirectoryUnknown(Unavailable):
    """A decision names a version of the directory that this node does not hold (yet)."""


def first_region(directory: Directory, member: str) -> Region:
    """Return the region that a member's notices lead in if neither they nor the node's settings name one.

    Raises:
        BadHeader: The directory does not tell.
    """
    found = directory.members.get(member)
    if found is None or not found.regions:
        raise BadHeader("the member is not in the directory; name a region", field="region")
    return found.regions[0]


class Source(Protocol):
    """Where directories come from; calls may block."""

    def load(self) -> Directory:
        """Return the newest version.

        Raises:
            BadConfiguration: It cannot be used as it is.
        """
        ...

    def at(self, version: bytes) -> Directory | None:
        """Return a past version, or None if it was never held."""
        ...


class Keeper(Protocol):
    """Gets versions that are not here, and knows how long one counts."""

    async def seek(self, version: bytes) -> None:
        """Let the source have a version, if the hub has it.

        Raises:
            Unavailable: The hub is out of reach.
            Refused: What the hub hands out is refused.
        """
        ...

    async def check_vouched(self) -> None:
        """Let pass while the newest version is vouched for.

        Raises:
            DirectoryExpired: It is not any more.
        """
        ...

    def check_current(self, version: bytes, decided_at: int) -> None:
        """Refuse a version that was over for long when something was decided under it.

        Raises:
            DirectoryRolledBack: It was.
        """
        ...


class Directories:
    """The versions that this node holds, compiled once each.

    Args:
        source: Where versions come from.
        network: The network that every version must be of.
        log_key: The pinned key of the hub's log, which every version must name.
        clock: Tells when to look again.
        keeper: Keeps the source up to date, if it is a copy of the hub's.
    """

    def __init__(
        self, source: Source, network: str, log_key: str, clock: Clock, keeper: Keeper | None = None
    ) -> None:
        self._source = source
        self._aside = Aside("the directory", LOOK_SECONDS)
        self._network = network
        self._log_key = log_key
        self._clock = clock
        self._keeper = keeper
        self._kept: OrderedDict[bytes, Index] = OrderedDict()
        self._newest: Index | None = None
        self._looked_at = 0

    async def newest(self) -> Index:
        """Return the newest version.

        Raises:
            BadConfiguration: There never was one that could be used.
            Stalled: There never was one, and the source does not answer.
        """
        now = self._clock.now()
        if self._newest is None or not 0 <= now - self._looked_at < REFRESH_MS:
            await self._look()
            self._looked_at = now
        assert self._newest is not None
        return self._newest

    async def at(self, version: bytes) -> Index:
        """Return the version that a decision names; the hub is asked for one that is not here.

        Raises:
            DirectoryUnknown: It is nowhere: whatever names it must wait.
            Stalled: The source does not answer.
            Unavailable: The hub is out of reach.
            Refused: What the hub hands out is refused.
        """
        kept = self._kept.get(version)
        if kept is None:
            kept = await self._found(version)
        if kept is None and self._keeper is not None:
            await self._keeper.seek(version)
            kept = await self._found(version)
        if kept is None:
            raise DirectoryUnknown("a version of the directory that is not here", field=version.hex())
        self._kept.move_to_end(version)
        return kept

    async def check_vouched(self) -> None:
        """Let pass while the newest version is vouched for; before anything is sent or taken in.

        Raises:
            DirectoryExpired: It is not any more.
        """
        if self._keeper is not None:
            await self._keeper.check_vouched()

    def check_current(self, version: bytes, decided_at: int) -> None:
        """Refuse a version that was over for long when something was decided under it.

        Raises:
            DirectoryRolledBack: It was.
        """
        if self._keeper is not None:
            self._keeper.check_current(version, decided_at)

    async def _found(self, version: bytes) -> Index | None:
        """Return a version that is here, as the newest or as a past one."""
        await self._look()
        if version in self._kept:
            return self._kept[version]
        past = await self._past(version)
        return None if past is None else self._keep(past)

    async def _past(self, version: bytes) -> Directory | None:
        try:
            directory = await self._aside.call(self._source.at, version)
        except (BadConfiguration, WeakKey) as error:
            log_line.warning("directory.refused", code=error.code, field=error.field)
            return None
        if directory is None or directory.version != version or not self._is_of_our_log(directory):
            return None
        return directory

    def _is_of_our_log(self, directory: Directory) -> bool:
        return directory.network == self._network and directory.log_key == self._log_key

    async def _look(self) -> None:
        try:
            directory = await self._aside.call(self._source.load)
            if self._newest is None or directory.version != self._newest.directory.version:
                if not self._is_of_our_log(directory):
                    raise BadConfiguration(  # noqa: TRY301 (as if the source had refused it)
                        "the directory is of another network, or names another log key than the pinned one",
                        field="directory",
                    )
                self._newest = self._keep(directory)
                log_line.info(
                    "directory.in-force", version=directory.version.hex(), members=len(directory.members)
                )
        except (BadConfiguration, WeakKey, Stalled) as error:
            if self._newest is None:
                raise
            log_line.warning("directory.refused", code=error.code, field=error.field)

    def _keep(self, directory: Directory) -> Index:
        index = Index(directory) if self._newest is None else self._newest.updated(directory)
        self._kept[directory.version] = index
        while len(self._kept) > KEPT_VERSIONS:
            self._kept.popitem(last=False)
        return index
