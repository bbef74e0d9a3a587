"""The hub's directory as members get at it: handed out, changed, and vouched for.

Decides who gets which file (an agreement's text goes to its parties alone), that a member changes its own
role and nothing else, and when the timestamp is made anew.  What a version is, and whether a change may come
next, is decided in `broker.directory`; when a version comes into force, in `current`.
"""

from __future__ import annotations

import asyncio
from functools import partial

from broker.aside import Aside
from broker.clock import Clock
from broker.core.errors import (
    BadConfiguration,
    DirectoryExpired,
    DirectoryMixed,
    NotYours,
    TooMany,
    Unavailable,
)
from broker.core.keys import Signer
from broker.core.wire import DirectoryFiles
from broker.directory.change import Change
from broker.directory.handing import readable
from broker.directory.repository import Repository
from broker.directory.roles import (
    LIFE,
    ROOT,
    TIMESTAMP,
    TIMESTAMP_NAME,
    metadata_name,
    role_of_member,
)
from broker.directory.signed import SignedDirectory
from broker.directory.versions import Newest, Version
from broker.services.current import CurrentDirectory
from broker.services.rate import Rate
from broker.telemetry import logger_of

RENEW_MS = LIFE[TIMESTAMP] // 2
"""How long before its end a timestamp is made anew."""

LOOK_SECONDS = 300.0
CALL_SECONDS = 30.0
CHANGES_AT_ONCE = 30
CHANGES_A_SECOND = 1 / 60

log_line = logger_of("registry")


class Registry:
    """Hands out the directory and takes changes.

    Args:
        repository: The hub's copy.
        source: The same, as it is read.
        directory: The version in force.
        clock: Tells the time.
        online: The hub's key for snapshot and timestamp; None where this process has not got it.
    """

    def __init__(
        self,
        repository: Repository,
        source: SignedDirectory,
        directory: CurrentDirectory,
        clock: Clock,
        online: Signer | None,
    ) -> None:
        self._repository = repository
        self._files = repository.files
        self._source = source
        self._directory = directory
        self._clock = clock
        self._online = online
        self._aside = Aside("the directory", CALL_SECONDS)
        self._rate = Rate(CHANGES_A_SECOND, CHANGES_AT_ONCE)

    @property
    def takes_changes(self) -> bool:
        """Say whether this process can sign what makes a change a version."""
        return self._online is not None

    # --- what members ask -----------------------------------------------------------------------------

    async def timestamp(self) -> bytes:
        """Return the timestamp as it is now.

        Raises:
            DirectoryMixed: There is none.
        """
        stamp = await self._aside.call(self._files.get, TIMESTAMP_NAME)
        if stamp is None:
            raise DirectoryMixed("there is no timestamp", field=TIMESTAMP)
        return stamp

    async def newest(self, member: str, known: bytes) -> DirectoryFiles:
        """Return the newest version for a member, without what a version that it knows has."""
        return await self._aside.call(self._newest_for, member, known)

    async def past(self, member: str, version: bytes, known: bytes) -> DirectoryFiles | None:
        """Return a past version for a member, without what a version that it knows has; None without it."""
        return await self._aside.call(self._past_for, member, version, known)

    def _newest_for(self, member: str, known: bytes) -> DirectoryFiles:
        newest = self._look()
        return self._answer(newest.version, member, known, {TIMESTAMP_NAME: newest.stamp})

    def _look(self) -> Newest:
        try:
            self._source.load()
        except DirectoryExpired:
            # Its readers will say so; that it is handed out does no harm.
            if self._source.newest is None:
                raise
        newest = self._source.newest
        assert newest is not None
        return newest

    def _past_for(self, member: str, version: bytes, known: bytes) -> DirectoryFiles | None:
        found = self._source.version(version)
        return None if found is None else self._answer(found, member, known, {})

    def _answer(self, version: Version, member: str, known: bytes, more: dict[str, bytes]) -> DirectoryFiles:
        has = self._source.version(known) if known else None
        wanted = readable(version, member) - (frozenset() if has is None else has.names)
        wanted |= {metadata_name(ROOT, each) for each in range(1, version.lines[ROOT].number + 1)}
        files = {name: self._files[name] for name in sorted(wanted)} | more
        return DirectoryFiles(
            version.directory.version.hex(), {name: data.decode() for name, data in files.items()}
        )

    # --- what members change --------------------------------------------------------------------------

    async def take(self, member: str, data: bytes) -> bytes:
        """Put a member's change of its own role into force, and return the version that has it.

        Raises:
            TooMany: It changes its role all the time.
            NotYours: It is a change of another role.
            BadConfiguration: It is not the next of the role.
            UnfitDirectory: It is not signed, is malformed, or makes no version that a reader would take.
        """
        if not self._rate.take(member, self._clock.now()):
            raise TooMany("the member changes its role all the time", field="change")
        change = Change.read(data)
        # 1. Of its own role alone: root and targets are the secretariat's, who brings them by hand.
        if change.role != role_of_member(member):
            raise NotYours("a member changes its own role alone", field="role")
        assert self._online is not None
        # 2. All else is what every reader would look at.
        newest = await self._aside.call(self._repository.take, [change], self._online, self._clock.now())
        log_line.info("directory.changed", member=member, version=newest.version.directory.version.hex())
        await self._directory.refresh()
        return newest.version.directory.version

    # --- that it is vouched for ------------------------------------------------------------------------

    async def run(self) -> None:
        """Make the timestamp anew in time, again and again; whatever fails is tried again."""
        while True:
            try:
                await self.renew()
            except (BadConfiguration, Unavailable) as error:
                log_line.critical("directory.not-renewed", code=error.code, field=error.field)
            await asyncio.sleep(LOOK_SECONDS)

    async def begin(self) -> None:
        """Vouch for the directory at the start: it may be from a backup, or nobody may have for days.

        If that fails, what is there counts until it ends.
        """
        if self._online is None:
            return
        renew = partial(self._repository.renew, afresh=True)
        try:
            await self._aside.call(renew, self._online, self._clock.now())
            log_line.info("directory.renewed")
        except (BadConfiguration, Unavailable) as error:
            log_line.critical("directory.not-renewed", code=error.code, field=error.field)

    async def renew(self) -> bool:
        """Make the timestamp anew if half of its life is over, and say whether it was.

        Raises:
            BadConfiguration: There is no directory, or our key is not the one that the root names.
            Unavailable: The key or the folder does not answer.
        """
        if self._online is None:
            return False
        newest = await self._aside.call(self._repository.newest)
        if newest is not None and self._clock.now() < newest.vouched_until - RENEW_MS:
            return False
        await self._aside.call(self._repository.renew, self._online, self._clock.now())
        log_line.info("directory.renewed")
        return True
