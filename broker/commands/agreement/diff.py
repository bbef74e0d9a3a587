"""`halong agreement diff`: what a change of agreements would have done to the deliveries of a past period."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.commands.agreement.places import dir_option
from broker.terminal import Command, Exit, answer, json_option, note, style

if TYPE_CHECKING:
    from broker.commands.agreement.places import Place
    from broker.commands.replaying import Period, Progress
    from broker.core.directory import Directory
    from broker.core.dry_run import Outcome
    from broker.core.index import Index
    from broker.log import Log

READ_SECONDS = 60.0
FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.command(
    "diff",
    cls=Command,
    examples=[
        "halong agreement diff --add jp-vn-2027.toml --without jp-vn-2026 --as-of 2027-01-01 --dir hub",
        "halong agreement diff --leave vn asean-2026 --since 90d --chart leaving.html --dir hub",
        "halong agreement diff 2026-10-01 now --since 2026-10-01 --json --dir vn",
    ],
)
@click.argument("old", default="now")
@click.argument("new", default="")
@dir_option
@click.option(
    "--add", type=FILE, multiple=True, metavar="FILE", help="With this agreement, all parties acceded."
)
@click.option(
    "--without", multiple=True, metavar="NAME", help="Without it: jp-vn-2026/3, or jp-vn-2026 as a whole."
)
@click.option("--accede", nargs=2, multiple=True, metavar="MEMBER NAME", help="With this accession.")
@click.option("--leave", nargs=2, multiple=True, metavar="MEMBER NAME", help="Without this accession.")
@click.option(
    "--since", default="30d", show_default=True, help="Where the period begins: 12h, 30d, a day, all."
)
@click.option("--until", default="now", show_default=True, help="Where it ends.")
@click.option("--as-of", metavar="DAY", help="Judge the period as if it had begun on this day.")
@click.option("--member", help="Show only what this member gives and gets.")
@click.option(
    "--chart",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Write a chart, too: OUT.svg, or OUT.html with the table.",
)
@json_option
def diff_command(
    old: str,
    new: str,
    folder: Path,
    add: tuple[Path, ...],
    without: tuple[str, ...],
    accede: tuple[tuple[str, str], ...],
    leave: tuple[tuple[str, str], ...],
    since: str,
    until: str,
    as_of: str | None,
    member: str | None,
    chart: Path | None,
    as_json: bool,
) -> int:
    """Try a change of agreements out on past notices: which deliveries come, go, widen or narrow.

    The headers of a period are decided again under OLD and under NEW; nothing is changed, no content is read.
    OLD and NEW are directories: now, that of a day (2026-10-01), a version by its digits, or a folder.
    Without NEW it is OLD, changed by --add, --without, --accede and --leave.

    At a member's node only its own notices, and those that it was given, can be tried.
    """
    from broker.clock import SystemClock
    from broker.commands.agreement import diff_shown
    from broker.commands.agreement.places import member_named, open_place
    from broker.commands.agreement.trial import Wanted, changed, directory_named
    from broker.commands.replaying import Period
    from broker.moments import moment

    wanted = Wanted(add, without, accede, leave)
    if not new and not wanted:
        raise click.UsageError("name a change: --add FILE, --without NAME, --accede, --leave, or NEW")
    now = SystemClock().now()
    period = Period(moment(since, now), moment(until, now))
    if period.since >= period.until:
        raise click.UsageError("--since must be before --until")
    later_by = 0 if as_of is None else moment(as_of, now) - period.since
    place = open_place(folder)

    def in_force(at: int) -> bytes | None:
        return asyncio.run(_version_at(place, at))

    before = directory_named(old, place, in_force)
    trial = changed(directory_named(new, place, in_force) if new else before, wanted)
    only = None if member is None else member_named(before, member)
    outcome = _replay(place, before, trial.directory, period, later_by)
    shown = diff_shown.Shown(
        outcome=outcome,
        period=period,
        later_by=later_by,
        old=old,
        new=", ".join(each for each in (new or ("" if old == "now" else old), wanted.words) if each),
        versions=(before.version, trial.directory.version if wanted else None),
        node=place.member,
        member=only,
        remarks=(*trial.remarks, *diff_shown.late(trial.added, period, later_by)),
    )
    if chart is not None:
        diff_shown.write_chart(shown, chart)
        note(f"wrote {chart}")
    if as_json:
        answer(diff_shown.as_object(shown))
    else:
        diff_shown.show(shown)
    if not outcome.notices:
        note(f"{style('nothing was tried:', bold=True)} no notice of this period is here")
        return Exit.NOT_CHECKED
    return Exit.HELD


def _replay(place: Place, old: Directory, new: Directory, period: Period, later_by: int) -> Outcome:
    from broker.core.index import Index
    from broker.progress import progress

    before = Index(old)
    after = before.updated(new)
    with progress("records") as tell:
        if place.member is not None:
            from adapters.replaying import replay_node

            return replay_node(place.folder, before, after, period, later_by=later_by, tell=tell)
        return asyncio.run(_replay_hub(place.folder, before, after, period, later_by, tell))


async def _replay_hub(
    folder: Path, old: Index, new: Index, period: Period, later_by: int, tell: Progress
) -> Outcome:
    from broker.commands.replaying import replay_log

    async with _log_of(folder) as log:
        return await replay_log(log, old, new, period, later_by=later_by, tell=tell)


async def _version_at(place: Place, at: int) -> bytes | None:
    """Return the version of the directory under which the last decision before `at` was made."""
    if place.member is not None:
        from adapters.replaying import version_at_node

        return version_at_node(place.folder, at)
    from broker.commands.replaying import version_at

    async with _log_of(place.folder) as log:
        return await version_at(log, at)


def _log_of(folder: Path) -> AbstractAsyncContextManager[Log]:
    from broker.configuration import load_hub_config, tls_of
    from broker.log import open_log

    config = load_hub_config(folder)
    return open_log(config.log_url, read_only=True, tls=tls_of(config), step_seconds=READ_SECONDS)
