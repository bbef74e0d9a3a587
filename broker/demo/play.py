"""The demo from its first line to its last: what is played in which order, and what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.clock import SystemClock
from broker.demo import accession, acts, ceremony, crash, day, disk, expected, proof
from broker.demo.acts import Example, Findings
from broker.demo.attacks import Attempt
from broker.demo.engine import log_for
from broker.demo.processes import Farm
from broker.demo.screen import Screen
from broker.demo.setting import CAST, Setting, build, log_address
from broker.demo.watching import watch
from schemas import load_catalogue


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be played.

    Args:
        folder: Where everything goes; one that was kept goes on.
        engine: `sqlite` or `kafka`.
        table: Published by vn instead of its own declarations, by `map`.
        map: How its rows become notices.
        without: Agreements that are left out.
    """

    folder: Path
    engine: str = "sqlite"
    table: Path | None = None
    map: Path | None = None
    without: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: the count of the log, what was expected, and a file to look into."""

    counted: dict[str, Any]
    findings: Findings
    attempts: Sequence[Attempt]
    published: Sequence[dict[str, Any]]
    example: Example | None
    seconds: float

    @property
    def summary(self) -> str:
        """The last line."""
        counted = self.counted
        log = "verified" if counted["log"] == "verified" else "NOT verified"
        return (
            f"demo: {counted['published']} published, {counted['delivered']} delivered,"
            f" {counted['refused']} refused, {counted['leaves']} leaves, log {log}"
        )


def play(plan: Plan, farm: Farm, screen: Screen) -> Outcome:
    """Play the demo with processes that the farm ends.

    Raises:
        NotReady: A process ended, or something did not come in time.
        BadConfiguration: The folder is of something else.
    """
    started = time.monotonic()
    kept = log_address(plan.folder)
    screen.title("halong demo", "a hub and four members on this machine, each with its own keys and store")
    with log_for(plan.engine, plan.folder, kept) as log:
        setting = build(plan.folder, log, plan.without, SystemClock().now())
        made = time.monotonic() - started
        findings = Findings(screen)
        screen.act("who is a member, and who says so")
        ceremony.who_says_so(setting, made, screen, findings, again=kept is not None)
        return _play(plan, setting, farm, screen, findings, started, again=kept is not None)


def _play(
    plan: Plan, setting: Setting, farm: Farm, screen: Screen, findings: Findings, started: float, *,
    again: bool,
) -> Outcome:  # fmt: skip
    for service in setting.services():
        farm.add(service)
    hub = farm.services["hub"]
    # Nodes wait for the hub by themselves.
    for service in farm.services.values():
        service.start()
    day.write_exports(setting)
    accession.accede(setting, accession.FIRST)
    for service in farm.services.values():
        service.await_ready()
    earlier = Counter(proof.count(setting)["refusals"]) if again else Counter[str]()
    pids = ", ".join(f"{name} {service.pid}" for name, service in farm.services.items())
    screen.line(f"processes {pids}   {setting.door('vn').url}, mutual TLS   log {plan.engine}")
    with watch(setting, farm, [role.id for role in CAST]) as seen:
        accession.handed_over(setting, seen, accession.FIRST)
        screen.line()
        with screen.live() as live:
            published = day.publish(setting, seen, day.morning(setting), live.show)
            day.arrive(seen, live.show)
            published += day.publish(setting, seen, list(day.answers(setting)), live.show)
            sent = day.arrive(seen, live.show)
            live.last(seen.look())
        day.say_rows(screen, published)
        screen.act("one notice, four views")
        example = acts.four_views(setting, sent, load_catalogue(), screen, findings)
        screen.act("an agreement decides")
        acts.an_agreement_decides(setting, sent, screen, findings)
        for headline, act in (
            ("what only one side lists counts for nothing", accession.only_one_side),
            ("one side leaves", accession.one_side_leaves),
        ):
            screen.act(headline)
            with screen.live() as live:
                more, sent = act(setting, farm, seen, sent, screen, findings, live.show)
            published += more
        screen.act("attacks")
        attempts = acts.attacks(setting, sent, screen, findings)
        screen.act("the hub's own disk, in other hands")
        at_nodes = disk.who_owns_the_disk(setting, screen, findings)
        screen.act("the hub dies")
        with screen.live() as live:
            more, sent = crash.the_hub_dies(
                setting, farm, seen, day.declarations(setting, plan.table, plan.map), day.trends(setting, 3),
                screen, findings, live.show,
            )  # fmt: skip
        published += more
        findings.expect(hub.pid is not None, "the hub runs on")
        explained = expected.explain_all(seen.nodes)
    screen.act("the log proves it")
    refused = earlier + Counter(attempt.expected for attempt in attempts)
    counted = proof.the_log_proves_it(setting, farm, sent, explained, refused, screen, findings)
    return Outcome(counted, findings, [*attempts, *at_nodes], published, example, time.monotonic() - started)
