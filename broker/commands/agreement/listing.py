"""`halong agreement list`: which agreements there are, whom they bind, and which dates come near."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.commands.agreement.places import dir_option, open_place
from broker.terminal import Command, answer, clean, json_option, say, style, table

if TYPE_CHECKING:
    from broker.core.agreements import Agreement
    from broker.core.directory import Directory


@click.command(
    "list",
    cls=Command,
    examples=[
        "halong agreement list --dir hub",
        "halong agreement list --dir vn --member jp      # what binds us two, or could",
        "halong agreement list --dir hub --json | jq '.agreements[] | select(.missing != [])'",
    ],
)
@click.option("--member", help="Only agreements that have this member as a party.")
@dir_option
@json_option
def list_command(member: str | None, folder: Path, as_json: bool) -> None:
    """List the agreements of a hub's or node's directory: how each stands, who acceded, who is missing.

    An agreement counts between those who acceded to the very same bytes, and between nobody else.
    """
    from broker.clock import SystemClock
    from broker.commands.agreement.places import member_named

    place = open_place(folder)
    directory, now = place.directory, SystemClock().now()
    chosen = None if member is None else member_named(directory, member)
    found = [each for each in directory.agreements if chosen is None or chosen in each.parties]
    found.sort(key=lambda each: (each.id, each.version))
    elsewhere = _elsewhere(directory)
    if as_json:
        answer(
            {
                "directory": directory.version.hex(),
                "agreements": [_object(each, directory, now) for each in found],
                "without_file": [
                    {"agreement": name, "acceded": members} for name, members in elsewhere.items()
                ],
            }
        )
        return
    for each in found:
        _show(each, directory, now)
    for name, members in elsewhere.items():
        say(f"{style(clean(name), dim=True)}  no file here; acceded to by {', '.join(members)}")
    if not found and not elsewhere:
        say("there are no agreements: nothing flows")


def acceded_of(agreement: Agreement, directory: Directory) -> tuple[list[str], list[str]]:
    """Return which parties acceded to these very bytes, and which did not."""
    acceded = [each for each in sorted(agreement.parties) if directory.acceded(each, agreement)]
    return acceded, sorted(agreement.parties - set(acceded))


def _elsewhere(directory: Directory) -> dict[str, list[str]]:
    """Return agreements that members list and this copy has no file of: others' affairs, or missing."""
    here = {(each.id, each.version) for each in directory.agreements}
    found: dict[str, list[str]] = {}
    for member in sorted(directory.members.values(), key=lambda each: each.id):
        for id_, version in sorted(member.accessions.keys() - here):
            found.setdefault(f"{id_}/{version}", []).append(member.id)
    return found


def _object(agreement: Agreement, directory: Directory, now: int) -> dict[str, object]:
    from broker.commands.agreement.phrases import STANDING, day
    from broker.core.reach import time_of

    acceded, missing = acceded_of(agreement, directory)
    personal_data = agreement.personal_data

    def maybe(at: int | None) -> str | None:
        return None if at is None else day(at)

    return {
        "agreement": agreement.id,
        "version": agreement.version,
        "digest": agreement.digest.hex(),
        "title": agreement.title,
        "standing": STANDING[time_of(agreement, now)].replace(" ", "-"),
        "counts": len(acceded) > 1 and time_of(agreement, now) is None,
        "acceded": acceded,
        "missing": missing,
        "in_force_from": day(agreement.in_force_at),
        "terminated_on": maybe(agreement.terminated_at),
        "wound_down_on": maybe(agreement.wound_down_at),
        "on_termination": agreement.on_termination.value,
        "review_due": maybe(agreement.review_due_at),
        "review_overdue": agreement.review_due_at is not None and now >= agreement.review_due_at,
        "personal_data_from": None if personal_data is None else day(personal_data.from_at),
        "grants": len(agreement.grants),
    }


def _show(agreement: Agreement, directory: Directory, now: int) -> None:
    from broker.commands.agreement.phrases import names_of, personal_of, review_of, standing_of
    from broker.core.reach import time_of

    acceded, missing = acceded_of(agreement, directory)
    standing, clause = standing_of(agreement, now), time_of(agreement, now)
    colour = "green" if clause is None else "yellow"
    if len(acceded) < 2:
        standing, colour = "counts for nothing: fewer than two have acceded", "red"
    say(f"{style(agreement.name, bold=True)}  {style(standing, fg=colour)}   {clean(agreement.title)}")
    rows = [("acceded", names_of(acceded) or "nobody")]
    if missing:
        rows.append(("missing", style(names_of(missing), fg="yellow")))
    review = review_of(agreement, now)
    gives = f"{len(agreement.grants)} grant{'s' * (len(agreement.grants) != 1)}"
    rows.append(("gives", f"{gives}, {personal_of(agreement, now)}"))
    if review is not None:
        late = agreement.review_due_at is not None and now >= agreement.review_due_at
        rows.append(("dates", style(review, fg="yellow") if late else review))
    for line in table(rows):
        say(line)
