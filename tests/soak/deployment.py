"""A hub and members as they are run for real: folders made as by the commands, processes started by command.

One member publishes, under an agreement that entitles all others; some of those have a node, the rest only an
inbox at the hub.  A node hands what it has verified to a table of the member's own.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.channels.sql_sqlite import schema
from adapters.configuration import MEMBER_FILE
from adapters.member_folder import MemberPlan
from broker.commands.hub_folder import HubPlan
from broker.core.directory import MemberClass
from broker.core.model import Region
from broker.demo.network import Network
from broker.demo.processes import Farm, Service, free_port, halong

NETWORK = "halong-soak"
HOST = "127.0.0.1"
PUBLISHER = "publisher"
AGREEMENT = """
id = "sustained"
version = 1
nonce = "037495fe6c1455db0937414fd8e9b3d6"
title = "What the publisher gives everybody"
parties = [{parties}]
in_force_from = 2026-01-01

[[grant]]
from = "{publisher}"
to = "*"
types = ["drug-parcel"]
slots = ["facts", "intelligence"]
statuses = ["ACTUAL"]
tlp_max = "RED"
retention_days = 365
"""


TABLE_FILE = "desk.db"
CHANNEL = f"""[channels.desk]
kind = "sql"
url = "sqlite:///{TABLE_FILE}"
"""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Folders of a hub and its members, and the processes that run on them.

    Args:
        folder: Where all of it is.
        receivers: How many members are entitled.
        nodes: How many of them run a node.
        log: The hub's log.
    """

    folder: Path
    receivers: int
    nodes: int
    log: str = "sqlite:///log.db"
    farm: Farm = field(default_factory=Farm)

    @property
    def receiving(self) -> Sequence[str]:
        """The members that run a node and receive."""
        return [f"receiver{number}" for number in range(self.nodes)]

    def path(self, name: str) -> Path:
        """Return the folder of the hub, or of a member."""
        return self.folder / name

    @contextmanager
    def running(self) -> Iterator[Farm]:
        """Make everything, start it, and end it when left."""
        self._make()
        with self.farm as farm:
            hub = farm.add(Service("hub", halong("hub", "--dir", str(self.path("hub"))), self.path("hub")))
            hub.start()
            hub.await_ready()
            for name in (PUBLISHER, *self.receiving):
                farm.add(
                    Service(name, halong("member", "--dir", str(self.path(name))), self.path(name))
                ).start()
            for service in farm.services.values():
                service.await_ready()
            yield farm

    def _make(self) -> None:
        now = time.time_ns() // 1_000_000
        self.folder.mkdir(parents=True, exist_ok=True)
        members = [PUBLISHER, *(f"receiver{number}" for number in range(self.receivers))]
        network = Network(self.folder)
        network.make(HubPlan(NETWORK, HOST, free_port(), HOST, free_port(), self.log), now)
        region = [Region.ASIA_PACIFIC]
        network.admit(
            (MemberPlan(each, each, MemberClass.CUSTOMS, region, NETWORK, health_port=0) for each in members),
            now,
        )
        parties = ", ".join(f'"{name}"' for name in sorted(members))
        text = AGREEMENT.format(parties=parties, publisher=PUBLISHER).encode()
        network.accede({each: [text] for each in members}, now)
        for name in (PUBLISHER, *self.receiving):
            self._configure(name)
        network.welcome((PUBLISHER, *self.receiving))

    def _configure(self, name: str) -> None:
        file = self.path(name) / MEMBER_FILE
        before, mark, _ = file.read_text().partition("[channels.folder]")
        assert mark
        file.write_text(f"{before}{CHANNEL}")
        with contextlib.closing(sqlite3.connect(self.path(name) / TABLE_FILE)) as table:
            for statement in schema("halong_notice"):
                table.execute(statement)
            table.commit()
