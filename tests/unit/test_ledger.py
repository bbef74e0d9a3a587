"""The hub's own view of its log: leaves that are numbered otherwise, or signed otherwise, end it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.core.errors import NotCanonical
from broker.log import Log, open_log
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from tests.leaves import Leaves

SECONDS = 20.0


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    async with open_log(f"sqlite://{tmp_path}/log.db") as opened:
        yield opened


async def fails(log: Log, what: str) -> None:
    ledger = Ledger(log, Metrics())
    async with asyncio.timeout(SECONDS):
        with pytest.raises(NotCanonical, match=what):
            await ledger.run()
    assert ledger.size == 0


async def test_leaves_that_are_not_numbered_one_by_one_are_not_served(log: Log) -> None:
    await Leaves(log).grow(30, skipped=1)
    await fails(log, "one by one")


async def test_a_checkpoint_with_another_root_is_not_served(log: Log) -> None:
    leaves = Leaves(log)
    await leaves.grow(30, sign=False)
    await leaves.sign(30, bytes(32))
    await fails(log, "another root")
