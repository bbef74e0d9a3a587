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

pytestmark = [pytest.mark.kafka, pytest.mark.sockets, pytest.mark.soak]

PER_SECOND = 100
KILLS = 20
LONGEST_LIFE_SECONDS = 2.0
AFTERWARDS_SECONDS = 1.0
GONE_SECONDS = 60.0
BACK_SECONDS = 90.0
ANSWER_SECONDS = 20.0

TWO: Mapping[str, Sequence[str]] = {
    "edge": ("gateway", "inbox", "sequencer", "tiles"),
    "dispatcher1": ("dispatcher",),
    "dispatcher2": ("dispatcher",),
}


@contextmanager
def cluster(folder: Path, nodes: int) -> Iterator[KafkaCluster]:
    if (need := missing()) is not None:
        pytest.skip(f"starting Kafka needs {need}")
    with KafkaCluster(folder / "kafka", nodes=nodes) as kafka:
        yield kafka


def all_ready(live: Spread) -> bool:
    return all(live.is_ready(name) for name in live.health)


def kill(live: Spread, kafka: KafkaCluster, moments: random.Random, *numbers: int) -> None:
    """Kill nodes at any moment under load, and let it go on a little."""
    with live.load(PER_SECOND):
        time.sleep(moments.uniform(0, LONGEST_LIFE_SECONDS))
        for number in numbers:
            kafka.kill(number)
        time.sleep(AFTERWARDS_SECONDS)


def launch(live: Spread, kafka: KafkaCluster, *numbers: int) -> None:
    """Start nodes again, and see that the hub finds them."""
    for number in numbers:
        kafka.launch(number)
    kafka.ready()
    assert live.until(lambda: all_ready(live), BACK_SECONDS)


def test_the_only_broker_may_be_killed_again_and_again(tmp_path: Path) -> None:
    kills = chance.scaled(KILLS)
    with cluster(tmp_path, 1) as kafka, Spread.on(kafka.bootstrap, tmp_path, TWO) as live:
        live.start()
        with live.counted("only broker killed", kills) as moments:
            for _ in range(kills):
                kill(live, kafka, moments, 1)
                kafka.restart(1)
        live.stop()


def test_leader_coordinator_quorum_and_the_whole_cluster_may_go_and_come_back(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as kafka, Spread.on(kafka.bootstrap, tmp_path, TWO) as live:
        live.start()
        with live.counted("one of three killed: leader of an inbox", 1) as moments:
            number = leader(kafka.bootstrap, f"{live.prefix}.inbox.nl")
            kill(live, kafka, moments, number)
        launch(live, kafka, number)
        with live.counted("one of three killed: coordinator of the dispatchers", 1) as moments:
            number = coordinator(kafka.bootstrap, f"{live.prefix}.halong-dispatcher")
            kill(live, kafka, moments, number)
        launch(live, kafka, number)
        with live.counted("two of three killed: no quorum", 2) as moments:
            lost = moments.sample(sorted(kafka.nodes), 2)
            kill(live, kafka, moments, *lost)
            assert live.until(lambda: not live.is_ready("edge"))
            launch(live, kafka, *lost)
        with live.counted("all three killed: cluster gone for a minute", 3) as moments:
            kill(live, kafka, moments, *kafka.nodes)
            gone_at = time.monotonic()
            assert live.until(lambda: not any(live.is_ready(name) for name in live.health))
            time.sleep(max(0.0, gone_at + GONE_SECONDS - time.monotonic()))
            launch(live, kafka, *kafka.nodes)
        live.stop()


def leader(bootstrap: str, topic: str) -> int:
    """Return the node that leads the first partition of a topic."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    (asked,) = admin.describe_topics(TopicCollection([topic])).values()
    node: int = asked.result(ANSWER_SECONDS).partitions[0].leader.id
    return node


def coordinator(bootstrap: str, group: str) -> int:
    """Return the node that coordinates a group."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    (asked,) = admin.describe_consumer_groups([group]).values()
    node: int = asked.result(ANSWER_SECONDS).coordinator.id
    return node
