"""`halong publish`: notices from files, or from a table by a map, into the queue of this node.

The node signs and sends what is queued; this command needs neither keys nor the hub.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from adapters.commands.desk import MOST_MAP_BYTES, Desk
from adapters.commands.options import dir_option
from adapters.commands.previewed import receiver_object, show_all
from adapters.commands.waiting import Wait, wait_for
from adapters.importing.csv_table import CsvTable
from adapters.importing.importer import Importer, Tally, report_file
from adapters.importing.map_file import parse_map
from adapters.importing.mapping import Mapped, TableMap
from adapters.member_folder import open_folder
from adapters.sending.draft import Draft
from adapters.sending.progress import Stage
from broker.files import read_sent
from broker.progress import progress
from broker.terminal import (
    READABLE,
    Command,
    Exit,
    answer,
    clean,
    json_option,
    note,
    say,
    style,
    table,
)
from schemas import code_list
from schemas.flags import FlagKind, flags

SHOWN_REASONS = 8

_WORDS = {
    FlagKind.UNKNOWN_CODE: "a code that its list does not have",
    FlagKind.CHECK_DIGIT: "a check digit that does not fit",
    FlagKind.CHECK_MISSTATED: "another verdict on the check digit than ours",
    FlagKind.FORM: "an unusual form",
    FlagKind.UNIT: "an unusual unit",
    FlagKind.RANGE: "out of the usual range",
}


@click.command(
    "publish",
    cls=Command,
    examples=[
        "halong publish parcel.json --dry-run        # who would get it, and why",
        "halong publish parcel.json waste.json --dir vn",
        "halong publish parcel.json --wait              # until every receiver's node has it",
        "halong publish --from declarations.csv --map declarations.toml",
    ],
)
@click.argument("files", nargs=-1, type=READABLE)
@click.option("--from", "table_path", type=READABLE, help="A table: CSV with a header line.")
@click.option("--map", "map_path", type=READABLE, help="How its rows become notices.")
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where rows go that cannot be notices, each with its reason; by default into the node's folder.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, say who would get it, queue nothing.")
@click.option("--wait", "waits", is_flag=True, help="Show how the notices come along, --until they have.")
@click.option(
    "--until",
    "stage",
    type=click.Choice([stage.label for stage in Stage]),
    default=Stage.DELIVERED.label,
    show_default=True,
    help="What --wait waits for.",
)
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds for --wait."
)
@dir_option
@json_option
def publish(
    files: tuple[Path, ...], table_path: Path | None, map_path: Path | None, report_path: Path | None,
    dry_run: bool, waits: bool, stage: str, timeout: float, folder: Path, as_json: bool,
) -> int:  # fmt: skip
    """Queue notices at this node, which signs and sends them.

    From JSON files, one notice each; or from a table by a map: each flagged row becomes a notice, or a line
    of the report with its reason.  A row that was queued before is never queued again, so a run that was
    interrupted is simply run again.

    With --wait and --json the answer is one line, and each change of a notice another.
    """
    if waits and dry_run:
        raise click.UsageError("--dry-run queues nothing to --wait for")
    wait = Wait(Stage[stage.upper()], timeout) if waits else None
    if (table_path is None) != (map_path is None):
        raise click.UsageError("--from and --map belong together")
    if bool(files) == (table_path is not None):
        raise click.UsageError("name files, or a table with --from and --map")
    with open_folder(folder) as node:
        desk = Desk(node)
        if table_path is None or map_path is None:
            return _publish_files(desk, files, wait, dry_run=dry_run, as_json=as_json)
        mapping = parse_map(read_sent(map_path, MOST_MAP_BYTES), str(map_path))
        report = report_path or folder / "reports" / f"{mapping.id}.csv"
        return _publish_table(desk, table_path, mapping, report, wait, dry_run=dry_run, as_json=as_json)


# --- files ----------------------------------------------------------------------------------------------


def _publish_files(
    desk: Desk, files: tuple[Path, ...], wait: Wait | None, *, dry_run: bool, as_json: bool
) -> int:
    drafts = [desk.read(path) for path in files]
    previews = [desk.preview(path, draft) for path, draft in zip(files, drafts, strict=True)]
    queued = [None] * len(drafts) if dry_run else desk.node.outgoing.enqueue(drafts, desk.now)
    if as_json:
        notices = [
            {
                "file": str(path),
                "type": draft.notice_type,
                "queued": id_,
                "receivers": [receiver_object(each) for each in found.receivers],
            }
            for path, draft, found, id_ in zip(files, drafts, previews, queued, strict=True)
        ]
        told = {"member": desk.member, "dry_run": dry_run, "notices": notices}
        return _answer(desk, told, queued, wait)
    for path, draft, found in zip(files, drafts, previews, strict=True):
        say(f"{style(str(path), bold=True)}  {draft.notice_type}, TLP {draft.tlp.name}")
        show_all(found)
    if dry_run:
        note("nothing was queued: --dry-run")
    else:
        say(f"{style('queued', fg='green')} {len(drafts)} at {desk.member}; its node signs and sends them")
    return _waited(desk, queued, wait, as_json=False)


def _answer(desk: Desk, told: dict[str, Any], queued: Sequence[int | None], wait: Wait | None) -> int:
    """Print the answer to a program: alone it may take many lines, before events it is the first line."""
    if wait is None:
        answer(told)
        return Exit.HELD
    click.echo(msgspec.json.encode(told))
    return _waited(desk, queued, wait, as_json=True)


def _waited(desk: Desk, queued: Sequence[int | None], wait: Wait | None, *, as_json: bool) -> int:
    ids = [id_ for id_ in queued if id_ is not None]
    if wait is None or not ids:
        return Exit.HELD
    return wait_for(desk.node, ids, wait.stage, wait.seconds, as_json=as_json)


# --- tables ---------------------------------------------------------------------------------------------


def _publish_table(
    desk: Desk, path: Path, mapping: TableMap, report_path: Path, wait: Wait | None,
    *, dry_run: bool, as_json: bool,
) -> int:  # fmt: skip
    csv = CsvTable(path, delimiter=mapping.delimiter, encoding=mapping.encoding)
    notice_type = desk.catalogue.current(mapping.notice_type)

    def make_draft(mapped: Mapped) -> tuple[Draft, list[str]]:
        draft = desk.draft(mapped.notice, mapped.source)
        marks = flags(notice_type, draft.values(notice_type))
        return draft, [f"{_field(mark.path)}: {_WORDS[mark.kind]}" for mark in marks]

    def store(drafts: Sequence[Draft]) -> Sequence[int | None]:
        if dry_run:
            return [None if desk.node.outgoing.knows_source(draft.source or "") else 0 for draft in drafts]
        ids = desk.node.outgoing.enqueue(drafts, desk.now)
        queued.extend(ids)
        return ids

    queued: list[int | None] = []
    importer = Importer(mapping, code_list, desk.node.statement_of, make_draft, store, desk.now)
    lines = csv.lines()
    with report_file(report_path) as report, progress("rows") as tell:
        tally = importer.run(csv, report, lambda rows: tell(rows, lines))
    if as_json:
        waited = _answer(desk, _object(tally, path, mapping, report_path, dry_run=dry_run), queued, wait)
    else:
        _show(tally, mapping, report_path, dry_run=dry_run)
        waited = _waited(desk, queued, wait, as_json=False)
    return waited if tally.balanced else Exit.FAILED


def _object(tally: Tally, path: Path, mapping: TableMap, report: Path, *, dry_run: bool) -> dict[str, Any]:
    return {
        "table": str(path),
        "map": mapping.id,
        "type": mapping.notice_type,
        "dry_run": dry_run,
        "rows": tally.rows,
        "flagged": tally.flagged,
        "notices": tally.notices,
        "queued": 0 if dry_run else tally.queued,
        "already": tally.already,
        "reported": tally.reported,
        "balanced": tally.balanced,
        "report": str(report) if tally.reported else None,
        "reasons": dict(tally.reasons.most_common()),
        "marks": dict(tally.marks),
    }


def _show(tally: Tally, mapping: TableMap, report: Path, *, dry_run: bool) -> None:
    say(
        f"{style(f'{tally.flagged:,} flagged rows', bold=True)} = {tally.notices:,} in notices"
        f" + {tally.reported:,} in the report   ({tally.rows:,} rows, {mapping.notice_type})"
    )
    rows = [
        (
            "would be queued" if dry_run else "queued now",
            f"{tally.queued:,}",
            "its node signs and sends them",
        ),
        ("queued before", f"{tally.already:,}", "never sent twice"),
        ("in the report", f"{tally.reported:,}", str(report) if tally.reported else "none"),
    ]
    rows += [("", f"{count:,}", clean(reason)) for reason, count in tally.reasons.most_common(SHOWN_REASONS)]
    rows += [
        ("marked", f"{count:,}", f"{clean(mark)}; sent all the same")
        for mark, count in tally.marks.most_common(SHOWN_REASONS)
    ]
    width = max(len(number) for _, number, _ in rows)
    for line in table([(name, number.rjust(width), remark) for name, number, remark in rows]):
        say(line)
    if not tally.queued and tally.already:
        say("nothing is new")


def _field(path: str) -> str:
    """Return a path without the places in lists, so that equal fields count together."""
    return re.sub(r"\[\d+\]|\.\d+(?=\.|$)", "", path)
