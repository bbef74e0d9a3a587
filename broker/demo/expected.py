"""What must have arrived, computed without the hub: from what the members signed, and what they agreed.

`decide` is asked for every notice in the members' own stores, on the version of the directory that its
decision names, as the member's own copy has it; what came is what lies in their inbox folders.  Neither looks
at the hub's log, which is then counted by another process: the three must say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from adapters.member_folder import NodeFolder
from adapters.node import directory_source
from adapters.past import Past, past_at_node
from broker.core.agreements import Context, Reference, Share, Withhold, decide
from broker.core.directory import Directory
from broker.core.errors import DirectoryMixed
from broker.core.model import Decision, Header
from broker.core.notice import Arrived, read_envelope
from broker.core.records import decode

Arrival = tuple[str, str, frozenset[str]]
"""Who got which statement (hex) with which slots."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A notice that the hub has admitted, as its originator keeps it, and who must get what of it.

    Attributes:
        arrived: The notice.
        decided_at: When the hub decided.
        directory: The version that its decision names, as the originator's node has it.
        shares: Who must get what.
        withheld: Who must get nothing, and why.
    """

    arrived: Arrived
    decided_at: int
    directory: Directory
    shares: Mapping[str, Share]
    withheld: Mapping[str, Withhold]

    @property
    def header(self) -> Header:
        """What was signed."""
        return self.arrived.header

    @property
    def reference(self) -> str:
        """Its reference, as people read it."""
        return self.header.reference.removeprefix("halong:")

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what must be in the inboxes."""
        for member, share in self.shares.items():
            yield member, self.arrived.statement.hex(), frozenset(slot.label for slot in share.slots)


class Versions:
    """The versions of the directory that a member's node has taken over."""

    def __init__(self, node: NodeFolder) -> None:
        self._source = directory_source(node.config)
        self._source.load()

    def at(self, version: bytes) -> Directory:
        """Return one of them.

        Raises:
            DirectoryMixed: The node has it not, though a decision that it holds the proof of names it.
        """
        found = self._source.at(version)
        if found is None:
            raise DirectoryMixed("a decision names a version that the node has not", field=version.hex())
        return found


def sent(nodes: Iterable[NodeFolder]) -> list[Sent]:
    """Return everything of which the originator has the proofs, and decide about it again."""
    kept = []
    for node in nodes:
        versions = Versions(node)
        for envelope, decision in node.store.rows(
            "SELECT envelope, decision FROM statements WHERE state = 'proven' ORDER BY draft"
        ):
            named = decode(Decision, decision)
            kept.append((read_envelope(envelope), named.decided_at, versions.at(named.directory)))
    known: dict[bytes, Reference] = {}
    decided: list[Sent] = []
    # What others refer to comes first: in the demo, answers are never answered.
    for arrived, at, directory in sorted(kept, key=lambda each: len(each[0].header.references)):
        decided.append(_decide(arrived, at, directory, known))
        header = arrived.header
        known[arrived.statement] = Reference(
            arrived.statement, header.originator, header.notice_type, header.act, at, decided[-1].shares
        )
    return decided


def _decide(arrived: Arrived, at: int, directory: Directory, known: Mapping[bytes, Reference]) -> Sent:
    header = arrived.header
    references = {each: known[each] for each in header.references if each in known}
    context = Context(at=at, references=references)
    verdicts = {
        member: decide(header, member, directory, context)
        for member in directory.members
        if member != header.originator
    }
    return Sent(
        arrived,
        at,
        directory,
        {member: each for member, each in verdicts.items() if isinstance(each, Share)},
        {member: each for member, each in verdicts.items() if isinstance(each, Withhold)},
    )


@dataclass(frozen=True, slots=True)
class Explained:
    """What `halong agreement explain` says at the members' nodes, of everything that they know of.

    Attributes:
        given: How many deliveries it explains, at their originators.
        withheld: How many non-deliveries.
        received: How many deliveries it explains at their receivers.
        versions: On how many versions of the directory.
        otherwise: For which notice and member the proven decision says something else.
    """

    given: int
    withheld: int
    received: int
    versions: int
    otherwise: tuple[str, ...]


def explain_all(nodes: Iterable[NodeFolder]) -> Explained:
    """Explain every notice at every node that knows of it, as the command does."""
    given = withheld = received = 0
    named: set[bytes] = set()
    otherwise: list[str] = []
    for node in nodes:
        versions = Versions(node)
        for (statement,) in node.store.rows(
            "SELECT id FROM statements UNION SELECT statement FROM deliveries"
        ):
            past = past_at_node(node.store, node.incoming, statement)
            if not isinstance(past, Past):
                continue
            said = past.explained(versions.at(past.directory))
            named.add(past.directory)
            otherwise += [f"{past.header.reference} for {member}" for member in past.otherwise(said)]
            if past.about is None:
                given += len(said.reached)
                withheld += sum(not each.receives for each in said.receivers)
            else:
                received += 1
    return Explained(given, withheld, received, len(named), tuple(otherwise))


def inbox(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the deliveries in a member's inbox folder, as a program of the member reads them."""
    for path in sorted((folder / "inbox").rglob("*.json")):
        yield msgspec.json.decode(path.read_bytes()) | {"path": path}


def arrivals(member: str, folder: Path) -> Counter[Arrival]:
    """Return what lies in a member's inbox folder; what came twice counts twice."""
    return Counter((member, each["statement"], frozenset(_had(each["slots"]))) for each in inbox(folder))


def _had(slots: Mapping[str, str]) -> Iterable[str]:
    return (slot for slot, state in slots.items() if state != "withheld")
