"""Time, as a thing that is handed in: services take a `Clock`, tests move one."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> int:
        """Return the time in UTC milliseconds since 1970."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Return the machine's time in UTC milliseconds since 1970."""
        return time.time_ns() // 1_000_000
