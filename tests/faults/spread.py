"""A hub spread over processes on Kafka, with four members, to be killed part by part.

::

    with Spread.on(bootstrap, tmp_path) as live:
        live.start()
        with live.counted("dispatcher killed", 1), live.load(per_second=120):
            live["dispatcher2"].kill()

Members, load and what is owed are `Live`'s.  The count is of raw topics, by a reader that imports nothing of
ours (`raw_kafka`).
"""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from msgspec.structs import replace

from adapters.configuration import MEMBER_FILE
from broker.configuration import HUB_FILE
from broker.demo.processes import free_ports, halong
from tests.faults import chance, raw_kafka
from tests.faults.counting import Delivered, Said
from tests.faults.live import HOST, MEMBERS, Live, Process
from tests.faults.table import record
from tests.faults.tree import Lying

WHOLE: Mapping[str, Sequence[str]] = {"hub": ()}
APART: Mapping[str, Sequence[str]] = {
    "gateway1": ("gateway",),
    "gateway2": ("gateway",),
    "inbox1": ("inbox",),
    "inbox2": ("inbox",),
    "dispatcher1": ("dispatcher",),
    "dispatcher2": ("dispatcher",),
    "dispatcher3": ("dispatcher",),
    "sequencer1": ("sequencer",),
    "sequencer2": ("sequencer",),
    "tiles1": ("tiles",),
    "tiles2": ("tiles",),
}
"""The processes of a hub, and the parts that each runs."""

ANSWER_SECONDS = 5.0


@dataclass
class Spread(Live):
    """`Live`, with a hub of several processes whose log is on Kafka."""

    engine = "kafka"

    bootstrap: str = ""
    prefix: str = ""
    health: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def on(
        cls,
        bootstrap: str,
        folder: Path,
        parts: Mapping[str, Sequence[str]] = APART,
        *,
        run: Mapping[str, Sequence[str]] | None = None,
    ) -> Self:
        """Make the folders for a log of one's own on the cluster.

        `run` replaces what is run for a name: a part that is broken on purpose gets the same arguments.
        """
        prefix = f"t{uuid.uuid4().hex[:12]}"
        made = Live.built(folder)
        _put(folder / "hub" / HUB_FILE, "log", f"kafka://{bootstrap}/{prefix}")
        free = free_ports(2 * len(parts))
        ports = dict(zip(parts, free[: len(parts)], strict=True))
        health = dict(zip(parts, free[len(parts) :], strict=True))
        given = run or {}
        services = {}
        for name, only in parts.items():
            arguments = ["hub", "--dir", str(folder / "hub")]
            arguments += [f"--port={ports[name]}", f"--health-port={health[name]}"]
            arguments += [f"--only={part}" for part in only]
            (folder / name).mkdir(exist_ok=True)
            command = [*given[name], *arguments] if name in given else halong(*arguments)
            services[name] = Process(name, command, folder / name)
        serving = [n for n, only in parts.items() if not only or {"gateway", "inbox"} & set(only)]
        for member in MEMBERS:
            addresses = " ".join(f"https://{HOST}:{ports[name]}" for name in serving)
            _put(folder / member / MEMBER_FILE, "url", addresses)
            services[member] = made.services[member]
        return cls(folder, services, bootstrap=bootstrap, prefix=prefix, health=health)

    def ready(self, name: str) -> Mapping[str, bool] | None:
        """Return which of its parts a process says are ready, or None if it says nothing."""
        url = f"http://127.0.0.1:{self.health[name]}/ready"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                return _parts(answer.read())
        except urllib.error.HTTPError as error:
            return _parts(error.read())
        except OSError:
            return None

    def is_ready(self, name: str) -> bool:
        """Tell whether a process says that all its parts are ready."""
        parts = self.ready(name)
        return parts is not None and all(parts.values())

    def all_owed(self) -> int:
        """Return how many deliveries are owed to all members together."""
        return sum(map(len, self.owed.values()))

    def metric(self, name: str, metric: str) -> float:
        """Return a number of a process's metrics, 0 if it has none of that name, or says nothing."""
        url = f"http://127.0.0.1:{self.health[name]}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        found = [line for line in lines if line.startswith(metric + " ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    def raw_inboxes(self) -> Iterator[Delivered]:
        """Yield every delivery in the raw topics."""
        return raw_kafka.inboxes(self.bootstrap, self.prefix)

    def raw_statements(self) -> Mapping[Said, set[bytes]]:
        """Return which statements stand under each number in the raw topics."""
        return raw_kafka.statements(self.bootstrap, self.prefix)

    def raw_log(self, begins: str) -> Iterable[Lying]:
        """Return what lies in the raw topics that begin so."""
        return raw_kafka.lying(self.bootstrap, self.prefix, begins)

    @contextmanager
    def counted(self, name: str, kills: int) -> Iterator[random.Random]:
        """Let things be done at random moments, wait until all has arrived, count it, and record the row."""
        seed = chance.seed()
        began, queued, owed = time.monotonic(), self.queued.total(), self.all_owed()
        yield random.Random(f"{seed} {name}")
        self.settle()
        in_topics, in_folders = self.in_topics(), self.in_folders()
        found = in_topics + in_folders
        row = self.row(name, found, kills=kills, seed=seed, seconds=time.monotonic() - began)
        record(replace(row, notices=row.notices - queued, deliveries=row.deliveries - owed))
        assert in_topics.faultless, in_topics
        assert in_folders.faultless, in_folders
        assert in_topics.deliveries == in_folders.deliveries == self.all_owed()
        assert self.signed_twice() == 0
        assert self.audit()["log"] == "verified"


def _parts(answer: bytes) -> Mapping[str, bool]:
    found: dict[str, Any] = json.loads(answer)
    parts: Mapping[str, bool] = found["parts"]
    return parts


def _put(file: Path, key: str, value: str) -> None:
    """Change a setting of a file, where it comes first."""
    before, found, after = file.read_text(encoding="utf-8").partition(f"\n{key} = ")
    assert found
    _, _, rest = after.partition("\n")
    file.write_text(f'{before}{found}"{value}"\n{rest}', encoding="utf-8")
