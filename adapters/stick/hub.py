"""The hub of a node without network: it answers with what a stick brought, and with nothing else.

A `Hub` like the one over HTTP, so outbox, proving, runner and receipts do with its answers exactly what they
do online: nothing that a stick says is believed because it stands there.  What the stick has no answer to is
out of reach for now, and goes along as a question on the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from adapters.stick.file import Content, Counted, Fed, Listed, Settled, Stood, Taken, Told
from adapters.store import Store
from adapters.stored import stored
from broker.core.error_codes import error_of
from broker.core.errors import BadStick, Refused, Unavailable
from broker.core.model import Envelope, Region
from broker.core.records import decode, statement_id
from broker.core.wire import (
    DirectoryFiles,
    Feed,
    HeadAnswer,
    Outcome,
    Outcomes,
    StatementStatus,
    StreamPosition,
    read,
)
from broker.directory.roles import TIMESTAMP_NAME

STREAM_FACT = "stick/stream/"


class NotOnStick(Unavailable):
    """The stick has no answer to this; the next one asks."""


class StickHub:
    """What the hub said, as far as sticks brought it.

    Args:
        store: The node's store, which remembers where streams stand from one stick to the next.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._outcomes: dict[str, Outcome] = {}
        self._statuses: dict[str, StatementStatus] = {}
        self._taken: set[str] = set()
        self._refused: dict[str, str] = {}
        self._feed: Fed | None = None
        self._counted = HeadAnswer()
        self._listed: Listed | None = None
        self._past: dict[str, DirectoryFiles] = {}

    def begin(self) -> None:
        """Begin with another stick: what one says of the inbox counts for no other."""
        self._feed = None
        self._counted = HeadAnswer()

    def hear(self, line: Content) -> None:
        """Take in one line of a stick; a feed lasts until the next."""
        match line:
            case Taken():
                self._outcomes |= {each.statement: each for each in line.results if each.statement}
            case Told():
                self._statuses |= {each.statement: each for each in line.statements}
            case Stood():
                self.knows_stream(line.stream, line.position)
            case Settled():
                self._taken.update(line.taken)
                self._refused |= line.refused
            case Listed() if line.newest:
                self._listed = line
            case Listed():
                self._past[line.files.version] = line.files
            case Counted():
                self._counted = line.answer
            case Fed():
                self._feed = line
            case _:
                raise BadStick("a line that goes to the hub, not back from it", field="line")

    def knows_stream(self, stream: str, position: StreamPosition) -> None:
        """Remember where a stream of ours stands: `region/name`."""
        self._store.remember(**{STREAM_FACT + stream: msgspec.json.encode(position)})

    def knows(self, stream: str) -> bool:
        """Say whether it is known where a stream of ours stands."""
        return self._store.fact(STREAM_FACT + stream) is not None

    def forget_streams(self) -> None:
        """Remember of no stream where it stands: the hub is to be asked."""
        with self._store.write():
            self._store.run("DELETE FROM facts WHERE name >= ? AND name < ?", STREAM_FACT, "stick/stream0")

    async def publish(self, envelopes: Sequence[bytes]) -> Outcomes:
        """Tell what became of envelopes, as far as the stick knows: it may know the first few alone."""
        results: list[Outcome] = []
        for envelope in envelopes:
            outcome = self._outcome(statement_id(decode(Envelope, envelope).header).hex())
            if outcome is None:
                break
            results.append(outcome)
        if not results:
            raise NotOnStick("goes along with the next stick", field="notices")
        unsaid = len(envelopes) - len(results)
        return Outcomes([*results, *(Outcome(None, None, "not-attempted") for _ in range(unsaid))])

    def _outcome(self, statement: str) -> Outcome | None:
        status = self._statuses.get(statement)
        if status is not None and status.durable:
            return Outcome(statement, None, "accepted")
        return self._outcomes.get(statement)

    async def statement(self, statement: bytes) -> StatementStatus | None:
        """Tell how far a statement has come."""
        status = self._statuses.get(statement.hex())
        if status is None:
            raise NotOnStick("not on the stick", field="statement")
        return status

    async def statements(self, statements: Sequence[bytes]) -> Sequence[StatementStatus | None]:
        """Tell the same of several, up to the first that is not on the stick."""
        told: list[StatementStatus | None] = [await self.statement(each) for each in statements[:1]]
        for each in statements[1:]:
            status = self._statuses.get(each.hex())
            if status is None:
                break
            told.append(status)
        return told

    async def stream(self, region: Region, stream: str) -> StreamPosition:
        """Tell where a stream stands, as the last stick that told."""
        told: bytes | None = self._store.fact(f"{STREAM_FACT}{region.slug}/{stream}")
        if told is None:
            raise NotOnStick("the hub must first tell where the stream stands", field="stream")
        with stored("facts.value"):
            return read(told, StreamPosition)

    async def feed(self, after: int, limit: int, wait: float) -> Feed:  # noqa: ARG002 - nothing to wait for
        """Return what of the line that was heard last comes after a place."""
        if self._feed is None:
            raise NotOnStick("not on the stick", field="feed")
        feed = self._feed.feed
        items = [item for item in feed.items if item.place >= after]
        more = max(len(items) - limit, 0)
        return Feed(items[:limit], max(after, feed.next), feed.behind + more, feed.checkpoint, feed.covered)

    async def consistency(self, old: int, new: int) -> None:
        """Tell nothing: a stick carries the trees that the hub showed to whoever wrote it."""

    async def head(self) -> HeadAnswer:
        """Return the head that the stick brought, with nothing in it if it brought none."""
        return self._counted

    async def receipts(self, receipts: Sequence[bytes]) -> None:
        """Return if the hub has them all."""
        names = [sha256(each).hexdigest() for each in receipts]
        if all(name in self._taken for name in names):
            return
        if len(names) > 1:
            # As of a request of which one is at fault: then they are asked about one by one.
            raise BadStick("not all of these receipts were taken", field="receipts")
        code = self._refused.get(names[0])
        if code is None:
            raise NotOnStick("goes along with the next stick", field="receipts")
        error = error_of(code)
        raise (error or Refused)("the hub refused the receipt", field="receipts")

    async def checkpoint(self) -> bytes | None:
        """Return the checkpoint of the feed that was heard last."""
        return None if self._feed is None else self._feed.feed.checkpoint

    # --- the directory ----------------------------------------------------------------------------------

    async def directory_timestamp(self) -> bytes:
        """Return the timestamp of the newest version that a stick brought."""
        stamp = self._newest().files.files.get(TIMESTAMP_NAME)
        if stamp is None:
            raise BadStick("a directory without its timestamp", field="directory")
        return stamp.encode()

    async def directory(self, known: bytes) -> DirectoryFiles:  # noqa: ARG002 - it was asked for with it
        """Return the newest version that a stick brought."""
        return self._newest().files

    async def past_directory(self, version: bytes, known: bytes) -> DirectoryFiles | None:  # noqa: ARG002
        """Return a past version that the stick brought."""
        return self._past.get(version.hex())

    async def change_directory(self, change: bytes) -> bytes:  # noqa: ARG002 - the stick says what became of it
        """Say what the hub said of the change that went along."""
        code = None if self._listed is None else self._listed.refused
        if code is None:
            raise NotOnStick("goes along with the next stick", field="change")
        error = error_of(code)
        raise (error or Refused)("the hub refused the change", field="change")

    def _newest(self) -> Listed:
        if self._listed is None:
            raise NotOnStick("not on the stick", field="directory")
        return self._listed
