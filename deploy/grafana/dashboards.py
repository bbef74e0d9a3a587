"""Writes `halong-hub.json` and `halong-node.json` beside it: `python -m deploy.grafana.dashboards`.

A panel here is what is shown, its queries and its unit; Grafana's many other fields are the same for all.
A test holds the files against this program, and every metric in a query against what real processes tell.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCHEMA = 41
"""Grafana 11 and 12 read it; later ones bring it up to theirs."""

WIDTH = 24
HEIGHT = 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: `queries` are pairs of a legend and an expression, `width` of 24."""

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"
    worse_from: float | None = None
    bad_from: float | None = None


def _quantiles(metric: str) -> list[tuple[str, str]]:
    return [
        (f"p{q}", f"histogram_quantile(0.{q}, sum by (le) (rate({metric}_bucket{{{{}}}}[$__rate_interval])))")
        for q in (50, 95, 99)
    ]


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{{}}}}[$__rate_interval]))"


_NEWEST = "max(halong_checkpoint_timestamp_seconds{{}})"

HUB = (
    Panel("Up", [("{{instance}}", "up{{}}")], kind="stat", width=4, bad_from=None),
    Panel(
        "Last publication",
        [("", "time() - max(halong_last_publication_timestamp_seconds{{}})")],
        "s",
        5,
        "stat",
        3600,
        86400,
    ),
    Panel("Oldest without a checkpoint", [("", "max(halong_uncovered_seconds{{}})")], "s", 5, "stat", 10, 60),
    Panel("Behind the gateway", [("", "sum(halong_dispatcher_behind{{}})")], "short", 5, "stat", 100, 1000),
    Panel("Leaves published", [("", "max(halong_published_size{{}})")], "short", 5, "stat"),
    Panel("Notices at the gateway", [("{{status}}", _rate("halong_notices_total", "status"))], "reqps"),
    Panel(
        "Admitted and delivered",
        [
            ("admitted", "sum(rate(halong_decisions_total{{}}[$__rate_interval]))"),
            ("delivered", "sum(rate(halong_deliveries_total{{}}[$__rate_interval]))"),
            ("handed out", "sum(rate(halong_feed_items_total{{}}[$__rate_interval]))"),
            ("receipts", "sum(rate(halong_receipts_total{{}}[$__rate_interval]))"),
        ],
        "cps",
    ),
    Panel(
        "Refusals by code",
        [
            ("{{station}} {{code}}", _rate("halong_refusals_total", "station, code")),
            ("equivocations", "sum(rate(halong_equivocations_total{{}}[$__rate_interval]))"),
            ("duplicates", "sum(rate(halong_duplicates_total{{}}[$__rate_interval]))"),
        ],
        "cps",
    ),
    Panel("Gateway to decision", _quantiles("halong_decided_seconds"), "s", 12),
    Panel("Decision to checkpoint", _quantiles("halong_covered_seconds"), "s", 12),
    Panel("Waiting at members", [("{{member}}", "halong_member_waiting{{}}")], "short", 12),
    Panel("Oldest unread by member", [("{{member}}", "halong_member_waiting_seconds{{}}")], "s", 12),
    Panel(
        "Members not seen for",
        [("{{member}}", "time() - halong_member_polled_timestamp_seconds{{}}")],
        "s",
        12,
        "timeseries",
        3600,
        86400,
    ),
    Panel(
        "Dispatcher behind, by partition",
        [("{{topic}}/{{partition}}", "halong_dispatcher_behind{{}} > 0")],
        "short",
        12,
    ),
    Panel("Requests by status", [("{{status}}", _rate("halong_requests_total", "status"))], "reqps"),
    Panel("Feeds that wait", [("{{instance}}", "halong_polls{{}}")]),
    Panel(
        "Services started again",
        [("{{service}}", "sum by (service) (increase(halong_restarts_total{{}}[1h]))")],
    ),
    Panel(
        "Checkpoints a minute",
        [("", "60 * sum(rate(halong_checkpoints_total{{}}[$__rate_interval]))")],
        "short",
        6,
    ),
    Panel("Leading sequencers", [("{{instance}}", "halong_sequencer_leads{{}}")], "short", 6),
    Panel(
        "Room",
        [("disk {{instance}}", "halong_disk_free_bytes{{}}"), ("log {{instance}}", "halong_log_bytes{{}}")],
        "bytes",
        6,
    ),
    Panel(
        "Memory and CPU",
        [("memory {{instance}}", "process_resident_memory_bytes{{}}")],
        "bytes",
        6,
    ),
    Panel("Signed leaves without tiles", [("{{instance}}", "halong_tiles_behind{{}}")]),
    Panel(
        "Newest checkpoint ahead of the one that most members cosigned",
        [
            (
                "",
                f"{_NEWEST} - (max(halong_cosigned_timestamp_seconds{{{{}}}}) > 0)",
            )
        ],
        "s",
        8,
        "timeseries",
        120,
        300,
    ),
    Panel(
        "Cosignatures a minute, witnesses outside that deny",
        [
            ("cosignatures", "60 * sum(rate(halong_cosignatures_total{{}}[$__rate_interval]))"),
            ("{{witness}} denies", "halong_outside_denies{{}}"),
        ],
    ),
    Panel(
        "Days left",
        [
            ("{{certificate}}", "(halong_certificate_expiry_timestamp_seconds{{}} - time()) / 86400"),
            ("keys of {{member}}", "(halong_member_key_expiry_timestamp_seconds{{}} - time()) / 86400"),
        ],
        "d",
        12,
    ),
    Panel(
        "Directory",
        [
            ("members", "max(halong_directory_members{{}})"),
            ("agreements", "max(halong_directory_agreements{{}})"),
            ("versions in use", "count(count by (version) (halong_directory_timestamp_seconds{{}}))"),
        ],
        "short",
        12,
    ),
)

NODE = (
    Panel("Up", [("{{instance}}", "up{{}}")], kind="stat", width=4),
    Panel("Hub reached", [("", "max(halong_node_hub_reached_seconds_ago{{}})")], "s", 5, "stat", 60, 300),
    Panel("Feed stands still", [("", "max(halong_node_held{{}})")], "short", 5, "stat", None, 1),
    Panel(
        "Oldest notice to send",
        [("", "max(halong_node_oldest_waiting_seconds{{}})")],
        "s",
        5,
        "stat",
        60,
        600,
    ),
    Panel("Feedback overdue", [("", "sum(halong_node_feedback_overdue{{}})")], "short", 5, "stat", 1),
    Panel("Notices by state", [("{{state}}", "halong_node_notices{{}}")], "short", 12),
    Panel("Deliveries by state", [("{{state}}", "halong_node_deliveries{{}}")], "short", 12),
    Panel(
        "Outbox",
        [
            ("to send {{instance}}", "halong_node_oldest_waiting_seconds{{}}"),
            ("to prove {{instance}}", "halong_node_oldest_unproven_seconds{{}}"),
        ],
        "s",
    ),
    Panel(
        "Inbox",
        [
            ("at the hub {{instance}}", "halong_node_behind{{}}"),
            ("receipts {{instance}}", "halong_node_receipts_waiting{{}}"),
        ],
    ),
    Panel("Alarms kept", [("{{event}}", "halong_node_alarms{{}}")]),
    Panel("Channels: waiting", [("{{channel}}", "halong_node_channel_behind{{}}")]),
    Panel("Channels: dead letters", [("{{channel}}", "halong_node_channel_dead_letters{{}}")]),
    Panel(
        "Channels: failures in a row, paused",
        [
            ("{{channel}}", "halong_node_channel_failures{{}}"),
            ("{{channel}} paused", "halong_node_channel_paused{{}}"),
        ],
    ),
    Panel(
        "Feedback",
        [("owed", "halong_node_feedback_due{{}}"), ("overdue", "halong_node_feedback_overdue{{}}")],
        "short",
        6,
    ),
    Panel("Checkpoint seen", [("{{instance}}", "halong_node_checkpoint_seconds_ago{{}}")], "s", 6),
    Panel(
        "Witnesses",
        [
            ("since a quorum cosigned {{instance}}", "halong_node_cosigned_seconds_ago{{}}"),
            ("a delivery is uncovered {{instance}}", "halong_node_uncovered_seconds{{}}"),
        ],
        "s",
        12,
    ),
    Panel(
        "Leaves: seen, and cosigned by a quorum",
        [
            ("seen {{instance}}", "halong_node_tree_size{{}}"),
            ("cosigned {{instance}}", "halong_node_cosigned_size{{}}"),
        ],
        "short",
        12,
    ),
    Panel(
        "Room",
        [
            ("disk {{instance}}", "halong_node_disk_free_bytes{{}}"),
            ("store {{instance}}", "halong_node_store_bytes{{}}"),
        ],
        "bytes",
        6,
    ),
    Panel(
        "Days left",
        [("{{certificate}}", "(halong_node_certificate_expiry_timestamp_seconds{{}} - time()) / 86400")],
        "d",
        6,
    ),
)


def dashboard(uid: str, title: str, job: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["halong"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
                {
                    "name": "job",
                    "type": "query",
                    "label": "Job",
                    "datasource": SOURCE,
                    "query": {"query": f"label_values({job}_build_info, job)", "refId": "job"},
                    "refresh": 2,
                    "includeAll": False,
                },
                {
                    "name": "instance",
                    "type": "query",
                    "label": "Instance",
                    "datasource": SOURCE,
                    "query": {
                        "query": f'label_values({job}_build_info{{job="$job"}}, instance)',
                        "refId": "instance",
                    },
                    "refresh": 2,
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".*",
                },
            ]
        },
        "annotations": {"list": []},
        "panels": list(_placed(panels)),
    }


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    placed, x, y = [], 0, 0
    for number, panel in enumerate(panels, start=1):
        height = 4 if panel.kind == "stat" else HEIGHT
        if x + panel.width > WIDTH:
            x, y = 0, y + placed[-1]["gridPos"]["h"]
        placed.append(_panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": height}))
        x += panel.width
    return placed


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [{"color": "orange", "value": panel.worse_from}] if panel.worse_from is not None else []
    steps += [{"color": "red", "value": panel.bad_from}] if panel.bad_from is not None else []
    return {
        "id": number,
        "title": panel.title,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "legendFormat": legend, "expr": _chosen(query)}
            for n, (legend, query) in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {},
    }


def _chosen(query: str) -> str:
    return query.replace("{{}}", '{job="$job", instance=~"$instance"}')


def texts() -> dict[str, str]:
    """Return the files by their names."""
    hub = dashboard("halong-hub", "Halong: hub", "halong", HUB)
    node = dashboard("halong-node", "Halong: member's node", "halong_node", NODE)
    return {
        "halong-hub.json": json.dumps(hub, indent=2) + "\n",
        "halong-node.json": json.dumps(node, indent=2) + "\n",
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (HERE / name).write_text(text, encoding="utf-8")
