"""Waiting, before somebody's eyes, until notices have come to a stage: `halong publish --wait`.

Looks at the node's store, so it needs no keys and no hub; the running node does the rest.  Stopping to wait
stops nothing else.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import click
import msgspec

from adapters.member_folder import NodeFolder
from adapters.sending.progress import WATCH_MS, Progress, Stage, Watching
from broker.clock import SystemClock
from broker.core.notice_json import time_or_none
from broker.progress import progress
from broker.terminal import Exit, Stopped, clean, console, note, on_terminal, say, style

LOOK_SECONDS = 0.1
SILENT_SECONDS = 3.0
MOST_LINES = 20
STEPS = (Stage.DURABLE, Stage.DECIDED, Stage.DELIVERED, Stage.ACKNOWLEDGED)


@dataclass(frozen=True, slots=True)
class Wait:
    """What to wait for, and how long."""

    stage: Stage
    seconds: float


class View(Protocol):
    """Where progress is shown."""

    def show(self, all_: Sequence[Progress], changed: Sequence[Progress], seconds: float, /) -> None:
        """Show all, of which some have changed."""
        ...


def wait_for(node: NodeFolder, ids: Sequence[int], stage: Stage, seconds: float, *, as_json: bool) -> int:
    """Show how notices come along until all have come to `stage`, and return how the command ends.

    Raises:
        Stopped: They have not in time; nothing is lost.
    """
    many = len(ids) > MOST_LINES
    if as_json:
        now = _follow(node, ids, stage, seconds, _Events())
    elif many:
        with progress(stage.label) as tell:
            now = _follow(node, ids, stage, seconds, _Bar(tell, stage))
    elif on_terminal():
        from rich.live import Live

        with Live(console=console(), refresh_per_second=10) as live:
            now = _follow(node, ids, stage, seconds, _Table(live))
    else:
        now = _follow(node, ids, stage, seconds, _Lines())
    if many and not as_json:
        say(_tally(now))
    late = [each for each in now if not each.reached(stage)]
    if late:
        _give_up(late, len(now), stage, seconds)
    return _ended(now)


def _follow(
    node: NodeFolder, ids: Sequence[int], stage: Stage, seconds: float, view: View
) -> Sequence[Progress]:
    """Show changes until all have come to the stage, or the time is over; return how far they came."""
    watching, clock = Watching(node.store), SystemClock()
    begun = time.monotonic()
    watched = silent = False
    watched_at = 0.0
    seen: dict[int, Progress] = {}
    while True:
        passed = time.monotonic() - begun
        if not watched or passed - watched_at > WATCH_MS / 4000:
            watching.watch(ids, clock.now())
            watched, watched_at = True, passed
        now = watching.progress([queued for id_ in ids if (queued := node.outgoing.queued(id_)) is not None])
        changed = [each for each in now if _told(seen.get(each.queued.id)) != _told(each)]
        if changed:
            seen.update((each.queued.id, each) for each in changed)
            view.show(now, changed, passed)
        if passed >= seconds or all(each.reached(stage) for each in now):
            return now
        if not silent and passed > SILENT_SECONDS and all(each.stage is Stage.QUEUED for each in now):
            silent = True
            note("still queued: does `halong member` run?")
        _rest(node, min(LOOK_SECONDS, seconds - passed))


def _rest(node: NodeFolder, seconds: float) -> None:
    if not node.store.changed_by_others():
        time.sleep(max(seconds, 0.01))


def _ended(now: Sequence[Progress]) -> int:
    refused = [each for each in now if each.stage is None]
    if not refused:
        return Exit.HELD
    first = refused[0]
    many = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
    raise Stopped(
        f"the notice was refused{many}",
        code=first.queued.code or "refused",
        where=f"notice {first.queued.id}" + (f": {first.queued.field}" if first.queued.field else ""),
        next_step="correct it, then publish it again",
    )


def _give_up(late: Sequence[Progress], all_: int, stage: Stage, seconds: float) -> None:
    raise Stopped(
        f"{len(late)} of {all_} not {stage.label} after {seconds:g} seconds; nothing is lost",
        code="unavailable",
        where=f"notice {late[0].queued.id}: {late[0].label}",
        next_step="the node goes on by itself: `halong doctor` says what it waits for",
        exit_code=Exit.UNAVAILABLE,
    )


def _told(one: Progress | None) -> tuple[object, ...] | None:
    if one is None:
        return None
    return one.stage, one.receivers, one.counts.delivered, one.counts.acknowledged, one.counts.rejected


# --- for programs -------------------------------------------------------------------------------------


class _Events:
    """One JSON object on a line for each change."""

    def show(self, _all: Sequence[Progress], changed: Sequence[Progress], seconds: float) -> None:
        for each in changed:
            click.echo(msgspec.json.encode(_event(each, seconds)))


def _event(one: Progress, seconds: float) -> Mapping[str, Any]:
    queued, counts = one.queued, one.counts
    return {
        "id": queued.id,
        "stage": one.label,
        "seconds": round(seconds, 3),
        "reference": queued.reference,
        "statement": None if queued.statement is None else queued.statement.hex(),
        "receivers": one.receivers,
        "delivered": counts.delivered,
        "acknowledged": counts.acknowledged,
        "rejected": counts.rejected,
        "asked_at": time_or_none(counts.asked_at),
        "code": queued.code,
        "field": queued.field,
    }


# --- for people ---------------------------------------------------------------------------------------


class _Lines:
    """A line for each change: where no terminal is, or it is dumb."""

    def show(self, _all: Sequence[Progress], changed: Sequence[Progress], seconds: float) -> None:
        for each in changed:
            said = f"{each.label}{_counted(each)}"
            say(f"  {_name(each)}   {said}   {seconds:.1f} s")


class _Table:
    """A line for each notice, which changes before one's eyes."""

    def __init__(self, live: Any) -> None:
        self._live = live

    def show(self, all_: Sequence[Progress], _changed: Sequence[Progress], _seconds: float) -> None:
        from rich.text import Text

        lines = [f"{_name(each)}  {_steps(each)}" for each in all_]
        text = Text.from_ansi("\n".join(lines), no_wrap=True, overflow="ellipsis")
        self._live.update(text, refresh=True)


class _Bar:
    """How many of many have come so far."""

    def __init__(self, tell: Any, stage: Stage) -> None:
        self._tell = tell
        self._stage = stage

    def show(self, all_: Sequence[Progress], _changed: Sequence[Progress], _seconds: float) -> None:
        self._tell(sum(each.reached(self._stage) for each in all_), len(all_))


def _tally(now: Sequence[Progress]) -> str:
    """Return how many notices have come how far."""
    counts = Counter(each.label for each in now)
    nobody = sum(each.receivers == 0 for each in now)
    said = [f"{count:,} {label}" for label, count in counts.most_common()]
    return f"  {', '.join(said)}{f'; {nobody:,} of them nobody gets' if nobody else ''}"


def _steps(one: Progress) -> str:
    if one.stage is None:
        return style(f"✗ refused: {one.queued.code}", fg="red")
    words = []
    for step in STEPS:
        there = one.stage >= step
        count = _count(one, step)
        word = f"{'✓' if there else '·'} {step.label}{f' {count}' if count else ''}"
        words.append(style(word, fg="green") if there else style(word, dim=True))
    if one.receivers == 0:
        words = [*words[:2], style("nobody gets it", fg="yellow")]
    return " ".join(words)


def _count(one: Progress, step: Stage) -> str:
    if not one.receivers or step < Stage.DELIVERED:
        return ""
    got = one.counts.delivered if step is Stage.DELIVERED else one.counts.acknowledged
    rejected = f", {one.counts.rejected} rejected" if one.counts.rejected and step is Stage.DELIVERED else ""
    return f"{got}/{one.receivers}{rejected}"


def _counted(one: Progress) -> str:
    if one.stage is None:
        return f": {one.queued.code}"
    if one.receivers is None:
        return ""
    if one.receivers == 0:
        return ": nobody gets it"
    counts = one.counts
    rejected = f", {counts.rejected} rejected it" if counts.rejected else ""
    return f": of {one.receivers}, {counts.delivered} have it, {counts.acknowledged} read it{rejected}"


def _name(one: Progress) -> str:
    return clean(one.queued.reference or f"notice {one.queued.id}")
