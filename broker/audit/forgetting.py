"""Takes what is erased out of the index in the hub's folder, without waiting for a question.

An index says what it was made of, so it would lose erased contents with the next question; that may be next
year.  Decides when it is done: after each erasure, and after every start.  Nothing else in the index moves,
so the next question reads on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from broker.aside import Aside
from broker.audit.base import Base, IndexUnavailable
from broker.core.errors import BadConfiguration
from broker.core.model import Erasure
from broker.core.records import unframe
from broker.log import Log, Partition
from broker.log.topics import ERASURES
from broker.services.following import Tail
from broker.telemetry import logger_of

LOOK_AGAIN_SECONDS = 30.0
FORGETTING_SECONDS = 600.0

log_line = logger_of("index")


class Forgetting:
    """Follows what is erased.

    Args:
        path: Where an index is, if there is one.
        log: Where it is written what is erased.
    """

    def __init__(self, path: Path, log: Log) -> None:
        self._path = path
        self._log = log
        self._aside = Aside("the auditor's index", FORGETTING_SECONDS)
        self._erasures: Tail | None = None
        self._waiting: set[bytes] = set()

    async def run(self) -> NoReturn:
        """Forget what is erased, until cancelled.

        Raises:
            LogUnavailable: The log did not answer; run again.
        """
        while True:
            ends = await self._log.ends([ERASURES])
            await self.step()
            await self._log.wait(ends, LOOK_AGAIN_SECONDS)

    async def step(self) -> None:
        """Forget what was erased since the last time, or since the index was there.

        Raises:
            LogUnavailable: The log did not answer.
            NotCanonical: A record cannot be read.
        """
        partition = Partition(ERASURES)
        end = (await self._log.ends([ERASURES])).get(partition, 0)
        try:
            if self._erasures is None:
                start = await self._aside.call(place_of, self._path, partition)
                self._erasures = Tail(self._log, partition)
                self._erasures.next = end if start is None else start
            async for found in self._erasures.more(end):
                self._waiting |= {unframe(Erasure, each.value).statement for each in found}
            if self._waiting:
                await self._aside.call(forget, self._path, tuple(self._waiting))
                self._waiting.clear()
        except IndexUnavailable as error:
            # Somebody asks, or the disk refuses: what is to be forgotten is known, and tried again.
            log_line.warning("index.waits", code=error.code)


def place_of(path: Path, partition: Partition) -> int | None:
    """Return how far an index has read a partition, None if there is no index.

    Raises:
        IndexUnavailable: It cannot be read now.
    """
    base = _there(path)
    if base is None:
        return None
    try:
        row = base.row("SELECT next FROM place WHERE topic = ? AND number = ?", *partition)
    finally:
        base.close()
    return 0 if row is None else int(row[0])


def forget(path: Path, statements: Collection[bytes]) -> None:
    """Take the contents of statements out of an index, if there is one.

    Raises:
        IndexUnavailable: It cannot be written now.
    """
    base = _there(path)
    if base is None:
        return
    try:
        with base.step():
            gone = sum(base.forget(each) for each in statements)
        if gone:
            base.tidy()
    finally:
        base.close()


def _there(path: Path) -> Base | None:
    try:
        return Base.there(path)
    except BadConfiguration:
        return None
