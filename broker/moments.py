"""Times as people type and read them on the command line, the same for every command.

Decides what is a time, and that one without an offset is in UTC.  What it is for is the command's business.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from broker.terminal import Exit, Stopped, clean

NOW = "now"
SPANS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}

_SPAN = re.compile(r"([0-9]{1,6})([mhdw])")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def moment(text: str, now: int) -> int:
    """Return a time in UTC milliseconds.

    It is `30d`, `12h`, `90m` or `2w` before now, a day, a time, `now`, or `all`: before everything.

    Raises:
        Stopped: It is none of these.
    """
    if text == "all":
        return 0
    if text == NOW:
        return now
    span = _SPAN.fullmatch(text)
    at = now - int(span[1]) * SPANS[span[2]] if span else time_of(text)
    if at is None:
        raise Stopped(
            "this is no time",
            code="usage",
            where=clean(text),
            next_step="possible are 30d, 12h, 2w, a day such as 2026-10-01, 2026-10-01T08:00Z, or all",
            exit_code=Exit.USAGE,
        )
    return max(at, 0)


def time_of(text: str) -> int | None:
    """Return a day or a time in UTC milliseconds, or None if it is neither."""
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
            at = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            at = datetime.fromisoformat(text)
        return round((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def local(at: int, *, year: bool = False) -> str:
    """Return a time on this machine's clock, with its offset from UTC."""
    form = "%Y-%m-%d %H:%M%z" if year else "%m-%d %H:%M%z"
    return datetime.fromtimestamp(at / 1000, UTC).astimezone().strftime(form)
