"""The witness: it keeps a tree before it cosigns it, so that no crash lets it cosign another of that size.

Decides in which order things are done: judged, held against what the hub shows this node, kept, and only then
signed.  What may be cosigned is in `judging`; whom it tells, in `rhythm` and `server`.

Source: c2sp.org/tlog-witness; that it is judged and kept in one step is what the specification demands
against two requests at a time.
"""

from __future__ import annotations

from contextlib import suppress

from adapters.alarms import Alarms
from adapters.equipment import Equipment
from adapters.receiving.continuity import Continuity
from adapters.receiving.incoming import Incoming
from adapters.store import Store
from adapters.witness.judging import Cosignable, Denied, Submission, judge
from broker.aside import Aside
from broker.clock import Clock
from broker.core.cose_receipt import line_id
from broker.core.cosignature import Cosigner
from broker.core.errors import BadProof, Unavailable
from broker.core.keys import Signer
from broker.core.note import LogKey, TreeHead
from broker.core.policy import witness_name
from broker.core.signed_note import Line, merged, split_note
from broker.keyring import Elsewhere
from broker.telemetry import logger_of

SEEN_AS = "witness"
SIGNING_SECONDS = 30.0

log_line = logger_of("witness")


class Witness:
    """Cosigns the hub's log.

    Args:
        equipment: What the node works with.
        signer: The member's witness key.
    """

    def __init__(self, equipment: Equipment, signer: Signer) -> None:
        identity = equipment.identity
        self._cosigner = Cosigner(witness_name(identity.network, identity.member), signer)
        self._member = identity.member
        self._directories = equipment.directories
        self._aside = Aside("the witness key", SIGNING_SECONDS) if isinstance(signer, Elsewhere) else None
        self._store: Store = equipment.store
        self._incoming: Incoming = equipment.incoming
        self._continuity = Continuity(equipment.incoming, equipment.hub, equipment.clock)
        self._clock: Clock = equipment.clock
        self._alarms: Alarms = equipment.alarms
        self.log: LogKey = equipment.log_key

    @property
    def vkey(self) -> str:
        """The witness's key as others read it."""
        return self._cosigner.key.vkey

    def latest(self) -> TreeHead | None:
        """Return the tree that was kept last: cosigned, or about to be when the node was cut."""
        row = self._store.row("SELECT size, root FROM witnessed WHERE origin = ?", self.log.name)
        return None if row is None else TreeHead(*row)

    def latest_note(self) -> bytes | None:
        """Return the latest checkpoint with the cosignature that was given for it."""
        row = self._store.row("SELECT note FROM witnessed WHERE origin = ?", self.log.name)
        return None if row is None else row[0]

    async def add(self, submission: Submission) -> Line | Denied:
        """Cosign what is submitted, or say why not.

        Raises:
            Unavailable: The hub, the store or the key is out of reach, or the key is older than the store's
                return from a backup; nothing was signed.
        """
        await self._check_remembers()
        verdict, own = self._judge(submission), b""
        if isinstance(verdict, Cosignable):
            own = _by(self.log, submission.note)
        if isinstance(verdict, Cosignable) and verdict.tree.size:
            verdict = await self._beside_the_feed(verdict)
        if isinstance(verdict, Cosignable):
            with self._store.write():
                # Another may have come meanwhile: judged and kept is one step.
                verdict = self._judge(submission)
                if isinstance(verdict, Cosignable):
                    self._keep(verdict.tree, own)
        if isinstance(verdict, Denied):
            self._deny(verdict, submission)
            return verdict
        line = await self._signed(verdict.text)
        with self._store.write():
            # Only beside the tree that it is of: a larger one may stand there by now.
            self._store.run(
                "UPDATE witnessed SET note = ? WHERE origin = ? AND size = ?",
                merged(own, [line]), self.log.name, verdict.tree.size,
            )  # fmt: skip
        log_line.info("checkpoint.cosigned", size=verdict.tree.size)
        return line

    async def _check_remembers(self) -> None:
        """Let a key sign of which the store knows all that it cosigned.

        Raises:
            Unavailable: The store came from a backup: what the key cosigned since that was made is not known.
        """
        restored_at = self._store.fact("restored_at")
        if restored_at is None:
            return
        directory = (await self._directories.newest()).directory
        keys = directory.witness_keys(self._member, self._clock.now())
        mine = self._cosigner.key.public
        if not any(key.public == mine and key.valid_from > restored_at for key in keys):
            raise Unavailable("the store was restored: the witness needs another key", field="keys.witness")

    def _judge(self, submission: Submission) -> Cosignable | Denied:
        return judge(submission, self.log, self.latest(), self._incoming.root_at)

    async def _beside_the_feed(self, verdict: Cosignable) -> Cosignable | Denied:
        """Hold a tree against the largest that the hub has shown to this node: neither may deny the other."""
        try:
            await self._continuity.check(verdict.tree, used=True)
        except BadProof:
            return Denied(422, "the hub shows this node another history", forked=True)
        return verdict

    def _keep(self, tree: TreeHead, note: bytes) -> None:
        self._store.run(
            "INSERT INTO witnessed VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET size = excluded.size, root = excluded.root, note = excluded.note",
            self.log.name, tree.size, tree.root, note,
        )  # fmt: skip
        with suppress(BadProof):
            # Without its time it would stand in the way of the one that bears it.
            self.log.signed_at(note)
            self._incoming.see(SEEN_AS, tree, note, self._clock.now())

    def _deny(self, denied: Denied, submission: Submission) -> None:
        log_line.warning("checkpoint.denied", status=denied.status)
        if denied.forked:
            self.accuse(submission.note)

    def accuse(self, shown: bytes) -> None:
        """Keep a checkpoint that denies what was seen, beside the one that was cosigned, and alarm."""
        with self._store.write():
            self._store.run(
                "INSERT INTO contradictions (origin, at, kept, shown) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                self.log.name, self._clock.now(), self.latest_note() or b"", shown,
            )  # fmt: skip
        self._alarms.sound("log.forked", BadProof.code, "checkpoint")

    async def _signed(self, text: bytes) -> Line:
        now = self._clock.now()
        if self._aside is not None:
            return await self._aside.call(self._cosigner.cosign, text, now)
        return self._cosigner.cosign(text, now)


def _by(log: LogKey, note: bytes) -> bytes:
    """Return a note with the log's own lines alone: whoever submits it may add what others never signed."""
    text, lines = split_note(note)
    ids = (log.key_id, log.timing.key_id, line_id(log))
    own = {line.key_id: line for line in lines if line.name == log.name and line.key_id in ids}
    return text + b"\n" + "".join(line.text for line in own.values()).encode()
