"""A dry run reads a log by its contract: it comes to the same on either engine, and only looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.commands.replaying import Period, replay_log, version_at
from broker.core.dry_run import Outcome
from broker.core.index import Index
from broker.log import open_log
from broker.log.topics import hub_topics
from tests.bench.network import dense_network, members
from tests.bench.replaying import generated
from tests.strategies import NOW, digest, directory

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

NOTICES = 3_000


async def tried(url: str) -> Outcome:
    value = dense_network()
    old = Index(value)
    new = old.updated(directory(*value.agreements[1:], members=members()))
    async with open_log(url) as log:
        await log.create(hub_topics(()))
        for records in generated(NOTICES):
            await log.append(records)
        before = await log.ends(["*"])
        # From the middle on, so that recalls follow what was said before as well as in the period.
        outcome = await replay_log(log, old, new, Period(NOW + NOTICES // 2, NOW + NOTICES))
        assert await version_at(log, NOW + 1) == digest("version")
        assert await version_at(log, NOW) is None
        assert await log.ends(["*"]) == before
    return outcome


async def test_a_dry_run_comes_to_the_same_on_either_engine(tmp_path: Path, kafka_url: str) -> None:
    embedded = await tried(f"sqlite://{tmp_path}/log.db")
    assert embedded.notices == NOTICES // 2
    assert embedded.changed
    assert await tried(kafka_url) == embedded
