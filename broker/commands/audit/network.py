"""`halong audit members`, `effect`, `index`: how members stand, what agreements bring, the index itself."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from broker.audit.building import AuditIndex
from broker.audit.effect import Effect, effects
from broker.audit.members import Patience, Standing, standings
from broker.clock import SystemClock
from broker.commands.audit.asking import (
    Question,
    dir_option,
    index_option,
    reason_option,
    since_option,
    span,
    times,
    until_option,
    when,
)
from broker.core.notice_json import time_or_none
from broker.moments import SPANS
from broker.terminal import Command, Exit, answer, clean, json_option, say, style, table

HOURS = click.FloatRange(0, 24 * 366)
COLOURS = {"silent": "red", "behind": "yellow", "slow": "yellow", "well": "green"}


@click.command(
    "members",
    cls=Command,
    examples=[
        "halong audit members --dir hub",
        "halong audit members --silent 8 --json | jq '.members[].state'",
    ],
)
@click.option(
    "--silent", type=HOURS, default=24.0, show_default=True, help="Hours that something may wait untaken."
)
@click.option("--behind", type=HOURS, default=0.25, show_default=True, help="Hours until it is behind.")
@click.option("--slow", type=HOURS, default=1.0, show_default=True, help="Hours that a receipt may take.")
@dir_option
@index_option
@reason_option
@json_option
def members_command(
    silent: float,
    behind: float,
    slow: float,
    folder: Path,
    index_file: Path | None,
    reason: str,
    as_json: bool,
) -> int:
    """Say which members are slow, silent or behind, those first that somebody should call.

    Silent: something waits in its inbox longer than a day.  Behind: something waits that it could have taken.
    Slow: it takes long to say what became of what it took.  One for which nothing waits is none of these.
    """
    hour, now = SPANS["h"], SystemClock().now()
    patience = Patience(round(silent * hour), round(behind * hour), round(slow * hour))
    found = Question(folder, index_file, "members", reason).ask(
        lambda index: standings(index, now, patience), lambda _: ()
    )
    if as_json:
        answer({"members": [_standing_object(each) for each in found]})
        return Exit.HELD
    rows = [
        (
            clean(each.member),
            style(each.state, fg=COLOURS[each.state]),
            f"{each.published:,}",
            f"{each.delivered:,}",
            f"{each.untaken:,}" + (f" since {when(each.untaken_since)}" if each.untaken else ""),
            f"{each.acknowledged:,}",
            f"{each.rejected:,}",
            span(each.takes),
            when(each.last_taken_at),
            "-" if each.head is None else f"{each.head:,} at {when(each.head_at)}",
        )
        for each in found
    ]
    heads = (
        "member",
        "",
        "published",
        "delivered",
        "untaken",
        "acknowledged",
        "rejected",
        "takes",
        "last came",
        "last head",
    )
    for line in table([heads, *rows]):
        say(line)
    return Exit.HELD


def _standing_object(each: Standing) -> dict[str, object]:
    last = ("last_published_at", "last_taken_at", "last_receipt_at", "head_at")
    times_of = ("untaken_since", "unanswered_since", *last)
    found = {**asdict(each), "untaken": each.untaken}
    found["takes_ms"] = found.pop("takes")
    return found | {name: time_or_none(found[name]) for name in times_of}


@click.command(
    "effect",
    cls=Command,
    examples=["halong audit effect --since 90d --dir hub", "halong audit effect --under jp-vn-2026 --json"],
)
@click.option("--under", "agreement", help="This agreement alone, by its id.")
@since_option
@until_option
@dir_option
@index_option
@reason_option
@json_option
def effect_command(
    agreement: str | None,
    since: str,
    until: str | None,
    folder: Path,
    index_file: Path | None,
    reason: str,
    as_json: bool,
) -> int:
    """Count what agreements bring, in each direction: sent, acknowledged, answered, with which result.

    By whole days in UTC; exercises do not count.  Hits are answers that something was found; overdue is what
    feedback is owed on and late now; the median is of the hours from decision to the first answer.
    """
    within, now = times(since, until), SystemClock().now()
    found = Question(folder, index_file, "effect", reason).ask(
        lambda index: effects(index, now, agreement=agreement, **within), lambda _: ()
    )
    if as_json:
        answer({"agreements": [{**asdict(each), "hit_rate": each.hit_rate} for each in found]})
        return Exit.HELD
    heads = (
        "agreement",
        "direction",
        "sent",
        "acknowledged",
        "asked",
        "answered",
        "hits",
        "overdue",
        "median",
    )
    for line in table([heads, *map(_effect_row, found)]):
        say(line)
    return Exit.HELD


def _effect_row(each: Effect) -> tuple[str, ...]:
    rate = f" ({each.hit_rate:.0%})" if each.hit_rate is not None else ""
    return (
        clean(each.agreement),
        clean(f"{each.originator} to {each.member}"),
        f"{each.sent:,}",
        f"{each.acknowledged:,}",
        f"{each.asked:,}",
        f"{each.answered:,}",
        f"{each.hits:,}{rate}",
        f"{each.overdue:,}",
        "-" if each.median_hours is None else f"{each.median_hours:.1f} h",
    )


@click.command(
    "index",
    cls=Command,
    examples=[
        "halong audit index --dir hub",
        "halong audit index --rebuild --dir hub --index /srv/audit/hub.index",
    ],
)
@click.option("--rebuild", is_flag=True, help="Throw it away and make it anew from the topics.")
@dir_option
@index_option
@json_option
def index_command(rebuild: bool, folder: Path, index_file: Path | None, as_json: bool) -> int:
    """Bring the index up to date from which questions are answered, or make it anew.

    Every question does this by itself; the first time it takes a while.  The index is made from the topics
    alone and can be thrown away at any time.  It holds facts of notices: keep it as the log is kept.
    """
    started = time.monotonic()

    def size(index: AuditIndex) -> tuple[int, int, int]:
        (records,) = index.base.rows("SELECT sum(next) FROM place")[0]
        return index.leaves.size, records or 0, index.octets

    question = Question(folder, index_file, "index", "")
    leaves, records, octets = question.prepared(size, rebuild=rebuild)
    seconds = time.monotonic() - started
    if as_json:
        answer({"leaves": leaves, "records": records, "bytes": octets, "seconds": round(seconds, 3)})
    else:
        say(f"{leaves:,} leaves, {records:,} records read, {octets / 1e6:,.1f} MB, in {seconds:.1f} s")
    return Exit.HELD
