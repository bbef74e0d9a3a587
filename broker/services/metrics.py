"""What a hub counts, in the form that Prometheus reads.

Labels are codes, stations, regions and names of services: never a value of a notice.  Members are labels only
of what waits for them, and there are some 200 of them; who sent what is a question for the log, which answers
it with proof.  What is looked at now and then, and not where it happens, is set by `watch`.
"""

from __future__ import annotations

import platform
from collections import OrderedDict
from importlib.metadata import version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

# One more series for each counter, of which nobody asks anything.
disable_created_metrics()  # type: ignore[no-untyped-call]


FOLLOWED_AT_ONCE: Final = 10_000
"""Statements whose way to their decision is measured at one time; of more, the oldest are not."""

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The counters of one hub process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.notices = self._counter("halong_notices", "Notices that the gateway answered for", "status")
        self.refusals = self._counter("halong_refusals", "What was refused", "station", "code")
        self.receipts = self._counter("halong_receipts", "Signed receipts that were stored")
        self.decisions = self._counter("halong_decisions", "Statements admitted")
        self.deliveries = self._counter("halong_deliveries", "Deliveries written to inboxes")
        self.duplicates = self._counter(
            "halong_duplicates", "Known statements that came again and were dropped"
        )
        self.equivocations = self._counter(
            "halong_equivocations", "Two statements under one number: an alarm"
        )
        self.erasures = self._counter("halong_erasures", "Statements whose contents were erased", "ground")
        self.leaves = self._counter("halong_leaves", "Leaves appended to the audit log")
        self.checkpoints = self._counter("halong_checkpoints", "Checkpoints signed")
        self.cosignatures = self._counter("halong_cosignatures", "Cosignatures that witnesses gave")
        self.feed_answers = self._counter("halong_feed_answers", "Answers to feeds that held deliveries")
        self.feed_items = self._counter("halong_feed_items", "Deliveries handed out by feeds")
        self.requests = self._counter("halong_requests", "HTTP requests answered", "status")
        self.restarts = self._counter("halong_restarts", "Services started again after a failure", "service")
        self.published_size = self._gauge(
            "halong_published_size", "Leaves under the latest published checkpoint"
        )
        self.tiles_size = self._gauge(
            "halong_tiles_size", "Leaves of the checkpoint under which every tile can be fetched"
        )
        self.tiles_behind = self._gauge(
            "halong_tiles_behind", "Signed leaves whose tiles are not written yet"
        )
        self.leads = self._gauge(
            "halong_sequencer_leads", "1 where this sequencer leads, 0 where it stands by"
        )
        self.outside_size = self._gauge(
            "halong_outside_cosigned_size",
            "Leaves of the tree that a witness outside cosigned last",
            "witness",
        )
        self.outside_denies = self._gauge(
            "halong_outside_denies", "1 while a witness outside denies what it is shown", "witness"
        )
        self.polls = self._gauge("halong_polls", "Feeds that wait right now")
        self.published_at = self._gauge(
            "halong_last_publication_timestamp_seconds",
            "When a statement of the region was last decided",
            "region",
        )
        self.checkpoint_at = self._gauge(
            "halong_checkpoint_timestamp_seconds", "When the latest published checkpoint was signed"
        )
        self.cosigned_at = self._gauge(
            "halong_cosigned_timestamp_seconds",
            "When the newest checkpoint was signed that most members with a witness cosigned; 0 before one",
        )
        self.uncovered = self._gauge(
            "halong_uncovered_decisions", "Decisions that no published checkpoint covers yet"
        )
        self.uncovered_seconds = self._gauge(
            "halong_uncovered_seconds", "How long the oldest of them has waited, 0 without one"
        )
        self.behind = self._gauge(
            "halong_dispatcher_behind", "Notices that no dispatcher has decided yet", "topic", "partition"
        )
        self.member_waiting = self._gauge(
            "halong_member_waiting", "Deliveries for which the member has sent no receipt", "member"
        )
        self.member_waiting_seconds = self._gauge(
            "halong_member_waiting_seconds", "How long the oldest of them has waited, 0 without one", "member"
        )
        self.member_polled_at = self._gauge(
            "halong_member_polled_timestamp_seconds",
            "When the member's node last asked for its feed",
            "member",
        )
        self.directory_members = self._gauge("halong_directory_members", "Members of the directory in force")
        self.directory_agreements = self._gauge(
            "halong_directory_agreements", "Agreements of the directory in force"
        )
        self.directory_at = self._gauge(
            "halong_directory_timestamp_seconds",
            "Since when this process has had its version of the directory",
            "version",
        )
        self.directory_expiry = self._gauge(
            "halong_directory_expiry_timestamp_seconds",
            "Until when the hub's online key vouches for the directory; 0 before it was read",
        )
        self.certificate_expiry = self._gauge(
            "halong_certificate_expiry_timestamp_seconds", "When the certificate in use ends", "certificate"
        )
        self.key_expiry = self._gauge(
            "halong_member_key_expiry_timestamp_seconds",
            "When the first of the member's keys ends that has an end",
            "member",
        )
        self.disk_free = self._gauge("halong_disk_free_bytes", "Room on the disk of the hub's folder")
        self.log_size = self._gauge("halong_log_bytes", "Size of the embedded log's file, 0 on Kafka")
        self._decided_in = Histogram(
            "halong_decided_seconds",
            "From the gateway's answer to the decision, where one process does both",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.covered_in = Histogram(
            "halong_covered_seconds",
            "From the decision to the checkpoint that covers it",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._accepted: OrderedDict[bytes, int] = OrderedDict()
        build = self._gauge("halong_build_info", "What runs here", "version", "python")
        build.labels(version("halong"), platform.python_version()).set(1)
        ProcessCollector(registry=self._registry)

    def accepted(self, statement: bytes, at: int) -> None:
        """Take note that the gateway stored a statement."""
        self._accepted[statement] = at
        if len(self._accepted) > FOLLOWED_AT_ONCE:
            self._accepted.popitem(last=False)

    def decided(self, statement: bytes, at: int) -> None:
        """Take note that the statement was decided."""
        accepted_at = self._accepted.pop(statement, None)
        if accepted_at is not None:
            self._decided_in.observe(max(at - accepted_at, 0) / 1000)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self._registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self._registry)

    def render(self) -> bytes:
        """Return all counters as text."""
        return generate_latest(self._registry)
