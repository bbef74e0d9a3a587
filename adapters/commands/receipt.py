"""`halong receipt`: that the hub's log has a notice, and with how many members it was shared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from adapters.commands.options import dir_option
from adapters.configuration import NodeConfig
from adapters.evidence import Proved, prove, received_case, sent_case
from adapters.http_hub import HttpHub
from adapters.member_folder import NodeFolder, open_folder
from adapters.pinning import pinned_context
from broker.core.errors import BadEvidence
from broker.core.note import LogKey
from broker.core.notice_json import time_to_json
from broker.core.tlog_proof import read_proof
from broker.evidence.building import bundle
from broker.evidence.case import Case, Logged
from broker.files import write_whole
from broker.moments import local
from broker.terminal import Command, Exit, Stopped, answer, clean, from_error, json_option, note, say
from schemas import load_catalogue

OUT = click.Path(dir_okay=False, path_type=Path)
FORMS = (".tlog-proof", ".cose", ".zip")


@click.command(
    "receipt",
    cls=Command,
    examples=[
        "halong receipt vn/asia-pacific/main/17 --dir vn",
        "halong receipt vn/asia-pacific/main/17 -o 17.cose --dir vn        # COSE receipt, RFC 9942",
        "halong receipt vn/asia-pacific/main/17 -o 17.zip --dir vn         # then: halong verify 17.zip",
    ],
)
@click.argument("reference")
@click.option("-o", "out", type=OUT, help="The file to write: its end says what, .tlog-proof, .cose or .zip.")
@dir_option
@json_option
def receipt(reference: str, out: Path | None, folder: Path, as_json: bool) -> int:
    """Say where the hub's log has the notice of this REFERENCE or id, and with how many it was shared.

    Of a notice of this member the hub is asked, and what it answers is checked against what it has shown
    before; of one that was received, the node's store tells.  A .zip holds all that this node can show of it.
    """
    if out is not None and out.suffix not in FORMS:
        raise click.UsageError(f"-o: the file's end says what it is; there are {', '.join(FORMS)}")
    with open_folder(folder, to_read=True) as node:
        case, proved = case_at_node(node, reference)
    shown = case.statement or next(iter(case.deliveries.values()))
    told = _told(case, proved, shown)
    if out is not None:
        write_whole(out, _file(out, case, shown), 0o600)
        told["file"] = str(out)
    if as_json:
        answer(told)
        return Exit.HELD
    what = "the notice" if case.statement is not None else "the delivery to this member"
    say(f"{clean(reference)}  {what} is leaf {told['leaf']:,} of {told['size']:,}")
    if proved is not None:
        decision = proved.decision
        members = ", ".join(share.member for share in decision.shares) or "nobody"
        when = local(decision.decided_at, year=True)
        say(f"  decided {when}, shared with {len(decision.shares)}: {members}")
    if out is not None:
        note(f"wrote {out}" + (f"; next: halong verify {out}" if out.suffix == ".zip" else ""))
    return Exit.HELD


def case_at_node(node: NodeFolder, reference: str) -> tuple[Case, Proved | None]:
    """Return the case of a notice that this node knows, and what the hub proved of it if it is its own.

    Raises:
        Stopped: There is no such notice here, or not all that it takes.
        Unavailable: The hub does not answer, or has not decided.
        Refused: What it answers does not hold.
    """
    named = node.statement_of(reference) or reference
    try:
        statement = bytes.fromhex(named)
    except ValueError:
        statement = b""
    own = node.outgoing.find(statement)
    try:
        if own is not None:
            proved = asyncio.run(_asked(node, node.config, statement))
            return sent_case(node.config, proved), proved
        row = node.store.row(
            "SELECT id FROM deliveries WHERE statement = ? AND state != 'quarantined'", statement
        )
        received = None if row is None else node.incoming.delivery(row[0])
        if received is not None:
            return received_case(node, received), None
    except BadEvidence as error:
        raise from_error(
            error, where=reference, next_step="ask the hub's operator for the evidence"
        ) from None
    raise Stopped(
        "no notice of this reference or id is known here",
        code="unknown-statement",
        where=reference,
        next_step="name it like vn/asia-pacific/main/17; a node knows what it sent and what it got",
    )


async def _asked(node: NodeFolder, config: NodeConfig, statement: bytes) -> Proved:
    address = config.joined
    context = pinned_context(
        bytes.fromhex(address.pin),
        config.path(config.keys.certificate),
        config.path(config.keys.tls),
        config.path(address.authority),
    )
    own = node.outgoing.find(statement)
    assert own is not None
    async with HttpHub(address.url, context, seen=node.incoming.largest_seen()) as hub:
        return await prove(node, hub, own)


def _told(case: Case, proved: Proved | None, shown: Logged) -> dict[str, object]:
    proof = read_proof(shown.proof)
    tree = LogKey.parse(case.log_key).open_checkpoint(case.checkpoint)
    decision = None if proved is None else proved.decision
    return {
        "reference": case.manifest.reference.removeprefix("halong:"),
        "statement": case.manifest.statement,
        "leaf": proof.index,
        "size": tree.size,
        "root": tree.root.hex(),
        "decided_at": None if decision is None else time_to_json(decision.decided_at),
        "shared_with": None if decision is None else [share.member for share in decision.shares],
        "receipts": None if proved is None else dict(proved.status.receipts),
    }


def _file(out: Path, case: Case, shown: Logged) -> bytes:
    if out.suffix == ".tlog-proof":
        return shown.proof
    if out.suffix == ".cose":
        if shown.receipt is None:
            raise BadEvidence("the checkpoint bears no signature for receipts", field="checkpoint")
        return shown.receipt
    return bundle(case, load_catalogue())
