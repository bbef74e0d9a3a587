"""Waiting for a library that gives up what others wait for."""

from __future__ import annotations

import asyncio

import pytest

from broker.log import LogUnavailable
from broker.log.kafka_clients import bounded


async def test_what_the_library_cancels_is_a_failure_and_not_the_end_of_whoever_waits() -> None:
    given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    given_up.cancel()

    with pytest.raises(LogUnavailable):
        await bounded(given_up, 5, "answer")


async def test_whoever_is_cancelled_while_it_waits_ends() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(bounded(never, 5, "answer"))
        await asyncio.sleep(0)
        waiting.cancel()

    assert waiting.cancelled()


async def test_what_takes_too_long_is_a_failure() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    with pytest.raises(LogUnavailable):
        await bounded(never, 0, "answer")
