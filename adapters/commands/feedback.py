"""`halong feedback`: what is due, the answer to it in one command, what came back, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import click

from adapters.commands.desk import Desk
from adapters.commands.feedback_shown import (
    answer_object,
    count_line,
    count_object,
    due_line,
    given_line,
    given_object,
    right,
    shared_object,
)
from adapters.commands.options import dir_option
from adapters.commands.previewed import show_all
from adapters.feedback.answering import Answer, compose_answer, due, queue_answer
from adapters.feedback.counts import DAY_MS, count
from adapters.feedback.view import FeedbackView
from adapters.member_folder import NodeFolder, open_folder
from adapters.notices.feedback import Outcome, UseMade
from broker.core.errors import AddresseeUnreached, BadHeader, Refused
from broker.core.model import Tlp
from broker.moments import local
from broker.terminal import (
    Command,
    Exit,
    Group,
    answer,
    clean,
    confirm,
    from_error,
    json_option,
    note,
    say,
    style,
    table,
    yes_option,
)


@click.group(
    "feedback",
    cls=Group,
    examples=[
        "halong feedback due --dir jp",
        "halong feedback give vn/asia-pacific/main/17 --outcome CHECKED_NO_FINDING --dir jp",
    ],
)
def feedback() -> None:
    """Answer what was received, and see what came of what was sent."""


@feedback.command(
    "due",
    cls=Command,
    short_help="What is owed, the longest overdue first.",
    examples=[
        "halong feedback due --dir jp",
        "halong feedback due --within 2 --json | jq '.due[].reference'",
    ],
)
@click.option("--within", "days", type=click.FloatRange(min=0), help="Leave out what is due in more days.")
@dir_option
@json_option
def due_(days: float | None, folder: Path, as_json: bool) -> int:
    """Show what this member owes feedback on, the longest overdue first."""
    with open_folder(folder) as node:
        desk = Desk(node)
        within = None if days is None else round(days * DAY_MS)
        found = due(node.store, desk.member, desk.catalogue, desk.now, within_ms=within)
    if as_json:
        answer(
            {
                "member": desk.member,
                "overdue": sum(each.overdue for each in found),
                "due": [shared_object(each.shared) | {"overdue": each.overdue} for each in found],
            }
        )
        return Exit.HELD
    for line in table([due_line(each) for each in found]):
        say(line)
    late = sum(each.overdue for each in found)
    if found:
        note(f"{late:,} overdue, {len(found) - late:,} due; next: halong feedback give REFERENCE --outcome …")
    else:
        say("nothing is due")
    return Exit.HELD


@feedback.command(
    "give",
    cls=Command,
    short_help="Answer a notice.",
    examples=[
        "halong feedback give vn/asia-pacific/main/17 --outcome CHECKED_NO_FINDING",
        'halong feedback give 5a3f9c0d --outcome HIT_SEIZED --found "1.18 KGM mdma" --place VNSGN',
        "halong feedback give vn/asia-pacific/main/17 --outcome HIT_SEIZED --again   # after all",
    ],
)
@click.argument("name", metavar="REFERENCE|ID")
@click.option("--outcome", required=True, type=click.Choice(get_args(Outcome)), help="What came of it.")
@click.option(
    "--found",
    multiple=True,
    metavar="'AMOUNT UNIT [HS|SUBSTANCE]'",
    help='Something that was found: "1.18 KGM mdma", "40 H87 240220"; more than once.',
)
@click.option(
    "--value", metavar="'AMOUNT CURRENCY'", help='Value of the goods, or duty recovered: "900 EUR".'
)
@click.option("--place", help="Where: a country (VN) or a place by UN/LOCODE (VNSGN).")
@click.option("--acted-at", help="When it was checked, seized or seen: 2027-01-31T12:00:00Z.")
@click.option(
    "--use", "uses", multiple=True, type=click.Choice(get_args(UseMade)), help="What it was used for."
)
@click.option("--usefulness", type=click.IntRange(0, 5), help="0 (not at all) to 5 (decisive).")
@click.option("--text", help="In words, in --language; shown as written, never translated.")
@click.option("--language", default="en", show_default=True, help="Of --text: ISO 639-1.")
@click.option(
    "--tlp", type=click.Choice([each.name for each in Tlp]), help="That of the notice if not given."
)
@click.option("--again", is_flag=True, help="Answer once more what was answered before.")
@dir_option
@yes_option
@json_option
def give(
    name: str, outcome: str, found: tuple[str, ...], value: str | None, place: str | None,
    acted_at: str | None, uses: tuple[str, ...], usefulness: int | None, text: str | None, language: str,
    tlp: str | None, again: bool, folder: Path, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Answer a notice, named by its REFERENCE or the beginning of its or its delivery's id.

    Goes to the notice's originator alone; shows who would get what and asks, then queues it.  What was
    answered is not answered twice, unless --again.
    """
    content: dict[str, Any] = {
        "outcome": outcome,
        "acted_at": acted_at,
        "place": None if place is None else _place(place),
        "findings": [_finding(each) for each in found] or None,
        "value": None if value is None else _money(value),
        "use_made": list(uses) or None,
        "usefulness": usefulness,
        "narrative": None if text is None else {"language": language, "text": text},
    }
    closed = None if tlp is None else Tlp[tlp]
    with open_folder(folder) as node:
        made = _compose(Desk(node), name, {k: v for k, v in content.items() if v is not None}, closed, again)
        if made.shared.answered_at is not None and not again:
            return _given_before(made, as_json=as_json)
        if not as_json:
            about = f"{style(clean(made.shared.reference), bold=True)}  {clean(made.shared.notice_type)}"
            say(f"{about} → {outcome}")
            show_all(made.preview, others_too=False)
        confirm(f"Give this feedback to {made.shared.originator}?", yes=yes)
        desk = Desk(node)
        given = queue_answer(node.store, made, now=desk.now, again=again)
    if as_json:
        answer(answer_object(given))
    else:
        done = style("queued", fg="green")
        say(
            f"{done} at {desk.member}; its node signs and sends it"
            if given.queued
            else "it was queued before"
        )
    return Exit.HELD


@feedback.command(
    "received",
    cls=Command,
    short_help="What came back on what was sent.",
    examples=["halong feedback received --dir vn", "halong feedback received -n 1000 --json"],
)
@click.option("-n", "limit", default=20, show_default=True, help="How many at most; the latest ones.")
@dir_option
@json_option
def received(limit: int, folder: Path, as_json: bool) -> int:
    """Show the feedback that came on what this member sent, each with the notice that it is about."""
    with open_folder(folder) as node:
        found = _view(node).given(to_us=True, limit=limit)
    if as_json:
        answer({"member": node.config.member, "feedback": [given_object(each) for each in found]})
        return Exit.HELD
    for line in table([given_line(each) for each in found]):
        say(line)
    if not found:
        say("no feedback yet")
    return Exit.HELD


@feedback.command(
    "count",
    cls=Command,
    short_help="Asked, given, late, hits: by agreement.",
    examples=["halong feedback count --dir vn", "halong feedback count --since 365 --json"],
)
@click.option("--since", "days", type=click.FloatRange(min=0), help="Only what was shared in so many days.")
@dir_option
@json_option
def count_(days: float | None, folder: Path, as_json: bool) -> int:
    """Count feedback for each agreement, on what was sent and on what was received.

    Of what was shared: how much feedback was asked for and given, is due and is late; how many answers are
    hits, and their share; the median of days from the decision to the answer.
    """
    with open_folder(folder) as node:
        _view(node)
        now = Desk(node).now
        since = 0 if days is None else now - round(days * DAY_MS)
        found = count(node.store, node.config.member, now, since=since)
    if as_json:
        answer({"member": node.config.member, "agreements": [count_object(each) for each in found]})
        return Exit.HELD
    head = ("", "shared", "asked", "answered", "due", "late", "hits", "rate", "days")
    for sent, title in ((True, "on what we sent"), (False, "on what we received")):
        rows = [count_line(each) for each in found if each.sent is sent]
        if rows:
            say(style(title, bold=True))
            for line in table(right(head, rows), gap="  "):
                say(line)
    if not found:
        say("nothing was shared yet")
    return Exit.HELD


# --- giving ---------------------------------------------------------------------------------------------


def _compose(desk: Desk, name: str, content: Mapping[str, Any], tlp: Tlp | None, again: bool) -> Answer:
    try:
        return compose_answer(
            desk.node.store,
            desk.member,
            desk.catalogue,
            desk.index,
            name,
            content,
            now=desk.now,
            tlp=tlp,
            again=again,
        )
    except AddresseeUnreached as error:
        raise from_error(
            error,
            where=name,
            next_step="agree on a grant for notices of type feedback, from here to its originator; "
            "`halong preview` shows which clause fails",
        ) from None
    except BadHeader as error:
        if error.field != "reference":
            raise
        raise from_error(
            error, where=name, next_step="see what arrived: halong feed, halong feedback due"
        ) from None
    except Refused as error:
        raise from_error(error, where=error.field or name) from None


def _given_before(made: Answer, *, as_json: bool) -> int:
    if as_json:
        answer(answer_object(made))
        return Exit.HELD
    at = made.shared.answered_at
    say(
        f"{clean(made.shared.reference)} was answered before: {clean(made.shared.outcome or '')}"
        f" at {'' if at is None else local(at)}"
    )
    note("nothing was queued; to answer it once more give --again")
    return Exit.HELD


def _finding(text: str) -> dict[str, Any]:
    amount, unit, *what = text.split(maxsplit=2)[:3] if len(text.split()) > 1 else (text, "")
    if not unit:
        raise click.BadParameter('it is written "AMOUNT UNIT", such as "1.18 KGM mdma"', param_hint="--found")
    found: dict[str, Any] = {"quantity": {"value": amount, "unit": unit.upper()}}
    if what:
        found["hs" if what[0].isdecimal() else "substance"] = what[0]
    return found


def _money(text: str) -> dict[str, str]:
    amount, _, currency = text.partition(" ")
    if not currency:
        raise click.BadParameter('it is written "AMOUNT CURRENCY", such as "900 EUR"', param_hint="--value")
    return {"amount": amount, "currency": currency.strip().upper()}


def _place(text: str) -> dict[str, str | None]:
    text = text.upper()
    return {"country": text[:2], "location": text if len(text) > 2 else None}


def _view(node: NodeFolder) -> FeedbackView:
    view = FeedbackView(node.store, node.config.member, Desk(node).catalogue)
    view.read_all()
    return view
