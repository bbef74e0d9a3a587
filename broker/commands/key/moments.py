"""Moments as people type them: `--since`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

moment_option = click.option(
    "--since", help="Since when the key does not count: 2026-11-20T08:00Z; now if it is not said."
)


def said_moment(text: str | None, now: int) -> int:
    """Return a moment in UTC milliseconds; now if nothing was said.

    Raises:
        click.UsageError: It is no moment, or lies ahead.
    """
    if text is None:
        return now
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError("--since is a moment, such as 2026-11-20T08:00Z") from None
    moment = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    if moment > now:
        raise click.UsageError("--since lies ahead: a key is revoked since a moment that was")
    return moment
