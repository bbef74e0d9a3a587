"""What a node can show: of its own notices with the hub's answer, of those that it received by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from adapters.configuration import HubAddress, NodeConfig
from adapters.evidence import Undecided, prove, received_case, sent_case
from adapters.member_folder import NodeFolder
from broker.core.errors import BadEvidence, BadProof, Stale
from broker.core.wire import StatementStatus
from broker.evidence.building import bundle, opened
from broker.evidence.checking import Trust
from broker.evidence.report import Found
from tests.cases import agreement
from tests.nodes import LocalHub
from tests.signed_world import SignedNode, SignedWorld, local_node
from tests.world import CATALOGUE, DAY, NETWORK, sighting


class ChangedHub(LocalHub):
    """The hub, whose answers about statements a test changes."""

    def __init__(self, world: SignedWorld, member: str, **changes: object) -> None:
        super().__init__(world, member)
        self._changes = changes

    async def statement(self, statement: bytes) -> StatementStatus | None:
        status = await super().statement(statement)
        assert status is not None
        return msgspec.structs.replace(status, **self._changes)


def folder_of(node: SignedNode) -> NodeFolder:
    address = HubAddress(
        url="https://127.0.0.1", pin="0" * 64, log_key=node.world.log_signer.vkey, authority=Path("a.pem")
    )
    config = NodeConfig(
        member=node.member, network=NETWORK, hub=address, root=node.path.parent, directory=Path("directory")
    )
    return NodeFolder(config, node.store)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SignedWorld]:
    async with SignedWorld(tmp_path, "vn", "jp", "nl") as world:
        await world.accede(agreement("vn", "jp", ["facts", "persons"]), "vn", "jp")
        await world.accede(agreement("vn", "nl", ["facts"]), "vn", "nl")
        yield world


@contextmanager
def nodes(world: SignedWorld, folder: Path) -> Iterator[tuple[SignedNode, SignedNode]]:
    with local_node(world, "vn", folder) as vn, local_node(world, "jp", folder) as jp:
        yield vn, jp


def shown(world: SignedWorld, data: bytes) -> Found:
    return opened(data, Trust(root=sha256(world.network.root).hexdigest()), CATALOGUE)[1]


async def test_both_sides_can_show_what_they_know_of_a_notice(world: SignedWorld, tmp_path: Path) -> None:
    with nodes(world, tmp_path) as (vn, jp):
        for node in (vn, jp):
            await node.refresher.refresh()
        await vn.sends(person="Ada", text="a rumour")
        assert await jp.receives() == 1
        here = folder_of(vn)
        (reference,) = (each.statement for each in here.outgoing.listed())
        assert reference is not None
        statement = here.outgoing.find(reference)
        assert statement is not None

        proved = await prove(here, LocalHub(world, "vn"), statement)
        own = shown(world, bundle(sent_case(here.config, proved), CATALOGUE))
        (received,) = folder_of(jp).incoming.received()
        got = shown(world, bundle(received_case(folder_of(jp), received), CATALOGUE))

        assert own.complete
        assert own.decision is not None
        assert [share.member for share in own.decision.shares] == ["jp", "nl"]
        assert got.complete
        assert got.decision is None
        assert list(got.deliveries) == ["jp"]
        assert b"a rumour" not in bundle(received_case(folder_of(jp), received), CATALOGUE)
        # Agreements between others are nobody's business.
        assert b"vn gives nl" not in bundle(received_case(folder_of(jp), received), CATALOGUE)

        for changes, error in (
            ({"decision": None}, Undecided),
            ({"statement_inclusion": None}, Undecided),
            ({"refused": "stale"}, Stale),
            ({"refused": "no such code"}, BadEvidence),
            ({"statement_inclusion": proved.status.decision_inclusion}, BadProof),
        ):
            with pytest.raises(error):
                await prove(here, ChangedHub(world, "vn", **changes), statement)
        jp.store.run("DELETE FROM checkpoints")
        with pytest.raises(BadEvidence, match="checkpoint"):
            received_case(folder_of(jp), received)


async def test_what_is_asked_long_after_bears_the_checkpoint_of_its_day(
    world: SignedWorld, tmp_path: Path
) -> None:
    with nodes(world, tmp_path) as (vn, _):
        await vn.refresher.refresh()
        await vn.sends(person="Ada")
        world.clock.move(DAY // 2)
        await world.publish("nl", sighting())
        await world.settle()
        here = folder_of(vn)
        (queued,) = here.outgoing.listed()
        assert queued.statement is not None
        statement = here.outgoing.find(queued.statement)
        assert statement is not None

        case = sent_case(here.config, await prove(here, LocalHub(world, "vn"), statement))

        assert case.first is not None
        assert shown(world, bundle(case, CATALOGUE)).complete
        assert not shown(world, bundle(replace(case, first=None), CATALOGUE)).complete
