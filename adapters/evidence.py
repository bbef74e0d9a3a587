"""The parts of a case as a member's node has them: of its own notices, and of those that it received.

Decides what a node can show of a notice.  Of its own: the whole notice and the hub's decision, with proofs
that the hub is asked for; of one that it received: what it was sent, with the proof that it checked then.
What is gathered is checked like anybody's before it is a bundle (`broker.evidence`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from adapters.configuration import NodeConfig
from adapters.hub import Hub
from adapters.member_folder import NodeFolder
from adapters.receiving.checks import check_checkpoint, check_statement
from adapters.receiving.incoming import Received
from adapters.sending.statement import Statement
from adapters.stored import damaged, stored_record
from broker.core.cose_receipt import inclusion_receipt
from broker.core.error_codes import error_of
from broker.core.errors import BadEvidence, BadProof, Unavailable
from broker.core.merkle import HASH_BYTES
from broker.core.model import Decision, Delivery, DeliveryHead, Envelope, Ground, Header
from broker.core.note import LogKey
from broker.core.records import decode, encode
from broker.core.tlog_proof import TlogProof, write_proof
from broker.core.wire import StatementStatus
from broker.directory.layout import Layout
from broker.directory.roles import ROOT, SNAPSHOT
from broker.evidence.case import Case, Logged, Manifest
from broker.evidence.needed import number_of, signed_files


@dataclass(frozen=True, slots=True)
class Proved:
    """A statement of this member, with the hub's answer about it, which was checked."""

    statement: Statement
    envelope: Envelope
    status: StatementStatus
    decision: Decision
    checkpoint: bytes


class Undecided(Unavailable):
    """The hub has not decided about the statement, or its log does not cover that yet."""


async def prove(node: NodeFolder, hub: Hub, statement: Statement) -> Proved:
    """Ask the hub about a statement of this member, and check what it answers.

    Raises:
        Undecided: Ask again.
        BadProof: What it says does not hold, or denies what the log has shown.
        Unavailable: It does not answer.
        Refused: With the code by which the dispatcher refused the statement.
    """
    status = await hub.statement(statement.id)
    if status is not None and status.refused is not None:
        kind = error_of(status.refused) or BadEvidence
        raise kind("the hub refused the notice: nothing was shared", field="decision")
    if status is None or status.decision is None or status.checkpoint is None:
        raise Undecided("nothing was decided about it yet", field="decision")
    if status.statement_inclusion is None or status.decision_inclusion is None:
        raise Undecided("the log does not cover the decision yet", field="checkpoint")
    key = LogKey.parse(node.config.joined.log_key)
    envelope = stored_record(Envelope, statement.envelope, "statements.envelope")
    tree = check_checkpoint(status.checkpoint, key, None, node.incoming.root_at)
    decision = check_statement(status, envelope, statement.key, tree)
    return Proved(statement, envelope, status, decision, status.checkpoint)


def sent_case(config: NodeConfig, proved: Proved) -> Case:
    """Return the case of a notice of this member.

    Raises:
        BadEvidence: The version of the directory that its decision names is not here.
    """
    status, decision = proved.status, proved.decision
    assert status.statement_inclusion is not None
    assert status.decision_inclusion is not None
    assert status.decision is not None
    key = LogKey.parse(config.joined.log_key)
    statement, decided = status.statement_inclusion, status.decision_inclusion
    covered = status.covered
    return Case(
        manifest=_manifest(config, proved.envelope, proved.statement.id, decision.directory),
        log_key=key.vkey,
        checkpoint=proved.checkpoint,
        envelope=encode(proved.envelope),
        directory=_files(
            config, decision.directory, {each for one in decision.shares for each in one.grounds}
        ),
        first=None if covered is None else (covered.note, covered.path),
        statement=logged(key, b"", statement.index, statement.path, proved.checkpoint),
        decision=logged(key, status.decision, decided.index, decided.path, proved.checkpoint),
    )


def received_case(node: NodeFolder, received: Received) -> Case:
    """Return the case of a notice that this member received; nobody is asked.

    Raises:
        BadEvidence: Its content is erased, or what it was proved by is not here.
    """
    config = node.config
    delivery = stored_record(Delivery, received.content, "deliveries.record")
    head = stored_record(DeliveryHead, delivery.head, "deliveries.record")
    if delivery.envelope is None:
        raise BadEvidence("the content of the notice is erased", field="statement")
    note = _note(node, received.size)
    if len(received.path) * HASH_BYTES != sum(map(len, received.path)):
        raise damaged("deliveries.path")
    key = LogKey.parse(config.joined.log_key)
    header = decode(Header, delivery.envelope.header)
    return Case(
        manifest=_manifest(config, delivery.envelope, head.statement, head.directory),
        log_key=key.vkey,
        checkpoint=note,
        envelope=encode(delivery.envelope),
        directory=_files(config, head.directory, set(head.grounds)),
        seals=None if header.seals is None else delivery.proofs,
        deliveries={head.member: logged(key, delivery.head, received.leaf, received.path, note)},
    )


def logged(key: LogKey, record: bytes, index: int, path: Sequence[bytes], note: bytes) -> Logged:
    """Return a record with its proof, and with the log's receipt where the checkpoint has what it takes."""
    try:
        receipt = inclusion_receipt(key, note, index, path)
    except BadProof:
        receipt = None  # signed before roots were signed for receipts
    return Logged(record, write_proof(TlogProof(index, tuple(path), note)), receipt)


def _manifest(config: NodeConfig, envelope: Envelope, statement: bytes, directory: bytes) -> Manifest:
    return Manifest(
        evidence=1,
        network=config.network,
        reference=decode(Header, envelope.header).reference,
        statement=statement.hex(),
        directory=directory.hex(),
    )


def _note(node: NodeFolder, size: int) -> bytes:
    below, _ = node.incoming.notes_around(size)
    if below is None or below[0] != size:
        raise BadEvidence("the checkpoint by which it was proved is not here", field="checkpoint")
    return below[1]


def _files(config: NodeConfig, version: bytes, grounds: Collection[Ground]) -> dict[str, bytes]:
    path = config.path(config.directory)
    layout = Layout(path)
    number = number_of(layout, layout.numbers(SNAPSHOT), version)
    return signed_files(layout, layout.numbers(ROOT)[0], [number], grounds)
