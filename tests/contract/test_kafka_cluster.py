"""The Kafka that we start ourselves leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.demo.processes import free_ports
from deploy.kafka.cluster import HERE, KafkaCluster, missing
from deploy.kafka.probe import members

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

SECONDS = 60


@pytest.fixture(autouse=True)
def _java(kafka: str) -> None:
    if (need := missing()) is not None:
        pytest.skip(f"starting Kafka needs {need}")


@contextmanager
def running(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the command until it is ready; give it and the process id of the node."""
    command = [sys.executable, str(HERE / "kafka.py"), "run", "--dir", str(folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        node = 0
        for line in run.stdout:
            if found := re.search(r"node 1: process (\d+)", line):
                node = int(found[1])
            if line.startswith("ready: "):
                assert line.strip() == f"ready: kafka://localhost:{port}"
                break
        try:
            yield run, node
        finally:
            run.kill()


def gone(process: int) -> bool:
    """Return whether a process ends soon."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_node_ends_with_the_command(tmp_path: Path, ending: signal.Signals) -> None:
    (port, _) = free_ports(2)
    with running(tmp_path, port) as (run, node):
        assert members("localhost", port, {}) == {1}
        run.send_signal(ending)
        assert run.wait(SECONDS) == (0 if ending != signal.SIGKILL else -signal.SIGKILL)
        assert gone(node)


def test_a_node_that_was_killed_comes_back_with_what_it_stored(tmp_path: Path) -> None:
    with KafkaCluster(tmp_path) as cluster:
        identity = (tmp_path / "cluster.id").read_bytes()
        cluster.kill(1)
        assert not members("localhost", cluster.nodes[1].client_port, {})
        cluster.restart(1)
        assert members("localhost", cluster.nodes[1].client_port, {}) == {1}
        assert (tmp_path / "cluster.id").read_bytes() == identity
