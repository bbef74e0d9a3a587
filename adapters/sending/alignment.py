"""Keeps each stream in step with what the hub admitted of it.

Decides when a stream is left for another.  The node writes one stream a region; it asks the hub about it
before it signs anything after a start, and again whenever the dispatcher refused a number.
"""

from __future__ import annotations

from adapters.equipment import Equipment
from adapters.sending.recovery import Recovery
from adapters.sending.statement import Statement
from broker.core.errors import Unavailable
from broker.core.model import Region
from broker.core.wire import StreamPosition


class Alignment:
    """Knows which streams are in step.

    Args:
        equipment: What the node works with.
        recovery: Finds what of the waiting drafts was said by a later state of this store.
    """

    def __init__(self, equipment: Equipment, recovery: Recovery) -> None:
        self._recovery = recovery
        self._outgoing = equipment.outgoing
        self._hub = equipment.hub
        self._clock = equipment.clock
        self._alarms = equipment.alarms
        self._in_step: set[Region] = set()

    def doubt(self, region: Region) -> None:
        """Ask the hub again before anything more is signed in the region."""
        self._in_step.discard(region)

    async def ensure(self, region: Region) -> None:
        """Return when the region's stream is in step with the hub."""
        if region not in self._in_step:
            stream = self._outgoing.stream(region)
            await self._align(region, await self._hub.stream(region, stream.name))

    async def after_refusal(self, statement: Statement, code: str, last: StreamPosition | None) -> None:
        """Act on the dispatcher's refusal of a number; `last` is what it admitted last of the stream."""
        region = statement.region
        stream = self._outgoing.stream(region)
        followed = self._outgoing.last_admitted(stream)
        self._outgoing.void(statement, code, self._clock.now())
        if statement.stream != stream.name:
            return
        self.doubt(region)
        if last is None:
            last = await self._hub.stream(region, stream.name)
        await self._align(region, last)
        if self._outgoing.stream(region).name != stream.name:
            return
        if statement.previous == followed == self._outgoing.last_admitted(stream):
            # It followed what was admitted last, by our proofs and by the hub's word, and was refused all
            # the same: the hub was set back, and denies what it proved.
            self._leave(region, code)

    async def _align(self, region: Region, last: StreamPosition) -> None:
        if last.statement is not None:
            name = _digest(last.statement)
            if self._outgoing.find(name) is None:
                # The hub is ahead: this store is new, or was set back.  What it would sign in this
                # stream could be what was signed before under the same number.
                await self._admit_what_was(region, name)
                self._leave(region, "out-of-order")
            else:
                self._outgoing.admit_through(name, self._clock.now())
        self._outgoing.realign(region)
        self._in_step.add(region)

    async def _admit_what_was(self, region: Region, last: bytes) -> None:
        """Find what of the stream the hub admitted: a store that was set back would say it once more."""
        # What came before the last statement is told once that one is told: leaves and decisions keep
        # the order of the stream.
        status = await self._hub.statement(last)
        if status is None or not status.decided:
            raise Unavailable("the hub does not tell yet what it admitted", field="statement")
        live = self._outgoing.live(self._outgoing.stream(region))
        # Each follows the one before it, so the first few are admitted and the others are not.
        admitted, end = 0, len(live)
        while admitted < end:
            middle = (admitted + end) // 2
            status = await self._hub.statement(live[middle])
            if status is not None and status.decided:
                admitted = middle + 1
            else:
                end = middle
        if admitted:
            self._outgoing.admit_through(live[admitted - 1], self._clock.now())
        if admitted == len(live):
            await self._recovery.recognise(region)

    def _leave(self, region: Region, code: str) -> None:
        left = self._outgoing.stream(region)
        self._outgoing.open_another_stream(region)
        self._alarms.sound("stream.left", code, f"{region.slug}/{left.name}")


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Unavailable("the hub's answer is not of its shape", field="statement") from None
