"""The refresher: keeps the node's copy of the signed directory up to date while it runs.

Decides when the hub is asked and what is told about it; what of its answers is believed, `copy` decides.
A hub that is out of reach, or that hands out what is refused, leaves the last good version in force until its
timestamp ends; then nothing is sent or received any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

from adapters.alarms import Alarms
from adapters.directory.copy import Copy
from adapters.directory.own import CHANGE_FILE, intended, settle
from adapters.hub import DirectoryHub
from adapters.patience import Patience
from adapters.store import Store
from broker.aside import Aside
from broker.clock import Clock
from broker.core.errors import (
    BadConfiguration,
    DirectoryExpired,
    DirectoryWithheld,
    NotCanonical,
    NotYours,
    Refused,
    TooLarge,
    Unavailable,
)
from broker.core.wire import DirectoryFiles
from broker.directory.change import Change
from broker.telemetry import logger_of

T = TypeVar("T")

REFRESH_SECONDS = 60.0
LOOK_SECONDS = 1.0
TAKE_SECONDS = 60.0
FINAL = (BadConfiguration, NotYours, TooLarge, NotCanonical)
"""What the hub says about a change that no repetition makes better."""

log_line = logger_of("directory")


class Refresher:
    """Asks the hub for what is new.

    Args:
        hub: Who hands the directory out.
        copy: This node's copy.
        store: Where it is noted how old the copy is, for the health page and `halong doctor`.
        clock: Tells the time.
        patience: How long to wait after what.
    """

    def __init__(
        self, hub: DirectoryHub, copy: Copy, store: Store, clock: Clock, patience: Patience | None = None
    ) -> None:
        self._hub = hub
        self._copy = copy
        self._store = store
        self._clock = clock
        self._patience = patience or Patience()
        self._alarms = Alarms(store, clock)
        self._aside = Aside("the directory", TAKE_SECONDS)
        self._turn = asyncio.Lock()
        self._ends_at = 0

    async def run(self) -> None:
        """Refresh every minute, for ever; after a failure sooner, then later and later."""
        failures = 0
        while True:
            try:
                await self.refresh()
            except (Unavailable, Refused) as error:
                failures += 1
                log_line.warning("directory.waits", code=error.code, field=error.field, attempt=failures)
                await self._patience.after_failure(failures)
            else:
                failures = 0
                await self._rest()

    async def _rest(self) -> None:
        """Wait for the next refresh, or until a command has signed a change."""
        seconds = self._patience.spread(REFRESH_SECONDS)
        while seconds > 0 and not (self._copy.path / CHANGE_FILE).exists():
            await self._patience.rest(LOOK_SECONDS)
            seconds -= LOOK_SECONDS

    async def refresh(self) -> bool:
        """Take over the newest version, hand over what we signed ourselves, and say whether anything changed.

        Raises:
            Unavailable: The hub is out of reach.
            Refused: What it hands out is refused, with the code of what is wrong; an alarm tells of it.
        """
        async with self._turn:
            changed = await self._renew()
            change = intended(self._copy.path)
            if change is not None:
                await self._hand_over(change)
                changed |= await self._renew()
            return changed

    async def seek(self, version: bytes) -> None:
        """Get a version that something names: the newest, or a past one.

        Raises:
            Unavailable: The hub is out of reach.
            Refused: What it hands out is refused; an alarm tells of it.
        """
        async with self._turn:
            await self._renew()
            known = await self._version()
            if known == version:
                return
            answer = await self._hub.past_directory(version, known)
            if answer is not None:
                await self._believe(self._copy.take_past, version, _bytes(answer))

    async def known(self) -> tuple[bytes, Change | None]:
        """Return the newest version that is here, empty without one, and the change that still waits."""
        return await self._version(), intended(self._copy.path)

    async def check_vouched(self) -> None:
        """Let pass while the newest version is vouched for.

        Raises:
            DirectoryExpired: It is not any more, or there is none.
            Stalled: The copy does not answer.
        """
        if self._clock.now() < self._ends_at:
            return
        # A command may have renewed the copy.
        held = await self._aside.call(self._copy.held)
        self._ends_at = 0 if held is None else self._copy.ends_at(held)
        if self._clock.now() >= self._ends_at:
            raise DirectoryExpired("the directory is no longer vouched for", field="directory")

    def check_current(self, version: bytes, decided_at: int) -> None:
        """Refuse a version that was over for long when something was decided under it.

        Raises:
            DirectoryRolledBack: It was.
        """
        self._copy.seen.check_current(version, decided_at)

    async def _renew(self) -> bool:
        stamp = await self._hub.directory_timestamp()
        before = await self._version()
        if stamp == self._copy.timestamp():
            await self._believe(self._copy.check_held)
            self._note()
            return False
        answer = await self._hub.directory(before)
        took = await self._believe(self._copy.take, _bytes(answer))
        if took.signed_elsewhere:
            # It is the member's own signature; whether it is the member's own doing, a person must say.
            self._alarms.sound("directory.signed-elsewhere", DirectoryWithheld.code, str(took.newest.number))
        self._note()
        version = took.newest.version
        if version.directory.version == before:
            return False
        log_line.info("directory.taken", version=version.directory.version.hex(), sequence=version.number)
        return True

    async def _hand_over(self, change: Change) -> None:
        try:
            await self._hub.change_directory(change.write())
        except FINAL as error:
            self._alarms.sound("directory.change-refused", error.code, error.field or CHANGE_FILE)
            settle(self._copy.path, refused=True)
            raise
        # From now on the hub must show it.
        await self._aside.call(self._copy.acknowledge, change)

    async def _version(self) -> bytes:
        held = await self._aside.call(self._copy.held)
        return b"" if held is None else held.version.directory.version

    async def _believe(self, take: Callable[..., T], *arguments: object) -> T:
        try:
            return await self._aside.call(take, *arguments)
        except BadConfiguration as error:
            self._alarms.sound("directory.refused", error.code, error.field or "")
            raise

    def _note(self) -> None:
        """Note that the copy is what the hub has now."""
        held = self._copy.held()
        if held is not None:
            self._ends_at = self._copy.ends_at(held)
            self._store.remember(
                directory_version=held.version.directory.version.hex(),
                directory_checked_at=self._clock.now(),
                directory_expires_at=self._ends_at,
            )


def _bytes(answer: DirectoryFiles) -> Mapping[str, bytes]:
    return {name: text.encode() for name, text in answer.files.items()}
