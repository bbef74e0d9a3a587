"""Reads committed records from raw topics, by Confluent's client and nothing of ours; see `counting`."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Consumer, TopicPartition

from tests.faults.counting import Delivered, Said, delivery_in, statement_in
from tests.faults.tree import Lying

SECONDS = 10.0
RECORDS_AT_ONCE = 4096


def inboxes(bootstrap: str, prefix: str) -> Iterator[Delivered]:
    """Yield every delivery in the inbox topics, each member's in the order of its inbox."""
    for topic, value in values(bootstrap, f"{prefix}.inbox."):
        found = delivery_in(value)
        if topic != f"{prefix}.inbox.{found.member}":
            raise ValueError(f"a delivery to {found.member} in {topic}")
        yield found


def statements(bootstrap: str, prefix: str) -> dict[Said, set[bytes]]:
    """Return which statements stand under each number of each stream that members sent to the hub."""
    found: dict[Said, set[bytes]] = {}
    for _, value in values(bootstrap, f"{prefix}.notices."):
        said, statement = statement_in(value)
        found.setdefault(said, set()).add(statement)
    return found


def lying(bootstrap: str, prefix: str, begins: str) -> Iterator[Lying]:
    """Yield every record in a log's topics that begin so, each partition from start to end."""
    for topic, number, offset, value in _messages(bootstrap, f"{prefix}.{begins}"):
        yield Lying((topic.removeprefix(f"{prefix}."), number, offset), value)


def values(bootstrap: str, begins: str) -> Iterator[tuple[str, bytes]]:
    """Yield topic and value of every record in the topics that begin so, each partition from start to end."""
    return ((topic, value) for topic, _, _, value in _messages(bootstrap, begins))


def _messages(bootstrap: str, begins: str) -> Iterator[tuple[str, int, int, bytes]]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "nobody",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    try:
        topics = consumer.list_topics(timeout=SECONDS).topics.values()
        left = [
            TopicPartition(topic.topic, number, 0)
            for topic in topics
            if topic.topic.startswith(begins)
            for number in topic.partitions
        ]
        consumer.assign(left)
        ended: set[tuple[str, int]] = set()
        while len(ended) < len(left):
            messages = consumer.consume(RECORDS_AT_ONCE, SECONDS)
            if not messages:
                raise TimeoutError(f"no records of {begins}* for {SECONDS:.0f} s")
            for message in messages:
                if (error := message.error()) is None:
                    place = message.topic() or "", message.partition() or 0, message.offset() or 0
                    yield *place, message.value() or b""
                elif error.code() == error._PARTITION_EOF:
                    ended.add((message.topic() or "", message.partition() or 0))
                else:
                    raise ConnectionError(str(error))
    finally:
        consumer.close()
