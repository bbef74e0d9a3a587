"""The queries of dashboards and alert rules, taken apart as Prometheus does it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "deploy/grafana").glob("*.json"))
OF_PROMETHEUS = {"up"}


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    loaded = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def dashboards() -> list[dict[str, Any]]:
    """The dashboards."""
    return [json.loads(path.read_text()) for path in DASHBOARDS]


def queries() -> Iterator[tuple[str, str]]:
    """Every query, with where it stands."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$__rate_interval", "5m")
                yield f"{dashboard['title']}: {panel['title']}", query


def selectors(query: str) -> Iterator[Any]:
    """The selectors of a query, wherever they stand in it.  Raises ValueError if it is no query."""
    found = [promql_parser.parse(query)]
    while found:
        here = found.pop()
        if isinstance(here, promql_parser.VectorSelector):
            yield here
        found += [
            part
            for name in ("lhs", "rhs", "expr", "vector_selector", "param")
            if (part := getattr(here, name, None)) is not None
        ]
        found += list(getattr(here, "args", ()))


def metrics() -> set[str]:
    """Every metric that a query asks for, but for Prometheus' own."""
    return {each.name for _, query in queries() for each in selectors(query)} - OF_PROMETHEUS
