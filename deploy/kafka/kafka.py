"""Apache Kafka on this machine, from Maven Central's jars.

    kafka.py fetch                                  collect the jars (43 MB, once)
    kafka.py run [--nodes 1|3] [--tls] [--dir DIR] [--port N]

`run` prints where clients find it once it is really ready, and stops with Ctrl-C.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.kafka.cluster import HOME, VERSION, KafkaCluster, KafkaFailed, KafkaMissing, fetch


def run(nodes: int, port: int, folder: Path | None, *, tls: bool) -> None:
    """Run a cluster until we are told to stop, or a node ends."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    folder = folder or HOME / f"{nodes}-{'tls' if tls else 'plain'}-{port}"
    say(f"Apache Kafka {VERSION}, {nodes} node{'s' if nodes > 1 else ''}, in {folder}")
    with KafkaCluster(folder, nodes=nodes, port=port, tls=tls) as cluster:
        if cluster.tls is not None:
            files = cluster.client_tls()
            say("".join(f"  {name:<12} {path}\n" for name, path in files.items()).rstrip())
        for node in cluster.nodes.values():
            say(f"  node {node.number}: process {node.pid}, output in {node.output}")
        say(f"ready: kafka://{cluster.bootstrap}")
        while not stop.wait(0.5):
            for node in cluster.nodes.values():
                if node.guard is None or node.guard.poll() is not None:
                    raise KafkaFailed(f"node {node.number} ended; see {node.output}")
        say("stopping")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="kafka.py", description="Apache Kafka on this machine")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="collect Kafka's jars with Maven")
    running = commands.add_parser("run", help="run Kafka in the foreground")
    running.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    running.add_argument("--tls", action="store_true", help="mutual TLS, and rights for everything")
    running.add_argument("--dir", type=Path, help="where everything is kept")
    running.add_argument("--port", type=int, default=19092)
    chosen = parser.parse_args()
    try:
        if chosen.command == "fetch":
            say(str(fetch()))
        else:
            run(chosen.nodes, chosen.port, chosen.dir, tls=chosen.tls)
    except KafkaMissing as error:
        sys.stderr.write(f"Kafka cannot run here: install {error}\n")
        return 4
    except KafkaFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
