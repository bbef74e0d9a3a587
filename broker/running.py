"""Running something until it is told to stop: SIGTERM and Ctrl-C cancel it, and that is a good end.

Services are crash-only, so there is nothing to do here but to cancel and to wait.  A service manager that
asked to be told (systemd's `Type=notify`, `WatchdogSec=`) hears when the process is ready, that its loop
turns, and that it stops: one datagram each to the socket that it named.  Source: sd_notify(3).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Coroutine
from typing import Any

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


COLLECT_AFTER = 50_000
"""Objects more than before, after which those are looked for that hold one another in a circle."""


def run_until_stopped(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` until it ends, or until SIGTERM or Ctrl-C; what it raises is raised."""
    collect_rarely()
    asyncio.run(_stoppable(main))


def collect_rarely() -> None:
    """Look for circles of objects more rarely than Python does by itself.

    Records and what is made of them hold no circles and go at once; there are tens of thousands of them under
    way, and to look through them every 700 took a fifth of a busy dispatcher's time.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


async def _stoppable(main: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        tell_manager(STOPPING)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    _keep_telling(loop, _watchdog_seconds() / 2)
    try:
        await main
    except asyncio.CancelledError:
        if not stopped:
            raise
        # The end was asked for: this task is not to count as cancelled.
        task.uncancel()


def tell_manager(state: str) -> None:
    """Tell the service manager something, if it asked to be told; it need not hear it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, contextlib.suppress(OSError):
        told.settimeout(0)
        # A name that begins with @ is in the abstract namespace: unix(7).
        told.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def _keep_telling(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """Tell twice in each period that the loop turns; one that hangs tells nothing, and is started again."""
    if seconds > 0:
        tell_manager(ALIVE)
        loop.call_later(seconds, _keep_telling, loop, seconds)


def _watchdog_seconds() -> float:
    """Return within which time the manager wants to hear of this process, 0 if it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() else 0
