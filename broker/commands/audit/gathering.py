"""The parts of a case as a hub's log and directory have them; reads beside a hub that runs.

Decides where each part is found: the notice, its decision, deliveries and receipts in their topics, proofs
from the leaves, checkpoints by their sizes.  What is gathered is checked like anybody's before it is a bundle
(`broker.evidence`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from broker.commands.agreement.past_at_hub import partitions_named
from broker.configuration import HubConfig
from broker.core.cose_receipt import inclusion_receipt
from broker.core.directory import Directory
from broker.core.errors import BadEvidence, BadProof, Refused
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import (
    Checkpoint,
    Decision,
    Delivery,
    Envelope,
    Ground,
    Header,
    Leaf,
    Receipt,
    SignedReceipt,
)
from broker.core.note import LogKey
from broker.core.records import decode, encode, unframe
from broker.core.signed_note import Line, merged, split_note
from broker.core.signing import open_receipt
from broker.core.timely import COVERED_WITHIN_MS
from broker.core.tlog_proof import TlogProof, write_proof
from broker.directory.layout import Layout
from broker.directory.roles import ROOT, SNAPSHOT
from broker.evidence.case import Case, Logged, Manifest
from broker.evidence.needed import number_of, signed_files
from broker.log import Log, Partition, Stored
from broker.log.topics import (
    AUDIT_CHECKPOINTS,
    AUDIT_COSIGNATURES,
    AUDIT_LEAVES,
    DECISIONS,
    RECEIPTS,
    inbox_topic,
)
from broker.services.following import Tail

Tell = Callable[[int, int | None], None]
"""Called with how many records were looked at."""


Needed = Callable[[Sequence[bytes], Collection[Ground]], Mapping[str, bytes]]
"""Returns the files of versions of the directory, and of agreements those that are named."""


class NotDecided(BadEvidence):
    """The notice is here, and nothing was decided about it."""


@dataclass(slots=True)
class _Gathered:
    """Records as they were found, by where they stand."""

    notice: Stored
    envelope: Envelope
    header: Header
    decision: Stored
    decided: Decision
    deliveries: dict[str, Stored] = field(default_factory=dict)
    receipts: list[Stored] = field(default_factory=list)


async def gather(log: Log, directory: Directory, needed: Needed, named: str, tell: Tell) -> Case:
    """Return the case of a notice, named by reference or id (hex).

    Args:
        log: The hub's log.
        directory: The newest version, under which receipts are judged.
        needed: Finds the files of versions of the directory; see `directory_files`.
        named: The notice.
        tell: Is told of the progress.

    Raises:
        BadEvidence: There is no such notice, or a part of the case is not there any more.
        NotDecided: It waits, or was refused.
        LogUnavailable: The log did not answer.
    """
    gathering = _Gathering(log, tell)
    found = await gathering.records(named.removeprefix("halong:"), directory)
    return await gathering.case(found, needed, directory)


class _Gathering:
    def __init__(self, log: Log, tell: Tell) -> None:
        self._log = log
        self._tell = tell
        self._seen = 0

    async def _read(self, partition: Partition) -> AsyncIterator[Stored]:
        end = (await self._log.ends([partition.topic])).get(partition, 0)
        async for found in Tail(self._log, partition).more(end):
            for stored in found:
                yield stored
            self._seen += len(found)
            self._tell(self._seen, None)

    # --- the records ----------------------------------------------------------------------------------

    async def records(self, named: str, directory: Directory) -> _Gathered:
        notices = await self._notices(named)
        statement = notices[0].key
        decision = await self._decision(statement)
        decided = unframe(Decision, decision.value)
        # Sent twice it may be signed twice: the decision names one of the signatures.
        for notice in notices:
            envelope = unframe(Envelope, notice.value)
            if sha256(envelope.signature).digest() == decided.signature:
                break
        else:
            raise BadEvidence("the notice as it was decided is not there any more", field="statement")
        header = decode(Header, envelope.header)
        found = _Gathered(notice, envelope, header, decision, decided)
        for share in decided.shares:
            found.deliveries[share.member] = await self._delivery(share.member, share.delivery)
        await self._receipts(found, directory)
        return found

    async def _notices(self, named: str) -> list[Stored]:
        partitions, wanted = await partitions_named(self._log, named)
        found: list[Stored] = []
        for partition in partitions:
            found += [
                stored
                async for stored in self._read(partition)
                if stored.key == wanted or (not wanted and _is_named(stored, named))
            ]
        if not found:
            raise BadEvidence("no notice of this reference or id is here", field=named)
        return found

    async def _decision(self, statement: bytes) -> Stored:
        async for stored in self._read(Partition(DECISIONS)):
            # Looking for its bytes first: only one of a million decisions is about it.
            if statement in stored.value and unframe(Decision, stored.value).statement == statement:
                return stored
        raise NotDecided("nothing was decided about the notice: it waits, or was refused", field="decision")

    async def _delivery(self, member: str, delivery: bytes) -> Stored:
        async for stored in self._read(Partition(inbox_topic(member))):
            if stored.key == delivery:
                return stored
        raise BadEvidence("a delivery that was decided is not there", field=f"deliveries/{member}")

    async def _receipts(self, found: _Gathered, directory: Directory) -> None:
        wanted = {stored.key: member for member, stored in found.deliveries.items()}
        async for stored in self._read(Partition(RECEIPTS)):
            if not any(key in stored.value for key in wanted):
                continue
            signed = unframe(SignedReceipt, stored.value)
            receipt = decode(Receipt, signed.receipt)
            if any(wanted.get(each) == receipt.member for each in receipt.deliveries):
                try:
                    open_receipt(signed, directory, directory.network, receipt.at)
                except Refused:
                    continue  # by a key that the directory does not list any more: it shows nothing
                found.receipts.append(stored)

    # --- the log --------------------------------------------------------------------------------------

    async def case(self, found: _Gathered, needed: Needed, directory: Directory) -> Case:
        key = LogKey.parse(directory.log_key)
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
        # Checkpoints first: all leaves that they cover are then there to be read.
        checkpoints = await self._checkpoints()
        if not checkpoints:
            raise BadProof("nothing is signed yet", field="checkpoint")
        places = [found.notice, found.decision, *found.deliveries.values(), *found.receipts]
        tree, indexes = await self._leaves({(each.partition, each.offset) for each in places})
        needs = max(
            indexes.get((each.partition, each.offset), tree.size)
            for each in (found.notice, found.decision, *found.deliveries.values())
        )
        last = await self._chosen(checkpoints, needs)

        def logged(stored: Stored, record: bytes) -> Logged:
            index = indexes.get((stored.partition, stored.offset), last.size)
            if index >= last.size:
                raise BadProof("the newest checkpoint does not cover all of it yet", field="checkpoint")
            path = tree.inclusion_path(index, last.size)
            try:
                receipt = inclusion_receipt(key, last.note, index, path)
            except BadProof:
                receipt = None  # signed before roots were signed for receipts
            return Logged(record, write_proof(TlogProof(index, tuple(path), last.note)), receipt)

        receipts = [(indexes.get((each.partition, each.offset), last.size), each) for each in found.receipts]
        covering = _first_over(checkpoints, indexes[found.decision.partition, found.decision.offset])
        first = None
        if covering is not None and last.signed_at - covering.signed_at > COVERED_WITHIN_MS // 2:
            first = covering.note, tree.consistency_path(covering.size, last.size)
        return Case(
            manifest=Manifest(
                evidence=1,
                network=directory.network,
                reference=found.header.reference,
                statement=found.notice.key.hex(),
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
                member: logged(stored, unframe(Delivery, stored.value).head)
                for member, stored in found.deliveries.items()
            },
            # What came after the newest checkpoint is for the next bundle.
            receipts={
                index: logged(stored, encode(unframe(SignedReceipt, stored.value)))
                for index, stored in sorted(receipts, key=lambda each: each[0])
                if index < last.size
            },
        )

    async def _chosen(self, checkpoints: Sequence[Checkpoint], index: int) -> Checkpoint:
        """Return the checkpoint over a leaf that most members cosigned, of these the newest, with lines."""
        lines: dict[bytes, list[Line]] = {}
        async for stored in self._read(Partition(AUDIT_COSIGNATURES)):
            text, given = split_note(stored.value)
            lines.setdefault(text, []).extend(given)
        best = checkpoints[-1]
        most = 0
        for each in reversed(checkpoints):
            cosigned = len({line.name for line in lines.get(split_note(each.note)[0], ())})
            if each.size > index and cosigned > most:
                best, most = each, cosigned
        return replace(best, note=merged(best.note, lines.get(split_note(best.note)[0], [])))

    async def _checkpoints(self) -> list[Checkpoint]:
        return [
            unframe(Checkpoint, stored.value) async for stored in self._read(Partition(AUDIT_CHECKPOINTS))
        ]

    async def _leaves(
        self, wanted: Collection[tuple[Partition, int]]
    ) -> tuple[Tree, dict[tuple[Partition, int], int]]:
        tree, indexes = Tree(), dict[tuple[Partition, int], int]()
        async for stored in self._read(Partition(AUDIT_LEAVES)):
            leaf = unframe(Leaf, stored.value)
            tree.append(leaf_hash(leaf.entry))
            place = Partition(leaf.topic, leaf.partition), leaf.offset
            if place in wanted:
                indexes[place] = leaf.index
        return tree, indexes


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


def _first_over(checkpoints: Sequence[Checkpoint], index: int) -> Checkpoint | None:
    return next((each for each in checkpoints if each.size > index), None)


def _is_named(stored: Stored, reference: str) -> bool:
    return (
        decode(Header, unframe(Envelope, stored.value).header).reference.removeprefix("halong:") == reference
    )
