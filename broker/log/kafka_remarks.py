"""What an operator should mend on a cluster: settings under which records or places would be lost.

Looks at what topics and brokers are set to, not at what `kafka_topics` once asked for: others may have
changed it since.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from broker.log.kafka_clients import Cluster
from broker.log.kafka_reads import Reads
from broker.log.kafka_topics import COPIES, COPIES_IN_SYNC

LEAST_OFFSETS_MINUTES: Final = 525_600
"""A reader that is idle for longer than the cluster keeps its place would read everything again."""


async def remarks(cluster: Cluster, reads: Reads) -> list[str]:
    """Return what is wrong, worst first, one line each.

    Raises:
        LogUnavailable: The cluster did not answer.
    """
    topics = await reads.describe(re.compile(cluster.pattern(["*"])))
    about = await reads.describe_cluster()
    brokers = [str(broker["node_id"]) for broker in about["brokers"]]
    of_topics = await reads.settings(
        [ConfigResource(ConfigResourceType.TOPIC, topic["topic"]) for topic in topics]
    )
    of_brokers = await reads.settings([ConfigResource(ConfigResourceType.BROKER, each) for each in brokers])
    return [
        *_of_copies(topics, len(brokers)),
        *_of_brokers(list(of_brokers.values())),
        *(line for name, settings in sorted(of_topics.items()) for line in _of_topic(name, settings)),
    ]


def _of_copies(topics: Sequence[Mapping[str, Any]], brokers: int) -> Iterator[str]:
    partitions = [partition for topic in topics for partition in topic["partitions"]]
    lacking = sum(len(each["isr"]) < len(each["replicas"]) for each in partitions)
    if lacking:
        yield f"{lacking} partitions lack a copy now: is a broker away?"
    few = sum(len(each["replicas"]) < COPIES for each in partitions)
    if few and brokers >= COPIES:
        yield f"{few} partitions have fewer than {COPIES} copies, with {brokers} brokers"
    elif brokers < COPIES:
        yield f"{brokers} of {COPIES} brokers: nothing survives the loss of one"


def _of_topic(name: str, settings: Mapping[str, str]) -> Iterator[str]:
    policy = settings.get("cleanup.policy", "")
    if "delete" in policy and (
        settings.get("retention.ms") != "-1" or settings.get("retention.bytes") != "-1"
    ):
        yield f"{name} forgets: retention.ms and retention.bytes must be -1"
    if "compact" in policy and int(settings.get("delete.retention.ms", "0")) < 1_000_000_000_000:
        yield f"{name}: delete.retention.ms must be 1000000000000, or readers stop at what was taken back"


def _of_brokers(brokers: Sequence[Mapping[str, str]]) -> Iterator[str]:
    minutes = [int(each.get("offsets.retention.minutes", "0")) for each in brokers]
    if minutes and min(minutes) < LEAST_OFFSETS_MINUTES:
        yield f"offsets.retention.minutes is {min(minutes)}: set 5256000, or idle readers lose their places"
    if any(each.get("unclean.leader.election.enable") == "true" for each in brokers):
        yield "unclean.leader.election.enable must be false, or what was confirmed may be lost"
    if len(brokers) >= COPIES:
        in_sync = [int(each.get("transaction.state.log.min.isr", "1")) for each in brokers]
        if min(in_sync) < COPIES_IN_SYNC:
            yield f"transaction.state.log.min.isr must be {COPIES_IN_SYNC}"
