"""The last act: another process reads the stored log back; its count must be what the members have."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from broker.demo.acts import Findings
from broker.demo.expected import Explained, Sent
from broker.demo.processes import Farm, ask
from broker.demo.screen import Screen
from broker.demo.setting import CAST, Setting

QUIET_SECONDS = 30.0


def count(setting: Setting) -> dict[str, Any]:
    """Return what `halong audit count` says, asked in a process of its own."""
    answer: dict[str, Any] = ask("audit", "count", str(setting.hub))
    return answer


def the_log_proves_it(
    setting: Setting,
    farm: Farm,
    sent: Sequence[Sent],
    explained: Explained,
    refused: Mapping[str, int],
    screen: Screen,
    findings: Findings,
) -> dict[str, Any]:
    """End the processes, let the log be counted, and hold the count against what must be in it."""
    # With nobody left to ask for anything, the hub's last checkpoint soon covers all there is.
    for role in CAST:
        farm.services[role.id].ask_to_end()
    for role in CAST:
        farm.services[role.id].end()
    until = time.monotonic() + QUIET_SECONDS
    while (counted := count(setting))["waiting"] and time.monotonic() < until:
        pass
    farm.services["hub"].end()
    due = Counter(member for each in sent for member in each.shares)
    delivered = sum(due.values())
    screen.line(f"root {counted['root']}")
    screen.line(
        f"{counted['leaves']:,} leaves under {counted['checkpoints']:,} signed checkpoints, read back from"
        " the log by a process that has no part in it"
    )
    screen.columns(
        ("", "published", "delivered", *(role.id for role in CAST)),
        [
            ["signed by the members", f"{len(sent):,}", "", *("" for _ in CAST)],
            ["by the agreements", "", f"{delivered:,}", *(f"{due[role.id]:,}" for role in CAST)],
            [
                "in the log", f"{counted['published']:,}", f"{counted['delivered']:,}",
                *(f"{counted['members'].get(role.id, 0):,}" for role in CAST),
            ],
        ],
    )  # fmt: skip
    findings.expect(
        counted["published"] == len(sent),
        f"{counted['published']:,} statements admitted: those that were signed",
    )
    findings.expect(
        counted["members"] == dict(due) and counted["delivered"] == delivered,
        f"{counted['delivered']:,} deliveries: what was agreed, computed without the hub",
    )
    withheld = sum(len(each.withheld) for each in sent)
    findings.expect(
        (explained.given, explained.withheld, explained.received) == (delivered, withheld, delivered)
        and not explained.otherwise,
        f"{explained.given:,} deliveries and {explained.withheld:,} non-deliveries explained, on"
        f" {explained.versions} versions of the directory: each as in the log",
    )
    findings.facts["explained"] = {
        "given": explained.given,
        "withheld": explained.withheld,
        "received": explained.received,
        "versions": explained.versions,
    }
    findings.expect(
        counted["receipts"].get("delivered", 0) == delivered and set(counted["receipts"]) <= {"delivered"},
        f"{sum(counted['receipts'].values()):,} signed receipts: one for each delivery",
    )
    findings.expect(
        counted["refusals"] == dict(refused),
        f"{counted['refused']:,} refusals on record: the attacks, and nothing else",
    )
    findings.expect(
        counted["log"] == "verified" and not counted["waiting"],
        "every leaf is its record's, every signed root is its leaves'; with the log's public key, a stranger"
        " can check the same",
    )
    return counted
