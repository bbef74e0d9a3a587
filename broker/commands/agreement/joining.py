"""`halong agreement accede`, `leave`: what they would change, and the member's signature on it.

Decides what a person sees before signing.  Acceding is signing: the member's own role lists the agreement by
the SHA-256 of its bytes, leaving is no longer listing it (`broker.directory.building`).  Nothing but the
member's directory key does either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.commands.agreement.places import (
    Place,
    agreement_named,
    dir_option,
    member_named,
    open_place,
)
from broker.terminal import Command, Exit, Stopped, answer, clean, json_option, note, say, style

if TYPE_CHECKING:
    from broker.commands.agreement.ending import Ending
    from broker.core.agreements import Agreement
    from broker.core.reach import Effect

OUTPUT = click.Path(dir_okay=False, path_type=Path)
member_option = click.option("--member", help="Whose accession it is; at a node its own member.")


@click.command(
    "accede",
    cls=Command,
    examples=[
        "halong agreement accede jp-vn-2027.toml --dir vn            # what it would change",
        "halong agreement accede jp-vn-2027.toml --dir vn --json | jq .effects",
    ],
)
@click.argument("agreement")
@member_option
@dir_option
@json_option
def accede_command(agreement: str, member: str | None, folder: Path, as_json: bool) -> None:
    """Say what acceding to an AGREEMENT would change for a member: what it gives and gets, and from whom.

    AGREEMENT is a file, or the name of one in the directory.  A grant counts between those who acceded to
    the very same bytes.
    """
    from broker.clock import SystemClock
    from broker.commands.agreement.listing import acceded_of
    from broker.commands.agreement.phrases import day
    from broker.core.agreement_doubts import doubts_of
    from broker.core.reach import acceding, effects

    place, now = open_place(folder), SystemClock().now()
    found, text = _agreement_and_bytes(place, agreement)
    who = _whose(place, member)
    _check_party(found, who, place)
    directory = place.directory
    at = max(now, found.in_force_at)
    after = acceding(directory, who, found)
    changed = effects(directory, after, who, at)
    everybody = after
    for other in sorted(found.parties & directory.members.keys()):
        everybody = acceding(everybody, other, found)
    later = effects(after, everybody, who, at)
    acceded, missing = acceded_of(found, directory)
    already = who in acceded
    older = sorted(
        each.name
        for each in directory.agreements
        if each.id == found.id and each.version < found.version and directory.acceded(who, each)
    )
    doubts = doubts_of(found)
    following = _next_of_accede(place, agreement, who, already=already)
    if as_json:
        answer(
            {
                **_head(found, who),
                "already": already,
                "acceded": acceded,
                "missing": [each for each in missing if each != who],
                "effects": [_effect(each) for each in changed],
                "once_all_acceded": [_effect(each) for each in later],
                "leave_too": older,
                "doubts": [{"clause": each.clause, "wrong": each.wrong} for each in doubts],
                "bytes": len(text),
                "next": following,
            }
        )
        return
    say(f"{style(found.name, bold=True)}  {clean(found.title)}")
    say(f"  SHA-256 {found.digest.hex()}")
    others = " ".join(each for each in acceded if each != who) or "nobody else"
    say(f"  {who} {'has acceded' if already else 'would accede'}; so far {others} has")
    _show_effects("at once" if at == now else f"from {day(at)}", changed)
    if later:
        _show_effects(f"once {' '.join(each for each in missing if each != who)} accedes, too", later)
    for name in older:
        counts = f"counts beside it until {who} leaves it: halong agreement leave {name}"
        say(f"  {style('!', fg='yellow')} {name} {counts}")
    for each in doubts:
        say(f"  {style('!', fg='yellow')} {clean(each.clause)}: {clean(each.wrong)}")
    note(f"next: {following}")


@click.command(
    "leave",
    cls=Command,
    examples=[
        "halong agreement leave jp-vn-2026 --dir vn                   # what ends, and what is to be erased",
        "halong agreement leave jp-vn-2026 --on 2027-06-30 --dir vn -o jp-vn-2026-2.toml",
    ],
)
@click.argument("agreement")
@member_option
@click.option(
    "--on", "end", type=click.DateTime(["%Y-%m-%d"]), help="End it in good order on this day instead."
)
@click.option("-o", "--output", type=OUTPUT, help="With --on: where the version with that end goes.")
@dir_option
@json_option
def leave_command(
    agreement: str, member: str | None, end: datetime | None, output: Path | None, folder: Path, as_json: bool
) -> None:
    """Say what leaving an AGREEMENT would end for a member, until when open cases go on, what is erased when.

    Leaving ends everything at once, open cases too.  With --on the agreement ends in good order: the next
    version of its text names that day, both sides accede to it, and open cases go on as it says.
    """
    from broker.clock import SystemClock
    from broker.commands.agreement.ending import ending_of
    from broker.core.reach import effects, leaving

    if output is not None and end is None:
        raise click.UsageError("-o belongs to --on")
    place, now = open_place(folder), SystemClock().now()
    found, text = _agreement_and_bytes(place, agreement)
    who = _whose(place, member)
    _check_party(found, who, place)
    directory = place.directory
    if not directory.acceded(who, found):
        raise Stopped(
            f"{who} has not acceded to it",
            code="usage",
            where=found.name,
            next_step=f"see what binds it: halong agreement list --member {who} --dir {folder}",
            exit_code=Exit.USAGE,
        )
    end_at = None if end is None else int(end.replace(tzinfo=UTC).timestamp() * 1000)
    ending = ending_of(found, who, now, end_at=end_at)
    changed = effects(directory, leaving(directory, who, found), who, now)
    held = _held(place, found)
    following = _next_of_leave(place, found, who, end)
    if end is not None and output is not None:
        following = _write_version(text, found, end, output)
    if as_json:
        from broker.commands.agreement.phrases import day

        answer(
            {
                **_head(found, who),
                "ends_on": day(ending.ends_at),
                "open_cases_until": None if ending.open_cases_until is None else day(ending.open_cases_until),
                "erase_by": None if ending.erase_by is None else day(ending.erase_by),
                "kept_until": None if ending.kept_until is None else day(ending.kept_until),
                "held": held,
                "effects": [_effect(each) for each in changed],
                "version": None if output is None else str(output),
                "next": following,
            }
        )
        return
    say(f"{style(found.name, bold=True)}  {clean(found.title)}")
    _show_ending(found, ending, held, in_order=end is not None)
    _show_effects("what ends" if end is None else f"what ends on {end:%Y-%m-%d}", changed)
    note(f"next: {following}")


# --- what is asked about ----------------------------------------------------------------------------------


def _agreement_and_bytes(place: Place, named: str) -> tuple[Agreement, bytes]:
    """Return an agreement with its very bytes.

    Raises:
        Stopped: There is none of that name, or its bytes are not here.
        BadConfiguration: The file is no agreement.
    """
    from hashlib import sha256

    from broker.core.agreements import parse_agreement
    from broker.core.strict_toml import MAX_FILE_BYTES
    from broker.files import read_sent

    path = Path(named)
    if path.is_file():
        text = read_sent(path, MAX_FILE_BYTES)
        return parse_agreement(text, str(path)), text
    found = agreement_named(place.directory, named)
    for text in place.source.files().values():
        if sha256(text).digest() == found.digest:
            return found, text
    raise Stopped(
        "its file is not in this copy of the directory",
        code="file",
        where=found.name,
        next_step="name the file itself",
        exit_code=Exit.USAGE,
    )


def _whose(place: Place, member: str | None) -> str:
    if member is not None:
        return member_named(place.directory, member)
    if place.member is None:
        raise click.UsageError("at a hub name the member: --member vn")
    return member_named(place.directory, place.member)


def _check_party(agreement: Agreement, member: str, place: Place) -> None:
    if member not in agreement.parties:
        raise Stopped(
            f"{member} is no party of it",
            code="usage",
            where=agreement.name,
            next_step=f"its parties are {', '.join(sorted(agreement.parties))}",
            exit_code=Exit.USAGE,
        )
    known = sorted(agreement.parties - place.directory.members.keys())
    if known:
        note(f"{', '.join(known)} is no member of this network: no grant to or from it counts until it joins")


def _held(place: Place, agreement: Agreement) -> int | None:
    """Return how many deliveries this node holds under the agreement, whatever its version; None at a hub."""
    if place.member is None:
        return None
    from adapters.member_folder import open_folder
    from broker.core.model import Delivery, DeliveryHead
    from broker.core.records import decode

    count, after = 0, 0
    with open_folder(place.folder, to_read=True) as node:
        while received := node.incoming.received(after=after, limit=500):
            after = received[-1].place
            for each in received:
                if each.state in ("erased", "quarantined"):
                    continue
                head = decode(DeliveryHead, decode(Delivery, each.content).head)
                count += any(ground.agreement == agreement.id for ground in head.grounds)
    return count


# --- what to do -------------------------------------------------------------------------------------------


def _next_of_accede(place: Place, named: str, member: str, *, already: bool) -> str:
    if already:
        return "nothing: it is acceded to"
    if place.member is None:
        return f"halong hub agree {named} --party {member} --dir {place.folder}"
    return f"send {named} to the hub's operator, who lists it: halong hub agree {named} --party {member}"


def _next_of_leave(place: Place, agreement: Agreement, member: str, end: datetime | None) -> str:
    if end is not None:
        return f"write that version: halong agreement leave {agreement.name} --on {end:%Y-%m-%d} -o FILE"
    line = f"take the line {agreement.name} out of members/{member}.toml in the hub's directory"
    return line if place.member is None else f"ask the hub's operator to {line}"


def _write_version(text: bytes, agreement: Agreement, end: datetime, output: Path) -> str:
    from broker.commands.agreement.writing import next_version
    from broker.core.errors import BadConfiguration
    from broker.files import write_whole

    if output.exists():
        raise BadConfiguration("is there already: name another file with -o", field=str(output))
    write_whole(output, next_version(text, agreement.name, terminated_on=end.date()))
    return f"let all parties accede to {output}, then leave {agreement.name}"


# --- how it looks -----------------------------------------------------------------------------------------


def _head(agreement: Agreement, member: str) -> dict[str, object]:
    return {
        "agreement": agreement.name,
        "digest": agreement.digest.hex(),
        "title": agreement.title,
        "member": member,
    }


def _effect(effect: Effect) -> dict[str, object]:
    return {
        "from": effect.giver,
        "to": effect.receiver,
        "type": effect.notice_type,
        "before": [slot.label for slot in sorted(effect.before)],
        "after": [slot.label for slot in sorted(effect.after)],
    }


def _show_effects(title: str, found: Sequence[Effect]) -> None:
    from broker.commands.agreement.phrases import names_of, slots_of
    from broker.terminal import table

    if not found:
        say(f"  {title}: nothing changes")
        return
    say(f"  {style(title, bold=True)}")
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for each in found:
        change = f"{slots_of(each.before) or 'nothing'} → {slots_of(each.after) or 'nothing'}"
        alike.setdefault((each.giver, each.receiver, change, ""), []).append(each.notice_type)
    rows = [
        (f"{giver} → {receiver}", names_of(types).replace(" ", ", "), change)
        for (giver, receiver, change, _), types in alike.items()
    ]
    for line in table(rows, indent="    "):
        say(line)


def _show_ending(agreement: Agreement, ending: Ending, held: int | None, *, in_order: bool) -> None:
    from broker.commands.agreement.phrases import day

    if in_order:
        say(f"  ends on        {day(ending.ends_at)}: no new case begins from that day")
    else:
        say("  ends           as soon as the directory without it is in force: nothing new begins under it")
    if ending.open_cases_until is not None:
        say(f"  open cases     go on until {day(ending.open_cases_until)}")
    elif in_order:
        say("  open cases     end on that day: the text sets no winding down")
    else:
        only = f"; they go on for {agreement.wind_down_days} days only after an end in the text: --on"
        say(f"  open cases     end at once, too{only if agreement.wind_down_days else ''}")
    say("  corrections    recalls and orders to erase still come for what was received")
    count = "" if held is None else f" ({held:,} held here)"
    if ending.erase_by is not None:
        when = day(ending.erase_by) if in_order else "at once"
        say(f"  to erase       {when}: what was received under it{count}")
    elif ending.kept_until is not None:
        say(f"  to keep        until each retention ends, the last on {day(ending.kept_until)}{count}")
    else:
        say(f"  to keep        without limit, since a grant sets no retention{count}")
