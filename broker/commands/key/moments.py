"""Moments as people type them: `--since`."""

from __future__ import annotations

import click

from broker.moments import moment

moment_option = click.option(
    "--since", help="Since when the key does not count: 2026-11-20T08:00Z; now if it is not said."
)


def said_moment(text: str | None, now: int) -> int:
    """Return a moment in UTC milliseconds; now if nothing was said.

    Raises:
        Stopped: It is no moment.
        click.UsageError: It lies ahead.
    """
    if text is None:
        return now
    since = moment(text, now)
    if since > now:
        raise click.UsageError("--since lies ahead: a key is revoked since a moment that was")
    return since
