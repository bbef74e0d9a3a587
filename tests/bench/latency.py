"""From the publisher's queue to the record of the receiver that has verified it, one notice at a time.

Real processes: a hub, two nodes, HTTP with mutual TLS between them, and stores that keep the times.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from adapters.sending.outgoing import Outgoing
from adapters.store import Store
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import Setting
from tests.soak.deployment import PUBLISHER, Deployment
from tests.soak.sustained import drafts
from tests.soak.watching import NodeStore, quantile

PER_SECOND = 50
WARM_UP = 100
WAIT_SECONDS = 60.0
LOOK_SECONDS = 0.05


def rows(setting: Setting) -> Iterator[Row]:
    """Yield how long nineteen of twenty notices take at most, on each engine."""
    for engine, url in setting.urls():
        taken = _travel(setting, url if engine == "Kafka" else "sqlite:///log.db", setting.latency_notices)
        yield Row(
            f"latency-{engine.lower()}",
            f"publish → verified at the receiver, {PER_SECOND}/s, p95 of {len(taken):,}, {engine}",
            Figure(quantile(taken, 0.95), "ms"),
            f"p50: {quantile(taken, 0.5)} ms, p99: {quantile(taken, 0.99)} ms",
            goal=Goal("value", most=250, said="p95 < 250 ms"),
        )


def _travel(setting: Setting, log: str, count: int) -> list[int]:
    deployment = Deployment(setting.fresh("latency"), receivers=1, nodes=1, log=log)
    with deployment.running():
        (receiver,) = deployment.receiving
        received = NodeStore(deployment.path(receiver) / "node.db")
        sent = NodeStore(deployment.path(PUBLISHER) / "node.db")
        desk = Store.open(deployment.path(PUBLISHER) / "node.db")
        outgoing, made = Outgoing(desk), drafts()

        def publish(number: int) -> None:
            begun = time.monotonic()
            for each in range(number):
                time.sleep(max(0.0, begun + each / PER_SECOND - time.monotonic()))
                outgoing.enqueue([next(made)], time.time_ns() // 1_000_000)

        # On a cluster, the first ones wait until partitions have found their owners.
        publish(WARM_UP)
        _await(received, WARM_UP)
        publish(count)
        _await(received, WARM_UP + count)
        rows = received.rows("SELECT statement, taken_at FROM deliveries ORDER BY place")[WARM_UP:]
        taken = [at - sent.queued_at(statement) for statement, at in rows]
        desk.close()
    return taken


def _await(received: NodeStore, count: int) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while (there := received.delivered()) < count:
        assert time.monotonic() < until, f"{count - there} of {count} notices did not arrive in time"
        time.sleep(LOOK_SECONDS)
