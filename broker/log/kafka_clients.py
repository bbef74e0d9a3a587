"""How we speak to Kafka: names, settings, and the end of every wait.  With `aiokafka` 0.14.

With the cluster gone, most calls of the library never return, and its `stop()` neither: each is
bounded here.  What it raises becomes `LogUnavailable`, or `Fenced` when a successor has taken over.
The settings are measured; the reasons are beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiokafka.producer.sender
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import IllegalOperation, InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord

from broker.core.errors import BadConfiguration
from broker.log import Fenced, LogUnavailable, Partition, Tls

STOP_SECONDS: Final = 3.0
START_SECONDS: Final = 0.5
"""How long a start that nobody waits for any more may take to come through."""
BATCH_BYTES: Final = 900_000
"""One batch of records to a partition; below the broker's limit of 1 MB for a batch."""
PARTITION_FETCH_BYTES: Final = 1 << 20
FETCH_BYTES: Final = 16 << 20
FETCH_WAIT_MILLISECONDS: Final = 100
TRANSACTION_MILLISECONDS: Final = 30_000
"""An open transaction is ended by the broker after this; readers and erasing wait for it."""

TICK: Final = b"tick"
"""The key of an empty record that is there to let a partition roll its segment; nobody is shown one."""
COMPACTION_LAG: Final = "max.compaction.lag.ms"
COMPACTION_LAG_MILLISECONDS: Final = 1_800_000
"""A record that was replaced is rolled out and cleaned within this, plus the cleaner's own times."""

# The wait after CONCURRENT_TRANSACTIONS: the next transaction begins while the last one's markers are
# still being written.  20 ms, the library's constant, was half of all latency.
aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002

_T = TypeVar("_T")


def _contains_abort_marker(_: object, batch: Any) -> bool:
    """Is this control batch an abort marker?  One that compaction has emptied is none.

    The library raises in that case, for good: its reader never gets past the batch.  Kafka's own
    client answers no, as we do.
    """
    marker = next(batch, None)
    return marker is not None and ControlRecord.parse(marker.key) == ABORT_MARKER


PartitionRecords._contains_abort_marker = _contains_abort_marker  # noqa: SLF001  the cure of a known fault


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, and which of its topics are ours.

    `prefix` tells several deployments on one cluster apart: it begins the name of every topic, group
    and transaction.
    """

    bootstrap: Sequence[str]
    prefix: str = ""
    tls: Tls | None = None
    step_seconds: float = 30.0
    topic_settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def compaction_lag_seconds(self) -> float:
        """How long after a record was replaced it may not be cleaned away yet."""
        return int(self.topic_settings.get(COMPACTION_LAG, COMPACTION_LAG_MILLISECONDS)) / 1000

    # --- names ------------------------------------------------------------------------------------

    def topic(self, name: str) -> str:
        """Return the topic's name on the cluster."""
        return self.prefix + name

    def group(self, reader: str) -> str:
        """Return the consumer group in which the reader's places are kept."""
        return f"{self.prefix}halong-{reader}"

    def transaction(self, reader: str, there: TopicPartition | None = None) -> str:
        """Return the id under which a reader writes: one for each partition, or one for all of them."""
        own = "" if there is None else f"-{there.topic}-{there.partition}"
        return self.group(reader) + own

    def there(self, partition: Partition) -> TopicPartition:
        """Return our partition as the cluster names it."""
        return TopicPartition(self.prefix + partition.topic, partition.number)

    def here(self, partition: TopicPartition) -> Partition:
        """Return the cluster's partition as we name it."""
        return Partition(partition.topic.removeprefix(self.prefix), partition.partition)

    def pattern(self, names: Iterable[str]) -> str:
        """Return the regular expression that matches these topics on the cluster."""
        parts = [re.escape(n[:-1]) + ".*" if n.endswith("*") else re.escape(n) for n in names]
        return f"^{re.escape(self.prefix)}({'|'.join(parts)})$"

    # --- clients ----------------------------------------------------------------------------------

    def consumer(
        self,
        wait_milliseconds: int = FETCH_WAIT_MILLISECONDS,
        partition_bytes: int = PARTITION_FETCH_BYTES,
        *,
        isolation_level: str = "read_committed",
        **settings: Any,
    ) -> Any:
        """Return a consumer, not yet started, that sees what is committed."""
        return AIOKafkaConsumer(
            **self._connection(),
            isolation_level=isolation_level,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=wait_milliseconds,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=partition_bytes,
            **settings,
        )

    def producer(self, transaction: str | None = None) -> Any:
        """Return a producer, not yet started: idempotent, or with transactions under this id."""
        return AIOKafkaProducer(
            **self._connection(),
            enable_idempotence=True,
            transactional_id=transaction,
            transaction_timeout_ms=TRANSACTION_MILLISECONDS,
            max_batch_size=BATCH_BYTES,
            max_request_size=BATCH_BYTES,
        )

    def admin(self) -> Any:
        """Return an administrative client, not yet started."""
        return AIOKafkaAdminClient(**self._connection())

    def _connection(self) -> dict[str, Any]:
        connection: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap),
            # The library never goes back to the bootstrap list, so it must hear of changes early.
            "metadata_max_age_ms": 10_000,
            "retry_backoff_ms": 20,
            "request_timeout_ms": int(self.step_seconds * 1000),
        }
        if self.tls is not None:
            connection |= {"security_protocol": "SSL", "ssl_context": tls_context(self.tls)}
        return connection


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the context for mutual TLS with the cluster.

    Raises:
        BadConfiguration: A file is missing, or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:  # of which SSLError is one
        raise BadConfiguration(
            f"the log's TLS files cannot be used: {error.strerror or error}", field="log.tls"
        ) from None
    return context


# --- the end of every wait ------------------------------------------------------------------------


async def bounded(call: Awaitable[_T], seconds: float, what: str) -> _T:
    """Await a call of the library, and say in our words how it went wrong.

    Raises:
        Fenced: A successor has taken over.
        LogUnavailable: It failed, or did not return in time.
    """
    task = asyncio.current_task()
    asked_before = 0 if task is None else task.cancelling()
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        raise LogUnavailable(f"Kafka did not {what} within {seconds:g} s") from None
    except asyncio.CancelledError:
        # The library cancels what it gives up, and whoever waits for it would be taken for cancelled.
        if task is None or task.cancelling() > asked_before:
            raise
        raise LogUnavailable(f"Kafka did not {what}: it was given up") from None
    except (ProducerFenced, InvalidProducerEpoch):
        raise Fenced(f"Kafka did not {what}: a successor has taken over") from None
    # The library states its own expectations as assertions.
    except (KafkaError, IllegalOperation, OSError, AssertionError) as error:
        raise LogUnavailable(f"Kafka did not {what}: {type(error).__name__}") from None


async def start_client(client: Any, seconds: float, what: str) -> None:
    """Start a client of the library, and say in our words how it went wrong.

    Cut off in the middle of its first question it leaves a connection open, and many when many start.  So
    whoever is cancelled waits a moment for it to come through.

    Raises:
        Fenced: A successor has taken over.
        LogUnavailable: It failed, or did not return in time.
    """
    starting = asyncio.ensure_future(client.start())
    starting.add_done_callback(hear)
    try:
        await bounded(asyncio.shield(starting), seconds, what)
    finally:
        if not starting.done():
            await asyncio.wait([starting], timeout=START_SECONDS)
            starting.cancel()


async def stop_consumer(consumer: Any) -> None:
    """Stop a consumer; when that takes too long, cut off what it still does, and close its connections."""
    await _stop(consumer.stop(), consumer._client, consumer._fetcher, consumer._coordinator)  # noqa: SLF001  there is no public way to them


async def stop_producer(producer: Any) -> None:
    """Stop a producer; when that takes too long, cut off what it still does, and close its connections."""
    _hush(producer)
    await _stop(producer.stop(), producer.client, producer._sender, producer._message_accumulator)  # noqa: SLF001  there is no public way to them


def _hush(producer: Any) -> None:
    """Hear the errors for which nobody waits any more; the loop would report each with its traceback."""
    waiters = [producer._txn_manager._transaction_waiter]  # noqa: SLF001  there is no public way to them
    for batches in producer._message_accumulator._batches.values():  # noqa: SLF001
        waiters += [batch._drain_waiter for batch in batches]  # noqa: SLF001
    for waiter in waiters:
        if waiter is not None:
            waiter.add_done_callback(hear)


def hear(future: asyncio.Future[Any]) -> None:
    """Take note of how a future ended, so that the loop does not report it as unheard."""
    if not future.cancelled():
        future.exception()


async def stop_admin(admin: Any) -> None:
    """Stop an administrative client."""
    await _finish(admin.close())


async def _stop(stopping: Awaitable[None], client: Any, *parts: Any) -> None:
    if not await _finish(stopping):
        # A second stop() would do nothing.  What a client has begun would go on for ever without a cluster.
        _cut_off(*parts)
        await _finish(client.close())
        _cut_off(client)


def _cut_off(*parts: Any) -> None:
    """Cancel the tasks in which these parts of a client still do something."""
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is not None and any(frame.f_locals.get("self") is part for part in parts if part):
            task.add_done_callback(hear)
            task.cancel()


async def _finish(stopping: Awaitable[None]) -> bool:
    with contextlib.suppress(LogUnavailable):
        await bounded(stopping, STOP_SECONDS, "let go")
        return True
    return False
