"""What Kafka adds to the contract: processes that share, compaction, certificates, and its traps."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import Any

import aiokafka.consumer.fetcher
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from broker.core.errors import BadConfiguration
from broker.log import Log, LogUnavailable, Partition, Record, Tls, Topic, open_log
from broker.log.kafka import KafkaLog
from broker.log.kafka_clients import Cluster, _contains_abort_marker
from broker.log.kafka_writer import TransactionalWriter
from deploy.kafka.acls import allow_hub, allow_member
from deploy.kafka.cluster import KafkaCluster
from deploy.kafka.tls import make_certificates

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

SECONDS = 60
INPUT, OUTPUT = Topic("notices.test", partitions=4, keep="contents"), Topic("inbox.test")
OUT = Partition(OUTPUT.name)

# Everything is cleaned within seconds, markers too.
QUICK = {
    "max.compaction.lag.ms": "1000",
    "segment.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01",
    "file.delete.delay.ms": "0",
    "delete.retention.ms": "500",
}


def records(count: int, partitions: int = 4, first: int = 0) -> list[Record]:
    numbers = range(first, first + count)
    return [Record(Partition(INPUT.name, n % partitions), b"%d" % n, b"%d" % n) for n in numbers]


async def outputs(log: Log) -> list[int]:
    await log.ends([OUTPUT.name])  # what was committed before can be read after it
    return [int(stored.value) for stored in await log.read(OUT, 0, 100_000)]


async def copy(log: Log, seen: Counter[int]) -> None:
    """A service that never ends; `seen` counts by partition what it has copied."""
    async with aclosing(log.follow("copy", ["notices.*"], limit=5)) as batches:
        async for batch in batches:
            await batch.commit([Record(OUT, s.key, s.value) for s in batch.records])
            seen[batch.records[0].partition.number] += len(batch.records)


async def test_two_processes_share_the_partitions_and_one_takes_over(kafka_url: str) -> None:
    """They are two logs here: the cluster knows no difference."""
    async with asyncio.timeout(SECONDS), open_log(kafka_url) as log, open_log(kafka_url) as other:
        await log.create([INPUT, OUTPUT])
        mine: Counter[int] = Counter()
        theirs: Counter[int] = Counter()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(copy(log, mine))
            second = group.create_task(copy(other, theirs))
            count = 0
            while not (mine and theirs) or set(mine) & set(theirs) == set(range(4)):
                await log.append(records(20, first=count))
                count += 20
            first.cancel()
            await log.append(records(40, first=count))
            count += 40
            while len(await outputs(other)) < count:
                await other.wait(await other.ends([OUTPUT.name]), 0.2)
            second.cancel()
        found = await outputs(log)
        assert sorted(found) == list(range(count))
        for number in range(4):
            assert [n for n in found if n % 4 == number] == list(range(number, count, 4))


@pytest.mark.parametrize("sole", [False, True], ids=["shared", "sole"])
async def test_a_claim_never_starts_from_a_place_that_is_not_final(
    kafka: str, kafka_url: str, *, sole: bool
) -> None:
    """Right after a commit, the cluster mostly still tells the place before it.

    A rival commits, and in the same moment the follower claims the partition again.
    """
    cluster = Cluster(kafka.split(","), kafka_url.rsplit("/", 1)[1] + ".")
    partition = Partition(INPUT.name)
    identity = cluster.transaction("copy", None if sole else cluster.there(partition))
    async with asyncio.timeout(SECONDS), open_log(kafka_url) as log:
        await log.create([Topic(INPUT.name), OUTPUT])
        await log.append(records(20, partitions=1))
        for n in range(20):
            async with aclosing(log.follow("copy", ["notices.*"], limit=1, sole=sole)) as batches:
                (record,) = (await anext(batches)).records
                assert record.value == b"%d" % n
                rival = TransactionalWriter(cluster, identity, cluster.group("copy"))
                await rival.start()
                await rival.store([Record(OUT, record.key, record.value)], {partition: record.offset + 1})
                if not sole and n < 19:
                    (following,) = (await anext(batches)).records
                    assert following.value == b"%d" % (n + 1)
                await rival.stop()
        assert await outputs(log) == list(range(20))


async def test_a_tail_goes_on_behind_markers_without_a_fresh_start(kafka: str, kafka_url: str) -> None:
    """A commit leaves a marker behind its records: the place behind the last record is not the reader's."""
    cluster = Cluster(kafka.split(","), kafka_url.rsplit("/", 1)[1] + ".")
    writer = TransactionalWriter(cluster, "a-writer", cluster.group("a-writer"))
    async with asyncio.timeout(SECONDS), open_log(kafka_url) as log:
        assert isinstance(log, KafkaLog)
        await log.create([OUTPUT])
        await writer.start()
        start, consumers = 0, set()
        for n in range(10):
            await writer.store([Record(OUT, b"", b"%d" % n)], {OUT: n + 1})
            await log.ends([OUTPUT.name])
            (found,) = await log.read(OUT, start, 100)
            assert found.value == b"%d" % n
            start = found.offset + 1
            consumers |= {id(position.consumer) for position in log._reads._idle[False]}
        await writer.stop()
        assert len(consumers) == 1
        # Also from a place in between, and from one that is passed: always what stands there.
        assert [one.value for one in await log.read(OUT, 0, 100)] == [b"%d" % n for n in range(10)]
        assert await log.read(OUT, start, 100) == []


async def test_deployments_with_other_names_do_not_see_each_other(kafka_url: str) -> None:
    async with open_log(kafka_url + "-a") as one, open_log(kafka_url + "-b") as other:
        await one.create([INPUT])
        await other.create([INPUT, OUTPUT])
        await one.append(records(3))
        assert set((await one.ends(["*"])).values()) == {0, 1}
        assert set((await other.ends(["*"])).values()) == {0}
        assert OUT not in await one.ends(["*"])


async def test_only_the_last_state_of_a_key_is_left(kafka_url: str) -> None:
    state = Partition("dispatch.test")
    async with asyncio.timeout(SECONDS), open_log(kafka_url, topic_settings=QUICK) as log:
        await log.create([Topic(state.topic, keep="state")])
        await log.append([Record(state, b"key", b"%d" % n) for n in range(50)])
        while True:
            # A partition where nothing is written is never cleaned.
            await log.append([Record(state, b"tick", b"")])
            found = [s.value for s in await log.read(state, 0, 10_000) if s.key == b"key"]
            assert found[-1] == b"49"
            if len(found) == 1:
                break
            await log.wait(await log.ends([state.topic]), 0.3)


async def test_an_empty_abort_marker_stops_no_reader(
    kafka: str, kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compaction empties the marker of an aborted transaction; the library alone is stuck there for good."""
    partition = Partition("notices.marked")
    name = kafka_url.rsplit("/", 1)[1]
    there = TopicPartition(f"{name}.{partition.topic}", 0)
    async with asyncio.timeout(SECONDS), open_log(kafka_url, topic_settings=QUICK) as log:
        await log.create([Topic(partition.topic, keep="contents")])
        await log.append([Record(partition, b"first", b"1")])
        await die_in_a_transaction(kafka, there)
        while not await is_stuck(kafka, there, monkeypatch):
            await log.append([Record(partition, b"tick", b"")])
            await log.wait(await log.ends([partition.topic]), 0.3)

        await log.append([Record(partition, b"last", b"2")])
        found = [s.key for s in await log.read(partition, 0, 10_000) if s.key != b"tick"]
        assert found == [b"first", b"last"]
        async with aclosing(log.follow("reader", ["notices.*"])) as batches:
            followed: list[bytes] = []
            async for batch in batches:
                followed += [s.key for s in batch.records if s.key != b"tick"]
                await batch.commit([])
                if followed == [b"first", b"last"]:
                    break


async def die_in_a_transaction(bootstrap: str, there: TopicPartition) -> None:
    """Leave a transaction open, and have a successor shut us out: it is aborted, under a later epoch.

    That epoch has no data in this partition, so its marker is the producer's last batch there: compaction
    keeps the batch and takes what is in it.
    """
    dead = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{there.topic}-dead")
    successor = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{there.topic}-dead")
    async with dead:
        await dead.begin_transaction()
        await dead.send_and_wait(there.topic, b"aborted", b"aborted", there.partition)
        async with successor:
            pass


async def is_stuck(bootstrap: str, there: TopicPartition, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Does the library, as it was published, fail on what the partition holds now?"""
    with monkeypatch.context() as patch:
        patch.setattr(
            aiokafka.consumer.fetcher.PartitionRecords, "_contains_abort_marker", as_published, raising=True
        )
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
        )
        async with consumer:
            consumer.assign([there])
            consumer.seek(there, 0)
            (end,) = (await consumer.end_offsets([there])).values()
            try:
                while await consumer.position(there) < end:
                    await consumer.getmany(timeout_ms=200)
            except KafkaError as error:
                return "did not contain any records" in str(error)
    return False


def as_published(records: object, batch: Any) -> bool:
    """What the library does: an empty control batch is an error."""
    batches = iter([first]) if (first := next(batch, None)) is not None else None
    if batches is None:
        raise KafkaError("Control batch did not contain any records")
    return _contains_abort_marker(records, batches)


async def test_a_cluster_that_is_not_there_is_reported_in_time() -> None:
    async with asyncio.timeout(SECONDS):
        with pytest.raises(LogUnavailable, match="answer at the address"):
            async with open_log("kafka://localhost:1", step_seconds=1):
                pass


async def test_a_cluster_that_dies_ends_every_call_and_comes_back(own_cluster: KafkaCluster) -> None:
    """Calls of the library never return then; ours do."""
    url = f"kafka://{own_cluster.bootstrap}"
    async with asyncio.timeout(4 * SECONDS), open_log(url, step_seconds=2) as log:
        await log.create([INPUT, OUTPUT])
        await log.append(records(8))
        async with aclosing(log.follow("copy", ["notices.*"], limit=1)) as batches:
            batch = await anext(batches)
            own_cluster.kill(1)
            calls = (
                batch.commit([Record(OUT, b"", b"")]),
                log.append(records(1)),
                log.ends(["*"]),
                log.read(OUT, 0, 1),
                log.places("copy"),
                log.wait({OUT: 0}, 3600),
            )
            for call in calls:
                with pytest.raises(LogUnavailable):
                    await call
            await asyncio.to_thread(own_cluster.restart, 1)
            copied = 0
            while copied < 8:
                batch = await anext(batches)
                try:
                    await batch.commit([Record(OUT, s.key, s.value) for s in batch.records])
                except LogUnavailable:
                    continue
                copied += len(batch.records)
        assert sorted(await outputs(log)) == list(range(8))


async def test_certificates_and_rights_decide_who_does_what(tls_cluster: KafkaCluster) -> None:
    """The hub works, a member reads its own inbox alone, a stranger does not even connect."""
    admin = tls_cluster.client_tls()
    assert tls_cluster.tls is not None
    make_certificates(tls_cluster.tls, ["hub", "jp"])
    allow_hub(tls_cluster.bootstrap, admin, "hub", "live.")
    allow_member(tls_cluster.bootstrap, admin, "jp", "live.")
    url = f"kafka://{tls_cluster.bootstrap}/live"
    hub, jp = Tls(**tls_cluster.client_tls("hub")), Tls(**tls_cluster.client_tls("jp"))
    inboxes = Partition("inbox.jp"), Partition("inbox.vn")
    async with asyncio.timeout(SECONDS), open_log(url, tls=hub, step_seconds=15) as log:
        await log.create([INPUT, OUTPUT, *(Topic(inbox.topic) for inbox in inboxes)])
        await log.append([*records(3, 1), *(Record(inbox, b"k", b"1") for inbox in inboxes)])
        async with aclosing(log.follow("copy", ["notices.*"])) as batches:
            batch = await anext(batches)
            await batch.commit([Record(OUT, s.key, s.value) for s in batch.records])
        assert await outputs(log) == [0, 1, 2]
    async with asyncio.timeout(SECONDS), open_log(url, tls=jp, step_seconds=3) as log:
        assert [s.value for s in await log.read(inboxes[0], 0, 9)] == [b"1"]
        with pytest.raises(BadConfiguration):
            await log.read(inboxes[1], 0, 9)
        with pytest.raises(LogUnavailable):
            await log.append([Record(inboxes[0], b"k", b"2")])
    for stranger in (None, Tls(admin["ca"], admin["ca"], admin["key"])):
        with pytest.raises((BadConfiguration, LogUnavailable)):
            async with open_log(url, tls=stranger, step_seconds=3):
                pass
