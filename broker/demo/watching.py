"""What the demo knows of its five processes while they run: their ids, and what the members' stores say.

Reads the stores as any command of the machine does; asks no process anything.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from adapters.member_folder import NodeFolder, open_folder
from broker.core.model import Delivery, DeliveryHead, Slot
from broker.core.records import decode
from broker.demo.processes import Farm, NotReady
from broker.demo.screen import LAST, MemberLine, Picture
from broker.demo.setting import Setting

LOOK_SECONDS = 0.05
PAGE = 500
FEEDBACK = "feedback"


@dataclass(slots=True)
class Watched:
    """One member's store, read on from where it was read last."""

    node: NodeFolder
    line: MemberLine
    place: int = 0
    sent: Mapping[str, int] = field(default_factory=dict)
    slots: Counter[str] = field(default_factory=Counter)

    def look(self) -> Iterator[str]:
        """Read on, and yield a line for each delivery that has come since."""
        self.sent = self.node.outgoing.counts()
        self.line.queued = sum(self.sent.values())
        self.line.proven = self.sent.get("proven", 0)
        while fresh := self.node.incoming.received(after=self.place, limit=PAGE):
            self.place = fresh[-1].place
            for received in fresh:
                head = decode(DeliveryHead, decode(Delivery, received.content).head)
                slots = [slot.label for slot in head.slots]
                self.slots.update(slots)
                self.line.received += 1
                self.line.feedback += received.notice_type == FEEDBACK
                agreements = ", ".join(f"{ground.agreement}/{ground.version}" for ground in head.grounds)
                what = (received.reference or "").removeprefix("halong:")
                yield f"{what} {received.notice_type} → {self.line.name}: {' '.join(slots)}   by {agreements}"
        self.line.slots = {slot.label: self.slots[slot.label] for slot in Slot}

    @property
    def open(self) -> int:
        """How many of its notices are neither proven nor refused."""
        return self.line.queued - self.line.proven - self.sent.get("refused", 0)

    @property
    def quiet(self) -> bool:
        """Tell whether everything that it said is proven or refused, and the hub has all its receipts."""
        incoming = self.node.incoming
        # What is checked and in no channel yet will be receipted, too.
        return not self.open and not incoming.receipts_waiting() and not incoming.counts().get("checked")


class Watch:
    """All members' stores, and the processes of the farm.

    Args:
        farm: The processes; while waiting, none may end by itself.
        members: Their stores by their names.
    """

    def __init__(self, farm: Farm, members: Mapping[str, Watched]) -> None:
        self._farm = farm
        self.members = members
        self.decisions: list[str] = []

    @property
    def nodes(self) -> Sequence[NodeFolder]:
        """The members' folders."""
        return [watched.node for watched in self.members.values()]

    def look(self) -> Picture:
        """Return the picture of now."""
        for watched in self.members.values():
            self.decisions += watched.look()
        del self.decisions[:-LAST]
        lines: Sequence[MemberLine] = [watched.line for watched in self.members.values()]
        hub = self._farm.services["hub"].pid
        return Picture(f"process {hub}" if hub is not None else "down", lines, tuple(self.decisions))

    def until(
        self,
        done: Callable[[], bool],
        what: str,
        seconds: float,
        show: Callable[[Picture], None] = lambda _picture: None,
    ) -> None:
        """Look on until it is done.

        Raises:
            NotReady: It was not done in time, or a process ended.
        """
        limit = time.monotonic() + seconds
        while True:
            show(self.look())
            if done():
                return
            for service in self._farm.services.values():
                if service.started and service.pid is None:
                    raise NotReady(f"{service.name} ended by itself", field=service.name)
            if time.monotonic() > limit:
                states = "; ".join(
                    f"{name} {dict(watched.sent)}, {watched.line.received} received"
                    for name, watched in self.members.items()
                )
                raise NotReady(f"{what} took more than {seconds:.0f} s: {states}", field="hub")
            time.sleep(LOOK_SECONDS)


@contextmanager
def watch(setting: Setting, farm: Farm, members: Sequence[str]) -> Iterator[Watch]:
    """Open the members' stores."""
    with ExitStack() as stack:
        watched = {
            name: Watched(stack.enter_context(open_folder(setting.member(name))), MemberLine(name))
            for name in members
        }
        yield Watch(farm, watched)
