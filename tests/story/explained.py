"""Every decision of a hub's log explained again, at the hub and at each node, and held against the log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from adapters.member_folder import open_folder
from adapters.past import Past, past_at_node
from broker.commands.agreement.past_at_hub import past_at_hub
from broker.commands.agreement.places import Place, open_place
from broker.configuration import load_hub_config
from broker.core.directory import Directory
from broker.core.model import Decision
from broker.core.records import unframe
from broker.log import Partition, open_log
from broker.log.topics import DECISIONS
from broker.services.following import Tail


class Explained(NamedTuple):
    """How many (notice, member) were given and withheld, how many nodes told, and where the log differs."""

    given: int
    withheld: int
    at_nodes: int
    otherwise: list[str]


async def explain_all(folder: Path, members: Iterable[str]) -> Explained:
    """Explain every notice that the hub in `folder`/hub decided."""
    place = open_place(folder / "hub")
    given = withheld = at_nodes = 0
    otherwise: list[str] = []
    statements: list[bytes] = []
    assert place.directory.members
    async with open_log(load_hub_config(folder / "hub").log_url, read_only=True) as log:
        partition = Partition(DECISIONS)
        end = (await log.ends([DECISIONS]))[partition]
        async for page in Tail(log, partition).more(end):
            statements += [unframe(Decision, stored.value).statement for stored in page]
        for statement in statements:
            past = await past_at_hub(log, statement.hex(), lambda _done, _of: None)
            assert isinstance(past, Past)
            said = past.explained(_directory(place, past))
            otherwise += [f"{past.header.reference} for {member}" for member in past.otherwise(said)]
            given += len(said.reached)
            withheld += sum(not each.receives for each in said.receivers)
    for member in members:
        home = open_place(folder / member)
        assert home.directory.members
        with open_folder(folder / member, to_read=True) as node:
            for statement in statements:
                known = past_at_node(node.store, node.incoming, statement)
                if isinstance(known, Past):
                    at_nodes += 1
                    said = known.explained(_directory(home, known))
                    otherwise += [f"{known.header.reference} at {member}" for _ in known.otherwise(said)]
    return Explained(given, withheld, at_nodes, otherwise)


def _directory(place: Place, past: Past) -> Directory:
    found = place.source.at(past.directory)
    assert found is not None
    return found
