"""What must have arrived, computed without the hub: from what the members signed, and what they agreed.

`decide` is asked for every notice in the members' own stores; what came is what lies in their inbox folders.
Neither looks at the log, which is then counted by another process: the three must say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from adapters.store import Store
from broker.core.agreements import Context, Reference, Share, Withhold, decide
from broker.core.directory import Directory
from broker.core.model import Header
from broker.core.notice import Arrived, read_envelope

Arrival = tuple[str, str, frozenset[str]]
"""Who got which statement (hex) with which slots."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A notice that the hub has admitted, as its originator keeps it, and who must get what of it."""

    arrived: Arrived
    shares: Mapping[str, Share]
    withheld: Mapping[str, Withhold]

    @property
    def header(self) -> Header:
        """What was signed."""
        return self.arrived.header

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what must be in the inboxes."""
        for member, share in self.shares.items():
            yield member, self.arrived.statement.hex(), frozenset(slot.label for slot in share.slots)


def sent(stores: Mapping[str, Store], directory: Directory) -> list[Sent]:
    """Return everything that was admitted, and decide about it again."""
    arrived = [
        read_envelope(envelope)
        for store in stores.values()
        for (envelope,) in store.rows("SELECT envelope FROM settled ORDER BY draft")
    ]
    known: dict[bytes, Reference] = {}
    decided: list[Sent] = []
    # What others refer to comes first: in the demo, answers are never answered.
    for each in sorted(arrived, key=lambda one: len(one.header.references)):
        decided.append(_decide(each, directory, known))
        header = each.header
        known[each.statement] = Reference(
            each.statement, header.originator, header.notice_type, header.act, header.issued_at,
            decided[-1].shares,
        )  # fmt: skip
    return decided


def _decide(arrived: Arrived, directory: Directory, known: Mapping[bytes, Reference]) -> Sent:
    header = arrived.header
    references = {each: known[each] for each in header.references if each in known}
    context = Context(at=header.issued_at, references=references)
    verdicts = {
        member: decide(header, member, directory, context)
        for member in directory.members
        if member != header.originator
    }
    return Sent(
        arrived,
        {member: each for member, each in verdicts.items() if isinstance(each, Share)},
        {member: each for member, each in verdicts.items() if isinstance(each, Withhold)},
    )


def inbox(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the deliveries in a member's inbox folder, as a program of the member reads them."""
    for path in sorted((folder / "inbox").rglob("*.json")):
        yield msgspec.json.decode(path.read_bytes()) | {"path": path}


def arrivals(member: str, folder: Path) -> Counter[Arrival]:
    """Return what lies in a member's inbox folder; what came twice counts twice."""
    return Counter((member, each["statement"], frozenset(_had(each["slots"]))) for each in inbox(folder))


def _had(slots: Mapping[str, str]) -> Iterable[str]:
    return (slot for slot, state in slots.items() if state != "withheld")
