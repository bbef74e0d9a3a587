"""What the node does of itself about the hub's log, again and again, whether or not deliveries come.

It cosigns what the hub asks members to cosign, if it has a witness key; and it sees that what the hub
delivered is covered by a checkpoint that a quorum of members has cosigned: a hub that shows each member a log
of its own gets no quorum.  Nothing waits for it: what is not covered within minutes is an alarm.

Decides which alarms sound.  What may be cosigned is in `judging`, how many are enough in `core.policy`.
"""

from __future__ import annotations

from typing import NoReturn

from adapters.equipment import Equipment
from adapters.hub import LogHub
from adapters.receiving.checks import check_checkpoint
from adapters.receiving.continuity import Continuity
from adapters.witness.judging import Denied, Submission
from adapters.witness.state import Witness
from broker.core.cosignature import CosignatureKey
from broker.core.errors import BadProof, NotCosigned, Refused, Stale, Unavailable
from broker.core.note import TreeHead
from broker.core.policy import Policy, network_policy, witness_name
from broker.core.signed_note import split_note
from broker.telemetry import logger_of

LOOK_SECONDS = 15.0
OVERDUE_MS = 300_000
"""How long a delivery may be without a quorum behind it: ten intervals of what is asked to be cosigned."""
REACHED_MS = 120_000
"""A hub that answered the feed so lately is there."""
SEEN_AS = "cosigned"

log_line = logger_of("witness")


class Rhythm:
    """Cosigns, and watches over what is cosigned.

    Args:
        equipment: What the node works with.
        hub: The hub.
        witness: The node's witness, None if it has no key for that.
        quorum: How many members must have cosigned; more than half of those with a key without it.
        policy: The member's own policy, instead of the network's.
    """

    def __init__(
        self,
        equipment: Equipment,
        hub: LogHub,
        witness: Witness | None = None,
        *,
        quorum: int | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._equipment = equipment
        self._hub = hub
        self._witness = witness
        self._quorum = quorum
        self._policy = policy
        self._store = equipment.store
        self._incoming = equipment.incoming
        self._clock = equipment.clock
        self._alarms = equipment.alarms
        self._log = equipment.log_key
        self._continuity = Continuity(equipment.incoming, equipment.hub, equipment.clock)
        self._given: TreeHead | None = None
        self._smaller = False

    async def run(self) -> NoReturn:
        """Look again and again; what fails is tried again, later and later."""
        patience, failures = self._equipment.patience, 0
        while True:
            try:
                await self.step()
            except (Unavailable, Refused) as error:
                failures += 1
                log_line.warning("witness.waits", code=error.code, field=error.field, attempt=failures)
                await patience.after_failure(failures)
            else:
                failures = 0
                await patience.rest(LOOK_SECONDS)

    async def step(self) -> None:
        """Cosign what is asked, and see what is covered.

        Raises:
            Unavailable: The hub, the store or the key is out of reach.
            Refused: The hub does not take what was cosigned, or shows what does not hold: the alarm sounded.
        """
        failed: Unavailable | Refused | None = None
        if self._witness is not None:
            try:
                await self._cosign(self._witness)
            except (Unavailable, Refused) as error:
                failed = error
        # Whatever became of our own cosignature, others may have given theirs.
        await self._cover()
        if failed is not None:
            raise failed

    async def policy(self) -> Policy:
        """Return the policy that counts now: the member's own, or the network's, as the directory has it."""
        if self._policy is not None:
            return self._policy
        directory = (await self._equipment.directories.newest()).directory
        now = self._clock.now()
        keys = {
            member: [
                CosignatureKey(witness_name(directory.network, member), key.public)
                for key in directory.witness_keys(member, now)
            ]
            for member in directory.members
        }
        return Policy.parse(network_policy(self._log, keys, self._quorum).encode())

    # --- cosigning ------------------------------------------------------------------------------------

    async def _cosign(self, witness: Witness) -> None:
        note = await self._hub.asked()
        latest = witness.latest()
        tree = None if note is None else self._opened(note)
        if note is None or tree is None or (latest is not None and tree.size < latest.size):
            await self._see_whether_it_shrank(latest)
            return
        self._smaller = False
        if tree == self._given:
            return
        old = 0 if latest is None else latest.size
        try:
            path = await self._hub.consistency(old, tree.size) if 0 < old < tree.size else []
        except BadProof:
            # The hub shows a tree, and says that it is in no log of its: nothing is signed for that.
            witness.accuse(note)
            raise
        line = await witness.add(Submission(old, tuple(path or ()), note))
        if isinstance(line, Denied):
            # Tree and path are both the hub's own: it cannot show that its log is the one that it was.
            witness.accuse(note)
            raise BadProof(line.why, field="checkpoint")
        text, _ = split_note(note)
        try:
            await self._hub.cosign(text + b"\n" + line.text.encode())
        except Stale:
            # Late: another is asked by now.
            log_line.info("witness.late", size=tree.size)
        self._given = tree

    async def _see_whether_it_shrank(self, latest: TreeHead | None) -> None:
        """Alarm when the hub's log is smaller than what was cosigned, at two looks in a row.

        Processes of one hub are not equally far, and the first may have asked one that is behind.
        """
        if latest is None:
            return
        note = await self._hub.checkpoint()
        smaller = note is None or self._opened(note).size < latest.size
        if smaller and self._smaller:
            self._alarms.sound("log.rolled-back", BadProof.code, "checkpoint")
        self._smaller = smaller

    def _opened(self, note: bytes) -> TreeHead:
        try:
            return self._log.open_checkpoint(note)
        except BadProof:
            self._alarms.sound("log.forked", BadProof.code, "checkpoint")
            raise

    # --- covering -------------------------------------------------------------------------------------

    async def _cover(self) -> None:
        policy = await self.policy()
        self._store.remember(cosigned_quorum=policy.least)
        if not policy.least:
            # Nobody is a witness yet: there is nothing to wait for.
            self._store.remember(uncovered_since=None)
            return
        try:
            note = await self._hub.cosigned(policy.least)
            if note is not None:
                await self._covered(note, policy)
        except (Unavailable, Refused):
            # A hub that answers the feed, and this not, must not hide that nobody cosigned what it delivers.
            if self._clock.now() - (self._store.fact("reached_at") or 0) < REACHED_MS:
                self._see_what_is_uncovered()
            raise
        self._store.remember(cosigned_checked_at=self._clock.now())
        self._see_what_is_uncovered()

    async def _covered(self, note: bytes, policy: Policy) -> None:
        try:
            cosigned = policy.check(note)
            check_checkpoint(note, self._log, None, self._incoming.root_at)
            known = self._store.fact("cosigned_size") or 0
            if cosigned.tree.size < known or note == self._store.fact("cosigned_note"):
                return
            await self._continuity.check(cosigned.tree, used=True)
        except NotCosigned:
            # Enough for the hub, perhaps by keys that count no more: it goes on without.
            return
        except BadProof:
            self._alarms.sound("log.forked", BadProof.code, "cosigned")
            raise
        self._incoming.see(SEEN_AS, cosigned.tree, note, self._clock.now())
        self._store.remember(cosigned_at=max(cosigned.times.values()), cosigned_note=note)

    def _see_what_is_uncovered(self) -> None:
        size = self._store.fact("cosigned_size") or 0
        row = self._store.row(
            "SELECT taken_at FROM deliveries WHERE size > ? AND leaf >= ? ORDER BY size LIMIT 1", size, size
        )
        since = None if row is None else row[0]
        overdue = since is not None and self._clock.now() - since > OVERDUE_MS
        if overdue and self._store.fact("uncovered_since") is None:
            self._alarms.sound("log.uncovered", NotCosigned.code, "checkpoint")
        self._store.remember(uncovered_since=since if overdue else None)
