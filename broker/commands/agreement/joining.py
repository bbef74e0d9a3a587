"""`halong agreement accede`, `leave`: what they would change, and the member's signature on it.

Decides what a person sees before signing.  Acceding is signing: the member's own role lists the agreement by
the SHA-256 of its bytes, leaving is no longer listing it (`broker.directory.building`).  Nothing but the
member's directory key does either.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.commands.agreement.places import Place, dir_option, open_place
from broker.passphrases import asker, passphrase_option
from broker.terminal import (
    Command,
    Exit,
    Stopped,
    answer,
    clean,
    json_option,
    note,
    say,
    style,
    yes_option,
)

if TYPE_CHECKING:
    from broker.core.agreements import Agreement

OUTPUT = click.Path(dir_okay=False, path_type=Path)
member_option = click.option("--member", help="Whose accession it is; at a node its own member.")
key_option = click.option("--key", help="Where the member's key for the directory is; as the settings say.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what it would change.")


@click.command(
    "accede",
    cls=Command,
    examples=[
        "halong agreement accede jp-vn-2027.toml --dir vn --dry-run   # what it would change",
        "halong agreement accede jp-vn-2027.toml --dir vn",
        "halong agreement accede jp-vn-2027.toml --dir vn --key pkcs11:token=vn --json --yes",
    ],
)
@click.argument("agreement")
@member_option
@key_option
@click.option("-o", "--output", type=OUTPUT, help="A file to carry to the hub; else the node hands it over.")
@dry_run_option
@dir_option
@passphrase_option
@yes_option
@json_option
def accede_command(
    agreement: str, member: str | None, key: str | None, output: Path | None, dry_run: bool, folder: Path,
    passphrase_fd: int | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Accede to an AGREEMENT, after saying what that changes: what the member gives and gets, and from whom.

    AGREEMENT is a file, or the name of one in the directory.  The member's own role then lists its very
    bytes; a grant counts between those who list the same.
    """
    from broker.clock import SystemClock
    from broker.commands.agreement.effects_shown import effect_object, head_object, show_effects
    from broker.commands.agreement.listing import acceded_of
    from broker.commands.agreement.party import agreement_and_bytes, check_party, whose
    from broker.commands.agreement.phrases import day
    from broker.core.agreement_doubts import doubts_of
    from broker.core.reach import acceding, effects

    place, now = open_place(folder), SystemClock().now()
    found, text = agreement_and_bytes(place, agreement)
    who = whose(place, member)
    check_party(found, who, place)
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
    tell = note if as_json else say
    tell(f"{style(found.name, bold=True)}  {clean(found.title)}")
    tell(f"  SHA-256 {found.digest.hex()}")
    others = " ".join(each for each in acceded if each != who) or "nobody else"
    tell(f"  {who} {'has acceded' if already else 'would accede'}; so far {others} has")
    show_effects("at once" if at == now else f"from {day(at)}", changed, tell)
    if later:
        show_effects(f"once {' '.join(each for each in missing if each != who)} accedes, too", later, tell)
    for name in older:
        counts = f"counts beside it until {who} leaves it: halong agreement leave {name}"
        tell(f"  {style('!', fg='yellow')} {name} {counts}")
    for each in doubts:
        tell(f"  {style('!', fg='yellow')} {clean(each.clause)}: {clean(each.wrong)}")
    signed = None
    if not already and not dry_run and _signs_here(place, who):
        signed = _sign(place, who, key, output, passphrase_fd, accede=[text], yes=yes)
    following = _next_of_accede(agreement, who, signed, output, already=already)
    if as_json:
        answer(
            {
                **head_object(found, who),
                "already": already,
                "acceded": acceded,
                "missing": [each for each in missing if each != who],
                "effects": [effect_object(each) for each in changed],
                "once_all_acceded": [effect_object(each) for each in later],
                "leave_too": older,
                "doubts": [{"clause": each.clause, "wrong": each.wrong} for each in doubts],
                "signed": None if signed is None else str(signed),
                "next": following,
            }
        )
        return
    if signed is not None:
        say(f"{style('signed', fg='green')} {signed}")
    note(f"next: {following}")


@click.command(
    "leave",
    cls=Command,
    examples=[
        "halong agreement leave jp-vn-2026 --dir vn --dry-run         # what ends, and what is to be erased",
        "halong agreement leave jp-vn-2026 --on 2027-06-30 --dir vn -o jp-vn-2026-2.toml",
    ],
)
@click.argument("agreement")
@member_option
@click.option(
    "--on", "end", type=click.DateTime(["%Y-%m-%d"]), help="End it in good order on this day instead."
)
@key_option
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    help="A file to carry to the hub; with --on, the version with that end.",
)
@dry_run_option
@dir_option
@passphrase_option
@yes_option
@json_option
def leave_command(
    agreement: str, member: str | None, end: datetime | None, key: str | None, output: Path | None,
    dry_run: bool, folder: Path, passphrase_fd: int | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Leave an AGREEMENT, after saying what ends, until when open cases go on, and what is erased when.

    Leaving ends everything at once, open cases too.  With --on the agreement ends in good order: the next
    version of its text names that day, all parties accede to it, and open cases go on as it says.
    """
    from broker.clock import SystemClock
    from broker.commands.agreement.effects_shown import (
        effect_object,
        ending_object,
        head_object,
        show_effects,
        show_ending,
    )
    from broker.commands.agreement.ending import ending_of
    from broker.commands.agreement.party import agreement_and_bytes, check_party, held_under, whose
    from broker.core.reach import effects, leaving

    place, now = open_place(folder), SystemClock().now()
    found, text = agreement_and_bytes(place, agreement)
    who = whose(place, member)
    check_party(found, who, place)
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
    held = held_under(place, found)
    tell = note if as_json else say
    tell(f"{style(found.name, bold=True)}  {clean(found.title)}")
    show_ending(found, ending, held, tell, in_order=end is not None)
    show_effects("what ends" if end is None else f"what ends on {end:%Y-%m-%d}", changed, tell)
    signed = None
    if end is not None:
        following = _end_in_order(text, found, end, output, dry_run=dry_run)
    else:
        if not dry_run and _signs_here(place, who):
            leave = [(found.id, found.version)]
            signed = _sign(place, who, key, output, passphrase_fd, leave=leave, yes=yes)
        following = _next_of_leave(found, who, signed, output)
    if as_json:
        answer(
            {
                **head_object(found, who),
                **ending_object(ending),
                "held": held,
                "effects": [effect_object(each) for each in changed],
                "signed": None if signed is None else str(signed),
                "next": following,
            }
        )
        return
    if signed is not None:
        say(f"{style('signed', fg='green')} {signed}")
    note(f"next: {following}")


# --- what to do -------------------------------------------------------------------------------------------


def _signs_here(place: Place, member: str) -> bool:
    """Say whether this is the node of the member, which has its own role to sign."""
    return place.member == member


def _sign(
    place: Place, member: str, key: str | None, output: Path | None, passphrase_fd: int | None, *,
    yes: bool, accede: Collection[bytes] = (), leave: Collection[tuple[str, int]] = (),
) -> Path:  # fmt: skip
    from broker.commands.agreement.signing import prepare, sign

    prepared = prepare(place, member, accede=accede, leave=leave)
    return sign(place, prepared, key, output, asker(passphrase_fd), yes=yes)


def _after_signing(output: Path | None) -> str:
    if output is not None:
        return f"carry {output} to the hub: halong hub take {output}"
    return "nothing: the node hands it to the hub as soon as it reaches it (halong member)"


def _next_of_accede(
    named: str, member: str, signed: Path | None, output: Path | None, *, already: bool
) -> str:
    if already:
        return "nothing: it is acceded to"
    if signed is not None:
        return _after_signing(output)
    return f"{member} signs it at its own node: halong agreement accede {named}"


def _next_of_leave(agreement: Agreement, member: str, signed: Path | None, output: Path | None) -> str:
    if signed is not None:
        return _after_signing(output)
    return f"{member} signs it at its own node: halong agreement leave {agreement.name}"


def _end_in_order(
    text: bytes, agreement: Agreement, end: datetime, output: Path | None, *, dry_run: bool
) -> str:
    """Write the version that ends on that day, if there is a place for it, and return what to do then."""
    from broker.commands.agreement.writing import next_version
    from broker.core.errors import BadConfiguration
    from broker.files import write_whole

    changed = next_version(text, agreement.name, terminated_on=end.date())
    if output is None or dry_run:
        return f"write that version: halong agreement leave {agreement.name} --on {end:%Y-%m-%d} -o FILE"
    if output.exists():
        raise BadConfiguration("is there already: name another file with -o", field=str(output))
    write_whole(output, changed)
    return f"let all parties accede to {output}, then leave {agreement.name}"
