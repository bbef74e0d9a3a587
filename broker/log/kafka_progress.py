"""Does a reader still move?  One that is behind and does not is to be built anew.

The library never goes back to its bootstrap list and can hang in ways that raise nothing; from inside
that looks like a quiet night.  So after a while without records the cluster is asked for the ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import TopicPartition

from broker.log import LogUnavailable
from broker.log.kafka_clients import Cluster, bounded

QUIET_SECONDS: Final = 10.0


class Progress:
    """Watches one consumer."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._asked_at = 0.0
        self._behind: dict[TopicPartition, int] = {}

    def begin(self) -> None:
        """Begin with a fresh consumer."""
        self._asked_at = asyncio.get_running_loop().time()
        self._behind = {}

    async def watch(self, consumer: Any, partitions: Sequence[TopicPartition], *, found: bool) -> None:
        """Take note of what was found, and ask the cluster after a quiet while.

        Raises:
            LogUnavailable: The cluster does not answer, or has more and the consumer does not get it.
        """
        now = asyncio.get_running_loop().time()
        if found:
            self.begin()
            return
        if now - self._asked_at < QUIET_SECONDS:
            return
        self._asked_at = now
        step = self._cluster.step_seconds
        if not partitions:
            await bounded(consumer.topics(), step, "answer")
            return
        ends = await bounded(consumer.end_offsets(partitions), step, "tell the ends")
        behind = {}
        for partition in partitions:
            position = await bounded(consumer.position(partition), step, "tell a position")
            if position < ends[partition]:
                behind[partition] = position
        if any(self._behind.get(partition) == position for partition, position in behind.items()):
            raise LogUnavailable("a reader is behind and does not move")
        self._behind = behind
