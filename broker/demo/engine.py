"""The log that the demo runs on: a file of the hub's, or Apache Kafka.

For Kafka it takes `$KAFKA_BOOTSTRAP`, else starts one node of its own, whose data stay in the demo's folder.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from broker.core.errors import BadConfiguration
from broker.terminal import Exit, Stopped

EMBEDDED = "sqlite:///log.db"
ENGINES = ("sqlite", "kafka")
ANSWER_SECONDS = 3.0


@contextmanager
def log_for(engine: str, folder: Path, kept: str | None) -> Iterator[str]:
    """Give the log's address while it can be used; `kept` is the one of this folder's last run.

    Raises:
        BadConfiguration: The folder's log is on the other engine.
        Stopped: There is no Kafka; says what to install.
    """
    if kept is not None and not kept.startswith(engine):
        raise BadConfiguration("the log of this folder is on the other engine", field="--engine")
    if engine == "sqlite":
        yield EMBEDDED
        return
    # One cluster may serve several demos: each has names of its own, and a folder keeps its name.
    name = f"demo-{secrets.token_hex(4)}" if kept is None else kept.rpartition("/")[2]
    if find_spec("aiokafka") is None:
        raise _missing("the extra `kafka`: pip install 'halong[kafka]'")
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        if not any(_answers(each) for each in given.split(",")):
            raise _missing("Apache Kafka 4, and start it: nobody listens at KAFKA_BOOTSTRAP")
        yield f"kafka://{given}/{name}"
        return
    if find_spec("deploy") is None:
        raise _missing("Apache Kafka 4 (the source tree of Halong can start one: `make kafka`)")
    from deploy.kafka.cluster import KafkaCluster, KafkaFailed, KafkaMissing

    cluster = KafkaCluster(folder / "kafka")
    try:
        cluster.start()
    except KafkaMissing as error:
        raise _missing(str(error)) from None
    except KafkaFailed as error:
        raise Stopped(
            f"kafka did not start: {error}",
            code="kafka",
            where=str(folder / "kafka"),
            next_step="look at its output, or name another with KAFKA_BOOTSTRAP",
            exit_code=Exit.UNAVAILABLE,
        ) from None
    try:
        yield f"kafka://{cluster.bootstrap}/{name}"
    finally:
        cluster.stop()


def _answers(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _missing(what: str) -> Stopped:
    return Stopped(
        "there is no Kafka to run on",
        code="kafka",
        where="--engine kafka",
        next_step=f"install {what}; or set KAFKA_BOOTSTRAP=host:port",
        exit_code=Exit.UNAVAILABLE,
    )
