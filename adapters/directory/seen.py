"""When this node first saw each version of the directory, so that it knows when the one before was over.

Decides until when a hub may decide under a version: ten minutes after this node has seen a newer one.  Later
it is a hub that froze its directory, or shows different ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from broker.core.errors import DirectoryRolledBack, NotCanonical
from broker.core.wire import json_shape, read
from broker.files import write_whole

SEEN = "seen.json"
MOST_SEEN = 4_096
SUPERSEDED_MS = 10 * 60 * 1000


class _Seen(NamedTuple):
    version: str
    number: int
    at: int | None


_SEEN = json_shape(list[_Seen])


class Seen:
    """The versions that were seen, in the order of their numbers; the oldest are forgotten.

    Args:
        path: The folder of the copy.
    """

    def __init__(self, path: Path) -> None:
        self._path = path / SEEN
        self._seen: list[_Seen] = []
        self._over_at: dict[bytes, int | None] = {}

    def read(self) -> None:
        """Read what is remembered; a file that is damaged remembers nothing, and lets pass."""
        try:
            found = read(self._path.read_bytes(), _SEEN)
        except (FileNotFoundError, NotCanonical):
            found = []
        self._arrange(found)

    def add(self, version: bytes, number: int, at: int | None) -> None:
        """Remember a version that came into force at `at`, or that is past."""
        if version in self._over_at:
            return
        self._arrange([*self._seen, _Seen(version.hex(), number, at)])
        write_whole(self._path, msgspec.json.encode(self._seen))

    def check_current(self, version: bytes, decided_at: int) -> None:
        """Refuse a version that was over for long when something was decided under it.

        Raises:
            DirectoryRolledBack: It was.
        """
        over_at = self._over_at.get(version)
        if over_at is not None and decided_at > over_at + SUPERSEDED_MS:
            raise DirectoryRolledBack(
                "decided under a directory that was over for more than ten minutes", field="directory"
            )

    def _arrange(self, seen: list[_Seen]) -> None:
        self._seen = sorted(seen, key=lambda each: each.number)[-MOST_SEEN:]
        over_at: dict[bytes, int | None] = {}
        earliest: int | None = None
        for each in reversed(self._seen):
            over_at[bytes.fromhex(each.version)] = earliest
            if each.at is not None:
                earliest = each.at if earliest is None else min(earliest, each.at)
        self._over_at = over_at
