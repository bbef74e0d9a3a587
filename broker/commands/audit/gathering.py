"""The parts of a case as a hub's log and directory have them; reads beside a hub that runs.

Decides where each part is found: the index of the log (`broker.audit`) names leaves, each leaf says where its
record stands, and no other record is read.  Proofs and checkpoints are the index's.  What is gathered is
checked like anybody's before it is a bundle (`broker.evidence`), so the index is believed in nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from broker.audit.base import Doubted
from broker.audit.building import AuditIndex
from broker.audit.finding import find
from broker.audit.leaves import Named
from broker.configuration import HubConfig
from broker.core.cose_receipt import inclusion_receipt
from broker.core.directory import Directory
from broker.core.errors import BadEvidence, BadProof, NotFound, Refused
from broker.core.model import (
    Decision,
    Delivery,
    Envelope,
    Erasure,
    Ground,
    Header,
    Leaf,
    Receipt,
    SignedReceipt,
)
from broker.core.note import LogKey
from broker.core.records import LEAF_TYPES, decode, encode, unframe
from broker.core.signed_note import Line, merged, split_note
from broker.core.signing import open_receipt
from broker.core.timely import COVERED_WITHIN_MS
from broker.core.tlog_proof import TlogProof, write_proof
from broker.directory.layout import Layout
from broker.directory.roles import ROOT, SNAPSHOT
from broker.evidence.case import Case, Logged, Manifest
from broker.evidence.needed import number_of, signed_files
from broker.log import Log, Partition, Stored
from broker.log.topics import AUDIT_COSIGNATURES, AUDIT_LEAVES
from broker.services.following import Tail

LOOK_BACK: Final = 16_384
"""So many of the last cosignatures are looked at: at 186 members, those of three quarters of an hour."""

LEAVES: Final = Partition(AUDIT_LEAVES)
COSIGNATURES: Final = Partition(AUDIT_COSIGNATURES)

Needed = Callable[[Sequence[bytes], Collection[Ground]], Mapping[str, bytes]]
"""Returns the files of versions of the directory, and of agreements those that are named."""


class NotDecided(BadEvidence):
    """The notice is here, and nothing was decided about it."""


@dataclass(frozen=True, slots=True)
class _Record:
    """A record, and its first leaf: what is left of an erased one has another behind it."""

    leaf: int
    value: bytes


@dataclass(slots=True)
class _Gathered:
    """Records as they were found."""

    statement: bytes
    notice: _Record
    envelope: Envelope
    header: Header
    decision: _Record
    decided: Decision
    deliveries: dict[str, _Record] = field(default_factory=dict)
    receipts: list[_Record] = field(default_factory=list)
    erasure: _Record | None = None


async def gather(log: Log, index: AuditIndex, directory: Directory, needed: Needed, named: str) -> Case:
    """Return the case of a notice, named by reference or id (hex).

    Args:
        log: The hub's log.
        index: Its index, which was read on to the end.
        directory: The newest version, under which receipts are judged.
        needed: Finds the files of versions of the directory; see `directory_files`.
        named: The notice.

    Raises:
        BadEvidence: There is no such notice, or a part of the case is not there any more.
        NotDecided: It waits, or was refused.
        Doubted: The index is not of this log.
        LogUnavailable: The log did not answer.
    """
    gathering = _Gathering(log, index)
    found = await gathering.records(named, directory)
    return await gathering.case(found, needed, directory)


class _Gathering:
    def __init__(self, log: Log, index: AuditIndex) -> None:
        self._log = log
        self._base = index.base
        self._tree = index.leaves
        self._key = index.key

    # --- the records ----------------------------------------------------------------------------------

    async def records(self, named: str, directory: Directory) -> _Gathered:
        try:
            statement = find(self._base, named).statement
        except NotFound as error:
            raise BadEvidence(f"no notice is called so: {error}", field=named) from None
        row = self._base.row("SELECT decision FROM statement WHERE id = ?", statement)
        if row is None or row[0] is None:
            raise NotDecided(
                "nothing was decided about the notice: it waits, or was refused", field="decision"
            )
        decision = await self._record(Decision, row[0])
        if decision is None:
            raise BadEvidence("the decision is not there any more", field="decision")
        decided = unframe(Decision, decision.value)
        notice, envelope = await self._notice(statement, decided)
        header = decode(Header, envelope.header)
        found = _Gathered(statement, notice, envelope, header, decision, decided)
        for share in decided.shares:
            delivery = await self._record(Delivery, share.delivery)
            if delivery is None:
                raise BadEvidence(
                    "a delivery that was decided is not there", field=f"deliveries/{share.member}"
                )
            found.deliveries[share.member] = delivery
        await self._receipts(found, directory)
        await self._erasure(found)
        return found

    async def _notice(self, statement: bytes, decided: Decision) -> tuple[_Record, Envelope]:
        # Sent twice it may be signed twice: the decision names one of the signatures.
        for record in await self._all(Envelope, statement):
            envelope = unframe(Envelope, record.value)
            if sha256(envelope.signature).digest() == decided.signature:
                return record, envelope
        raise BadEvidence("the notice as it was decided is not there any more", field="statement")

    async def _receipts(self, found: _Gathered, directory: Directory) -> None:
        """Take of each delivery the first receipt of each kind."""
        rows = self._base.rows(
            "SELECT DISTINCT r.id FROM receipt r JOIN delivery d ON d.n = r.delivery WHERE d.statement = ?",
            found.statement,
        )
        for (id_,) in rows:
            record = await self._record(SignedReceipt, id_)
            if record is None:
                continue
            signed = unframe(SignedReceipt, record.value)
            try:
                open_receipt(signed, directory, directory.network, decode(Receipt, signed.receipt).at)
            except Refused:
                continue  # by a key that the directory does not list any more: it shows nothing
            found.receipts.append(record)

    async def _erasure(self, found: _Gathered) -> None:
        row = self._base.row(
            "SELECT id FROM erasure WHERE statement = ? ORDER BY at LIMIT 1", found.statement
        )
        if row is None:
            return
        found.erasure = await self._record(Erasure, row[0])
        # On a cluster the bytes go later; whatever is there until then is shown to nobody.
        found.envelope = replace(found.envelope, disclosures=(), sealed=(), wraps=())

    async def _record(self, kind: type, id_: bytes) -> _Record | None:
        return next(iter(await self._all(kind, id_)), None)

    async def _all(self, kind: type, id_: bytes) -> list[_Record]:
        """Return what there is under an entry, in the order of leaves; each with the first of these."""
        entry = bytes((LEAF_TYPES[kind],)) + id_
        rows = self._base.rows("SELECT n, at FROM leaf WHERE entry = ? ORDER BY n", entry)
        found = []
        for number, at in rows:
            stored = await self._at(LEAVES, at)
            leaf = None if stored is None else unframe(Leaf, stored.value)
            if leaf is None or leaf.index != number:
                raise Doubted
            record = await self._at(Partition(leaf.topic, leaf.partition), leaf.offset)
            if record is not None:
                found.append(_Record(rows[0][0], record.value))
        return found

    async def _at(self, partition: Partition, offset: int) -> Stored | None:
        found = await self._log.read(partition, offset, 1)
        return found[0] if found and found[0].offset == offset else None

    # --- the log --------------------------------------------------------------------------------------

    async def case(self, found: _Gathered, needed: Needed, directory: Directory) -> Case:
        grounds = {ground for share in found.decided.shares for ground in share.grounds}
        files = needed([found.decided.directory], grounds)
        heard = None
        if found.receipts and directory.version != found.decided.directory:
            if any(name.startswith("metadata/") for name in files):
                heard = directory.version
                files = needed([found.decided.directory, heard], grounds)
            else:
                # Nothing in a bundle would vouch for a later version of a plain directory.
                found.receipts.clear()
        must = [found.notice, found.decision, *found.deliveries.values()]
        must += [] if found.erasure is None else [found.erasure]
        last = await self._chosen(max(each.leaf for each in must))
        logged = _Proving(self._key, self._tree.inclusion_path, last)
        covering = self._checkpoint("size > ? ORDER BY size", found.decision.leaf)
        first = None
        if covering is not None and last.signed_at - covering.signed_at > COVERED_WITHIN_MS // 2:
            first = covering.note, self._tree.consistency_path(covering.size, last.size)
        return Case(
            manifest=Manifest(
                evidence=1,
                network=directory.network,
                reference=found.header.reference,
                statement=found.statement.hex(),
                directory=found.decided.directory.hex(),
                heard=None if heard is None else heard.hex(),
            ),
            log_key=directory.log_key,
            checkpoint=last.note,
            envelope=encode(found.envelope),
            directory=files,
            first=first,
            statement=logged(found.notice, b""),
            decision=logged(found.decision, encode(found.decided)),
            deliveries={
                member: logged(each, unframe(Delivery, each.value).head)
                for member, each in found.deliveries.items()
            },
            # What came after the newest checkpoint is for the next bundle.
            receipts={
                each.leaf: logged(each, encode(unframe(SignedReceipt, each.value)))
                for each in sorted(found.receipts, key=lambda each: each.leaf)
                if each.leaf < last.size
            },
            erasure=None
            if found.erasure is None
            else logged(found.erasure, encode(unframe(Erasure, found.erasure.value))),
        )

    async def _chosen(self, leaf: int) -> Named:
        """Return the checkpoint over a leaf that most members cosigned of late, of these the newest."""
        newest = self._checkpoint("size <= ? ORDER BY size DESC", self._tree.size)
        if newest is None:
            raise BadProof("nothing is signed yet", field="checkpoint")
        lines: dict[bytes, list[Line]] = {}
        tail = Tail(self._log, COSIGNATURES)
        end = (await self._log.ends([COSIGNATURES.topic])).get(COSIGNATURES, 0)
        tail.next = max(0, end - LOOK_BACK)
        async for some in tail.more(end):
            for stored in some:
                text, given = split_note(stored.value)
                lines.setdefault(text, []).extend(given)
        best, most = newest, len({line.name for line in lines.get(split_note(newest.note)[0], ())})
        for size, text in sorted(((_size(text), text) for text in lines), reverse=True):
            cosigned = len({line.name for line in lines[text]})
            if not leaf < size <= self._tree.size or cosigned <= most:
                continue
            there = self._checkpoint("size = ?", size)
            if there is not None and split_note(there.note)[0] == text:
                best, most = there, cosigned
        return replace(best, note=merged(best.note, lines.get(split_note(best.note)[0], [])))

    def _checkpoint(self, which: str, value: int) -> Named | None:
        query = f"SELECT size, root, signed_at, note FROM checkpoint WHERE {which} LIMIT 1"  # noqa: S608 - from above
        row = self._base.row(query, value)
        return None if row is None else Named(*row)


@dataclass(frozen=True, slots=True)
class _Proving:
    """Proves records under one checkpoint."""

    key: LogKey
    path: Callable[[int, int], list[bytes]]
    under: Named

    def __call__(self, found: _Record, record: bytes) -> Logged:
        if found.leaf >= self.under.size:
            raise BadProof("the newest checkpoint does not cover all of it yet", field="checkpoint")
        path, note = self.path(found.leaf, self.under.size), self.under.note
        try:
            receipt = inclusion_receipt(self.key, note, found.leaf, path)
        except BadProof:
            receipt = None  # signed before roots were signed for receipts
        return Logged(record, write_proof(TlogProof(found.leaf, tuple(path), note)), receipt)


def directory_files(
    config: HubConfig, versions: Sequence[bytes], grounds: Collection[Ground]
) -> Mapping[str, bytes]:
    """Return the files of a hub's directory that a case needs.

    Raises:
        BadEvidence: A version is not here.
        UnfitDirectory: It is here, and no reader would take it.
    """
    path = config.path(config.directory)
    layout = Layout(path)
    numbers = [number_of(layout, layout.numbers(SNAPSHOT), each) for each in versions]
    return signed_files(layout, layout.numbers(ROOT)[0], numbers, grounds)


def _size(text: bytes) -> int:
    """Return the size that the text of a checkpoint says, which the hub published."""
    return int(text.split(b"\n", 2)[1])
