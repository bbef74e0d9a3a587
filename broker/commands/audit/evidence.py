"""`halong audit evidence` and `halong audit redact`: bundles for somebody who was not there."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import click

from broker.audit.base import Doubted
from broker.audit.building import INDEX_FILE, AuditIndex
from broker.clock import SystemClock
from broker.commands.agreement.places import MEMBER_FILE
from broker.commands.audit.asking import index_option, log_asking, operator, reason_option
from broker.commands.audit.gathering import NotDecided, directory_files, gather
from broker.commands.audit.reading import newest_directory, stored_log
from broker.configuration import HubConfig, load_hub_config
from broker.core.errors import BadEvidence, Refused
from broker.core.model import Slot
from broker.core.note import LogKey
from broker.core.wire import Asked
from broker.evidence.archive import MOST_CASE_BYTES
from broker.evidence.building import bundle, opened
from broker.evidence.case import Case
from broker.evidence.checking import Trust
from broker.evidence.page import oldest_root
from broker.evidence.redacting import without
from broker.files import read_sent, write_whole
from broker.progress import Tell, progress
from broker.terminal import (
    FOLDER,
    READABLE,
    Command,
    Exit,
    Stopped,
    answer,
    clean,
    from_error,
    json_option,
    note,
    say,
)
from schemas import load_catalogue

OUT = click.Path(dir_okay=False, path_type=Path)
out_option = click.option("-o", "out", type=OUT, required=True, help="The file to write.")


@click.command(
    "evidence",
    cls=Command,
    examples=[
        "halong audit evidence vn/asia-pacific/main/17 -o case.zip --dir hub",
        "halong verify case.zip     # anywhere, without hub and network",
    ],
)
@click.argument("reference")
@out_option
@click.option(
    "--dir", "folder", type=FOLDER, default=Path(), show_default=True, help="The folder of hub or node."
)
@index_option
@reason_option
@json_option
def evidence(
    reference: str, out: Path, folder: Path, index_file: Path | None, reason: str, as_json: bool
) -> int:
    """Write what happened to a notice into one file that proves it to anybody, by REFERENCE or id.

    In it: the notice, what was decided, delivered and receipted, the directory and the agreements as they
    were, proofs and a signed checkpoint, and a page that says what this proves.  A node writes as much as it
    may see; at a hub, that you asked is written into the log first.  Nothing is written that does not hold.
    `halong audit redact` leaves parts of the notice out.
    """
    if (folder / MEMBER_FILE).exists():
        # Only as much of a member's side is imported as this takes.
        from adapters.commands.receipt import case_at_node
        from adapters.member_folder import open_folder

        with open_folder(folder, to_read=True) as node:
            case, _ = case_at_node(node, reference)
    else:
        case = _at_hub(folder, reference, index_file)
    data = _bundled(case)
    if not (folder / MEMBER_FILE).exists():
        text = f"evidence: {reason}" if reason else "evidence"
        asked = Asked(operator(), text, [bytes.fromhex(case.manifest.statement)])
        asyncio.run(log_asking(load_hub_config(folder), asked, SystemClock()))
    _write(case, data, out, as_json=as_json)
    return Exit.HELD


def _at_hub(folder: Path, reference: str, index_file: Path | None) -> Case:
    config = load_hub_config(folder)
    with progress("records") as tell:
        try:
            case = asyncio.run(_gathered(config, reference, index_file, tell))
        except NotDecided as error:
            raise from_error(
                error,
                where=reference,
                next_step="wait for its decision; `halong audit count` counts refusals",
            ) from None
        except BadEvidence as error:
            raise from_error(
                error, where=reference, next_step="name it like vn/asia-pacific/main/17, or by its id"
            ) from None
    return case


async def _gathered(config: HubConfig, reference: str, index_file: Path | None, tell: Tell) -> Case:
    directory = newest_directory(config)
    needed = partial(directory_files, config)
    path = index_file or config.path(Path(INDEX_FILE))
    async with stored_log(config) as log:
        index = AuditIndex(path, LogKey.parse(directory.log_key), load_catalogue())
        try:
            await index.refresh(log, tell)
            try:
                return await gather(log, index, directory, needed, reference)
            except Doubted:
                index.begin_anew()
                await index.refresh(log, tell)
                return await gather(log, index, directory, needed, reference)
        finally:
            index.close()


@click.command(
    "redact",
    cls=Command,
    examples=[
        "halong audit redact case.zip --without persons -o court.zip",
        "halong audit redact case.zip --without persons,intelligence -o court.zip",
    ],
)
@click.argument("file", type=READABLE)
@click.option("--without", "names", required=True, metavar="SLOTS", help="Parts to leave out, with commas.")
@out_option
@json_option
def redact(file: Path, names: str, out: Path, as_json: bool) -> int:
    """Write the evidence in FILE again without some parts of the notice; all the rest verifies as before.

    Parts are facts, identifiers, entities, persons, intelligence, attachments.  Their digests stay, which
    the originator signed: if they are shown later, anybody sees that they are the same.
    """
    slots = {_slot(name) for name in names.split(",")}
    case, found = opened(read_sent(file, MOST_CASE_BYTES), Trust(), load_catalogue())
    if found.refused is not None or case is None:
        refused = found.refused or BadEvidence("is no evidence")
        raise from_error(
            refused, where=f"{file}: {found.steps[-1].name}", next_step=f"see `halong verify {file}`"
        )
    try:
        rest = without(case, slots)
    except BadEvidence as error:
        raise from_error(error, where=str(file), next_step="name a part that it shows") from None
    _write(rest, _bundled(rest), out, as_json=as_json)
    return Exit.HELD


def _slot(name: str) -> Slot:
    try:
        return Slot[name.strip().upper()]
    except KeyError:
        possible = ", ".join(slot.label for slot in Slot)
        raise click.UsageError(f"no such part; there are {possible}") from None


def _bundled(case: Case) -> bytes:
    try:
        return bundle(case, load_catalogue())
    except Refused as error:
        raise Stopped(
            f"what is here does not hold, and nothing was written: {error}",
            code=error.code,
            where=error.field or "-",
            next_step="that is a finding: keep a copy of the hub's folder, and see `halong audit count`",
        ) from None


def _write(case: Case, data: bytes, out: Path, *, as_json: bool) -> None:
    write_whole(out, data, 0o600)
    root = oldest_root(case)
    told = {
        "file": str(out),
        "reference": case.manifest.reference.removeprefix("halong:"),
        "statement": case.manifest.statement,
        "bytes": len(data),
        "deliveries": sorted(case.deliveries),
        "receipts": len(case.receipts),
        "root": None if root is None else root[1],
        "log_key": case.log_key,
    }
    if as_json:
        answer(told)
        return
    parts = f"deliveries {len(case.deliveries)}, receipts {len(case.receipts)}, {len(data):,} bytes"
    say(f"{clean(str(told['reference']))}   {parts}   {out}")
    trust = f"--root {root[1]}" if root is not None else f"--log-key {case.log_key}"
    note(f"next: halong verify {out} {trust}")
