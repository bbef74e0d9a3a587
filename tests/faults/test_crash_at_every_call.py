"""One service dies at each of its calls of the log in turn, before the call or after it, and starts again.

Whatever the moment: every accepted notice is delivered once to whom it was owed and to nobody else, in
order, who was given what is written down, and the log verifies.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.crash import CrashPoints, dies
from tests.faults.story import Story

# Not for its sockets, it has none: for its seconds of disk it runs with `make test`.
pytestmark = pytest.mark.sockets

MOST_POINTS = 60
"""Past these a service only repeats the calls that it made before."""

SERVICES = ("directory", "gateway", "dispatcher", "sequencer", "ledger", "inbox")


@pytest.mark.parametrize("service", SERVICES)
async def test_nothing_is_lost_doubled_or_shown_to_others(service: str, tmp_path: Path) -> None:
    (tmp_path / "quiet").mkdir()
    quiet = Story(tmp_path / "quiet", service)
    await quiet.live(and_check=True)
    points = min(quiet.count, MOST_POINTS)
    assert points > 0

    deaths = 0
    for point in range(1, points + 1):
        folder = tmp_path / str(point)
        folder.mkdir()
        story = Story(folder, service, CrashPoints(crash_at=point))
        async with asyncio.timeout(60):
            deaths += await dies(story.live())
            story.points = CrashPoints()
            await story.live(and_check=True)

    # How often a service looks whether there is more depends on the moment, so not every point is met again.
    assert deaths >= points / 2
