"""Running something until it is told to stop: SIGTERM and Ctrl-C cancel it, and that is a good end.

Services are crash-only, so there is nothing to do here but to cancel and to wait.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def run_until_stopped(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` until it ends, or until SIGTERM or Ctrl-C; what it raises is raised."""
    asyncio.run(_stoppable(main))


async def _stoppable(main: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await main
    except asyncio.CancelledError:
        if not stopped:
            raise
        # The end was asked for: this task is not to count as cancelled.
        task.uncancel()
