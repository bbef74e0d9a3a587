"""Heads: the hub says every hour, in its log, how much it has put into our inbox; the node holds it to that.

A lane's numbers show a hole between two deliveries.  They show nothing when the hub cuts what came last, or
all of a lane, after it was decided.  A head does: it counts all deliveries that are in the log up to a
size, and chains their ids.  Decides whether a head is one, whether it agrees with what arrived, and when to
be alarmed: a delivery is missing behind it, it denies what was delivered, or it does not come.  None of
that stops the feed: what comes is proved by itself.

Source: docs/formats.md, "The hub's records".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from adapters.equipment import Equipment
from adapters.receiving.checks import check_checkpoint, check_included
from adapters.receiving.continuity import Continuity
from broker.core.errors import BadHead, HeadOverdue, MissingDelivery, Refused, TooMany, Unavailable
from broker.core.model import Head
from broker.core.note import LogKey, TreeHead
from broker.core.records import EMPTY_CHAIN, chained, decode, record_id
from broker.core.timely import COVERED_WITHIN_MS
from broker.core.wire import HeadAnswer
from broker.telemetry import logger_of

HEAD_LEAF = b"\x09"

ASK_SECONDS = 600.0
FIRST_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 60.0

SETTLE_MS = 120_000
"""How long a delivery may be under way after the head that counts it."""
STALL_MS = 3_600_000
"""How long the feed may say that more is coming, and bring nothing."""
OVERDUE_MS = 3 * 3_600_000
"""Heads are hourly, and a hub may be away for a while."""
REACHED_MS = 600_000

log_line = logger_of("heads")


@dataclass(frozen=True, slots=True)
class Judged:
    """What a head came to: whether it agrees with what arrived, and what was sounded, if anything was."""

    agrees: bool = False
    wrong: Refused | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Up to where a head was found to agree with what arrived: a tree's size, and all deliveries below it.

    `place` is behind the last of them.
    """

    size: int = 0
    deliveries: int = 0
    chain: bytes = EMPTY_CHAIN
    place: int = 0

    def after(self, deliveries: Iterable[bytes]) -> tuple[int, bytes]:
        """Return number and chain after further deliveries."""
        count, chain = self.deliveries, self.chain
        for each in deliveries:
            count, chain = count + 1, chained(chain, each)
        return count, chain


def check_head(answer: HeadAnswer, member: str, tree: TreeHead, log_key: LogKey, kept: Kept) -> Head:
    """Return the head in an answer, if it is one of ours and goes on from what was kept.

    Args:
        answer: What the hub answered; `check_checkpoint` let its checkpoint pass.
        member: Who we are.
        tree: The checkpoint's tree.
        log_key: The pinned key of the log.
        kept: The last head that agreed.

    Raises:
        NotCanonical: It is no head.
        BadProof: The log does not contain it.
        BadHead: It is another member's, speaks of what is to come, or takes back what an earlier one said.
    """
    assert answer.head is not None
    assert answer.checkpoint is not None
    # 1. The record has its one encoding, and the log contains it: the hub cannot take it back.
    head = decode(Head, answer.head)
    check_included(HEAD_LEAF + record_id(head), answer.inclusion, tree)
    assert answer.inclusion is not None
    # 2. It is about our inbox.
    if head.member != member:
        raise BadHead("the head is another member's", field="member")
    # 3. It speaks of a tree that was there when it was written.
    if head.size > answer.inclusion.index:
        raise BadHead("the head speaks of leaves that come after it", field="size")
    # 4. Its time is not later than the log's own: a head of tomorrow would hide that none comes today.
    if head.at > log_key.signed_at(answer.checkpoint) + COVERED_WITHIN_MS:
        raise BadHead("the head is dated forward", field="at")
    # 5. What an earlier head said stands: an inbox only grows, as the log does.
    if head.size < kept.size or head.deliveries < kept.deliveries:
        raise BadHead("the head is smaller than an earlier one", field="deliveries")
    return head


def check_arrived(head: Head, count: int, chain: bytes) -> None:
    """Let a head pass that agrees with what arrived.

    Args:
        head: What `check_head` let pass.
        count: How many deliveries arrived whose leaves are in the head's tree.
        chain: Their chain.

    Raises:
        MissingDelivery: The hub has put more into the inbox than it has handed out.
        BadHead: It denies what it has handed out.
    """
    # 1. What was decided for us and put into our inbox has arrived.
    if head.deliveries > count:
        raise MissingDelivery("deliveries are missing behind the head", field="deliveries")
    # 2. What has arrived is counted.
    if head.deliveries < count:
        raise BadHead("the head counts fewer deliveries than have arrived", field="deliveries")
    # 3. They are the same, in the same order.
    if head.chain != chain:
        raise BadHead("the head chains other deliveries than have arrived", field="chain")


class Heads:
    """Asks for heads, and holds them against what arrived.

    Args:
        equipment: What the node works with.
    """

    def __init__(self, equipment: Equipment) -> None:
        self._store = equipment.store
        self._incoming = equipment.incoming
        self._hub = equipment.hub
        self._member = equipment.identity.member
        self._log_key = equipment.log_key
        self._clock = equipment.clock
        self._patience = equipment.patience
        self._alarms = equipment.alarms
        self._continuity = Continuity(self._incoming, self._hub, self._clock)

    async def run(self) -> None:
        """Ask for ever; whatever fails is tried again, later and later."""
        failures = 0
        await self._patience.rest(FIRST_SECONDS)
        while True:
            try:
                agreed = await self.step()
            except (Unavailable, TooMany) as error:
                failures += 1
                log_line.warning("heads.wait", code=error.code, attempt=failures)
                await self._patience.after_failure(failures)
            else:
                failures = 0
                await self._patience.rest(ASK_SECONDS if agreed else LOOK_AGAIN_SECONDS)

    async def step(self) -> bool:
        """Ask for the newest head, and say whether it agrees with what arrived.

        Raises:
            Unavailable: The hub or the store does not answer now.
            TooMany: It asks to be asked more slowly.
        """
        return (await self.judge(self._clock.now(), ended=False)).agrees

    async def judge(self, at: int, *, ended: bool) -> Judged:
        """Ask for the newest head, and hold it against what arrived.

        Args:
            at: When the hub answers, in UTC milliseconds; for a stick a time before which it did not.
            ended: All that the feed had after that answer has arrived, so nothing is under way.

        Raises:
            Unavailable: The hub or the store does not answer now.
            TooMany: It asks to be asked more slowly.
        """
        if self._store.fact("heads_since") is None:
            self._store.remember(heads_since=at)
        try:
            answer = await self._hub.head()
            judged = Judged() if answer.head is None else await self._take(answer, at, ended=ended)
        except TooMany:
            raise
        except Refused as error:
            self._alarms.sound("head.bad", error.code, error.field or "")
            judged = Judged(wrong=error)
        finally:
            overdue = self._look_whether_overdue(at)
        return replace(judged, wrong=judged.wrong or overdue)

    async def _take(self, answer: HeadAnswer, at: int, *, ended: bool) -> Judged:
        tree = check_checkpoint(
            answer.checkpoint, self._log_key, self._incoming.last_seen("heads"), self._incoming.root_at
        )
        assert answer.checkpoint is not None
        kept = self.kept()
        head = check_head(answer, self._member, tree, self._log_key, kept)
        await self._continuity.check(tree, used=True)
        self._incoming.see("heads", tree, answer.checkpoint, self._clock.now())
        self._store.remember(head_at=max(head.at, self._store.fact("head_at") or 0))
        arrived = self._incoming.taken_since(kept.place)
        below = [each for each in arrived if each.leaf < head.size]
        try:
            check_arrived(head, *kept.after(each.id for each in below))
        except MissingDelivery as error:
            # What comes has the order of the log: once something later is here, nothing earlier will be.
            if ended or len(below) < len(arrived) or self._is_missing_for_long(at):
                self._alarms.sound("head.missing", error.code, str(head.size))
                return Judged(wrong=error)
            return Judged()
        self._store.remember(
            head_size=head.size,
            head_deliveries=head.deliveries,
            head_chain=head.chain,
            head_place=below[-1].place if below else kept.place,
            whole_at=head.at,
            missing_since=None,
        )
        return Judged(agrees=True)

    def kept(self) -> Kept:
        """Return up to where a head agreed with what arrived."""
        store = self._store
        return Kept(
            store.fact("head_size") or 0,
            store.fact("head_deliveries") or 0,
            store.fact("head_chain") or EMPTY_CHAIN,
            store.fact("head_place") or 0,
        )

    def _is_missing_for_long(self, at: int) -> bool:
        """Say whether what is missing should be here by now; a feed that goes on is given its time."""
        place = self._incoming.place()
        since = self._store.fact("missing_since")
        if since is None or place != self._store.fact("missing_place"):
            since = at
            self._store.remember(missing_since=at, missing_place=place)
        # That more is coming is the hub's word alone, so it is believed for a while only.
        patience = STALL_MS if self._store.fact("behind") else SETTLE_MS
        return bool(at - since >= patience)

    def _look_whether_overdue(self, at: int) -> HeadOverdue | None:
        """Be alarmed when no head of late is known, while the hub answers all else."""
        last = max(self._store.fact("head_at") or 0, self._store.fact("heads_since") or at)
        reached_at = self._store.fact("reached_at") or 0
        if at - last < OVERDUE_MS or at - reached_at >= REACHED_MS:
            return None
        self._alarms.sound("head.overdue", HeadOverdue.code)
        return HeadOverdue("no head of our inbox of late", field="head")
