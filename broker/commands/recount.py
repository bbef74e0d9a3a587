"""Reads a stored log back and says what happened, and whether the log still proves it.

Uses nothing that the hub remembers: only the topics, and the log's public key.  Counted is what the last
signed checkpoint covers; what came later is `waiting`.  What is found wrong becomes a `Finding`, and the
reading goes on, so that one broken record does not hide the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from broker.core.errors import BadDelivery, BadDisclosure, BadProof, HalongError, NotCanonical, Refused
from broker.core.merkle import EMPTY_ROOT, Tree, leaf_hash
from broker.core.model import (
    Checkpoint,
    Decision,
    Delivery,
    DeliveryHead,
    Envelope,
    Event,
    Header,
    Leaf,
    Receipt,
    Refusal,
    SignedReceipt,
)
from broker.core.note import LogKey
from broker.core.records import content_digest, decode, unframe
from broker.core.sealing import check_seals
from broker.core.slots import slot_digest
from broker.core.timely import check_timely
from broker.log import Log, Partition, Stored
from broker.log.topics import (
    AUDIT_CHECKPOINTS,
    AUDIT_LEAVES,
    DECISIONS,
    DIRECTORY,
    FOLLOWED,
    RECEIPTS,
    REFUSALS,
)
from broker.services.following import Tail
from broker.services.sequencer import entry_of

INBOX = "inbox."
NOTICES = "notices."
FINDINGS_KEPT = 100

Progress = Callable[[int, int], None]
"""Called with how many records were read of how many."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit: where it stands, what is wrong with it, and the code if it has one."""

    where: str
    what: str
    code: str | None = None


@dataclass(slots=True)
class Recount:
    """What the stored log says.  `published` counts admitted statements."""

    published: int = 0
    delivered: int = 0
    refused: int = 0
    leaves: int = 0
    root: bytes = EMPTY_ROOT
    checkpoints: int = 0
    waiting: int = 0
    members: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    receipts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Tell whether there was a checkpoint, and nothing contradicts it."""
        return self.checkpoints > 0 and not self.findings


async def recount(log: Log, key: LogKey, progress: Progress = lambda _read, _of: None) -> Recount:
    """Read the whole log.

    Raises:
        LogUnavailable: The log does not answer.
        BadConfiguration: There is no log.
    """
    auditor = _Auditor(log, progress)
    # Checkpoints first: whatever they cover is then there to be read, also while the hub runs on.
    signed = await read_checkpoints(log, key, auditor.add)
    await auditor.read_leaves(signed)
    await auditor.read_records()
    auditor.compare_decisions()
    return auditor.result


class Signed(NamedTuple):
    """A checkpoint as the log's key signed it, and when."""

    size: int
    root: bytes
    signed_at: int


def _finding(where: str, what: str | HalongError) -> Finding:
    return Finding(where, str(what), what.code if isinstance(what, HalongError) else None)


async def _records(log: Log, partition: Partition) -> AsyncIterator[Sequence[Stored]]:
    end = (await log.ends([partition.topic])).get(partition, 0)
    async for found in Tail(log, partition).more(end):
        yield found


async def read_checkpoints(log: Log, key: LogKey, add: Callable[[Finding], None]) -> Sequence[Signed]:
    """Return every checkpoint that the log's key signed, in order; what is wrong with one is a finding.

    Raises:
        LogUnavailable: The log does not answer.
    """
    signed: list[Signed] = []
    async for found in _records(log, Partition(AUDIT_CHECKPOINTS)):
        for stored in found:
            where = f"{AUDIT_CHECKPOINTS} at {stored.offset}"
            try:
                checkpoint = unframe(Checkpoint, stored.value)
                size, root = key.open_checkpoint(checkpoint.note)
                signed_at = key.signed_at(checkpoint.note)
            except (NotCanonical, BadProof) as error:
                add(_finding(where, error))
                continue
            if (size, root) != (checkpoint.size, checkpoint.root):
                add(_finding(where, "the signed note says another size or root than the record"))
            if signed_at != checkpoint.signed_at // 1000 * 1000:
                add(_finding(where, "the signed note says another time than the record"))
            if signed and size < signed[-1].size:
                add(_finding(where, "the tree shrank"))
            if signed and signed_at < signed[-1].signed_at:
                add(_finding(where, "the log's time went back"))
            signed.append(Signed(size, root, signed_at))
    return signed


class _Auditor:
    def __init__(self, log: Log, progress: Progress) -> None:
        self.result = Recount()
        self._log = log
        self._progress = progress
        self._expected: dict[Partition, dict[int, bytes]] = {}
        # Statements with the digests of their signatures: sent twice, one may be signed twice.
        self._statements: dict[bytes, set[bytes]] = {}
        self._decided: dict[bytes, tuple[bytes, tuple[tuple[str, bytes], ...]]] = {}
        self._delivered: dict[tuple[str, bytes], bool] = {}
        self._receipted: set[tuple[Event, bytes]] = set()
        # When the log signed the first checkpoint over a decision, by the decision's offset.
        self._taken_in: dict[int, int] = {}

    def _finding(self, where: str, what: str | HalongError) -> None:
        self.add(_finding(where, what))

    def add(self, finding: Finding) -> None:
        """Keep a finding, if there is room."""
        if len(self.result.findings) < FINDINGS_KEPT:
            self.result.findings.append(finding)

    async def _read(self, partition: Partition) -> list[Stored]:
        return [stored async for found in _records(self._log, partition) for stored in found]

    async def read_leaves(self, signed: Sequence[Signed]) -> None:
        """Build the tree again, and hold every signed root against it."""
        tree = Tree()
        first = 0
        for stored in await self._read(Partition(AUDIT_LEAVES)):
            try:
                leaf = unframe(Leaf, stored.value)
            except NotCanonical as error:
                self._finding(f"{AUDIT_LEAVES} at {stored.offset}", error)
                return
            if leaf.index != tree.size:
                self._finding(f"leaf {leaf.index}", f"stands where leaf {tree.size} should")
            if signed and tree.size < signed[-1].size:
                while first < len(signed) - 1 and signed[first].size <= tree.size:
                    first += 1
                if leaf.topic == DECISIONS:
                    self._taken_in[leaf.offset] = signed[first].signed_at
                places = self._expected.setdefault(Partition(leaf.topic, leaf.partition), {})
                if leaf.offset in places:
                    self._finding(f"leaf {leaf.index}", "its record has a leaf already")
                places[leaf.offset] = leaf.entry
            tree.append(leaf_hash(leaf.entry))
        self.result.checkpoints = len(signed)
        for size, root, _ in signed:
            if size > tree.size:
                self._finding(f"checkpoint of {size}", f"only {tree.size} leaves are stored")
            elif tree.root(size) != root:
                self._finding(f"checkpoint of {size}", "the stored leaves have another root")
        if signed:
            self.result.leaves, self.result.root, _ = signed[-1]

    async def read_records(self) -> None:
        """Hold every record against its leaf, and count."""
        ends = await self._log.ends(FOLLOWED)
        total = sum(ends.values())
        read = 0
        for partition in sorted(ends):
            expected = self._expected.pop(partition, {})
            last = max(expected, default=-1)
            seen: dict[int, bytes] = {}
            async for found in Tail(self._log, partition).more(ends[partition]):
                for stored in found:
                    try:
                        entry = entry_of(stored)
                    except NotCanonical as error:
                        self._finding(_place(stored), error)
                        continue
                    seen[stored.offset] = entry
                    covered = stored.offset in expected
                    if covered and expected[stored.offset] != entry:
                        self._finding(_place(stored), "the record is not the one that its leaf names")
                    elif not covered and stored.offset < last:
                        self._finding(_place(stored), "the record has no leaf")
                    if partition.topic != DIRECTORY and stored.key != entry[1:]:
                        self._finding(_place(stored), "the record stands under another's key")
                    self.result.waiting += not covered
                    self._take(stored, entry, covered=covered)
                read += len(found)
                self._progress(read, total)
            self._look_for_missing(partition, expected, seen)
        for partition, expected in self._expected.items():
            self._look_for_missing(partition, expected, {})

    def _look_for_missing(
        self, partition: Partition, expected: Mapping[int, bytes], seen: Mapping[int, bytes]
    ) -> None:
        # Erasing and writing again leave the record that the leaf names under a later offset.
        stored = set(seen.values())
        for offset, entry in expected.items():
            if offset not in seen and entry not in stored:
                self._finding(
                    f"{partition.topic}/{partition.number} at {offset}", "the record of a leaf is gone"
                )

    def _take(self, stored: Stored, entry: bytes, *, covered: bool) -> None:
        topic = stored.partition.topic
        result = self.result
        try:
            if topic.startswith(INBOX):
                member = topic.removeprefix(INBOX)
                _check_content(unframe(Delivery, stored.value))
                fresh = (member, entry[1:]) not in self._delivered
                self._delivered[member, entry[1:]] = covered
                if covered and fresh:
                    result.delivered += 1
                    result.members[member] += 1
            elif topic.startswith(NOTICES):
                envelope = unframe(Envelope, stored.value)
                signatures = self._statements.setdefault(entry[1:], set())
                signatures.add(sha256(envelope.signature).digest())
                _check_slots(envelope)
            elif topic == DECISIONS:
                decision = unframe(Decision, stored.value)
                if decision.statement in self._decided:
                    self._finding(_place(stored), "the statement was decided before")
                shares = tuple((share.member, share.delivery) for share in decision.shares)
                self._decided[decision.statement] = decision.signature, shares
                result.published += covered
                if covered:
                    check_timely(decision.decided_at, self._taken_in[stored.offset])
            elif topic == REFUSALS and covered:
                refusal = unframe(Refusal, stored.value)
                result.refused += refusal.count
                result.refusals[refusal.code] += refusal.count
            elif topic == RECEIPTS and covered:
                receipt = decode(Receipt, unframe(SignedReceipt, stored.value).receipt)
                said = {(receipt.event, each) for each in receipt.deliveries} - self._receipted
                # A node that did not hear an answer sends the same receipt again.
                self._receipted |= said
                result.receipts[receipt.event.name.lower()] += len(said)
        except Refused as error:
            self._finding(_place(stored), error)

    def compare_decisions(self) -> None:
        """Hold decisions, statements and deliveries against each other."""
        named: set[tuple[str, bytes]] = set()
        for statement, (signature, shares) in self._decided.items():
            if statement not in self._statements:
                self._finding(f"statement {statement.hex()[:12]}", "decided, but nowhere stored")
            elif signature not in self._statements[statement]:
                self._finding(f"statement {statement.hex()[:12]}", "stored under another signature")
            for share in shares:
                named.add(share)
                if share not in self._delivered:
                    self._finding(
                        f"{INBOX}{share[0]}",
                        f"the delivery {share[1].hex()[:12]} was decided and is not there",
                    )
        for member, delivery in _covered(self._delivered):
            if (member, delivery) not in named:
                self._finding(f"{INBOX}{member}", f"nothing decided the delivery {delivery.hex()[:12]}")


def _check_content(delivery: Delivery) -> None:
    """Let a delivery pass whose content is erased, or is what its head, which the leaf names, says."""
    content = decode(DeliveryHead, delivery.head).content
    if delivery.envelope is not None and content_digest(delivery.envelope) != content:
        raise BadDelivery("the content is not the one that the head names", field="content")


def _check_slots(envelope: Envelope) -> None:
    """Let a statement pass that holds nothing but what its header, which the leaf names, says."""
    header = decode(Header, envelope.header)
    for disclosure in envelope.disclosures:
        if slot_digest(disclosure) != header.slots[disclosure.slot]:
            raise BadDisclosure("content that is not what was signed", field=disclosure.slot.label)
    check_seals(header, envelope, (), complete=True, recipient=None)


def _covered(delivered: Mapping[tuple[str, bytes], bool]) -> Iterable[tuple[str, bytes]]:
    return (each for each, covered in delivered.items() if covered)


def _place(stored: Stored) -> str:
    return f"{stored.partition.topic}/{stored.partition.number} at {stored.offset}"
