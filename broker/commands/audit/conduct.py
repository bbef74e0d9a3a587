"""`halong audit read`, `refused`, `gaps`: who read what, what was refused, and what does not follow on."""

from __future__ import annotations

from pathlib import Path

import click

from broker.audit.gaps import gaps
from broker.audit.reads import readings, refusals, why
from broker.clock import SystemClock
from broker.commands.audit.asking import (
    Question,
    dir_option,
    index_option,
    limit_option,
    reason_option,
    since_option,
    times,
    until_option,
    when,
)
from broker.core.notice_json import time_to_json
from broker.terminal import Command, Exit, answer, clean, json_option, say, style, table


@click.command(
    "read",
    cls=Command,
    examples=[
        "halong audit read vn/asia-pacific/main/17 --dir hub",
        "halong audit read --reader operator:ada --since 30d --json",
    ],
)
@click.argument("reference", required=False)
@click.option("--reader", help="By this member or operator alone.")
@since_option
@until_option
@limit_option
@dir_option
@index_option
@reason_option
@json_option
def read_command(
    reference: str | None,
    reader: str | None,
    since: str,
    until: str | None,
    limit: int,
    folder: Path,
    index_file: Path | None,
    reason: str,
    as_json: bool,
) -> int:
    """Say who read what: members their inboxes, operators the log; of one notice, or of all.

    Operators are written `operator:` and their account.  What you ask here is in the next answer, too.
    """
    within = times(since, until)
    found = Question(folder, index_file, "read", reason).ask(
        lambda index: readings(index, reference, reader=reader, limit=limit, **within), lambda _: ()
    )
    if as_json:
        answer(
            {
                "reads": [
                    {
                        "at": time_to_json(each.at),
                        "reader": each.reader,
                        "what": each.what.name.lower(),
                        "told_of": each.count,
                        "reason": each.reason,
                    }
                    for each in found
                ]
            }
        )
        return Exit.HELD
    rows = [
        (
            when(each.at),
            clean(each.reader),
            each.what.name.lower(),
            f"{each.count:,}",
            clean(each.reason or ""),
        )
        for each in found
    ]
    for line in table([("when (UTC)", "who", "what", "told of", "why"), *rows]):
        say(line)
    return Exit.HELD


@click.command(
    "refused",
    cls=Command,
    examples=[
        "halong audit refused --since 24h --dir hub",
        "halong audit refused --code equivocation --json",
    ],
)
@click.option("--peer", help="To this member alone; - is who belongs to none.")
@click.option("--code", help="For this reason alone.")
@since_option
@until_option
@limit_option
@dir_option
@index_option
@reason_option
@json_option
def refused_command(
    peer: str | None,
    code: str | None,
    since: str,
    until: str | None,
    limit: int,
    folder: Path,
    index_file: Path | None,
    reason: str,
    as_json: bool,
) -> int:
    """Say what was refused, to whom, and why: counted by code, then the newest."""
    within = times(since, until)
    found = Question(folder, index_file, "refused", reason).ask(
        lambda index: refusals(index, peer=peer, code=code, limit=limit, **within),
        lambda all_: [each.statement for each in all_.refused if each.statement is not None],
    )
    if as_json:
        answer(
            {
                "codes": [{"code": name, "count": count, "why": why(name)} for name, count in found.codes],
                "refused": [
                    {
                        "at": time_to_json(each.at),
                        "peer": each.peer,
                        "station": each.station.name.lower(),
                        "code": each.code,
                        "count": each.count,
                        "reference": each.reference,
                        "statement": None if each.statement is None else each.statement.hex(),
                    }
                    for each in found.refused
                ],
            }
        )
        return Exit.HELD
    if not found.codes:
        say("nothing was refused")
        return Exit.HELD
    for line in table([(clean(name), f"{count:,}", why(name)) for name, count in found.codes]):
        say(line)
    say()
    rows = [
        (
            when(each.at),
            clean(each.peer),
            each.station.name.lower(),
            clean(each.code),
            f"{each.count:,}",
            clean((each.reference or "-").removeprefix("halong:")),
        )
        for each in found.refused
    ]
    for line in table([("when (UTC)", "whose", "where", "code", "times", "notice"), *rows]):
        say(line)
    return Exit.HELD


@click.command(
    "gaps",
    cls=Command,
    examples=["halong audit gaps --dir hub", "halong audit gaps --json | jq '.gaps[] | select(.fault)'"],
)
@dir_option
@index_option
@reason_option
@json_option
def gaps_command(folder: Path, index_file: Path | None, reason: str, as_json: bool) -> int:
    """Look for what does not follow on: two statements under one number, deliveries that are missing.

    A number that an originator skipped is shown and is no fault.  Exit code 1 says that there is a fault.
    That no record was taken away or added at all is proved by `halong audit count`.
    """
    now = SystemClock().now()
    found = Question(folder, index_file, "gaps", reason).ask(lambda index: gaps(index, now), lambda _: ())
    faults = sum(each.fault for each in found)
    if as_json:
        answer(
            {
                "faults": faults,
                "gaps": [
                    {"kind": each.kind, "where": each.where, "what": each.what, "fault": each.fault}
                    for each in found
                ],
            }
        )
        return Exit.FAILED if faults else Exit.HELD
    mark = {True: style("✗", fg="red"), False: " "}
    for line in table([(mark[each.fault], each.kind, clean(each.where), clean(each.what)) for each in found]):
        say(line)
    say(f"{faults:,} faults" if faults else "no faults: what was decided follows on, and was delivered")
    return Exit.FAILED if faults else Exit.HELD
