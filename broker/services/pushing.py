"""Shows checkpoints to witnesses outside of the network, and collects what they cosign.

What is shown is what members are asked to cosign (`services.cosignatures`), and what comes back is kept
beside theirs.  Each witness has a task of its own: one that hangs or denies holds up neither the others nor
any delivery.  Several processes of a hub may show the same; what one of them has got, the others do not ask
for.

Decides what an answer means: 200 with a line of the witness's key is a cosignature; 409 says from which size
to go on; whatever cannot pass by itself (400, 403, 404, 422, a line that does not hold, a witness that has
seen more than this log has) is for somebody to look at; everything else is tried again, later and later.

Source: c2sp.org/tlog-witness, add-checkpoint.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from broker.core.cosignature import CosignatureKey
from broker.core.errors import BadProof, Unavailable
from broker.core.signed_note import Line, split_note
from broker.services.cosignatures import Asked, Cosignatures
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from broker.telemetry import logger_of

LOOK_SECONDS = 5.0
FIRST_SECONDS = 2.0
LONGEST_SECONDS = 300.0
MOST_ANSWER_BYTES = 16 * 1024
SIZE = re.compile(rb"(0|[1-9][0-9]{0,17})\n?")
FOR_PEOPLE = frozenset({400, 401, 403, 404, 405, 413, 422})
"""What asking again does not mend."""

log_line = logger_of("pushing")


class Unreached(Unavailable):
    """The witness did not answer, or not in a form that can be read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answered."""

    status: int
    body: bytes


Ask: TypeAlias = Callable[[bytes], Awaitable[Answer]]
"""Posts a submission to one witness; raises `Unreached` if no answer came."""


class Denied(Exception):
    """The witness does not cosign, and asking again mends nothing; `status` is its own, or 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Pusher:
    """Shows one witness what is to be cosigned.

    Args:
        key: The witness's key: what it says counts only by it.
        ask: Reaches it.
        cosignatures: Says what is to be cosigned, and keeps what comes back.
        ledger: Knows the paths from one tree to another.
        metrics: Where it is shown how far the witness has come, and whether it denies.
        sleep: Waits some seconds.
        chance: A number from 0 to 1, another each time.
    """

    def __init__(
        self,
        key: CosignatureKey,
        ask: Ask,
        cosignatures: Cosignatures,
        ledger: Ledger,
        metrics: Metrics,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._key = key
        self._ask = ask
        self._cosignatures = cosignatures
        self._ledger = ledger
        self._sleep = sleep
        self._chance = chance or secrets.SystemRandom().random
        self._size = metrics.outside_size.labels(key.name)
        self._denies = metrics.outside_denies.labels(key.name)
        self._old = 0

    async def run(self) -> NoReturn:
        """Show it what is new, again and again.

        Raises:
            LogUnavailable: What it cosigned could not be kept; run again.
        """
        failures = 0
        while True:
            try:
                await self.step()
            except Unreached:
                failures += 1
                log_line.warning("outside.waits", witness=self._key.name, attempt=failures)
            except Denied as denied:
                failures += 1
                self._denies.set(1)
                log_line.warning("outside.denied", witness=self._key.name, status=denied.status)
            else:
                failures = 0
            seconds = FIRST_SECONDS * 2 ** min(failures, 16) if failures else LOOK_SECONDS
            await self._sleep(min(seconds, LONGEST_SECONDS) * (0.5 + self._chance() / 2))

    async def step(self) -> bool:
        """Show what is to be cosigned now, unless it is cosigned already; say whether it was cosigned here.

        Raises:
            Unreached: The witness did not answer, or answered what may pass.
            Denied: It does not cosign, and somebody must see why.
            LogUnavailable: The log did not answer.
        """
        asked = self._cosignatures.asked_now()
        if asked is None or not asked.checkpoint.size or self._cosignatures.is_given(self._key, asked):
            return False
        answer = await self._ask(self._submission(asked, self._old))
        if answer.status == 409:
            size = _size(answer.body)
            if size > self._ledger.size:
                # Another process may have shown what this one has not read yet.
                await self._ledger.renew()
            if size > self._ledger.size:
                # Nobody but this log's key can have signed what it cosigned: this log is not all of it.
                raise Denied(409)
            if size > asked.checkpoint.size:
                # Another process of this hub was earlier; the next to be cosigned is larger.
                return False
            self._old = size
            answer = await self._ask(self._submission(asked, size))
        if answer.status != 200:
            if answer.status in FOR_PEOPLE:
                raise Denied(answer.status)
            raise Unreached("the witness did not cosign", field=self._key.name)
        await self._cosignatures.keep(self._key, asked, self._line(asked, answer.body))
        self._old = asked.checkpoint.size
        self._size.set(asked.checkpoint.size)
        self._denies.set(0)
        return True

    def _submission(self, asked: Asked, old: int) -> bytes:
        size = asked.checkpoint.size
        path = self._ledger.consistency(old, size) if 0 < old < size else []
        return submission(old, path or (), asked.checkpoint.note)

    def _line(self, asked: Asked, body: bytes) -> Line:
        """Return the witness's line; others that it sends along are passed over."""
        try:
            mine = self._key.lines_of(split_note(asked.text + b"\n" + body)[1])
            for line in mine:
                self._key.signed_at(line, asked.text)
        except BadProof:
            raise Denied(200) from None
        if not mine:
            raise Denied(200)
        return mine[0]


def submission(old: int, path: Sequence[bytes], note: bytes) -> bytes:
    """Return the body of add-checkpoint: the size cosigned last, the path from there, and the checkpoint."""
    lines = [f"old {old}", *(b64encode(each).decode() for each in path)]
    return "\n".join(lines).encode() + b"\n\n" + note


def _size(body: bytes) -> int:
    found = SIZE.fullmatch(body)
    if found is None:
        raise Unreached("no size came with the conflict")
    return int(found[1])
