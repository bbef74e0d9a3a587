"""The way back from a code to the error that has it: codes travel, classes do not."""

from __future__ import annotations

from broker.core.errors import HalongError


def error_of(code: str) -> type[HalongError] | None:
    """Return the error that has this code, or None."""
    waiting: list[type[HalongError]] = [HalongError]
    while waiting:
        error = waiting.pop()
        # A subclass that names no code of its own has that of the class above it, which stands for it.
        if error.__dict__.get("code") == code and code:
            return error
        waiting += error.__subclasses__()
    return None
