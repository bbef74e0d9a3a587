"""The kafka channel: notices are mirrored into a topic of the member's own cluster, by aiokafka 0.14.

Exactly once: records and place are in one transaction, the place as the committed offset of a group that is
this channel's alone, so a consumer that reads what is committed sees each notice once.  After a start or a
failure the producer comes first: it fences whoever came before and decides what that one had begun; only then
the place is final and may be read.

With the cluster gone most calls of the library never return, so each is bounded here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalOperation, KafkaError, MessageSizeTooLargeError
from aiokafka.structs import OffsetAndMetadata

from adapters.channels import LIVE_ALONE, ChannelRefused, ChannelUnavailable, Item, Reached
from adapters.receiving.shown import shown
from broker.core.model import Status

STEP_SECONDS = 20.0
STOP_SECONDS = 3.0
TRANSACTION_MILLISECONDS = 30_000
MOST_RECORD_BYTES = 1_000_000

T = TypeVar("T")


class KafkaChannel:
    """Writes deliveries into a topic.

    Args:
        bootstrap: Where the cluster is, `host:port` each.
        topic: Where the records go; it must be there.
        place: The name of this node's place: group and transactions are named by it.
        context: TLS, with the client's certificate if there is one; None is in clear.
        statuses: What is taken.
        name: The name in receipts.
    """

    def __init__(
        self,
        bootstrap: Sequence[str],
        topic: str,
        *,
        place: str,
        context: ssl.SSLContext | None = None,
        statuses: frozenset[Status] = LIVE_ALONE,
        name: str = "kafka",
    ) -> None:
        self.name = name
        self.statuses = statuses
        self._topic = topic
        self._group = f"halong-{place.replace('/', '-')}"
        self._where = TopicPartition(topic, 0)
        self._connection: dict[str, Any] = {
            "bootstrap_servers": list(bootstrap),
            "metadata_max_age_ms": 10_000,
            "retry_backoff_ms": 20,
            "request_timeout_ms": int(STEP_SECONDS * 1000),
        }
        if context is not None:
            self._connection |= {"security_protocol": "SSL", "ssl_context": context}
        self._producer: Any = None

    async def deliver(self, item: Item) -> None:
        """Return when the record is committed.

        Raises:
            ChannelUnavailable: The cluster is out of reach, or does not let us write.
            ChannelRefused: The record is larger than the cluster takes.
        """
        await self.deliver_all([item])

    async def deliver_all(self, items: Sequence[Item]) -> None:
        """Return when all records are committed, together with the place; or none is."""
        producer = await self._opened()
        await self._bounded(producer.begin_transaction())
        sent = [
            await self._bounded(
                producer.send(
                    self._topic, value=_value(item), key=item.head.lane.encode(), headers=_headers(item)
                )
            )
            for item in items
        ]
        for future in sent:
            # After the first that failed nobody asks for the others.
            future.add_done_callback(_hear)
        # A commit ignores what could not be sent: it must be heard before.
        for future in sent:
            await self._bounded(future)
        place = OffsetAndMetadata(items[-1].number, items[-1].id.hex())
        await self._bounded(producer.send_offsets_to_transaction({self._where: place}, self._group))
        await self._bounded(producer.commit_transaction())

    async def reached(self) -> Reached | None:
        """Return the last delivery that is committed; see `channels.KeepsPlace`."""
        await self._opened()
        admin = AIOKafkaAdminClient(**self._connection)
        try:
            await self._bounded(admin.start())
            found = await self._bounded(
                admin.list_consumer_group_offsets(self._group, partitions=[self._where])
            )
        finally:
            await _finish(admin.close())
        place = found.get(self._where)
        if place is None or place.offset < 0 or not place.metadata:
            return None
        return Reached.told(place.offset, place.metadata, self.name)

    async def close(self) -> None:
        """Drop the producer, with whatever it had begun; the next delivery makes another."""
        if self._producer is None:
            return
        producer, self._producer = self._producer, None
        if not await _finish(producer.stop()):
            # A second stop() would do nothing, and leak.
            sender = producer._sender  # noqa: SLF001 - there is no public way to it
            if sender.sender_task is not None:
                sender.sender_task.cancel()
            await _finish(producer.client.close())

    async def check(self) -> str:
        """Say how many partitions the topic has; nothing is written.

        Raises:
            ChannelUnavailable: The cluster is out of reach, or there is no such topic.
        """
        admin = AIOKafkaAdminClient(**self._connection)
        try:
            await self._bounded(admin.start())
            ((found),) = await self._bounded(admin.describe_topics([self._topic]))
        finally:
            await _finish(admin.close())
        if found["error_code"]:
            raise ChannelUnavailable("there is no such topic, or it is not ours to see", field=self.name)
        count = len(found["partitions"])
        return f"the topic {self._topic} has {count} partition{'s' if count > 1 else ''}; nothing was written"

    async def _opened(self) -> Any:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._connection,
                enable_idempotence=True,
                transactional_id=self._group,
                transaction_timeout_ms=TRANSACTION_MILLISECONDS,
                max_request_size=MOST_RECORD_BYTES,
            )
            self._producer = producer
            await self._bounded(producer.start())
        return self._producer

    async def _bounded(self, call: Awaitable[T]) -> T:
        """Await a call of the library, and say in our words how it went wrong; the producer is dropped."""
        try:
            async with asyncio.timeout(STEP_SECONDS):
                return await call
        except MessageSizeTooLargeError:
            await self.close()
            raise ChannelRefused(
                "larger than the cluster takes", field=self.name, answer="too-large"
            ) from None
        except TimeoutError:
            await self.close()
            raise ChannelUnavailable(
                "Kafka did not answer in time", field=self.name, answer="timeout"
            ) from None
        # The library states its own expectations as assertions.
        except (KafkaError, IllegalOperation, OSError, AssertionError) as error:
            await self.close()
            answer = f"kafka-{type(error).__name__}"
            raise ChannelUnavailable(
                f"Kafka failed: {type(error).__name__}", field=self.name, answer=answer
            ) from None


def _value(item: Item) -> bytes:
    return msgspec.json.encode(shown(item))


def _headers(item: Item) -> list[tuple[str, bytes]]:
    """Return what routes a record without reading it."""
    header = item.notice.header
    return [
        ("halong-delivery", item.id.hex().encode()),
        ("halong-reference", item.notice.reference.encode()),
        ("halong-type", header.notice_type.encode()),
        ("halong-status", header.status.name.encode()),
        ("halong-tlp", header.tlp.name.encode()),
    ]


def _hear(future: asyncio.Future[Any]) -> None:
    """Take note of how a future ended, so that the loop does not report it as unheard."""
    if not future.cancelled():
        future.exception()


async def _finish(stopping: Awaitable[None]) -> bool:
    with contextlib.suppress(TimeoutError, KafkaError, OSError, AssertionError):
        async with asyncio.timeout(STOP_SECONDS):
            await stopping
        return True
    return False
