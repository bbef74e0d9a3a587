"""The cluster itself fails under a hub and its members: a broker is killed, the quorum is lost, all are gone.

No call may hang, clients must find the cluster again, and meanwhile the hub must say that it is not ready.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from deploy.kafka.cluster import KafkaCluster, missing
from tests.faults import chance
from tests.faults.spread import Spread
from tests.faults.table import Row, record

pytestmark = [pytest.mark.kafka, pytest.mark.sockets, pytest.mark.soak]

PER_SECOND = 100
KILLS = 20
LONGEST_LIFE_SECONDS = 2.0
QUORUM_SECONDS = 15.0
GONE_SECONDS = 60.0
BACK_SECONDS = 90.0
SETTLE_SECONDS = 180.0

TWO: Mapping[str, Sequence[str]] = {
    "edge": ("gateway", "inbox", "sequencer"),
    "dispatcher1": ("dispatcher",),
    "dispatcher2": ("dispatcher",),
}


@contextmanager
def cluster(folder: Path, nodes: int) -> Iterator[KafkaCluster]:
    if (need := missing()) is not None:
        pytest.skip(f"starting Kafka needs {need}")
    with KafkaCluster(folder / "kafka", nodes=nodes) as kafka:
        yield kafka


@contextmanager
def counted(live: Spread, name: str, kills: int) -> Iterator[random.Random]:
    """Publish until left, wait until all has arrived, and count; the moments of what is done meanwhile."""
    seed = chance.seed()
    began, before = time.monotonic(), live.queued.total()
    with live.load(PER_SECOND):
        yield random.Random(f"{seed} {name}")
    live.settle(SETTLE_SECONDS)
    in_topics, in_folders = live.in_topics(), live.in_folders()
    record(
        Row(
            name=name, engine="kafka", kills=kills, notices=live.queued.total() - before,
            deliveries=in_topics.deliveries, lost=in_topics.lost + in_folders.lost,
            doubled=in_topics.doubled + in_folders.doubled,
            over_delivered=in_topics.over_delivered + in_folders.over_delivered,
            out_of_order=in_topics.out_of_order + in_folders.out_of_order, seed=seed,
            seconds=time.monotonic() - began,
        )
    )  # fmt: skip
    assert in_topics.faultless, in_topics
    assert in_folders.faultless, in_folders
    assert live.signed_twice() == 0
    assert live.audit()["log"] == "verified"


def is_ready(live: Spread, name: str) -> bool:
    return all((live.ready(name) or {"answers": False}).values())


def all_ready(live: Spread) -> bool:
    return all(is_ready(live, name) for name in live.health)


def test_the_only_broker_may_be_killed_again_and_again(tmp_path: Path) -> None:
    kills = chance.scaled(KILLS)
    with cluster(tmp_path, 1) as kafka, Spread.on(kafka.bootstrap, tmp_path, TWO) as live:
        live.start()
        with counted(live, "only broker killed", kills) as moments:
            for _ in range(kills):
                time.sleep(moments.uniform(0, LONGEST_LIFE_SECONDS))
                kafka.kill(1)
                kafka.restart(1)
        live.stop()


def test_leader_coordinator_quorum_and_the_whole_cluster_may_go_and_come_back(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as kafka, Spread.on(kafka.bootstrap, tmp_path, TWO) as live:
        live.start()
        with counted(live, "leader of an inbox's topic killed, one of three", 1):
            _away(kafka, leader(kafka.bootstrap, f"{live.prefix}.inbox.nl"))
        with counted(live, "coordinator of the dispatchers killed, one of three", 1):
            _away(kafka, coordinator(kafka.bootstrap, f"{live.prefix}.halong-dispatcher"))
        with counted(live, "quorum lost, two of three killed", 2) as moments:
            lost = moments.sample(sorted(kafka.nodes), 2)
            for number in lost:
                kafka.kill(number)
            assert live.until(lambda: not is_ready(live, "edge"))
            time.sleep(QUORUM_SECONDS)
            for number in lost:
                kafka.launch(number)
            kafka.ready()
            assert live.until(lambda: all_ready(live), BACK_SECONDS)
        with counted(live, "cluster gone for a minute", 3):
            gone_at = time.monotonic()
            for number in kafka.nodes:
                kafka.kill(number)
            assert live.until(lambda: not any(is_ready(live, name) for name in live.health))
            time.sleep(max(0.0, gone_at + GONE_SECONDS - time.monotonic()))
            for number in kafka.nodes:
                kafka.launch(number)
            kafka.ready()
            assert live.until(lambda: all_ready(live), BACK_SECONDS)
        live.stop()


def _away(kafka: KafkaCluster, number: int) -> None:
    """Kill a node, leave the others a while to themselves, and start it again."""
    time.sleep(LONGEST_LIFE_SECONDS)
    kafka.kill(number)
    time.sleep(QUORUM_SECONDS)
    kafka.restart(number)


def leader(bootstrap: str, topic: str) -> int:
    """Return the node that leads the first partition of a topic."""
    (asked,) = (
        AdminClient({"bootstrap.servers": bootstrap}).describe_topics(TopicCollection([topic])).values()
    )
    node: int = asked.result(QUORUM_SECONDS).partitions[0].leader.id
    return node


def coordinator(bootstrap: str, group: str) -> int:
    """Return the node that coordinates a group."""
    (asked,) = AdminClient({"bootstrap.servers": bootstrap}).describe_consumer_groups([group]).values()
    node: int = asked.result(QUORUM_SECONDS).coordinator.id
    return node
