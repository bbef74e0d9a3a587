"""What a node asks of its hub, whatever carries the questions.

`client` carries them over HTTP.  Nothing that a hub answers is believed: see `checks`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from broker.core.model import Region
from broker.core.wire import DirectoryFiles, Feed, HeadAnswer, Outcomes, StatementStatus, StreamPosition

PLAIN = re.compile(r"[A-Za-z0-9_.:/\[\] -]{1,128}")


def plain(text: str | None) -> str | None:
    """Return what a hub said as it may be kept and shown, or None: it could say anything."""
    return text if text is not None and PLAIN.fullmatch(text) else None


class Hub(Protocol):
    """The hub as its member sees it.

    Every call may raise `Unavailable` (ask again; a publication may have been taken or not), or the
    `Refused` whose code the hub answered with.
    """

    async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
        """Hand over encoded envelopes in the order of their numbers."""
        ...

    async def statement(self, statement: bytes) -> StatementStatus | None:
        """Tell how far one's own statement has come; None if the hub does not know it."""
        ...

    async def statements(self, statements: Sequence[bytes]) -> Sequence[StatementStatus | None]:
        """Tell the same of several, in their order; perhaps not of all of them, but of the first."""
        ...

    async def stream(self, region: Region, stream: str) -> StreamPosition:
        """Tell the last admitted statement of one's own stream."""
        ...

    async def feed(self, after: int, limit: int, wait: float) -> Feed:
        """Return what comes after a place; wait up to `wait` seconds for it."""
        ...

    async def head(self) -> HeadAnswer:
        """Return the newest head of one's own inbox, with nothing in it where none is known."""
        ...

    async def receipts(self, receipts: Sequence[bytes]) -> None:
        """Hand over encoded signed receipts."""
        ...

    async def consistency(self, old: int, new: int) -> list[bytes] | None:
        """Return the path that shows that the tree of `new` leaves continues that of `old`.

        None where nothing can be asked: what the hub said came by stick.

        Raises:
            BadProof: The hub has no tree of that size.
        """
        ...

    async def checkpoint(self) -> bytes | None:
        """Return the latest checkpoint, or None before the first."""
        ...


class LogHub(Protocol):
    """The hub as its members' witnesses see it.

    Every call may raise `Unavailable`, or the `Refused` whose code the hub answered with.
    """

    async def checkpoint(self) -> bytes | None:
        """Return the latest checkpoint, or None before the first."""
        ...

    async def consistency(self, old: int, new: int) -> list[bytes] | None:
        """Return the path that shows that the tree of `new` leaves continues that of `old`.

        Raises:
            BadProof: The hub has no tree of that size.
        """
        ...

    async def asked(self) -> bytes | None:
        """Return the checkpoint that members are asked to cosign now; None before the first."""
        ...

    async def cosigned(self, least: int) -> bytes | None:
        """Return the newest checkpoint that so many members have cosigned; None if there is none of late."""
        ...

    async def cosign(self, note: bytes) -> None:
        """Hand over a checkpoint's text with a line of our own."""
        ...


class DirectoryHub(Protocol):
    """The hub as it hands out the signed directory.  `known` is a version that the asker has, or nothing.

    Every call may raise `Unavailable`, or the `Refused` whose code the hub answered with.
    """

    async def directory_timestamp(self) -> bytes:
        """Return the timestamp of the signed directory as it is now."""
        ...

    async def directory(self, known: bytes) -> DirectoryFiles:
        """Return the newest version, without what the known one has."""
        ...

    async def past_directory(self, version: bytes, known: bytes) -> DirectoryFiles | None:
        """Return a past version, without what the known one has; None if the hub does not know it."""
        ...

    async def change_directory(self, change: bytes) -> bytes:
        """Hand over a signed change of the member's own role; return the version that has it."""
        ...
