"""How the node is, in the form that Prometheus reads: counts, times and names of its own channels.

Made of a snapshot of the store at each scrape, so it holds after a restart and costs nothing between scrapes.
"""

from __future__ import annotations

import math
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from adapters.configuration import NodeConfig
from adapters.status import Snapshot
from broker.directory.certificates import read_certificate

PREFIX = "halong_node_"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a node needs besides its store: when its certificates end, and what room its disk has."""

    certificates: Mapping[str, int]
    disk_free: int
    store_size: int


def surroundings(config: NodeConfig) -> Surroundings:
    """Look at the files of a node.

    Raises:
        BadConfiguration: A certificate is none.
    """
    paths = [config.path(config.keys.certificate)]
    paths += [] if config.hub is None else [config.path(config.hub.authority)]
    return Surroundings(
        {path.name: read_certificate(path.read_bytes()).valid_until for path in paths if path.exists()},
        shutil.disk_usage(config.root).free,
        config.store_path.stat().st_size if config.store_path.exists() else 0,
    )


def render(now: Snapshot, at: int, around: Surroundings | None) -> bytes:
    """Return the node's metrics as text."""
    registry = CollectorRegistry()
    registry.register(_Once([*_families(now, at), *([] if around is None else _around(around))]))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Once(Collector):
    """Yields what was made for one scrape."""

    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the families."""
        return self._families


def _families(now: Snapshot, at: int) -> Iterator[GaugeMetricFamily]:
    yield _by("notices", "Notices of this node by state", "state", now.sent)
    yield _by("deliveries", "Deliveries that arrived by state", "state", now.received)
    yield _by("alarms", "Alarms that were kept, by event", "event", now.alarm_counts)
    yield _one("receipts_waiting", "Deliveries whose receipt the hub has not confirmed", now.receipts_waiting)
    yield _one("behind", "Deliveries ready at the hub when it last answered", now.behind)
    yield _one("tree_size", "Leaves of the largest tree of the hub's log that was seen", now.tree_size)
    yield _one(
        "cosigned_size", "Leaves of the largest tree that a quorum of witnesses cosigned", now.cosigned_size
    )
    quorum = "Cosignatures that cover a delivery; 0 where no member is a witness"
    yield _one("cosigned_quorum", quorum, now.cosigned_quorum)
    yield _one("held", "1 while the feed stands still", int(now.held is not None))
    overdue = sum(due <= at for due in now.feedback_due)
    yield _one("feedback_due", "Notices on which feedback is owed", len(now.feedback_due))
    yield _one("feedback_overdue", "Of these, the ones that are overdue", overdue)
    versions = {} if now.directory_version is None else {now.directory_version[:12]: 1}
    yield _by("directory_info", "The version of the signed directory that is here", "version", versions)
    ends = "Until when the directory counts; 0 before there was one"
    yield _one("directory_expiry_timestamp_seconds", ends, (now.directory_expires_at or 0) / 1000)
    for name, about, since, otherwise in (
        (
            "directory_checked_seconds_ago",
            "Since the hub last showed its newest",
            now.directory_checked_at,
            0,
        ),
        ("hub_reached_seconds_ago", "Since the hub last answered the feed", now.reached_at, math.inf),
        ("checkpoint_seconds_ago", "Since the last checkpoint was seen", now.tree_seen_at, math.inf),
        ("cosigned_seconds_ago", "Since the last cosignature of it", now.cosigned_at, math.inf),
        (
            "uncovered_seconds",
            "How long a delivery is under no such tree, if too long",
            now.uncovered_since,
            0,
        ),
        ("oldest_waiting_seconds", "How long the oldest notice waits to be sent", now.waiting_since, 0),
        ("oldest_unproven_seconds", "How long the oldest waits for its proofs", now.unproven_since, 0),
    ):
        yield _one(name, about, otherwise if since is None else max(at - since, 0) / 1000)
    for name, about in (
        ("channel_behind", "Deliveries that wait for the channel"),
        ("channel_dead_letters", "Deliveries that the channel will not take"),
        ("channel_paused", "1 while the channel is paused"),
        ("channel_failures", "Failures of the channel in a row"),
    ):
        values = {each.name: getattr(each, name.removeprefix("channel_")) for each in now.channels}
        yield _by(name, about, "channel", values)
    build = GaugeMetricFamily(PREFIX + "build_info", "What runs here", labels=["version", "python"])
    build.add_metric([version("halong"), platform.python_version()], 1)
    yield build


def _around(around: Surroundings) -> Iterator[GaugeMetricFamily]:
    ends = {name: end / 1000 for name, end in around.certificates.items()}
    yield _by("certificate_expiry_timestamp_seconds", "When the certificate ends", "certificate", ends)
    yield _one("disk_free_bytes", "Room on the disk of the node's folder", around.disk_free)
    yield _one("store_bytes", "Size of the node's store", around.store_size)


def _one(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, about, value=value)


def _by(name: str, about: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, about, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
