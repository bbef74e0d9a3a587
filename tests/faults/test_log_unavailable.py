"""The log fails a service once, at each of its calls in turn, before the call or after it was done.

The service runs again, members ask again; nothing is lost, doubled or shown to others, and the log verifies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from broker.log import LogUnavailable
from tests.crash import CrashPoints
from tests.faults.story import Story
from tests.world import World

# Not for its sockets, it has none: for its seconds of disk it runs with `make test`.
pytestmark = pytest.mark.sockets

MOST_POINTS = 60
T = TypeVar("T")


class OneFailure(CrashPoints):
    """Points of which one fails, once."""

    def __init__(self, fail_at: int) -> None:
        super().__init__()
        self.fail_at = fail_at

    def reach(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.fail_at:
            raise LogUnavailable(name)


class KeptWorld(World):
    """A world whose services run again when the log failed them, as the hub's do."""

    def services(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        def kept(run: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
            async def again() -> None:
                while True:
                    try:
                        await run()
                    except LogUnavailable:
                        continue

            return again

        return {name: kept(run) for name, run in super().services().items()}


class PatientStory(Story):
    """Members that ask again when they were told to."""

    make_world: ClassVar[type[World]] = KeptWorld

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        try:
            return await question()
        except LogUnavailable:
            return await question()


@pytest.mark.parametrize("service", ["gateway", "dispatcher", "sequencer", "ledger", "inbox"])
async def test_nothing_is_lost_doubled_or_shown_to_others(service: str, tmp_path: Path) -> None:
    (tmp_path / "quiet").mkdir()
    quiet = PatientStory(tmp_path / "quiet", service)
    await quiet.live(and_check=True)
    points = min(quiet.count, MOST_POINTS)
    assert points > 0

    for point in range(1, points + 1):
        folder = tmp_path / str(point)
        folder.mkdir()
        async with asyncio.timeout(60):
            await PatientStory(folder, service, OneFailure(point)).live(and_check=True)
