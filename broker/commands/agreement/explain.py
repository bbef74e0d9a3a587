"""`halong agreement explain`: who gets a notice and who does not, and by which clause of which agreement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.commands.agreement.places import Place, dir_option, member_named, open_place
from broker.terminal import Command, Exit, answer, clean, json_option, note, say, style

if TYPE_CHECKING:
    from adapters.past import Past
    from adapters.preview import Preview, Receiver


@click.command(
    "explain",
    cls=Command,
    examples=[
        "halong agreement explain vn/asia-pacific/main/17 --dir hub",
        "halong agreement explain vn/asia-pacific/main/17 --member nl --dir hub   # grant by grant",
        "halong agreement explain parcel.json --dir vn                            # not sent yet",
    ],
)
@click.argument("notice")
@click.option("--member", help="Explain this member in full: every grant, and what it says.")
@click.option("--originator", help="Who would send the draft in a file; needed at a hub.")
@click.option("--at", type=click.DateTime(["%Y-%m-%d"]), help="As if a file were decided on this day (UTC).")
@click.option("--all", "everyone", is_flag=True, help="A line for every member, also where many are alike.")
@dir_option
@json_option
def explain_command(
    notice: str, member: str | None, originator: str | None, at: datetime | None, everyone: bool,
    folder: Path, as_json: bool,
) -> int:  # fmt: skip
    """Say who gets a NOTICE, which parts and by which grant; who does not, and by which clause.

    NOTICE is a file (a draft or a signed notice), or the reference or id of a past notice.  That one is
    explained on the version of the directory that its decision names, and held against what the log shows:
    exit code 1 if the two differ.  A node knows what it sent, and its own part of what it got; a hub all.
    """
    from broker.commands.agreement.finding import of_file, of_past

    place, path, past = open_place(folder), Path(notice), None
    if path.is_file():
        day = None if at is None else int(at.replace(tzinfo=UTC).timestamp() * 1000)
        said = of_file(place, path, originator, day)
    else:
        past, said = of_past(place, notice)
    one = _asked_for(said, past, member, place)
    otherwise = [] if past is None else past.otherwise(said)
    if as_json:
        answer(_object(notice, said, past, one, otherwise))
    else:
        _show(notice, said, past, one, otherwise, everyone=everyone)
    return Exit.FAILED if otherwise else Exit.HELD


def _asked_for(said: Preview, past: Past | None, member: str | None, place: Place) -> Receiver | None:
    """Return the one member that is to be explained in full, or None for all of them."""
    if member is not None:
        named = member_named(said.directory, member)
        if named == said.header.originator:
            raise click.UsageError(f"{named} is the notice's originator: nobody is sent its own notice")
        return said.of(named)
    # Of what others sent a node has only its own part for certain.
    return said.of(place.member) if past is not None and past.about == place.member is not None else None


def _object(
    notice: str, said: Preview, past: Past | None, one: Receiver | None, otherwise: Sequence[str]
) -> dict[str, object]:
    from adapters.commands.previewed import receiver_object
    from broker.core.notice_json import time_to_json

    told: dict[str, object] = {
        "notice": notice,
        "reference": None if past is None else said.header.reference.removeprefix("halong:"),
        "statement": None if past is None else past.statement.hex(),
        "originator": said.header.originator,
        "type": said.header.notice_type,
        "act": said.header.act.name,
        "at": time_to_json(said.context.at),
        "directory": said.directory.version.hex(),
        "reached": len(said.reached),
        "receivers": [
            receiver_object(each) for each in said.receivers if one is None or each.member == one.member
        ],
        "as_logged": None if past is None else not otherwise,
        "otherwise": list(otherwise),
    }
    if one is not None:
        told["grants"] = [
            {
                "agreement": each.agreement,
                "grant": each.number,
                "slots": each.slots if each.clause is None else (),
                "clause": None if each.clause is None else each.clause.value,
            }
            for each in said.grants_for(one.member)
        ]
    return told


def _show(
    notice: str,
    said: Preview,
    past: Past | None,
    one: Receiver | None,
    otherwise: Sequence[str],
    *,
    everyone: bool,
) -> None:
    from adapters.commands.previewed import show_all, show_one
    from broker.moments import local

    header = said.header
    name = notice if past is None else header.reference.removeprefix("halong:")
    head = style(clean(name) + (f" → {one.member}" if one is not None else ""), bold=True)
    when = (
        f"as of {local(said.context.at, year=True)}"
        if past is None
        else f"decided {local(past.decided_at, year=True)}"
    )
    say(f"{head}  {clean(header.notice_type)} of {header.originator}, TLP {header.tlp.name}, {when}")
    if one is None:
        show_all(said, everyone=everyone, in_full=True, past=past is not None)
    else:
        show_one(said, one)
    if past is None:
        return
    version = past.directory.hex()[:12]
    if otherwise:
        say(f"  {style('✗', fg='red')} the log shows something else for {', '.join(otherwise)}")
        note("next: keep a copy of the log and ask the hub's operator: it gave what no agreement says")
    else:
        whose = "" if past.about is None else f", as far as {past.about} can tell"
        say(f"  {style('✓', fg='green')} as the log shows{whose}; on directory {version}")
