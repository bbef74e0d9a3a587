"""`halong demo`: a hub and four members on this machine, and what they can prove, in a minute."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from types import FrameType

import click

from broker.demo.engine import ENGINES
from broker.demo.play import Outcome, Plan, play
from broker.demo.processes import Farm, NotReady
from broker.demo.screen import Screen
from broker.demo.setting import NETWORK, agreements
from broker.terminal import (
    FOLDER,
    READABLE,
    Command,
    Exit,
    Stopped,
    answer,
    clean,
    console,
    json_option,
    note,
    on_terminal,
    say,
    style,
)

TAIL_LINES = 15
LOG = "log.jsonl"


@click.command(
    "demo",
    cls=Command,
    examples=[
        "halong demo",
        "halong demo --keep demo --engine kafka",
        "halong demo --from declarations.csv --map deploy/examples/maps/declarations.toml",
    ],
)
@click.option(
    "--engine", type=click.Choice(ENGINES), default="sqlite", show_default=True, help="The hub's log."
)
@click.option(
    "--from", "table", type=READABLE, help="A table that vn publishes instead of its own declarations."
)
@click.option("--map", "map_path", type=READABLE, help="How its rows become notices.")
@click.option(
    "--keep", "keep", type=FOLDER, help="Play in this folder; again on a kept one nothing is sent twice."
)
@click.option(
    "--without",
    multiple=True,
    help="Leave this agreement out, such as jp-nl-2026: its deliveries are missing.",
)
@json_option
def demo(
    engine: str, table: Path | None, map_path: Path | None, keep: Path | None, without: tuple[str, ...],
    as_json: bool,
) -> int:  # fmt: skip
    """Play a hub and four members on this machine: a day of notices in nine acts, the last the proof.

    Each is a process with its own folder, keys, certificates and store.  The folder stays, to be looked
    into.  Held means that every expectation was met.
    """
    if (table is None) != (map_path is None):
        raise click.UsageError("--from and --map belong together")
    for name in without:
        if name not in agreements():
            raise click.UsageError(f"--without names one of {', '.join(agreements())}")
    folder = Path(tempfile.mkdtemp(prefix="halong-demo-")) if keep is None else keep
    plan = Plan(folder, engine, table, map_path, without)
    screen = Screen(console(stderr=False), moving=on_terminal(), silent=as_json)
    signal.signal(signal.SIGTERM, _stop)
    with Farm() as farm:
        try:
            outcome = play(plan, farm, screen)
        except NotReady as error:
            raise _failed(error, farm, folder) from None
    if as_json:
        answer(as_object(plan, outcome))
    else:
        _show(plan, outcome)
    return Exit.HELD if outcome.findings.held else Exit.FAILED


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _failed(error: NotReady, farm: Farm, folder: Path) -> Stopped:
    """Show the end of the log of the process that failed, and return how the command ends."""
    failing = farm.services.get(error.field or "")
    where = folder if failing is None else failing.folder / LOG
    if failing is not None and where.exists():
        lines = where.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        for line in lines:
            note(f"  {failing.name}  {clean(line)}")
    return Stopped(
        str(error),
        code="demo",
        where=str(where),
        next_step=f"look into the logs: ls {folder}/*/{LOG}",
    )


def as_object(plan: Plan, outcome: Outcome) -> dict[str, object]:
    """Return the answer under the names that scripts rely on."""
    counted = outcome.counted
    return {
        "folder": str(plan.folder),
        "engine": plan.engine,
        **{
            name: counted[name]
            for name in ("published", "delivered", "refused", "leaves", "log", "root", "members")
        },
        "attacks": [
            {"tried": each.tried, "expected": each.expected, "answered": each.answered, "by": each.by}
            for each in outcome.attempts
        ],
        **outcome.findings.facts,
        "tables": outcome.published,
        "findings": [{"what": each.what, "held": each.held} for each in outcome.findings.all],
        "seconds": round(outcome.seconds, 1),
        "summary": outcome.summary,
    }


def _show(plan: Plan, outcome: Outcome) -> None:
    folder = plan.folder
    say()
    say(f"{style('Try next', bold=True)}   everything is in {folder}")
    say(f"   halong feed --dir {folder}/jp")
    if outcome.example is not None:
        key = outcome.example.key.hex()
        say(f"   halong inspect {outcome.example.file} --network {NETWORK} --public-key {key}")
    say(
        f"   halong audit count {folder}/hub"
        if plan.engine == "sqlite"
        else f"   halong demo --keep {folder} --engine kafka"
    )
    failed = [finding.what for finding in outcome.findings.all if not finding.held]
    for what in failed:
        note(f"{style('✗', fg='red')} did not hold: {what}")
    say()
    say(outcome.summary)
