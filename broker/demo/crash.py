"""An act: the hub is killed in the middle of publishing, as by a power cut, and started again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from broker.demo import day
from broker.demo.acts import Findings
from broker.demo.expected import Sent
from broker.demo.processes import Farm
from broker.demo.screen import Picture, Screen
from broker.demo.setting import Setting
from broker.demo.watching import Watch

COMMAND_SECONDS = 300.0
TAKEN_SECONDS = 60.0


def the_hub_dies(
    setting: Setting,
    farm: Farm,
    watch: Watch,
    first: day.Export,
    second: day.Export,
    screen: Screen,
    findings: Findings,
    show: Callable[[Picture], None],
) -> tuple[list[dict[str, Any]], list[Sent]]:
    """Kill the hub once it has taken the first of a member's notices; another member publishes meanwhile."""
    hub = farm.services["hub"]
    sender = watch.members[first.member]
    watch.look()
    before = {state: sender.sent.get(state, 0) for state in ("accepted", "admitted", "proven")}

    def underway() -> int:
        return sum(sender.sent.get(state, 0) - count for state, count in before.items())

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(first.publish, setting)
        watch.until(
            lambda: underway() > 0 or (asked.done() and _settled(sender.sent)),
            "taking the first notice", TAKEN_SECONDS, show,
        )  # fmt: skip
        pid = hub.pid
        hub.kill()
        died_at = time.monotonic()
        show(watch.look())
        taken, proven = underway(), sender.sent.get("proven", 0) - before["proven"]
        published = day.publish(setting, watch, [second], show)
        watch.until(asked.done, "publishing", COMMAND_SECONDS, show)
        published.insert(0, asked.result())
    waiting = sum(each.open for each in watch.members.values())
    hub.start()
    hub.await_ready()
    away = time.monotonic() - died_at
    sent = day.arrive(watch, show)
    day.say_rows(screen, published)
    queued = sum(each["queued"] for each in published)
    if queued:
        screen.line(
            f"killed -9 (process {pid}) with {taken:,} of {queued:,} taken, {proven:,} proven;"
            f" {second.member} published to its own outbox"
        )
    else:
        screen.line(f"killed -9 (process {pid}); all of it was published before, so nothing was sent again")
    screen.line(
        f"after {away:.1f} s started again as process {hub.pid}, with {waiting:,} notices waiting for it;"
        " it found its place in the log"
    )
    refused = sum(each.sent.get("refused", 0) for each in watch.members.values())
    findings.expect(
        not refused, f"all {queued:,} arrived: nothing lost, nothing refused, nothing sent by hand"
    )
    return published, sent


def _settled(states: Mapping[str, int]) -> bool:
    return not any(states.get(state, 0) for state in ("waiting", "signed", "accepted", "admitted"))
