"""Which checkpoints members are asked to cosign, and what came of it.

A busy log signs many checkpoints in a second, and witnesses that each took another would never agree on one.
So the last checkpoint of each interval, by the log's own time, is what all are asked to cosign: every process
of the hub finds the same one in the topic.  Deliveries wait for nothing of this.

Decides which cosignatures are kept, over what was asked: those of members, by keys that their entries list,
and those of witnesses outside, by keys that the hub's settings name (`pushing`).  Each is kept as a signed
note of its own in `audit.cosignatures`, which the sequencer does not follow.  How many are enough is for
whoever reads them: `core.policy`.

Source: c2sp.org/tlog-cosignature v1.0.0.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from broker.clock import Clock
from broker.core.cosignature import CosignatureKey
from broker.core.errors import Stale, TooLarge, UnknownKey
from broker.core.model import Checkpoint
from broker.core.policy import witness_name
from broker.core.records import unframe
from broker.core.signed_note import Line, merged, split_note
from broker.log import Log, Partition, Record, Stored
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_COSIGNATURES
from broker.services.current import CurrentDirectory
from broker.services.following import Tail
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from broker.telemetry import logger_of

INTERVAL_MS = 30_000
KEPT = 64
LOOK_BACK = 8192
LOOK_AGAIN_SECONDS = 5.0
MOST_LINES = 8
MOST_BODY_BYTES = 8 * 1024
OUTSIDE = "outside "
"""Before the name of a witness that is no member's, in keys of records; no member's id has a space."""
CHECKPOINTS, GIVEN = Partition(AUDIT_CHECKPOINTS), Partition(AUDIT_COSIGNATURES)

log_line = logger_of("cosignatures")


@dataclass(frozen=True, slots=True)
class Asked:
    """A checkpoint that members are asked to cosign; `text` is what they sign of it."""

    checkpoint: Checkpoint
    text: bytes


class Cosignatures:
    """Asks for cosignatures, takes them, and shows them.

    Args:
        log: Where they are kept.
        ledger: Knows what is published here.
        directory: Lists the witness keys of members.
        clock: Tells the time.
        metrics: Where they are counted.
    """

    def __init__(
        self, log: Log, ledger: Ledger, directory: CurrentDirectory, clock: Clock, metrics: Metrics
    ) -> None:
        self._log = log
        self._directory = directory
        self._clock = clock
        self._metrics = metrics
        self._latest: Checkpoint | None = None
        self._asked: OrderedDict[int, Asked] = OrderedDict()
        # By the text that they cover: they may be read before the checkpoint is.
        self._given: OrderedDict[bytes, dict[Line, str]] = OrderedDict()
        self._ledger = ledger

    def asked(self) -> bytes | None:
        """Return the checkpoint that is to be cosigned now, with what is known of it, if there is one."""
        newest = self.asked_now()
        return None if newest is None else self.shown(newest.checkpoint.note)

    def asked_now(self) -> Asked | None:
        """Return the checkpoint that is to be cosigned now, if there is one."""
        self._end_interval(self._clock.now())
        # What this process has not published yet it could not answer for.
        known = (each for each in reversed(self._asked.values()) if each.checkpoint.size <= self._ledger.size)
        return next(known, None)

    def cosigned(self, least: int) -> bytes | None:
        """Return the newest checkpoint that so many members have cosigned, None if there is none of late.

        Witnesses outside count for none: they must not make one look newest that members have not seen.
        """
        for asked in reversed(self._asked.values()):
            if self._members(asked) >= least:
                return self.shown(asked.checkpoint.note)
        return None

    def _members(self, asked: Asked) -> int:
        """Return how many members are known to have cosigned a checkpoint."""
        givers = set(self._given.get(asked.text, {}).values())
        return sum(not each.startswith(OUTSIDE) for each in givers)

    def is_given(self, key: CosignatureKey, asked: Asked) -> bool:
        """Say whether a witness's cosignature of a checkpoint is known here."""
        return bool(key.lines_of(self._given.get(asked.text, {})))

    async def keep(self, key: CosignatureKey, asked: Asked, line: Line) -> None:
        """Keep the cosignature of a witness outside, whose line was checked.

        Raises:
            LogUnavailable: The log did not answer.
        """
        await self._keep(OUTSIDE + key.name, asked.text, line)
        log_line.info("checkpoint.cosigned", witness=key.name, size=asked.checkpoint.size)

    def shown(self, note: bytes) -> bytes:
        """Return a checkpoint with all cosignatures that are known of it."""
        text, _ = split_note(note)
        # A note has room for so many lines: everybody's first comes before anybody's second, members' before
        # those of others, so that none can crowd the quorum out.
        counts = Counter[str]()
        ranked = []
        for line, giver in self._given.get(text, {}).items():
            ranked.append(((counts[giver], giver.startswith(OUTSIDE)), line))
            counts[giver] += 1
        return merged(note, [line for _, line in sorted(ranked, key=lambda each: each[0])])

    async def take(self, member: str, body: bytes) -> None:
        """Keep a member's cosignatures: the text of a checkpoint, and its lines.

        Raises:
            TooLarge: It is larger than a checkpoint with a member's lines.
            BadProof: It is no note, or a line of the member's key does not cover the text.
            Stale: Nobody is asked to cosign this text now.
            UnknownKey: No line is by a witness key that the member lists.
            LogUnavailable: The log did not answer.
        """
        # 1. Its size is that of a member's own lines.
        if len(body) > MOST_BODY_BYTES:
            raise TooLarge(f"a cosigned checkpoint has at most {MOST_BODY_BYTES} bytes", field="checkpoint")
        text, lines = split_note(body)
        # 2. It is what this log published, byte for byte, and asked to be cosigned lately.
        if all(asked.text != text for asked in self._asked.values()):
            raise Stale("not a checkpoint that is to be cosigned now", field="checkpoint")
        # 3. Some line is by a key of this member that counts now; all others are passed over.
        mine = [(key, line) for key in self._keys(member) for line in key.lines_of(lines)[:MOST_LINES]]
        if not mine:
            raise UnknownKey("no line is by a witness key of the member", field="witness")
        # 4. It is really by that key: what is shown to members must not spoil the note.
        for key, line in mine:
            key.signed_at(line, text)
        # 5. One of each key is enough; a repeat is no more than said again.
        given = self._given.get(text, {})
        by = {(each.name, each.key_id) for each in given}
        fresh = [line for _, line in mine if (line.name, line.key_id) not in by][:1]
        if not fresh:
            return
        await self._keep(member, text, fresh[0])
        log_line.info("checkpoint.cosigned", member=member)

    async def _keep(self, giver: str, text: bytes, line: Line) -> None:
        value = text + b"\n" + line.text.encode()
        await self._log.append([Record(GIVEN, giver.encode(), value)])
        self._metrics.cosignatures.inc()
        self._give(giver, value)

    async def run(self) -> None:
        """Read which checkpoints there are, and what was given at any process of the hub, until cancelled.

        Raises:
            LogUnavailable: The log did not answer; run again.
        """
        tails = [Tail(self._log, CHECKPOINTS), Tail(self._log, GIVEN)]
        while True:
            ends = await self._log.ends([AUDIT_CHECKPOINTS, AUDIT_COSIGNATURES])
            for tail in tails:
                end = ends.get(tail.partition, 0)
                # What is older nobody is shown any more.
                tail.next = max(tail.next, end - LOOK_BACK)
                async for found in tail.more(end):
                    self._read(found)
            self._tell()
            await self._log.wait(ends, LOOK_AGAIN_SECONDS)

    def _read(self, found: Sequence[Stored]) -> None:
        for stored in found:
            if stored.partition == GIVEN:
                self._give(stored.key.decode(), stored.value)
            else:
                self._published(unframe(Checkpoint, stored.value))

    def _keys(self, member: str) -> list[CosignatureKey]:
        directory = self._directory.value
        name = witness_name(directory.network, member)
        keys = directory.witness_keys(member, self._clock.now())
        return [CosignatureKey(name, key.public) for key in keys]

    def _give(self, giver: str, note: bytes) -> None:
        text, lines = split_note(note)
        given = self._given.setdefault(text, {})
        self._given.move_to_end(text)
        given.update(dict.fromkeys(lines, giver))
        while len(self._given) > KEPT:
            self._given.popitem(last=False)

    def _tell(self) -> None:
        """Tell by how far most members with a witness follow."""
        could = sum(1 for member in self._directory.value.members if self._keys(member))
        for asked in reversed(self._asked.values()):
            if could and self._members(asked) > could // 2:
                self._metrics.cosigned_at.set(asked.checkpoint.signed_at / 1000)
                return

    def _published(self, checkpoint: Checkpoint) -> None:
        self._end_interval(checkpoint.signed_at)
        if self._latest is None or checkpoint.size > self._latest.size:
            self._latest = checkpoint

    def _end_interval(self, now: int) -> None:
        """Ask for the latest checkpoint to be cosigned once its interval is over: then it stays the last."""
        latest = self._latest
        if latest is None or latest.size in self._asked:
            return
        if latest.signed_at // INTERVAL_MS < now // INTERVAL_MS:
            self._asked[latest.size] = Asked(latest, split_note(latest.note)[0])
            while len(self._asked) > KEPT:
                self._asked.popitem(last=False)
