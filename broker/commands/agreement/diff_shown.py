"""What a dry run came to, for people and for scripts: a table, an object, a chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from broker.commands.agreement.diff_chart import Bar, page, picture
from broker.commands.replaying import Period
from broker.core.clauses import Agreement
from broker.core.dry_run import Change, Lane, Outcome, Row
from broker.core.notice_json import time_to_json
from broker.files import write_whole
from broker.terminal import Exit, Stopped, note, say, style, table

MOST_ROWS = 40
MOST_NAMES = 3
SIGNS = {
    Change.ADDED: ("+", "green"),
    Change.WIDENED: ("▲", "green"),
    Change.NARROWED: ("▼", "yellow"),
    Change.EXCHANGED: ("⇄", "yellow"),
    Change.TERMS: ("§", "yellow"),
    Change.REMOVED: ("−", "red"),
}
WORDS = {
    Change.ADDED: "would have come besides",
    Change.WIDENED: "would have had more parts",
    Change.NARROWED: "would have had fewer parts",
    Change.EXCHANGED: "would have had other parts",
    Change.TERMS: "would have come on other terms",
    Change.REMOVED: "would not have come",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A dry run: its outcome, and what was asked for.

    `versions` are those of the two directories, the second None if there is none that is in force anywhere;
    `node` is whose node it was tried at, `member` whom alone it is to be shown of.
    """

    outcome: Outcome
    period: Period
    later_by: int
    old: str
    new: str
    versions: tuple[bytes, bytes | None]
    node: str | None
    member: str | None
    remarks: Sequence[str]

    def lanes(self) -> Iterator[tuple[Lane, Row]]:
        """Yield the lanes that change, those that change most first."""
        found = [(lane, row) for lane, row in self.outcome.rows.items() if self._shows(lane)]
        yield from sorted(found, key=lambda each: (-each[1].changes.total(), each[0]))

    def changes(self) -> Counter[Change]:
        """Return how many deliveries change how."""
        total: Counter[Change] = Counter()
        for _, row in self.lanes():
            total += row.changes
        return total

    def deliveries(self) -> tuple[int, int]:
        """Return how many deliveries there are before and after."""
        before, after = (
            sum(count for lane, count in side.items() if self._shows(lane))
            for side in (self.outcome.before, self.outcome.after)
        )
        return before, after

    def _shows(self, lane: Lane) -> bool:
        return self.member in (None, lane.giver, lane.member)


@dataclass(slots=True)
class Line:
    """What changes for a member's notices of one type, whoever gives them."""

    before: int
    after: int
    row: Row
    givers: Counter[str]


def late(added: Iterable[Agreement], period: Period, later_by: int) -> Iterator[str]:
    """Yield, for each agreement that says nothing about the period, how to try it."""
    for agreement in added:
        if agreement.in_force_at >= period.until + later_by:
            day = day_of(agreement.in_force_at)
            yield f"{agreement.name} is in force from {day} only, so nothing of it shows: add --as-of {day}"


def lines(shown: Shown) -> Mapping[tuple[str, str], Line]:
    """Return what changes, by member and notice type, most first."""
    found: dict[tuple[str, str], Line] = {}
    for lane, row in shown.lanes():
        line = found.setdefault((lane.member, lane.notice_type), Line(0, 0, Row(), Counter()))
        line.givers[lane.giver] += row.changes.total()
        for counter, more in (
            (line.row.changes, row.changes),
            (line.row.gained, row.gained),
            (line.row.lost, row.lost),
        ):
            counter.update(more)  # type: ignore[arg-type]  # each with its own kind
    for lane, count in shown.outcome.before.items():
        if (lane.member, lane.notice_type) in found:
            found[lane.member, lane.notice_type].before += count
    for lane, count in shown.outcome.after.items():
        if (lane.member, lane.notice_type) in found:
            found[lane.member, lane.notice_type].after += count
    return dict(sorted(found.items(), key=lambda each: (-each[1].row.changes.total(), each[0])))


def show(shown: Shown) -> None:
    """Print the table."""
    before, after = shown.deliveries()
    say(f"{style('dry run', bold=True)}  {shown.old} → {shown.new}")
    say(f"  {said_of(shown)}")
    say(f"  {before:,} deliveries, then {after:,}; {shown.outcome.changed:,} notices change")
    total = shown.changes()
    for change, (sign, colour) in SIGNS.items():
        if total[change]:
            say(f"  {style(sign, fg=colour, bold=True)} {total[change]:,} {WORDS[change]}")
    found = lines(shown)
    if found:
        say()
        kinds = [change for change in SIGNS if total[change]]
        head = (
            "member",
            "notice type",
            "before",
            "after",
            *(SIGNS[each][0] for each in kinds),
            "parts",
            "from",
        )
        rows = [tuple(style(each, bold=True) for each in head)]
        for (member, notice_type), line in list(found.items())[:MOST_ROWS]:
            rows.append(
                (
                    member,
                    notice_type,
                    f"{line.before:,}",
                    f"{line.after:,}",
                    *(_number(line.row.changes[each], SIGNS[each][1]) for each in kinds),
                    parts(line.row),
                    _names(line.givers),
                )
            )
        for each in table(rows):
            say(each)
        if len(found) > MOST_ROWS:
            say(f"  and {len(found) - MOST_ROWS:,} more; --json has all, --member shows those of one")
    else:
        say(f"  {style('no delivery changes', fg='green')}")
    for remark in shown.remarks:
        note(f"  {style('!', fg='yellow')} {remark}")
    if shown.node is not None:
        note(f"  {style('!', fg='yellow')} {OF_A_NODE.format(member=shown.node)}")


OF_A_NODE = (
    "tried on what the node of {member} knows: its own notices, and those that it was given; "
    "what others would give it besides, only the hub can tell"
)


def said_of(shown: Shown) -> str:
    """Return which notices were tried, in one line."""
    since, until = day_of(shown.period.since), day_of(shown.period.until)
    text = f"{shown.outcome.notices:,} notices, decided from {since} to {until}"
    if shown.later_by:
        text += f", as if from {day_of(shown.period.since + shown.later_by)}"
    return text if shown.member is None else f"{text}; of {shown.member} alone"


def as_object(shown: Shown) -> dict[str, object]:
    """Return the answer under the names that scripts rely on."""
    before, after = shown.deliveries()
    old, new = shown.versions
    return {
        "since": time_to_json(shown.period.since),
        "until": time_to_json(shown.period.until),
        "later_by_ms": shown.later_by,
        "old": {"named": shown.old, "version": old.hex()},
        "new": {"named": shown.new, "version": None if new is None else new.hex()},
        "node": shown.node,
        "complete": shown.node is None,
        "notices": shown.outcome.notices,
        "notices_changed": shown.outcome.changed,
        "deliveries": {"before": before, "after": after},
        "changes": _changes(shown.changes()),
        "lanes": [
            {
                "from": lane.giver,
                "member": lane.member,
                "type": lane.notice_type,
                "before": shown.outcome.before[lane],
                "after": shown.outcome.after[lane],
                **_changes(row.changes),
                "gained": {slot.label: row.gained[slot] for slot in sorted(row.gained)},
                "lost": {slot.label: row.lost[slot] for slot in sorted(row.lost)},
                "examples": list(row.examples),
            }
            for lane, row in shown.lanes()
        ],
        "remarks": list(shown.remarks),
    }


def write_chart(shown: Shown, path: Path) -> None:
    """Write the chart as a file that needs nothing else.

    Raises:
        Stopped: Its name says neither SVG nor HTML.
    """
    if path.suffix not in (".svg", ".html"):
        raise Stopped(
            "a chart is an .svg or an .html file",
            code="usage",
            where=str(path),
            next_step=f"name it {path.stem}.svg or {path.stem}.html",
            exit_code=Exit.USAGE,
        )
    bars = [
        Bar(member, notice_type, line.row.changes, parts(line.row))
        for (member, notice_type), line in lines(shown).items()
    ]
    title = f"{shown.old} → {shown.new}"
    if path.suffix == ".svg":
        write_whole(path, picture(title, said_of(shown), bars))
        return
    remarks = list(shown.remarks)
    if shown.node is not None:
        remarks.append(OF_A_NODE.format(member=shown.node))
    write_whole(path, page(title, said_of(shown), bars, remarks))


def parts(row: Row) -> str:
    """Return which slots come and go: `+persons −entities`."""
    gained = [f"+{slot.label}" for slot in sorted(row.gained) if row.gained[slot]]
    return " ".join([*gained, *(f"−{slot.label}" for slot in sorted(row.lost) if row.lost[slot])])


def day_of(time: int) -> str:
    """Return the day of a moment."""
    return datetime.fromtimestamp(time / 1000, UTC).date().isoformat()


def _changes(counter: Counter[Change]) -> dict[str, int]:
    return {change.value: counter[change] for change in Change}


def _number(count: int, colour: str) -> str:
    return style(f"{count:,}", fg=colour) if count else "·"


def _names(givers: Counter[str]) -> str:
    names = [name for name, _ in givers.most_common(MOST_NAMES)]
    more = len(givers) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
