"""A real Apache Kafka for the tests that need one: the first that works, one for the whole run.

`$KAFKA_BOOTSTRAP`, else Docker by testcontainers, else Maven Central's jars with Java.  Without any of
them those tests are skipped with what to install, or fail if HALONG_REQUIRE_KAFKA=1.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.demo.processes import free_port
from deploy.kafka.cluster import VERSION, KafkaCluster, KafkaFailed, KafkaMissing, fetch
from deploy.kafka.probe import members

DOCKER_SECONDS = 120

# Cleaning within seconds, so that tests can wait for it.
SETTINGS = {
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "group.min.session.timeout.ms": "500",
}
QUICK_SESSION_MILLISECONDS = 2_000
LEAST_SESSION_MILLISECONDS = 6_000
"""What a cluster accepts that was not started for these tests."""


@dataclass(frozen=True, slots=True)
class Source:
    """A Kafka that answers."""

    bootstrap: str
    version: str
    origin: str


@dataclass(slots=True)
class Tally:
    """What the summary says in the end."""

    source: Source | None = None
    missing: str | None = None
    ran: int = 0


TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = tally = Tally()
    config.pluginmanager.register(_Counter(tally), "halong-kafka-counter")


class _Counter:
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and "kafka" in report.keywords:
            self._tally.ran += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash[TALLY]
    if tally.source is not None:
        version, origin = tally.source.version, tally.source.origin
        terminalreporter.write_line(f"Kafka: {tally.ran} tests ran on Apache Kafka {version} ({origin})")
    elif tally.missing is not None:
        terminalreporter.write_line(f"Kafka: 0 tests ran; {tally.missing}")


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where Kafka listens, for this whole run: `host:port[,host:port]`."""
    tally = request.config.stash[TALLY]
    with contextlib.ExitStack() as stack:
        try:
            tally.source = found(stack, tmp_path_factory.mktemp("kafka"))
        except KafkaMissing as missing:
            tally.missing = f"to run them, set KAFKA_BOOTSTRAP, or start Docker, or install {missing}"
        if tally.source is not None:
            yield tally.source.bootstrap
        elif os.environ.get("HALONG_REQUIRE_KAFKA") == "1":
            pytest.fail(str(tally.missing), pytrace=False)
        else:
            pytest.skip(str(tally.missing))


@pytest.fixture
def kafka_session(kafka: str, request: pytest.FixtureRequest) -> int:
    """How soon the cluster may take a process for dead."""
    source = request.config.stash[TALLY].source
    given = source is not None and source.origin == os.environ.get("KAFKA_BOOTSTRAP")
    return LEAST_SESSION_MILLISECONDS if given else QUICK_SESSION_MILLISECONDS


@pytest.fixture
def kafka_url(kafka: str) -> str:
    """A log of one's own on Kafka: a prefix that no other test has."""
    return f"kafka://{kafka}/t{uuid.uuid4().hex[:12]}"


@pytest.fixture(
    params=["sqlite", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.sockets])],
)
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty log on each engine."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/log.db"
    url: str = request.getfixturevalue("kafka_url")
    return url


@pytest.fixture
def own_cluster(kafka: str, tmp_path: Path) -> Iterator[KafkaCluster]:
    """A cluster of this test's own, to be killed; from Maven Central's jars."""
    with _own(KafkaCluster(tmp_path, settings=SETTINGS)) as cluster:
        yield cluster


@pytest.fixture
def tls_cluster(kafka: str, tmp_path: Path) -> Iterator[KafkaCluster]:
    """A cluster that asks for certificates, and refuses what no rule allows."""
    with _own(KafkaCluster(tmp_path, tls=True, settings=SETTINGS)) as cluster:
        yield cluster


def found(stack: contextlib.ExitStack, folder: Path) -> Source:
    """Return the first Kafka that works; what was started for it ends with `stack`.

    Raises:
        KafkaMissing: There is none, and what it needs.
    """
    return _given() or _docker(stack) or _maven(stack, folder)


@contextlib.contextmanager
def _own(cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    try:
        cluster.start()
    except KafkaMissing as missing:
        pytest.skip(f"a cluster that may be killed needs {missing}")
    try:
        yield cluster
    finally:
        cluster.stop()


def _given() -> Source | None:
    bootstrap = os.environ.get("KAFKA_BOOTSTRAP")
    if not bootstrap:
        return None
    for each in bootstrap.split(","):
        host, _, port = each.rpartition(":")
        if port.isdigit() and members(host, int(port), {}):
            return Source(bootstrap, "of KAFKA_BOOTSTRAP", bootstrap)
    return None


def _docker(stack: contextlib.ExitStack) -> Source | None:
    if not Path("/var/run/docker.sock").exists() and "DOCKER_HOST" not in os.environ:
        return None
    import docker  # type: ignore[import-untyped]  # has no type information; testcontainers brings it
    from testcontainers.core.container import DockerContainer

    with contextlib.suppress(docker.errors.DockerException):
        docker.from_env(timeout=5).ping()
        port = free_port()
        settings = SETTINGS | {
            "node.id": "1",
            "process.roles": "broker,controller",
            "controller.quorum.voters": "1@localhost:9093",
            "listeners": f"CLIENT://:{port},CONTROLLER://:9093",
            "advertised.listeners": f"CLIENT://localhost:{port}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
        }
        container = DockerContainer(f"apache/kafka:{VERSION}").with_bind_ports(port, port)
        for name, value in settings.items():
            container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
        stack.enter_context(container)
        until = time.monotonic() + DOCKER_SECONDS
        while time.monotonic() < until:
            if members("localhost", port, {}):
                return Source(f"localhost:{port}", VERSION, "Docker")
            time.sleep(0.2)
    return None


def _maven(stack: contextlib.ExitStack, folder: Path) -> Source:
    fetch()
    try:
        cluster = stack.enter_context(KafkaCluster(folder, settings=SETTINGS))
    except KafkaFailed as failed:
        raise KafkaMissing(f"a Java that runs Kafka; it said: {failed}") from failed
    return Source(cluster.bootstrap, VERSION, "Maven Central's jars")
