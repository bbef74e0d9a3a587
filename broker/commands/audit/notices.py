"""`halong audit life`, `received`, `search`: what became of a notice, who got what, what has these words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from broker.audit.finding import Told
from broker.audit.life import Life, life
from broker.audit.sharing import Matches, Sharing, search, sharing
from broker.commands.audit.asking import (
    Question,
    checkpoint_object,
    dir_option,
    index_option,
    limit_option,
    proof_object,
    reason_option,
    since_option,
    times,
    until_option,
    when,
)
from broker.core.notice_json import time_or_none, time_to_json
from broker.terminal import Command, Exit, answer, clean, json_option, say, style, table


@click.command(
    "life",
    cls=Command,
    examples=[
        "halong audit life vn/asia-pacific/main/17 --dir hub",
        "halong audit life halong:vn/asia-pacific/main/17 --reason 'case 2026/17' --json | jq .stages",
    ],
)
@click.argument("reference")
@dir_option
@index_option
@reason_option
@json_option
def life_command(reference: str, folder: Path, index_file: Path | None, reason: str, as_json: bool) -> int:
    """Tell what became of the notice REFERENCE, from publication to what was done with it.

    REFERENCE is what people quote, or the beginning of the statement's id.  Each stage has its time, its leaf
    in the log, and a proof that was checked under the checkpoint named below.  That you asked is written into
    the log first.  Exit code 3: some of it is not covered by a checkpoint yet.
    """
    question = Question(folder, index_file, "life", reason)
    found = question.ask(lambda index: life(index, reference), lambda each: [each.statement.statement])
    if as_json:
        answer(life_object(found))
    else:
        _show_life(found)
    proved = all(stage.proved is not None for stage in found.stages)
    return Exit.HELD if proved else Exit.NOT_CHECKED


def life_object(found: Life) -> dict[str, Any]:
    """Return a life under the names that scripts rely on."""
    return {
        "statement": told_object(found.statement),
        "checkpoint": checkpoint_object(found.under),
        "stages": [
            {
                "what": stage.what,
                "at": time_to_json(stage.at),
                "member": stage.member or None,
                "detail": stage.detail,
                "record": stage.record.hex(),
                "proof": proof_object(stage.proved),
            }
            for stage in found.stages
        ],
    }


def told_object(told: Told) -> dict[str, Any]:
    """Return a statement under the names that scripts rely on."""
    return {
        "reference": told.reference,
        "statement": told.statement.hex(),
        "originator": told.originator,
        "type": told.notice_type,
        "status": told.status.name,
        "act": told.act.name,
        "tlp": told.tlp.name,
        "issued_at": time_to_json(told.issued_at),
        "decided_at": time_or_none(told.decided_at),
    }


def _show_life(found: Life) -> None:
    told = found.statement
    about = f"{clean(told.notice_type)}, {told.status.name}, TLP:{told.tlp.name}"
    say(f"{style(clean(told.reference), bold=True)}   {about}")
    rows = [
        (
            when(stage.at),
            stage.what,
            clean(stage.member) or "-",
            clean(stage.detail),
            "-" if stage.proved is None else f"leaf {stage.proved.leaf:,}",
        )
        for stage in found.stages
    ]
    for line in table([("when (UTC)", "what", "who", "detail", "proved by"), *rows]):
        say(line)
    if found.under is None:
        say("nothing is signed yet, so nothing is proved")
    else:
        size, root = f"{found.under.size:,}", found.under.root.hex()
        signed = when(found.under.signed_at)
        say(f"every leaf was proved under the checkpoint of {size} leaves, signed {signed}")
        say(f"  root   {root}")


@click.command(
    "received",
    cls=Command,
    examples=[
        "halong audit received --from vn --under jp-vn-2026 --since 2026-11-01 --until 2026-12-01 --dir hub",
        "halong audit received --from vn --member jp --since 30d --json | jq .members",
    ],
)
@click.option("--from", "originator", required=True, help="Whose notices.")
@click.option("--under", "agreement", help="By this agreement, by its id.")
@click.option("--member", help="By this member alone.")
@since_option
@until_option
@limit_option
@dir_option
@index_option
@reason_option
@json_option
def received_command(
    originator: str,
    agreement: str | None,
    member: str | None,
    since: str,
    until: str | None,
    limit: int,
    folder: Path,
    index_file: Path | None,
    reason: str,
    as_json: bool,
) -> int:
    """Say who received anything from a member, under which agreement, between two dates.

    First how much each member received, all of it counted; then the deliveries, the oldest first.
    """
    within = times(since, until)
    found = Question(folder, index_file, "received", reason).ask(
        lambda index: sharing(index, originator, agreement=agreement, member=member, limit=limit, **within),
        lambda each: {one.statement.statement for one in each.received},
    )
    if as_json:
        answer(received_object(found))
    else:
        _show_received(found)
    return Exit.HELD


def received_object(found: Sharing) -> dict[str, Any]:
    """Return who received what under the names that scripts rely on."""
    return {
        "members": [
            {
                "agreement": each.agreement,
                "member": each.member,
                "deliveries": each.deliveries,
                "first_at": time_to_json(each.first_at),
                "last_at": time_to_json(each.last_at),
            }
            for each in found.shares
        ],
        "deliveries": [
            {
                **told_object(each.statement),
                "member": each.member,
                "slots": [slot.label for slot in each.slots],
                "agreements": list(each.agreements),
                "delivered_at": time_to_json(each.decided_at),
                "received_at": time_or_none(each.taken_at),
                "acknowledged_at": time_or_none(each.acknowledged_at),
            }
            for each in found.received
        ],
    }


def _show_received(found: Sharing) -> None:
    if not found.shares:
        say("nobody received anything")
        return
    rows = [
        (
            clean(each.agreement),
            clean(each.member),
            f"{each.deliveries:,}",
            when(each.first_at),
            when(each.last_at),
        )
        for each in found.shares
    ]
    for line in table([("agreement", "member", "deliveries", "first", "last"), *rows]):
        say(line)
    say()
    shown = [
        (
            when(each.decided_at),
            clean(each.statement.reference.removeprefix("halong:")),
            clean(each.member),
            " ".join(slot.label for slot in each.slots),
            clean(" ".join(each.agreements)),
            "received" if each.taken_at is not None else "not received yet",
        )
        for each in found.received
    ]
    for line in table([("when (UTC)", "notice", "member", "slots", "by", ""), *shown]):
        say(line)
    total = sum(each.deliveries for each in found.shares)
    if total > len(shown):
        say(f"  the first {len(shown):,} are shown: narrow the dates, or raise --limit")


@click.command(
    "search",
    cls=Command,
    examples=["halong audit search mdma VNHPH --dir hub", "halong audit search 'hazardous 3915' --json"],
)
@click.argument("words", nargs=-1, required=True)
@limit_option
@dir_option
@index_option
@reason_option
@json_option
def search_command(
    words: tuple[str, ...], limit: int, folder: Path, index_file: Path | None, reason: str, as_json: bool
) -> int:
    """Find notices by WORDS of their facts: codes, quantities, places; the newest first.

    Every word has to be there, the last one may be a beginning.  Only facts are searched, as far as the hub
    holds them in clear: no person, firm or consignment can be found here, and no assessment.
    """
    found = Question(folder, index_file, "search", reason).ask(
        lambda index: search(index, " ".join(words), limit=limit),
        lambda each: [one.statement for one in each.statements],
    )
    if as_json:
        answer({"count": found.count, "notices": [told_object(each) for each in found.statements]})
    else:
        _show_matches(found)
    return Exit.HELD


def _show_matches(found: Matches) -> None:
    for line in table(
        [
            (
                when(each.issued_at),
                clean(each.reference.removeprefix("halong:")),
                clean(each.notice_type),
                each.act.name,
            )
            for each in found.statements
        ]
    ):
        say(line)
    say(f"{found.count:,} notices" if found.count != 1 else "1 notice")
