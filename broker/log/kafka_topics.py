"""How topics are made on a cluster: partitions, copies, and what each keeps for how long."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka.admin import NewTopic
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from broker.core.errors import BadConfiguration
from broker.log import LogUnavailable, Partition, Topic
from broker.log.kafka_clients import COMPACTION_LAG, COMPACTION_LAG_MILLISECONDS, Cluster
from broker.log.kafka_reads import Reads

COPIES: Final = 3
COPIES_IN_SYNC: Final = 2

_KEPT_FOREVER: Final = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "LogAppendTime",
}
_COMPACTED: Final = {
    "cleanup.policy": "compact",
    COMPACTION_LAG: str(COMPACTION_LAG_MILLISECONDS),
    # The lag counts from here, not from what a client says.
    "message.timestamp.type": "LogAppendTime",
    # Markers of aborted transactions must outlive the log: once one is cleaned away, readers of several
    # libraries stop for good at the empty batch that stays.
    "delete.retention.ms": "1000000000000",
}
_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "everything": _KEPT_FOREVER,
    "contents": _COMPACTED,
    # Small and often rewritten: cleaned early, so that it is read fast when a partition is taken over.
    "state": _COMPACTED | {"min.cleanable.dirty.ratio": "0.1", "segment.bytes": "16777216"},
}


async def create_topics(cluster: Cluster, reads: Reads, topics: Sequence[Topic]) -> None:
    """Make the topics that are missing, and return when they can be used.

    Raises:
        BadConfiguration: A topic is there with another number of partitions.
        LogUnavailable: The cluster refuses, or does not answer.
    """
    missing = await _missing(cluster, reads, topics)
    if missing:
        copies = min(COPIES, len((await reads.describe_cluster())["brokers"]))
        asked = [_described(cluster, topic, copies) for topic in missing]
        answer = await reads.create_topics(asked)
        # Refusals are in the answer; the call itself succeeds.
        for name, code, *_ in answer.topic_errors:
            error = for_code(code)
            if error not in (NoError, TopicAlreadyExistsError):
                raise LogUnavailable(f"Kafka did not create topic {name}: {error.__name__}", field=name)
        await _missing(cluster, reads, topics)
    # Asking for the ends waits until each partition has a leader.
    partitions = (Partition(topic.name, number) for topic in topics for number in range(topic.partitions))
    await reads.committed(map(cluster.there, partitions))


async def _missing(cluster: Cluster, reads: Reads, topics: Sequence[Topic]) -> list[Topic]:
    names = "|".join(re.escape(cluster.topic(topic.name)) for topic in topics)
    there = Counter(found.topic for found in await reads.partitions(re.compile(f"^({names})$")))
    for topic in topics:
        count = there[cluster.topic(topic.name)]
        if count not in (0, topic.partitions):
            raise BadConfiguration(
                f"topic {topic.name} has {count} partitions, not {topic.partitions}; "
                "the number is fixed for a log's life",
                field=topic.name,
            )
    return [topic for topic in topics if not there[cluster.topic(topic.name)]]


def _described(cluster: Cluster, topic: Topic, copies: int) -> NewTopic:
    # With fewer than three copies, demanding two would stop everything when one is away.
    in_sync = COPIES_IN_SYNC if copies == COPIES else 1
    settings = dict(_SETTINGS[topic.keep]) | {"min.insync.replicas": str(in_sync)}
    if topic.keep != "everything":
        settings |= cluster.topic_settings
    return NewTopic(cluster.topic(topic.name), topic.partitions, copies, topic_configs=settings)
