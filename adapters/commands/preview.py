"""`halong preview`: who would get a notice, which parts of it and why; before anything is queued."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from adapters.commands.desk import MOST_MAP_BYTES, Desk
from adapters.commands.options import dir_option
from adapters.commands.previewed import WORDS, receiver_object, show_all, show_one
from adapters.importing.csv_table import CsvTable
from adapters.importing.importer import Importer
from adapters.importing.map_file import parse_map
from adapters.importing.mapping import Mapped, TableMap
from adapters.member_folder import open_folder
from adapters.preview import Preview
from adapters.sending.draft import Draft
from broker.core.agreements import Clause
from broker.core.errors import Refused
from broker.core.notice_json import time_to_json
from broker.files import read_sent
from broker.moments import local, time_of
from broker.progress import progress
from broker.terminal import (
    READABLE,
    Command,
    Exit,
    Stopped,
    answer,
    json_option,
    say,
    style,
    table,
)
from schemas import code_list

DEPTH = {clause: depth for depth, clause in enumerate(Clause)}


class Moment(click.ParamType):  # type: ignore[type-arg] # generic for its checkers alone
    """A time such as 2027-01-31T12:00:00Z, or a day, of which it is the beginning (UTC)."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the time as UTC milliseconds."""
        at = time_of(value)
        if at is None or at < 0:
            self.fail("a time is written 2027-01-31T12:00:00Z, a day 2027-01-31", param, ctx)
        return at


@click.command(
    "preview",
    cls=Command,
    examples=[
        "halong preview parcel.json --dir vn",
        "halong preview parcel.json --member jp         # one in full: every grant, and what it says",
        "halong preview parcel.json --at 2027-07-01     # once an agreement has ended",
        "halong preview --from declarations.csv --map declarations.toml",
    ],
)
@click.argument("files", nargs=-1, type=READABLE)
@click.option("--from", "table_path", type=READABLE, help="A table: CSV with a header line.")
@click.option("--map", "map_path", type=READABLE, help="How its rows become notices.")
@click.option("--member", help="Explain this member in full.")
@click.option("--at", type=Moment(), help="As if it were decided at this time, or on this day.")
@click.option("--all", "everyone", is_flag=True, help="A line for every member, also where many are alike.")
@dir_option
@json_option
def preview(
    files: tuple[Path, ...], table_path: Path | None, map_path: Path | None, member: str | None,
    at: int | None, everyone: bool, folder: Path, as_json: bool,
) -> int:  # fmt: skip
    """Say who would get a notice, which parts and by which grant; who would not, and by which clause.

    Asks the same function as the hub, on this node's directory; nothing is queued or sent.  Exit code 1 if a
    notice would reach nobody, or not the --member that was named.
    """
    if (table_path is None) != (map_path is None):
        raise click.UsageError("--from and --map belong together")
    if bool(files) == (table_path is not None):
        raise click.UsageError("name files, or a table with --from and --map")
    with open_folder(folder) as node:
        desk = Desk(node, at)
        if member is not None and (member == desk.member or member not in desk.index.directory.members):
            raise Stopped(
                "no other member of this name is in the directory",
                code="usage",
                where="--member",
                next_step="see who is: halong preview FILE --all",
                exit_code=Exit.USAGE,
            )
        if table_path is None or map_path is None:
            return _files(desk, files, member, everyone=everyone, as_json=as_json)
        mapping = parse_map(read_sent(map_path, MOST_MAP_BYTES), str(map_path))
        return _table(desk, table_path, mapping, member, as_json=as_json)


# --- files ----------------------------------------------------------------------------------------------


def _files(desk: Desk, files: Sequence[Path], member: str | None, *, everyone: bool, as_json: bool) -> int:
    drafts = [desk.read(path) for path in files]
    previews = [desk.preview(path, draft) for path, draft in zip(files, drafts, strict=True)]
    if as_json:
        answer(
            {
                "member": desk.member,
                "at": time_to_json(desk.now),
                "directory": desk.index.directory.version.hex(),
                "notices": [
                    _object(path, draft, found, member)
                    for path, draft, found in zip(files, drafts, previews, strict=True)
                ],
            }
        )
    else:
        for path, draft, found in zip(files, drafts, previews, strict=True):
            head = style(str(path) + (f" → {member}" if member else ""), bold=True)
            say(f"{head}  {draft.notice_type}, TLP {draft.tlp.name}, as of {local(desk.now, year=True)}")
            one = None if member is None else found.of(member)
            if one is None:
                show_all(found, everyone=everyone)
            else:
                show_one(found, one)
    return Exit.HELD if all(_reaches(found, member) for found in previews) else Exit.FAILED


def _reaches(found: Preview, member: str | None) -> bool:
    return bool(found.reached) if member is None else any(each.member == member for each in found.reached)


def _object(path: Path, draft: Draft, found: Preview, member: str | None) -> dict[str, object]:
    told: dict[str, object] = {
        "file": str(path),
        "type": draft.notice_type,
        "reached": len(found.reached),
        "receivers": [receiver_object(each) for each in found.receivers if member in (None, each.member)],
    }
    if member is not None:
        told["grants"] = [
            {
                "agreement": each.agreement,
                "grant": each.number,
                "slots": each.slots if each.clause is None else (),
                "clause": None if each.clause is None else each.clause.value,
            }
            for each in found.grants_for(member)
        ]
    return told


# --- tables ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sum:
    """What a table's notices come to: for each member and what it gets the count, and why some go nowhere."""

    notices: int = 0
    reaching: int = 0
    shares: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    nobody: Counter[str] = field(default_factory=Counter)

    def add(self, desk: Desk, draft: Draft, member: str | None) -> None:
        """Add a notice."""
        self.notices += 1
        try:
            found = desk.look_ahead(draft)
        except Refused as error:
            self.nobody[f"{error} [{error.code}]"] += 1
            return
        if not _reaches(found, member):
            asked = [each for each in found.receivers if member in (None, each.member)]
            reasons = [each.reason for each in asked if each.reason is not None]
            self.nobody[WORDS[max(reasons, key=DEPTH.__getitem__)] if reasons else "nobody is there"] += 1
            return
        self.reaching += 1
        for each in found.reached:
            if member in (None, each.member):
                by = ", ".join(one.replace("#", " grant ") for one in each.grants or each.agreements)
                self.shares[each.member, " ".join(each.slots), by] += 1


def _table(desk: Desk, path: Path, mapping: TableMap, member: str | None, *, as_json: bool) -> int:
    csv = CsvTable(path, delimiter=mapping.delimiter, encoding=mapping.encoding)
    total = _Sum()

    def make_draft(mapped: Mapped) -> tuple[Draft, list[str]]:
        draft = desk.draft(mapped.notice, mapped.source)
        total.add(desk, draft, member)
        return draft, []

    importer = Importer(
        mapping, code_list, desk.node.statement_of, make_draft, lambda drafts: [0] * len(drafts), desk.now
    )
    lines = csv.lines()
    with progress("rows") as tell:
        tally = importer.run(csv, lambda *_row: None, lambda rows: tell(rows, lines))
    if as_json:
        answer(
            {
                "member": desk.member,
                "at": time_to_json(desk.now),
                "directory": desk.index.directory.version.hex(),
                "table": str(path),
                "flagged": tally.flagged,
                "notices": total.notices,
                "unusable": tally.reported,
                "reaching": total.reaching,
                "receivers": [
                    {"member": who, "slots": slots.split(), "by": by, "notices": count}
                    for (who, slots, by), count in sorted(total.shares.items())
                ],
                "nobody": dict(total.nobody.most_common()),
            }
        )
    else:
        _show(path, mapping, total, tally.flagged, tally.reported)
    return Exit.HELD if total.reaching == total.notices else Exit.FAILED


def _show(path: Path, mapping: TableMap, total: _Sum, flagged: int, unusable: int) -> None:
    say(
        f"{style(str(path), bold=True)}  {flagged:,} flagged rows: {total.notices:,} notices"
        f" ({mapping.notice_type}), {unusable:,} that cannot be one"
    )
    rows: list[tuple[str, ...]] = [
        (style(who, fg="green"), f"{count:,}", slots, style(f"by {by}", dim=True))
        for (who, slots, by), count in sorted(total.shares.items())
    ]
    rows += [(style("nobody", fg="red"), f"{count:,}", why) for why, count in total.nobody.most_common()]
    for line in table(rows):
        say(line)
