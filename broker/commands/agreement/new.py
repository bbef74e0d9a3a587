"""`halong agreement new`: an agreement file to begin with, from a template or from the version before."""

from __future__ import annotations

import secrets
from datetime import date, datetime
from pathlib import Path

import click

from broker.commands.asking import needed
from broker.terminal import READABLE, Command, answer, json_option, note, say, style, yes_option

TEMPLATES = ("bilateral", "regional-office", "campaign", "partner", "waste")
DAY = click.DateTime(["%Y-%m-%d"])


@click.command(
    "new",
    cls=Command,
    examples=[
        "halong agreement new -o jp-vn-2027.toml      # asks",
        'halong agreement new --template bilateral --party jp --party vn --title "Assistance" -o jp-vn.toml',
        "halong agreement new --template regional-office --party jp --office rilo-ap --title Office --yes",
        "halong agreement new --next jp-vn-2027.toml -o jp-vn-2027-2.toml",
    ],
)
@click.option("--template", type=click.Choice(TEMPLATES), help="What to begin with.")
@click.option("--party", "parties", multiple=True, help="A member's id; once for each.")
@click.option("--office", help="The regional office, or the partner: whoever stands apart.")
@click.option("--campaign", help="The campaign's name, as notices state it.")
@click.option("--title", help="What the agreement is called.")
@click.option("--id", "id_", help="What the network sees of it; opaque if left out.")
@click.option("--from", "start", type=DAY, help="In force from this day; the first of next month.")
@click.option("--until", type=DAY, help="The first day on which it is over.")
@click.option("--type", "types", multiple=True, help="A notice type instead of the template's; repeatable.")
@click.option("--instrument", help="Where the legal text is found.")
@click.option("--legal-basis", help="Switches personal data on, on this basis.")
@click.option("--next", "before", type=READABLE, help="The next version of this file instead.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where it goes.")
@yes_option
@json_option
def new_command(
    template: str | None, parties: tuple[str, ...], office: str | None, campaign: str | None,
    title: str | None, id_: str | None, start: datetime | None, until: datetime | None,
    types: tuple[str, ...], instrument: str | None, legal_basis: str | None, before: Path | None,
    output: Path | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write an agreement file to begin with; it can be acceded to as it is, and is meant to be edited.

    Asks what is missing if somebody is there to answer.  Nothing is agreed by writing it, but once each
    party has acceded to the very same bytes.
    """
    from broker.commands.agreement import writing
    from broker.core.agreement_text import parse_agreement
    from broker.core.errors import BadConfiguration
    from broker.core.strict_toml import MOST_FILE_BYTES
    from broker.files import read_sent, write_whole

    if before is not None:
        end = None if until is None else until.date()
        text = writing.next_version(read_sent(before, MOST_FILE_BYTES), str(before), terminated_on=end)
    else:
        kind = writing.KINDS[_template(template, yes=yes)]
        parties, office = _parties(kind, parties, office, yes=yes)
        if kind.campaign:
            campaign = needed(
                campaign, "--campaign", "The campaign's name, as notices state it", None, yes=yes
            )
        plan = writing.Plan(
            kind=kind,
            id=id_ or f"agreement-{secrets.token_hex(4)}",
            title=needed(title, "--title", "What it is called", None, yes=yes),
            parties=parties,
            in_force_from=_next_month() if start is None else start.date(),
            office=office,
            campaign=campaign,
            types=types,
            instrument=instrument,
            legal_basis=legal_basis,
            terminated_on=None if until is None else until.date(),
        )
        text = writing.write_agreement(plan)
    made = parse_agreement(text.encode())
    path = output or Path(f"{made.id}-{made.version}.toml")
    if path.exists():
        raise BadConfiguration("is there already: name another file with -o", field=str(path))
    write_whole(path, text)
    if as_json:
        answer({"file": str(path), "agreement": made.name, "digest": made.digest.hex()})
        return
    say(f"{style('wrote', fg='green')} {path}: {made.name} between {', '.join(sorted(made.parties))}")
    note(f"next: edit it, then halong agreement check {path}, and halong agreement show {path}")


def _template(template: str | None, *, yes: bool) -> str:
    from broker.commands.agreement.writing import KINDS

    if template is None and not yes:
        for kind in KINDS.values():
            note(f"  {kind.name:<16} {kind.summary}")
    found = needed(template, "--template", f"Begin with ({', '.join(TEMPLATES)})", "bilateral", yes=yes)
    if found not in TEMPLATES:
        raise click.UsageError(f"--template is one of {', '.join(TEMPLATES)}")
    return found


def _parties(
    kind: object, parties: tuple[str, ...], office: str | None, *, yes: bool
) -> tuple[tuple[str, ...], str | None]:
    from broker.commands.agreement.writing import Kind

    assert isinstance(kind, Kind)
    if not parties:
        asked = needed(None, "--party", "The parties' ids, with spaces between them", None, yes=yes)
        parties = tuple(asked.replace(",", " ").split())
    if not kind.office:
        if office is not None:
            raise click.UsageError(f"nobody stands apart in the template {kind.name}: no --office")
    else:
        like = [each for each in parties if kind.office_begins and each.startswith(kind.office_begins)]
        office = office or (like[0] if len(like) == 1 else None)
        office = needed(office, "--office", f"The id of {kind.office}", None, yes=yes)
        parties = (*parties, office)
    parties = tuple(dict.fromkeys(parties))
    if kind.pair and len(parties) != 2:
        raise click.UsageError(f"the template {kind.name} is for two parties: --party A --party B")
    return parties, office


def _next_month() -> date:
    from broker.clock import SystemClock

    today = date.fromtimestamp(SystemClock().now() / 1000)  # noqa: DTZ012 - a proposal, for this place's calendar
    return date(today.year + today.month // 12, today.month % 12 + 1, 1)
