"""What a hub counts, in the form that Prometheus reads.

Labels are codes, stations and names of services: never a value of a notice.  Members are not labels
either; who sent what is a question for the log, which answers it with proof.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest

# One more series for each counter, of which nobody asks anything.
disable_created_metrics()  # type: ignore[no-untyped-call]


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
        self.leaves = self._counter("halong_leaves", "Leaves appended to the audit log")
        self.checkpoints = self._counter("halong_checkpoints", "Checkpoints signed")
        self.feed_answers = self._counter("halong_feed_answers", "Answers to feeds that held deliveries")
        self.feed_items = self._counter("halong_feed_items", "Deliveries handed out by feeds")
        self.requests = self._counter("halong_requests", "HTTP requests answered", "status")
        self.restarts = self._counter("halong_restarts", "Services started again after a failure", "service")
        self.published_size = Gauge(
            "halong_published_size", "Leaves under the latest published checkpoint", registry=self._registry
        )
        self.leads = Gauge(
            "halong_sequencer_leads",
            "1 where this sequencer leads, 0 where it stands by",
            registry=self._registry,
        )
        self.polls = Gauge("halong_polls", "Feeds that wait right now", registry=self._registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self._registry)

    def render(self) -> bytes:
        """Return all counters as text."""
        return generate_latest(self._registry)
