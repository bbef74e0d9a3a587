"""A load that goes on: notices at a steady rate, every receiver's node verifying all of them again.

    python -m tests.soak.sustained --rate 250 --receivers 4 --minutes 10 [--nodes N] [--json FILE]

Real processes on this machine: a hub on its embedded log, the publisher's node, a node for each receiver (or
for `--nodes` of them).  Prints a line every ten seconds and, in the end, whether the goals hold: nothing left
over ten seconds after the last notice, and no process that grows by a megabyte a minute.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from adapters.sending.draft import Draft
from adapters.sending.outgoing import Outgoing
from adapters.store import Store
from broker.core.model import Region
from broker.demo.processes import Farm
from schemas import load_catalogue
from tests.notices import drug_parcel
from tests.soak.deployment import PUBLISHER, Deployment
from tests.soak.watching import NodeStore, Second, cpu_of, memory_of, quantile, slope

STEP_SECONDS = 0.1
SETTLE_SECONDS = 10.0
LONGEST_SETTLE_SECONDS = 120.0
WARM_UP = 0.3
"""The part of the load that fills caches and buffers; memory is judged on the rest."""

TELL_SECONDS = 10
MOST_GROWTH = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sustained load came to.

    `seconds_to_settle` is how long after the last notice everything was delivered, acknowledged and proven;
    `growth` by how many bytes a minute each process grew.
    """

    rate: float
    receivers: int
    nodes: int
    seconds: Sequence[Second]
    notices: int
    deliveries: int
    receipts: int
    seconds_to_settle: float | None
    growth: Mapping[str, float]
    p50: int
    p95: int

    @property
    def settled(self) -> bool:
        """Tell whether nothing was left over in time."""
        return self.seconds_to_settle is not None and self.seconds_to_settle <= SETTLE_SECONDS

    @property
    def flat(self) -> bool:
        """Tell whether no process grew by a megabyte a minute."""
        return max(self.growth.values()) < MOST_GROWTH


class Load:
    """One load on a deployment that runs.

    Args:
        deployment: What runs.
        farm: Its processes.
        rate: Notices a second.
        tell: Hears of every second.
    """

    def __init__(
        self, deployment: Deployment, farm: Farm, rate: float, tell: Callable[[Second], None]
    ) -> None:
        self._deployment = deployment
        self._farm = farm
        self._rate = rate
        self._tell = tell
        self._desk = Store.open(deployment.path(PUBLISHER) / "node.db")
        self._outgoing = Outgoing(self._desk)
        self._sender = NodeStore(deployment.path(PUBLISHER) / "node.db")
        self._receivers = [NodeStore(deployment.path(name) / "node.db") for name in deployment.receiving]
        self._drafts = drafts()
        self._published = 0
        self._begun = 0.0
        self.seconds: list[Second] = []

    def run(self, duration: float) -> Outcome:
        """Publish for so many seconds, then wait until everything has arrived."""
        self._begun = time.monotonic()
        next_second = 1.0
        while (now := time.monotonic() - self._begun) < duration:
            self._publish(int(now * self._rate) - self._published)
            if now >= next_second:
                self._tell(self._look())
                next_second += 1
            time.sleep(max(0.0, STEP_SECONDS - (time.monotonic() - self._begun - now)))
        self._publish(int(duration * self._rate) - self._published)
        settled = self._settle()
        return self._outcome(duration, settled)

    def _publish(self, count: int) -> None:
        batch = [next(self._drafts) for _ in range(count)]
        if batch:
            self._outgoing.enqueue(batch, time.time_ns() // 1_000_000)
            self._published += count

    def _look(self) -> Second:
        running = {name: service.pid for name, service in self._farm.services.items()}
        ended = [name for name, pid in running.items() if pid is None]
        assert not ended, f"{ended} ended"
        pids = {name: pid for name, pid in running.items() if pid is not None}
        newest = [each for receiver in self._receivers for each in receiver.newest()]
        queued = {statement: self._sender.queued_at(statement) for statement in {each for each, _ in newest}}
        second = Second(
            at=time.monotonic() - self._begun,
            published=self._published,
            proven=self._published - self._sender.unproven(),
            delivered=sum(receiver.delivered() for receiver in self._receivers),
            acknowledged=sum(receiver.acknowledged() for receiver in self._receivers),
            latencies=[taken_at - queued[statement] for statement, taken_at in newest],
            memory={name: memory_of(pid) for name, pid in pids.items()},
            cpu={name: cpu_of(pid) for name, pid in pids.items()},
        )
        self.seconds.append(second)
        return second

    def _settle(self) -> float | None:
        """Return how long it took until nothing was left over, None if it took too long."""
        ended = time.monotonic()
        next_second = ended - self._begun + 1
        while time.monotonic() - ended < LONGEST_SETTLE_SECONDS:
            now = self._look()
            assert not self._sender.refused(), "the publisher's node or the hub refused notices"
            owed = self._published * len(self._receivers)
            if now.at >= next_second:
                self._tell(now)
                next_second = now.at + 1
            if now.proven == self._published and now.delivered == now.acknowledged == owed:
                return time.monotonic() - ended
            time.sleep(STEP_SECONDS * 5)
        return None

    def _outcome(self, duration: float, settled: float | None) -> Outcome:
        judged = [second for second in self.seconds if WARM_UP * duration <= second.at <= duration]
        times = [second.at for second in judged]
        growth = {
            name: 60 * slope(times, [second.memory[name] for second in judged])
            for name in self._farm.services
        }
        latencies = [each for second in judged for each in second.latencies]
        outcome = Outcome(
            rate=self._rate,
            receivers=self._deployment.receivers,
            nodes=self._deployment.nodes,
            seconds=self.seconds,
            notices=self._published,
            deliveries=sum(receiver.delivered() for receiver in self._receivers),
            receipts=sum(receiver.receipts() for receiver in self._receivers),
            seconds_to_settle=settled,
            growth=growth,
            p50=quantile(latencies, 0.5),
            p95=quantile(latencies, 0.95),
        )
        for store in (self._desk, self._sender, *self._receivers):
            store.close()
        return outcome


def drafts() -> Iterator[Draft]:
    """Yield drafts of one type, each of which says something else; persons would have to be sealed."""
    catalogue = load_catalogue()
    fields = catalogue.current("drug-parcel").schema["fields"]
    nobody = {each["name"]: None for each in fields if each["sensitivity"] == "persons"}
    first = Draft.from_json(
        {"type": "drug-parcel", "notice": drug_parcel(**nobody)},
        catalogue,
        member=PUBLISHER,
        region=Region.ASIA_PACIFIC,
        at=time.time_ns() // 1_000_000,
    )
    number = 0
    while True:
        number += 1
        yield replace(first, notice={**first.notice, "mail_centre": f"VN{number:07d}"[:9]})


def sustain(
    deployment: Deployment, rate: float, duration: float, tell: Callable[[Second], None] = lambda _: None
) -> Outcome:
    """Run a load of `rate` notices a second for `duration` seconds."""
    with deployment.running() as farm:
        return Load(deployment, farm, rate, tell).run(duration)


def summary(outcome: Outcome) -> Iterator[str]:
    """Yield what a person wants to know of an outcome."""
    yield f"{outcome.notices:,} notices, {outcome.deliveries:,} deliveries verified"
    each = outcome.deliveries / max(outcome.receipts, 1)
    yield f"{outcome.receipts:,} receipts, each for {each:.1f} deliveries"
    yield f"publish to record at the receiver: p50 {outcome.p50} ms, p95 {outcome.p95} ms"
    after = "never" if outcome.seconds_to_settle is None else f"{outcome.seconds_to_settle:.1f} s"
    yield f"nothing left over after {after} (goal {SETTLE_SECONDS:.0f} s)"
    first, last = outcome.seconds[0], outcome.seconds[-1]
    for name, growth in outcome.growth.items():
        cores = (last.cpu[name] - first.cpu[name]) / (last.at - first.at)
        yield (
            f"{name:12} {last.memory[name] / 2**20:7.1f} MB, {growth / 2**20:+6.2f} MB a minute,"
            f" {cores:5.2f} of a core"
        )


def main() -> int:
    """Run the load that the command line says; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=250.0)
    parser.add_argument("--receivers", type=int, default=4)
    parser.add_argument("--nodes", type=int, help="how many receivers run a node; by default all")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", type=Path, dest="json_path", help="where the seconds go, for the chart")
    options = parser.parse_args()
    nodes = options.receivers if options.nodes is None else options.nodes

    def tell(second: Second) -> None:
        if round(second.at) % TELL_SECONDS == 0:
            print(
                f"{second.at:6.0f} s  {second.published:8,} published"
                f"  {second.published - second.proven:6,} not proven"
                f"  {second.published * nodes - second.delivered:6,} behind"
                f"  {second.delivered - second.acknowledged:6,} not acknowledged"
                f"  p95 {quantile(second.latencies, 0.95):6,} ms"
                f"  hub {second.memory['hub'] / 2**20:6.1f} MB",
                flush=True,
            )

    with tempfile.TemporaryDirectory(prefix="halong-sustained-") as folder:
        deployment = Deployment(Path(folder), options.receivers, nodes)
        outcome = sustain(deployment, options.rate, options.minutes * 60, tell)
    for line in summary(outcome):
        print(line)
    if options.json_path is not None:
        options.json_path.write_text(json.dumps(asdict(outcome)))
    return 0 if outcome.settled and outcome.flat else 1


if __name__ == "__main__":
    sys.exit(main())
