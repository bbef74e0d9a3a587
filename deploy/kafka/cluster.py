"""Apache Kafka on this machine, for development, the demo and the tests: one node or three.

Decides where files are, which settings the nodes get, and when they are really ready.  Needs Java 17
and Maven and nothing else; certificates (`tls`) and rights (`acls`) are in files of their own.  Every
process is ended by the id under which it was started here, and none outlives us (`guard`).

    with KafkaCluster(folder) as cluster:
        ...  # cluster.bootstrap
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.demo.processes import free_ports
from deploy.kafka.probe import members
from deploy.maven import MavenMissing
from deploy.maven import fetch as fetched

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1] / ".kafka"
LIBS = HOME / "libs"
VERSION = "4.4.0"

FORMAT_SECONDS = 60.0
START_SECONDS = 120.0
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.1


class KafkaMissing(Exception):
    """Kafka cannot be started on this machine; the message says what to install."""


class KafkaFailed(Exception):
    """A node did not start, or did not stop; the message has the end of its output."""


def missing() -> str | None:
    """Return what must be installed before Kafka can run here, or None."""
    if shutil.which("java") is None:
        return "Java 17 or later (`java` is not on the PATH)"
    if not (LIBS / "complete").exists() and shutil.which("mvn") is None:
        return "Maven (`mvn` is not on the PATH)"
    return None


def fetch() -> Path:
    """Return the folder with Kafka's jars, collecting them with Maven the first time."""
    need = missing()
    if need is not None:
        raise KafkaMissing(need)
    arguments = ["-f", str(HERE / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={LIBS}"]
    try:
        return fetched(HOME, LIBS, arguments, lambda: None)
    except MavenMissing as error:
        raise KafkaMissing(str(error)) from None


@dataclass(slots=True)
class Node:
    """One node: broker and controller in one process."""

    number: int
    client_port: int
    controller_port: int
    folder: Path
    guard: subprocess.Popen[str] | None = None
    pid: int = 0

    @property
    def output(self) -> Path:
        """Where the node's output goes."""
        return self.folder / "output.log"


class KafkaCluster:
    """One node or three under a folder; what they store stays there.

    Args:
        folder: Where everything goes; the same folder started again is the same cluster.
        nodes: 1 or 3; three keep every record three times.
        port: The first node's port; the next ones follow.  0 takes free ones.
        tls: Listen with mutual TLS, and refuse whatever no rule allows (`acls`).
        settings: Settings of the broker in addition, for example shorter times in tests.
    """

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 1,
        port: int = 0,
        tls: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.tls = self.folder / "tls" if tls else None
        self.nodes: dict[int, Node] = {}
        self._settings = dict(settings or {})
        ports = list(range(port, port + 2 * nodes)) if port else free_ports(2 * nodes)
        for number in range(1, nodes + 1):
            client, controller = ports[2 * number - 2 : 2 * number]
            self.nodes[number] = Node(number, client, controller, self.folder / f"node{number}")

    @property
    def bootstrap(self) -> str:
        """Where clients find the cluster: `host:port[,host:port]`."""
        return ",".join(f"localhost:{node.client_port}" for node in self.nodes.values())

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start all nodes and return when every one takes part.

        Raises:
            KafkaMissing: Java, Maven, or the jars are not to be had.
            KafkaFailed: A node ended, or was not ready in time.
        """
        self._write_files(fetch())
        try:
            for node in self.nodes.values():
                self._launch(node)
            self.ready(seconds)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the nodes that are still there, and wait for them."""
        running = [node for node in self.nodes.values() if node.guard is not None]
        for node in running:
            if node.guard is not None and node.guard.stdin is not None:
                with contextlib.suppress(OSError):
                    node.guard.stdin.close()
        for node in running:
            self._reap(node, STOP_SECONDS)

    def kill(self, number: int) -> None:
        """End a node as a power cut would."""
        self._signal(number, signal.SIGKILL)
        self._reap(self.nodes[number], STOP_SECONDS)

    def pause(self, number: int) -> None:
        """Stop a node in its tracks; `resume` lets it go on."""
        self._signal(number, signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """Let a paused node go on."""
        self._signal(number, signal.SIGCONT)

    def launch(self, number: int) -> None:
        """Start a node that was killed; `ready` says when it takes part."""
        self._launch(self.nodes[number])

    def restart(self, number: int, seconds: float = START_SECONDS) -> None:
        """Start a node that was killed, and return when all take part again."""
        self.launch(number)
        self.ready(seconds)

    def ready(self, seconds: float = START_SECONDS) -> None:
        """Return when every running node sees all running nodes taking part.

        Raises:
            KafkaFailed: Not in time, or a node ended.
        """
        running = {node.number for node in self.nodes.values() if node.guard is not None}
        until = time.monotonic() + seconds
        for number in running:
            node = self.nodes[number]
            while members("localhost", node.client_port, self.client_tls()) != running:
                if node.guard is None or node.guard.poll() is not None:
                    raise KafkaFailed(f"node {number} ended:\n{self._tail(node)}")
                if time.monotonic() > until:
                    raise KafkaFailed(f"node {number} was not ready in {seconds:g} s:\n{self._tail(node)}")
                time.sleep(LOOK_SECONDS)

    def client_tls(self, name: str = "admin") -> dict[str, Path]:
        """Return the files with which `name` speaks to the cluster: ca, certificate, key."""
        if self.tls is None:
            return {}
        return {
            "ca": self.tls / "ca.pem",
            "certificate": self.tls / f"{name}.pem",
            "key": self.tls / f"{name}.key",
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- files ------------------------------------------------------------------------------------

    def _write_files(self, libs: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.tls is not None and not (self.tls / "ca.pem").exists():
            from deploy.kafka.tls import make_certificates  # needs `cryptography`, which the rest does not

            make_certificates(self.tls, [f"broker{number}" for number in self.nodes] + ["admin"])
        name = self.folder / "cluster.id"
        if not name.exists():
            # An id that begins with a dash would be taken for an option.
            name.write_text("H" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22])
        formats = []
        for node in self.nodes.values():
            node.folder.mkdir(exist_ok=True)
            properties = node.folder / "server.properties"
            properties.write_text("".join(f"{k}={v}\n" for k, v in self._properties(node).items()))
            if not (node.folder / "data" / "meta.properties").exists():
                tool = ["kafka.tools.StorageTool", "format", "-t", name.read_text(), "-c", str(properties)]
                command = _java(libs, 128) + tool
                formats.append(subprocess.Popen(command, stdout=subprocess.PIPE))  # noqa: S603  our own
        for each in formats:
            try:
                output, _ = each.communicate(timeout=FORMAT_SECONDS)
            except subprocess.TimeoutExpired:
                each.kill()
                raise KafkaFailed(f"the storage was not formatted in {FORMAT_SECONDS:g} s") from None
            if each.returncode:
                raise KafkaFailed(f"the storage cannot be formatted:\n{output.decode()[-800:]}")

    def _properties(self, node: Node) -> dict[str, str]:
        copies = str(len(self.nodes))
        enough = "2" if len(self.nodes) > 1 else "1"
        voters = ",".join(f"{each.number}@localhost:{each.controller_port}" for each in self.nodes.values())
        protocol = "SSL" if self.tls else "PLAINTEXT"
        properties = {
            "process.roles": "broker,controller",
            "node.id": str(node.number),
            "controller.quorum.voters": voters,
            "listeners": f"CLIENT://localhost:{node.client_port},CONTROLLER://localhost:{node.controller_port}",
            "advertised.listeners": f"CLIENT://localhost:{node.client_port}",
            "listener.security.protocol.map": f"CLIENT:{protocol},CONTROLLER:{protocol}",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(node.folder / "data"),
            "default.replication.factor": copies,
            "min.insync.replicas": enough,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": enough,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": enough,
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            "unclean.leader.election.enable": "false",
            # A reader that is idle for years still has its place.
            "offsets.retention.minutes": "5256000",
            # A node that was killed is replaced soon; it may not register again before that.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }
        if self.tls is not None:
            brokers = [f"User:broker{number}" for number in self.nodes]
            properties |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(self.tls / f"broker{node.number}.store"),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(self.tls / "ca.pem"),
                "ssl.client.auth": "required",
                "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": ";".join([*brokers, "User:admin"]),
                "allow.everyone.if.no.acl.found": "false",
            }
        return properties | self._settings

    # --- processes --------------------------------------------------------------------------------

    def _launch(self, node: Node) -> None:
        run = ["kafka.Kafka", str(node.folder / "server.properties")]
        with node.output.open("ab") as output:
            node.guard = subprocess.Popen(  # noqa: S603  our own command line
                [sys.executable, str(HERE / "guard.py"), *_java(LIBS, 512), *run],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        assert node.guard.stdout is not None
        first = node.guard.stdout.readline()
        if not first.strip().isdigit():
            raise KafkaFailed(f"node {node.number} did not start:\n{self._tail(node)}")
        node.pid = int(first)

    def _signal(self, number: int, what: signal.Signals) -> None:
        node = self.nodes[number]
        # The guard has not yet ended, so the id still belongs to the process that it started.
        if node.guard is not None and node.guard.poll() is None:
            os.kill(node.pid, what)

    def _reap(self, node: Node, seconds: float) -> None:
        guard = node.guard
        if guard is None:
            return
        try:
            guard.wait(seconds)
        except subprocess.TimeoutExpired:
            guard.kill()  # and the kernel ends the node with it
            guard.wait(seconds)
        for stream in (guard.stdin, guard.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        node.guard = None
        node.pid = 0

    @staticmethod
    def _tail(node: Node) -> str:
        with contextlib.suppress(OSError):
            return node.output.read_text(errors="replace")[-1500:]
        return ""


def _java(libs: Path, heap_megabytes: int) -> list[str]:
    return ["java", f"-Xmx{heap_megabytes}m", "-XX:+UseSerialGC", "-cp", f"{libs}/*"]
