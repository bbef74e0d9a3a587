"""How a preview looks: who gets what by which grant, who does not and why, readable also for 186 members.

Members that get the same, or nothing for the same reason, share a line.  What does not fit into the width of
the terminal goes on below.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from adapters.preview import Preview, Receiver
from broker.core.agreements import Clause
from broker.core.clauses import EVERY_PARTY, Grant
from broker.core.model import Obligations, Slot
from broker.core.notice_json import time_or_none, time_to_json
from broker.moments import local
from broker.terminal import clean, say, style

NARROWEST = 60
WIDEST = 400
NAMES = 24
"""How wide the column of members may be before some of them are only counted."""

Tell: TypeAlias = Callable[[Receiver], str]
Row: TypeAlias = tuple[str, str, str]
"""Who, what, and how that comes."""

WORDS: Mapping[Clause, str] = {
    Clause.ONESELF: "it says so itself",
    Clause.MEMBER: "it is no member",
    Clause.ADDRESSEES: "the notice is addressed to others",
    Clause.ORIGINAL: "it got nothing of what this follows",
    Clause.PARTIES: "no agreement has both as parties",
    Clause.ACCESSION: "one of the two has not acceded",
    Clause.IN_FORCE: "not in force yet",
    Clause.TERMINATED: "over, and wound down",
    Clause.OPEN_CASE: "winding down, and this is no open case",
    Clause.DIRECTION: "no grant in this direction",
    Clause.TYPE: "no grant for notices of this type",
    Clause.STATUS: "no grant for notices of this status",
    Clause.PURPOSE: "no grant for this purpose",
    Clause.COUNTRIES: "the notice names none of the countries that its grants are about",
    Clause.SUBJECTS: "the notice names none of the goods that its grants are about",
    Clause.TLP: "the notice is more closed (TLP) than its grants allow",
    Clause.CAMPAIGN: "the notice is of no campaign that its grants are about",
    Clause.MODE: "on request only, and this answers no request of theirs",
    Clause.PERSONAL_DATA: "it would be personal data alone, which is not switched on",
}


def show_all(
    preview: Preview,
    *,
    everyone: bool = False,
    others_too: bool = True,
    in_full: bool = False,
    past: bool = False,
) -> None:
    """Print who would get what; members that are alike together, unless `everyone` has a line.

    Whoever would not has the clause that decided; with `in_full` that of every agreement.  `past` tells of
    what was decided.
    """
    reached = preview.reached
    others = [each for each in preview.receivers if not each.receives] if others_too else []
    get, not_get = ("got it", "did not") if past else ("would get it", "would not")
    if reached:
        say(f"  {style(f'{len(reached):,} of {len(preview.receivers):,} {get}', bold=True)}")
        _print(_rows(reached, _what, _how, everyone=everyone), "green")
    else:
        say(f"  {style(f'nobody {get}', fg='red', bold=True)}")
    if others:
        say(f"  {style(f'{len(others):,} {not_get}', bold=True)}")
        _print(_rows(others, _why, _each if in_full else _under, everyone=everyone), "white")


def show_one(preview: Preview, receiver: Receiver) -> None:
    """Print in full what one member would get, and what each grant says."""
    if receiver.receives:
        say(f"  gets {style(' '.join(receiver.slots) or 'the header alone', fg='green', bold=True)}")
        missing = [slot.label for slot in Slot if slot.label not in receiver.slots]
        if missing:
            say(f"  not  {' '.join(missing)}")
        if receiver.obligations is not None:
            first, *more = _wrapped(_terms(receiver.obligations), 7)
            say(f"  {style('owes', dim=True)} {first}")
            for line in more:
                say(f"       {line}")
    else:
        say(f"  gets {style('nothing', fg='red', bold=True)}: {_why(receiver)}")
    answers = preview.grants_for(receiver.member)
    for agreement in dict.fromkeys(each.agreement for each in answers):
        say()
        say(f"  {style(agreement, bold=True)}")
        for each in answers:
            if each.agreement != agreement:
                continue
            applies = each.clause is None
            sign = style("✓", fg="green") if applies else style("·", dim=True)
            direction = f"{_party(each.grant.giver)} → {_party(each.grant.receiver)}"
            found = " ".join(each.slots) if each.clause is None else _failed(each.grant, each.clause)
            head = f"    {sign} grant {each.number}  {direction}"
            say(f"{head}   {style(_types(each.grant), dim=True)}")
            for line in textwrap.wrap(found, max(_width() - 8, NARROWEST)):
                say(f"        {style(line, fg='green') if applies else line}")
    if receiver.receives and not receiver.grants:
        say(f"  it goes where the notice went that it follows: {', '.join(receiver.agreements)}")


def receiver_object(receiver: Receiver) -> dict[str, Any]:
    """Return a receiver for programs."""
    owed = receiver.obligations
    return {
        "member": receiver.member,
        "slots": receiver.slots,
        "agreements": receiver.agreements,
        "grants": receiver.grants,
        "reason": receiver.reason.value if receiver.reason is not None else None,
        "failed": {
            f"{each.agreement.agreement}/{each.agreement.version}": each.clause.value
            for each in receiver.failed
        },
        "feedback_due": time_or_none(owed.feedback_due) if owed is not None else None,
        "retain_until": time_or_none(owed.retain_until) if owed is not None else None,
    }


def _what(receiver: Receiver) -> str:
    return " ".join(receiver.slots) or "the header alone"


def _how(receiver: Receiver) -> str:
    due = receiver.obligations.feedback_due if receiver.obligations is not None else None
    by = ", ".join(each.replace("#", " grant ") for each in receiver.grants or receiver.agreements)
    return f"by {by}" + ("" if due is None else f" · feedback by {local(due)}")


def _why(receiver: Receiver) -> str:
    return "" if receiver.reason is None else WORDS[receiver.reason]


def _under(receiver: Receiver) -> str:
    return ", ".join(receiver.agreements)


def _each(receiver: Receiver) -> str:
    return "; ".join(
        f"{each.agreement.agreement}/{each.agreement.version}: {WORDS[each.clause]}"
        for each in receiver.failed
    )


def _rows(receivers: Sequence[Receiver], what: Tell, how: Tell, *, everyone: bool) -> list[Row]:
    alike: dict[tuple[str, str, str], list[str]] = {}
    for each in receivers:
        apart = each.member if everyone else ""
        alike.setdefault((what(each), how(each), apart), []).append(each.member)
    return [
        (_names(members), text, under)
        for (text, under, _), members in sorted(alike.items(), key=lambda each: (len(each[1]), each[1]))
    ]


def _names(members: Sequence[str]) -> str:
    """Return members in a few words: as many by name as fit, the others counted."""
    whole = " ".join(members)
    if len(whole) <= NAMES:
        return whole
    named = ""
    for count, member in enumerate(members):
        more = f" and {len(members) - count - 1} more"
        longer = f"{named} {member}".strip()
        if len(longer) + len(more) > NAMES and named:
            return f"{named} and {len(members) - count} more"
        named = longer
    return named


def _print(rows: Iterable[Row], colour: str) -> None:
    rows = list(rows)
    width = _width()
    left = max((len(who) for who, _, _ in rows), default=0)
    middle = max((len(what) for _, what, _ in rows), default=0)
    right = max((len(how) for _, _, how in rows), default=0)
    abreast = 4 + left + 3 + middle + 3 + right <= width
    for who, what, how in rows:
        head = f"    {style(who.ljust(left), fg=colour)}   "
        if abreast:
            say(f"{head}{what.ljust(middle)}   {style(how, dim=True)}" if how else f"{head}{what}")
            continue
        lines = textwrap.wrap(what, max(width - left - 7, NARROWEST - left))
        say(f"{head}{lines[0]}")
        for line in lines[1:]:
            say(f"{' ' * (left + 7)}{line}")
        for line in textwrap.wrap(how, max(width - left - 7, NARROWEST - left), break_on_hyphens=False):
            say(f"{' ' * (left + 7)}{style(line, dim=True)}")


def _terms(owed: Obligations) -> str:
    onward = (owed.onward_domestic, owed.onward_community, owed.onward_third_country)
    parts = [
        None if owed.feedback_due is None else f"feedback by {local(owed.feedback_due)}",
        None if owed.retain_until is None else f"keep until {time_to_json(owed.retain_until)[:10]}",
        "pass on: "
        + ", ".join(
            f"{where} {what.name.lower().replace('_', '-')}"
            for where, what in zip(("domestic", "community", "third country"), onward, strict=True)
        ),
    ]
    return " · ".join(part for part in parts if part is not None)


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(text, max(_width() - indent, NARROWEST), break_on_hyphens=False)


def _failed(grant: Grant, clause: Clause) -> str:
    """Return why a grant does not apply, with what it asks for."""
    asks: Mapping[Clause, Iterable[str] | None] = {
        Clause.STATUS: (each.name for each in sorted(grant.statuses)),
        Clause.PURPOSE: grant.purposes,
        Clause.COUNTRIES: grant.countries,
        Clause.SUBJECTS: grant.subjects,
        Clause.TLP: (grant.tlp_max.name,),
        Clause.CAMPAIGN: grant.campaigns,
    }
    asked = asks.get(clause)
    return WORDS[clause] if asked is None else f"{WORDS[clause]}: {', '.join(sorted(asked))}"


def _types(grant: Grant) -> str:
    types = sorted(grant.types)
    return clean(", ".join(types[:3]) + (f" and {len(types) - 3} more" if len(types) > 3 else ""))


def _party(party: str) -> str:
    return "everybody" if party == EVERY_PARTY else party


def _width() -> int:
    """Return the width of the terminal; a file or a pipe has none, so that a line there stays a line."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return WIDEST
    return max(shutil.get_terminal_size().columns, NARROWEST)
