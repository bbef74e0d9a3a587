"""`halong agreement who`: how far a kind of notice reaches, before there is one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.commands.agreement.places import dir_option, open_place
from broker.terminal import Command, Exit, Stopped, answer, json_option, say, style

if TYPE_CHECKING:
    from broker.core.agreements import Clause
    from broker.core.directory import Directory
    from broker.core.reach import Lead


@click.command(
    "who",
    cls=Command,
    examples=[
        "halong agreement who VN drug-parcel --dir hub",
        "halong agreement who vn hazardous-waste --dir vn --at 2027-07-01",
        "halong agreement who vn drug-parcel --dir hub --json | jq .to[].receiver",
    ],
)
@click.argument("member")
@click.argument("notice_type", metavar="TYPE")
@click.option("--at", type=click.DateTime(["%Y-%m-%d"]), help="As of the beginning of this day (UTC).")
@dir_option
@json_option
def who_command(member: str, notice_type: str, at: object, folder: Path, as_json: bool) -> int:
    """Say to whom notices of a TYPE go from MEMBER, and from whom they come to it.

    By which grants, which parts, under which conditions, and what is owed for them.  What is between two and
    does not count now is said, too, with the clause.  Exit code 1 if nobody is reached.
    """
    from datetime import UTC, datetime

    from broker.clock import SystemClock
    from broker.commands.agreement.phrases import day
    from broker.commands.agreement.places import member_named
    from broker.core.reach import leads

    directory = open_place(folder).directory
    member = member_named(directory, member)
    _check_type(directory, notice_type)
    now = int(at.replace(tzinfo=UTC).timestamp() * 1000) if isinstance(at, datetime) else SystemClock().now()
    outgoing = list(leads(directory, now, givers=[member], types=[notice_type]))
    incoming = list(leads(directory, now, receivers=[member], types=[notice_type]))
    if as_json:
        answer(
            {
                "member": member,
                "type": notice_type,
                "at": day(now),
                "directory": directory.version.hex(),
                "to": [_object(each, "receiver") for each in outgoing],
                "from": [_object(each, "giver") for each in incoming],
            }
        )
    else:
        _show(f"{member} gives {notice_type} to", outgoing, lambda lead: lead.receiver)
        say()
        _show(f"{member} gets {notice_type} from", incoming, lambda lead: lead.giver)
    return Exit.HELD if any(each.clause is None for each in outgoing) else Exit.FAILED


def _check_type(directory: Directory, notice_type: str) -> None:
    """Let a type pass that is of the catalogue, or that some agreement names.

    Raises:
        Stopped: Nobody knows it; says which there are.
    """
    from schemas import notice_schemas

    known = sorted(
        {
            *notice_schemas(),
            *(each for one in directory.agreements for grant in one.grants for each in grant.types),
        }
    )
    if notice_type in known:
        return
    near = difflib.get_close_matches(notice_type, known, n=1)
    raise Stopped(
        "no such notice type",
        code="unknown-type",
        where=notice_type,
        next_step=(f"did you mean {near[0]}? " if near else "") + f"there are {', '.join(known)}",
        exit_code=Exit.USAGE,
    )


def _object(lead: Lead, other: str) -> dict[str, object]:
    from broker.commands.agreement.phrases import grant_object

    return {
        other: lead.receiver if other == "receiver" else lead.giver,
        "agreement": lead.agreement.name,
        "grant": lead.number,
        "slots": [slot.label for slot in sorted(lead.slots)],
        "counts": lead.clause is None,
        "clause": None if lead.clause is None else lead.clause.value,
        **grant_object(lead.grant),
    }


def _show(head: str, found: Sequence[Lead], other: Callable[[Lead], str]) -> None:
    from broker.core.agreements import Clause

    now = [each for each in found if each.clause is None]
    members = {other(each) for each in now}
    say(f"{style(head, bold=True)} {len(members):,} member{'s' * (len(members) != 1)}")
    for line in lines_of(now, other):
        say(line)
    winding = [each for each in found if each.clause is Clause.OPEN_CASE]
    rest = [each for each in found if each.clause not in (None, Clause.OPEN_CASE)]
    for title, some in (("only what goes on with an open case", winding), ("not now", rest)):
        if some:
            say(f"  {style(title, dim=True)}")
            for line in lines_of(some, other):
                say(style(line, dim=True))


def lines_of(found: Iterable[Lead], other: Callable[[Lead], str]) -> list[str]:
    """Return leads as lines: whom the same grant reaches, what they get, if what, and on which terms."""
    from broker.commands.agreement.phrases import STANDING, conditions_of, names_of, slots_of, terms_of

    alike: dict[tuple[str, Clause | None], list[Lead]] = {}
    for lead in found:
        alike.setdefault((lead.name, lead.clause), []).append(lead)
    lines: list[str] = []
    for (name, clause), group in alike.items():
        lead = group[0]
        slots = slots_of(lead.slots) or "nothing"
        lines.append(
            f"  {names_of({other(each) for each in group})}   {slots}   by {name.replace('#', ' grant ')}"
        )
        if clause is not None:
            lines.append(f"      {STANDING[clause]}")
        conditions = list(conditions_of(lead.grant))
        lines.append(f"      if: {' · '.join(conditions)}" if conditions else "      whatever it is about")
        lines.append(f"      owes: {' · '.join(terms_of(lead.grant.terms))}")
    return lines
