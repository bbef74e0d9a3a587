"""Keeps each stream in step with what the hub admitted of it.

Decides when a stream is left for another.  The node writes one stream a region; it asks the hub about it
before it signs anything after a start, and again whenever the dispatcher refused a number.
"""

from __future__ import annotations

from adapters.alarms import Alarms
from adapters.hub import Hub
from adapters.outgoing import Outgoing, Statement
from broker.clock import Clock
from broker.core.errors import Unavailable
from broker.core.model import Region
from broker.core.wire import StreamPosition


class Alignment:
    """Knows which streams are in step.

    Args:
        outgoing: The sending half of the store.
        hub: The hub.
        clock: Tells the time.
        alarms: Where a stream that had to be left is told.
    """

    def __init__(self, outgoing: Outgoing, hub: Hub, clock: Clock, alarms: Alarms) -> None:
        self._outgoing = outgoing
        self._hub = hub
        self._clock = clock
        self._alarms = alarms
        self._in_step: set[Region] = set()

    def doubt(self, region: Region) -> None:
        """Ask the hub again before anything more is signed in the region."""
        self._in_step.discard(region)

    async def ensure(self, region: Region) -> None:
        """Return when the region's stream is in step with the hub."""
        if region not in self._in_step:
            stream = self._outgoing.stream(region)
            self._align(region, await self._hub.stream(region, stream.name))

    async def after_refusal(self, statement: Statement, code: str, last: StreamPosition | None) -> None:
        """Act on the dispatcher's refusal of a number; `last` is what it admitted last of the stream."""
        region = statement.region
        stream = self._outgoing.stream(region)
        followed = self._outgoing.last_admitted(stream)
        self._outgoing.void(statement, code, self._clock.now())
        if statement.stream != stream.name:
            return
        self.doubt(region)
        self._align(region, last if last is not None else await self._hub.stream(region, stream.name))
        if self._outgoing.stream(region).name != stream.name:
            return
        if statement.previous == followed == self._outgoing.last_admitted(stream):
            # It followed what was admitted last, by our proofs and by the hub's word, and was refused all
            # the same: the hub was set back, and denies what it proved.
            self._leave(region, code)

    def _align(self, region: Region, last: StreamPosition) -> None:
        if last.statement is not None:
            name = _digest(last.statement)
            if self._outgoing.find(name) is None:
                # The hub is ahead: this store is new, or was set back.  What it would sign in this
                # stream could be what was signed before under the same number.
                self._leave(region, "out-of-order")
            else:
                self._outgoing.admit_through(name, self._clock.now())
        self._outgoing.realign(region)
        self._in_step.add(region)

    def _leave(self, region: Region, code: str) -> None:
        left = self._outgoing.stream(region)
        self._outgoing.open_another_stream(region)
        self._alarms.sound("stream.left", code, f"{region.slug}/{left.name}")


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Unavailable("the hub's answer is not of its shape", field="statement") from None
