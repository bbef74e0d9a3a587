"""The demo's day: what each office publishes by `halong publish --from`, and when all of it is there.

What came of it is said in feedback, whose rows name notices that were received: their tables are written
in the middle of the day, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.demo import expected
from broker.demo.expected import Sent
from broker.demo.processes import ask
from broker.demo.screen import Picture, Screen
from broker.demo.setting import CAST, SCENARIO, Setting
from broker.demo.table import FEEDBACK_ROWS, feedback, write_csv, write_tables
from broker.demo.watching import Watch

PUBLISHED_SECONDS = 300.0
ARRIVED_SECONDS = 120.0
MAPS = SCENARIO / "maps"
REPORTERS = ("jp", "nl")
"""Who says what came of it."""


@dataclass(frozen=True, slots=True)
class Export:
    """A table of a member's system, and the map that reads it."""

    member: str
    table: Path
    map: Path

    def publish(self, setting: Setting) -> dict[str, Any]:
        """Publish it by the command, in a process of its own; return the command's answer."""
        report = setting.member(self.member) / "reports" / f"{self.table.stem}.csv"
        answer: dict[str, Any] = ask(
            "publish", "--from", str(self.table), "--map", str(self.map),
            "--report", str(report), "--dir", str(setting.member(self.member)),
        )  # fmt: skip
        return {"member": self.member, **answer}


def write_exports(setting: Setting) -> None:
    """Write the tables of all members; the same ones again on a folder that is there."""
    write_tables(setting.folder)


def morning(setting: Setting) -> list[Export]:
    """Return what is published first."""
    return [
        Export("vn", setting.member("vn") / "parcels.csv", MAPS / "parcels-vn.toml"),
        Export("jp", setting.member("jp") / "parcels.csv", MAPS / "parcels-jp.toml"),
        waste(setting, 1),
        trends(setting, 1),
    ]


def waste(setting: Setting, part: int) -> Export:
    """Return a part of what Rotterdam stopped that day."""
    return Export("nl", _part(setting.member("nl") / "waste.csv", part), MAPS / "waste.toml")


def trends(setting: Setting, part: int) -> Export:
    """Return a part of what the intelligence office sees over many declarations."""
    return Export("rilo-ap", _part(setting.member("rilo-ap") / "trends.csv", part), MAPS / "trends.toml")


def _part(table: Path, part: int) -> Path:
    return table if part == 1 else table.with_stem(f"{table.stem}-{part}")


def declarations(setting: Setting, table: Path | None, map_: Path | None) -> Export:
    """Return what the risk engine of vn exports, or a person's own table in its place."""
    own = Export("vn", setting.member("vn") / "declarations.csv", MAPS / "declarations.toml")
    return own if table is None or map_ is None else Export("vn", table, map_)


def answers(setting: Setting) -> Iterator[Export]:
    """Yield the feedback of those who got parcels; each table is written once, then kept."""
    for member in REPORTERS:
        table = setting.member(member) / "feedback.csv"
        if not table.exists():
            got = sorted(
                each["reference"]
                for each in expected.inbox(setting.member(member))
                if each["type"] == "drug-parcel" and each["originator"] == "vn"
            )
            rows = list(feedback(member, got[: FEEDBACK_ROWS // len(REPORTERS)]))
            if not rows:
                continue
            write_csv(table, rows)
        yield Export(member, table, MAPS / "feedback.toml")


def publish(
    setting: Setting, watch: Watch, exports: Sequence[Export], show: Callable[[Picture], None]
) -> list[dict[str, Any]]:
    """Publish exports of several members at a time, and look on meanwhile; return the commands' answers.

    Raises:
        NotReady: A command failed.
    """
    with ThreadPoolExecutor(len(CAST)) as pool:
        asked: list[Future[dict[str, Any]]] = [pool.submit(each.publish, setting) for each in exports]
        watch.until(lambda: all(one.done() for one in asked), "publishing", PUBLISHED_SECONDS, show)
        return [one.result() for one in asked]


def arrive(watch: Watch, show: Callable[[Picture], None], seconds: float = ARRIVED_SECONDS) -> list[Sent]:
    """Look on until everything that was published is proven, delivered and confirmed; return what was sent.

    Raises:
        NotReady: It did not come in time.
    """
    members = watch.members.values()
    watch.until(lambda: not any(each.open for each in members), "publishing", seconds, show)
    sent = expected.sent(watch.nodes)
    due = dict.fromkeys(watch.members, 0)
    for each in sent:
        for member in each.shares:
            due[member] += 1
    watch.until(
        lambda: all(each.line.received >= due[each.line.name] and each.quiet for each in members),
        "delivering", seconds, show,
    )  # fmt: skip
    return sent


def say_rows(screen: Screen, published: Sequence[dict[str, Any]]) -> None:
    """Print what became of each table."""
    for each in published:
        screen.line(
            f"{each['member']:<8} {Path(each['table']).name:<18} {each['rows']:>6,} rows,"
            f" {each['flagged']:,} flagged = {each['notices']:,} in notices"
            f" + {each['reported']:,} in the report   {each['type']}"
        )
