"""The log: ordered, durable topics, and the place that each reader has reached.

The contract, in words; two engines keep it (`sqlite`, `kafka`), and one test suite runs over both.
A service never knows which engine it has.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from broker.core.errors import BadConfiguration, Unavailable


class LogUnavailable(Unavailable):
    """The log did not answer in time, or refused: some records may be stored, some not."""


class Fenced(LogUnavailable):
    """A successor has taken over; nothing that this one does will be stored."""


class Partition(NamedTuple):
    """One ordered sequence of records."""

    topic: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic to be created.

    `keep` is `everything`, `contents` (the last record of a key stays, earlier ones may go: see `erase`) or
    `state` (only the last record of a key counts, earlier ones go soon).
    """

    name: str
    partitions: int = 1
    keep: Literal["everything", "contents", "state"] = "everything"


@dataclass(frozen=True, slots=True)
class Record:
    """Something to be stored.  `value` is framed as in `core.records.frame`."""

    partition: Partition
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """Something that is stored.  Offsets ascend within a partition and may have gaps."""

    partition: Partition
    offset: int
    key: bytes
    value: bytes


class Batch(Protocol):
    """What comes next for a reader, and the one step that completes it."""

    @property
    def records(self) -> Sequence[Stored]:
        """The records, in order within each partition; never empty."""
        ...

    @property
    def claim(self) -> int:
        """Changes whenever the partition was taken over or taken up again after a failure.

        State that a service derived under another claim may be of the past: read it again.
        """
        ...

    async def commit(self, results: Sequence[Record], count: int | None = None) -> None:
        """Store the results and move the reader's place past this batch, in one step.

        After a crash either both happened or neither.  With `count` the place moves past so many of the
        records only, at least one: the others are the next batch of their partition, under the same `claim`.

        Raises:
            Fenced: The reader was replaced; nothing was stored.
            LogUnavailable: Perhaps stored, perhaps not; the reader yields from the true place again,
                with another `claim`.
        """
        ...


class Log(Protocol):
    """Ordered, durable topics, and the place that each reader has reached."""

    async def create(self, topics: Sequence[Topic]) -> None:
        """Make the topics that are missing; a topic that is there keeps its number of partitions.

        Raises:
            BadConfiguration: A topic is there with another number of partitions.
        """
        ...

    async def append(self, records: Sequence[Record]) -> Sequence[int]:
        """Add the records and return their offsets.

        Returns only when all of them would survive a crash.  Records of one call keep their order
        within a partition.

        Raises:
            LogUnavailable: Some may have been stored, some not; append them again.
        """
        ...

    def follow(
        self, reader: str, topics: Sequence[str], *, sole: bool = False, limit: int = 1024
    ) -> AsyncGenerator[Batch, None]:
        """Yield batches of what comes after the place that `reader` has reached; never ends.

        Close it (`contextlib.aclosing`) to let its partitions go at once.

        Several processes may follow as one `reader`: they share the partitions, and a batch never
        mixes partitions.  With `sole` one process follows all partitions, batches may mix them, and a
        successor shuts its predecessor out.  A batch is at most `limit` records; the next is yielded
        only after the last was committed.  A reader that was replaced cannot commit.
        A batch that was not committed when the next is asked for comes again, under another `claim`.
        Topics that match a name ending in `*` are taken up when they are created.

        Raises:
            Fenced: With `sole`, a successor has taken over.
            LogUnavailable: The log was closed.  Otherwise it waits for the disk or the cluster and goes on.
        """
        ...

    async def take_over(self, reader: str) -> None:
        """Shut out whoever follows alone as `reader`; what it had begun is decided on return.

        For who must know where its predecessor ended before there is anything to follow.

        Raises:
            LogUnavailable: The log did not answer.
        """
        ...

    async def append_as(self, reader: str, records: Sequence[Record]) -> None:
        """Add the records as the one that took over, or follows alone, as `reader`; all of them or none.

        Not while a batch is being committed.

        Raises:
            Fenced: A successor has taken over; nothing was stored.
            LogUnavailable: Perhaps stored, perhaps not.
        """
        ...

    async def erase(
        self, reader: str, records: Sequence[Record], places: Mapping[Partition, set[int]]
    ) -> None:
        """Add the records as `append_as` does, and take away what stands before them, in the same step.

        Taken away is every record of a topic of `contents` that stands under the key of one of the records,
        in its partition and before it; `places` are the offsets of all of them.  On return nobody who reads
        the embedded log sees them; on a cluster they are seen until they are cleaned away.  `scrub` says how
        their bytes go.

        Raises:
            Fenced: A successor has taken over; nothing was stored.
            LogUnavailable: Perhaps stored, perhaps not: erase again, which does no harm.
        """
        ...

    async def scrub(self, partitions: Collection[Partition]) -> float:
        """Take the bytes of what was erased from the files, as far as that can be done now.

        Returns for how many seconds after an erasure this must be called again, now and then: 0 where all is
        gone on return.  It does no harm where nothing was erased.

        Raises:
            LogUnavailable: It could not be done now; call again.
        """
        ...

    async def read(self, partition: Partition, start: int, limit: int) -> Sequence[Stored]:
        """Return up to `limit` committed records with offsets of at least `start`, in order.

        Fewer, but never none while there are some: a read is also bounded in bytes.  What was committed
        a moment ago may come only with the next read; what lies below `ends` always comes.
        """
        ...

    async def ends(self, topics: Sequence[str], *, settled: bool = True) -> Mapping[Partition, int]:
        """Return, for each partition of the topics, the offset that the next record will exceed or have.

        Everything appended or committed before the call lies below, and all below can be read; on a
        cluster it waits for what is just being decided.  Without `settled` it waits for nothing: all below
        can be read, and what was committed may lie above while something older is undecided, which a
        process that died leaves behind.  Either never goes back.  Names may end in `*`.

        Raises:
            LogUnavailable: The cluster did not answer, or did not decide.
        """
        ...

    async def places(self, reader: str) -> Mapping[Partition, int]:
        """Return the place of `reader` in each partition where it has one: the offset that it reads next.

        A reader whose results are there but whose places are not (a cluster forgot them) would read all
        again: whoever cannot bear that asks before it follows, and refuses to start.
        """
        ...

    async def wait(self, ends: Mapping[Partition, int], seconds: float) -> None:
        """Return when one of the partitions has grown past its given end, or after `seconds`.

        Raises:
            LogUnavailable: The cluster did not answer.
        """
        ...

    def working(self) -> Mapping[str, bool]:
        """Return what this process does with the log, by name, and whether it can: `append`, each reader.

        A reader can once its share of the partitions is known and claimed.
        """
        ...

    async def begin_at(self, partition: Partition, offset: int) -> None:
        """Let the first record of an empty partition stand at `offset` or later; lasts once there is one.

        For a log that comes back from a backup: others hold places in the one that it was.

        Raises:
            BadConfiguration: The partition is not empty.
        """
        ...

    async def set_places(self, reader: str, places: Mapping[Partition, int]) -> None:
        """Put a reader, as which nobody follows, at these places."""
        ...

    async def remarks(self) -> Sequence[str]:
        """Return what an operator should mend of where the log is kept, one line each.

        Raises:
            LogUnavailable: The log did not answer.
        """
        ...

    async def close(self) -> None:
        """Give back what is held; a second call does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Tls:
    """The files with which we speak to a cluster: its authority, our certificate and our key, all PEM."""

    ca: Path
    certificate: Path
    key: Path


@asynccontextmanager
async def open_log(
    url: str,
    *,
    read_only: bool = False,
    tls: Tls | None = None,
    topic_settings: Mapping[str, str] | None = None,
    step_seconds: float = 30.0,
) -> AsyncIterator[Log]:
    """Open the log at `url`, and close it in the end.

    `sqlite:///var/lib/halong/log.db` is the embedded engine: one file, one process that writes.
    `kafka://host:port,host:port` is a cluster; `kafka://host:port/name` tells several deployments on one
    cluster apart: the names of all their topics, groups and transactions begin with `name.`.

    Args:
        url: Where the log is; its scheme names the engine.
        read_only: Only read; the embedded file may then be open in another process that writes.  On a
            cluster, rights decide who writes.
        tls: For a cluster that asks for certificates.
        topic_settings: For a cluster: settings of compacted topics in addition, when they are created.
        step_seconds: How long one call waits for the disk or the cluster before it gives up.

    Raises:
        BadConfiguration: The address, or what is there, cannot be used.
        LogUnavailable: It cannot be opened now.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        log = await _open_embedded(Path(unquote(parts.path)), read_only=read_only, step_seconds=step_seconds)
    elif parts.scheme == "kafka" and parts.netloc:
        log = await _open_kafka(parts.netloc, parts.path.strip("/"), tls, topic_settings or {}, step_seconds)
    else:
        raise BadConfiguration("a log is at sqlite:///path/to/log.db or kafka://host:port", field="url")
    try:
        yield log
    finally:
        await log.close()


# The engines import this module for its words, so it can know them only when it is asked for one.


async def _open_embedded(path: Path, *, read_only: bool, step_seconds: float) -> Log:
    from broker.log.embedded import EmbeddedLog
    from broker.log.readonly import ReadOnlyLog

    log = (ReadOnlyLog if read_only else EmbeddedLog)(path, step_seconds=step_seconds)
    await log.open()
    return log


async def _open_kafka(
    hosts: str, name: str, tls: Tls | None, topic_settings: Mapping[str, str], step_seconds: float
) -> Log:
    try:
        from broker.log.kafka import KafkaLog
        from broker.log.kafka_clients import Cluster
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("aiokafka", "cramjam"):
            raise
        raise BadConfiguration(
            "a log on Kafka needs the extra `kafka`: pip install 'halong[kafka]'", field="url"
        ) from None
    prefix = f"{name}." if name else ""
    log = KafkaLog(Cluster(tuple(hosts.split(",")), prefix, tls, step_seconds, topic_settings))
    await log.open()
    return log
