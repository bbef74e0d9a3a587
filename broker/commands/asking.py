"""Asking a person for what a command was not told, or saying what is missing where nobody can be asked."""

from __future__ import annotations

import sys

import click

from broker.terminal import Exit, Stopped


def needed(value: str | None, option: str, question: str, default: str | None, *, yes: bool) -> str:
    """Return the value, or ask for it; without anybody to ask, the default will do only with `--yes`.

    Raises:
        Stopped: It is missing, and nobody is there.
    """
    if value is not None:
        return value
    if yes and default is not None:
        return default
    if yes or not sys.stdin.isatty():
        raise Stopped(
            f"{option} is missing, and nobody is there to be asked",
            code="usage",
            where="command line",
            next_step=f"give {option}, or run it on a terminal",
            exit_code=Exit.USAGE,
        )
    found: str = click.prompt(question, default=default, err=True)
    return found
