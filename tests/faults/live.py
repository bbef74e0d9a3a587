"""A hub and four members as real processes on this machine, a load, and the count of what came of it.

::

    with Live.built(tmp_path) as live, live.load(per_second=150):
        live["hub"].kill()
        ...
    live.settle()
    live.count()

`vn` and `jp` publish, `nl` listens, and `za` is a member to whom nobody owes anything.  Which notice is owed
to whom follows from `DEALS` and from what was queued, and from nothing that the hub says.
"""

from __future__ import annotations

import math
import os
import resource
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from adapters.member_folder import MemberPlan, open_folder
from adapters.sending.draft import Draft
from adapters.status import Snapshot, snapshot
from broker.clock import SystemClock
from broker.commands.hub_folder import HubPlan
from broker.core.directory import MemberClass
from broker.core.model import Region
from broker.demo.network import Network
from broker.demo.processes import Service, ask, environment, free_port, halong
from schemas import load_catalogue
from tests.faults.counting import MARK, Delivered, Found, Said, by_mark, compare
from tests.faults.raw_sqlite import inboxes, lying, statements
from tests.faults.table import Row
from tests.faults.tree import Lying, wrong_in

NETWORK = "halong-test"
HOST = "127.0.0.1"
MEMBERS = ("vn", "jp", "nl", "za")
DEALS: Mapping[tuple[str, str], Sequence[str]] = {
    ("vn", "jp"): ("drug-parcel",),
    ("vn", "nl"): ("drug-parcel", "revenue-fraud"),
    ("jp", "vn"): ("drug-parcel",),
}
"""Who gives what to whom."""

AGREEMENT = """
id = "{giver}-{receiver}"
version = 1
nonce = "{nonce}"
title = "What {giver} gives {receiver}"
parties = ["{giver}", "{receiver}"]
in_force_from = 2020-01-01

[[grant]]
from = "{giver}"
to = "{receiver}"
types = {types}
slots = ["facts"]
"""

DAY_MS = 86_400_000
LOOK_SECONDS = 0.05
SETTLE_SECONDS = 120.0
STILL_SECONDS = 60.0
PORTIONS_PER_SECOND = 10
FULL = 2 * 256
"""So many leaves have surely a full tile."""
OPEN = ("waiting", "signed", "accepted", "admitted")


def minimal(notice_type: str, mark: str) -> dict[str, Any]:
    """Return the shortest notice of a type, with its mark among the facts."""
    if notice_type == "drug-parcel":
        return {"channel": "POST", "mail_centre": mark}
    return {"scope": "TREND", "customs_office": mark}


class Process(Service):
    """A service that may also be stopped, woken, and kept from growing files."""

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        assert self.pid is not None
        os.kill(self.pid, number)

    def limit_files(self, most: int) -> None:
        """Let no file of the process grow past so many bytes, as on a full disk; -1 lifts the limit."""
        assert self.pid is not None
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (most, hard))


@dataclass
class Live:
    """The processes of one folder; `owed` grows with what is queued.

    Args:
        folder: Where all the folders are.
        services: The hub and the members' nodes by their names.
    """

    engine: ClassVar[Literal["sqlite", "kafka"]] = "sqlite"

    folder: Path
    services: dict[str, Process]
    owed: dict[str, list[bytes]] = field(default_factory=lambda: {member: [] for member in MEMBERS})
    queued: Counter[str] = field(default_factory=Counter)

    @classmethod
    def built(cls, folder: Path, commands: Mapping[str, Sequence[str]] | None = None) -> Live:
        """Make the folders as the commands of the ceremonies do.

        `commands` replaces what is run for a name: a hub that is broken on purpose, a clock that is wrong.
        """
        # Everybody joined yesterday, so that keys count also where a clock is behind.
        now = SystemClock().now() - DAY_MS
        network = Network(folder)
        network.make(HubPlan(NETWORK, HOST, free_port(), HOST, 0), now)
        plans = []
        for member in MEMBERS:
            region = Region.EUROPE if member == "nl" else Region.ASIA_PACIFIC
            plans.append(MemberPlan(member, member.upper(), MemberClass.CUSTOMS, [region], NETWORK, 0))
        network.admit(plans, now)
        texts: dict[str, list[bytes]] = {}
        for number, ((giver, receiver), types) in enumerate(DEALS.items()):
            text = AGREEMENT.format(giver=giver, receiver=receiver, nonce=f"{number:032x}", types=list(types))
            for party in (giver, receiver):
                texts.setdefault(party, []).append(text.encode())
        network.accede(texts, now)
        network.welcome(MEMBERS)
        usual = {"hub": ("hub", "--dir", str(network.hub))}
        usual |= {member: ("member", "--dir", str(folder / member)) for member in MEMBERS}
        given = commands or {}
        services = {
            name: Process(name, given.get(name) or halong(*arguments), folder / name)
            for name, arguments in usual.items()
        }
        return cls(folder, services)

    def replace(self, name: str, command: Sequence[str]) -> None:
        """Run something else under this name from its next start on."""
        self.services[name].kill()
        self.services[name] = Process(name, command, self.folder / name)

    def __getitem__(self, name: str) -> Process:
        return self.services[name]

    def start(self, *names: str) -> Self:
        """Start the processes, all if none is named, and wait until each says that it is ready."""
        for name in names or self.services:
            self.services[name].start()
        for name in names or self.services:
            self.services[name].await_ready()
        return self

    def stop(self, *names: str) -> None:
        """End processes as an operator does."""
        for name in names or self.services:
            self.services[name].ask_to_end()
        for name in names or self.services:
            self.services[name].end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in self.services.values():
            service.kill()

    # --- the load -----------------------------------------------------------------------------------

    def queue(
        self, member: str, count: int, notice_type: str = "drug-parcel", *, clock_seconds: int = 0
    ) -> None:
        """Queue that many notices at a member's node, as any program of its machine does, by its clock."""
        now = SystemClock().now() + clock_seconds * 1000
        marks = [f"mark-{self.queued.total() + number:06d}" for number in range(count)]
        drafts = [
            Draft.from_json(
                {"type": notice_type, "notice": minimal(notice_type, mark)},
                CATALOGUE,
                member=member,
                region=Region.ASIA_PACIFIC,
                at=now,
                source=f"load/{mark}",
            )
            for mark in marks
        ]
        with open_folder(self.folder / member) as node:
            node.outgoing.enqueue(drafts, now)
        self.queued[member] += count
        for (giver, receiver), types in DEALS.items():
            if giver == member and notice_type in types:
                self.owed[receiver] += [mark.encode() for mark in marks]

    @contextmanager
    def load(self, per_second: int) -> Iterator[None]:
        """Queue so many notices in each second, most of them by `vn`, until left."""
        enough = threading.Event()
        failed: list[BaseException] = []

        def feed() -> None:
            portion = per_second // PORTIONS_PER_SECOND
            due = time.monotonic()
            turn = 0
            try:
                while not enough.is_set():
                    if turn % 4 == 3:
                        self.queue("jp", portion)
                    else:
                        self.queue("vn", portion, "revenue-fraud" if turn % 4 == 2 else "drug-parcel")
                    turn += 1
                    due += 1 / PORTIONS_PER_SECOND
                    enough.wait(max(due - time.monotonic(), 0))
            except Exception as error:  # noqa: BLE001 - told to the test below
                failed.append(error)

        thread = threading.Thread(target=feed, name="load")
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()
        if failed:
            raise failed[0]

    # --- what became of it ----------------------------------------------------------------------------

    def until(self, done: Callable[[], bool], seconds: float = SETTLE_SECONDS) -> bool:
        """Look until it is done, and say whether it was in time."""
        end = time.monotonic() + seconds
        while not done():
            for service in self.services.values():
                if service.started and service.pid is None:
                    raise AssertionError(f"{service.name} ended by itself: see its log.jsonl")
            if time.monotonic() > end:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def look(self, member: str) -> Snapshot:
        """Return how a member's node is, by its store."""
        with open_folder(self.folder / member) as node:
            return snapshot(node.store)

    def files(self, member: str) -> int:
        """Return how many deliveries lie in a member's folder."""
        return sum(
            name.endswith(".json")
            for _, _, names in os.walk(self.folder / member / "inbox")
            for name in names
        )

    def all_said(self) -> bool:
        """Tell whether everything that was queued is proven, or refused."""
        return all(not any(self.look(member).sent.get(state) for state in OPEN) for member in ("vn", "jp"))

    def settle(self, seconds: float = STILL_SECONDS) -> None:
        """Return when all that was queued is proven and has arrived; fail if nothing moves any more."""

        before, moved_at = None, time.monotonic()

        def settled_or_still() -> bool:
            nonlocal before, moved_at
            now = [(self.look(member).sent, self.files(member)) for member in MEMBERS]
            if now != before:
                before, moved_at = now, time.monotonic()
            return self.settled() or time.monotonic() - moved_at > seconds

        self.until(settled_or_still, math.inf)
        if not self.settled():
            owed = {member: len(marks) for member, marks in self.owed.items()}
            raise AssertionError(f"nothing moved for {seconds:.0f} s: {before}, owed {owed}")

    def settled(self) -> bool:
        """Tell whether everything that was queued is proven and has arrived."""
        return self.all_said() and all(self.files(member) >= len(self.owed[member]) for member in MEMBERS)

    def in_topics(self) -> Found:
        """Count by the hub's own bytes, by mark; statements and marks must tell the same."""
        delivered = list(self.raw_inboxes())
        by_statement = Counter((each.member, each.statement) for each in delivered)
        found = compare(self.owed, delivered, by_mark)
        if found.faultless:
            assert max(by_statement.values(), default=1) == 1
        return found

    def in_folders(self) -> Found:
        """Count what lies in the members' folders, by mark, and see that lanes have no holes."""
        found: Counter[tuple[str, bytes]] = Counter()
        wrong = 0
        for member in MEMBERS:
            lanes: dict[Path, list[int]] = {}
            for path in (self.folder / member / "inbox").rglob("*.json"):
                (mark,) = set(MARK.findall(path.read_bytes()))
                found[member, mark] += 1
                lanes.setdefault(path.parent, []).append(int(path.name.partition("-")[0]))
            for places in lanes.values():
                wrong += sorted(places) != list(range(1, len(places) + 1))
        due = {(member, mark) for member, marks in self.owed.items() for mark in marks}
        return Found(
            deliveries=found.total(),
            lost=len(due - found.keys()),
            doubled=found.total() - len(found),
            over_delivered=len(found.keys() - due),
            out_of_order=wrong,
        )

    def signed_twice(self) -> int:
        """Count numbers under which the hub was given two statements."""
        return sum(len(each) > 1 for each in self.raw_statements().values())

    def raw_inboxes(self) -> Iterator[Delivered]:
        """Yield every delivery in the hub's own bytes."""
        return inboxes(self.folder / "hub" / "log.db")

    def raw_statements(self) -> Mapping[Said, set[bytes]]:
        """Return which statements stand under each number in the hub's own bytes."""
        return statements(self.folder / "hub" / "log.db")

    def row(
        self, name: str, found: Found, *, kills: int, seed: int, seconds: float, control: bool = False
    ) -> Row:
        """Return the row of the table for what was found."""
        return Row(
            name=name, engine=self.engine, kills=kills, notices=self.queued.total(),
            deliveries=found.deliveries, lost=found.lost, doubled=found.doubled,
            over_delivered=found.over_delivered, out_of_order=found.out_of_order, seed=seed, seconds=seconds,
            control=control,
        )  # fmt: skip

    def raw_log(self, begins: str) -> Iterable[Lying]:
        """Return what lies in the topics that begin so, in the hub's own bytes."""
        return lying(self.folder / "hub" / "log.db", begins)

    def audit(self) -> Any:
        """Have the whole log verified, and return what `halong audit count` says.

        `halong audit check` holds it against its tiles, and a reader that imports nothing of ours computes
        the same root from what lies in the topics.
        """
        checked = ask("audit", "check", str(self.folder / "hub"))
        assert checked["log"] == "verified", checked["findings"]
        assert checked["tiles"] or checked["leaves"] < FULL, checked
        assert wrong_in(self.raw_log, checked["leaves"], bytes.fromhex(checked["root"])) == []
        return ask("audit", "count", str(self.folder / "hub"))


CATALOGUE = load_catalogue()


def run(*arguments: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a `halong` command to its end; `before` is what runs it."""
    return subprocess.run(
        [*before, *halong(*arguments)],
        capture_output=True,
        text=True,
        timeout=SETTLE_SECONDS,
        env=environment(),
        check=False,
    )
